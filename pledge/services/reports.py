"""Publishing what a company paid in a year."""

from datetime import date, datetime

from sqlalchemy.orm import Session

from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.identity import access
from core.identity.models import Person, Role
from core.money import Money
from pledge import queries
from pledge.models import AnnualReport, MemberOrigin, MembershipStatus, Pledge
from pledge.policies.payments import require_paid, require_plausible
from pledge.services import membership


class NotCheckedYet(DomainError):
    """A programme officer looks at an application before its first report is public."""

    code = "not_checked_yet"


class NothingPaid(DomainError):
    """A report says what was paid, so something was."""

    code = "nothing_paid"


def publish(
    session: Session,
    pledge: Pledge,
    *,
    url: str,
    declared: Money | None,
    report_on: date,
    why: str = "",
    actor: Person,
    now: datetime,
) -> AnnualReport:
    """Publish the report of a period, or a corrected one in its place.

    `declared` is the sum the company's own post says; left out, it is the itemised one. Both are kept, so that a difference
    stays visible. The membership is renewed from `report_on`; a correction keeps the first one's date.

    Raises:
        NotCheckedYet: the application was not checked yet, or the company left.
        NothingPaid: no payment counts and nothing was declared.
        InvalidInput: a date in the future, another currency, or a correction without its reason.
    """
    access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=pledge.member.organisation_id, on=now.date())
    member = queries.locked_member(session, pledge.member_id)
    pledge = queries.locked_pledge(session, pledge.id)
    if member.status in {MembershipStatus.APPLIED, MembershipStatus.WITHDRAWN}:
        raise NotCheckedYet(
            f"{member.name} can't publish yet: a programme officer looks at the application first."
            if member.status is MembershipStatus.APPLIED
            else f"{member.name} has left the pledge; apply again to publish."
        )
    require_paid(report_on, on=now.date())
    figures = queries.year_figures(session, pledge)
    itemised = figures.standing.paid
    declared = declared if declared is not None else itemised
    if declared.currency != pledge.currency:
        raise InvalidInput(f"Declare the sum in {pledge.currency}, like the period.", field="declared")
    require_plausible(declared, field="declared")
    if declared.amount_minor < 0:
        raise InvalidInput("The declared sum can't be negative.", field="declared")
    if not declared and not figures.counting:
        raise NothingPaid("Enter what was paid first: no payment of this period counts, and nothing is declared.")
    old = queries.report_of_pledge(session, pledge)
    if old is not None:
        if not why.strip():
            raise InvalidInput("Say what is corrected; the old report stays readable with this reason.", field="why")
        report_on = old.report_on
        old.superseded_at, old.superseded_reason = now, why.strip()
        session.flush()
    report = AnnualReport(
        id=new_id(),
        member_id=member.id,
        pledge_id=pledge.id,
        year=pledge.label,
        report_on=report_on,
        url=url,
        developers=pledge.developers,
        declared_minor=declared.amount_minor,
        currency=pledge.currency,
        itemised_minor=itemised.amount_minor,
        minimum_minor=pledge.minimum_minor,
        rules_version=pledge.rules_version,
        published_by_id=actor.id,
        published_at=now,
    )
    session.add(report)
    session.flush()
    audit.record(
        session,
        "report.corrected" if old is not None else "report.published",
        report,
        actor=actor,
        at=now,
        reason=why.strip() or None,
        declared=str(declared),
        itemised=str(itemised),
    )
    # From now on the company keeps its figures itself, wherever they came from before.
    member.origin, member.figures_on = MemberOrigin.HERE, None
    membership.renew(session, member, on=now.date(), now=now, actor=actor)
    return report
