"""Entering and correcting payments and help in kind, publishing the report, and the evidence behind it all."""

from uuid import UUID

from flask import Response, redirect, url_for
from flask.typing import ResponseReturnValue

from core import files
from core.clock import today, utc_now
from core.errors import DomainError, NotFound
from core.files import StoredFile
from core.identity import access
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, signed_in
from pledge import queries
from pledge.forms import CorrectionForm, InKindForm, PaymentForm, ReasonForm, ReportForm
from pledge.models import InKindKind, PaymentChannel, PledgePayment, PledgeRule
from pledge.services import payments, reports
from pledge.services.payments import PaymentInput
from pledge.views.blueprint import bp
from pledge.views.shared import editable, readable, stored, to_period

PERIOD = "/company/<slug>/periods/<label>"


@bp.route(f"{PERIOD}/payments/new", methods=["GET", "POST"])
@signed_in
def new_payment(slug: str, label: str) -> ResponseReturnValue:
    """Enter a payment; with “and another”, go on with an empty form."""
    pledge = queries.pledge_by_label(db(), editable(slug), label)
    form = PaymentForm()
    if form.validate_on_submit():
        try:
            payment = payments.record(db(), pledge, _given(form), actor=current_person(), now=utc_now())
        except DomainError as error:
            _refused(form, error)
        else:
            flash(f"Entered: {payment.payee}, {payment.money}.")
            return to_period(pledge)
    return page("pledge/payment.html", form=form, member=pledge.member, pledge=pledge, payment=None)


