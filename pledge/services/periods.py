"""Opening a period and stating its developers."""

import re
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.identity import access
from core.identity.models import Person, Role
from pledge import queries
from pledge.models import Pledge, PledgeMember
from pledge.policies.standing import checked_developers, minimum_on

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .-]{0,39}")
DAYS_MAX = 550
"""Fiscal years have been longer than calendar years when a company changed them; two years are two periods."""


class PeriodExists(DomainError):
    """A day belongs to one period of a member, so that a payment counts once."""

    code = "period_exists"


def open_period(
    session: Session,
    member: PledgeMember,
    *,
    label: str,
    starts_on: date,
    ends_on: date,
    developers: Decimal,
    currency: str = "USD",
    actor: Person,
    now: datetime,
) -> Pledge:
    """Enter a period with its average number of developers; the minimum in force at its end is kept with it.

    Raises:
        PeriodExists: the label is taken, or a day of it belongs to another period.
        InvalidInput: dates the wrong way round or too far apart, or no number of developers.
        NoMinimum: nothing is measured in this currency.
    """
    access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=member.organisation_id, on=now.date())
    label = " ".join(label.split())
    if not LABEL.fullmatch(label):
        raise InvalidInput("Call the period by its year, such as 2026 or FY 2026.", field="label")
    if ends_on < starts_on:
        raise InvalidInput(f"The period ends ({ends_on:%-d %b %Y}) before it starts ({starts_on:%-d %b %Y}).", field="ends_on")
    if (ends_on - starts_on).days > DAYS_MAX:
        raise InvalidInput("The period is longer than a year and a half; enter one period for each year.", field="ends_on")
    checked_developers(developers)
    queries.locked_member(session, member.id)
    for other in queries.pledges_of(session, member):
        if other.label == label:
            raise PeriodExists(f"The period {label} is there already; open it and correct it.", field="label")
        if other.starts_on <= ends_on and starts_on <= other.ends_on:
            raise PeriodExists(
                f"The period {other.label} ({other.starts_on:%-d %b %Y} to {other.ends_on:%-d %b %Y}) has days of this one; "
                "a day belongs to one period, so that a payment counts once.",
                field="starts_on",
            )
    minimum = minimum_on(queries.minimums(session), currency, ends_on)
    pledge = Pledge(
        id=new_id(),
        member=member,
        label=label,
        starts_on=starts_on,
        ends_on=ends_on,
        developers=developers,
        minimum_id=minimum.id,
        currency=currency,
        minimum_minor=minimum.amount_minor,
        rules_version=minimum.rules_version,
        created_at=now,
    )
    session.add(pledge)
    session.flush()
    audit.record(session, "pledge.opened", pledge, actor=actor, at=now, label=label, developers=str(developers))
    return pledge


def correct_developers(
    session: Session, pledge: Pledge, *, developers: Decimal, reason: str, actor: Person, now: datetime
) -> Pledge:
    """Correct the number of developers of a period. The old number and the reason stay in its history.

    Raises:
        InvalidInput: no number of developers, or no reason.
    """
    access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=pledge.member.organisation_id, on=now.date())
    checked_developers(developers)
    if not reason.strip():
        raise InvalidInput("Say why the number changes; it stays in the history.", field="reason")
    pledge = queries.locked_pledge(session, pledge.id)
    before, pledge.developers = pledge.developers, developers
    audit.record(
        session, "pledge.developers_corrected", pledge, actor=actor, at=now,
        reason=reason.strip(), before=f"{before.normalize():f}", after=f"{developers:f}",
    )  # fmt: skip
    return pledge
