"""The payee's own page: where its money goes, what is missing, and its word on changes. Nothing of the console is shown here."""

from uuid import UUID

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from core.clock import today, utc_now
from core.errors import DomainError, NotFound
from core.web import current_person, db, flash, fresh_second_factor, page, refused, signed_in
from core.web.forms import Form
from payouts import queries, rails
from payouts.forms import destination_form
from payouts.models import Destination, Notice, Recipient
from payouts.rails.base import ConfirmsDestinations, OnboardingRail
from payouts.services import choices, documents, notices, payees, previews, recipients
from payouts.views import bp


@bp.get("/mine")
@signed_in
def list_mine() -> ResponseReturnValue:
    """Everybody this person is paid as; straight to the page if there is only one."""
    mine = payees.recipients_of(db(), current_person(), on=today())
    if len(mine) == 1:
        return redirect(url_for(".show_mine", recipient_id=mine[0].id), code=303)
    return page("payouts/mine_list.html", recipients=mine)


@bp.get("/mine/<uuid:recipient_id>")
@signed_in
def show_mine(recipient_id: UUID) -> ResponseReturnValue:
    """Where the money goes, by which rails it could, what is owed and what was paid."""
    session, now = db(), utc_now()
    recipient = payees.own(session, recipient_id, current_person(), on=today())
    owed = payees.owed_to(session, recipient)
    known = choices.outlook(session, owed, rails=rails.configured(), now=now, recipient=recipient)
    return page(
        "payouts/mine.html",
        recipient=recipient,
        notices=payees.asked(queries.notices(session, recipient_id), now=utc_now()),
        places=[
            payees.standing(place, known.problem(place), now=now) for place in recipient.destinations if place.retired_at is None
        ],
        owed=[(payout, known.choice(payout)) for payout in owed],
        paid=[(payout, previews.price(payout)) for payout in payees.paid_to(session, recipient)],
        checklist=documents.checklist_of(session, recipient, now=now),
        ways=[(money, known.ways_of(recipient, money)) for money in payees.examples(recipient, owed)],
        titles={name: rail.title for name, rail in rails.configured().items()},
        accounts={name for name, rail in rails.configured().items() if isinstance(rail, OnboardingRail)},
    )


@bp.post("/mine/<uuid:recipient_id>/preference")
@signed_in
@fresh_second_factor
def prefer_own_rail(recipient_id: UUID) -> ResponseReturnValue:
    """By which rail the payee wants to be paid."""
    recipient = payees.own(db(), recipient_id, current_person(), on=today())
    rail = request.form.get("rail") or None
    recipients.prefer_rail(db(), recipient.id, rail, actor=current_person(), now=utc_now())
    flash("You are paid that way whenever it is possible." if rail else "The platform chooses the way for each payment.")
    return redirect(url_for(".show_mine", recipient_id=recipient_id), code=303)


@bp.route("/mine/<uuid:recipient_id>/destinations/<rail_name>", methods=["GET", "POST"])
@signed_in
@fresh_second_factor
def change_own_destination(recipient_id: UUID, rail_name: str) -> ResponseReturnValue:
    """Say where the money goes from now on, on one rail."""
    me, rail = current_person(), rails.configured().get(rail_name)
    recipient = payees.own(db(), recipient_id, me, on=today())
    if rail is None:
        raise NotFound("There is no such rail.")
    if isinstance(rail, OnboardingRail):
        return redirect(url_for(".show_onboarding", recipient_id=recipient_id, rail_name=rail_name), code=303)
    form: Form = destination_form(rail)()
    if form.validate_on_submit():
        details = {each.name: form[each.name].data or "" for each in rail.destination_fields}
        try:
            if isinstance(rail, ConfirmsDestinations):
                db().commit()  # no transaction is open while the provider thinks
                rail.confirm_destination(details)
            made = recipients.set_destination(
                db(), recipient_id, rail=rail, currency=form["currency"].data, details=details, actor=me, now=utc_now()
            )
        except DomainError as error:
            refused(form, error)
            recipient = payees.own(db(), recipient_id, me, on=today())
        else:
            flash(f"{made.label} is noted for {made.currency}. Another person compares it before anything is paid there.")
            return redirect(url_for(".show_mine", recipient_id=recipient_id), code=303)
    return page("payouts/mine_destination.html", form=form, recipient=recipient, rail=rail)


@bp.post("/mine/destinations/<uuid:destination_id>/removal")
@signed_in
@fresh_second_factor
def remove_own_destination(destination_id: UUID) -> ResponseReturnValue:
    """Nothing more goes there."""
    place = db().get(Destination, destination_id)
    if place is None:
        raise NotFound("There is no such destination of yours.")
    recipient = payees.own(db(), place.recipient_id, current_person(), on=today())
    recipients.remove_destination(
        db(), destination_id, reason="Removed by the payee.", actor=current_person(), now=utc_now()
    )  # fmt: skip
    flash(f"Nothing more goes to {place.label}.", "warning")
    return redirect(url_for(".show_mine", recipient_id=recipient.id), code=303)


@bp.post("/mine/notices/<uuid:notice_id>/acknowledgement")
@signed_in
@fresh_second_factor
def acknowledge_notice(notice_id: UUID) -> ResponseReturnValue:
    """The payee knows of the change."""
    recipient = _answered(notice_id, denied=False)
    flash("Thank you. Nothing changes.")
    return redirect(url_for(".show_mine", recipient_id=recipient.id), code=303)


@bp.post("/mine/notices/<uuid:notice_id>/denial")
@signed_in
def deny_notice(notice_id: UUID) -> ResponseReturnValue:
    """Somebody else made the change."""
    recipient = _answered(notice_id, denied=True)
    flash("Nothing is paid to you until people have found out what happened. They are told.", "warning")
    return redirect(url_for(".show_mine", recipient_id=recipient.id), code=303)


def _answered(notice_id: UUID, *, denied: bool) -> Recipient:
    notice = db().get(Notice, notice_id)
    if notice is None:
        raise NotFound("There is no such notice of yours.")
    recipient = payees.own(db(), notice.recipient_id, current_person(), on=today())
    notices.answer(db(), notice_id, denied=denied, payee=current_person(), now=utc_now())
    return recipient
