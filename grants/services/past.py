"""Grants made elsewhere before, written down here from what was published about them.

They obey the programme's limits like every other grant, and run through the ledger: the money enters the programme from
`assets:outside:<currency>` (cash that never came through us) and leaves the grant to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit, ledger
from core.errors import InvalidInput
from core.identity.models import Person, Project
from core.money import Money
from grants import policies, queries
from grants.models import (
    Grant,
    GrantStatus,
    Instalment,
    InstalmentStatus,
    Payee,
    Programme,
    Schedule,
)
from grants.services import conflicts, postings


@dataclass(frozen=True)
class PastPart:
    """An instalment, paid or not."""

    name: str
    money: Money
    paid: bool
    due_on: date | None = None


@dataclass(frozen=True, kw_only=True)
class PastGrant:
    """What was published about one grant."""

    recipient_name: str
    awarded_on: date
    parts: Sequence[PastPart]
    schedule: Schedule
    source_url: str
    source_title: str
    purpose: str = ""
    override_reason: str | None = None
    undisclosed: bool = False
    payee: Payee | None = None
    fiscal_host_id: UUID | None = None

    @property
    def amount(self) -> Money:
        return policies.total(part.money for part in self.parts)


def fund_from_outside(session: Session, programme: Programme, money: Money, *, key: str, at: datetime, memo: str) -> None:
    """The yearly budget of a programme whose money did not come through us."""
    ledger.post(
        session,
        key=f"programme-outside:{programme.id}:{key}",
        kind="programme.funded_outside",
        legs=[ledger.Leg(debit=_outside(session, money.currency), credit=programme.account, amount=money.amount_minor)],
        at=at,
        memo=memo,
        refs={"programme": str(programme.id)},
    )


def record(session: Session, programme_id: UUID, *, project: Project, past: PastGrant, officer: Person, now: datetime) -> Grant:
    """Write down one grant, what of it was paid, and where that was published.

    Raises:
        NotAllowed: not the programme's officer.
        InvalidInput: no source.
        AwardCapExceeded, AnnualCapExceeded, NoPlaceLeft, OverrideNeeded, WrongCurrency: the programme's limits.
        NotFunded: there was less money in the programme.
    """
    programme = queries.locked_programme(session, programme_id)
    queries.require_officer(session, programme, officer, on=now.date())
    if not past.source_url.startswith(("https://", "http://")) or not past.source_title.strip():
        raise InvalidInput("Name the address and title of the page that published this grant.", field="source_url")
    policies.require_within_caps(programme, past.amount, queries.standing(session, programme, on=past.awarded_on))
    reason = policies.require_rule_or_reason(programme, past.amount, past.override_reason)
    then = datetime.combine(past.awarded_on, time(12), UTC)
    grant = _grant(session, programme, project, past, reason, then)
    session.add(grant)
    session.flush()
    session.refresh(grant, ["programme"])
    postings.hold_offer(session, grant, now=then)
    postings.commit(session, grant, now=then)
    for part in grant.instalments:
        if part.status is InstalmentStatus.PAID:
            _paid_outside(session, grant, part, then)
    conflicts.raise_flags_on_grant(session, grant, now=now)
    audit.record(session, "grant.recorded", grant, actor=officer, at=now, reason=reason, source=past.source_url)
    session.flush()
    return grant


def _grant(
    session: Session, programme: Programme, project: Project, past: PastGrant, reason: str | None, then: datetime
) -> Grant:
    paid = all(part.paid for part in past.parts)
    host = queries.fiscal_host(session, past.fiscal_host_id) if past.fiscal_host_id else None
    return Grant(
        programme_id=programme.id,
        project_id=project.id,
        # Without a word on what it waits for, unpaid means accepted: the money is committed and nothing more is known.
        status=GrantStatus.COMPLETED if paid else GrantStatus.ACCEPTED,
        recipient_name=past.recipient_name,
        amount_minor=past.amount.amount_minor,
        currency=past.amount.currency,
        amount_undisclosed=past.undisclosed,
        awarded_on=past.awarded_on,
        year=policies.programme_year(programme.year_first_month, past.awarded_on),
        override_reason=reason,
        purpose=past.purpose,
        payee=past.payee,
        fiscal_host_id=past.fiscal_host_id,
        host_fee_percent=host.fee_percent if host else None,
        schedule=past.schedule,
        starts_on=past.awarded_on,
        offered_at=then,
        accepted_at=then,
        active_at=then if paid else None,
        source_url=past.source_url,
        source_title=past.source_title,
        is_demo=programme.is_demo,
        instalments=[
            Instalment(
                number=number,
                name=part.name,
                amount_minor=part.money.amount_minor,
                currency=part.money.currency,
                due_on=part.due_on,
                status=InstalmentStatus.PAID if part.paid else InstalmentStatus.PLANNED,
            )
            for number, part in enumerate(past.parts, start=1)
        ],
    )


def _paid_outside(session: Session, grant: Grant, part: Instalment, then: datetime) -> None:
    when = datetime.combine(part.due_on, time(12), UTC) if part.due_on else then
    part.paid_at = when if part.due_on else None
    ledger.post(
        session,
        key=f"grant-instalment-outside:{part.id}",
        kind="grant.paid_outside",
        legs=[ledger.Leg(debit=grant.account, credit=_outside(session, part.currency), amount=part.amount_minor)],
        at=when,
        memo=f"{grant.programme.name}: {grant.recipient_name}, {part.name}",
        refs={"grant": str(grant.id), "programme": str(grant.programme_id)},
    )


def _outside(session: Session, currency: str) -> str:
    code = f"assets:outside:{currency.lower()}"
    ledger.ensure_account(
        session, code, currency, normal=ledger.Side.DEBIT, guard=ledger.Guard.DEBIT, name="Cash that did not come through us"
    )
    return code
