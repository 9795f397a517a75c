"""Posting in batches: the same rules, told in the same words."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_book import BANK, FUND, GRANT, Book

from core import ledger
from core.ledger import Leg, NewEntry


def awards(book: Book, count: int, amount: int = 10) -> list[NewEntry]:
    legs = [Leg(debit=FUND, credit=GRANT, amount=amount)]
    return [NewEntry(key=f"award:{i}", kind="award", legs=legs, at=book.now, memo=f"No. {i}") for i in range(count)]


def test_a_batch_moves_balances_and_can_be_read_back(book: Book) -> None:
    assert ledger.post_many(book.session, awards(book, 1_500)) == ledger.Posted(written=1_500, replayed=0)
    assert ledger.balance(book.session, GRANT).posted == 15_000
    assert ledger.entry_by_key(book.session, "award:1499").memo == "No. 1499"


def test_a_batch_and_a_single_entry_know_each_other_by_key(book: Book) -> None:
    ledger.post_many(book.session, awards(book, 3))
    single = ledger.post(
        book.session,
        key="award:1",
        kind="award",
        legs=[Leg(debit=FUND, credit=GRANT, amount=10)],
        at=book.now,
        memo="No. 1",
    )
    assert single.replayed
    assert ledger.post_many(book.session, awards(book, 5)) == ledger.Posted(written=2, replayed=3)
    with pytest.raises(ledger.KeyReused, match="award:0"):
        ledger.post_many(book.session, awards(book, 1, amount=11))


def test_the_same_entry_twice_in_a_batch_is_written_once(book: Book) -> None:
    twice = awards(book, 2) + awards(book, 2)
    assert ledger.post_many(book.session, twice) == ledger.Posted(written=2, replayed=2)
    with pytest.raises(ledger.KeyReused):
        ledger.post_many(book.session, [*awards(book, 3), *awards(book, 3, amount=11)])


def test_a_batch_that_overdraws_writes_nothing(book: Book) -> None:
    with pytest.raises(ledger.InsufficientFunds) as refusal:
        ledger.post_many(book.session, awards(book, 11, amount=10_000))
    assert (refusal.value.account, refusal.value.available, refusal.value.wanted) == (FUND, 100_000, 110_000)
    assert ledger.entry_by_key(book.session, "award:0") is None
    assert ledger.balance(book.session, FUND).posted == 100_000


def test_a_batch_takes_what_a_hold_left(book: Book) -> None:
    book.hold(60_000)
    with pytest.raises(ledger.InsufficientFunds):
        ledger.post_many(book.session, awards(book, 1, amount=40_001))
    ledger.post_many(book.session, awards(book, 1, amount=40_000))


def test_unknown_accounts_and_mixed_commodities_are_named(book: Book) -> None:
    ledger.ensure_account(book.session, "income:eur", "EUR", normal=ledger.Side.CREDIT)
    for credit, error in (("income:nothing", ledger.UnknownAccount), ("income:eur", ledger.MixedCommodities)):
        entry = NewEntry(key="x", kind="x", legs=[Leg(debit=BANK, credit=credit, amount=1)], at=book.now)
        with pytest.raises(error, match=credit):
            ledger.post_many(book.session, [entry])


def test_awkward_text_arrives_as_it_was(book: Book, now: datetime) -> None:
    text = 'tab\t, newline\n, return\r, backslash \\, \\N, quote ", “€” and \\.'
    legs = [Leg(debit=FUND, credit=GRANT, amount=1)]
    ledger.post_many(book.session, [NewEntry(key=text, kind="k", legs=legs, at=now, memo=text, refs={"a\t\\": text})])
    entry = ledger.entry_by_key(book.session, text)
    assert (entry.memo, entry.refs, entry.at) == (text, {"a\t\\": text}, now)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=50),
    memo=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50),
    refs=st.dictionaries(st.text("abc", min_size=1), st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=3),
    at=st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()),  # noqa: DTZ001 - hypothesis adds zones
    amounts=st.lists(st.integers(1, 100), min_size=1, max_size=4),
)
def test_a_batch_writes_what_one_by_one_writes(
    book: Book, key: str, memo: str, refs: dict[str, str], at: datetime, amounts: list[int]
) -> None:
    legs = [Leg(FUND, GRANT, amount) if i % 2 else Leg(BANK, FUND, amount) for i, amount in enumerate(amounts)]
    with book.session.begin_nested() as undone:
        single = ledger.post(book.session, key=key, kind="k", legs=legs, at=at, memo=memo, refs=refs)
        again = ledger.post_many(book.session, [NewEntry(key, "k", legs, at, memo, refs)])
        undone.rollback()
    assert again == ledger.Posted(0, 1)
    with book.session.begin_nested() as undone:
        ledger.post_many(book.session, [NewEntry(key, "k", legs, at, memo, refs)])
        batched = ledger.entry_by_key(book.session, key)
        undone.rollback()
    assert batched is not None
    # A local time that clocks pass over equals none of another zone (PEP 495), though it is the same moment.
    assert batched.at == single.at.astimezone(UTC)
    for field in ("key", "kind", "memo", "refs"):
        assert getattr(batched, field) == getattr(single, field)
    assert [replace(transfer, entry_id=single.id) for transfer in batched.transfers] == list(single.transfers)


def test_an_empty_batch_is_nothing(book: Book) -> None:
    assert ledger.post_many(book.session, []) == ledger.Posted(0, 0)


def reservations(book: Book, count: int, amount: int = 10) -> list[NewEntry]:
    legs = [Leg(debit=FUND, credit=BANK, amount=amount), Leg(debit=FUND, credit=GRANT, amount=1)]
    return [NewEntry(key=f"hold:{i}", kind="payout", legs=legs, at=book.now) for i in range(count)]


def test_holds_of_a_batch_reserve_and_end_like_single_ones(book: Book) -> None:
    held = ledger.hold_many(book.session, reservations(book, 3))
    assert ledger.balance(book.session, FUND).pending_out == 33
    single = ledger.hold(book.session, key="hold:1", kind="payout", legs=reservations(book, 1)[0].legs, at=book.now)
    assert (single.replayed, single.id) == (True, held["hold:1"])
    assert ledger.hold_many(book.session, reservations(book, 3)) == held, "again is the same"
    part = {ledger.transfer_id(held["hold:0"], 0): 7}
    ledger.settle(book.session, key="settle:0", hold_key="hold:0", amounts=part, at=book.now)
    ledger.void(book.session, key="void:1", hold_key="hold:1", at=book.now)
    fund = ledger.balance(book.session, FUND)
    assert (fund.posted, fund.pending_out) == (100_000 - 7, 11)


def test_holds_that_overdraw_together_reserve_nothing(book: Book) -> None:
    with pytest.raises(ledger.InsufficientFunds) as refusal:
        ledger.hold_many(book.session, reservations(book, 2, amount=50_000))
    assert (refusal.value.account, refusal.value.available, refusal.value.wanted) == (FUND, 100_000, 100_002)
    assert ledger.balance(book.session, FUND).pending_out == 0


def test_what_a_hold_would_bring_is_not_there_to_be_held(book: Book) -> None:
    inwards = NewEntry(key="in", kind="k", legs=[Leg(debit=BANK, credit=FUND, amount=50)], at=book.now)
    outwards = NewEntry(key="out", kind="k", legs=[Leg(debit=FUND, credit=GRANT, amount=100_001)], at=book.now)
    with pytest.raises(ledger.InsufficientFunds):
        ledger.hold_many(book.session, [inwards, outwards])
    assert ledger.post_many(book.session, [inwards, outwards]).written == 2, "posted, it is"
