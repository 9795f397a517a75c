"""What became of the payments in a file for GitHub: taken from GitHub's totals where they leave no doubt, else from two people.

Nothing is ever concluded from silence: how long GitHub takes to show a payment is not known, and a row below a maintainer's
minimum is left out without a word.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.errors import DomainError, InvalidInput
from core.files import StoredFile
from core.identity.models import Person
from payouts import queries
from payouts.models import AttemptState, BankFile, Outcome, Payout, PayoutAttempt, Resolution
from payouts.rails.base import Instruction, Receipt
from payouts.rails.github_sponsors import GitHubSponsorsRail, Seen
from payouts.services import records, resolutions, sending

OPEN = frozenset({AttemptState.UNKNOWN, AttemptState.HUMAN})


class NothingSelected(InvalidInput):
    """A finding is about at least one payment of the file that has not ended."""

    code = "nothing_selected"


class NothingToConfirm(DomainError):
    """No finding about this file waits for this person."""

    code = "nothing_to_confirm"


def open_logins(session: Session, file_id: UUID) -> dict[str, UUID]:
    """The maintainers of a file whose payments have not ended, with their attempts."""
    lines = queries.lines_of_file(session, file_id)
    return {line.parameters["destination"]["login"]: line.id for line in lines if line.state in OPEN}


def take(session: Session, file_id: UUID, seen: Mapping[str, Seen], *, actor: Person | None, now: datetime) -> Counter[str]:
    """Mark paid what GitHub's totals leave no doubt about, and say beside each other payment what GitHub shows.

    Returns how many were `paid`, and how many are still `open`.
    """
    counts: Counter[str] = Counter()
    made = queries.sponsor_file(session, file_id)
    for login, attempt_id in sorted(open_logins(session, file_id).items(), key=lambda each: each[1]):
        if login not in seen:
            continue
        _, attempt = records.locked(session, attempt_id)
        if attempt.state not in OPEN:
            continue
        payment = seen[login].payment(attempt.money)
        if payment is not None:
            records.accepted(session, attempt_id, Receipt(payment.id, attempt.money), now=now)
        else:
            attempt.detail = seen[login].in_words(attempt.money)
        counts["paid" if attempt.state is AttemptState.ACCEPTED else "open"] += 1
    audit.record(session, "sponsor_file.compared", made, actor=actor, at=now, counts=dict(counts))
    session.flush()
    _close_runs(session, file_id, now=now)
    return counts


def propose(
    session: Session,
    file_id: UUID,
    attempt_ids: Collection[UUID],
    *,
    outcome: Outcome,
    receipt: str,
    evidence: StoredFile,
    note: str,
    actor: Person,
    now: datetime,
) -> Sequence[Resolution]:
    """Say what became of payments of a file, with one piece of evidence for all of them. A second person confirms.

    GitHub gives one receipt for all rows, so a payment is named by the receipt and the maintainer.

    Raises:
        NothingSelected: none of these, or one that is not in the file or has ended.
        InvalidInput: without a note, or, for payments that were made, without the receipt.
        AlreadyProposed: another finding about one of them waits.
    """
    if outcome is Outcome.ACCEPTED and not receipt.strip():
        raise InvalidInput("A payment that was made is on a receipt or invoice of GitHub; enter its number.", field="receipt")
    lines = {line.id: line for line in queries.lines_of_file(session, file_id) if line.state in OPEN}
    if not attempt_ids or not lines.keys() >= set(attempt_ids):
        raise NothingSelected("Choose the payments this is about, among those of the file that have not ended.", field="lines")
    found = []
    for attempt_id in sorted(attempt_ids):
        payout, attempt = records.locked(session, attempt_id)
        records.to_people(session, payout, attempt, attempt.detail or "", now=now)
        session.flush()
        login = attempt.parameters["destination"]["login"]
        remote_id = f"{receipt.strip()}:{login}" if outcome is Outcome.ACCEPTED else None
        found.append(
            resolutions.propose(
                session, attempt_id, outcome=outcome, remote_id=remote_id, evidence=evidence, note=note, actor=actor, now=now
            )
        )
    return found


def confirm(session: Session, file_id: UUID, *, actor: Person, now: datetime) -> int:
    """Confirm every finding about a file that another person proposed. Returns how many.

    Raises:
        NothingToConfirm: none waits, or this person proposed them all.
    """
    waiting = [line.proposal for line in queries.lines_of_file(session, file_id) if line.proposal is not None]
    others = [each.id for each in waiting if each.proposed_by_id != actor.id]
    if not others:
        raise NothingToConfirm(
            "You proposed these findings; another person confirms them." if waiting else "No finding about this file waits."
        )
    for resolution_id in others:
        resolutions.decide(session, resolution_id, confirm=True, actor=actor, now=now)
    return len(others)


def open_files(session: Session) -> Sequence[BankFile]:
    """Files with payments that have not ended, the oldest first."""
    unfinished = select(PayoutAttempt.id).where(PayoutAttempt.bank_file_id == BankFile.id, PayoutAttempt.state.in_(OPEN))
    return session.scalars(
        select(BankFile).where(BankFile.rail == GitHubSponsorsRail.name, unfinished.exists()).order_by(BankFile.number)
    ).all()


def with_people(session: Session) -> Sequence[tuple[UUID, Instruction]]:
    """Payments that left by GitHub's API and that people are to find out about."""
    rows = session.scalars(
        select(PayoutAttempt)
        .where(
            PayoutAttempt.rail == GitHubSponsorsRail.name,
            PayoutAttempt.state == AttemptState.HUMAN,
            PayoutAttempt.bank_file_id.is_(None),
        )
        .order_by(PayoutAttempt.id)
    )
    return [(each.id, Instruction.from_parameters(each.parameters)) for each in rows]


def _close_runs(session: Session, file_id: UUID, *, now: datetime) -> None:
    runs = session.scalars(
        select(Payout.run_id)
        .join(PayoutAttempt, PayoutAttempt.payout_id == Payout.id)
        .where(PayoutAttempt.bank_file_id == file_id, Payout.run_id.is_not(None))
        .distinct()
    ).all()
    for run_id in runs:
        if run_id is not None:
            sending.close_if_finished(session, run_id, now=now)
