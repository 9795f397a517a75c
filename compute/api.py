"""Jobs under /api/v1: submit, list, show, follow the log, cancel, explain. And what officers have set that jobs wait for."""

from collections.abc import Sequence
from uuid import UUID

from apiflask import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from compute import outlooks, rule_schemas, schemas
from compute.explanation_schemas import ExplanationOut
from compute.models import Job, JobStatus, Pool, RunLimit
from compute.queries import activity, jobs, overview, priorities, quotas, run_limits, windows
from compute.queries import explain as explaining
from compute.queries.named import project_named
from compute.runtime import executors, local_repositories
from compute.services import attempts, results, submit
from compute.services.priorities import URGENT_SCOPE
from core.clock import today, utc_now
from core.identity import access
from core.identity.models import Role
from core.web import current_person, db
from core.web.api import Paging, api_token, authenticated, idempotent, require_project, scope
from core.web.costly import Reads, costly
from core.web.pagination import paginate

bp = APIBlueprint("compute_api", __name__, url_prefix="/api/v1", tag="Jobs")

READ = scope("jobs:read", "See jobs, their logs and their cost")
WRITE = scope("jobs:write", "Submit and cancel jobs")
URGENT = scope(URGENT_SCOPE, "Submit with priorities that are for maintainers")

LOG_BYTES = 200_000


class JobQuery(Paging):
    """Which jobs to list."""

    model_config = ConfigDict(extra="forbid")

    project: str | None = Field(default=None, max_length=250, description="Only this project's jobs (its slug).")
    status: JobStatus | None = Field(default=None, description="Only jobs in this state.")
    idle: bool = Field(default=False, description="Only running jobs that hold devices and do nothing.")


class LogQuery(BaseModel):
    """Which part of the log."""

    model_config = ConfigDict(extra="forbid")

    offset: int = Field(default=0, ge=0, le=2**40, description="`next_offset` of the part before; 0 for the beginning.")
    attempt: int | None = Field(default=None, ge=1, le=1000, description="Which attempt; none: the newest.")


@bp.post("/jobs")
@bp.input(schemas.JobIn)
@bp.output(schemas.JobOut, status_code=201)
@authenticated(WRITE)
@idempotent
def create_job(json_data: schemas.JobIn) -> schemas.JobOut:
    """Submit a job.

    It is refused before anything is written if no pool, no offer or no budget could ever carry it; the problem's `detail`
    names what is missing.
    """
    project = project_named(db(), json_data.project)
    require_project(project.id)
    job = submit.submit(
        db(),
        project,
        json_data.to_new_job(),
        submitter=current_person(),
        as_maintainer=URGENT in api_token().scopes,
        now=utc_now(),
        local_roots=local_repositories(),
    )
    return schemas.JobOut.of(job)


@bp.get("/jobs")
@bp.input(JobQuery, location="query")
@bp.output(schemas.JobPage)
@authenticated(READ)
def list_jobs(query_data: JobQuery) -> schemas.JobPage:
    """List jobs, newest first."""
    statement = select(Job)
    if (limited_to := api_token().project_id) is not None:
        statement = statement.where(Job.project_id == limited_to)
    if query_data.project is not None:
        project = project_named(db(), query_data.project)
        require_project(project.id)
        statement = statement.where(Job.project_id == project.id)
    if query_data.status is not None:
        statement = statement.where(Job.status == query_data.status)
    if query_data.idle:
        statement = statement.where(Job.id.in_(activity.holding_jobs()))
    page = paginate(db(), statement, by=[Job.id], cursor=query_data.cursor, size=query_data.limit)
    return schemas.JobPage(jobs=[schemas.JobOut.of(job) for job in page.items], next_cursor=page.next_cursor)


@bp.get("/jobs/<uuid:job_id>")
@bp.output(schemas.JobDetail)
@authenticated(READ)
def show_job(job_id: UUID) -> schemas.JobDetail:
    """Show a job with its attempts, what it was seen doing, and what it cost."""
    return schemas.JobDetail.shown(db(), _job(job_id))


@bp.get("/jobs/<uuid:job_id>/log")
@bp.input(LogQuery, location="query")
@bp.output(schemas.LogOut)
@authenticated(READ)
def show_log(job_id: UUID, query_data: LogQuery) -> schemas.LogOut:
    """Read a part of a job's output, as plain text."""
    return schemas.LogOut.of(
        results.job_log(_job(job_id), executors(), number=query_data.attempt, offset=query_data.offset, limit=LOG_BYTES)
    )


@bp.post("/jobs/<uuid:job_id>/cancellation")
@bp.input(schemas.CancelIn)
@bp.output(schemas.JobOut, status_code=202)
@authenticated(WRITE)
@idempotent
def create_cancellation(job_id: UUID, json_data: schemas.CancelIn) -> schemas.JobOut:
    """Cancel a job. What it used is charged; a job that has ended keeps its ending."""
    _job(job_id)
    job = attempts.cancel(db(), job_id, actor=current_person(), reason=json_data.reason, now=utc_now())
    return schemas.JobOut.of(job)


