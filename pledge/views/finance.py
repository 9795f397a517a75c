"""Finance's pay-ins: those that companies say they sent, to be found on the bank statement, and those paid online."""

from uuid import UUID

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from core import ledger
from core.clock import today, utc_now
from core.config import settings
from core.errors import DomainError
from core.identity.models import Role
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires
from pledge import host_queries, providers, queries
from pledge.forms import ConfirmationForm, ReasonForm
from pledge.models import LIVE_HOST_ORDERS, InstalmentStatus
from pledge.services import instalments
from pledge.views.blueprint import bp


@bp.get("/finance/pay-ins")
@requires(Role.FINANCE)
def pay_ins() -> ResponseReturnValue:
    """What waits for finance, what waits for companies, and what was dealt with."""
    waiting = queries.pay_ins(db(), InstalmentStatus.PROCESSING)
    announced = queries.pay_ins(db(), InstalmentStatus.AWAITING_PAYMENT)
    orders = host_queries.of_instalments(db(), [each.id for each in (*waiting, *announced)])
    return render_template(
        "pledge/pay_ins.html",
        waiting=waiting,
        announced=announced,
        host=providers.host(),
        at_host={each.instalment_id: each for each in orders if each.status in LIVE_HOST_ORDERS},
        done=queries.settled_instalments(db()),
        names=queries.names_of_confirmers(db()),
        person=current_person(),
        provider=providers.configured(),
        signed=bool(settings().stripe_webhook_secrets),
        online=queries.recent_pay_ins(db()),
        overdue=queries.overdue_invoices(db(), on=today()),
        unhandled=len(queries.waiting_events(db())),
        shortfalls=[each for each in ledger.balances(db(), "assets:shortfall") if each.posted],
    )


@bp.route("/finance/pay-ins/<uuid:instalment_id>/confirmation", methods=["GET", "POST"])
@requires(Role.FINANCE)
@fresh_second_factor
def confirm_pay_in(instalment_id: UUID) -> ResponseReturnValue:
    """Say that the money is on our account."""
    row = queries.instalment(db(), instalment_id)
    form = ConfirmationForm()
    if form.validate_on_submit():
        try:
            instalments.confirm(
                db(),
                instalment_id,
                received_on=form.received_on.data,
                bank_reference=form.bank_reference.data,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{row.money} of {row.member.name} are settled and in the ledger.")
            return redirect(url_for(".pay_ins"), code=303)
    return page("pledge/confirm_pay_in.html", form=form, instalment=row, accounts=instalments.accounts(row))


@bp.route("/finance/pay-ins/<uuid:instalment_id>/refusal", methods=["GET", "POST"])
@requires(Role.FINANCE)
def refuse_pay_in(instalment_id: UUID) -> ResponseReturnValue:
    """Say that the money did not come."""
    row = queries.instalment(db(), instalment_id)
    form = ReasonForm()
    if form.validate_on_submit():
        try:
            instalments.fail(db(), instalment_id, reason=form.why.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{row.member.name} sees why, and can send it again.")
            return redirect(url_for(".pay_ins"), code=303)
    return page("pledge/refuse_pay_in.html", form=form, instalment=row)
