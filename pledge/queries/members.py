"""Reads of members: one, many by where they stand, and what reminds them."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.identity.models import Organisation
from pledge.models import (
    AnnualReport,
    PledgeMember,
    Reminder,
    RenewalRule,
)
from pledge.policies.membership import Renewal, renewal, rule_on
from pledge.queries.rules import renewal_rules


def member_by_slug(session: Session, slug: str) -> PledgeMember:
    """The member whose organisation has this slug.

    Raises:
        NotFound: no such organisation, or it never pledged.
    """
    found = session.scalars(select(PledgeMember).join(PledgeMember.organisation).where(Organisation.slug == slug)).first()
    if found is None:
        raise NotFound(f"There is no company “{slug}” in the pledge; /pledges lists those there are.")
    return found


def member_of_organisation(session: Session, organisation_id: UUID) -> PledgeMember | None:
    """The membership of an organisation, if it ever pledged."""
    return session.scalars(select(PledgeMember).where(PledgeMember.organisation_id == organisation_id)).first()


def locked_member(session: Session, member_id: UUID) -> PledgeMember:
    """The member, locked until the end of the transaction: everything that moves its state goes through here.

    Raises:
        NotFound: no such member.
    """
    found = session.get(PledgeMember, member_id, with_for_update={"of": PledgeMember}, populate_existing=True)
    if found is None:
        raise NotFound("There is no such member.")
    return found


def reports_of(session: Session, member: PledgeMember) -> Sequence[AnnualReport]:
    """The reports of a member that stand, newest first."""
    return session.scalars(
        select(AnnualReport)
        .where(AnnualReport.member_id == member.id, AnnualReport.superseded_at.is_(None))
        .order_by(AnnualReport.report_on.desc(), AnnualReport.year.desc())
    ).all()


def latest_report_of(session: Session, members: Sequence[PledgeMember]) -> dict[UUID, AnnualReport]:
    """The latest report of each of these members that has one."""
    rows = session.scalars(
        select(AnnualReport)
        .where(AnnualReport.member_id.in_([member.id for member in members]), AnnualReport.superseded_at.is_(None))
        .ext(distinct_on(AnnualReport.member_id))
        .order_by(AnnualReport.member_id, AnnualReport.report_on.desc(), AnnualReport.year.desc())
    )
    return {report.member_id: report for report in rows}


def renewal_of(session: Session, member: PledgeMember, *, on: date) -> Renewal | None:
    """The renewal dates of a member as of a day, with its exception for the coming due day; none without a report."""
    latest = session.scalar(
        select(func.max(AnnualReport.report_on)).where(
            AnnualReport.member_id == member.id, AnnualReport.superseded_at.is_(None), AnnualReport.report_on <= on
        )
    )
    return renewal_from(member, latest, renewal_rules(session)) if latest else None


def renewal_from(member: PledgeMember, latest: date, rules: Sequence[RenewalRule]) -> Renewal:
    """The renewal dates that follow from a latest report, exceptions considered."""
    rule = rule_on(rules, latest)
    plain = renewal(latest, rule)
    until = max((row.until_on for row in member.exceptions if row.due_on == plain.due_on), default=None)
    return renewal(latest, rule, exception_until=until) if until else plain


def open_reminders(session: Session, member: PledgeMember) -> Sequence[Reminder]:
    """Notices nobody has set aside, newest first."""
    return session.scalars(
        select(Reminder)
        .where(Reminder.member_id == member.id, Reminder.dismissed_at.is_(None))
        .order_by(Reminder.created_at.desc())
    ).all()


def members_by_status(session: Session, *conditions: ColumnElement[bool]) -> Sequence[PledgeMember]:
    """Members under some condition, in the order in which they came."""
    return session.scalars(select(PledgeMember).where(*conditions).order_by(PledgeMember.created_at, PledgeMember.id)).all()


def latest_reports(session: Session, *, on: date) -> dict[UUID, date]:
    """Every member's latest report day, as of a day."""
    rows = session.execute(
        select(AnnualReport.member_id, func.max(AnnualReport.report_on))
        .where(AnnualReport.superseded_at.is_(None), AnnualReport.report_on <= on)
        .group_by(AnnualReport.member_id)
    ).all()
    return {row[0]: row[1] for row in rows}