@bp.get("/jobs/<uuid:job_id>/explanation")
@bp.output(ExplanationOut)
@authenticated(READ)
def show_explanation(job_id: UUID) -> ExplanationOut:
    """Explain why a job waits: its reason, and the pools, offers and budget the reason came from."""
    job = _job(job_id)

    def explained() -> ExplanationOut:
        return ExplanationOut.of(explaining.explain(db(), job, connected=executors(), now=utc_now()))

    def drawn() -> bytes:
        return explained().model_dump_json().encode()

    if job.status is not JobStatus.QUEUED:  # what was kept while it waited is no answer any more
        return explained()
    shown = costly(("explanation", job_id, "json"), drawn, seconds=explaining.KEPT_SECONDS, reads=Reads.LINE)
    return ExplanationOut.model_validate_json(shown)


@bp.get("/compute-grants/<uuid:grant_id>/forecast")
@bp.output(outlooks.GrantForecastOut)
@authenticated(READ)
def show_grant_forecast(grant_id: UUID) -> outlooks.GrantForecastOut:
    """Tell when a compute grant will be used up, or how much of it will lapse, at the pace of the last weeks."""
    grant = overview.grant(db(), grant_id)
    require_project(grant.project_id)
    return outlooks.GrantForecastOut.of(db(), grant, now=utc_now())


@bp.get("/compute-donors/<slug>/forecast")
@bp.output(outlooks.DonorForecastOut)
@authenticated(READ)
def show_donor_forecast(slug: str) -> outlooks.DonorForecastOut:
    """Tell when a donor's offers will be used up, or how much of them will lapse, at the pace of the last weeks."""
    return outlooks.of_donor(db(), slug, now=utc_now())


class PoolQuery(BaseModel):
    """Of which pools to list what officers have set."""

    model_config = ConfigDict(extra="forbid")

    pool: str | None = Field(default=None, max_length=250, description="Only this pool's (its slug).")


@bp.get("/compute-hosts")
@bp.input(PoolQuery, location="query")
@bp.output(rule_schemas.HostsOut)
@authenticated(READ)
def list_hosts(query_data: PoolQuery) -> rule_schemas.HostsOut:
    """List the machines of pools that have several, and what is in use on each."""
    return rule_schemas.HostsOut.shown(db(), _pools(query_data))


@bp.get("/compute-windows")
@bp.input(PoolQuery, location="query")
@bp.output(rule_schemas.WindowsOut)
@authenticated(READ)
def list_windows(query_data: PoolQuery) -> rule_schemas.WindowsOut:
    """List maintenance, reservations and drains of pools that are to come or going on."""
    rows = windows.planned(db(), _pools(query_data), now=utc_now())
    return rule_schemas.WindowsOut(windows=[rule_schemas.WindowOut.of(row) for row in rows])


def _pools(query: PoolQuery) -> Sequence[Pool]:
    return overview.pools(db()) if query.pool is None else [overview.pool_named(db(), query.pool)]


@bp.get("/compute-limits")
@bp.output(rule_schemas.RunLimitsOut)
@authenticated(READ)
def list_limits() -> rule_schemas.RunLimitsOut:
    """List how much may run at a time: everybody's limit, projects', the caller's own; for programme officers all people's."""
    person, limited_to = current_person(), api_token().project_id
    sees_all = limited_to is None and access.has_role(db(), person, Role.PROGRAMME_OFFICER, on=today())

    def concerns(row: RunLimit) -> bool:
        is_theirs = row.person_id is None or row.person_id == person.id
        return is_theirs and (row.project_id is None or limited_to is None or row.project_id == limited_to)

    rows = [row for row in run_limits.all_limits(db()) if sees_all or concerns(row)]
    return rule_schemas.RunLimitsOut(limits=[rule_schemas.RunLimitOut.of(row) for row in rows])


@bp.get("/compute-priorities")
@bp.output(rule_schemas.PrioritiesOut)
@authenticated(READ)
def list_priorities() -> rule_schemas.PrioritiesOut:
    """List the priority classes that jobs may go first, or last, with."""
    return rule_schemas.PrioritiesOut(priorities=[rule_schemas.PriorityOut.of(row) for row in priorities.classes(db())])


@bp.get("/compute-quota-groups")
@bp.output(rule_schemas.QuotaGroupsOut)
@authenticated(READ)
def list_quota_groups() -> rule_schemas.QuotaGroupsOut:
    """List what projects own of pools, lend and borrow, and what they use of them now."""
    return rule_schemas.QuotaGroupsOut(groups=[rule_schemas.QuotaGroupOut.of(db(), row) for row in quotas.groups(db())])


def _job(job_id: UUID) -> Job:
    job = jobs.get(db(), job_id)
    require_project(job.project_id)
    return job
