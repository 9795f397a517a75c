"""An explanation is of one difference, of one side and amount; a month is closed when outside was read after its end."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker
from web_client import Client

from core import ledger
from core.books import explanations, feeds, months, readings, reconciliation, statements, tasks
from core.books.explanations import AlreadyExplained, Changed
from core.books.feeds import FeedUnreachable, Seen
from core.books.models import BankAccount, BankLine, Explanation, OutsideMovement, Side, Subject
from core.books.months import DifferencesOpen, NotReadSince
from core.clock import utc_now
from core.db import new_id
from core.db.migrate import downgrade, upgrade
from core.errors import NotFound
from core.identity.models import Person
from core.ledger import Leg
from core.money import Money
from tests.fakes.bank_statements import Ntry, camt

BANK, STRIPE = "assets:bank:usd", "assets:rail:stripe:usd"
OCTOBER, IN_OCTOBER = date(2026, 10, 1), datetime(2026, 10, 30, tzinfo=UTC)
Read = Callable[..., Sequence[BankLine]]


class List:
    """A provider's list as a test wants it."""

    name, title = "stripe", "Stripe"

    def __init__(self, seen: Iterable[Seen] = (), *, reachable: bool = True) -> None:
        self._seen, self._reachable = seen, reachable

    def read(self, since: datetime | None) -> Iterable[Seen]:
        if not self._reachable:
            raise FeedUnreachable("Stripe does not answer.")
        return self._seen


@pytest.fixture
def movement(session: Session) -> OutsideMovement:
    """$97.10 that Stripe tells and the ledger does not know."""
    for code in (BANK, STRIPE, "equity:test"):
        ledger.ensure_account(session, code, "USD", normal=ledger.Side.DEBIT)
    reconciliation.take(session, "stripe", [Seen("txn_1", "charge", IN_OCTOBER, Money(97_10, "USD"), "ch_1")], now=IN_OCTOBER)
    return session.query(OutsideMovement).one()


def post(session: Session, *legs: Leg, at: datetime = IN_OCTOBER) -> ledger.Entry:
    """An entry that names the movement."""
    refs = {"rail": "stripe", "balance_transaction": "txn_1"}
    return ledger.post(session, key="k", kind="test", legs=list(legs), at=at, refs=refs)


def test_a_missing_one_that_was_explained_is_not_explained_when_its_amount_differs(
    session: Session, movement: OutsideMovement, finance: Person, second: Person, now: datetime
) -> None:
    made = explanations.explain(session, Subject.OUTSIDE_MOVEMENT, movement.id, text="Ours follows.", actor=finance, now=now)
    explanations.decide(session, made.id, confirm=True, actor=second, now=now)
    (item,) = reconciliation.differences(session)
    assert (item.side, item.is_explained) == (Side.MISSING_HERE, True)
    post(session, Leg(debit=STRIPE, credit="equity:test", amount=100_00))
    reconciliation.meet(session, "stripe")
    (item,) = reconciliation.differences(session)
    assert (item.side, item.money.amount_minor, item.is_explained, item.stale) == (Side.DIFFERENT, -2_90, False, made)
    with pytest.raises(DifferencesOpen):
        months.close(session, OCTOBER, actor=finance, now=now)
    again = explanations.explain(session, Subject.OUTSIDE_MOVEMENT, movement.id, text="A fee.", actor=finance, now=now)
    explanations.decide(session, again.id, confirm=True, actor=second, now=now)
    months.close(session, OCTOBER, actor=finance, now=now)


