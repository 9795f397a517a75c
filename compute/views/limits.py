"""Limits of projects and people: set and lifted by programme officers."""

from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from compute.forms.reasons import ReasonForm
from compute.forms.rules import RunLimitForm
from compute.models import RunLimit
from compute.queries import shares
from compute.queries.named import project_named
from compute.scheduling import Limit
from compute.services import run_limits
from compute.services.run_limits import Whose
from compute.views import bp
from core import audit
from core.clock import utc_now
from core.errors import DomainError, InvalidInput, NotFound
from core.identity import people
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, requires


@bp.route("/admin/compute/limits/new", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def new_limit() -> ResponseReturnValue:
    """Say how much a project, a person or everybody may have running at a time."""
    session = db()
    form = RunLimitForm()
    form.project.choices = [("", "None"), *((project.slug, project.name) for project in shares.sharing(session))]
    if form.validate_on_submit():
        try:
            limit = Limit(form.jobs.data, form.gpus.data)
            run_limits.set_limit(session, _whose(form), limit, reason=form.reason.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The limit holds from the scheduler’s next look on.")
            return redirect(url_for("compute.desk"), code=303)
    return page("compute/new_limit.html", form=form)


@bp.route("/admin/compute/limits/<uuid:limit_id>", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def lift_limit(limit_id: UUID) -> ResponseReturnValue:
    """A limit with its history, and its end."""
    session = db()
    row = session.get(RunLimit, limit_id)
    if row is None:
        raise NotFound("There is no such limit; it may have been lifted.")
    whose = row.project or row.person
    form = ReasonForm()
    if form.validate_on_submit():
        try:
            run_limits.lift(session, whose, reason=form.reason.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The limit is lifted.")
            return redirect(url_for("compute.desk"), code=303)
    told = [event for event in audit.history(session, whose or row) if event.verb.startswith("run_limit.")]
    return page("compute/lift_limit.html", form=form, row=row, events=told)


def _whose(form: RunLimitForm) -> Whose:
    if form.whose.data == "everybody":
        return None
    if form.whose.data == "project":
        if not form.project.data:
            raise InvalidInput("Choose the project.", field="project")
        return project_named(db(), form.project.data)
    found = people.by_email(db(), (form.person.data or "").strip())
    if found is None:
        raise InvalidInput("There is nobody with this address here.", field="person")
    return found
