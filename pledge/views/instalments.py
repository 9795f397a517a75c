"""Paying an instalment through us, as the company sees it."""

from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core.clock import utc_now
from core.errors import DomainError, NotFound
from core.web import current_person, db, flash, page, refused, signed_in
from pledge import providers, queries
from pledge.forms import InstalmentForm, SentForm
from pledge.models import PledgeInstalment
from pledge.services import instalments
from pledge.views.blueprint import bp
from pledge.views.shared import editable, stored, to_period


@bp.route("/company/<slug>/periods/<label>/instalments/new", methods=["GET", "POST"])
@signed_in
def new_instalment(slug: str, label: str) -> ResponseReturnValue:
    """Plan an instalment and get the reference for the bank transfer."""
    pledge = queries.pledge_by_label(db(), editable(slug), label)
    figures = queries.year_figures(db(), pledge)
    short = figures.standing.short_by
    form = InstalmentForm(data={"amount": short or None})
    form.amount.currency = pledge.currency
    if form.validate_on_submit():
        assert form.amount.data is not None, "a required field"
        try:
            row = instalments.announce(db(), pledge, money=form.amount.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            if providers.configured() is not None:
                return redirect(url_for(".show_instalment", slug=slug, instalment_id=row.id), code=303)
            flash(f"Write {row.reference} on the transfer, and come back when it is sent.")
            return to_period(pledge)
    return page("pledge/instalment.html", form=form, member=pledge.member, pledge=pledge, figures=figures)


@bp.route("/company/<slug>/instalments/<uuid:instalment_id>/payment", methods=["GET", "POST"])
@signed_in
def say_sent(slug: str, instalment_id: UUID) -> ResponseReturnValue:
    """Say that an instalment was sent, with evidence."""
    row = _own(slug, instalment_id)
    form = SentForm()
    if form.validate_on_submit():
        try:
            instalments.say_sent(
                db(),
                instalment_id,
                sent_on=form.sent_on.data,
                evidence_url=form.evidence_url.data,
                evidence_file=stored(form.evidence_file),
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("Noted. Finance looks for it on the bank statement next.")
            return to_period(row.pledge)
    return page("pledge/sent.html", form=form, member=row.member, instalment=row)


@bp.post("/company/<slug>/instalments/<uuid:instalment_id>/retry")
@signed_in
def try_again(slug: str, instalment_id: UUID) -> ResponseReturnValue:
    """Wait for a failed instalment once more."""
    row = _own(slug, instalment_id)
    instalments.try_again(db(), instalment_id, actor=current_person(), now=utc_now())
    flash(f"Send it again with the reference {row.reference}.")
    return to_period(row.pledge)


def _own(slug: str, instalment_id: UUID) -> PledgeInstalment:
    member = editable(slug)
    row = queries.instalment(db(), instalment_id)
    if row.pledge.member_id != member.id:
        raise NotFound("There is no such instalment.")
    return row
