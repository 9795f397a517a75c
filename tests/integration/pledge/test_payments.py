"""Entering and correcting payments."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from core.audit import history
from core.errors import InvalidInput, NotAllowed, NotFound
from core.identity.models import Person
from core.money import Money
from pledge import queries
from pledge.models import InKindKind, Pledge, PledgePayment, PledgeRule
from pledge.policies.payments import RULES, Promised
from pledge.services import payments, periods
from pledge.services.payments import PaymentInput
from pledge.services.periods import PeriodExists

Given = Callable[..., PaymentInput]


def test_the_year_is_met_to_the_cent(session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime) -> None:
    payments.record(session, pledge, given("27999.99"), actor=editor, now=now)
    assert not queries.year_figures(session, pledge).standing.met
    payments.record(session, pledge, given("0.01", payee="Django"), actor=editor, now=now)
    figures = queries.year_figures(session, pledge)
    assert figures.standing.met
    assert figures.standing.short_by == Money(0, "USD")
    assert figures.concentration is not None
    assert figures.concentration.payee == "curl"


@pytest.mark.parametrize("rule", list(PledgeRule))
def test_only_what_its_rule_lets_count_counts(
    session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime, rule: PledgeRule
) -> None:
    payment = payments.record(session, pledge, given(rule=rule), actor=editor, now=now)
    figures = queries.year_figures(session, pledge)
    assert payment.eligible is RULES[rule].counts
    assert payment.reason == RULES[rule].because
    assert figures.standing.paid == (payment.money if payment.eligible else Money(0, "USD"))
    assert figures.not_counted == (Money(0, "USD") if payment.eligible else payment.money)


def test_promised_money_is_refused_with_a_sentence(
    session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime
) -> None:
    with pytest.raises(Promised, match="money promised does not count"):
        payments.record(session, pledge, given(paid_on=date(2026, 11, 3)), actor=editor, now=now)
    payments.record(session, pledge, given(paid_on=now.date()), actor=editor, now=now)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"evidence_url": None}, "a link or a file"),
        ({"payee": "  "}, "Name who received it"),
        ({"project": ""}, "Name the project"),
        ({"amount": "0"}, "above zero"),
        ({"amount": "-5"}, "above zero"),
        ({"paid_on": date(2025, 12, 31)}, "outside of the period 2026"),
        ({"currency": "EUR"}, "give the rate of the day, USD for 1 EUR"),
        ({"rate": Decimal("1.1"), "rate_source": "ECB"}, "leave the rate empty"),
        ({"currency": "EUR", "rate": Decimal("1.1")}, "where the rate comes from"),
    ],
)
def test_what_is_missing_is_said(
    session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime, other: dict[str, object], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        payments.record(session, pledge, given(**other), actor=editor, now=now)
    assert session.scalar(select(func.count()).select_from(PledgePayment)) == 0


def test_a_payment_in_another_currency_is_converted_once_at_its_own_rate(
    session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime
) -> None:
    rate = {"rate": Decimal("1.08125"), "rate_source": "ECB, 2026-03-01"}
    payment = payments.record(session, pledge, given("1000.01", "EUR", **rate), actor=editor, now=now)
    assert payment.counted_minor == 108126  # 1081.2608125
    yen = payments.record(
        session, pledge, given("1000000", "JPY", rate=Decimal("0.0066"), rate_source="ECB"), actor=editor, now=now
    )
    assert yen.counted_minor == 6_600_00


def test_a_correction_keeps_the_old_row_with_its_reason(
    session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime
) -> None:
    old = payments.record(session, pledge, given("10000"), actor=editor, now=now)
    new = payments.correct(
        session, pledge, old.id, given("9000", evidence_url=None), why="The bank kept a fee.", actor=editor, now=now
    )
    assert new.evidence_url == old.evidence_url
    assert queries.year_figures(session, pledge).standing.paid == Money(9_000_00, "USD")
    (kept,) = queries.superseded_payments(session, pledge)
    assert (kept.id, kept.superseded_by_id, kept.superseded_reason) == (old.id, new.id, "The bank kept a fee.")
    assert [event.verb for event in history(session, new)] == ["payment.corrected"]


def test_a_payment_that_was_corrected_meanwhile_can_not_be_corrected_again(
    session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime
) -> None:
    old = payments.record(session, pledge, given(), actor=editor, now=now)
    payments.strike_out(session, pledge, old.id, why="Entered twice.", actor=editor, now=now)
    with pytest.raises(NotFound, match="somebody corrected it"):
        payments.correct(session, pledge, old.id, given(), why="Again.", actor=editor, now=now)
    with pytest.raises(InvalidInput, match="Say why"):
        payments.strike_out(session, pledge, old.id, why=" ", actor=editor, now=now)


def test_help_in_kind_is_shown_and_never_counts(session: Session, pledge: Pledge, editor: Person, now: datetime) -> None:
    row = payments.record_in_kind(
        session,
        pledge,
        kind=InKindKind.TIME,
        description="2,000 hours on urllib3",
        value=Money.parse("200000", "USD"),
        actor=editor,
        now=now,
    )
    assert not queries.year_figures(session, pledge).standing.paid
    assert [entry.id for entry in queries.in_kind_of(session, pledge.member, "2026")] == [row.id]
    payments.strike_out_in_kind(session, pledge, row.id, why="It was 200 hours.", actor=editor, now=now)
    assert queries.in_kind_of(session, pledge.member, "2026") == []


def test_somebody_else_s_pledge_is_not_to_be_changed(
    session: Session, pledge: Pledge, given: Given, stranger: Person, now: datetime
) -> None:
    with pytest.raises(NotAllowed, match="pledge editor"):
        payments.record(session, pledge, given(), actor=stranger, now=now)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE pledge_payment SET amount_minor = 1",
        "UPDATE pledge_payment SET superseded_at = now(), superseded_reason = 'x', counted_minor = 1",
        "DELETE FROM pledge_payment",
        "TRUNCATE pledge_payment",
        "UPDATE pledge_minimum SET amount_minor = 1",
        "DELETE FROM pledge_minimum",
        "UPDATE pledge_renewal_rule SET grace_months = 99",
    ],
)
def test_the_database_refuses_to_forget(
    session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime, change: str
) -> None:
    payments.record(session, pledge, given(), actor=editor, now=now)
    session.flush()
    with pytest.raises(DBAPIError, match="refused"):
        session.execute(text(change))


def test_a_superseded_row_stays_superseded(session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime) -> None:
    row = payments.record(session, pledge, given(), actor=editor, now=now)
    payments.strike_out(session, pledge, row.id, why="Twice.", actor=editor, now=now)
    session.flush()
    with pytest.raises(DBAPIError, match="corrected by new rows"):
        session.execute(update(PledgePayment).values(superseded_at=None, superseded_reason=None))


@pytest.mark.parametrize(
    ("column", "value", "constraint"),
    [
        ("amount_minor", 0, "amount_positive"),
        ("evidence_url", None, "evidence"),
        ("reason", " ", "reason"),
        ("rate", Decimal("1.1"), "rate_with_source"),
        ("counted_minor", -1, "counted"),
    ],
)
def test_the_database_holds_the_rules_too(
    session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime, column: str, value: object, constraint: str
) -> None:
    row = payments.make(pledge, given(), entered_by_id=editor.id, now=now)
    setattr(row, column, value)
    session.add(row)
    with pytest.raises(IntegrityError, match=f"ck_pledge_payment_{constraint}"):
        session.flush()


def test_a_day_belongs_to_one_period(session: Session, pledge: Pledge, editor: Person, now: datetime) -> None:
    for label, starts_on, ends_on, says in [
        ("2026", date(2027, 1, 1), date(2027, 12, 31), "is there already"),
        ("FY 2026", date(2026, 12, 31), date(2027, 12, 30), "has days of this one"),
        ("2027", date(2027, 12, 31), date(2027, 1, 1), "ends .* before it starts"),
        ("2027", date(2027, 1, 1), date(2029, 1, 1), "longer than a year and a half"),
        ("../x", date(2027, 1, 1), date(2027, 12, 31), "Call the period by its year"),
    ]:
        with pytest.raises((PeriodExists, InvalidInput), match=says):
            periods.open_period(
                session, pledge.member, label=label, starts_on=starts_on, ends_on=ends_on,
                developers=Decimal(1), actor=editor, now=now,
            )  # fmt: skip


def test_correcting_the_developers_keeps_the_old_number_in_the_history(
    session: Session, pledge: Pledge, editor: Person, now: datetime
) -> None:
    periods.correct_developers(session, pledge, developers=Decimal("15.5"), reason="Payroll was late.", actor=editor, now=now)
    event = history(session, pledge)[0]
    assert (event.verb, event.reason) == ("pledge.developers_corrected", "Payroll was late.")
    assert event.details == {"before": "14", "after": "15.5"}
    assert queries.year_figures(session, pledge).standing.required == Money(31_000_00, "USD")


def test_deleting_through_the_session_is_refused_as_well(
    session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime
) -> None:
    payments.record(session, pledge, given(), actor=editor, now=now)
    session.flush()
    with pytest.raises(DBAPIError, match="append-only"):
        session.execute(delete(PledgePayment))


def test_ten_thousand_payments_are_paged_without_gaps(
    session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime
) -> None:
    session.add_all(
        payments.make(pledge, given("1.00", payee=f"Payee {i % 100}"), entered_by_id=editor.id, now=now) for i in range(10_000)
    )
    session.flush()
    assert queries.year_figures(session, pledge).standing.paid == Money(10_000_00, "USD")
    seen, after = set(), None
    while page := queries.payments_of(session, pledge, after=after, limit=500):
        seen |= {row.id for row in page}
        after = (page[-1].paid_on, page[-1].id)
    assert len(seen) == 10_000
