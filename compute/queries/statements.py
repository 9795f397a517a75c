"""What became of a donor's gift, month by month: given, used, idle, lost, for whom, and what it produced."""

import calendar
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import BigInteger, Select, cast, distinct, func, select
from sqlalchemy.orm import Session

from compute.models import (
    Artefact,
    AttemptDraw,
    AttemptStatus,
    ComputeOffer,
    Flavor,
    Job,
    JobAttempt,
    OfferStatus,
    Pool,
    UsageRecord,
)
from compute.queries.statement_entries import EntryLine, Moved, by_offer, entry_lines, in_flight
from core.errors import InvalidInput, NotFound
from core.identity.models import Organisation, Project

GIVEN = (OfferStatus.ACTIVE, OfferStatus.DRAINING, OfferStatus.EXPIRED, OfferStatus.CLOSED)


@dataclass(frozen=True, slots=True)
class OfferLine:
    """One offer in a month, in flavor ticks. carried + given = used + lost + lapsed + idle - ahead."""

    offer: ComputeOffer
    carried: int
    """What the months before leave: idle hours that can still be drawn, or, below zero, hours drawn ahead."""
    given: int
    """The part of the gift whose time fell into the month: the window's share, so that months add up to the gift."""
    used: int
    lost: int
    lapsed: int
    """Given, never used, and gone when the window closed in this month."""
    taken_back: int
    """The part of the gift for days after a window that the donor closed early: never given, so never lapsed."""
    in_flight_before: int
    """Held for jobs when the month began."""
    in_flight: int
    """Held for jobs at the end of the month."""
    ledger: Moved
    """The same month from the ledger's entries alone."""

    @property
    def idle(self) -> int:
        """Given so far, neither used nor lost, and still there."""
        return max(0, self.carried + self.given - self.used - self.lost) - self.lapsed

    @property
    def ahead(self) -> int:
        """Drawn so far beyond what was given so far: hours of the window's later days."""
        return max(0, self.used + self.lost - self.given - self.carried)

    @property
    def proved(self) -> bool:
        """Whether the ledger says what the metered usage says, and every hold has its one ending."""
        entries = self.ledger
        return (entries.used, entries.lost, entries.other) == (self.used, self.lost, 0) and (
            self.in_flight_before + entries.held == self.used + self.lost + entries.returned + self.in_flight
        )


@dataclass(frozen=True, slots=True)
class ProjectLine:
    """What one project did with one flavor of the donor's time."""

    project: Project
    flavor: Flavor
    held: int
    """Reserved in this month for its jobs that started."""
    used: int
    lost: int
    returned: int
    """Held and given back, because its jobs needed less than they had declared."""
    reference: int
    """Reference ticks the project was charged for attempts that drew on the donor, its other donors' parts included."""
    jobs: int
    succeeded: int
    failed: int
    tests_passed: int
    artefacts: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A donor's month."""

    donor: Organisation
    first: date
    until: datetime
    """The end of the month, or now if it isn't over."""
    offers: Sequence[OfferLine]
    projects: Sequence[ProjectLine]
    jobs: Sequence[Job]
    """The newest jobs that drew on the donor."""
    entries: Sequence[EntryLine]
    """The ledger's entries on the donor's offers in the month, oldest first."""

    @property
    def proved(self) -> bool:
        """Whether every line agrees with the ledger."""
        return all(line.proved for line in self.offers)

    @property
    def month(self) -> str:
        return f"{self.first:%Y-%m}"

    @property
    def title(self) -> str:
        return f"{calendar.month_name[self.first.month]} {self.first.year}"

    @property
    def flavors(self) -> list["FlavorTotal"]:
        """Totals per kind of accelerator: hours of different kinds are never added up."""
        totals: dict[str, FlavorTotal] = {}
        for line in self.offers:
            total = totals.setdefault(line.offer.flavor.slug, FlavorTotal(line.offer.flavor))
            total.add(line)
        return [totals[slug] for slug in sorted(totals)]


@dataclass(slots=True)
class FlavorTotal:
    """All of a donor's offers of one flavor in a month."""

    flavor: Flavor
    carried: int = 0
    given: int = 0
    held: int = 0
    used: int = 0
    lost: int = 0
    returned: int = 0
    lapsed: int = 0
    idle: int = 0
    ahead: int = 0
    in_flight: int = 0

    def add(self, line: OfferLine) -> None:
        """Count an offer in."""
        for name in ("carried", "given", "used", "lost", "lapsed", "idle", "ahead", "in_flight"):
            setattr(self, name, getattr(self, name) + getattr(line, name))
        self.held += line.ledger.held
        self.returned += line.ledger.returned