@bp.route(f"{PERIOD}/payments/<uuid:payment_id>/correction", methods=["GET", "POST"])
@signed_in
def correct_payment(slug: str, label: str, payment_id: UUID) -> ResponseReturnValue:
    """Put a corrected row in the place of a payment."""
    pledge = queries.pledge_by_label(db(), editable(slug), label)
    payment = queries.payment(db(), pledge, payment_id)
    form = CorrectionForm(
        data={
            **{name: getattr(payment, name) for name in ("payee", "project", "currency", "paid_on", "reason", "evidence_url")},
            **{name: str(getattr(payment, name)) for name in ("channel", "rule")},
            "amount": payment.money,
            "rate": payment.rate.normalize() if payment.rate is not None else None,
            "rate_source": payment.rate_source,
        }
    )
    if form.validate_on_submit():
        try:
            payments.correct(db(), pledge, payment_id, _given(form), why=form.why.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            _refused(form, error)
        else:
            flash("The payment is corrected; what stood before is kept below.")
            return to_period(pledge)
    return page("pledge/payment.html", form=form, member=pledge.member, pledge=pledge, payment=payment)


@bp.route(f"{PERIOD}/payments/<uuid:payment_id>/removal", methods=["GET", "POST"])
@signed_in
def remove_payment(slug: str, label: str, payment_id: UUID) -> ResponseReturnValue:
    """Strike a payment out."""
    pledge = queries.pledge_by_label(db(), editable(slug), label)
    payment = queries.payment(db(), pledge, payment_id)
    form = ReasonForm()
    if form.validate_on_submit():
        try:
            payments.strike_out(db(), pledge, payment_id, why=form.why.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The payment is struck out.")
            return to_period(pledge)
    return page("pledge/remove_payment.html", form=form, member=pledge.member, pledge=pledge, payment=payment)


@bp.route(f"{PERIOD}/in-kind/new", methods=["GET", "POST"])
@signed_in
def new_in_kind(slug: str, label: str) -> ResponseReturnValue:
    """Enter help that is not cash."""
    pledge = queries.pledge_by_label(db(), editable(slug), label)
    form = InKindForm()
    if form.validate_on_submit():
        try:
            payments.record_in_kind(
                db(),
                pledge,
                kind=InKindKind(form.kind.data),
                description=form.description.data,
                value=form.value.data,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The help in kind is entered. It is shown beside the payments and counts towards nothing.")
            return to_period(pledge)
    return page("pledge/in_kind.html", form=form, member=pledge.member, pledge=pledge)


@bp.route(f"{PERIOD}/in-kind/<uuid:in_kind_id>/removal", methods=["GET", "POST"])
@signed_in
def remove_in_kind(slug: str, label: str, in_kind_id: UUID) -> ResponseReturnValue:
    """Strike help in kind out."""
    pledge = queries.pledge_by_label(db(), editable(slug), label)
    found = [row for row in queries.in_kind_of(db(), pledge.member, label) if row.id == in_kind_id]
    if not found:
        raise NotFound("This entry is not there any more: somebody struck it out. Open the year again.")
    form = ReasonForm()
    if form.validate_on_submit():
        try:
            payments.strike_out_in_kind(db(), pledge, in_kind_id, why=form.why.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The entry is struck out.")
            return to_period(pledge)
    return page("pledge/remove_in_kind.html", form=form, member=pledge.member, pledge=pledge, in_kind=found[0])


@bp.route(f"{PERIOD}/report", methods=["GET", "POST"])
@signed_in
def publish(slug: str, label: str) -> ResponseReturnValue:
    """Publish the annual report of a period, or a corrected one."""
    pledge = queries.pledge_by_label(db(), editable(slug), label)
    figures = queries.year_figures(db(), pledge)
    old = queries.report_of_pledge(db(), pledge)
    form = ReportForm(
        data={
            "report_on": old.report_on if old else today(),
            "url": old.url if old else None,
            "declared": old.declared if old else None,
        }
    )
    if form.validate_on_submit():
        try:
            report = reports.publish(
                db(),
                pledge,
                url=form.url.data,
                declared=form.declared.data,
                report_on=form.report_on.data,
                why=form.why.data or "",
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"The report {report.year} is published." if old is None else f"The report {report.year} is corrected.")
            return redirect(url_for("pledge.report", slug=slug, year=report.year), code=303)
    return page("pledge/publish.html", form=form, member=pledge.member, pledge=pledge, figures=figures, old=old)


@bp.get(f"{PERIOD}/payments/<uuid:payment_id>/evidence")
@signed_in
def payment_evidence(slug: str, label: str, payment_id: UUID) -> ResponseReturnValue:
    """The evidence of a payment, corrected ones included."""
    pledge = queries.pledge_by_label(db(), readable(slug), label)
    payment = db().get(PledgePayment, payment_id)
    if payment is None or payment.pledge_id != pledge.id or payment.evidence_file is None:
        raise NotFound("This payment has no file as evidence.")
    return download(payment.evidence_file)


@bp.get("/company/<slug>/instalments/<uuid:instalment_id>/evidence")
@signed_in
def instalment_evidence(slug: str, instalment_id: UUID) -> ResponseReturnValue:
    """The evidence of an instalment: for the company's editors and for finance."""
    instalment = queries.instalment(db(), instalment_id)
    if not access.may_read(db(), current_person(), Role.FINANCE, on=today()):
        readable(slug)
    if instalment.member.slug != slug or instalment.evidence_file is None:
        raise NotFound("This instalment has no file as evidence.")
    return download(instalment.evidence_file)


def download(row: StoredFile) -> Response:
    """A stored file, to keep: never shown inside our own pages."""
    answer = Response(files.read(row), content_type=row.media_type)
    answer.headers["Content-Disposition"] = files.as_download(row.name)
    return answer


def _given(form: PaymentForm) -> PaymentInput:
    assert form.amount.data is not None, "a required field"
    return PaymentInput(
        payee=form.payee.data,
        project=form.project.data,
        money=form.amount.data,
        paid_on=form.paid_on.data,
        channel=PaymentChannel(form.channel.data),
        rule=PledgeRule(form.rule.data),
        reason=form.reason.data or "",
        evidence_url=form.evidence_url.data,
        evidence_file=stored(form.evidence_file),
        rate=form.rate.data,
        rate_source=form.rate_source.data,
    )


def _refused(form: PaymentForm, error: DomainError) -> None:
    """As `refused`, but a file's own error belongs to this form's name for it."""
    if getattr(error, "field", None) == "file":
        error.field = "evidence_file"  # type: ignore[attr-defined]
    refused(form, error)
