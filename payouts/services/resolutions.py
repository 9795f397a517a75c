"""What machines can't know, two people find out: one proposes with evidence, another confirms.

Also money that came back after it was paid. Nobody's word alone can make the platform pay again.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, ledger
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.files import StoredFile
from core.identity.models import Person
from payouts.models import AttemptFailure, AttemptState, Outcome, Payout, PayoutAttempt, PayoutStatus, Resolution
from payouts.policies import Rules
from payouts.rails.base import Rail, Receipt
from payouts.services import fitting, records, sending
from payouts.services.requests import tell

AFTERWARDS = {Outcome.RETURNED: PayoutStatus.RETURNED, Outcome.REVERSED: PayoutStatus.REVERSED}


class SameTwoPeople(DomainError):
    """Who proposed a finding does not confirm it."""

    code = "same_two_people"


class NothingToResolve(DomainError):
    """The attempt is in a state in which people have nothing to find out."""

    code = "nothing_to_resolve"


class AlreadyProposed(DomainError):
    """Somebody proposed a finding, and it waits for a second person."""

    code = "already_proposed"


class RemoteIdTaken(DomainError):
    """The reference names the payment of another attempt."""

    code = "remote_id_taken"


class TooEarly(DomainError):
    """The rail may still answer; people decide when machines can't any more."""

    code = "too_early"


def ask_people(
    session: Session, attempt_id: UUID, *, rail: Rail, rules: Rules, actor: Person, reason: str, now: datetime
) -> PayoutAttempt:
    """Take an unknown attempt out of the machine's hands, when its look-ups lead nowhere.

    Raises:
        NothingToResolve: it is not unknown.
        TooEarly: its newest send was too short a time ago for anybody to conclude anything.
        InvalidInput: without a reason.
    """
    if not reason.strip():
        raise InvalidInput("Say why people have to find out.", field="reason")
    payout, attempt = records.locked(session, attempt_id)
    if attempt.state is not AttemptState.UNKNOWN:
        raise NothingToResolve(f"This attempt is {attempt.state}; only an unknown one is handed to people.")
    quiet = (attempt.sent_at or attempt.changed_at) + rules.quiet_after(rail.capabilities)
    leased = attempt.lease_until is not None and now < attempt.lease_until
    if not rail.capabilities.needs_person and (leased or now < quiet):
        raise TooEarly(f"The rail may still answer; people can decide from {quiet:%Y-%m-%d %H:%M} UTC on.")
    attempt.advance(AttemptState.HUMAN, at=now, detail=reason.strip())
    audit.record(session, "payout.needs_people", payout, actor=actor, at=now, reason=reason.strip(), attempt=attempt.no)
    return attempt


def propose(
    session: Session,
    attempt_id: UUID,
    *,
    outcome: Outcome,
    remote_id: str | None,
    evidence: StoredFile,
    note: str,
    actor: Person | None,
    now: datetime,
) -> Resolution:
    """Say what became of an attempt, with a file that shows it. Nothing moves until a second person confirms.

    Without an actor it is the provider's own list that says so (`returns`), and the person who confirms is the first.

    Raises:
        NothingToResolve: machines still know better, or it ended (and, for money that came back: it was not paid).
        AlreadyProposed: another finding waits for its second person.
        RemoteIdTaken: the reference belongs to another payment.
        InvalidInput: without a note, or without the reference a payment that was made has.
    """
    if not note.strip():
        raise InvalidInput("Say what the evidence shows.", field="note")
    reference = (remote_id or "").strip() or None
    if outcome is Outcome.ACCEPTED and reference is None:
        raise InvalidInput("A payment that was made has a reference of the bank or rail; copy it here.", field="remote_id")
    payout, attempt = records.locked(session, attempt_id)
    session.refresh(attempt, ["resolutions"])
    _require_open(payout, attempt, outcome)
    if attempt.proposal is not None:
        raise AlreadyProposed(f"{attempt.proposal.said_by} proposed a finding; decide about that one first.")
    if outcome is Outcome.ACCEPTED:
        assert reference is not None
        _require_free(session, attempt, reference)
    resolution = Resolution(
        id=new_id(),
        attempt=attempt,
        outcome=outcome,
        remote_id=reference if outcome is Outcome.ACCEPTED else None,
        evidence_id=evidence.id,
        note=note.strip(),
        proposed_by_id=actor.id if actor else None,
        proposed_at=now,
    )
    session.add(resolution)
    session.flush()
    audit.record(
        session, "payout.finding_proposed", payout, actor=actor, at=now, reason=resolution.note,
        outcome=outcome.value, attempt=attempt.no, evidence=evidence.sha256,
    )  # fmt: skip
    return resolution