def test_what_has_changed_since_it_was_explained_is_only_turned_down(
    session: Session, movement: OutsideMovement, finance: Person, second: Person, now: datetime
) -> None:
    made = explanations.explain(session, Subject.OUTSIDE_MOVEMENT, movement.id, text="Ours follows.", actor=finance, now=now)
    post(session, Leg(debit=STRIPE, credit="equity:test", amount=97_10))
    reconciliation.meet(session, "stripe")
    assert explanations.overtaken(session, reconciliation.differences(session)) == [made]
    with pytest.raises(Changed, match="outside and ledger agree about it by now"):
        explanations.decide(session, made.id, confirm=True, actor=second, now=now)
    explanations.decide(session, made.id, confirm=False, actor=second, now=now)
    assert explanations.overtaken(session, []) == []
    with pytest.raises(NotFound, match="Nothing differs there"):
        explanations.explain(session, Subject.OUTSIDE_MOVEMENT, movement.id, text="t", actor=finance, now=now)


def test_one_entry_that_two_places_do_not_know_is_explained_for_each(
    session: Session, movement: OutsideMovement, finance: Person, second: Person, now: datetime
) -> None:
    entry = post(session, Leg(debit=BANK, credit=STRIPE, amount=60_00))
    with pytest.raises(Changed, match="Say which difference it is about"):
        explanations.explain(session, Subject.ENTRY, entry.id, text="On its way.", actor=finance, now=now)
    seen = Money(60_00, "USD")
    made = explanations.explain(session, Subject.ENTRY, entry.id, text="On its way.", money=seen, actor=finance, now=now)
    with pytest.raises(AlreadyExplained):
        explanations.explain(session, Subject.ENTRY, entry.id, text="Again.", money=seen, actor=second, now=now)
    known = {each.money.amount_minor: each for each in reconciliation.differences(session) if each.subject is Subject.ENTRY}
    assert (known[60_00].explanation, known[-60_00].explanation, known[-60_00].stale) == (made, None, None)


