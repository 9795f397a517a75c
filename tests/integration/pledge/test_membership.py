"""Applying, publishing, renewing, lapsing, leaving."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import audit
from core.errors import IllegalTransition, InvalidInput, NotAllowed
from core.identity.models import Person
from core.money import Money
from pledge import queries
from pledge.models import AnnualReport, MembershipStatus, Pledge, PledgeMember, Reminder
from pledge.services import membership, payments, reports
from pledge.services.membership import AlreadyMember, ReasonNeeded, TooLateForException
from pledge.services.payments import PaymentInput
from pledge.services.reports import NotCheckedYet, NothingPaid

Given = Callable[..., PaymentInput]
URL = "https://acme.example/2026"


def at(day: date) -> datetime:
    return datetime.combine(day, time(2), UTC)


def clock(session: Session, day: date) -> tuple[int, int]:
    return membership.run_clock(session, on=day, now=at(day))


@pytest.fixture
def published(session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime) -> AnnualReport:
    """The report of 2026, published on 2026-10-01: due 2027-10-01."""
    payments.record(session, pledge, given("30000"), actor=editor, now=now)
    return reports.publish(session, pledge, url=URL, declared=None, report_on=date(2026, 10, 1), actor=editor, now=now)


def test_the_first_report_makes_a_checked_member_active(session: Session, published: AnnualReport, member: PledgeMember) -> None:
    assert (member.status, member.listed, member.due_on) == (MembershipStatus.ACTIVE, True, date(2027, 10, 1))
    assert published.itemised == published.declared == Money(30_000_00, "USD")


def test_a_declared_sum_stays_beside_the_itemised_one(
    session: Session, pledge: Pledge, given: Given, editor: Person, now: datetime
) -> None:
    payments.record(session, pledge, given("20000"), actor=editor, now=now)
    report = reports.publish(
        session, pledge, url=URL, declared=Money.parse("30000", "USD"), report_on=now.date(), actor=editor, now=now
    )
    assert (report.declared, report.itemised) == (Money(30_000_00, "USD"), Money(20_000_00, "USD"))


def test_a_corrected_report_keeps_the_first_date_and_the_old_words(
    session: Session, published: AnnualReport, pledge: Pledge, given: Given, editor: Person, now: datetime
) -> None:
    payments.record(session, pledge, given("500"), actor=editor, now=now)
    with pytest.raises(InvalidInput, match="Say what is corrected"):
        reports.publish(session, pledge, url=URL, declared=None, report_on=now.date(), actor=editor, now=now)
    new = reports.publish(
        session, pledge, url=URL, declared=None, report_on=now.date(), why="One payment was missing.", actor=editor, now=now
    )
    assert (new.report_on, new.declared) == (published.report_on, Money(30_500_00, "USD"))
    assert published.superseded_reason == "One payment was missing."
    assert queries.reports_of(session, pledge.member) == [new]


def test_one_period_has_one_report(session: Session, published: AnnualReport, now: datetime) -> None:
    columns = {c.name: getattr(published, c.name) for c in AnnualReport.__table__.columns if c.name != "id"}
    session.add(AnnualReport(**columns | {"report_on": date(2026, 10, 2)}))
    with pytest.raises(IntegrityError, match="uq_pledge_report_period"):
        session.flush()


def test_nothing_is_published_before_somebody_looked_or_paid(
    session: Session, pledge: Pledge, member: PledgeMember, editor: Person, now: datetime
) -> None:
    with pytest.raises(NothingPaid):
        reports.publish(session, pledge, url=URL, declared=None, report_on=now.date(), actor=editor, now=now)
    with pytest.raises(InvalidInput, match="in the future"):
        reports.publish(session, pledge, url=URL, declared=Money(1, "USD"), report_on=date(2027, 1, 1), actor=editor, now=now)
    member.status = MembershipStatus.APPLIED
    with pytest.raises(NotCheckedYet, match="programme officer looks"):
        reports.publish(session, pledge, url=URL, declared=None, report_on=now.date(), actor=editor, now=now)


def test_a_year_passes_state_by_state_with_every_reminder_once(
    session: Session, published: AnnualReport, member: PledgeMember
) -> None:
    due = date(2027, 10, 1)
    seen: dict[MembershipStatus, date] = {}
    for day in range(-70, 45):
        today = due + timedelta(days=day)
        clock(session, today)
        assert clock(session, today) == (0, 0), "a second run on the same day finds nothing to do"
        seen.setdefault(member.status, today)
    assert seen == {
        MembershipStatus.ACTIVE: due - timedelta(days=70),
        MembershipStatus.DUE_SOON: date(2027, 8, 1),
        MembershipStatus.OVERDUE: date(2027, 10, 2),
        MembershipStatus.LAPSED: date(2027, 11, 2),
    }
    assert not member.listed
    reminders = session.scalars(select(Reminder).order_by(Reminder.created_at)).all()
    assert [(row.offset_days, row.created_at.date()) for row in reminders] == [
        (days, due + timedelta(days=days)) for days in (-60, -30, -7, 0, 14)
    ]
    verbs = [event.verb for event in reversed(audit.history(session, member))]
    assert verbs.count("membership.reminded") == 5
    assert [verb for verb in verbs if verb != "membership.reminded"] == [
        "membership.activated", "membership.due_soon", "membership.overdue", "membership.lapsed",
    ]  # fmt: skip


def test_after_an_outage_every_state_is_passed_through_and_one_reminder_sent(
    session: Session, published: AnnualReport, member: PledgeMember
) -> None:
    assert clock(session, date(2027, 10, 20)) == (2, 1)
    assert (member.status, member.status_since) == (MembershipStatus.OVERDUE, date(2027, 10, 2))
    assert clock(session, date(2029, 1, 1)) == (1, 0)
    assert (member.status, member.status_since) == (MembershipStatus.LAPSED, date(2027, 11, 2))


def test_one_report_reinstates_a_lapsed_member(
    session: Session, published: AnnualReport, pledge: Pledge, member: PledgeMember, given: Given, editor: Person
) -> None:
    from decimal import Decimal

    from pledge.services import periods

    late = at(date(2027, 12, 1))
    clock(session, late.date())
    assert (member.status, member.listed) == (MembershipStatus.LAPSED, False)
    year = periods.open_period(
        session, member, label="2027", starts_on=date(2027, 1, 1), ends_on=date(2027, 12, 31),
        developers=Decimal(14), actor=editor, now=late,
    )  # fmt: skip
    payments.record(session, year, given("28000", paid_on=date(2027, 5, 1)), actor=editor, now=late)
    reports.publish(session, year, url=URL, declared=None, report_on=late.date(), actor=editor, now=late)
    assert (member.status, member.listed, member.due_on) == (MembershipStatus.ACTIVE, True, date(2028, 12, 1))


def test_a_leap_day_report_is_due_on_the_28th(
    session: Session, pledge: Pledge, member: PledgeMember, given: Given, editor: Person, now: datetime
) -> None:
    pledge.starts_on, pledge.ends_on = date(2023, 3, 1), date(2024, 2, 29)
    payments.record(session, pledge, given("28000", paid_on=date(2024, 2, 29)), actor=editor, now=now)
    moment = at(date(2024, 3, 1))
    reports.publish(session, pledge, url=URL, declared=None, report_on=date(2024, 2, 29), actor=editor, now=moment)
    clock(session, date(2025, 2, 28))
    assert (member.due_on, member.status) == (date(2025, 2, 28), MembershipStatus.DUE_SOON)
    clock(session, date(2025, 3, 28))
    assert member.status is MembershipStatus.OVERDUE
    clock(session, date(2025, 3, 29))
    assert member.status is MembershipStatus.LAPSED


def test_an_exception_gives_more_time_and_says_why(
    session: Session, published: AnnualReport, member: PledgeMember, officer: Person, stranger: Person
) -> None:
    moment = at(date(2027, 10, 15))
    clock(session, moment.date())
    for until_on, reason, error in [
        (date(2028, 1, 31), " ", ReasonNeeded),
        (date(2027, 11, 1), "Merger.", InvalidInput),
    ]:
        with pytest.raises(error):
            membership.grant_exception(session, member, until_on=until_on, reason=reason, actor=officer, now=moment)
    with pytest.raises(NotAllowed):
        membership.grant_exception(session, member, until_on=date(2028, 1, 31), reason="x", actor=stranger, now=moment)
    membership.grant_exception(session, member, until_on=date(2028, 1, 31), reason="Merger.", actor=officer, now=moment)
    session.flush()
    clock(session, date(2028, 1, 31))
    assert member.status is MembershipStatus.OVERDUE
    clock(session, date(2028, 2, 1))
    assert member.status is MembershipStatus.LAPSED
    with pytest.raises(TooLateForException, match="One report reinstates"):
        membership.grant_exception(
            session, member, until_on=date(2029, 1, 1), reason="More.", actor=officer, now=at(date(2028, 2, 2))
        )


def test_a_company_applies_is_checked_leaves_and_comes_back(
    session: Session, stranger: Person, officer: Person, now: datetime
) -> None:
    member = membership.apply(session, name="Größe & Söhne GmbH", url=None, applicant=stranger, now=now)
    assert (member.slug, member.status) == ("grosse-sohne-gmbh", MembershipStatus.APPLIED)
    with pytest.raises(AlreadyMember):
        membership.apply(session, name="größe & söhne gmbh", url=None, applicant=stranger, now=now)
    with pytest.raises(NotAllowed):
        membership.check(session, member, reason="I am fine.", actor=stranger, now=now)
    membership.check(session, member, reason="Its post names 14 developers.", actor=officer, now=now)
    assert member.status is MembershipStatus.CHECKED
    with pytest.raises(ReasonNeeded):
        membership.withdraw(session, member, reason="", actor=stranger, now=now)
    membership.withdraw(session, member, reason="We were bought.", actor=stranger, now=now)
    with pytest.raises(IllegalTransition):
        membership.check(session, member, reason="No.", actor=officer, now=now)
    membership.apply_again(session, member, actor=stranger, now=now)
    assert member.status is MembershipStatus.APPLIED


def test_reminders_are_shown_until_somebody_sets_them_aside(
    session: Session, published: AnnualReport, member: PledgeMember, editor: Person
) -> None:
    clock(session, date(2027, 8, 2))
    (reminder,) = queries.open_reminders(session, member)
    assert reminder.text == "The next annual report of Acme is due on 1 Oct 2027, in 60 days."
    assert membership.dismiss_reminders(session, member, actor=editor, now=at(date(2027, 8, 3))) == 1
    assert queries.open_reminders(session, member) == []
