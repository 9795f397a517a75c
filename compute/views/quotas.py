"""The pages on which programme officers say what projects own of a pool."""

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from compute.forms.reasons import ReasonForm
from compute.forms.shares import QuotaGroupForm, QuotaShareForm
from compute.models import QuotaGroup
from compute.queries import overview, quotas, shares
from compute.queries.named import project_named
from compute.services import quotas as quota_services
from compute.services.quotas import Quota, Terms
from compute.views import bp
from compute.views.desk_forms import done_at_desk
from core import audit
from core.clock import utc_now
from core.errors import NotFound
from core.identity.models import Role
from core.web import current_person, db, flash, requires


@bp.route("/admin/compute/pools/<slug>/quota", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def set_quota_group(slug: str) -> ResponseReturnValue:
    """On which terms projects get back what they own of a pool."""
    session = db()
    pool = overview.pool_named(session, slug)
    group = quotas.of_pool(session, pool)
    if group is None:
        form = QuotaGroupForm(name=pool.name, grace_minutes=10, lost_gpu_hours=8)
    else:
        minutes, hours = group.grace_seconds // 60, group.lost_gpu_seconds_max // 3600
        form = QuotaGroupForm(name=group.name, grace_minutes=minutes, lost_gpu_hours=hours)

    def act() -> None:
        terms = Terms(form.name.data, form.grace_minutes.data * 60, form.lost_gpu_hours.data * 3600)
        quota_services.set_group(session, pool, terms, reason=form.reason.data, actor=current_person(), now=utc_now())

    return done_at_desk(form, act, "The terms hold from the scheduler's next look on.", "compute/quota_group.html", pool=pool)


@bp.route("/admin/compute/pools/<slug>/quota/end", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def end_quota_group(slug: str) -> ResponseReturnValue:
    """Nobody owns anything of the pool any more."""
    session = db()
    group = quotas.of_pool(session, overview.pool_named(session, slug))
    if group is None:
        raise NotFound("This pool has no quota group; it may have been ended a moment ago.")
    form = ReasonForm()

    def act() -> None:
        assert isinstance(group, QuotaGroup)
        quota_services.end_group(session, group, reason=form.reason.data, actor=current_person(), now=utc_now())

    done = f"The quota group {group.name} is ended: all share the pool by their turns."
    return done_at_desk(form, act, done, "compute/end_quota_group.html", group=group, events=audit.history(session, group))


@bp.route("/admin/compute/pools/<slug>/quota/share", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def set_quota_share(slug: str) -> ResponseReturnValue:
    """What a project owns of a pool."""
    session = db()
    pool = overview.pool_named(session, slug)
    group = quotas.of_pool(session, pool)
    if group is None:
        flash(f"Say first on which terms projects of {pool.name} get back what they lend.", "warning")
        return redirect(url_for("compute.set_quota_group", slug=slug), code=303)
    form = QuotaShareForm()
    form.project.choices = [(project.slug, project.name) for project in shares.sharing(session)]

    def act() -> None:
        assert isinstance(group, QuotaGroup)
        quota = Quota(form.nominal.data, form.lends.data, form.borrows.data)
        project = project_named(session, form.project.data)
        quota_services.set_share(session, group, project, quota, reason=form.reason.data, actor=current_person(), now=utc_now())

    return done_at_desk(form, act, "The quota holds from the scheduler's next look on.", "compute/quota_share.html", group=group)
