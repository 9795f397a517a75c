"""Posting, holding and ending holds: what the services answer."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from core import ledger
from core.errors import InvalidInput
from core.ledger import Guard, Leg, Phase, Side

BANK, FUND, GRANT = "assets:bank:usd", "liabilities:fund:open-pledge:usd", "liabilities:grant:1:usd"


@pytest.fixture
def book(session: Session, now: datetime) -> Session:
    """A session on a ledger whose fund holds $1,000.00."""
    open_accounts(session)
    pay_in(session, now)
    return session


def open_accounts(session: Session) -> None:
    ledger.ensure_account(session, BANK, "USD", normal=Side.DEBIT, guard=Guard.DEBIT)
    ledger.ensure_account(session, FUND, "USD", normal=Side.CREDIT, guard=Guard.CREDIT)
    ledger.ensure_account(session, GRANT, "USD", normal=Side.CREDIT, guard=Guard.CREDIT)


def pay_in(session: Session, now: datetime) -> ledger.Entry:
    return ledger.post(
        session,
        key="pay-in:1",
        kind="pay-in",
        legs=[Leg(debit=BANK, credit=FUND, amount=100_000)],
        at=now,
        refs={"company": "acme"},
    )


def award(session: Session, now: datetime, amount: int, key: str = "award:1") -> ledger.Entry:
    return ledger.post(session, key=key, kind="award", legs=[Leg(debit=FUND, credit=GRANT, amount=amount)], at=now)


def reserve(
    session: Session, now: datetime, amount: int, key: str = "hold:1", expires_at: datetime | None = None
) -> ledger.Entry:
    legs = [Leg(debit=FUND, credit=BANK, amount=amount)]
    return ledger.hold(session, key=key, kind="payout", legs=legs, at=now, expires_at=expires_at, refs={"payout": "7"})


def test_a_posted_transfer_moves_both_balances(book: Session) -> None:
    assert ledger.balance(book, BANK).posted == 100_000
    assert ledger.balance(book, FUND).posted == ledger.balance(book, FUND).available == 100_000


def test_the_entry_tells_its_transfers_with_their_commodity(book: Session, now: datetime) -> None:
    entry = award(book, now, 25_000)
    (transfer,) = entry.transfers
    assert (transfer.debit, transfer.credit, transfer.commodity, transfer.amount) == (FUND, GRANT, "USD", 25_000)
    assert ledger.entry_by_key(book, "award:1") == entry


def test_an_overdraft_is_refused_with_the_numbers(book: Session, now: datetime) -> None:
    with pytest.raises(ledger.InsufficientFunds) as refusal:
        award(book, now, 100_001)
    assert (refusal.value.account, refusal.value.available, refusal.value.wanted) == (FUND, 100_000, 100_001)
    assert refusal.value.message == (f"The account {FUND} has 1,000.00 USD available, less than the 1,000.01 USD wanted.")


def test_the_transaction_goes_on_after_a_refusal(book: Session, now: datetime) -> None:
    with pytest.raises(ledger.InsufficientFunds):
        award(book, now, 100_001)
    award(book, now, 100_000)
    assert ledger.balance(book, GRANT).posted == 100_000


def test_money_that_an_entry_brings_may_leave_in_the_same_entry(book: Session, now: datetime) -> None:
    ledger.post(
        book,
        key="through",
        kind="test",
        at=now,
        legs=[Leg(debit=GRANT, credit=BANK, amount=500), Leg(debit=FUND, credit=GRANT, amount=500)],
    )
    assert ledger.balance(book, BANK).posted == 99_500


def test_the_same_key_and_content_answer_with_the_first_entry(book: Session, now: datetime) -> None:
    again = pay_in(book, now + timedelta(hours=1))
    assert again.replayed
    assert again.at == now
    assert ledger.balance(book, FUND).posted == 100_000


def test_a_retry_succeeds_even_when_the_funds_have_gone_since(book: Session, now: datetime) -> None:
    first = award(book, now, 100_000)
    assert award(book, now, 100_000).id == first.id


def test_the_same_key_with_other_content_is_refused(book: Session, now: datetime) -> None:
    award(book, now, 100)
    with pytest.raises(ledger.KeyReused, match="award:1"):
        award(book, now, 101)


def test_one_entry_is_written_whole_or_not_at_all(book: Session, now: datetime) -> None:
    legs = [Leg(debit=FUND, credit=GRANT, amount=60_000), Leg(debit=FUND, credit=GRANT, amount=60_000)]
    with pytest.raises(ledger.InsufficientFunds):
        ledger.post(book, key="two", kind="award", legs=legs, at=now)
    assert ledger.balance(book, GRANT).posted == 0


def test_an_unknown_account_is_named(book: Session, now: datetime) -> None:
    with pytest.raises(ledger.UnknownAccount, match="liabilities:nobody"):
        ledger.post(book, key="x", kind="x", legs=[Leg(debit=FUND, credit="liabilities:nobody", amount=1)], at=now)


def test_two_commodities_never_meet_in_a_transfer(book: Session, now: datetime) -> None:
    ledger.ensure_account(book, "assets:bank:eur", "EUR", normal=Side.DEBIT)
    with pytest.raises(ledger.MixedCommodities, match="USD and assets:bank:eur counts EUR"):
        ledger.post(book, key="x", kind="x", legs=[Leg(debit=FUND, credit="assets:bank:eur", amount=1)], at=now)


def test_a_hold_reserves_without_moving(book: Session, now: datetime) -> None:
    reserve(book, now, 40_000)
    fund = ledger.balance(book, FUND)
    assert (fund.posted, fund.pending_out, fund.available) == (100_000, 40_000, 60_000)
    with pytest.raises(ledger.InsufficientFunds):
        reserve(book, now, 60_001, key="hold:2")


def test_a_hold_settles_whole(book: Session, now: datetime) -> None:
    reserve(book, now, 40_000)
    entry = ledger.settle(book, key="paid:1", hold_key="hold:1", at=now)
    assert [(t.phase, t.amount) for t in entry.transfers] == [(Phase.SETTLE, 40_000)]
    assert entry.refs == {"payout": "7"}
    fund = ledger.balance(book, FUND)
    assert (fund.posted, fund.pending_out) == (60_000, 0)


def test_a_hold_settles_in_part_and_the_rest_is_released(book: Session, now: datetime) -> None:
    held = reserve(book, now, 40_000)
    ledger.settle(book, key="paid:1", hold_key="hold:1", amounts={held.transfers[0].id: 15_000}, at=now)
    fund = ledger.balance(book, FUND)
    assert (fund.posted, fund.pending_out, fund.available) == (85_000, 0, 85_000)


def test_holds_of_an_entry_that_a_settlement_leaves_out_are_released(book: Session, now: datetime) -> None:
    legs = [Leg(debit=FUND, credit=BANK, amount=10), Leg(debit=FUND, credit=BANK, amount=20)]
    held = ledger.hold(book, key="hold:2", kind="job", legs=legs, at=now)
    entry = ledger.settle(book, key="paid:2", hold_key="hold:2", amounts={held.transfers[1].id: 7}, at=now)
    assert [(t.phase, t.amount, t.held_amount) for t in entry.transfers] == [(Phase.VOID, 10, 10), (Phase.SETTLE, 7, 20)]
    assert ledger.balance(book, FUND).pending_out == 0


def test_more_than_the_hold_cannot_be_settled(book: Session, now: datetime) -> None:
    held = reserve(book, now, 40_000)
    with pytest.raises(ledger.MoreThanHeld):
        ledger.settle(book, key="paid:1", hold_key="hold:1", amounts={held.transfers[0].id: 40_001}, at=now)


def test_a_hold_ends_once(book: Session, now: datetime) -> None:
    reserve(book, now, 40_000)
    ledger.settle(book, key="paid:1", hold_key="hold:1", at=now)
    with pytest.raises(ledger.AlreadyResolved, match="was settled before"):
        ledger.void(book, key="void:1", hold_key="hold:1", at=now)
    with pytest.raises(ledger.AlreadyResolved):
        ledger.settle(book, key="paid:2", hold_key="hold:1", at=now)


def test_settling_again_under_the_same_key_is_a_replay(book: Session, now: datetime) -> None:
    reserve(book, now, 40_000)
    first = ledger.settle(book, key="paid:1", hold_key="hold:1", at=now)
    again = ledger.settle(book, key="paid:1", hold_key="hold:1", at=now)
    assert again.replayed
    assert again.id == first.id


def test_a_void_gives_everything_back(book: Session, now: datetime) -> None:
    reserve(book, now, 40_000)
    ledger.void(book, key="void:1", hold_key="hold:1", at=now)
    assert ledger.balance(book, FUND).available == 100_000


def test_what_was_never_held_cannot_end(book: Session, now: datetime) -> None:
    with pytest.raises(ledger.UnknownHold):
        ledger.settle(book, key="paid:1", hold_key="nothing", at=now)
    with pytest.raises(ledger.UnknownHold):
        ledger.void(book, key="void:1", hold_key="pay-in:1", at=now)
    reserve(book, now, 1)
    with pytest.raises(ledger.UnknownHold):
        ledger.settle(book, key="paid:1", hold_key="hold:1", amounts={uuid4(): 1}, at=now)


def test_holds_expire_when_their_time_has_passed(book: Session, now: datetime) -> None:
    reserve(book, now, 10_000, key="soon", expires_at=now + timedelta(hours=1))
    reserve(book, now, 20_000, key="later", expires_at=now + timedelta(days=1))
    reserve(book, now, 30_000, key="never")
    assert ledger.expire_due(book, now=now + timedelta(minutes=59)) == 0
    assert ledger.expire_due(book, now=now + timedelta(hours=1)) == 1
    assert ledger.expire_due(book, now=now + timedelta(hours=1)) == 0
    assert ledger.balance(book, FUND).available == 50_000
    with pytest.raises(ledger.AlreadyResolved, match="expired"):
        ledger.settle(book, key="late", hold_key="soon", at=now)


def test_entries_are_found_by_what_they_refer_to(book: Session, now: datetime) -> None:
    reserve(book, now, 40_000)
    ledger.settle(book, key="paid:1", hold_key="hold:1", at=now)
    assert [entry.key for entry in ledger.entries_for(book, ("payout", "7"))] == ["hold:1", "paid:1"]
    assert ledger.entries_for(book, ("payout", "8")) == []


def test_an_account_is_opened_once_and_never_changes_its_nature(book: Session) -> None:
    again = ledger.ensure_account(book, BANK, "USD", normal=Side.DEBIT, guard=Guard.DEBIT)
    assert again.code == BANK
    with pytest.raises(ledger.AccountDiffers, match="USD on the debit side with guard debit"):
        ledger.ensure_account(book, BANK, "USD", normal=Side.DEBIT)


def test_gpu_time_has_a_commodity_per_flavor(book: Session) -> None:
    assert ledger.ensure_gpu_commodity(book, "nvidia_h100") == "GPU.NVIDIA-H100"
    account = ledger.ensure_account(book, "assets:gpu:offer:1", "GPU.NVIDIA-H100", normal=Side.DEBIT, guard=Guard.DEBIT)
    assert account.commodity == "GPU.NVIDIA-H100"
    with pytest.raises(InvalidInput, match="introduce its flavor"):
        ledger.ensure_account(book, "assets:gpu:offer:2", "GPU.B200", normal=Side.DEBIT)


@pytest.mark.parametrize("code", ["bank:usd", "assets", "assets:Bank", "assets:bank:", "assets::usd", "assets:bank usd"])
def test_account_codes_have_one_form(session: Session, code: str) -> None:
    with pytest.raises(InvalidInput, match="not an account code"):
        ledger.ensure_account(session, code, "USD", normal=Side.DEBIT)


@pytest.mark.parametrize("amount", [0, -1])
def test_a_transfer_moves_at_least_one_unit(amount: int) -> None:
    with pytest.raises(ledger.BadEntry):
        Leg(debit=FUND, credit=BANK, amount=amount)
