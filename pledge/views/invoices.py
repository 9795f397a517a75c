"""Asking for an invoice, opening it at the provider, and withdrawing it."""

from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core.clock import today, utc_now
from core.errors import DomainError, NotFound
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, requires, signed_in
from pledge import providers, queries, terms
from pledge.forms import InvoiceForm, ReasonForm
from pledge.models import PayIn, PledgeInstalment
from pledge.policies import pay_ins as policy
from pledge.providers.invoicing import Billing
from pledge.services import invoices
from pledge.views.blueprint import bp
from pledge.views.pay_ins import instalment_of


@bp.route("/company/<slug>/instalments/<uuid:instalment_id>/invoice", methods=["GET", "POST"])
@signed_in
def ask_for_invoice(slug: str, instalment_id: UUID) -> ResponseReturnValue:
    """Whom the invoice names, and the number that the company wants on it."""
    row = instalment_of(slug, instalment_id)
    form = InvoiceForm(data=_last_billing(row))
    if form.validate_on_submit():
        try:
            providers.required()
            invoices.ask(
                db(),
                row.id,
                po_number=form.po_number.data,
                billing=Billing(**(_typed(form) | {"country": (form.country.data or "").upper()})),
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            db().rollback()
            row = instalment_of(slug, instalment_id)
            refused(form, error)
        else:
            flash(f"Stripe makes the invoice and e-mails it to {form.email.data}. Load this page again in a few seconds.")
            return redirect(url_for(".show_instalment", slug=slug, instalment_id=instalment_id), code=303)
    outstanding = policy.outstanding(row.money, row.pay_ins)
    return page(
        "pledge/invoice.html",
        form=form,
        instalment=row,
        member=row.member,
        part=next(iter(policy.parts(outstanding)), outstanding),
        known=terms.book().on(row.currency, today()),
    )


@bp.post("/company/<slug>/instalments/<uuid:instalment_id>/invoices/<uuid:pay_in_id>/withdrawal")
@signed_in
def withdraw_invoice(slug: str, instalment_id: UUID, pay_in_id: UUID) -> ResponseReturnValue:
    """Nobody shall pay it any more."""
    row = _invoice_of(slug, instalment_id, pay_in_id)
    invoices.withdraw(db(), row.id, actor=current_person(), now=utc_now())
    flash("The invoice is being withdrawn. Load this page again in a few seconds.")
    return redirect(url_for(".show_instalment", slug=slug, instalment_id=instalment_id), code=303)


@bp.get("/company/<slug>/instalments/<uuid:instalment_id>/invoices/<uuid:pay_in_id>/<any(page, pdf):form>")
@signed_in
def open_invoice(slug: str, instalment_id: UUID, pay_in_id: UUID, form: str) -> ResponseReturnValue:
    """To the invoice at the provider, by the address that it names now."""
    return _to_provider(_invoice_of(slug, instalment_id, pay_in_id, reading=True), form)


@bp.get("/finance/pay-ins/online/<uuid:pay_in_id>/invoice/<any(page, pdf):form>")
@requires(Role.FINANCE)
def open_invoice_for_finance(pay_in_id: UUID, form: str) -> ResponseReturnValue:
    """The same, for finance."""
    return _to_provider(queries.pay_in(db(), pay_in_id), form)


@bp.route("/finance/pay-ins/online/<uuid:pay_in_id>/withdrawal", methods=["GET", "POST"])
@requires(Role.FINANCE)
def withdraw_invoice_for_finance(pay_in_id: UUID) -> ResponseReturnValue:
    """Withdraw a company's invoice, with a reason."""
    row = queries.pay_in(db(), pay_in_id)
    form = ReasonForm()
    if form.validate_on_submit():
        try:
            invoices.withdraw(db(), row.id, actor=current_person(), reason=form.why.data, now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The invoice is being withdrawn; the company sees that.")
            return redirect(url_for(".show_pay_in", pay_in_id=pay_in_id), code=303)
    return page("pledge/withdraw_invoice.html", form=form, pay_in=row)


def _to_provider(row: PayIn, form: str) -> ResponseReturnValue:
    if row.invoice is None or row.invoice.invoice_id is None:
        raise NotFound("There is no invoice at Stripe for this payment.")
    provider, invoice_id = providers.required(), row.invoice.invoice_id
    db().commit()  # no transaction is open while the provider is asked
    links = provider.invoice_links(invoice_id)
    return redirect(links.pdf if form == "pdf" else links.page, code=303)


def _invoice_of(slug: str, instalment_id: UUID, pay_in_id: UUID, *, reading: bool = False) -> PayIn:
    found = instalment_of(slug, instalment_id, reading=reading).pay_ins
    row = next((each for each in found if each.id == pay_in_id and each.invoice is not None), None)
    if row is None:
        raise NotFound("There is no such invoice.")
    return row


def _last_billing(row: PledgeInstalment) -> dict[str, str | None]:
    """What the company said the last time, else what is known of it."""
    last = queries.latest_invoice_of(db(), row.member.organisation_id)
    if last is not None:
        return {name: getattr(last, name) for name in Billing.__slots__}
    organisation = row.member.organisation
    return {"name": organisation.name, "country": organisation.country, "email": current_person().email}


def _typed(form: InvoiceForm) -> dict[str, str]:
    return {name: form[name].data for name in Billing.__slots__}
