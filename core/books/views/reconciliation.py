"""The three lists: what outside and ledger don't both say, or say with other amounts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from core.books import explanations, feeds, held, movements, reconciliation, tasks
from core.books.forms import ExplanationForm
from core.books.models import OutsideMovement, Side, Subject
from core.books.movements import Booking
from core.books.reconciliation import Item
from core.books.views import bp
from core.clock import today, utc_now
from core.errors import DomainError, InvalidInput
from core.identity import access
from core.identity.models import Role
from core.money import Money
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires
from core.web.pagination import Page

WORDS = {
    Side.MISSING_HERE: ("Missing here", "Outside says it, and no entry of the ledger is it."),
    Side.MISSING_THERE: ("Missing there", "The ledger moved it, and neither a bank statement nor a provider says so."),
    Side.DIFFERENT: ("Different amount", "Both say it, with other amounts; shown is what outside says more, or less."),
}
assert WORDS.keys() == set(Side)
LOOKERS = (Role.FINANCE, Role.PAYOUT_APPROVER)
SHOWN_FIRST, SHOWN = 25, 100
"""Of each list at first, and of one list on a page of its own."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One of the three lists, as far as it is shown."""

    side: Side
    title: str
    lead: str
    count: int
    explained: int
    page: Page[Item]


@bp.get("/reconciliation")
@requires(*LOOKERS)
def list_differences() -> ResponseReturnValue:
    """The lists, with ages and explanations."""
    return _show(None)


@bp.post("/reconciliation/reading")
@requires(Role.FINANCE)
def read_feeds() -> ResponseReturnValue:
    """Ask every provider now instead of within the hour."""
    db().commit()  # no transaction of ours is open while providers are asked
    for feed in feeds.all_feeds():
        try:
            new, met = tasks.read(feed, now=utc_now())
        except feeds.FeedUnreachable as error:
            flash(str(error), "warning")
        else:
            flash(f"{feed.title}: {new} new, {met} met an entry of the ledger.")
    return _back()


@bp.post("/reconciliation/movements/<uuid:movement_id>/booking")
@requires(Role.FINANCE)
@fresh_second_factor
def book_movement(movement_id: UUID) -> ResponseReturnValue:
    """Say that a movement is what its provider calls it: money to or from our bank, or a fee."""
    movements.book(db(), movement_id, actor=current_person(), now=utc_now())
    flash("It is booked. Where our bank is the other side, its line meets the entry when the statement is read.")
    return _back()


@bp.post("/reconciliation/explanations")
@requires(Role.FINANCE)
def create_explanation() -> ResponseReturnValue:
    """Say why something is on one side only."""
    form = ExplanationForm()
    subject, subject_id, side, seen = _difference(form)
    if form.validate_on_submit():
        try:
            explanations.explain(
                db(), subject, subject_id, text=form.text.data, side=side, money=seen, actor=current_person(), now=utc_now()
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("Kept. It counts when another person confirms it.")
            return _back()
    return _show(form)


@bp.post("/reconciliation/explanations/<uuid:explanation_id>/confirmation")
@requires(*LOOKERS)
@fresh_second_factor
def confirm_explanation(explanation_id: UUID) -> ResponseReturnValue:
    """As the second person."""
    explanations.decide(db(), explanation_id, confirm=True, actor=current_person(), now=utc_now())
    flash("You confirmed the explanation.")
    return _back()


@bp.post("/reconciliation/explanations/<uuid:explanation_id>/rejection")
@requires(*LOOKERS)
def reject_explanation(explanation_id: UUID) -> ResponseReturnValue:
    """It does not convince, or its author takes it back."""
    explanations.decide(db(), explanation_id, confirm=False, actor=current_person(), now=utc_now())
    flash("The explanation is turned down; somebody can give another.", "info")
    return _back()


def _back() -> ResponseReturnValue:
    """To the page of the list that the visitor was on."""
    return redirect(url_for(".list_differences", list=request.args.get("list"), cursor=request.args.get("cursor")), code=303)


def _difference(form: ExplanationForm) -> tuple[Subject, UUID, Side, Money]:
    try:
        seen = Money(int(form.amount_minor.data), form.currency.data)
        return Subject(form.subject.data), UUID(form.subject_id.data), Side(form.side.data), seen
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput("Open the list again; this is none of its rows.") from None


def _show(form: ExplanationForm | None) -> ResponseReturnValue:
    items = reconciliation.differences(db())
    lists = [_listed(side, [each for each in items if each.side is side]) for side in Side]
    shown = [each for listed in lists for each in listed.page.items]
    explained = {each.subject_id for each in items if each.is_explained}
    rests = {each.balance.id: each.id for each in held.rests(db())}
    return page(
        "books/reconciliation.html",
        form=form,
        lists=lists,
        only=request.args.get("list"),
        here={name: request.args.get(name) for name in ("list", "cursor")},
        balances=[(each, rests.get(each.id) in explained) for each in held.latest(db())],
        feed_title=feeds.title_of,
        overtaken=explanations.overtaken(db(), items),
        bookings=_bookings(shown) if access.has_role(db(), current_person(), Role.FINANCE, on=today()) else {},
        places={place: feed.title for feed in feeds.all_feeds() for place in (feed.name, f"provider {feed.name}")},
        feeds=[feed.title for feed in feeds.all_feeds()],
        today=today(),
        me=current_person(),
    )


def _listed(side: Side, items: Sequence[Item]) -> Listed:
    """The first of a list; or, where the address asks for this list only, the page of it that the address says."""
    only, cursor = request.args.get("list"), request.args.get("cursor")
    explained, size = sum(each.is_explained for each in items), SHOWN if only else SHOWN_FIRST
    rows = items if only in {None, side.value} else ()
    if only and cursor and rows:
        rows = [each for each in rows if _place(each) > cursor]
    following = _place(rows[size - 1]) if only and len(rows) > size else None
    shown = Page(rows[:size], following, is_first=not (only and cursor))
    return Listed(side, *WORDS[side], count=len(items), explained=explained, page=shown)


def _place(item: Item) -> str:
    """Where a row stands in its list, which is sorted by day and thing. The rows of one thing stay on one page or the next."""
    return f"{item.on:%Y-%m-%d}.{item.subject_id}.{item.money.amount_minor:+020d}"


def _bookings(items: Sequence[Item]) -> Mapping[UUID, str]:
    """What the button says at each movement that can be booked as what its provider calls it."""
    wanted = [each.subject_id for each in items if each.side is Side.MISSING_HERE and each.subject is Subject.OUTSIDE_MOVEMENT]
    rows = feeds.unclaimed(db(), db().scalars(select(OutsideMovement).where(OutsideMovement.id.in_(wanted))).all())
    words = {
        (Booking.BANK, True): "It came from our bank",
        (Booking.BANK, False): "It went to our bank",
        (Booking.FEE, True): "It is a fee given back",
        (Booking.FEE, False): "It is the provider’s fee",
    }
    found = {row.id: (movements.booking_of(row), row.amount_minor > 0) for row in rows}
    return {movement_id: words[kind, gained] for movement_id, (kind, gained) in found.items() if kind is not None}
