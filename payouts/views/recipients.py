"""Recipients and their destinations."""

from uuid import UUID

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from core import audit
from core.clock import utc_now
from core.errors import DomainError, NotFound
from core.identity.models import Role
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires
from core.web.forms import Form
from core.web.pagination import paginate
from payouts import queries, rails
from payouts.forms import DocumentForm, RecipientForm, destination_form
from payouts.models import Recipient, RecipientKind
from payouts.rails.base import ConfirmsDestinations, OnboardingRail
from payouts.services import documents, holds, notices, recipients
from payouts.views import CONSOLE, bp


@bp.route("/recipients", methods=["GET", "POST"])
@requires(*CONSOLE)
def list_recipients() -> ResponseReturnValue:
    """Who can be paid; finance adds to them."""
    search = (request.args.get("q") or "").strip() or None
    listed = paginate(
        db(), queries.recipients(search), by=[Recipient.name, Recipient.id], descending=False, cursor=request.args.get("cursor")
    )
    return page("payouts/recipients.html", listed=listed, search=search, to_look_at=queries.to_look_at(db()), now=utc_now())


@bp.route("/recipients/new", methods=["GET", "POST"])
@requires(Role.FINANCE)
def create_recipient() -> ResponseReturnValue:
    """Somebody new to pay."""
    form = RecipientForm()
    if form.validate_on_submit():
        try:
            made = recipients.add_recipient(
                db(),
                name=form.name.data,
                kind=RecipientKind(form.kind.data),
                country=form.country.data,
                email=form.email.data,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{made.name} is added. Say next where the money goes.")
            return redirect(url_for(".show_recipient", recipient_id=made.id), code=303)
    return page("payouts/recipient_new.html", form=form)


@bp.get("/recipients/<uuid:recipient_id>")
@requires(*CONSOLE)
def show_recipient(recipient_id: UUID) -> ResponseReturnValue:
    """A recipient, its destinations and documents, and what it must be told."""
    return _page(recipient_id)


@bp.post("/recipients/<uuid:recipient_id>/documents")
@requires(Role.FINANCE)
def create_document(recipient_id: UUID) -> ResponseReturnValue:
    """A document of the recipient is on file."""
    recipient = queries.recipient(db(), recipient_id)
    form = DocumentForm().offer(_documents_asked(recipient))
    if form.validate_on_submit():
        try:
            made = documents.record(
                db(), recipient_id, document=form.document.data, signed_on=form.signed_on.data, kept_at=form.kept_at.data,
                actor=current_person(), now=utc_now(),
            )  # fmt: skip
        except DomainError as error:
            refused(form, error)
        else:
            until = f"good until {made.valid_until}" if made.valid_until else "without an end"
            flash(f"{made.document} is noted, {until}.")
            return redirect(url_for(".show_recipient", recipient_id=recipient_id), code=303)
    return _page(recipient_id, form)


@bp.post("/documents/<uuid:document_id>/end")
@requires(Role.FINANCE)
def end_document(document_id: UUID) -> ResponseReturnValue:
    """A document counts no more."""
    row = documents.end(db(), document_id, reason=request.form.get("reason", ""), actor=current_person(), now=utc_now())
    flash(f"{row.document} counts no more.", "warning")
    return redirect(url_for(".show_recipient", recipient_id=row.recipient_id), code=303)


def _documents_asked(recipient: Recipient) -> list[str]:
    return list(dict.fromkeys(item.rule.document for item in documents.checklist_of(db(), recipient, now=utc_now())))


def _page(recipient_id: UUID, form: DocumentForm | None = None) -> ResponseReturnValue:
    now = utc_now()
    recipient = queries.recipient(db(), recipient_id)
    return page(
        "payouts/recipient.html",
        form=form,
        document_form=form or DocumentForm(formdata=None).offer(_documents_asked(recipient)),
        recipient=recipient,
        rails=rails.configured().values(),
        onboarding_rails=[rail for rail in rails.configured().values() if isinstance(rail, OnboardingRail)],
        notices=queries.notices(db(), recipient_id),
        checklist=documents.checklist_of(db(), recipient, now=now),
        documents=queries.documents(db(), recipient_id),
        events=audit.history(db(), recipient),
        me=current_person(),
        now=now,
    )


@bp.route("/recipients/<uuid:recipient_id>/destinations/<rail_name>", methods=["GET", "POST"])
@requires(Role.FINANCE)
@fresh_second_factor
def create_destination(recipient_id: UUID, rail_name: str) -> ResponseReturnValue:
    """Where the recipient's money of a currency goes from now on."""
    rail = rails.configured().get(rail_name)
    if rail is None:
        raise NotFound("There is no such rail.")
    recipient = queries.recipient(db(), recipient_id)
    form: Form = destination_form(rail)()
    if form.validate_on_submit():
        details = {each.name: form[each.name].data or "" for each in rail.destination_fields}
        try:
            if isinstance(rail, ConfirmsDestinations):
                db().commit()  # no transaction is open while the provider thinks
                rail.confirm_destination(details)
            made = recipients.set_destination(
                db(),
                recipient_id,
                rail=rail,
                currency=form["currency"].data,
                details=details,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
            recipient = queries.recipient(db(), recipient_id)
        else:
            flash(f"{made.currency} goes to {made.label}.")
            return redirect(url_for(".show_recipient", recipient_id=recipient_id), code=303)
    return page("payouts/destination.html", form=form, recipient=recipient, rail=rail)


@bp.post("/recipients/<uuid:recipient_id>/preference")
@requires(Role.FINANCE)
@fresh_second_factor
def prefer_rail(recipient_id: UUID) -> ResponseReturnValue:
    """By which rail the recipient wants to be paid, as it told us."""
    rail = request.form.get("rail") or None
    made = recipients.prefer_rail(db(), recipient_id, rail, actor=current_person(), now=utc_now())
    flash(f"{made.name} is paid by that rail whenever it can be." if rail else f"The platform chooses the rail for {made.name}.")
    return redirect(url_for(".show_recipient", recipient_id=recipient_id), code=303)


@bp.post("/destinations/<uuid:destination_id>/removal")
@requires(Role.FINANCE)
@fresh_second_factor
def remove_destination(destination_id: UUID) -> ResponseReturnValue:
    """Nothing more goes there."""
    reason = request.form.get("reason", "")
    place = recipients.remove_destination(db(), destination_id, reason=reason, actor=current_person(), now=utc_now())
    flash(f"Nothing more goes to {place.label}.", "warning")
    return redirect(url_for(".show_recipient", recipient_id=place.recipient_id), code=303)


@bp.post("/destinations/<uuid:destination_id>/look")
@requires(*CONSOLE)
@fresh_second_factor
def create_look(destination_id: UUID) -> ResponseReturnValue:
    """A second person compared where the money goes."""
    made = holds.look(db(), destination_id, note=request.form.get("reason", ""), actor=current_person(), now=utc_now())
    flash(f"Noted: you compared {made.destination.label}.")
    return redirect(url_for(".show_recipient", recipient_id=made.destination.recipient_id), code=303)


@bp.post("/recipients/<uuid:recipient_id>/hold")
@requires(*CONSOLE)
def create_hold(recipient_id: UUID) -> ResponseReturnValue:
    """Nothing is paid to this recipient for now."""
    recipient = queries.recipient(db(), recipient_id)
    holds.hold(db(), recipient, reason=request.form.get("reason", ""), actor=current_person(), now=utc_now())
    flash(f"Nothing is paid to {recipient.name} until an approver lifts this.", "warning")
    return redirect(url_for(".show_recipient", recipient_id=recipient_id), code=303)


@bp.post("/recipients/<uuid:recipient_id>/hold/lifting")
@requires(Role.PAYOUT_APPROVER)
@fresh_second_factor
def lift_hold(recipient_id: UUID) -> ResponseReturnValue:
    """Pay this recipient again."""
    recipient = holds.lift(db(), recipient_id, reason=request.form.get("reason", ""), actor=current_person(), now=utc_now())
    flash(f"{recipient.name} can be paid again.")
    return redirect(url_for(".show_recipient", recipient_id=recipient_id), code=303)


@bp.post("/notices/<uuid:notice_id>/telling")
@requires(Role.FINANCE)
def tell_recipient(notice_id: UUID) -> ResponseReturnValue:
    """Somebody told the recipient of a change."""
    notice = notices.told(db(), notice_id, actor=current_person(), now=utc_now())
    flash(f"Noted: {notice.recipient.name} was told.")
    return redirect(url_for(".show_recipient", recipient_id=notice.recipient_id), code=303)
