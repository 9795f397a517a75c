"""What is due, what is on its way, and what needs somebody."""

from uuid import UUID

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from core.clock import today, utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, requires
from core.web.forms import choices
from core.web.pagination import paginate
from payouts import queries, rails
from payouts.forms import FilterForm, PrepareForm, ReasonForm
from payouts.models import Payout, PayoutStatus
from payouts.services import cash, controls, previews, runs
from payouts.views import CONSOLE, bp


@bp.get("")
@requires(*CONSOLE)
def index() -> ResponseReturnValue:
    """Payouts by due date, with what needs doing on top."""
    return _index(_prepare_form())


@bp.post("/runs")
@requires(Role.FINANCE)
def create_run() -> ResponseReturnValue:
    """Prepare a run of what is due."""
    form = _prepare_form()
    if form.validate_on_submit():
        try:
            run, unready = runs.prepare(
                db(),
                currency=form.currency.data,
                due_by=form.due_by.data,
                preparer=current_person(),
                rails=rails.configured(),
                now=utc_now(),
                rail=form.rail.data or None,
            )
        except DomainError as error:
            refused(form, error)
        else:
            for left_out in unready[:5]:
                flash(f"Left out: {left_out.reason}", "warning")
            if len(unready) > 5:
                flash(f"{len(unready) - 5} more payouts were left out; they stay in the list of what is due.", "warning")
            flash(f"{run.name} is prepared. Another person approves it.")
            return redirect(url_for(".show_run", run_id=run.id), code=303)
    return _index(form)


@bp.post("/alarms/<uuid:alarm_id>/closing")
@requires(*CONSOLE)
def close_alarm(alarm_id: UUID) -> ResponseReturnValue:
    """Somebody looked at an alarm."""
    form = ReasonForm()
    controls.close_alarm(db(), alarm_id, note=form.reason.data or "", actor=current_person(), now=utc_now())
    flash("The alarm is closed; its note stays in the history.")
    return redirect(url_for(".index"), code=303)


def _index(form: PrepareForm) -> ResponseReturnValue:
    session, day = db(), today()
    filter_form = FilterForm(request.args)
    filter_form.rail.choices = choices(rails.configured(), label=lambda name: rails.configured()[name].title, empty="Every rail")
    wanted = queries.Filter(rail=filter_form.rail.data or None, due_by=filter_form.due_by.data)
    if filter_form.status.data in set(PayoutStatus):
        wanted = queries.Filter(PayoutStatus(filter_form.status.data), wanted.rail, None, wanted.due_by)
    listed = paginate(
        session, queries.payouts(wanted), by=[Payout.due_on, Payout.id], descending=False, cursor=request.args.get("cursor")
    )
    return page(
        "payouts/index.html",
        form=form,
        filter_form=filter_form,
        filtered=bool(wanted.status or wanted.rail or wanted.due_by),
        listed=listed,
        due=queries.due_totals(session, on=day),
        counts=queries.counts_by_status(session),
        for_people=queries.count_for_people(session),
        alarms=queries.open_alarms(session),
        stopped=[switch for switch in queries.switches(session).values() if switch.stopped],
        notices=queries.notices(session),
        stocks=cash.stocks(session, rails.configured().values()),
        not_ready=previews.not_ready(session, due_by=day, rails=rails.configured(), now=utc_now()),
        today=day,
    )


def _prepare_form() -> PrepareForm:
    form = PrepareForm(due_by=today()) if not request.form else PrepareForm()
    form.rail.choices = choices(rails.configured(), label=lambda name: rails.configured()[name].title, empty="Every rail")
    return form
