"""What the ledger says of a donor's month: each entry on the offers' accounts, and what it did to the gift."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from compute.models import AttemptDraw, ComputeOffer, JobAttempt
from core import ledger
from core.ledger import Phase, Touch


@dataclass(slots=True)
class Moved:
    """What entries did to an offer's hours, in flavor ticks.

    in flight before + held = used + lost + returned + in flight after: a hold ends exactly once.
    """

    given: int = 0
    """The whole gift, when its window opened."""
    held: int = 0
    """Reserved for jobs that started: their whole declared time."""
    used: int = 0
    lost: int = 0
    """Burnt by failures of the infrastructure: the project has it back, the donor's hours are gone."""
    returned: int = 0
    """Held and given back to the offer, because a job needed less than it had declared, or its infrastructure failed."""
    written_off: int = 0
    """What nobody used when the window closed."""
    other: int = 0
    """Moved by entries of a kind that no statement explains: it proves nothing while there is one."""

    def add(self, other: "Moved") -> None:
        """Count another's in."""
        self.given += other.given
        self.held += other.held
        self.used += other.used
        self.lost += other.lost
        self.returned += other.returned
        self.written_off += other.written_off
        self.other += other.other


@dataclass(frozen=True, slots=True)
class EntryLine:
    """One transfer of the ledger on an offer's account."""

    offer: ComputeOffer
    entry_id: UUID
    at: datetime
    what: str
    memo: str
    moved: Moved


def entry_lines(session: Session, offers: Sequence[ComputeOffer], *, since: datetime, until: datetime) -> list[EntryLine]:
    """Every entry on these offers' accounts in a time, oldest first."""
    by_account = {offer.ledger_account: offer for offer in offers}
    touches = ledger.touching(session, list(by_account), since=since, until=until)
    return [
        EntryLine(by_account[touch.account], touch.entry_id, touch.at, _what(touch), touch.memo, _moved(touch))
        for touch in touches
    ]


def by_offer(lines: Iterable[EntryLine]) -> dict[UUID, Moved]:
    """The sums of each offer's entries."""
    sums: dict[UUID, Moved] = {}
    for line in lines:
        sums.setdefault(line.offer.id, Moved()).add(line.moved)
    return sums


def in_flight(session: Session, offers: Sequence[ComputeOffer], at: datetime) -> dict[UUID, int]:
    """What was held on each offer just before a moment: attempts that had begun to hold and were not settled."""
    rows = session.execute(
        select(AttemptDraw.offer_id, func.sum(AttemptDraw.held_ticks))
        .join(JobAttempt, JobAttempt.id == AttemptDraw.attempt_id)
        .where(
            AttemptDraw.offer_id.in_([offer.id for offer in offers]),
            JobAttempt.held_at < at,
            JobAttempt.settled_at.is_(None) | (JobAttempt.settled_at >= at),
        )
        .group_by(AttemptDraw.offer_id)
    )
    return {offer_id: int(ticks) for offer_id, ticks in rows}


def _what(touch: Touch) -> str:
    return touch.phase.value if touch.phase is not Phase.DIRECT else touch.kind.removeprefix("gpu.")


def _moved(touch: Touch) -> Moved:  # noqa: PLR0911 - one line for each kind
    match touch.phase, touch.kind:
        case Phase.HOLD, _:
            return Moved(held=touch.amount)
        case Phase.SETTLE, _:
            return Moved(used=touch.amount, returned=(touch.held_amount or touch.amount) - touch.amount)
        case ((Phase.VOID | Phase.EXPIRE), _):
            return Moved(returned=touch.held_amount or touch.amount)
        case _, "gpu.gift":
            return Moved(given=touch.amount)
        case _, "gpu.loss":
            # Its hold was given back whole a moment before, in the same transaction; this takes from what came back.
            return Moved(lost=touch.amount, returned=-touch.amount)
        case _, "gpu.unused":
            return Moved(written_off=touch.amount)
    return Moved(other=touch.amount)
