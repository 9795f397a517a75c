"""Finance's page of an invoice that the provider does not know any more: said to be payable by nobody, and confirmed."""

from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core.clock import utc_now
from core.errors import DomainError, NotFound
from core.identity.models import Role
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires
from pledge import providers, queries
from pledge.forms import EndingForm
from pledge.models import InvoiceWish
from pledge.providers.base import NotThere
from pledge.services import invoice_endings, pay_ins
from pledge.services.invoice_endings import KnownThere
from pledge.views.blueprint import bp
from pledge.views.payments import download
from pledge.views.shared import stored


@bp.route("/finance/pay-ins/online/<uuid:pay_in_id>/ending", methods=["GET", "POST"])
@requires(Role.FINANCE)
def end_invoice(pay_in_id: UUID) -> ResponseReturnValue:
    """Say that nobody can pay it any more; another person confirms."""
    row, form = queries.pay_in(db(), pay_in_id), EndingForm()
    if row.invoice is None:
        raise NotFound("There is no invoice at Stripe for this payment.")
    if form.validate_on_submit():
        try:
            evidence = stored(form.evidence_file)
            assert evidence is not None, "a required field"
            invoice_endings.ask(
                db(), pay_in_id, reason=form.reason.data, evidence=evidence, actor=current_person(), now=utc_now()
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("Kept. Another person of finance compares the evidence and confirms it.")
            return redirect(url_for(".end_invoice", pay_in_id=pay_in_id), code=303)
    return page("pledge/end_invoice.html", form=form, pay_in=row, ending=row.invoice.ending, person=current_person())


@bp.post("/finance/pay-ins/online/<uuid:pay_in_id>/ending/confirmation")
@requires(Role.FINANCE)
@fresh_second_factor
def confirm_ending(pay_in_id: UUID) -> ResponseReturnValue:
    """As the second person, if Stripe still does not know it."""
    invoice_endings.confirmable(db(), pay_in_id, actor=current_person(), now=utc_now())
    _require_unknown_still(pay_in_id)
    row = invoice_endings.confirm(db(), pay_in_id, actor=current_person(), now=utc_now())
    is_paid = row.invoice is not None and row.invoice.wish is InvoiceWish.PAID_ELSEWHERE
    next_step = "Its money was found on our bank account" if is_paid else f"{row.instalment.member.name} can pay another way"
    flash(f"The invoice is ended. {next_step}.")
    return redirect(url_for(".show_pay_in", pay_in_id=pay_in_id), code=303)


@bp.post("/finance/pay-ins/online/<uuid:pay_in_id>/ending/rejection")
@requires(Role.FINANCE)
def decline_ending(pay_in_id: UUID) -> ResponseReturnValue:
    """It does not convince, or its author takes it back."""
    invoice_endings.decline(db(), pay_in_id, actor=current_person(), now=utc_now())
    flash("The invoice stays open; somebody can ask again, with other evidence.", "info")
    return redirect(url_for(".end_invoice", pay_in_id=pay_in_id), code=303)


@bp.get("/finance/pay-ins/online/<uuid:pay_in_id>/ending/evidence")
@requires(Role.FINANCE)
def ending_evidence(pay_in_id: UUID) -> ResponseReturnValue:
    """The file that shows it."""
    row = queries.pay_in(db(), pay_in_id)
    if row.invoice is None or row.invoice.ending is None:
        raise NotFound("Nobody has said that this invoice can be paid by nobody.")
    return download(row.invoice.ending.evidence_file)


def _require_unknown_still(pay_in_id: UUID) -> None:
    """Ask Stripe now. The last look may have been under a wrong key, and ended here, an invoice stays payable there.

    Raises:
        KnownThere: Stripe knows it; what it says is kept.
        ProviderSilent, ProviderRefused: it did not say.
    """
    before = pay_ins.watched(db(), pay_in_id)
    db().commit()  # no transaction of ours is open while Stripe is asked
    try:
        seen = before.ask(providers.required())
    except NotThere:
        return
    if seen is not None:
        pay_ins.apply(db(), pay_in_id, seen, looks=before.looks, now=utc_now())
        db().commit()
    raise KnownThere("Stripe knows this invoice after all, so it is not ended here. Decline this; then withdraw the invoice.")