def donor_named(session: Session, slug: str) -> Organisation:
    """An organisation that gave or offered GPU time.

    Raises:
        NotFound: there is none of this name, or it never offered any.
    """
    donor = session.scalars(
        select(Organisation).where(
            Organisation.slug == slug, select(ComputeOffer.id).where(ComputeOffer.donor_id == Organisation.id).exists()
        )
    ).first()
    if donor is None:
        raise NotFound(f"No compute donor is called “{slug}”.")
    return donor


def parse_month(text: str) -> date:
    """The first day of a month written `2026-11`.

    Raises:
        InvalidInput: not written like that.
    """
    found = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", text)
    if found is None:
        raise InvalidInput(f"“{text[:20]}” is not a month; write it like 2026-11.", field="month")
    return date(int(found[1]), int(found[2]), 1)


def months(session: Session, donor: Organisation, *, now: datetime) -> list[date]:
    """The months there is a statement for, newest first."""
    first = session.scalar(
        select(func.min(ComputeOffer.opens_at)).where(ComputeOffer.donor_id == donor.id, ComputeOffer.status.in_(GIVEN))
    )
    if first is None or first > now:
        return []
    found = []
    month = now.date().replace(day=1)
    while month >= first.date().replace(day=1):
        found.append(month)
        month = (month - timedelta(days=1)).replace(day=1)
    return found


def statement(session: Session, donor: Organisation, first: date, *, now: datetime) -> Statement:
    """A donor's month. Usage counts in the month it was settled in."""
    begin = datetime(first.year, first.month, 1, tzinfo=UTC)
    end = (begin + timedelta(days=32)).replace(day=1)
    until = max(begin, min(end, now))
    offers = session.scalars(
        select(ComputeOffer)
        .where(ComputeOffer.donor_id == donor.id, ComputeOffer.status.in_(GIVEN))
        .order_by(ComputeOffer.closes_at, ComputeOffer.id)
    ).all()
    entries = entry_lines(session, offers, since=begin, until=end)
    return Statement(
        donor=donor,
        first=first,
        until=until,
        offers=_offer_lines(session, offers, by_offer(entries), begin, end, until),
        projects=_project_lines(session, donor, begin, end),
        jobs=session.scalars(
            select(Job).where(Job.id.in_(_jobs_drawing(donor, begin, end))).order_by(Job.id.desc()).limit(20)
        ).all(),
        entries=entries,
    )


def given_until(offer: ComputeOffer, moment: datetime) -> int:
    """The part of a gift whose time has passed by a moment, in ticks: its window's share, rounded down."""
    window = _microseconds(offer.declared_closes_at - offer.opens_at)
    passed = _microseconds(min(moment, offer.closes_at) - offer.opens_at)
    return offer.given_ticks * max(0, min(passed, window)) // window


def _offer_lines(
    session: Session,
    offers: Sequence[ComputeOffer],
    moved: Mapping[UUID, Moved],
    begin: datetime,
    end: datetime,
    until: datetime,
) -> list[OfferLine]:
    before, within = UsageRecord.at < begin, UsageRecord.at >= begin
    drawn = {
        row[0]: tuple(int(value or 0) for value in row[1:])
        for row in session.execute(
            select(
                AttemptDraw.offer_id,
                func.sum(AttemptDraw.used_ticks + AttemptDraw.lost_ticks).filter(before),
                func.sum(AttemptDraw.used_ticks).filter(within),
                func.sum(AttemptDraw.lost_ticks).filter(within),
            )
            .join(UsageRecord, UsageRecord.attempt_id == AttemptDraw.attempt_id)
            .where(AttemptDraw.offer_id.in_([offer.id for offer in offers]), UsageRecord.at < end)
            .group_by(AttemptDraw.offer_id)
        )
    }
    held_before, held_after = in_flight(session, offers, begin), in_flight(session, offers, end)
    lines = []
    for offer in offers:
        drawn_before, used, lost = drawn.get(offer.id, (0, 0, 0))
        entries = moved.get(offer.id, Moved())
        given_before = given_until(offer, begin)
        given = given_until(offer, until) - given_before
        taken_back = _taken_back(offer, drawn_before + used + lost) if entries.written_off else 0
        if given or used or lost or entries != Moved():
            lines.append(
                OfferLine(
                    offer=offer,
                    carried=given_before - drawn_before,
                    given=given,
                    used=used,
                    lost=lost,
                    lapsed=max(0, entries.written_off - taken_back),
                    taken_back=taken_back,
                    in_flight_before=held_before.get(offer.id, 0),
                    in_flight=held_after.get(offer.id, 0),
                    ledger=entries,
                )
            )
    return lines