def test_a_month_is_closed_when_every_list_was_read_since_it_ended(
    session: Session, finance: Person, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_feeds", [lambda: [List()]])
    with pytest.raises(NotReadSince, match=r"Stripe was never read: ask the providers now, under Reconciliation\."):
        months.close(session, OCTOBER, actor=finance, now=now)
    readings.note_feed(session, "stripe", at=datetime(2026, 10, 31, 23, 59, tzinfo=UTC))
    with pytest.raises(NotReadSince, match="Stripe was last read on 31 Oct 2026"):
        months.close(session, OCTOBER, actor=finance, now=now)
    readings.note_feed(session, "stripe", at=datetime(2026, 11, 1, tzinfo=UTC))
    readings.note_feed(session, "stripe", at=datetime(2026, 10, 1, tzinfo=UTC))
    months.close(session, OCTOBER, actor=finance, now=now)


def test_a_month_is_closed_when_every_account_with_statements_was_read_since(
    session: Session, account: BankAccount, finance: Person, now: datetime
) -> None:
    statements.add_account(session, name="Never used", number="DE1234", currency="EUR", actor=finance, now=now)

    def read(day: str, name: str, at: datetime) -> None:
        statements.take(session, camt([Ntry("5.00", f"of {day}", day=day)], name=name), name="x.xml", actor=finance, now=at)

    older, newest = ("2026-09-01", "2026-36"), ("2026-09-30", "2026-39")
    read(*newest, datetime(2026, 9, 30, 18, tzinfo=UTC))
    with pytest.raises(NotReadSince, match="of “Main account” were last read on 30 Sep 2026: read the newest one"):
        months.close(session, OCTOBER, actor=finance, now=now)
    read(*older, now)
    with pytest.raises(NotReadSince, match="last read on 30 Sep 2026"):
        months.close(session, OCTOBER, actor=finance, now=now)
    read(*newest, now)
    with pytest.raises(DifferencesOpen):
        months.close(session, OCTOBER, actor=finance, now=now)


def test_a_list_counts_as_read_only_when_it_was(fresh_database: str, monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    engine = create_engine(fresh_database)
    monkeypatch.setattr(tasks, "session_scope", sessionmaker(engine).begin)
    monkeypatch.setattr(feeds, "_feeds", [lambda: [List()]])
    with pytest.raises(FeedUnreachable):
        tasks.read(List(reachable=False), now=now)
    with Session(engine) as session:
        assert readings.unread(session, since=date(2026, 11, 1))
    tasks.read(List(), now=now)
    with Session(engine) as session:
        assert readings.unread(session, since=date(2026, 11, 1)) == []
    engine.dispose()


def test_what_was_explained_before_is_bound_where_that_can_be_known(empty_database: str, now: datetime) -> None:
    engine = create_engine(empty_database)
    upgrade(engine)
    with Session(engine) as session, session.begin():
        who = Person(id=new_id(), email="fatima@example.org", name="Fatima", created_at=now)
        session.add(who)
        for code in (BANK, STRIPE, "equity:test"):
            ledger.ensure_account(session, code, "USD", normal=ledger.Side.DEBIT)
        seen = [Seen(f"txn_{number}", "charge", now, Money(5_00, "USD")) for number in (1, 2)]
        reconciliation.take(session, "stripe", seen, now=now)
        waits, met = session.query(OutsideMovement).order_by(OutsideMovement.remote_id)
        one = ledger.post(session, key="1", kind="t", legs=[Leg(debit="equity:test", credit=BANK, amount=7_00)], at=now)
        both = ledger.post(session, key="2", kind="t", legs=[Leg(debit=BANK, credit=STRIPE, amount=8_00)], at=now)
        met.entry_id = both.id
        about = [(Subject.OUTSIDE_MOVEMENT, waits.id), (Subject.OUTSIDE_MOVEMENT, met.id), (Subject.ENTRY, one.id),
                 (Subject.ENTRY, both.id)]  # fmt: skip
        session.flush()
        session.add_all(
            Explanation(id=new_id(), subject=subject, subject_id=row, text="t", proposed_by_id=who.id, proposed_at=now)
            for subject, row in about
        )
    downgrade(engine, "0022_host_orders")
    upgrade(engine)
    with engine.connect() as connection:
        rows = {
            row.subject_id: (row.side, row.amount_minor, row.currency)
            for row in connection.execute(text("SELECT subject_id, side, amount_minor, currency FROM books_explanation"))
        }
        read = connection.execute(text("SELECT provider, read_at FROM books_feed_reading")).all()
    engine.dispose()
    known = [rows[row] for _, row in about]
    assert known == [("missing_here", 5_00, "USD"), (None,) * 3, ("missing_there", -7_00, "USD"), (None,) * 3]
    assert read == [("stripe", now)]


def test_the_pages_say_what_has_changed_and_what_was_not_read(
    client: Client, session: Session, movement: OutsideMovement, finance: Person, second: Person,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    now = utc_now()
    monkeypatch.setattr(feeds, "_feeds", [lambda: [List()]])
    client.sign_in(finance)
    assert "Stripe was never read" in client.get("/books/months").words
    old_page = client.get("/books/reconciliation")
    client.submit(old_page, "Explain", text="Ours follows.")
    made = session.query(Explanation).one()
    assert (made.side, made.money) == (Side.MISSING_HERE, Money(97_10, "USD"))
    post(session, Leg(debit=STRIPE, credit="equity:test", amount=100_00))
    reconciliation.meet(session, "stripe")
    page = client.get("/books/reconciliation")
    assert "Explanations of what has changed" in page.words
    assert "about +$97.10 missing here. It does not explain this." in page.words
    refused = client.submit(old_page, "Explain", text="Ours follows.")
    assert refused.status == 409
    assert refused.problems == ["Say which difference it is about: different, -2.90 USD (stripe)."]
    client.sign_in(second)
    page = client.submit(client.get("/books/reconciliation"), "Turn down", follow=True)
    assert "Explanations of what has changed" not in page.words
    readings.note_feed(session, "stripe", at=now - timedelta(seconds=1))
    assert "Stripe was never read" not in client.get("/books/months").words
