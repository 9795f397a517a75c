"""The compute desk: requests to decide, offers to accept, rates, flavors and pools."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from compute.forms.amounts import ticks
from compute.forms.catalogue import FlavorForm, IdleRuleForm, PoolForm, RateForm, TrustForm
from compute.forms.grants import DecisionForm
from compute.forms.offers import AcceptOfferForm
from compute.forms.reasons import NoteForm, ReasonForm
from compute.forms.shares import WeightForm
from compute.models import ComputeGrant, GrantStatus, IdleRule, OfferStatus, Pool, PoolStatus, SourceKind, Trust
from compute.policies.offers import parse_refs
from compute.queries import activity, budget, overview, priorities, quotas, run_limits
from compute.queries import shares as share_queries
from compute.queries.named import flavor_named, project_named
from compute.runtime import executors
from compute.services import activity as activity_services
from compute.services import catalogue, compute_grants, offers, shares
from compute.services import trust as trust_services
from compute.views import bp
from compute.views.desk_forms import done_at_desk
from core import audit
from core.clock import utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.units import gpu_hours
from core.web import current_person, db, flash, page, refused, requires
from core.web.forms import Form


@bp.get("/admin/compute")
@requires(Role.PROGRAMME_OFFICER)
def desk() -> ResponseReturnValue:
    """What waits for a decision, and the tables behind."""
    session = db()
    waiting = (GrantStatus.REQUESTED, GrantStatus.REVIEWED)
    grants = session.scalars(select(ComputeGrant).order_by(ComputeGrant.expires_at)).all()
    return render_template(
        "compute/desk.html",
        requests=[grant for grant in grants if grant.status in waiting],
        grants=[grant for grant in grants if grant.drawable or grant.status is GrantStatus.APPROVED],
        budgets=budget.of_grants(session, grants),
        proposed=overview.offers(session, statuses=[OfferStatus.PROPOSED]),
        pools=overview.pool_use(session, now=utc_now()),
        rates=overview.rates(session),
        weights=share_queries.all_weights(session),
        quota_groups=quotas.groups(session),
        ended_quota_groups=quotas.ended(session),
        quota_uses=quotas.uses(session),
        reclaim_notices=[notice for notice in quotas.notices(session) if notice.attempt.settled_at is None],
        limits=run_limits.all_limits(session),
        priorities=priorities.classes(session),
        flavors=overview.flavors(session),
        holding=activity.holding(session),
    )


@bp.route("/admin/compute/grants/<uuid:grant_id>", methods=["GET"])
@requires(Role.PROGRAMME_OFFICER)
def decide_grant(grant_id: UUID) -> ResponseReturnValue:
    """A request with the step that comes next."""
    return _grant_page(overview.grant(db(), grant_id))


@bp.post("/admin/compute/grants/<uuid:grant_id>/review")
@requires(Role.PROGRAMME_OFFICER)
def create_review(grant_id: UUID) -> ResponseReturnValue:
    """Write down what a reviewer thinks."""
    form = NoteForm(prefix="review")
    grant = overview.grant(db(), grant_id)

    def act() -> None:
        compute_grants.review(db(), grant, note=form.note.data, reviewer=current_person(), now=utc_now())

    return _step(form, act, "The review is written.", grant_id, review=form)


@bp.post("/admin/compute/grants/<uuid:grant_id>/approval")
@requires(Role.PROGRAMME_OFFICER)
def create_approval(grant_id: UUID) -> ResponseReturnValue:
    """Grant hours."""
    form = DecisionForm(prefix="approve")
    grant = overview.grant(db(), grant_id)

    def act() -> None:
        compute_grants.approve(
            db(),
            grant,
            ticks=ticks(form.gpu_hours.data),
            note=form.note.data or "",
            decided_by=current_person(),
            now=utc_now(),
        )

    return _step(form, act, "The grant is approved.", grant_id, approve=form)


@bp.post("/admin/compute/grants/<uuid:grant_id>/refusal")
@requires(Role.PROGRAMME_OFFICER)
def create_refusal(grant_id: UUID) -> ResponseReturnValue:
    """Decline a request."""
    form = NoteForm(prefix="decline")
    grant = overview.grant(db(), grant_id)

    def act() -> None:
        compute_grants.decline(db(), grant, note=form.note.data, decided_by=current_person(), now=utc_now())

    return _step(form, act, "The request is declined.", grant_id, decline=form)


@bp.route("/admin/compute/offers/<uuid:offer_id>", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def decide_offer(offer_id: UUID) -> ResponseReturnValue:
    """Tie an offer to a pool and accept it."""
    session = db()
    offer = overview.offer(session, offer_id)
    pools = [pool for pool in overview.pools(session) if pool.flavor_id == offer.flavor_id]
    form = AcceptOfferForm()
    form.pool.choices = [(pool.slug, f"{pool.name} ({pool.devices} × {pool.flavor.name})") for pool in pools]
    if form.validate_on_submit():
        try:
            pool = next(pool for pool in pools if pool.slug == form.pool.data)
            offers.accept(session, offer, pool, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The offer is accepted; it opens when its window begins.")
            return redirect(url_for("compute.desk"), code=303)
    return page(
        "compute/decide_offer.html",
        form=form,
        decline=ReasonForm(prefix="decline"),
        offer=offer,
        pools=pools,
        policy_words=overview.policy_words(session, offer),
    )


@bp.post("/admin/compute/offers/<uuid:offer_id>/refusal")
@requires(Role.PROGRAMME_OFFICER)
def refuse_offer(offer_id: UUID) -> ResponseReturnValue:
    """Don't take an offer."""
    session = db()
    form = ReasonForm(prefix="decline")
    offer = overview.offer(session, offer_id)
    if form.validate_on_submit():
        offers.decline(session, offer, actor=current_person(), reason=form.reason.data, now=utc_now())
        flash("The offer is declined.")
        return redirect(url_for("compute.desk"), code=303)
    accept = AcceptOfferForm(formdata=None)
    accept.pool.choices = []
    return page(
        "compute/decide_offer.html",
        form=accept,
        status=422,
        decline=form,
        offer=offer,
        pools=[],
        policy_words=overview.policy_words(session, offer),
    )


