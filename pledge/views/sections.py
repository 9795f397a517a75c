"""What the pledge adds to shared pages: figures of the home page, a section of organisations, what waits for a person."""

from collections.abc import Iterable

from flask import url_for
from sqlalchemy.orm import Session

from core.clock import today
from core.identity import access
from core.identity.models import Organisation, Person, Role
from core.web import hooks
from pledge import queries
from pledge.models import InstalmentStatus, MembershipStatus, PledgeMember
from pledge.public import figures
from pledge.views.public import standing_of


@hooks.headline(order=10)
def pledged(session: Session) -> Iterable[hooks.Figure]:
    """What companies reported, over whom."""
    totals = figures(session, on=today()).totals
    href = url_for("pledge.index")
    yield hooks.Figure(
        "Paid to open source, all years", totals.all_time_all, href, f"{totals.members} companies, active and former"
    )
    yield hooks.Figure(
        "In the latest reports", totals.rolling_year_active, href, f"one report of each of {totals.active} active members"
    )


@hooks.organisation_section(order=10)
def pledge_of(session: Session, organisation: Organisation) -> hooks.Section | None:
    """An organisation's pledge, if it has one."""
    member = queries.member_of_organisation(session, organisation.id)
    if member is None:
        return None
    reports = [(report, standing_of(report)) for report in queries.reports_of(session, member)]
    return hooks.Section("Pledge", "pledge/_organisation_section.html", {"member": member, "reports": reports[:5]})


@hooks.to_do(order=20)
def waiting(session: Session, person: Person) -> Iterable[hooks.ToDo]:
    """Late reports of one's own companies, pay-ins for finance, applications for programme officers."""
    for organisation in access.organisations_with_role(session, person, Role.PLEDGE_EDITOR, on=today()):
        member = queries.member_of_organisation(session, organisation.id)
        if member is not None and member.status in {MembershipStatus.DUE_SOON, MembershipStatus.OVERDUE}:
            yield hooks.ToDo(
                f"Publish the annual report of {member.name}",
                url_for("pledge.dashboard", slug=member.slug),
                due=f"due {member.due_on:%-d %b %Y}" if member.due_on else None,
            )
    if access.has_role(session, person, Role.FINANCE, on=today()):
        count = len(queries.pay_ins(session, InstalmentStatus.PROCESSING))
        if count:
            yield hooks.ToDo("Find pay-ins on the bank statement", url_for("pledge.pay_ins"), count)
        refunds = queries.refunds_to_approve(session, person)
        if refunds:
            yield hooks.ToDo("Approve refunds", url_for("pledge.pay_ins"), refunds)
        disputed = queries.disputed_pay_ins(session)
        if disputed:
            yield hooks.ToDo("Answer disputes of online payments", url_for("pledge.pay_ins"), disputed)
    if access.has_role(session, person, Role.PROGRAMME_OFFICER, on=today()):
        count = len(queries.members_by_status(session, PledgeMember.status == MembershipStatus.APPLIED))
        if count:
            yield hooks.ToDo("Look at companies that want to join", url_for("pledge.applications"), count)
