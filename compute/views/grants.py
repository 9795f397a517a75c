"""Compute grants: ask for GPU time, see what became of it."""

from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from compute.forms.amounts import day_begins, day_ends, ticks
from compute.forms.grants import GrantForm
from compute.models import Job
from compute.queries import budget, forecast, overview
from compute.queries.named import project_named
from compute.services import compute_grants
from compute.views import bp
from compute.views.outlook import outlook
from core import audit
from core.clock import today, utc_now
from core.errors import DomainError
from core.identity import access
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, signed_in


@bp.get("/compute/grants/<uuid:grant_id>")
def show_grant(grant_id: UUID) -> ResponseReturnValue:
    """One grant: granted, settled, in flight, left; its jobs and its history."""
    session, now = db(), utc_now()
    grant = overview.grant(session, grant_id)
    return render_template(
        "compute/grant.html",
        grant=grant,
        budget=budget.of_grant(session, grant),
        used=overview.used_by_grant(session, grant),
        jobs=session.scalars(select(Job).where(Job.grant_id == grant.id).order_by(Job.id.desc()).limit(20)).all(),
        reminders=overview.reminders(session, grant_id=grant.id),
        outlook=outlook(forecast.of_grant(session, grant, now=now), grant.remind_days, now=now),
        warnings=forecast.warnings(session, grant_ids=[grant.id]),
        events=audit.history(session, grant),
    )


@bp.route("/compute/grants/new", methods=["GET", "POST"])
@signed_in
def new_grant() -> ResponseReturnValue:
    """Ask for GPU time for a project."""
    session, person, now = db(), current_person(), utc_now()
    projects = access.projects_with_role(session, person, Role.MAINTAINER, on=today())
    form = GrantForm(project=request.args.get("project"), starts_on=today())
    form.project.choices = [(project.slug, project.name) for project in projects]
    if form.validate_on_submit():
        try:
            grant = compute_grants.request(
                session,
                project_named(session, form.project.data),
                title=form.title.data,
                purpose=form.purpose.data,
                ticks=ticks(form.gpu_hours.data),
                starts_at=day_begins(form.starts_on.data),
                expires_at=day_ends(form.expires_on.data),
                requested_by=person,
                now=now,
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The request is sent. You will see here what becomes of it.")
            return redirect(url_for("compute.show_grant", grant_id=grant.id), code=303)
    return page("compute/new_grant.html", form=form, projects=projects)