def _taken_back(offer: ComputeOffer, drawn: int) -> int:
    """What was written off at an early end and had never been given: the later days' share, less what was drawn ahead of it."""
    spread = given_until(offer, offer.closes_at)
    return offer.given_ticks - spread - max(0, drawn - spread)


def _project_lines(session: Session, donor: Organisation, begin: datetime, end: datetime) -> list[ProjectLine]:
    tests = cast(JobAttempt.test_summary["passed"].astext, BigInteger)
    per_attempt = (
        select(
            AttemptDraw.attempt_id,
            func.sum(AttemptDraw.used_ticks).label("used"),
            func.sum(AttemptDraw.lost_ticks).label("lost"),
            func.sum(AttemptDraw.held_ticks).label("held"),
        )
        .join(ComputeOffer, ComputeOffer.id == AttemptDraw.offer_id)
        .where(ComputeOffer.donor_id == donor.id)
        .group_by(AttemptDraw.attempt_id)
        .subquery()
    )
    kept = select(func.count(Artefact.id)).where(Artefact.attempt_id == JobAttempt.id).correlate(JobAttempt).scalar_subquery()
    rows = session.execute(
        select(
            Job.project_id,
            Pool.flavor_id,
            func.sum(per_attempt.c.used),
            func.sum(per_attempt.c.lost),
            func.sum(per_attempt.c.held - per_attempt.c.used - per_attempt.c.lost),
            func.sum(UsageRecord.reference_ticks),
            func.count(distinct(Job.id)),
            func.count().filter(JobAttempt.status == AttemptStatus.SUCCEEDED),
            func.count().filter(JobAttempt.status.in_([AttemptStatus.FAILED, AttemptStatus.TIMED_OUT])),
            func.coalesce(func.sum(tests), 0),
            func.coalesce(func.sum(kept), 0),
        )
        .select_from(per_attempt)
        .join(JobAttempt, JobAttempt.id == per_attempt.c.attempt_id)
        .join(UsageRecord, UsageRecord.attempt_id == JobAttempt.id)
        .join(Job, Job.id == JobAttempt.job_id)
        .join(Pool, Pool.id == JobAttempt.pool_id)
        .where(UsageRecord.at >= begin, UsageRecord.at < end)
        .group_by(Job.project_id, Pool.flavor_id)
    ).all()
    held = _held_by_project(session, donor, begin, end)
    settled = {(row[0], row[1]): tuple(int(value) for value in row[2:]) for row in rows}
    both = held.keys() | settled.keys()
    projects = {p.id: p for p in session.scalars(select(Project).where(Project.id.in_({key[0] for key in both})))}
    flavors = {f.id: f for f in session.scalars(select(Flavor).where(Flavor.id.in_({key[1] for key in both})))}
    nothing = (0,) * 9
    lines = [ProjectLine(projects[key[0]], flavors[key[1]], held.get(key, 0), *settled.get(key, nothing)) for key in both]
    return sorted(lines, key=lambda line: (-line.used, line.project.name, line.flavor.slug))


def _held_by_project(session: Session, donor: Organisation, begin: datetime, end: datetime) -> dict[tuple[UUID, UUID], int]:
    rows = session.execute(
        select(Job.project_id, Pool.flavor_id, func.sum(AttemptDraw.held_ticks))
        .join(JobAttempt, JobAttempt.job_id == Job.id)
        .join(Pool, Pool.id == JobAttempt.pool_id)
        .join(AttemptDraw, AttemptDraw.attempt_id == JobAttempt.id)
        .join(ComputeOffer, ComputeOffer.id == AttemptDraw.offer_id)
        .where(ComputeOffer.donor_id == donor.id, JobAttempt.held_at >= begin, JobAttempt.held_at < end)
        .group_by(Job.project_id, Pool.flavor_id)
    )
    return {(project_id, flavor_id): int(ticks) for project_id, flavor_id, ticks in rows}


def _jobs_drawing(donor: Organisation, begin: datetime, end: datetime) -> Select[UUID]:
    return (
        select(JobAttempt.job_id)
        .join(AttemptDraw, AttemptDraw.attempt_id == JobAttempt.id)
        .join(ComputeOffer, ComputeOffer.id == AttemptDraw.offer_id)
        .join(UsageRecord, UsageRecord.attempt_id == JobAttempt.id)
        .where(ComputeOffer.donor_id == donor.id, UsageRecord.at >= begin, UsageRecord.at < end)
    )


def _microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
