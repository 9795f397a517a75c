"""Jobs: submit, watch, cancel. Everything a job says is public; only its project's people act on it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from compute import policies
from compute.forms.jobs import JobForm, QuoteForm
from compute.forms.reasons import ReasonForm
from compute.models import Job, JobStatus, PriorityUse
from compute.queries import activity, expected, jobs, overview, priorities
from compute.queries import explain as explaining
from compute.queries.named import flavors_named, project_named
from compute.runtime import executors, local_repositories
from compute.services import attempts, quotes, results, submit, takers
from compute.services.quotes import Quote
from compute.services.reclaim import asked_to_leave
from compute.views import bp
from core import audit, ledger
from core.clock import today, utc_now
from core.errors import DomainError, InvalidInput, NotFound
from core.files import as_download
from core.identity import access
from core.identity.models import Project, Role
from core.units import format_gpu_hours
from core.web import current_person, db, flash, page, refused, signed_in, visitor
from core.web.costly import Reads, costly
from core.web.pagination import paginate
from core.web.public_pages import Drawn, draw

LOG_BYTES = 100_000
DOWNLOAD_BYTES = 1_000_000


@bp.get("/jobs")
def list_jobs() -> ResponseReturnValue:
    """Jobs, newest first; of one project or in one state if asked."""
    session = db()
    statement = select(Job)
    chosen = request.args.get("project") or None
    project = project_named(session, chosen) if chosen else None
    if project is not None:
        statement = statement.where(Job.project_id == project.id)
    status = request.args.get("status") or None
    if status is not None:
        if status not in set(JobStatus):
            raise InvalidInput(f"“{status[:30]}” is not a state of a job.", field="status")
        statement = statement.where(Job.status == JobStatus(status))
    return render_template(
        "compute/jobs.html",
        page=paginate(session, statement, by=[Job.id], cursor=request.args.get("cursor")),
        expected=expected.of_job,
        project=project,
        status=status,
        projects=session.scalars(select(Project).where(Project.id.in_(select(Job.project_id))).order_by(Project.name)).all(),
        statuses=list(JobStatus),
        may_submit=bool(_own_projects()),
    )


@bp.route("/jobs/new", methods=["GET", "POST"])
@signed_in
def new_job() -> ResponseReturnValue:
    """The form, with its price; without JavaScript the price comes from the button beside it."""
    session, person, now = db(), current_person(), utc_now()
    projects = _own_projects()
    form = JobForm(project=request.args.get("project"))
    form.project.choices = [(project.slug, project.name) for project in projects]
    flavors = overview.flavors(session)
    form.offer_flavors(flavors)
    form.priority.choices = _priorities()
    if form.validate_on_submit() and "preview" not in request.form:
        try:
            project = project_named(session, form.project.data)
            job = submit.submit(
                session,
                project,
                form.to_new_job(),
                submitter=person,
                in_person=True,
                as_maintainer=True,
                now=now,
                local_roots=local_repositories(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The job is queued.")
            if (warning := takers.warning(session, job)) is not None:
                flash(warning, "warning")
            return redirect(url_for("compute.show_job", job_id=job.id), code=303)
    # On a fresh form the browser shows the first of each list as chosen.
    project_shown = form.project.data or next((project.slug for project in projects), None)
    flavor_shown = form.flavor.data or next((flavor.slug for flavor in flavors), None)
    flavors_shown = [flavor_shown, *form.other_flavors]
    priced = _quote(project_shown, flavors_shown, form.gpus.data, form.wall_time.data, exclusive=form.exclusive.data)
    return page("compute/new_job.html", form=form, projects=projects, priced=priced)


@bp.get("/jobs/quote")
@signed_in
def quote() -> ResponseReturnValue:
    """What the job being typed may cost, and what that leaves: a part of the form's page."""
    form = QuoteForm(request.args)
    flavors = [form.flavor.data, *(slug for slug in (form.alternatives.data, form.third.data) if slug)]
    priced = _quote(form.project.data, flavors, form.gpus.data, form.wall_time.data, exclusive=form.exclusive.data)
    return render_template("compute/_quote.html", priced=priced)


@bp.get("/jobs/<uuid:job_id>")
def show_job(job_id: UUID) -> ResponseReturnValue:
    """Everything about a job: state, why it waits, log, files, cost and the ledger's entries."""
    session = db()
    job = jobs.get(session, job_id)
    number = _number(request.args.get("attempt"))
    return render_template(
        "compute/job.html",
        **_state(job),
        log=_log(job, number, _offset(request.args.get("offset"), job, number)),
        entries=ledger.entries_for(session, ("job", str(job.id))),
        events=audit.history(session, job),
        in_words=ledger_words,
    )


@bp.get("/jobs/<uuid:job_id>/state")
def job_state(job_id: UUID) -> ResponseReturnValue:
    """The part of the job's page that changes while it waits and runs."""
    return render_template("compute/_job_state.html", **_state(jobs.get(db(), job_id)))


@bp.get("/jobs/<uuid:job_id>/log")
def job_log(job_id: UUID) -> ResponseReturnValue:
    """What the job has said since `offset`: the next part of the log on its page."""
    job = jobs.get(db(), job_id)
    number = _number(request.args.get("attempt"))
    return render_template("compute/_log.html", job=job, log=_log(job, number, _offset(request.args.get("offset"), job, number)))


