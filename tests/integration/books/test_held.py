"""What a provider holds and no list explains keeps a month open until it is found, or explained by two people."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy.orm import Session
from web_client import Client

from core import ledger
from core.books import balances, explanations, held, months, reconciliation
from core.books.explanations import Changed
from core.books.feeds import Seen
from core.books.models import Side, Subject
from core.books.months import DifferencesOpen
from core.books.reconciliation import Item
from core.clock import utc_now
from core.identity.models import Person
from core.ledger import Leg
from core.money import Money

STRIPE = "assets:rail:stripe:usd"
OCTOBER = date(2026, 10, 1)


def says(session: Session, cents: int, at: datetime) -> None:
    """Stripe says that it holds so much; the ledger has nothing there."""
    balances.keep(session, "stripe", [Money(cents, "USD")], now=at)


def rests(session: Session) -> list[Item]:
    return [each for each in reconciliation.differences(session) if each.subject is Subject.PROVIDER_BALANCE]


def explain(session: Session, first: Person, second: Person, now: datetime) -> None:
    (item,) = rests(session)
    made = explanations.explain(session, item.subject, item.subject_id, text="Stripe is asked.", actor=first, now=now)
    assert not rests(session)[0].is_explained, "one person's word is not enough"
    explanations.decide(session, made.id, confirm=True, actor=second, now=now)


def test_a_month_is_not_closed_with_it_until_two_people_explain_it(
    session: Session, finance: Person, second: Person, now: datetime
) -> None:
    says(session, 7_00, now)
    (item,) = rests(session)
    assert (item.side, item.money, item.where) == (Side.DIFFERENT, Money(7_00, "USD"), "stripe")
    with pytest.raises(DifferencesOpen, match=r"Stripe says it holds 7\.00 USD; the ledger has 0\.00 USD .* Ask the providers"):
        months.close(session, OCTOBER, actor=finance, now=now)
    explain(session, finance, second, now)
    assert months.close(session, OCTOBER, actor=finance, now=now).explained == 1


def test_what_was_said_of_it_holds_while_the_amount_does(
    session: Session, finance: Person, second: Person, now: datetime
) -> None:
    says(session, 7_00, now)
    explain(session, finance, second, now)
    tomorrow = now + timedelta(days=1)
    says(session, 7_00, tomorrow)
    assert [each.is_explained for each in rests(session)] == [True]
    says(session, 7_01, tomorrow)
    (item,) = rests(session)
    assert (item.is_explained, item.stale is not None, item.on) == (False, True, now.date())
    with pytest.raises(DifferencesOpen):
        months.close(session, OCTOBER, actor=finance, now=tomorrow)
    made = explanations.explain(session, item.subject, item.subject_id, text="One cent.", actor=finance, now=tomorrow)
    says(session, 7_02, tomorrow)
    with pytest.raises(Changed):
        explanations.decide(session, made.id, confirm=True, actor=second, now=tomorrow)


def test_what_was_said_of_it_ends_when_all_agrees(
    client: Client, session: Session, finance: Person, second: Person, now: datetime
) -> None:
    """The same amount is missing again months later: that is another movement, which nobody has looked at."""
    for days, cents in enumerate((0, -1_00)):
        says(session, cents, now + timedelta(days=days))
    explain(session, finance, second, now)
    says(session, -1_00, now + timedelta(days=2))
    assert [each.is_explained for each in rests(session)] == [True]
    client.sign_in(finance)
    assert "$1.00 explained by two people" in client.get("/books/reconciliation").words.replace("−", "")
    for days, cents in ((3, 0), (90, -1_00)):
        says(session, cents, now + timedelta(days=days))
    assert [(each.money, each.is_explained) for each in rests(session)] == [(Money(-1_00, "USD"), False)]
    assert "explained by two people" not in client.get("/books/reconciliation").words
    with pytest.raises(DifferencesOpen):
        months.close(session, date(2027, 1, 1), actor=finance, now=now + timedelta(days=120))
    explain(session, second, finance, now + timedelta(days=90))
    assert [each.is_explained for each in rests(session)] == [True], "it can be explained anew"


def test_a_balance_that_nobody_names_any_more_leaves_no_rest(session: Session, finance: Person, now: datetime) -> None:
    """The provider told of 7 euros once, for which there was no movement. Then it told of no euros at all."""
    balances.keep(session, "stripe", [Money(7_00, "EUR"), Money(0, "USD")], now=now)
    assert [each.money for each in rests(session)] == [Money(7_00, "EUR")]
    later = now + timedelta(days=1)
    balances.keep(session, "stripe", [Money(0, "USD")], now=later)
    assert rests(session) == []
    assert [each for each in held.latest(session) if each.currency == "EUR"] == []
    months.close(session, OCTOBER, actor=finance, now=later)


def test_it_is_gone_when_its_movement_is_told_or_booked(session: Session, finance: Person, now: datetime) -> None:
    says(session, 7_00, now)
    at = datetime(2026, 11, 2, tzinfo=UTC)
    reconciliation.take(session, "stripe", [Seen("txn_1", "charge", at, Money(7_00, "USD"))], now=now)
    says(session, 7_00, now)
    assert rests(session) == []
    assert [each.subject for each in reconciliation.differences(session)] == [Subject.OUTSIDE_MOVEMENT]
    for code in (STRIPE, "equity:test"):
        ledger.ensure_account(session, code, "USD", normal=ledger.Side.DEBIT)
    refs = {"rail": "stripe", "balance_transaction": "txn_1"}
    ledger.post(session, key="k", kind="t", legs=[Leg(debit=STRIPE, credit="equity:test", amount=7_00)], at=at, refs=refs)
    reconciliation.meet(session, "stripe")
    says(session, 7_00, now)
    assert reconciliation.differences(session) == []
    months.close(session, OCTOBER, actor=finance, now=now)


def test_what_came_after_all_had_agreed_is_of_a_later_month(session: Session, finance: Person, now: datetime) -> None:
    says(session, 0, datetime(2026, 11, 1, 0, 30, tzinfo=UTC))
    says(session, 7_00, now)
    assert [each.agreed_at for each in held.rests(session)] == [datetime(2026, 11, 1, 0, 30, tzinfo=UTC)]
    months.close(session, OCTOBER, actor=finance, now=now)
    with pytest.raises(DifferencesOpen):
        months.close(session, date(2026, 11, 1), actor=finance, now=datetime(2026, 12, 1, 9, tzinfo=UTC))


def test_a_balance_of_nothing_that_the_lists_say_is_something_counts_too(session: Session, now: datetime) -> None:
    reconciliation.take(session, "stripe", [Seen("txn_1", "charge", now, Money(7_00, "USD"))], now=now)
    says(session, 0, now)
    assert [each.money for each in rests(session)] == [Money(-7_00, "USD")]


def test_the_pages_say_what_stands_in_the_way_and_take_the_explanation(
    client: Client, session: Session, finance: Person, second: Person
) -> None:
    says(session, 7_00, utc_now().replace(day=1) - timedelta(days=1))
    client.sign_in(finance, fresh_factor=True)
    page = client.get("/books/months")
    assert "$7.00 that no list explains" in page.words.replace("+", "")
    assert "The month can’t be closed with it." in page.words
    refused = client.submit(page, "Close month")
    assert (refused.status, "look for it on their own pages" in refused.problems[0]) == (409, True)
    client.submit(client.get("/books/reconciliation?list=different"), "Explain", text="Stripe is asked.")
    client.sign_in(second, fresh_factor=True)
    page = client.submit(client.get("/books/reconciliation"), "Confirm", follow=True)
    assert "$7.00 explained by two people" in page.words
    page = client.submit(client.get("/books/months"), "Close month", follow=True)
    assert "Nothing is posted into it or before it any more" in page.words
