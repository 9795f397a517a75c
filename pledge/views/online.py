"""Finance's page of one online payment: what moved, what the ledger says, and sending money back."""

from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core import audit, ledger
from core.clock import utc_now
from core.errors import DomainError, NotFound
from core.identity.models import Role
from core.tasks import enqueue
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires
from pledge import queries
from pledge.forms import RefundForm
from pledge.models import PayIn, PayInRefund
from pledge.services import pay_ins, refunds
from pledge.services.pay_ins import LookAt
from pledge.views.blueprint import bp
from pledge.views.history import told


@bp.get("/finance/pay-ins/online/<uuid:pay_in_id>")
@requires(Role.FINANCE)
def show_pay_in(pay_in_id: UUID) -> ResponseReturnValue:
    """One online payment: what was asked, what moved, and what the ledger says."""
    return _page(queries.pay_in(db(), pay_in_id))


@bp.post("/finance/pay-ins/online/<uuid:pay_in_id>/look")
@requires(Role.FINANCE)
def look_at_pay_in(pay_in_id: UUID) -> ResponseReturnValue:
    """Ask the provider now."""
    row = queries.pay_in(db(), pay_in_id)
    enqueue(db(), LookAt(row.id), now=utc_now(), dedupe_key=f"{row.id}:asked")
    flash("We ask Stripe. Load this page again in a few seconds.")
    return _back(row.id)


@bp.post("/finance/pay-ins/online/<uuid:pay_in_id>/refunds")
@requires(Role.FINANCE)
def ask_for_refund(pay_in_id: UUID) -> ResponseReturnValue:
    """Ask for money to be sent back; a second person approves it."""
    form = RefundForm()
    form.amount.currency = queries.pay_in(db(), pay_in_id).currency
    if form.validate_on_submit():
        assert form.amount.data is not None, "a required field"
        try:
            refunds.ask(db(), pay_in_id, money=form.amount.data, reason=form.reason.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("Somebody else in finance approves it.")
            return _back(pay_in_id)
    return _page(queries.pay_in(db(), pay_in_id), form)


@bp.post("/finance/pay-ins/online/<uuid:pay_in_id>/refunds/<uuid:refund_id>/approval")
@requires(Role.FINANCE)
@fresh_second_factor
def approve_refund(pay_in_id: UUID, refund_id: UUID) -> ResponseReturnValue:
    """Send the money back, as the second person."""
    refund = refunds.approve(db(), _of(pay_in_id, refund_id).id, actor=current_person(), now=utc_now())
    flash(f"{refund.money} go back to {refund.pay_in.instalment.member.name}.")
    return _back(pay_in_id)


@bp.post("/finance/pay-ins/online/<uuid:pay_in_id>/refunds/<uuid:refund_id>/refusal")
@requires(Role.FINANCE)
def turn_refund_down(pay_in_id: UUID, refund_id: UUID) -> ResponseReturnValue:
    """Leave the money where it is."""
    refunds.turn_down(db(), _of(pay_in_id, refund_id).id, actor=current_person(), now=utc_now())
    flash("The refund is turned down; nothing was sent.")
    return _back(pay_in_id)


def _of(pay_in_id: UUID, refund_id: UUID) -> PayInRefund:
    refund = queries.refund(db(), refund_id)
    if refund.pay_in_id != pay_in_id:
        raise NotFound("There is no such refund.")
    return refund


def _back(pay_in_id: UUID) -> ResponseReturnValue:
    return redirect(url_for(".show_pay_in", pay_in_id=pay_in_id), code=303)


def _page(row: PayIn, form: RefundForm | None = None) -> ResponseReturnValue:
    left = refunds.refundable(row)
    return page(
        "pledge/pay_in.html",
        form=form or (RefundForm(formdata=None, data={"amount": left}) if left else None),
        pay_in=row,
        left=left,
        overpaid=pay_ins.overpaid(row.instalment),
        booked=ledger.entries_for(db(), ref=("pay_in", str(row.id))),
        events=told(_history(row)),
        person=current_person(),
        names=queries.names_of(db(), [each.asked_by_id for each in row.refunds]),
    )


def _history(row: PayIn) -> list[audit.Event]:
    """What happened to a payment and to its refunds, newest first."""
    things: list[PayIn | PayInRefund] = [row, *row.refunds]
    found = [event for each in things for event in audit.history(db(), each)]
    return sorted(found, key=lambda event: event.at, reverse=True)
