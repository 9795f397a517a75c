"""Files for the bank, and the bank's answers.

A payment that is in a file may be carried out, so nothing but the bank's answer ends it. “Paid” is taken from the answer at
once. “Rejected” and “returned” would let the same money leave again, so they become findings that a second person confirms.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, files
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.files import StoredFile
from core.identity.models import Person
from core.money import Money
from payouts.models import (
    AttemptState,
    BankFile,
    BankImport,
    Outcome,
    Payout,
    PayoutAttempt,
    PayoutStatus,
)
from payouts.rails import bank_file, github_sponsors
from payouts.rails.bank_file import Answer, AnswerLine, BankFileRail, read_answers
from payouts.rails.base import Instruction, Receipt
from payouts.rails.github_sponsors import GitHubSponsorsRail
from payouts.services import controls, readiness, records, resolutions, sending

LINES_MAX = 5_000


@dataclass(frozen=True)
class Writer:
    """What the file of a rail is called in the history, how its name begins, and how it is made."""

    thing: str
    stem: str
    write: Callable[[Iterable[Instruction]], bytes]


WRITERS: Mapping[str, Writer] = {
    BankFileRail.name: Writer("bank_file", "payments", bank_file.write),
    GitHubSponsorsRail.name: Writer("sponsor_file", "sponsorships", github_sponsors.write),
}


class NothingToExport(DomainError):
    """No payment waits for a bank file."""

    code = "nothing_to_export"


class AnswerDoesNotFit(InvalidInput):
    """The bank's answer contradicts what we know; nothing of the file was taken."""

    code = "answer_does_not_fit"


def export(session: Session, *, currency: str, actor: Person, now: datetime, rail: str = BankFileRail.name) -> BankFile:
    """Put every waiting payment of a currency on a rail into one file. From then on each of them may be carried out.

    One to a payee on hold, or to a destination out of use, is passed over and says why; it can be taken back.

    Raises:
        NothingToExport: none waits that may leave.
        RailStopped: the kill switch is on.
    """
    writer = WRITERS[rail]
    controls.require_running(session, rail)
    waiting = session.scalars(
        select(PayoutAttempt)
        .join(Payout, Payout.id == PayoutAttempt.payout_id)
        .where(
            PayoutAttempt.rail == rail,
            PayoutAttempt.state == AttemptState.SENDING,
            PayoutAttempt.bank_file_id.is_(None),
            Payout.currency == currency,
        )
        .order_by(PayoutAttempt.idem_key)
        .limit(LINES_MAX)
        .with_for_update(of=[Payout, PayoutAttempt])
    ).all()
    # Looked at in one order by everybody, so that two exports can't wait for each other's payees.
    refusals = {
        each.id: readiness.why_not(session, each.payout.recipient_id, each.payout.destination_id, now=now)
        for each in sorted(waiting, key=_payee)
    }
    for attempt in waiting:
        refusal = refusals[attempt.id]
        attempt.payout.blocked_reason = refusal.message if refusal is not None else None
    waiting = [attempt for attempt in waiting if refusals[attempt.id] is None]
    if not waiting:
        raise NothingToExport(
            f"No payment in {currency} that may leave waits for a file; send a run with such lines, or take back what is held."
        )
    instructions = [Instruction.from_parameters(attempt.parameters) for attempt in waiting]
    content = writer.write(instructions)
    stored = files.store(
        session,
        io.BytesIO(content),
        name=f"{writer.stem}-{currency.lower()}-{now:%Y%m%d-%H%M%S}.csv",
        uploaded_by_id=actor.id,
        now=now,
    )
    made = BankFile(
        id=new_id(),
        rail=rail,
        currency=currency,
        line_count=len(waiting),
        total_minor=sum(each.money.amount_minor for each in instructions),
        file_id=stored.id,
        created_by_id=actor.id,
        created_at=now,
    )
    session.add_all([stored, made])
    session.flush()
    for attempt in waiting:
        attempt.sends, attempt.sent_at, attempt.bank_file_id = attempt.sends + 1, now, made.id
        attempt.advance(AttemptState.UNKNOWN, at=now, detail=f"In file {made.number}; what became of it is not known yet.")
        audit.record(
            session, f"payout.in_{writer.thing}", attempt.payout, actor=actor, at=now, file=made.number, sha256=stored.sha256
        )
    audit.record(session, f"{writer.thing}.made", made, actor=actor, at=now, lines=made.line_count, total=str(made.total))
    return made


def _payee(attempt: PayoutAttempt) -> UUID:
    return attempt.payout.recipient_id


