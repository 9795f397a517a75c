"""Joining, being checked, renewing, lapsing and leaving. Dates come in as `on` or `now`; nothing here reads a clock."""

import re
import unicodedata
from datetime import date, datetime

from sqlalchemy import exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.identity import access
from core.identity.models import (
    Membership,
    Organisation,
    OrganisationRole,
    OrganisationRoleRow,
    Person,
    Role,
)
from pledge import queries
from pledge.models import (
    RENEWING,
    MemberOrigin,
    MembershipException,
    MembershipStatus,
    PledgeMember,
    Reminder,
)
from pledge.policies.membership import (
    STATUS_OF,
    Renewal,
    RenewalState,
    reminder_due,
    reminder_text,
    rule_on,
    steps,
)

SHORT_DESCRIPTION_MAX = 600
TAKEN_BY_PAGES = frozenset({"join", "applications"})
"""Addresses below /pledges that are not companies."""
FILE_SAYS_INACTIVE = "Its member file says inactive."


class AlreadyMember(DomainError):
    """One company, one membership."""

    code = "already_member"


class ReasonNeeded(InvalidInput):
    """What a person decides about a membership is public, and so is why."""

    code = "reason_needed"


class TooLateForException(DomainError):
    """More time can be given before a membership lapses, not after."""

    code = "too_late_for_exception"


def apply(session: Session, *, name: str, url: str | None, applicant: Person, now: datetime) -> PledgeMember:
    """Ask to join with a company that is not here yet. The applicant owns it and can enter figures at once.

    Raises:
        AlreadyMember: a company of this name pledged already.
        InvalidInput: the name has no letter or digit.
    """
    slug = slug_of(name)
    if not slug:
        raise InvalidInput("Give the company's name with at least one letter or digit.", field="name")
    if session.scalar(select(exists().where(Organisation.slug == slug))):
        raise AlreadyMember(
            f"There is an organisation “{slug}” here already. Ask one of its owners, or an administrator, to let you in.",
            field="name",
        )
    organisation = Organisation(id=new_id(), slug=slug, name=name.strip(), url=url, created_at=now)
    session.add(organisation)
    session.flush()
    add_company_role(session, organisation, on=now.date())
    session.add(
        Membership(id=new_id(), person_id=applicant.id, organisation_id=organisation.id, role=Role.OWNER, from_on=now.date())
    )
    member = new_member(organisation, status=MembershipStatus.APPLIED, origin=MemberOrigin.HERE, now=now)
    member.url = url
    session.add(member)
    session.flush()
    audit.record(session, "membership.applied", member, actor=applicant, at=now)
    return member


def check(session: Session, member: PledgeMember, *, reason: str, actor: Person, now: datetime) -> PledgeMember:
    """Accept an application; the first report makes it active.

    Raises:
        ReasonNeeded: nothing says what was checked.
        IllegalTransition: it is no application.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    _require_reason(reason, "Say what was checked; it is shown on the company's page.")
    member = queries.locked_member(session, member.id)
    member.advance(MembershipStatus.CHECKED, since=now.date(), reason=reason.strip())
    audit.record(session, "membership.checked", member, actor=actor, at=now, reason=reason.strip())
    renew(session, member, on=now.date(), now=now, actor=actor)
    return member


def withdraw(session: Session, member: PledgeMember, *, reason: str, actor: Person, now: datetime) -> PledgeMember:
    """Leave the pledge. Everything published stays.

    Raises:
        ReasonNeeded: no reason was given.
    """
    access.require_role(session, actor, Role.OWNER, organisation_id=member.organisation_id, on=now.date())
    _require_reason(reason, "Say why the company leaves; it is shown on its page.")
    member = queries.locked_member(session, member.id)
    member.advance(MembershipStatus.WITHDRAWN, since=now.date(), reason=reason.strip())
    member.listed = False
    audit.record(session, "membership.withdrawn", member, actor=actor, at=now, reason=reason.strip())
    return member


def apply_again(session: Session, member: PledgeMember, *, actor: Person, now: datetime) -> PledgeMember:
    """Ask to come back after having left."""
    access.require_role(session, actor, Role.OWNER, organisation_id=member.organisation_id, on=now.date())
    member = queries.locked_member(session, member.id)
    member.advance(MembershipStatus.APPLIED, since=now.date())
    member.origin = MemberOrigin.HERE
    audit.record(session, "membership.applied", member, actor=actor, at=now)
    return member


def grant_exception(
    session: Session, member: PledgeMember, *, until_on: date, reason: str, actor: Person, now: datetime
) -> MembershipException:
    """Give a member more time than the grace of the rule. The reason is public.

    Raises:
        ReasonNeeded: no reason was given.
        TooLateForException: the membership has lapsed, or has no due day.
        InvalidInput: the day gives no more time than the rule does.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    _require_reason(reason, "Say why this member gets more time; it is shown on its page.")
    member = queries.locked_member(session, member.id)
    dates = queries.renewal_of(session, member, on=now.date())
    if dates is None or member.status not in RENEWING[:3]:
        raise TooLateForException(
            f"{member.name} is {member.status.replace('_', ' ')}; more time can be given only while a due day is ahead or in "
            "its grace. One report reinstates a lapsed membership.",
        )
    if until_on <= dates.grace_until:
        raise InvalidInput(
            f"The rule gives time until {dates.grace_until:%-d %b %Y} already; choose a later day.", field="until_on"
        )
    row = MembershipException(
        id=new_id(),
        member=member,
        due_on=dates.due_on,
        until_on=until_on,
        reason=reason.strip(),
        granted_by_id=actor.id,
        granted_at=now,
    )
    session.add(row)
    audit.record(
        session, "membership.exception_granted", member, actor=actor, at=now, reason=reason.strip(), until_on=str(until_on)
    )
    return row


