"""How much one project and one person may have running at a time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from compute.scheduling.model import Instant, Job, Limit, Project, Reason, Running


@dataclass(frozen=True, slots=True)
class Reached:
    """The limit in a job's way."""

    reason: Reason
    on: str  # "jobs" or "gpus"
    limit: int
    in_use: int


class Limits:
    """Who runs how much during one pass, what was started in it included."""

    def __init__(self, projects: Iterable[Project], submitter_limits: Mapping[UUID, Limit], running: Iterable[Running]) -> None:
        self._projects = {project.id: project.limit for project in projects}
        self._submitters = submitter_limits
        self._jobs: dict[UUID, int] = {}
        self._gpus: dict[UUID, int] = {}
        self._promised: dict[UUID, list[tuple[Instant, int]]] = {}
        for job in running:
            self._count(job.project_id, job.submitter_id, job.gpus)

    def reached(self, job: Job, *, ends_by: Instant) -> Reached | None:
        """The limit that running this job until `ends_by` would break, if any.

        A promised job of the same project or person counts as soon as this one would still run when its turn comes, so that
        a job let through the gaps can't hold up the promise by filling the limit.
        """
        found = self._over(Reason.PROJECT_LIMIT, self._projects[job.project_id], job.project_id, job, ends_by)
        if found is None and job.submitter_id is not None and job.submitter_id in self._submitters:
            limit = self._submitters[job.submitter_id]
            found = self._over(Reason.SUBMITTER_LIMIT, limit, job.submitter_id, job, ends_by)
        return found

    def start(self, job: Job) -> None:
        """The job runs from now on."""
        self._count(job.project_id, job.submitter_id, job.gpus)

    def promise(self, job: Job, at: Instant) -> None:
        """The job will run from `at` on."""
        for key in (job.project_id, job.submitter_id):
            if key is not None:
                self._promised.setdefault(key, []).append((at, job.gpus))

    def _count(self, project_id: UUID, submitter_id: UUID | None, gpus: int) -> None:
        for key in (project_id, submitter_id):
            if key is not None:
                self._jobs[key] = self._jobs.get(key, 0) + 1
                self._gpus[key] = self._gpus.get(key, 0) + gpus

    def _over(self, reason: Reason, limit: Limit, key: UUID, job: Job, ends_by: Instant) -> Reached | None:
        promised = [gpus for at, gpus in self._promised.get(key, []) if at < ends_by]
        jobs = self._jobs.get(key, 0) + len(promised)
        if limit.jobs is not None and jobs + 1 > limit.jobs:
            return Reached(reason, "jobs", limit.jobs, jobs)
        gpus = self._gpus.get(key, 0) + sum(promised)
        if limit.gpus is not None and gpus + job.gpus > limit.gpus:
            return Reached(reason, "gpus", limit.gpus, gpus)
        return None
