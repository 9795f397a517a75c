"""Reads: what is due, what is on its way, what needs people, and what a run came to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, contains_eager, joinedload, selectinload

from core.db import among
from core.errors import NotFound
from core.identity.models import Person
from core.money import Money
from payouts.models import (
    Alarm,
    AttemptState,
    BankFile,
    BankImport,
    Destination,
    DestinationLook,
    Notice,
    PayeeDocument,
    Payout,
    PayoutAttempt,
    PayoutRule,
    PayoutStatus,
    RailSwitch,
    Recipient,
    Resolution,
    Run,
    RunApproval,
    RunStatus,
)


@dataclass(frozen=True)
class Filter:
    """Which payouts of the console."""

    status: PayoutStatus | None = None
    rail: str | None = None
    currency: str | None = None
    due_by: date | None = None
    free: bool = False
    """Only drafts that are in no run yet."""


def payouts(wanted: Filter) -> Select[Payout]:
    """Payouts, for a keyset page."""
    query = select(Payout).options(joinedload(Payout.recipient), joinedload(Payout.destination), joinedload(Payout.run))
    if wanted.status is not None:
        query = query.where(Payout.status == wanted.status)
    if wanted.rail:
        query = query.where(Payout.rail == wanted.rail)
    if wanted.currency:
        query = query.where(Payout.currency == wanted.currency)
    if wanted.due_by is not None:
        query = query.where(Payout.due_on <= wanted.due_by)
    if wanted.free:
        query = query.where(Payout.status == PayoutStatus.DRAFT, Payout.run_id.is_(None))
    return query


def due_totals(session: Session, *, on: date) -> list[tuple[Money, int]]:
    """What is due and in no run yet, per currency: (sum, number)."""
    rows = session.execute(
        select(Payout.currency, func.sum(Payout.amount_minor), func.count())
        .where(Payout.status == PayoutStatus.DRAFT, Payout.run_id.is_(None), Payout.due_on <= on)
        .group_by(Payout.currency)
        .order_by(Payout.currency)
    )
    return [(Money(int(total), currency), count) for currency, total, count in rows]


def waiting_in_runs(session: Session) -> Mapping[tuple[str, str], Money]:
    """What lines of runs that are not reserved yet come to, by rail and currency."""
    rows = session.execute(
        select(Payout.rail, Payout.currency, func.sum(Payout.amount_minor))
        .where(Payout.run_id.is_not(None), Payout.status.in_([PayoutStatus.DRAFT, PayoutStatus.APPROVED]))
        .group_by(Payout.rail, Payout.currency)
    )
    return {(rail or "", currency): Money(int(total), currency) for rail, currency, total in rows}


def counts_by_status(session: Session) -> Mapping[PayoutStatus, int]:
    rows = session.execute(select(Payout.status, func.count()).group_by(Payout.status))
    found = {status: count for status, count in rows}  # noqa: C416 - rows are no pairs to mypy
    return {status: found.get(status, 0) for status in PayoutStatus}


def payout(session: Session, payout_id: UUID) -> Payout:
    """One payout with all that its page shows.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.scalars(
        select(Payout)
        .where(Payout.id == payout_id)
        .options(
            joinedload(Payout.recipient),
            joinedload(Payout.destination),
            joinedload(Payout.run),
            selectinload(Payout.attempts).selectinload(PayoutAttempt.resolutions).joinedload(Resolution.evidence),
        )
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such payout.")
    return found


def runs() -> Select[Run]:
    """Runs, for a keyset page."""
    return select(Run).options(joinedload(Run.prepared_by))


def run(session: Session, run_id: UUID) -> Run:
    """One run with its lines and approvals.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.scalars(
        select(Run)
        .where(Run.id == run_id)
        .options(
            joinedload(Run.prepared_by),
            selectinload(Run.payouts).selectinload(Payout.recipient),
            selectinload(Run.payouts).selectinload(Payout.destination),
            selectinload(Run.payouts).selectinload(Payout.attempts),
            selectinload(Run.approvals).joinedload(RunApproval.approver),
        )
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such run.")
    return found


def run_by_number(session: Session, number: int) -> Run:
    """The run people call “Run <number>”, without its lines.

    Raises:
        NotFound: there is none of this number.
    """
    found = session.scalars(runs().where(Run.number == number)).one_or_none()
    if found is None:
        raise NotFound(f"There is no run {number}; `pledgeworks payouts run list` shows those there are.")
    return found


@dataclass(frozen=True)
class RunTotals:
    """A run in numbers."""

    lines: int
    total: Money
    by_status: Mapping[PayoutStatus, int]
    paid: Money


def run_totals(session: Session, run: Run) -> RunTotals:
    rows = session.execute(
        select(Payout.status, func.count(), func.sum(Payout.amount_minor)).where(Payout.run_id == run.id).group_by(Payout.status)
    ).all()
    return RunTotals(
        lines=sum(count for _, count, _ in rows),
        total=Money(sum(int(amount) for _, _, amount in rows), run.currency),
        by_status={status: count for status, count, _ in rows},
        paid=Money(sum(int(amount) for status, _, amount in rows if status is PayoutStatus.PAID), run.currency),
    )


def first_time(session: Session, lines: Sequence[Payout]) -> set[UUID]:
    """The payouts whose destination has never been paid before: those an approver should look at twice."""
    places = {line.destination_id for line in lines if line.destination_id is not None}
    paid = set(
        session.scalars(
            select(Payout.destination_id).where(among(Payout.destination_id, places), Payout.paid_at.is_not(None)).distinct()
        )
    )
    return {line.id for line in lines if line.destination_id not in paid}


def attempts_for_people(session: Session) -> Sequence[PayoutAttempt]:
    """Unknown attempts and those on the people's desk, the longest waiting first."""
    return session.scalars(
        select(PayoutAttempt)
        .where(PayoutAttempt.state.in_([AttemptState.UNKNOWN, AttemptState.HUMAN]))
        .options(
            joinedload(PayoutAttempt.payout).joinedload(Payout.recipient),
            joinedload(PayoutAttempt.payout).joinedload(Payout.destination),
            joinedload(PayoutAttempt.payout).joinedload(Payout.run),
            selectinload(PayoutAttempt.resolutions).joinedload(Resolution.evidence),
            selectinload(PayoutAttempt.resolutions).joinedload(Resolution.proposed_by),
        )
        .order_by(PayoutAttempt.changed_at)
        .limit(500)
    ).all()


def returns_for_people(session: Session) -> Sequence[Resolution]:
    """Findings about money that came back, waiting for their second person."""
    return session.scalars(
        select(Resolution)
        .join(PayoutAttempt, PayoutAttempt.id == Resolution.attempt_id)
        .where(Resolution.decided_at.is_(None), PayoutAttempt.state == AttemptState.ACCEPTED)
        .options(
            joinedload(Resolution.attempt).joinedload(PayoutAttempt.payout).joinedload(Payout.recipient),
            joinedload(Resolution.evidence),
            joinedload(Resolution.proposed_by),
        )
        .order_by(Resolution.proposed_at)
    ).all()


def refused(session: Session) -> Sequence[Payout]:
    """Reserved payouts whose last attempt failed: a person tries again, takes back, or cancels."""
    live = select(PayoutAttempt.id).where(PayoutAttempt.payout_id == Payout.id, PayoutAttempt.state != AttemptState.FAILED)
    return session.scalars(
        select(Payout)
        .where(Payout.status == PayoutStatus.RESERVED, ~live.exists())
        .options(joinedload(Payout.recipient), selectinload(Payout.attempts))
        .order_by(Payout.id)
        .limit(500)
    ).all()


def attempt(session: Session, attempt_id: UUID) -> PayoutAttempt:
    """One attempt.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.get(PayoutAttempt, attempt_id, options=[joinedload(PayoutAttempt.payout)])
    if found is None:
        raise NotFound("There is no such attempt.")
    return found


def open_alarms(session: Session) -> Sequence[Alarm]:
    return session.scalars(select(Alarm).where(Alarm.closed_at.is_(None)).order_by(Alarm.raised_at)).all()


def switches(session: Session) -> Mapping[str, RailSwitch]:
    return {row.rail: row for row in session.scalars(select(RailSwitch).options(joinedload(RailSwitch.changed_by)))}


def rules(session: Session) -> Sequence[PayoutRule]:
    """Every number there ever was, by kind and newest first."""
    return session.scalars(
        select(PayoutRule)
        .options(joinedload(PayoutRule.set_by))
        .order_by(PayoutRule.kind, PayoutRule.currency, PayoutRule.rail, PayoutRule.valid_from.desc(), PayoutRule.id.desc())
    ).all()


def recipients(search: str | None) -> Select[Recipient]:
    """Recipients, for a keyset page."""
    query = select(Recipient).options(selectinload(Recipient.destinations))
    if search:
        query = query.where(Recipient.name.icontains(search, autoescape=True))
    return query


def recipient(session: Session, recipient_id: UUID) -> Recipient:
    """One recipient with its destinations, the newest first.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.scalars(
        select(Recipient)
        .where(Recipient.id == recipient_id)
        .options(
            selectinload(Recipient.destinations).joinedload(Destination.created_by),
            selectinload(Recipient.destinations).joinedload(Destination.look).joinedload(DestinationLook.looked_by),
        )
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such recipient.")
    return found


def documents(session: Session, recipient_id: UUID) -> Sequence[PayeeDocument]:
    """What was noted of a recipient's documents, the newest first."""
    return session.scalars(
        select(PayeeDocument)
        .where(PayeeDocument.recipient_id == recipient_id)
        .options(joinedload(PayeeDocument.recorded_by), joinedload(PayeeDocument.ended_by))
        .order_by(PayeeDocument.recorded_at.desc(), PayeeDocument.id)
    ).all()


def places(session: Session, recipient_ids: Collection[UUID]) -> Sequence[Destination]:
    """Every destination in use of these recipients, on whatever rail."""
    return session.scalars(
        select(Destination)
        .where(among(Destination.recipient_id, recipient_ids), Destination.retired_at.is_(None))
        .options(joinedload(Destination.look))
        .order_by(Destination.created_at)
    ).all()


def to_look_at(session: Session) -> Sequence[Destination]:
    """Destinations in use that no second person has compared yet, the longest waiting first."""
    return session.scalars(
        select(Destination)
        .outerjoin(DestinationLook, DestinationLook.destination_id == Destination.id)
        .where(Destination.retired_at.is_(None), DestinationLook.id.is_(None))
        .options(joinedload(Destination.recipient), joinedload(Destination.created_by))
        .order_by(Destination.created_at)
        .limit(200)
    ).all()


def notices(session: Session, recipient_id: UUID | None = None) -> Sequence[Notice]:
    """What recipients must be told and nobody told them yet; of one recipient, also what they were told."""
    query = select(Notice).options(joinedload(Notice.recipient), joinedload(Notice.told_by)).order_by(Notice.created_at.desc())
    if recipient_id is None:
        return session.scalars(query.where(Notice.told_at.is_(None))).all()
    return session.scalars(query.where(Notice.recipient_id == recipient_id)).all()


def canary_before(session: Session, payout: Payout) -> Payout | None:
    """The first payout on the rail of a line's run, while it is another one and not accepted yet."""
    return session.scalars(
        select(Payout).where(
            Payout.run_id == payout.run_id,
            Payout.rail == payout.rail,
            Payout.is_canary,
            Payout.paid_at.is_(None),
            Payout.id != payout.id,
        )
    ).first()


def waiting_for_file(session: Session, rail: str = "bank_file") -> list[tuple[Money, int]]:
    """Payments that go into the rail's next file, per currency: (sum, number)."""
    rows = session.execute(
        select(Payout.currency, func.sum(Payout.amount_minor - Payout.carried_minor), func.count())
        .where(Payout.id.in_(_for_file(rail, stopped=False)))
        .group_by(Payout.currency)
        .order_by(Payout.currency)
    )
    return [(Money(int(total), currency), count) for currency, total, count in rows]


def left_out_of_files(session: Session, rail: str = "bank_file") -> Sequence[Payout]:
    """What no file takes along, because its payee is on hold or its destination out of use."""
    return session.scalars(
        select(Payout)
        .where(Payout.id.in_(_for_file(rail, stopped=True)))
        .options(joinedload(Payout.recipient), joinedload(Payout.destination))
        .order_by(Payout.due_on, Payout.id)
    ).all()


def _for_file(rail: str, *, stopped: bool) -> Select[UUID]:
    """The payouts that wait for a rail's next file: those it leaves out, or the others."""
    left_out = or_(Recipient.held_reason.is_not(None), Destination.retired_at.is_not(None))
    return (
        select(Payout.id)
        .join(PayoutAttempt, PayoutAttempt.payout_id == Payout.id)
        .join(Recipient, Recipient.id == Payout.recipient_id)
        .join(Destination, Destination.id == Payout.destination_id)
        .where(PayoutAttempt.rail == rail, PayoutAttempt.state == AttemptState.SENDING, PayoutAttempt.bank_file_id.is_(None))
        .where(left_out if stopped else ~left_out)
    )


def bank_files(session: Session, rail: str = "bank_file") -> Sequence[BankFile]:
    return session.scalars(
        select(BankFile)
        .where(BankFile.rail == rail)
        .options(joinedload(BankFile.file), joinedload(BankFile.created_by))
        .order_by(BankFile.number.desc())
        .limit(50)
    ).all()


def bank_file(session: Session, file_id: UUID) -> BankFile:
    """One file.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.get(BankFile, file_id, options=[joinedload(BankFile.file)])
    if found is None:
        raise NotFound("There is no such bank file.")
    return found


def sponsor_file(session: Session, file_id: UUID) -> BankFile:
    """One file for GitHub Sponsors.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.get(BankFile, file_id, options=[joinedload(BankFile.file), joinedload(BankFile.created_by)])
    if found is None or found.rail != "github_sponsors":
        raise NotFound("There is no such file for GitHub.")
    return found


def lines_of_file(session: Session, file_id: UUID) -> Sequence[PayoutAttempt]:
    """The attempts that left in a file, by recipient, with what people found out about them."""
    return session.scalars(
        select(PayoutAttempt)
        .join(Payout, Payout.id == PayoutAttempt.payout_id)
        .join(Recipient, Recipient.id == Payout.recipient_id)
        .where(PayoutAttempt.bank_file_id == file_id)
        .options(
            contains_eager(PayoutAttempt.payout).contains_eager(Payout.recipient),
            selectinload(PayoutAttempt.resolutions).joinedload(Resolution.proposed_by),
            selectinload(PayoutAttempt.resolutions).joinedload(Resolution.evidence),
        )
        .order_by(Recipient.name, PayoutAttempt.idem_key)
    ).all()


def bank_imports(session: Session) -> Sequence[BankImport]:
    return session.scalars(
        select(BankImport)
        .options(joinedload(BankImport.file), joinedload(BankImport.imported_by))
        .order_by(BankImport.imported_at.desc())
        .limit(50)
    ).all()


def sending_runs(session: Session) -> Sequence[UUID]:
    return session.scalars(select(Run.id).where(Run.status == RunStatus.SENDING).order_by(Run.number)).all()


def unfinished(session: Session, run_id: UUID | None = None) -> Sequence[UUID]:
    """Payouts of running runs that a worker may be able to carry further, in their order."""
    query = (
        select(Payout.id)
        .join(Run, Run.id == Payout.run_id)
        .where(Run.status == RunStatus.SENDING, Payout.status.in_([PayoutStatus.APPROVED, PayoutStatus.RESERVED]))
        .order_by(Payout.is_canary.desc(), Payout.id)
    )
    return session.scalars(query if run_id is None else query.where(Run.id == run_id)).all()


def runs_to_approve(session: Session, person: Person) -> int:
    """How many drafts wait for an approval this person could give."""
    given = select(RunApproval.id).where(
        RunApproval.run_id == Run.id, RunApproval.approver_id == person.id, RunApproval.voided_at.is_(None)
    )
    query = select(func.count()).select_from(Run)
    return session.scalar(query.where(Run.status == RunStatus.DRAFT, Run.prepared_by_id != person.id, ~given.exists())) or 0


def count_for_people(session: Session) -> int:
    """Attempts on the people's desk, and findings about returned money that wait for a second person."""
    human = select(func.count()).select_from(PayoutAttempt).where(PayoutAttempt.state == AttemptState.HUMAN)
    returned = (
        select(func.count())
        .select_from(Resolution)
        .join(PayoutAttempt, PayoutAttempt.id == Resolution.attempt_id)
        .where(Resolution.decided_at.is_(None), PayoutAttempt.state == AttemptState.ACCEPTED)
    )
    return (session.scalar(human) or 0) + (session.scalar(returned) or 0)
