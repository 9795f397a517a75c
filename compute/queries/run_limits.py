"""Limits of projects and people, and what they leave."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, joinedload

from compute.models import Job, JobAttempt, RunLimit
from compute.queries import attempts
from compute.scheduling import Limit


@dataclass(slots=True)
class Limits:
    """The limits that hold for some projects and people, and what these run now."""

    projects: Mapping[UUID, Limit]
    people: Mapping[UUID, Limit]
    everybody: Limit
    _jobs: dict[UUID, int] = field(default_factory=dict)
    _gpus: dict[UUID, int] = field(default_factory=dict)

    def of_project(self, project_id: UUID) -> Limit:
        return self.projects.get(project_id, Limit())

    def of_person(self, person_id: UUID | None) -> Limit:
        return Limit() if person_id is None else self.people.get(person_id, self.everybody)

    def lets_start(self, job: Job, gpus: int) -> bool:
        """Whether one more job, which takes so many, fits beside what its project and its submitter run."""
        return all(
            (limit.jobs is None or self._jobs.get(whose, 0) < limit.jobs)
            and (limit.gpus is None or self._gpus.get(whose, 0) + gpus <= limit.gpus)
            for whose, limit in self._of(job)
        )

    def started(self, job: Job, gpus: int) -> None:
        """It runs, too."""
        for whose, _ in self._of(job):
            self.add(whose, 1, gpus)

    def add(self, whose: UUID, jobs: int, gpus: int) -> None:
        """So much more runs of somebody."""
        self._jobs[whose] = self._jobs.get(whose, 0) + jobs
        self._gpus[whose] = self._gpus.get(whose, 0) + gpus

    def _of(self, job: Job) -> list[tuple[UUID, Limit]]:
        found = [(job.project_id, self.of_project(job.project_id))]
        if job.submitted_by_id is not None:
            found.append((job.submitted_by_id, self.of_person(job.submitted_by_id)))
        return [(whose, limit) for whose, limit in found if limit != Limit()]


def all_limits(session: Session) -> Sequence[RunLimit]:
    """Every limit that was set: everybody's first, then projects, then people."""
    rows = session.scalars(select(RunLimit).options(joinedload(RunLimit.set_by))).all()
    return sorted(rows, key=lambda row: (row.project_id is not None or row.person_id is not None, row.project is None, row.whose))


def found(
    session: Session, *, project_id: UUID | None = None, person_id: UUID | None = None, lock: bool = False
) -> RunLimit | None:
    """The limit of a project or a person; of everybody if neither is named."""
    query = select(RunLimit).where(
        RunLimit.project_id.is_not_distinct_from(project_id), RunLimit.person_id.is_not_distinct_from(person_id)
    )
    if lock:
        query = query.with_for_update(of=RunLimit).execution_options(populate_existing=True)
    return session.scalars(query).first()


def holding(session: Session, project_ids: Collection[UUID], person_ids: Collection[UUID]) -> Limits:
    """The limits of these projects and people."""
    return _read(session, project_ids, person_ids, lock=False)


def to_start(session: Session, jobs: Collection[Job]) -> Limits:
    """The limits that starts of these jobs have to keep, with what runs now. Nobody else starts under them meanwhile."""
    project_ids = {job.project_id for job in jobs}
    person_ids = {job.submitted_by_id for job in jobs if job.submitted_by_id is not None}
    limits = _read(session, project_ids, person_ids, lock=True)
    for column, limited in (
        (Job.project_id, {each for each in project_ids if limits.of_project(each) != Limit()}),
        (Job.submitted_by_id, {each for each in person_ids if limits.of_person(each) != Limit()}),
    ):
        if limited:
            rows = session.execute(
                select(column, func.count(), func.sum(JobAttempt.gpus))
                .join(JobAttempt, JobAttempt.job_id == Job.id)
                .where(attempts.OPEN, column.in_(limited))
                .group_by(column)
            )
            for whose, count, gpus in rows:
                assert whose is not None
                limits.add(whose, count, int(gpus))
    return limits


def _read(session: Session, project_ids: Collection[UUID], person_ids: Collection[UUID], *, lock: bool) -> Limits:
    query = (
        select(RunLimit)
        .where(
            or_(
                RunLimit.project_id.in_(project_ids),
                RunLimit.person_id.in_(person_ids),
                and_(RunLimit.project_id.is_(None), RunLimit.person_id.is_(None)),
            )
        )
        .order_by(RunLimit.id)
    )
    if lock:
        query = query.with_for_update(of=RunLimit).execution_options(populate_existing=True)
    rows = session.scalars(query).all()
    as_limit = {row.id: Limit(row.jobs, row.gpus) for row in rows}
    return Limits(
        projects={row.project_id: as_limit[row.id] for row in rows if row.project_id is not None},
        people={row.person_id: as_limit[row.id] for row in rows if row.person_id is not None},
        everybody=next((as_limit[row.id] for row in rows if row.project_id is None and row.person_id is None), Limit()),
    )
