"""The hosts of a pool: added, changed, taken out of service and removed by programme officers."""

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from compute.forms.reasons import ReasonForm
from compute.forms.rules import HostForm
from compute.models import Pool, PoolHost
from compute.queries import hosts as host_queries
from compute.queries import overview
from compute.services import hosts
from compute.views import bp
from core import audit
from core.clock import utc_now
from core.config import settings
from core.errors import DomainError
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, requires


@bp.route("/admin/compute/pools/<slug>/new-host", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def new_host(slug: str) -> ResponseReturnValue:
    """Name a machine of a pool."""
    session = db()
    pool = overview.pool_named(session, slug)
    known = host_queries.of_pool(session, pool)
    form = HostForm(devices=None if known else pool.devices)
    del form.in_service
    if form.validate_on_submit():
        try:
            hosts.add(
                session,
                pool,
                name=form.name.data,
                devices=form.devices.data,
                reason=form.reason.data,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            return _done(pool, f"{form.name.data} takes work from the scheduler’s next look on.")
    return page("compute/new_host.html", form=form, pool=pool, hosts=known, this_host=settings().host)


@bp.route("/admin/compute/pools/<slug>/hosts/<name>", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def change_host(slug: str, name: str) -> ResponseReturnValue:
    """Say how many devices it has and whether it takes new work; remove it below."""
    row = _host(slug, name)
    form = HostForm(devices=row.devices, in_service=row.in_service)
    del form.name
    if form.validate_on_submit():
        try:
            hosts.change(
                db(),
                row,
                devices=form.devices.data,
                in_service=form.in_service.data,
                reason=form.reason.data,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            return _done(row.pool, f"{row.name} is changed.")
    return _host_page(_host(slug, name), form, ReasonForm(prefix="off", formdata=None))


@bp.post("/admin/compute/pools/<slug>/hosts/<name>/removal")
@requires(Role.PROGRAMME_OFFICER)
def remove_host(slug: str, name: str) -> ResponseReturnValue:
    """Forget a machine that is gone."""
    row = _host(slug, name)
    off = ReasonForm(prefix="off")
    if off.validate_on_submit():
        try:
            hosts.remove(db(), row, reason=off.reason.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(off, error)
        else:
            return _done(row.pool, f"{name} is removed.")
    row = _host(slug, name)
    form = HostForm(formdata=None, devices=row.devices, in_service=row.in_service)
    del form.name
    return _host_page(row, form, off)


def _host(slug: str, name: str) -> PoolHost:
    """Read anew after a refusal: it may be one because somebody removed the host."""
    return host_queries.named(db(), overview.pool_named(db(), slug), name)


def _host_page(row: PoolHost, form: HostForm, off: ReasonForm) -> ResponseReturnValue:
    told = [event for event in audit.history(db(), row.pool) if event.details.get("host") == row.name]
    return page(
        "compute/change_host.html",
        form=form,
        status=off.status,
        off=off,
        row=row,
        pool=row.pool,
        used=host_queries.in_use(db(), [row.pool_id]).get((row.pool_id, row.name), 0),
        events=told,
    )


def _done(pool: Pool, said: str) -> ResponseReturnValue:
    flash(said)
    return redirect(url_for("compute.show_pool", slug=pool.slug), code=303)
