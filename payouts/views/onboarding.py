"""The page where a payee opens the way for its money at a rail, and finance sees how far it got."""

from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core.clock import today, utc_now
from core.config import settings
from core.errors import DomainError, NotAllowed, NotFound
from core.identity import access
from core.identity.models import Role
from core.web import current_person, db, flash, fresh_second_factor, page, refused, signed_in
from core.web.forms import DataRequired, Form, SelectField, choices
from payouts import queries, rails
from payouts.forms import CURRENCIES
from payouts.models import Recipient
from payouts.rails.base import OnboardingLink, OnboardingRail, Rail
from payouts.services import onboarding, payees, recipients
from payouts.views import CONSOLE, bp


class AccountForm(Form):
    currency = SelectField("Currency", [DataRequired("Choose a currency.")], choices=choices(CURRENCIES), default="USD")


@bp.get("/recipients/<uuid:recipient_id>/onboarding/<rail_name>")
@signed_in
def show_onboarding(recipient_id: UUID, rail_name: str) -> ResponseReturnValue:
    """Whether the rail can pay this recipient, and what it still wants."""
    recipient = queries.recipient(db(), recipient_id)
    if not _is_payee(recipient) and not _in_console():
        raise NotFound("There is no such recipient.")
    return _page(recipient, _rail(rail_name))


@bp.post("/recipients/<uuid:recipient_id>/onboarding/<rail_name>")
@signed_in
@fresh_second_factor
def create_account(recipient_id: UUID, rail_name: str) -> ResponseReturnValue:
    """Open an account at the rail and pay there from now on: the payee itself, or finance for it."""
    rail, form = _rail(rail_name), AccountForm()
    recipient = queries.recipient(db(), recipient_id)
    if not _may_open(recipient):
        raise NotAllowed("The payee opens its account, or finance does for it.")
    if not form.validate_on_submit():
        return _page(recipient, rail, form)
    currency = form.currency.data
    try:
        wanted = onboarding.payee(db(), recipient_id)
        db().commit()  # the rail is asked with no transaction open
        details = onboarding.asked(rail.open_account, wanted, currency)
        made = recipients.set_destination(
            db(), recipient_id, rail=rail, currency=currency, details=details, actor=current_person(), now=utc_now()
        )
    except DomainError as error:
        refused(form, error)
        return _page(queries.recipient(db(), recipient_id), rail, form)
    flash(
        f"{made.currency} goes to {made.label}, once a second person compared it. The payee now tells {rail.title} about itself."
    )
    return redirect(url_for(".show_onboarding", recipient_id=recipient_id, rail_name=rail.name), code=303)


@bp.post("/recipients/<uuid:recipient_id>/onboarding/<rail_name>/link")
@signed_in
def create_onboarding_link(recipient_id: UUID, rail_name: str) -> ResponseReturnValue:
    """A fresh way in for each click: it works once and for minutes, so it is shown and never kept or mailed."""
    rail, recipient = _rail(rail_name), queries.recipient(db(), recipient_id)
    if not _may_continue(recipient):
        raise NotAllowed("Only the payee goes in here: whoever does names the bank account.")
    place = onboarding.account_at(recipient, rail.name)
    if place is None:
        raise NotFound(f"{recipient.name} has no account at {rail.title} yet.")
    here = settings().base_url + url_for(".show_onboarding", recipient_id=recipient_id, rail_name=rail.name)
    link = onboarding.asked(rail.onboarding_link, place.details, return_url=here, again_url=here)
    return _page(recipient, rail, link=link)


def _page(
    recipient: Recipient, rail: OnboardingRail, form: AccountForm | None = None, *, link: OnboardingLink | None = None
) -> ResponseReturnValue:
    place = onboarding.account_at(recipient, rail.name)
    standing, trouble = None, None
    if place is not None:
        try:
            standing = onboarding.asked(rail.standing, place.details)
            onboarding.remember(db(), place, standing, now=utc_now())
        except DomainError as error:
            trouble = error.message  # the page says so; nothing else on it depends on the rail
    return page(
        "payouts/onboarding.html",
        form=form,
        account_form=form or AccountForm(formdata=None),
        recipient=recipient,
        rail=rail,
        place=place,
        standing=standing,
        trouble=trouble,
        link=link,
        in_console=_in_console(),
        may_continue=_may_continue(recipient),
        may_open=_may_open(recipient),
        is_payee=_is_payee(recipient),
    )


def _is_payee(recipient: Recipient) -> bool:
    return payees.is_payee(db(), recipient, current_person(), on=today())


def _may_continue(recipient: Recipient) -> bool:
    """Whoever goes in names the bank account. That is the payee; finance only for one that can't sign in here."""
    nobody_here = recipient.person_id is None and recipient.organisation_id is None
    return _is_payee(recipient) or (nobody_here and access.has_role(db(), current_person(), Role.FINANCE, on=today()))


def _may_open(recipient: Recipient) -> bool:
    return _is_payee(recipient) or access.has_role(db(), current_person(), Role.FINANCE, on=today())


def _in_console() -> bool:
    return any(access.may_read(db(), current_person(), role, on=today()) for role in CONSOLE)


def _rail(name: str) -> OnboardingRail:
    rail: Rail | None = rails.configured().get(name)
    if not isinstance(rail, OnboardingRail):
        raise NotFound("There is no such rail where payees have accounts.")
    return rail
