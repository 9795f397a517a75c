"""A closed month takes nothing more, whoever asks, and two people open it again."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from core import ledger
from core.books import bookings, explanations, months
from core.books.meeting import InClosedMonth
from core.books.models import BankLine, Subject
from core.books.months import ClosedAlready, DifferencesOpen, NotOver, NotTheLast, SameTwo
from core.clock import utc_now
from core.db import new_id
from core.errors import InvalidInput, NotAllowed, NotFound
from core.identity.models import Membership, Person, Role
from core.ledger import Leg, MonthClosed, NewEntry
from tests.fakes.bank_statements import Ntry

OCTOBER, SEPTEMBER = date(2026, 10, 1), date(2026, 9, 1)
IN_OCTOBER = datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC)
IN_NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
A, B = "equity:test:a", "equity:test:b"


@pytest.fixture
def post(session: Session) -> Callable[..., ledger.Entry]:
    """A transfer that is nobody's money elsewhere, dated as told."""
    for code in (A, B):
        ledger.ensure_account(session, code, "USD", normal=ledger.Side.DEBIT)

    def make(at: datetime, key: str = "k") -> ledger.Entry:
        return ledger.post(session, key=key, kind="test", legs=[Leg(debit=A, credit=B, amount=1)], at=at)

    return make


def test_a_month_with_an_open_difference_is_not_closed(
    session: Session, read: Callable[..., Sequence[BankLine]], finance: Person, second: Person, now: datetime
) -> None:
    (line, _) = read(Ntry("5.00", "x", day="2026-10-31"), Ntry("6.00", "later", day="2026-11-01"))
    with pytest.raises(DifferencesOpen, match="1 difference up to 31 Oct 2026"):
        months.close(session, OCTOBER, actor=finance, now=now)
    made = explanations.explain(session, Subject.BANK_LINE, line.id, text="Sent back in November.", actor=finance, now=now)
    with pytest.raises(DifferencesOpen):
        months.close(session, OCTOBER, actor=finance, now=now)
    explanations.decide(session, made.id, confirm=True, actor=second, now=now)
    assert months.close(session, OCTOBER, actor=finance, now=now).explained == 1


def test_what_a_month_was_closed_with_is_neither_linked_nor_unlinked(
    session: Session, read: Callable[..., Sequence[BankLine]], finance: Person, second: Person, now: datetime
) -> None:
    """A link posts nothing, so the ledger's trigger does not see it."""
    for code in ("assets:bank:usd", A):
        ledger.ensure_account(session, code, "USD", normal=ledger.Side.DEBIT)

    def arrived(key: str, at: datetime) -> UUID:
        return ledger.post(session, key=key, kind="test", legs=[Leg(debit="assets:bank:usd", credit=A, amount=500)], at=at).id

    entry = arrived("october", IN_OCTOBER)
    line, twin = read(Ntry("5.00", "x", day="2026-10-31"), Ntry("5.00", "y", day="2026-10-31"))
    bookings.link(session, line.id, entry, actor=finance, now=now)
    made = explanations.explain(session, Subject.BANK_LINE, twin.id, text="Ours follows.", actor=finance, now=now)
    explanations.decide(session, made.id, confirm=True, actor=second, now=now)
    closed = months.close(session, OCTOBER, actor=finance, now=now)
    with pytest.raises(InClosedMonth, match="October 2026 was closed with this"):
        bookings.unlink(session, line.id, reason="It was the other one.", actor=finance, now=now)
    later = now + timedelta(minutes=1)
    follows = arrived("november", IN_NOVEMBER)
    bookings.link(session, twin.id, follows, actor=finance, now=later)
    bookings.unlink(session, twin.id, reason="It was another one.", actor=finance, now=later)
    months.ask_reopening(session, closed.id, reason="The other line was it.", actor=finance, now=later)
    months.reopen(session, closed.id, actor=second, now=later)
    bookings.unlink(session, line.id, reason="It was the other one.", actor=finance, now=later)
    made = explanations.explain(session, Subject.BANK_LINE, line.id, text="Nobody knows.", actor=finance, now=later)
    explanations.decide(session, made.id, confirm=True, actor=second, now=later)
    made = explanations.explain(session, Subject.ENTRY, entry, text="Nobody knows.", actor=finance, now=later)
    explanations.decide(session, made.id, confirm=True, actor=second, now=later)
    months.close(session, OCTOBER, actor=finance, now=later)
    with pytest.raises(InClosedMonth):
        bookings.link(session, line.id, entry, actor=finance, now=later)


def test_only_finance_closes_and_only_what_is_over(session: Session, finance: Person, editor: Person, now: datetime) -> None:
    with pytest.raises(NotAllowed):
        months.close(session, OCTOBER, actor=editor, now=now)
    with pytest.raises(NotOver, match="can be closed from 1 Dec 2026 on"):
        months.close(session, date(2026, 11, 1), actor=finance, now=now)
    months.close(session, OCTOBER, actor=finance, now=now)
    for month in (OCTOBER, SEPTEMBER):
        with pytest.raises(ClosedAlready, match="October 2026 is closed"):
            months.close(session, month, actor=finance, now=now)
    with pytest.raises(InvalidInput):
        months.first_of("2026-13")


