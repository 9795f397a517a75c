"""A provider's own small fees are booked from its list by themselves; a large one, or many small ones, wait for a person."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from core import audit, ledger
from core.books import explanations, movements, reconciliation, tasks
from core.books.feeds import Seen
from core.books.models import OutsideMovement, Subject
from core.identity.models import Person
from core.ledger import Guard, Leg
from core.money import Money

STRIPE, FEES = "assets:rail:stripe:usd", "expenses:fees:stripe:usd"


@pytest.fixture(autouse=True)
def there(session: Session, now: datetime) -> None:
    """$1,000.00 at Stripe, told by both."""
    ledger.ensure_account(session, STRIPE, "USD", normal=ledger.Side.DEBIT, guard=Guard.DEBIT)
    ledger.ensure_account(session, "equity:test", "USD", normal=ledger.Side.CREDIT)
    refs = {"rail": "stripe", "balance_transaction": "txn_in"}
    ledger.post(session, key="in", kind="t", legs=[Leg(debit=STRIPE, credit="equity:test", amount=1_000_00)], at=now, refs=refs)
    listed(session, "txn_in", "1000", now, kind="charge")


def listed(session: Session, txn: str, amount: str, now: datetime, *, kind: str = "stripe_fee", currency: str = "USD") -> int:
    """Stripe's list has one more movement, and is read; how many met an entry."""
    return tasks.keep(session, "stripe", [Seen(txn, kind, now, Money.parse(amount, currency))], now=now)[1]


def booked(session: Session) -> int:
    return sum(each.posted for each in ledger.balances(session, FEES))


def waiting(session: Session) -> list[str]:
    return [each.what.split()[-1] for each in reconciliation.differences(session)]


def test_a_small_fee_is_booked_without_anybody(session: Session, now: datetime) -> None:
    assert listed(session, "txn_fee", "-20", now) == 1
    assert listed(session, "txn_tax", "-3.80", now, kind="tax_fee") == 1
    assert listed(session, "txn_back", "1.00", now) == 1
    assert (booked(session), waiting(session)) == (22_80, [])
    row = session.query(OutsideMovement).filter_by(remote_id="txn_fee").one()
    (event,) = audit.history(session, row)
    assert (event.verb, event.actor_id, event.details["amount_minor"]) == ("outside_movement.fee_booked", None, 20_00)
    assert listed(session, "txn_fee", "-20", now) == 0
    assert booked(session) == 22_80, "reading the list again books nothing again"


def test_a_large_one_and_many_small_ones_wait_for_a_person(session: Session, finance: Person, now: datetime) -> None:
    listed(session, "txn_1", "-100.01", now)
    assert (booked(session), waiting(session)) == (0, ["txn_1"])
    for number in (2, 3):
        listed(session, f"txn_{number}", "-60", now)
    assert (booked(session), waiting(session)) == (60_00, ["txn_1", "txn_3"])
    listed(session, "txn_4", "-40", now)
    assert booked(session) == 100_00, "what still fits is booked"
    large = session.query(OutsideMovement).filter_by(remote_id="txn_1").one()
    movements.book(session, large.id, actor=finance, now=now)
    assert waiting(session) == ["txn_3"]
    listed(session, "txn_5", "-1", now + timedelta(days=31))
    assert waiting(session) == [], "after 30 days there is room again, for what waited too"


def test_a_currency_without_a_limit_and_kinds_that_say_less_wait(session: Session, now: datetime) -> None:
    ledger.ensure_account(session, "assets:rail:stripe:gbp", "GBP", normal=ledger.Side.DEBIT)
    listed(session, "txn_1", "-1", now, currency="GBP")
    listed(session, "txn_2", "-1", now, kind="stripe_fx_fee")
    listed(session, "txn_3", "-1", now, kind="adjustment")
    assert waiting(session) == ["txn_1", "txn_2", "txn_3"]


def test_what_people_explained_stays_with_them(session: Session, finance: Person, now: datetime) -> None:
    reconciliation.take(session, "stripe", [Seen("txn_1", "stripe_fee", now, Money(-1_00, "USD"))], now=now)
    row = session.query(OutsideMovement).filter_by(remote_id="txn_1").one()
    made = explanations.explain(session, Subject.OUTSIDE_MOVEMENT, row.id, text="Stripe gives it back.", actor=finance, now=now)
    tasks.keep(session, "stripe", [], now=now)
    assert booked(session) == 0
    explanations.decide(session, made.id, confirm=False, actor=finance, now=now)
    tasks.keep(session, "stripe", [], now=now)
    assert booked(session) == 1_00


def test_more_than_the_ledger_has_there_waits_until_it_has(session: Session, now: datetime) -> None:
    ledger.post(session, key="out", kind="t", legs=[Leg(debit="equity:test", credit=STRIPE, amount=1_000_00)], at=now)
    listed(session, "txn_1", "-1", now)
    assert booked(session) == 0
    ledger.post(session, key="in2", kind="t", legs=[Leg(debit=STRIPE, credit="equity:test", amount=1_00)], at=now)
    tasks.keep(session, "stripe", [], now=now)
    assert booked(session) == 1_00