@bp.get("/jobs/<uuid:job_id>/log.txt")
def download_log(job_id: UUID) -> ResponseReturnValue:
    """The whole output as plain text."""
    job = jobs.get(db(), job_id)
    number = _number(request.args.get("attempt"))
    known = executors()
    parts, offset = [], 0
    while True:
        log = results.job_log(job, known, number=number, offset=offset, limit=DOWNLOAD_BYTES)
        parts.append(log.window.text)
        if log.window.next_offset == offset:
            break
        offset = log.window.next_offset
    return Response("".join(parts), mimetype="text/plain", headers={"X-Content-Type-Options": "nosniff"})


@bp.get("/jobs/<uuid:job_id>/artefacts/<uuid:artefact_id>")
def download_artefact(job_id: UUID, artefact_id: UUID) -> ResponseReturnValue:
    """A kept file, always as a download: what a job wrote is nobody's page."""
    job = jobs.get(db(), job_id)
    for attempt in job.attempts:
        for kept in attempt.artefacts:
            if kept.id == artefact_id:
                return Response(
                    results.artefact_bytes(kept),
                    mimetype="application/octet-stream",
                    headers={"Content-Disposition": as_download(kept.name)},
                )
    raise NotFound("This job kept no such file.")


@bp.route("/jobs/<uuid:job_id>/cancellation", methods=["GET", "POST"])
@signed_in
def cancellation(job_id: UUID) -> ResponseReturnValue:
    """Cancel a job, with a reason."""
    session, person = db(), current_person()
    job = jobs.get(session, job_id)
    form = ReasonForm()
    if form.validate_on_submit():
        try:
            attempts.cancel(session, job.id, actor=person, reason=form.reason.data, now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The job is cancelled." if job.finished else "The job is being stopped.")
            return redirect(url_for("compute.show_job", job_id=job.id), code=303)
    return page("compute/cancel_job.html", form=form, job=job)


@bp.get("/jobs/<uuid:job_id>/explanation")
def explanation(job_id: UUID) -> ResponseReturnValue:
    """Why the job waits, with everything the reason came from."""
    job = jobs.get(db(), job_id)

    def drawn() -> Drawn:
        found = explaining.explain(db(), job, connected=executors(), now=utc_now())
        return draw(f"Why {job.name} waits", "compute/_explanation.html", found=found, job=job)

    if job.status is not JobStatus.QUEUED:  # what was kept while it waited is no answer any more
        return render_template("web/public_page.html", page=drawn())
    shown = costly(("explanation", job_id), drawn, seconds=explaining.KEPT_SECONDS, reads=Reads.LINE)
    return render_template("web/public_page.html", page=shown)


def ledger_words(amount: int, commodity: str) -> str:
    """An amount of an entry: `12.50 h`."""
    return f"{format_gpu_hours(amount, 4)} h {commodity.removeprefix('GPU.')}"


def _state(job: Job) -> dict[str, Any]:
    who = visitor()
    newest = job.attempts[-1] if job.attempts else None
    settled = [attempt.usage for attempt in job.attempts if attempt.usage]
    return {
        "job": job,
        "expected": expected.of_job(job),
        "newest": newest,
        "leaves": asked_to_leave(db(), newest),
        "activity": activity.of_attempt(db(), newest),
        "used": sum(usage.reference_ticks for usage in settled),
        "held": sum(attempt.held_reference_ticks for attempt in job.attempts if not attempt.usage),
        "may_prioritise": who is not None
        and job.status is JobStatus.QUEUED
        and access.has_role(db(), who.person, Role.PROGRAMME_OFFICER, on=today()),
        "may_cancel": who is not None and not job.finished and submit.may_submit(db(), who.person, job.project, on=today()),
    }


def _log(job: Job, number: int | None, offset: int) -> results.JobLog:
    return results.job_log(job, executors(), number=number, offset=offset, limit=LOG_BYTES)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 6 else None


def _offset(text: str | None, job: Job, number: int | None) -> int:
    """Where to read: as asked, else near the end, so that a long log shows its newest part."""
    if text and text.isdecimal() and len(text) < 14:
        return int(text)
    chosen = [attempt for attempt in job.attempts if number in {None, attempt.number}]
    return max(0, chosen[-1].output_bytes - LOG_BYTES) if chosen else 0


def _priorities() -> list[tuple[str, str]]:
    """What may be chosen; a class for maintainers says so, since who submits may be no maintainer of the project chosen."""
    rows = [row for row in priorities.classes(db()) if row.is_open and row.use is not PriorityUse.OFFICERS]
    return [("", "Ordinary")] + [
        (row.slug, f"{row.name}, for maintainers" if row.use is PriorityUse.MAINTAINERS else row.name) for row in rows
    ]


def _own_projects() -> list[Project]:
    """The projects this visitor may submit for, by name."""
    who = visitor()
    if who is None:
        return []
    session, on = db(), today()
    own = {
        project.id: project
        for role in (Role.COMPUTE_SUBMITTER, Role.MAINTAINER)
        for project in access.projects_with_role(session, who.person, role, on=on)
    }
    return sorted(own.values(), key=lambda project: project.name.lower())


def _quote(
    project: str | None, flavors: list[str | None], gpus: int | None, wall_time: str | None, *, exclusive: bool
) -> Quote | DomainError | None:
    """The price of what was typed so far; a sentence if it can't be paid; none while something is missing."""
    chosen = [slug for slug in flavors if slug]
    if not project or not chosen or not gpus or not wall_time:
        return None
    session = db()
    try:
        return quotes.quote(
            session,
            project_named(session, project),
            flavors_named(session, chosen[0], chosen[1:]),
            gpus=gpus,
            exclusive=exclusive,
            wall_seconds=min(policies.parse_duration(wall_time), int(timedelta(days=31).total_seconds())),
            now=utc_now(),
        )
    except DomainError as error:
        return error
