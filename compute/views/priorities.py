"""Priority classes, and giving one to a waiting job: for programme officers."""

from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from compute.forms.rules import GivePriorityForm, PriorityClassForm
from compute.queries import jobs
from compute.queries import priorities as priority_queries
from compute.services import priorities
from compute.views import bp
from core import audit
from core.clock import utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, requires


@bp.route("/admin/compute/priorities/new", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def new_priority() -> ResponseReturnValue:
    """Name a reason to go first, or last."""
    return _set(PriorityClassForm(), "Name a priority")


@bp.route("/admin/compute/priorities/<slug>", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def change_priority(slug: str) -> ResponseReturnValue:
    """Say anew what holds for one."""
    row = priority_queries.named(db(), slug)
    return _set(PriorityClassForm.of(row), row.name, slug=row.slug, events=audit.history(db(), row))


@bp.route("/admin/compute/jobs/<uuid:job_id>/priority", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def give_priority(job_id: UUID) -> ResponseReturnValue:
    """Give a waiting job a priority, or make it ordinary again."""
    session = db()
    job = jobs.get(session, job_id)
    form = GivePriorityForm(priority=job.priority.slug if job.priority else priorities.ORDINARY)
    open_ones = [(row.slug, f"{row.name} ({row.rank:+d})") for row in priority_queries.classes(session) if row.is_open]
    form.priority.choices = [(priorities.ORDINARY, "Ordinary"), *open_ones]
    if form.validate_on_submit():
        try:
            priorities.give(session, job, form.priority.data, reason=form.reason.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("It holds from the scheduler’s next look on.")
            return redirect(url_for("compute.show_job", job_id=job.id), code=303)
    return page("compute/give_priority.html", form=form, job=job)


def _set(form: PriorityClassForm, title: str, slug: str | None = None, events: object = ()) -> ResponseReturnValue:
    if form.validate_on_submit():
        try:
            priorities.set_class(db(), form.to_new_class(slug), actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The priority holds from the scheduler’s next look on.")
            return redirect(url_for("compute.desk"), code=303)
    return page("compute/priority_class.html", form=form, title=title, events=events)
