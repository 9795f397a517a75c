"""A pool's page for everybody, with what is planned for it; officers plan maintenance, reservations and drains there."""

from uuid import UUID

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from compute.forms.reasons import ReasonForm
from compute.forms.rules import WindowForm
from compute.models import PoolWindow, WindowKind
from compute.queries import attempts, overview, shares
from compute.queries import hosts as host_queries
from compute.queries import windows as window_queries
from compute.queries.named import project_named
from compute.services import windows
from compute.views import bp
from core import audit
from core.clock import today, utc_now
from core.errors import DomainError
from core.identity import access
from core.identity.models import Project, Role
from core.web import current_person, db, flash, page, refused, requires, visitor


@bp.get("/compute/pools/<slug>")
def show_pool(slug: str) -> ResponseReturnValue:
    """What it has, what runs, and when it will have less."""
    session, now, who = db(), utc_now(), visitor()
    pool = overview.pool_named(session, slug)
    planned = window_queries.planned(session, [pool], now=now)
    return render_template(
        "compute/pool.html",
        pool=pool,
        in_use=attempts.devices_in_use(session, pool),
        hosts=host_queries.of_pool(session, pool),
        used={host: gpus for (_, host), gpus in host_queries.in_use(session, [pool.id]).items()},
        planned=planned,
        in_the_way={row.id: window_queries.in_the_way(session, row, now=now) for row in planned if row.begins_at > now},
        past=window_queries.past(session, pool),
        now=now,
        may_plan=who is not None and access.has_role(session, who.person, Role.PROGRAMME_OFFICER, on=today()),
    )


@bp.route("/admin/compute/pools/<slug>/windows/new", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def plan_window(slug: str) -> ResponseReturnValue:
    """Say when a pool has fewer GPUs, and why."""
    session, now = db(), utc_now()
    pool = overview.pool_named(session, slug)
    form = _form(WindowForm())
    if form.validate_on_submit():
        try:
            new = form.to_new_window(WindowKind(form.kind.data), pool, _project(form))
            windows.plan(session, pool, new, actor=current_person(), now=now)
        except DomainError as error:
            refused(form, error)
        else:
            flash("It is planned. Jobs that could still run then do not start before it.")
            return redirect(url_for("compute.show_pool", slug=pool.slug), code=303)
    return page("compute/plan_window.html", form=form, pool=pool, now=now)


@bp.route("/admin/compute/windows/<uuid:window_id>", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def change_window(window_id: UUID) -> ResponseReturnValue:
    """Change what is planned, or call it off below."""
    session, now = db(), utc_now()
    row = window_queries.get(session, window_id)
    form = _form(_filled(row))
    if form.validate_on_submit():
        try:
            new = form.to_new_window(row.kind, row.pool, _project(form))
            windows.change(session, row, new, actor=current_person(), now=now)
        except DomainError as error:
            refused(form, error)
        else:
            flash("It is changed.")
            return redirect(url_for("compute.show_pool", slug=row.pool.slug), code=303)
    return _window_page(row, form, ReasonForm(prefix="off", formdata=None))


@bp.post("/admin/compute/windows/<uuid:window_id>/cancellation")
@requires(Role.PROGRAMME_OFFICER)
def call_off_window(window_id: UUID) -> ResponseReturnValue:
    """Call it off, with a reason."""
    session = db()
    row = window_queries.get(session, window_id)
    form = ReasonForm(prefix="off")
    if form.validate_on_submit():
        try:
            windows.call_off(session, row, reason=form.reason.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("It is called off.")
            return redirect(url_for("compute.show_pool", slug=row.pool.slug), code=303)
    return _window_page(row, _form(_filled(row, posted=False)), form)


def _window_page(row: PoolWindow, form: WindowForm, off: ReasonForm) -> ResponseReturnValue:
    return page(
        "compute/change_window.html",
        form=form,
        status=off.status,
        off=off,
        row=row,
        has_begun=row.begins_at <= utc_now(),
        events=audit.history(db(), row),
    )


def _filled(row: PoolWindow, *, posted: bool = True) -> WindowForm:
    shown = {
        "begins_at": row.begins_at,
        "ends_at": row.ends_at,
        "gpus": row.gpus,
        "project": row.project.slug if row.project else "",
        "why": row.why,
    }
    form = WindowForm(**shown) if posted else WindowForm(formdata=None, **shown)
    del form.kind  # it never changes
    return form


def _form(form: WindowForm) -> WindowForm:
    form.project.choices = [("", "Nobody"), *((project.slug, project.name) for project in shares.sharing(db()))]
    return form


def _project(form: WindowForm) -> Project | None:
    return project_named(db(), form.project.data) if form.project.data else None
