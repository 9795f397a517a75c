"""One payout: its attempts, its history, its entries in the ledger, and what can be done about it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core import audit, ledger
from core.clock import utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires
from payouts import queries, rails
from payouts.forms import FindingForm, RailForm, ReasonForm
from payouts.models import AttemptState, Outcome, Payout, PayoutStatus
from payouts.rails.base import ReversibleRail
from payouts.services import choices, previews, reversals, withdrawals
from payouts.services.onboarding import asked
from payouts.views import CONSOLE, bp

Change = Callable[..., Payout]


@bp.get("/<uuid:payout_id>")
@requires(*CONSOLE)
def show(payout_id: UUID) -> ResponseReturnValue:
    """All there is to know about one payout."""
    return show_payout(payout_id)


@bp.post("/<uuid:payout_id>/cancellation")
@requires(Role.FINANCE)
def cancel(payout_id: UUID) -> ResponseReturnValue:
    """It is not owed any more."""
    return _change(payout_id, withdrawals.cancel, "The payout is cancelled; whoever owed it is told.")


@bp.post("/<uuid:payout_id>/return-to-draft")
@requires(Role.FINANCE)
def take_back(payout_id: UUID) -> ResponseReturnValue:
    """Make it a draft again, to be approved anew."""
    return _change(payout_id, withdrawals.take_back, "The payout is a draft again and can go into another run.")


@bp.post("/<uuid:payout_id>/another-attempt")
@requires(*CONSOLE)
def try_again(payout_id: UUID) -> ResponseReturnValue:
    """Allow one more attempt."""
    return _change(payout_id, withdrawals.try_again, "Another attempt is on its way.")


@bp.post("/<uuid:payout_id>/rail")
@requires(Role.FINANCE)
def choose_rail(payout_id: UUID) -> ResponseReturnValue:
    """A person's word that it goes by this rail and no other."""
    form, here = RailForm(), rails.configured()
    form.offer(here.values())
    if form.validate_on_submit():
        try:
            choices.wish(
                db(), payout_id, rail=form.rail.data, reason=form.reason.data, rails=here, actor=current_person(), now=utc_now()
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The rail is chosen; your reason stays in the history.")
            return redirect(url_for(".show", payout_id=payout_id), code=303)
    return show_payout(payout_id, rail_form=form)


@bp.post("/<uuid:payout_id>/rail/withdrawal")
@requires(Role.FINANCE)
def leave_rail_to_platform(payout_id: UUID) -> ResponseReturnValue:
    """Take a person's choice of the rail back."""
    return _change(payout_id, choices.unwish, "The platform chooses the rail again.")


@bp.post("/<uuid:payout_id>/reversal")
@requires(Role.PAYOUT_APPROVER)
@fresh_second_factor
def create_reversal(payout_id: UUID) -> ResponseReturnValue:
    """Take a payment back at its rail; a second person books it."""
    form = ReasonForm()
    if form.validate_on_submit():
        me = current_person()
        try:
            rail = rails.configured().get(queries.payout(db(), payout_id).rail or "")
            wanted = reversals.begin(db(), payout_id, rail=rail, actor=me, reason=form.reason.data, now=utc_now())
            assert isinstance(rail, ReversibleRail)
            db().commit()  # the rail is asked with no transaction open
            done = asked(rail.reverse, wanted.receipt, wanted.reference)
            reversals.finish(db(), wanted, done, actor=me, now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The rail took the money back. Another person confirms, and it is in its fund again.")
            return redirect(url_for(".show", payout_id=payout_id), code=303)
    return show_payout(payout_id, reason=form)


def show_payout(
    payout_id: UUID,
    *,
    reason: ReasonForm | None = None,
    finding: FindingForm | None = None,
    rail_form: RailForm | None = None,
) -> ResponseReturnValue:
    """The page, with a refused form if there is one."""
    session, now, here = db(), utc_now(), rails.configured()
    payout = queries.payout(session, payout_id)
    rail = here.get(payout.rail or "")
    known = choices.outlook(session, [payout], rails=here, lacks=rails.missing_settings(), now=now)
    undecided = payout.status is PayoutStatus.DRAFT
    last = payout.attempts[-1] if payout.attempts else None
    outcomes = outcomes_for(payout)
    if finding is None and outcomes and last is not None and last.proposal is None:
        finding = FindingForm(formdata=None).offer(outcomes)
    return page(
        "payouts/show.html",
        form=reason or rail_form or finding,
        ways=known.ways(payout) if undecided else [],
        choice=known.choice(payout) if undecided and payout.run_id is None else None,
        price=None if undecided and payout.run_id is None else previews.price(payout),
        rail_form=rail_form or RailForm(formdata=None).offer(here.values()),
        reason_form=reason or ReasonForm(formdata=None),
        finding=finding,
        payout=payout,
        last=last,
        canary=queries.canary_before(session, payout) if payout.run_id else None,
        rail=rail,
        may=_possible(payout, now),
        can_reverse=isinstance(rail, ReversibleRail) and payout.status is PayoutStatus.PAID and not (last and last.proposal),
        entries=ledger.entries_for(session, ("payout", str(payout.id))),
        events=audit.history(session, payout),
        alarms=[alarm for alarm in queries.open_alarms(session) if alarm.payout_id == payout.id],
        me=current_person(),
    )


def outcomes_for(payout: Payout) -> list[Outcome]:
    """What people may find out about its newest attempt now."""
    last = payout.attempts[-1] if payout.attempts else None
    if last is None:
        return []
    if last.state is AttemptState.HUMAN:
        return [Outcome.ACCEPTED, Outcome.FAILED]
    if payout.status is PayoutStatus.PAID:
        return [Outcome.RETURNED, Outcome.REVERSED]
    return []


def _possible(payout: Payout, now: datetime) -> set[str]:
    """Which of the three changes the page offers; the services decide again."""
    live = payout.live_attempt
    leased = live is not None and live.lease_until is not None and now < live.lease_until
    never_left = live is None or (live.state is AttemptState.SENDING and live.sends == live.declined and not leased)
    found = set()
    if payout.status in {PayoutStatus.DRAFT, PayoutStatus.APPROVED, PayoutStatus.RESERVED} and never_left:
        found.add("cancel")
        if payout.run_id is not None:
            found.add("take_back")
    if payout.status is PayoutStatus.RESERVED and live is None:
        found.add("try_again")
    return found


def _change(payout_id: UUID, change: Change, done: str) -> ResponseReturnValue:
    form = ReasonForm()
    if form.validate_on_submit():
        arguments: dict[str, Any] = {"actor": current_person(), "reason": form.reason.data, "now": utc_now()}
        try:
            change(db(), payout_id, **arguments)
        except DomainError as error:
            refused(form, error)
        else:
            flash(done)
            return redirect(url_for(".show", payout_id=payout_id), code=303)
    return show_payout(payout_id, reason=form)