def import_answers(session: Session, stored: StoredFile, *, actor: Person, now: datetime) -> BankImport:
    """Take the bank's answers by reference: all lines, or none. The same file again changes nothing.

    Raises:
        InvalidInput: the file can't be read; names line and column.
        AnswerDoesNotFit: a line contradicts what we know, such as another amount.
    """
    answers = read_answers(files.read(stored))
    counts: Counter[str] = Counter()
    for line in answers:
        counts[_apply(session, line, stored, actor=actor, now=now)] += 1
    made = BankImport(id=new_id(), file_id=stored.id, imported_by_id=actor.id, imported_at=now, counts=dict(counts))
    session.add(made)
    session.flush()
    audit.record(session, "bank_answers.imported", made, actor=actor, at=now, sha256=stored.sha256, counts=dict(counts))
    for run_id in _touched_runs(session, [line.reference for line in answers]):
        sending.close_if_finished(session, run_id, now=now)
    return made


def _apply(session: Session, line: AnswerLine, stored: StoredFile, *, actor: Person, now: datetime) -> str:
    """Returns under which word the line is counted."""
    attempt_id = session.scalar(
        select(PayoutAttempt.id).where(PayoutAttempt.idem_key == line.reference, PayoutAttempt.rail == BankFileRail.name)
    )
    if attempt_id is None:
        return "not_ours"
    payout, attempt = records.locked(session, attempt_id)
    session.refresh(attempt, ["resolutions"])
    if line.money != attempt.money:
        raise _misfit(line, "amount", f"the bank says {line.money}, we sent {attempt.money}.")
    if attempt.bank_file_id is None:
        raise _misfit(line, "reference", "this payment has never been in a file.")
    if line.answer is Answer.PAID:
        return _paid(session, line, attempt, attempt.money, now=now)
    note = f"Bank: {line.answer} on {line.booked_on:%-d %b %Y}, {line.reason or 'no reason given'} (line {line.line})."
    return _not_paid(session, line, payout, attempt, stored, note, actor=actor, now=now)


def _paid(session: Session, line: AnswerLine, attempt: PayoutAttempt, money: Money, *, now: datetime) -> str:
    if attempt.state is AttemptState.ACCEPTED and attempt.remote_id == line.bank_reference:
        return "known"
    taken = session.scalars(
        select(PayoutAttempt.idem_key).where(
            PayoutAttempt.rail == attempt.rail, PayoutAttempt.remote_id == line.bank_reference, PayoutAttempt.id != attempt.id
        )
    ).one_or_none()
    if taken is not None:
        raise _misfit(line, "bank_reference", f"“{line.bank_reference}” already stands for {taken}.")
    records.accepted(session, attempt.id, Receipt(line.bank_reference, money), now=now)
    return "paid" if attempt.state is AttemptState.ACCEPTED and attempt.remote_id == line.bank_reference else "alarm"


def _not_paid(
    session: Session,
    line: AnswerLine,
    payout: Payout,
    attempt: PayoutAttempt,
    stored: StoredFile,
    note: str,
    *,
    actor: Person,
    now: datetime,
) -> str:
    outcome = Outcome.FAILED if line.answer is Answer.REJECTED else Outcome.RETURNED
    if attempt.state is AttemptState.FAILED or payout.status in {PayoutStatus.RETURNED, PayoutStatus.REVERSED}:
        return "known"
    if attempt.proposal is not None:
        return "known" if attempt.proposal.outcome is outcome else "contradicts_proposal"
    if outcome is Outcome.FAILED and attempt.state is AttemptState.ACCEPTED:
        raise _misfit(line, "status", "the bank confirmed this payment before; money that came back is “returned”.")
    if outcome is Outcome.RETURNED and attempt.state is not AttemptState.ACCEPTED:
        # Returned without a confirmation before it: first it was paid, and the return names that payment.
        if not line.bank_reference:
            raise _misfit(line, "bank_reference", "is empty; a payment that was made has one.")
        records.accepted(session, attempt.id, Receipt(line.bank_reference, line.money), now=now)
        session.flush()
    elif outcome is Outcome.FAILED:
        records.to_people(session, payout, attempt, note, now=now)
        session.flush()
    resolutions.propose(session, attempt.id, outcome=outcome, remote_id=None, evidence=stored, note=note, actor=actor, now=now)
    return "rejected_proposed" if outcome is Outcome.FAILED else "returned_proposed"


def _misfit(line: AnswerLine, column: str, sentence: str) -> AnswerDoesNotFit:
    return AnswerDoesNotFit(f"Line {line.line}, {column}: {sentence}", field="file", line=line.line, column=column)


def _touched_runs(session: Session, references: Sequence[str]) -> Sequence[UUID]:
    return session.scalars(
        select(Payout.run_id)
        .join(PayoutAttempt, PayoutAttempt.payout_id == Payout.id)
        .where(PayoutAttempt.idem_key.in_(references), Payout.run_id.is_not(None))
        .distinct()
    ).all()  # type: ignore[return-value]  # run_id is not null by the condition