def test_nothing_is_posted_into_a_closed_month(
    session: Session, post: Callable[..., ledger.Entry], finance: Person, now: datetime
) -> None:
    before = post(IN_OCTOBER, "before")
    months.close(session, OCTOBER, actor=finance, now=now)
    with pytest.raises(MonthClosed, match="up to 31 Oct 2026 is closed, and this is dated 31 Oct 2026"):
        post(IN_OCTOBER, "late")
    with pytest.raises(MonthClosed):
        ledger.hold(session, key="h", kind="test", legs=[Leg(debit=A, credit=B, amount=1)], at=IN_OCTOBER)
    with pytest.raises(MonthClosed):
        ledger.post_many(session, [NewEntry("m", "test", [Leg(debit=A, credit=B, amount=1)], IN_OCTOBER)])
    post(IN_NOVEMBER, "in time")
    assert post(IN_OCTOBER, "before").id == before.id, "what is there already is only asked for again"
    assert ledger.balance(session, A).posted == 2


def test_a_hold_of_a_closed_month_ends_today(
    session: Session, post: Callable[..., ledger.Entry], finance: Person, now: datetime
) -> None:
    post(IN_NOVEMBER)
    ledger.hold(session, key="h", kind="test", legs=[Leg(debit=A, credit=B, amount=1)], at=IN_OCTOBER)
    months.close(session, OCTOBER, actor=finance, now=now)
    with pytest.raises(MonthClosed):
        ledger.settle(session, key="s", hold_key="h", at=IN_OCTOBER)
    ledger.settle(session, key="s", hold_key="h", at=now)


def test_the_database_keeps_the_door_shut_by_itself(
    session: Session, post: Callable[..., ledger.Entry], finance: Person, now: datetime
) -> None:
    post(IN_NOVEMBER)
    months.close(session, OCTOBER, actor=finance, now=now)
    insert = text(
        "INSERT INTO ledger_entry (id, key, request_hash, kind, memo, refs, at)"
        " VALUES (gen_random_uuid(), :key, 'x', 'test', '', '{}', :at)"
    )
    with session.begin_nested():
        session.execute(insert, {"at": IN_NOVEMBER, "key": "in time"})
    with pytest.raises(DBAPIError, match="in a closed month"):
        session.execute(insert, {"at": IN_OCTOBER - timedelta(days=400), "key": "late"})


def test_two_people_open_the_last_month_again(
    session: Session, post: Callable[..., ledger.Entry], finance: Person, second: Person, now: datetime
) -> None:
    september = months.close(session, SEPTEMBER, actor=finance, now=now)
    october = months.close(session, OCTOBER, actor=finance, now=now)
    with pytest.raises(NotTheLast, match="October 2026 is closed as well"):
        months.ask_reopening(session, september.id, reason="r", actor=finance, now=now)
    with pytest.raises(SameTwo):
        months.reopen(session, october.id, actor=finance, now=now)
    with pytest.raises(InvalidInput):
        months.ask_reopening(session, october.id, reason=" ", actor=finance, now=now)
    months.ask_reopening(session, october.id, reason="A fee was booked twice.", actor=finance, now=now)
    with pytest.raises(SameTwo):
        months.reopen(session, october.id, actor=finance, now=now)
    months.reopen(session, october.id, actor=second, now=now)
    post(IN_OCTOBER)
    with pytest.raises(MonthClosed, match="up to 30 Sep 2026"):
        post(datetime(2026, 9, 30, tzinfo=UTC), "september")
    with pytest.raises(NotFound):
        months.reopen(session, october.id, actor=second, now=now)
    assert months.close(session, OCTOBER, actor=finance, now=now).id != october.id


def test_the_database_wants_two_people_for_opening(session: Session, finance: Person, now: datetime) -> None:
    october = months.close(session, OCTOBER, actor=finance, now=now)
    months.ask_reopening(session, october.id, reason="r", actor=finance, now=now)
    october.reopened_by_id, october.reopened_at = finance.id, now
    with pytest.raises(IntegrityError, match="two_people"):
        session.flush()


def test_the_next_month_to_close_follows_the_last(session: Session, finance: Person, now: datetime) -> None:
    assert months.next_to_close(session, on=date(2026, 11, 2)) == OCTOBER
    months.close(session, SEPTEMBER, actor=finance, now=now)
    assert months.next_to_close(session, on=date(2026, 11, 2)) == OCTOBER
    months.close(session, OCTOBER, actor=finance, now=now)
    assert months.next_to_close(session, on=date(2026, 11, 30)) is None
    assert months.next_to_close(session, on=date(2026, 12, 1)) == date(2026, 11, 1)


@pytest.fixture
def database(fresh_database: str) -> Iterator[Callable[[], Session]]:
    engine = create_engine(fresh_database)
    yield lambda: Session(engine)
    engine.dispose()


def test_closing_waits_for_who_posts_into_the_past_and_then_sees_it(database: Callable[[], Session]) -> None:
    """Posted first: the closing sees the entry. Closed first: the posting is refused. Never both."""
    now = utc_now()
    with database() as setting_up, setting_up.begin():
        for code in ("assets:bank:usd", "equity:test:a"):
            ledger.ensure_account(setting_up, code, "USD", normal=ledger.Side.DEBIT)
        fatima = Person(id=new_id(), email="fatima@example.org", name="Fatima", created_at=now)
        setting_up.add(fatima)
        setting_up.flush()
        setting_up.add(Membership(person_id=fatima.id, role=Role.FINANCE, from_on=date(2020, 1, 1)))
    said: list[str] = []

    def close() -> None:
        with database() as closing, closing.begin():
            try:
                months.close(closing, OCTOBER, actor=closing.query(Person).one(), now=now)
            except DifferencesOpen:
                said.append("differences")

    with database() as posting, posting.begin():
        ledger.post(
            posting, key="k", kind="t", legs=[Leg(debit="assets:bank:usd", credit="equity:test:a", amount=1)], at=IN_OCTOBER
        )
        other = threading.Thread(target=close)
        other.start()
        other.join(timeout=1)
        assert other.is_alive(), "it waits for the open transaction"
    other.join(timeout=10)
    assert said == ["differences"]