def renew(session: Session, member: PledgeMember, *, on: date, now: datetime, actor: Person | None = None) -> None:
    """Bring a membership to where its reports put it: a new latest report reinstates, whatever the state was.

    Called after reports changed, with the member locked. Applications and members who left stay where they are.
    """
    dates = queries.renewal_of(session, member, on=on)
    if dates is None or member.status in {MembershipStatus.APPLIED, MembershipStatus.WITHDRAWN}:
        return
    moved = member.due_on != dates.due_on
    member.due_on = dates.due_on
    if member.origin is MemberOrigin.FILE and not member.listed:
        return  # whoever keeps the file says that it is over, whatever the dates say
    if member.status is MembershipStatus.CHECKED or (moved and member.status is not MembershipStatus.ACTIVE):
        before = member.status
        member.advance(MembershipStatus.ACTIVE, since=on)
        verb = "membership.activated" if before is MembershipStatus.CHECKED else "membership.reinstated"
        audit.record(session, verb, member, actor=actor, at=now, before=str(before), due_on=str(dates.due_on))
    if member.origin is MemberOrigin.HERE:
        member.listed = True
    pass_time(session, member, dates, on=on, now=now)


def pass_time(session: Session, member: PledgeMember, dates: Renewal, *, on: date, now: datetime) -> int:
    """Take a membership through every state that time has brought, each with the day it began. Returns the steps taken."""
    taken = 0
    day = min(on, member.figures_on or on)
    for state in steps(member.status, dates.state(day)):
        since = dates.starts(state) or day
        member.advance(STATUS_OF[state], since=since)
        audit.record(
            session, f"membership.{STATUS_OF[state]}", member, actor=None, at=now,
            reason=_because(state, dates), due_on=str(dates.due_on), since=str(since),
        )  # fmt: skip
        taken += 1
    if member.status is MembershipStatus.LAPSED and member.origin is MemberOrigin.HERE:
        member.listed = False
    return taken


def run_clock(session: Session, *, on: date, now: datetime) -> tuple[int, int]:
    """The daily work: move every membership to where its dates put it, and remind those who keep their figures here.

    Safe to run any number of times a day. Returns (steps taken, reminders written).
    """
    rules = queries.renewal_rules(session)
    latest = queries.latest_reports(session, on=on)
    moved = reminded = 0
    watched = queries.members_by_status(session, PledgeMember.status.in_(RENEWING))
    for member_id in [member.id for member in watched]:
        member = queries.locked_member(session, member_id)
        if member.status not in RENEWING or member_id not in latest:
            continue
        dates = queries.renewal_from(member, latest[member_id], rules)
        moved += pass_time(session, member, dates, on=on, now=now)
        if member.origin is MemberOrigin.HERE and member.status is not MembershipStatus.LAPSED:
            offsets = rule_on(rules, latest[member_id]).reminder_days
            reminded += remind(session, member, dates, offsets, on=on, now=now)
    return moved, reminded


