"""What a donor does: offer GPU time, look at what it became, take it back."""

from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from compute.forms.offers import OfferForm, TakeBackForm
from compute.models import ComputeOffer, OfferStatus
from compute.queries import budget, forecast, overview
from compute.queries.named import flavor_named
from compute.services import offers as services
from compute.views import bp
from compute.views.outlook import outlook
from core import audit
from core.clock import today, utc_now
from core.errors import DomainError
from core.identity import access
from core.identity.models import Organisation, OrganisationRole, OrganisationRoleRow, Person, Project, Role
from core.web import current_person, db, flash, page, refused, signed_in

ENDED = {OfferStatus.EXPIRED, OfferStatus.WITHDRAWN, OfferStatus.DECLINED, OfferStatus.CLOSED, OfferStatus.DRAINING}


@bp.get("/compute/offers")
@signed_in
def list_offers() -> ResponseReturnValue:
    """The offers of the visitor's organisations."""
    session, person = db(), current_person()
    donors = access.organisations_with_role(session, person, Role.COMPUTE_DONOR, on=today())
    offers = overview.offers(session, donor_ids=[donor.id for donor in donors])
    return render_template(
        "compute/offers.html", donors=donors, offers=offers, left=budget.of_offers(session, offers), ended=ENDED
    )


@bp.route("/compute/offers/new", methods=["GET", "POST"])
@signed_in
def new_offer() -> ResponseReturnValue:
    """Enter an offer."""
    session, person = db(), current_person()
    donors = access.organisations_with_role(session, person, Role.COMPUTE_DONOR, on=today())
    form = OfferForm(donor=request.args.get("donor"))
    form.donor.choices = [(donor.slug, donor.name) for donor in donors]
    form.flavor.choices = [(flavor.slug, flavor.name) for flavor in overview.flavors(session)]
    form.projects.choices = [
        (str(project.id), project.name) for project in session.scalars(select(Project).order_by(Project.name).limit(200))
    ]
    form.hosts.choices = [(str(host.id), host.name) for host in _hosts()]
    if form.validate_on_submit():
        try:
            donor = next(donor for donor in donors if donor.slug == form.donor.data)
            offer = services.propose(
                session,
                donor,
                form.to_new_offer(flavor_named(session, form.flavor.data)),
                actor=person,
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The offer is entered. It can be drawn once it is accepted and its window opens.")
            return redirect(url_for("compute.show_offer", offer_id=offer.id), code=303)
    return page("compute/new_offer.html", form=form, donors=donors)


@bp.get("/compute/offers/<uuid:offer_id>")
@signed_in
def show_offer(offer_id: UUID) -> ResponseReturnValue:
    """One offer, with everything that happened to it."""
    session, now = db(), utc_now()
    offer = _own_offer(offer_id, reading=True)
    return render_template(
        "compute/offer.html",
        offer=offer,
        budget=budget.of_offer(session, offer),
        policy_words=overview.policy_words(session, offer),
        reminders=overview.reminders(session, offer_id=offer.id),
        outlook=outlook(forecast.of_offers(session, now=now).get(offer.id), offer.remind_days, now=now),
        warnings=forecast.warnings(session, offer_ids=[offer.id]),
        events=audit.history(session, offer),
        ended=offer.status in ENDED,
    )


@bp.route("/compute/offers/<uuid:offer_id>/withdrawal", methods=["GET", "POST"])
@signed_in
def withdrawal(offer_id: UUID) -> ResponseReturnValue:
    """Take an offer back: nothing new is drawn from now on, what runs may go on until a moment."""
    session, person, now = db(), current_person(), utc_now()
    offer = _own_offer(offer_id)
    form = TakeBackForm(at=now)
    unopened = offer.status in {OfferStatus.PROPOSED, OfferStatus.ACCEPTED}
    if form.validate_on_submit():
        assert form.at.data is not None
        try:
            # The form has minutes; “now” means now.
            offer = services.take_back(session, offer, at=max(form.at.data, now), actor=person, now=now)
        except DomainError as error:
            refused(form, error)
        else:
            withdrawn = offer.status is OfferStatus.WITHDRAWN  # it may have opened while the form was read
            flash("The offer is withdrawn." if withdrawn else "Nothing more is drawn from this offer.")
            return redirect(url_for("compute.show_offer", offer_id=offer.id), code=303)
    return page("compute/withdraw_offer.html", form=form, offer=offer, unopened=unopened)


def may_manage(person: Person, offer: ComputeOffer) -> bool:
    """Whether a person acts for the donor of an offer."""
    return access.has_role(db(), person, Role.COMPUTE_DONOR, organisation_id=offer.donor_id, on=today())


def _own_offer(offer_id: UUID, *, reading: bool = False) -> ComputeOffer:
    offer = overview.offer(db(), offer_id)
    access.require_role(db(), current_person(), Role.COMPUTE_DONOR, organisation_id=offer.donor_id, on=today(), reading=reading)
    return offer


def _hosts() -> list[Organisation]:
    """Organisations that host projects."""
    return list(
        db().scalars(
            select(Organisation)
            .where(
                Organisation.id.in_(
                    select(OrganisationRoleRow.organisation_id).where(OrganisationRoleRow.role == OrganisationRole.FOUNDATION)
                )
            )
            .order_by(Organisation.name)
        )
    )
