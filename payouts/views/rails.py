"""Rails with their kill switch, and the dated limits."""

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from core.clock import today, utc_now
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Role
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires
from core.web.forms import choices
from payouts import queries, terms
from payouts import rails as known_rails
from payouts.forms import RULE_WORDS, ReasonForm, RuleForm
from payouts.models import RuleKind
from payouts.rails.base import Cash
from payouts.services import cash, controls
from payouts.views import CONSOLE, bp


@bp.get("/rails")
@requires(*CONSOLE)
def list_rails() -> ResponseReturnValue:
    """How money can leave, and whether it may."""
    return _rails(None)


@bp.post("/rails/<name>/stop")
@requires(*CONSOLE)
def stop_rail(name: str) -> ResponseReturnValue:
    """The kill switch."""
    form = ReasonForm()
    if form.validate_on_submit():
        try:
            controls.stop_rail(db(), _known(name), reason=form.reason.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{_title(name)} is stopped. Nothing more leaves on it.", "warning")
            return redirect(url_for(".list_rails"), code=303)
    return _rails(form)


@bp.post("/rails/<name>/start")
@requires(Role.PAYOUT_APPROVER)
@fresh_second_factor
def start_rail(name: str) -> ResponseReturnValue:
    """Let money leave again."""
    form = ReasonForm()
    if form.validate_on_submit():
        try:
            controls.start_rail(db(), _known(name), reason=form.reason.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{_title(name)} runs again.")
            return redirect(url_for(".list_rails"), code=303)
    return _rails(form)


@bp.get("/limits")
@requires(*CONSOLE)
def list_limits() -> ResponseReturnValue:
    """The numbers in force, those to come and those that were."""
    return _limits(_rule_form())


@bp.post("/limits")
@requires(Role.PAYOUT_APPROVER)
@fresh_second_factor
def create_limit() -> ResponseReturnValue:
    """Set a number from a moment on."""
    form = _rule_form()
    if form.validate_on_submit():
        kind = RuleKind(form.kind.data)
        hours = kind is RuleKind.COOL_OFF_HOURS
        value = form.hours.data if hours else (form.amount.data.amount_minor if form.amount.data else None)
        now = utc_now()
        try:
            if value is None:
                raise InvalidInput("Enter the number.", field="hours" if hours else "amount")
            controls.set_rule(
                db(),
                kind=kind,
                value=value,
                currency=None if hours else form.currency.data,
                rail=form.rail.data or None if kind is RuleKind.RAIL_DAY_MAX else None,
                valid_from=form.valid_from.data or now,
                reason=form.reason.data,
                actor=current_person(),
                now=now,
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The limit is set.")
            return redirect(url_for(".list_limits"), code=303)
    return _limits(form)


def _rails(form: ReasonForm | None) -> ResponseReturnValue:
    configured = known_rails.configured()
    stocks: dict[Cash, list[cash.Stock]] = {}
    for each in cash.stocks(db(), configured.values()):
        stocks.setdefault(each.cash, []).append(each)
    return page(
        "payouts/rails.html",
        form=form,
        stocks=stocks,
        rails=[(rail, rail.health(), terms.in_force(rail.name, today())) for rail in configured.values()],
        switches=queries.switches(db()),
        reason_form=ReasonForm(formdata=None),
    )


def _limits(form: RuleForm) -> ResponseReturnValue:
    now = utc_now()
    listed = queries.rules(db())
    begun: set[tuple[RuleKind, str | None, str | None]] = set()
    states = {}
    for rule in listed:  # newest first within each kind
        key = (rule.kind, rule.currency, rule.rail)
        if rule.valid_from > now:
            states[rule.id] = "later"
        else:
            states[rule.id] = "past" if key in begun else "current"
            begun.add(key)
    return page("payouts/limits.html", form=form, rules=listed, states=states, words=RULE_WORDS)


def _rule_form() -> RuleForm:
    form = RuleForm() if request.form else RuleForm(formdata=None)
    form.rail.choices = choices(
        known_rails.configured(), label=lambda name: known_rails.configured()[name].title, empty="No rail"
    )
    return form


def _title(name: str) -> str:
    return known_rails.configured()[name].title


def _known(name: str) -> str:
    if name not in known_rails.configured():
        raise NotFound("There is no such rail.")
    return name