@bp.route("/admin/compute/rates/new", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def new_rate() -> ResponseReturnValue:
    """Add a line to the exchange table."""
    session, now = db(), utc_now()
    form = RateForm(valid_from=now)
    form.flavor.choices = [(flavor.slug, flavor.name) for flavor in overview.flavors(session)]

    def act() -> None:
        # The form has minutes; a moment that was “now” when the page was opened is now.
        moment = form.valid_from.data
        assert moment is not None
        catalogue.set_rate(
            session,
            flavor_named(session, form.flavor.data),
            form.fraction(),
            valid_from=now if 0 <= (now - moment).total_seconds() < 3600 else moment,
            source=form.source.data,
            author=current_person(),
            now=now,
        )

    return done_at_desk(form, act, "The rate is entered.", "compute/new_rate.html", rates=overview.rates(session))


@bp.route("/admin/compute/weights/new", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def new_weight() -> ResponseReturnValue:
    """Say how much a project counts when turns are shared."""
    session = db()
    form = WeightForm()
    form.project.choices = [(project.slug, project.name) for project in share_queries.sharing(session)]

    def act() -> None:
        project = project_named(session, form.project.data)
        shares.set_weight(session, project, form.weight.data, reason=form.reason.data, actor=current_person(), now=utc_now())

    return done_at_desk(form, act, "The weight is set.", "compute/new_weight.html")


@bp.route("/admin/compute/flavors/new", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def new_flavor() -> ResponseReturnValue:
    """Name a kind of accelerator."""
    form = FlavorForm()

    def act() -> None:
        catalogue.add_flavor(
            db(),
            slug=form.slug.data,
            name=form.name.data,
            vendor=form.vendor.data,
            slices_per_gpu=form.slices_per_gpu.data,
            memory_gb=form.memory_gb.data,
            author=current_person(),
            now=utc_now(),
        )

    return done_at_desk(form, act, "The kind of accelerator is known from now on.", "compute/new_flavor.html")


@bp.route("/admin/compute/pools/new", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def new_pool() -> ResponseReturnValue:
    """Put hardware behind an executor."""
    session = db()
    form = PoolForm()
    form.flavor.choices = [(flavor.slug, flavor.name) for flavor in overview.flavors(session)]
    form.executor.choices = [(name, name) for name in sorted(executors())]

    def act() -> None:
        catalogue.add_pool(
            session,
            slug=form.slug.data,
            name=form.name.data,
            flavor=flavor_named(session, form.flavor.data),
            executor=form.executor.data,
            devices=form.devices.data,
            runs=[SourceKind.COMMAND, SourceKind.REPOSITORY],
            region=form.region.data or "",
            author=current_person(),
            now=utc_now(),
        )

    return done_at_desk(form, act, "The pool is open.", "compute/new_pool.html")


@bp.route("/admin/compute/pools/<slug>/idle", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def set_idle_rule(slug: str) -> ResponseReturnValue:
    """Say what happens to jobs that hold a pool's devices and do nothing."""
    pool = _pool(slug)
    form = IdleRuleForm(minutes=pool.idle_minutes, rule=pool.idle_rule.value)

    def act() -> None:
        rule = IdleRule(form.rule.data)
        activity_services.set_rule(db(), pool, minutes=form.minutes.data, rule=rule, actor=current_person(), now=utc_now())

    return done_at_desk(form, act, f"The rule of {pool.name} holds from now on.", "compute/idle_rule.html", pool=pool)


@bp.route("/admin/compute/pools/<slug>/trust", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def set_trust(slug: str) -> ResponseReturnValue:
    """Say whose code a pool runs."""
    pool = _pool(slug)
    form = TrustForm(trust=pool.trust.value, trusted_refs="\n".join(pool.reviewed_refs))

    def act() -> None:
        refs = parse_refs(form.trusted_refs.data or "")
        trust_services.set_trust(
            db(), pool, Trust(form.trust.data), reviewed_refs=refs, reason=form.reason.data, actor=current_person(), now=utc_now()
        )

    return done_at_desk(form, act, f"{pool.name} takes such code from now on.", "compute/trust.html", pool=pool)


@bp.post("/admin/compute/pools/<slug>/<any(open, draining, closed):status>")
@requires(Role.PROGRAMME_OFFICER)
def set_pool_status(slug: str, status: str) -> ResponseReturnValue:
    """Open, drain or close a pool."""
    pool = _pool(slug)
    catalogue.set_pool_status(db(), pool, PoolStatus(status), actor=current_person(), now=utc_now())
    flash(f"{pool.name} is {status}.")
    return redirect(url_for("compute.desk"), code=303)


def _pool(slug: str) -> Pool:
    return overview.pool_named(db(), slug)


def _step(form: Form, act: Callable[[], None], done: str, grant_id: UUID, **shown: Form) -> ResponseReturnValue:
    if form.validate_on_submit():
        try:
            act()
        except DomainError as error:
            refused(form, error)
        else:
            flash(done)
            return redirect(url_for("compute.decide_grant", grant_id=grant_id), code=303)
    return _grant_page(overview.grant(db(), grant_id), status=form.status, **shown)


def _grant_page(grant: ComputeGrant, *, status: int | None = None, **shown: Form) -> ResponseReturnValue:
    forms: dict[str, Any] = {
        "review": NoteForm(prefix="review", formdata=None),
        "approve": DecisionForm(prefix="approve", formdata=None, gpu_hours=round(float(gpu_hours(grant.requested_ticks)), 2)),
        "decline": NoteForm(prefix="decline", formdata=None),
    }
    wrong = next(iter(shown.values()), None)
    return page(
        "compute/decide_grant.html",
        status=status,
        grant=grant,
        events=audit.history(db(), grant),
        own=grant.requested_by_id == current_person().id,
        wrong=wrong,
        **{**forms, **shown},
    )