def remind(session: Session, member: PledgeMember, dates: Renewal, offsets: list[int], *, on: date, now: datetime) -> bool:
    """Write the newest reminder whose day has come, once."""
    offset = reminder_due(dates.due_on, offsets, on=on)
    if offset is None:
        return False
    text = reminder_text(member.name, dates.due_on, dates.grace_until, on=on)
    written = session.scalar(
        insert(Reminder)
        .values(id=new_id(), member_id=member.id, due_on=dates.due_on, offset_days=offset, text=text, created_at=now)
        .on_conflict_do_nothing(index_elements=["member_id", "due_on", "offset_days"])
        .returning(Reminder.id)
    )
    if written is None:
        return False
    audit.record(session, "membership.reminded", member, actor=None, at=now, reason=text, offset_days=offset)
    return True


def dismiss_reminders(session: Session, member: PledgeMember, *, actor: Person, now: datetime) -> int:
    """Set the notices of a member aside."""
    access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=member.organisation_id, on=now.date())
    rows = queries.open_reminders(session, member)
    for row in rows:
        row.dismissed_at, row.dismissed_by_id = now, actor.id
    return len(rows)


def describe(
    session: Session,
    member: PledgeMember,
    *,
    description: str,
    short_description: str,
    url: str | None,
    jobs_url: str | None,
    actor: Person,
    now: datetime,
) -> None:
    """Change what the company says about itself.

    Raises:
        InvalidInput: the short description is longer than the pledge allows.
    """
    access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=member.organisation_id, on=now.date())
    if len(short_description) > SHORT_DESCRIPTION_MAX:
        raise InvalidInput(
            f"The short description has {len(short_description)} characters; use at most {SHORT_DESCRIPTION_MAX}.",
            field="short_description",
        )
    member = queries.locked_member(session, member.id)
    member.description, member.short_description = description, short_description
    member.url, member.jobs_url = url, jobs_url
    audit.record(session, "membership.described", member, actor=actor, at=now)


def new_member(
    organisation: Organisation,
    *,
    status: MembershipStatus,
    origin: MemberOrigin,
    now: datetime,
    member_id: str | None = None,
    joined_on: date | None = None,
) -> PledgeMember:
    """A member row with nothing in it yet."""
    return PledgeMember(
        id=new_id(),
        organisation=organisation,
        member_id=member_id or organisation.slug,
        origin=origin,
        status=status,
        status_since=now.date(),
        joined_on=joined_on or now.date(),
        listed=False,
        description="",
        short_description="",
        created_at=now,
        exceptions=[],
    )


def add_company_role(session: Session, organisation: Organisation, *, on: date) -> None:
    """Make sure that the organisation has the role of a company."""
    known = select(func.count()).where(
        OrganisationRoleRow.organisation_id == organisation.id,
        OrganisationRoleRow.role == OrganisationRole.COMPANY,
        OrganisationRoleRow.until_on.is_(None),
    )
    if not session.scalar(known):
        session.add(OrganisationRoleRow(id=new_id(), organisation_id=organisation.id, role=OrganisationRole.COMPANY, from_on=on))


def slug_of(name: str) -> str:
    """An address for a name: lower-case letters without their accents, digits and dashes, at most 80 characters."""
    letters = unicodedata.normalize("NFKD", name.lower().replace("ß", "ss")).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:80].strip("-")
    return f"{slug}-company" if slug in TAKEN_BY_PAGES else slug


def follow_file(session: Session, member: PledgeMember, *, listed: bool, on: date, now: datetime) -> None:
    """Take over what an imported member file says under `active`, and bring the membership to where that puts it."""
    if member.listed and not listed:
        for state in steps(member.status, RenewalState.LAPSED) if member.status in RENEWING else ():
            member.advance(STATUS_OF[state], since=on, reason=FILE_SAYS_INACTIVE)
        audit.record(session, "membership.lapsed", member, actor=None, at=now, reason=FILE_SAYS_INACTIVE)
    if not member.listed and listed and member.status is MembershipStatus.LAPSED:
        member.advance(MembershipStatus.ACTIVE, since=on)
        audit.record(session, "membership.reinstated", member, actor=None, at=now, reason="Its member file says active again.")
    member.listed = listed


def _require_reason(reason: str, sentence: str) -> None:
    if not reason.strip():
        raise ReasonNeeded(sentence, field="reason")


def _because(state: RenewalState, dates: Renewal) -> str:
    return {
        RenewalState.CURRENT: "A report was published.",
        RenewalState.DUE_SOON: f"The next report is due on {dates.due_on:%-d %b %Y}.",
        RenewalState.OVERDUE: (
            f"The report due on {dates.due_on:%-d %b %Y} is missing; grace until {dates.grace_until:%-d %b %Y}."
        ),
        RenewalState.LAPSED: f"The report due on {dates.due_on:%-d %b %Y} did not come by {dates.grace_until:%-d %b %Y}.",
    }[state]
