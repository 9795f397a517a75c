"""Posting, holding and ending holds: what the services answer."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from ledger_book import BANK, FUND, GRANT, Book

from core import ledger
from core.errors import InvalidInput
from core.ledger import Guard, Leg, Phase, Side


def test_a_posted_transfer_moves_both_balances(book: Book) -> None:
    assert ledger.balance(book.session, BANK).posted == 100_000
    assert ledger.balance(book.session, FUND).posted == ledger.balance(book.session, FUND).available == 100_000


def test_the_entry_tells_its_transfers_with_their_commodity(book: Book, now: datetime) -> None:
    entry = book.award(25_000)
    (transfer,) = entry.transfers
    assert (transfer.debit, transfer.credit, transfer.commodity, transfer.amount) == (FUND, GRANT, "USD", 25_000)
    assert ledger.entry_by_key(book.session, "award:1") == entry


def test_an_overdraft_is_refused_with_the_numbers(book: Book, now: datetime) -> None:
    with pytest.raises(ledger.InsufficientFunds) as refusal:
        book.award(100_001)
    assert (refusal.value.account, refusal.value.available, refusal.value.wanted) == (FUND, 100_000, 100_001)
    assert refusal.value.message == (f"The account {FUND} has 1,000.00 USD available, less than the 1,000.01 USD wanted.")


def test_the_transaction_goes_on_after_a_refusal(book: Book, now: datetime) -> None:
    with pytest.raises(ledger.InsufficientFunds):
        book.award(100_001)
    book.award(100_000)
    assert ledger.balance(book.session, GRANT).posted == 100_000


def test_money_that_an_entry_brings_may_leave_in_the_same_entry(book: Book, now: datetime) -> None:
    ledger.post(
        book.session,
        key="through",
        kind="test",
        at=now,
        legs=[Leg(debit=GRANT, credit=BANK, amount=500), Leg(debit=FUND, credit=GRANT, amount=500)],
    )
    assert ledger.balance(book.session, BANK).posted == 99_500


def test_the_same_key_and_content_answer_with_the_first_entry(book: Book, now: datetime) -> None:
    again = book.pay_in(100_000, at=now + timedelta(hours=1))
    assert again.replayed
    assert again.at == now
    assert ledger.balance(book.session, FUND).posted == 100_000


def test_a_retry_succeeds_even_when_the_funds_have_gone_since(book: Book, now: datetime) -> None:
    first = book.award(100_000)
    assert book.award(100_000).id == first.id


def test_the_same_key_with_other_content_is_refused(book: Book, now: datetime) -> None:
    book.award(100)
    with pytest.raises(ledger.KeyReused, match="award:1"):
        book.award(101)


def test_one_entry_is_written_whole_or_not_at_all(book: Book, now: datetime) -> None:
    legs = [Leg(debit=FUND, credit=GRANT, amount=60_000), Leg(debit=FUND, credit=GRANT, amount=60_000)]
    with pytest.raises(ledger.InsufficientFunds):
        ledger.post(book.session, key="two", kind="award", legs=legs, at=now)
    assert ledger.balance(book.session, GRANT).posted == 0


def test_an_unknown_account_is_named(book: Book, now: datetime) -> None:
    with pytest.raises(ledger.UnknownAccount, match="liabilities:nobody"):
        ledger.post(book.session, key="x", kind="x", legs=[Leg(debit=FUND, credit="liabilities:nobody", amount=1)], at=now)


def test_two_commodities_never_meet_in_a_transfer(book: Book, now: datetime) -> None:
    ledger.ensure_account(book.session, "assets:bank:eur", "EUR", normal=Side.DEBIT)
    with pytest.raises(ledger.MixedCommodities, match="USD and assets:bank:eur counts EUR"):
        ledger.post(book.session, key="x", kind="x", legs=[Leg(debit=FUND, credit="assets:bank:eur", amount=1)], at=now)


def test_a_hold_reserves_without_moving(book: Book, now: datetime) -> None:
    book.hold(40_000)
    fund = ledger.balance(book.session, FUND)
    assert (fund.posted, fund.pending_out, fund.available) == (100_000, 40_000, 60_000)
    with pytest.raises(ledger.InsufficientFunds):
        book.hold(60_001, key="hold:2")


def test_a_hold_settles_whole(book: Book, now: datetime) -> None:
    book.hold(40_000)
    entry = ledger.settle(book.session, key="paid:1", hold_key="hold:1", at=now)
    assert [(t.phase, t.amount) for t in entry.transfers] == [(Phase.SETTLE, 40_000)]
    assert entry.refs == {"payout": "7"}
    fund = ledger.balance(book.session, FUND)
    assert (fund.posted, fund.pending_out) == (60_000, 0)


def test_a_hold_settles_in_part_and_the_rest_is_released(book: Book, now: datetime) -> None:
    held = book.hold(40_000)
    ledger.settle(book.session, key="paid:1", hold_key="hold:1", amounts={held.transfers[0].id: 15_000}, at=now)
    fund = ledger.balance(book.session, FUND)
    assert (fund.posted, fund.pending_out, fund.available) == (85_000, 0, 85_000)


def test_holds_of_an_entry_that_a_settlement_leaves_out_are_released(book: Book, now: datetime) -> None:
    legs = [Leg(debit=FUND, credit=BANK, amount=10), Leg(debit=FUND, credit=BANK, amount=20)]
    held = ledger.hold(book.session, key="hold:2", kind="job", legs=legs, at=now)
    entry = ledger.settle(book.session, key="paid:2", hold_key="hold:2", amounts={held.transfers[1].id: 7}, at=now)
    assert [(t.phase, t.amount, t.held_amount) for t in entry.transfers] == [(Phase.VOID, 10, 10), (Phase.SETTLE, 7, 20)]
    assert ledger.balance(book.session, FUND).pending_out == 0


def test_more_than_the_hold_cannot_be_settled(book: Book, now: datetime) -> None:
    held = book.hold(40_000)
    with pytest.raises(ledger.MoreThanHeld):
        ledger.settle(book.session, key="paid:1", hold_key="hold:1", amounts={held.transfers[0].id: 40_001}, at=now)


def test_a_hold_ends_once(book: Book, now: datetime) -> None:
    book.hold(40_000)
    ledger.settle(book.session, key="paid:1", hold_key="hold:1", at=now)
    with pytest.raises(ledger.AlreadyResolved, match="was settled before"):
        ledger.void(book.session, key="void:1", hold_key="hold:1", at=now)
    with pytest.raises(ledger.AlreadyResolved):
        ledger.settle(book.session, key="paid:2", hold_key="hold:1", at=now)


def test_settling_again_under_the_same_key_is_a_replay(book: Book, now: datetime) -> None:
    book.hold(40_000)
    first = ledger.settle(book.session, key="paid:1", hold_key="hold:1", at=now)
    again = ledger.settle(book.session, key="paid:1", hold_key="hold:1", at=now)
    assert again.replayed
    assert again.id == first.id


def test_a_void_gives_everything_back(book: Book, now: datetime) -> None:
    book.hold(40_000)
    ledger.void(book.session, key="void:1", hold_key="hold:1", at=now)
    assert ledger.balance(book.session, FUND).available == 100_000


def test_what_was_never_held_cannot_end(book: Book, now: datetime) -> None:
    with pytest.raises(ledger.UnknownHold):
        ledger.settle(book.session, key="paid:1", hold_key="nothing", at=now)
    with pytest.raises(ledger.UnknownHold):
        ledger.void(book.session, key="void:1", hold_key="pay-in:1", at=now)
    book.hold(1)
    with pytest.raises(ledger.UnknownHold):
        ledger.settle(book.session, key="paid:1", hold_key="hold:1", amounts={uuid4(): 1}, at=now)


def test_holds_expire_when_their_time_has_passed(book: Book, now: datetime) -> None:
    book.hold(10_000, key="soon", expires_at=now + timedelta(hours=1))
    book.hold(20_000, key="later", expires_at=now + timedelta(days=1))
    book.hold(30_000, key="never")
    assert ledger.expire_due(book.session, now=now + timedelta(minutes=59)) == 0
    assert ledger.expire_due(book.session, now=now + timedelta(hours=1)) == 1
    assert ledger.expire_due(book.session, now=now + timedelta(hours=1)) == 0
    assert ledger.balance(book.session, FUND).available == 50_000
    with pytest.raises(ledger.AlreadyResolved, match="expired"):
        ledger.settle(book.session, key="late", hold_key="soon", at=now)


def test_entries_are_found_by_what_they_refer_to(book: Book, now: datetime) -> None:
    book.hold(40_000)
    ledger.settle(book.session, key="paid:1", hold_key="hold:1", at=now)
    assert [entry.key for entry in ledger.entries_for(book.session, ("payout", "7"))] == ["hold:1", "paid:1"]
    assert ledger.entries_for(book.session, ("payout", "8")) == []


def test_an_account_is_opened_once_and_never_changes_its_nature(book: Book) -> None:
    again = ledger.ensure_account(book.session, BANK, "USD", normal=Side.DEBIT, guard=Guard.DEBIT)
    assert again.code == BANK
    with pytest.raises(ledger.AccountDiffers, match="USD on the debit side with guard debit"):
        ledger.ensure_account(book.session, BANK, "USD", normal=Side.DEBIT)


def test_gpu_time_has_a_commodity_per_flavor(book: Book) -> None:
    assert ledger.ensure_gpu_commodity(book.session, "nvidia_h100") == "GPU.NVIDIA-H100"
    account = ledger.ensure_account(book.session, "assets:gpu:offer:1", "GPU.NVIDIA-H100", normal=Side.DEBIT, guard=Guard.DEBIT)
    assert account.commodity == "GPU.NVIDIA-H100"
    with pytest.raises(InvalidInput, match="introduce its flavor"):
        ledger.ensure_account(book.session, "assets:gpu:offer:2", "GPU.B200", normal=Side.DEBIT)


@pytest.mark.parametrize("code", ["bank:usd", "assets", "assets:Bank", "assets:bank:", "assets::usd", "assets:bank usd"])
def test_account_codes_have_one_form(book: Book, code: str) -> None:
    with pytest.raises(InvalidInput, match="not an account code"):
        ledger.ensure_account(book.session, code, "USD", normal=Side.DEBIT)


@pytest.mark.parametrize("amount", [0, -1])
def test_a_transfer_moves_at_least_one_unit(amount: int) -> None:
    with pytest.raises(ledger.BadEntry):
        Leg(debit=FUND, credit=BANK, amount=amount)