def decide(session: Session, resolution_id: UUID, *, confirm: bool, actor: Person, now: datetime) -> Payout:
    """Confirm a finding as a second person, which makes it so; or turn it down, which also who proposed it may.

    Raises:
        NotFound: there is no open finding of this id.
        SameTwoPeople: the same person proposed it.
        NothingToResolve: the rail told us meanwhile.
    """
    resolution = session.scalars(select(Resolution).where(Resolution.id == resolution_id)).one_or_none()
    if resolution is None:
        raise NotFound("There is no such finding.")
    payout, attempt = records.locked(session, resolution.attempt_id)
    session.refresh(resolution, with_for_update={"of": Resolution})
    if resolution.decided_at is not None:
        raise NotFound("This finding was decided already.")
    if confirm and resolution.proposed_by_id == actor.id:
        raise SameTwoPeople("You proposed this finding; another person confirms it.")
    resolution.decided_by_id, resolution.decided_at, resolution.confirmed = actor.id, now, confirm
    audit.record(
        session, "payout.finding_confirmed" if confirm else "payout.finding_turned_down", payout, actor=actor, at=now,
        reason=resolution.note, outcome=resolution.outcome.value, attempt=attempt.no,
    )  # fmt: skip
    if confirm:
        _require_open(payout, attempt, resolution.outcome)
        _make_it_so(session, payout, attempt, resolution, now=now)
    session.flush()
    if payout.run_id is not None:
        sending.close_if_finished(session, payout.run_id, now=now)
    return payout


def came_back(session: Session, payout: Payout, to: PayoutStatus, *, now: datetime) -> None:
    """The money is again where it was paid from, and the fund has it again: a new entry, never an edit of the old one."""
    payout.advance(to)
    ledger.post(
        session,
        key=f"{to.value}:payout:{payout.id}",
        kind=f"payout.{to.value}",
        legs=fitting.legs_back(payout),
        at=now,
        memo=payout.memo,
        refs={"payout": str(payout.id)},
    )
    audit.record(session, f"payout.{to.value}", payout, actor=None, at=now, amount=str(payout.money))
    tell(session, payout, now=now)


def _make_it_so(session: Session, payout: Payout, attempt: PayoutAttempt, resolution: Resolution, *, now: datetime) -> None:
    match resolution.outcome:
        case Outcome.ACCEPTED:
            assert resolution.remote_id is not None
            _require_free(session, attempt, resolution.remote_id)
            records.settle(session, payout, attempt, Receipt(resolution.remote_id, attempt.money), now=now)
        case Outcome.FAILED:
            records.failed(session, payout, attempt, AttemptFailure.RULED, resolution.note, now=now)
            tell(session, payout, now=now, status="failed")
        case Outcome.RETURNED | Outcome.REVERSED:
            came_back(session, payout, AFTERWARDS[resolution.outcome], now=now)


def _require_open(payout: Payout, attempt: PayoutAttempt, outcome: Outcome) -> None:
    if outcome in AFTERWARDS:
        if attempt.state is not AttemptState.ACCEPTED or payout.status is not PayoutStatus.PAID:
            raise NothingToResolve(f"This payout is {payout.status}; only money that was paid comes back.")
    elif attempt.state is not AttemptState.HUMAN:
        raise NothingToResolve(f"This attempt is {attempt.state}; there is nothing for people to find out.")


def _require_free(session: Session, attempt: PayoutAttempt, remote_id: str) -> None:
    other = session.scalars(
        select(PayoutAttempt).where(
            PayoutAttempt.rail == attempt.rail, PayoutAttempt.remote_id == remote_id, PayoutAttempt.id != attempt.id
        )
    ).one_or_none()
    if other is not None:
        raise RemoteIdTaken(f"“{remote_id}” already stands for the payment {other.idem_key}; look again which one it is.")
