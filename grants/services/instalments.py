"""Instalments: due by their day, released through their gate, approved by an officer, paid by payouts."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit
from core.errors import DomainError, InvalidInput
from core.identity.models import Person
from grants import queries
from grants.models import Grant, GrantStatus, Instalment, InstalmentStatus
from grants.services import postings
from payouts.models import PayoutStatus
from payouts.services import request


class GateClosed(DomainError):
    """The instalment waits for an accepted report."""

    code = "gate_closed"


class GrantNotActive(DomainError):
    """Money moves only while the grant is active."""

    code = "grant_not_active"


def bring_up_to_date(session: Session, grant: Grant, *, now: datetime) -> list[Instalment]:
    """Planned parts whose day has come become due; due parts of an active grant whose gate is open are released."""
    moved = []
    for part in grant.instalments:
        if part.status is InstalmentStatus.PLANNED and part.due_on is not None and part.due_on <= now.date():
            _due(session, part, actor=None, now=now)
            moved.append(part)
        if _release_if_open(session, part, now=now) and part not in moved:
            moved.append(part)
    return moved


def bring_all_up_to_date(session: Session, *, now: datetime) -> list[Instalment]:
    """`bring_up_to_date` for every running grant with a planned part whose day has come. For the clock."""
    moved = []
    for grant_id in queries.grants_with_due_parts(session, on=now.date()):
        moved += bring_up_to_date(session, queries.locked_grant(session, grant_id), now=now)
    session.flush()
    return moved


def reach(session: Session, instalment_id: UUID, *, officer: Person, now: datetime) -> Instalment:
    """Say that a milestone is reached: it is due, whatever the calendar says.

    Raises:
        NotAllowed: not the programme's officer.
        IllegalTransition: it was due before.
    """
    part = _for_officer(session, instalment_id, officer, now)
    _due(session, part, actor=officer, now=now)
    _release_if_open(session, part, now=now)
    session.flush()
    return part


def release(session: Session, instalment_id: UUID, *, officer: Person, now: datetime, waiver: str = "") -> Instalment:
    """Open a due instalment by hand; past a closed gate only with a reason.

    Raises:
        NotAllowed: not the programme's officer.
        GrantNotActive: nothing is released unless the grant is active.
        GateClosed: the report is not accepted, and no reason given to pay without it.
        IllegalTransition: it isn't due, or released already.
    """
    part = _for_officer(session, instalment_id, officer, now)
    _require_active(part.grant)
    waived = part.gated and not queries.has_accepted_report(session, part)
    if waived and part.status is InstalmentStatus.DUE and not waiver.strip():
        raise GateClosed(f"Instalment {part.number} waits for an accepted report. Accept one, or say why it is paid without.")
    part.advance(InstalmentStatus.RELEASED)
    audit.record(session, "instalment.released", part, actor=officer, at=now, reason=waiver.strip() if waived else None)
    session.flush()
    return part


def approve(session: Session, instalment_id: UUID, *, officer: Person, now: datetime) -> Instalment:
    """Approve the payment of a released instalment and hand it to payouts, in the same transaction.

    Raises:
        NotAllowed: not the programme's officer.
        GrantNotActive: the grant is suspended or over.
        IllegalTransition: it isn't released, or with payouts already.
    """
    part = _for_officer(session, instalment_id, officer, now)
    _require_active(part.grant)
    part.advance(InstalmentStatus.APPROVED)
    part.approved_by_id, part.approved_at = officer.id, now
    audit.record(session, "instalment.approved", part, actor=officer, at=now, amount=str(part.money))
    grant = part.grant
    assert grant.recipient_id is not None, "an accepted grant has its recipient"
    payout = request(
        session,
        obligation=part.obligation,
        recipient_id=grant.recipient_id,
        money=part.money,
        fund_account=grant.account,
        memo=f"{grant.programme.name}, {grant.recipient_name}, {part.name}"[:250],
        prepared_by=officer,
        due_on=max(part.due_on or now.date(), now.date()),
        now=now,
        is_demo=grant.is_demo,
    )
    part.advance(InstalmentStatus.IN_PAYOUT)
    part.payout_id = payout.id
    audit.record(session, "instalment.in_payout", part, actor=officer, at=now, payout=str(payout.id))
    session.flush()
    return part


def reopen(session: Session, instalment_id: UUID, *, officer: Person, reason: str, now: datetime) -> Instalment:
    """Make a returned instalment payable again, once it is known why the money came back.

    Raises:
        NotAllowed: not the programme's officer.
        InvalidInput: no reason.
        IllegalTransition: its money did not come back.
    """
    part = _for_officer(session, instalment_id, officer, now)
    if not reason.strip():
        raise InvalidInput("Say what was wrong and what changed, such as new bank details.", field="reason")
    part.advance(InstalmentStatus.RELEASED)
    if part.grant.status is GrantStatus.COMPLETED:
        part.grant.advance(GrantStatus.ACTIVE)
        part.grant.ended_at = None
    audit.record(session, "instalment.reopened", part, actor=officer, at=now, reason=reason.strip())
    session.flush()
    return part


def payout_changed(session: Session, payout_id: UUID, *, refused: bool, now: datetime) -> Instalment | None:
    """Follow a payout that payouts told about. Acts on what the payout is now, not on what the message said, so that news
    told twice, late or out of order ends the same. Returns the instalment if it moved.

    A payout that the rail refused stays open there, for people to look at; here that is only written down.
    """
    part = queries.locked_instalment_of_payout(session, payout_id)
    if part is None or part.payout is None:
        return None  # somebody else's payout, or an earlier round of an instalment that was asked for again
    status = part.payout.status
    before = part.status
    if status in {PayoutStatus.PAID, PayoutStatus.RETURNED, PayoutStatus.REVERSED} and part.status is InstalmentStatus.IN_PAYOUT:
        part.advance(InstalmentStatus.PAID)
        part.paid_at = part.payout.paid_at
        audit.record(session, "instalment.paid", part, actor=None, at=now, payout=str(payout_id))
    if status in {PayoutStatus.RETURNED, PayoutStatus.REVERSED} and part.status is InstalmentStatus.PAID:
        part.advance(InstalmentStatus.RETURNED)
        part.paid_at = None
        audit.record(session, "instalment.returned", part, actor=None, at=now, payout=str(payout_id))
        if part.grant.status is GrantStatus.TERMINATED:
            # Nobody will ask for it again: what came back is the programme's.
            part.advance(InstalmentStatus.CANCELLED)
            postings.give_back(session, part.grant, part.money, key=f"returned:{payout_id}", now=now)
    if status is PayoutStatus.CANCELLED and part.status is InstalmentStatus.IN_PAYOUT:
        part.advance(InstalmentStatus.RELEASED)
        audit.record(session, "instalment.payout_cancelled", part, actor=None, at=now, payout=str(payout_id))
    if refused and part.status is InstalmentStatus.IN_PAYOUT:
        audit.record(session, "instalment.payment_refused", part, actor=None, at=now, payout=str(payout_id))
    session.flush()
    return part if part.status is not before else None


def open_gate(session: Session, part: Instalment, *, now: datetime) -> None:
    """An accepted report makes a milestone without a day due, and releases what waited for it."""
    if part.status is InstalmentStatus.PLANNED and part.due_on is None:
        _due(session, part, actor=None, now=now)
    _release_if_open(session, part, now=now)


def _due(session: Session, part: Instalment, *, actor: Person | None, now: datetime) -> None:
    part.advance(InstalmentStatus.DUE)
    audit.record(session, "instalment.due", part, actor=actor, at=now)


def _release_if_open(session: Session, part: Instalment, *, now: datetime) -> bool:
    if part.status is not InstalmentStatus.DUE or part.grant.status is not GrantStatus.ACTIVE:
        return False
    if part.gated and not queries.has_accepted_report(session, part):
        return False
    part.advance(InstalmentStatus.RELEASED)
    audit.record(session, "instalment.released", part, actor=None, at=now)
    return True


def _for_officer(session: Session, instalment_id: UUID, officer: Person, now: datetime) -> Instalment:
    part = queries.locked_instalment(session, instalment_id)
    queries.require_other_side(session, part.grant, officer, on=now.date())
    return part


def _require_active(grant: Grant) -> None:
    if grant.status is not GrantStatus.ACTIVE:
        raise GrantNotActive(f"The grant is {grant.status.replace('_', ' ')}; money moves only while it is active.")
