"""Adding rows to the dated tables."""

from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.db import new_id
from core.errors import DomainError
from core.identity import access
from core.identity.models import Person, Role
from core.money import Money
from pledge.models import CardLimit, PledgeMinimum


class MinimumExists(DomainError):
    """Rows of the table are added, never changed: what was measured stays explained."""

    code = "minimum_exists"


def add_minimum(
    session: Session,
    *,
    amount: Money,
    valid_from: date,
    source: str,
    rules_version: str,
    actor: Person,
    now: datetime,
) -> PledgeMinimum:
    """Add a minimum per developer and year, in force from a day on. Published years keep the one they were measured by.

    Raises:
        MinimumExists: there is a row of this currency and day.
        NotAllowed: the actor is no programme officer.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    same = select(PledgeMinimum).where(PledgeMinimum.currency == amount.currency, PledgeMinimum.valid_from == valid_from)
    if session.scalars(same).first() is not None:
        raise MinimumExists(
            f"There is a minimum in {amount.currency} from {valid_from} on already; add one from another day.",
            field="valid_from",
        )
    row = PledgeMinimum(
        id=new_id(),
        currency=amount.currency,
        valid_from=valid_from,
        amount_minor=amount.amount_minor,
        source=source,
        author=actor.name,
        rules_version=rules_version,
        created_at=now,
    )
    session.add(row)
    audit.record(session, "pledge.minimum_added", row, actor=actor, at=now, amount_minor=amount.amount_minor)
    return row


class CardLimitExists(DomainError):
    """Rows of the table are added, never changed."""

    code = "card_limit_exists"


def add_card_limit(session: Session, *, amount: Money, valid_from: date, source: str, actor: Person, now: datetime) -> CardLimit:
    """Set the largest pay-in by card from a day on; zero takes no cards.

    Raises:
        CardLimitExists: there is a row of this currency and day.
        NotAllowed: the actor is not in finance.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    same = select(CardLimit).where(CardLimit.currency == amount.currency, CardLimit.valid_from == valid_from)
    if session.scalars(same).first() is not None:
        raise CardLimitExists(
            f"There is a card limit in {amount.currency} from {valid_from} on already; add one from another day.",
            field="valid_from",
        )
    row = CardLimit(
        id=new_id(),
        currency=amount.currency,
        valid_from=valid_from,
        amount_minor=amount.amount_minor,
        source=source,
        author=actor.name,
        created_at=now,
    )
    session.add(row)
    audit.record(session, "pledge.card_limit_added", row, actor=actor, at=now, amount_minor=amount.amount_minor)
    return row
