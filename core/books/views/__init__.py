"""The pages of the books, for finance."""

from collections.abc import Iterator

from flask import Blueprint, url_for
from sqlalchemy.orm import Session

from core.clock import today
from core.identity import access
from core.identity.models import Person, Role
from core.web import db, filters, hooks, navigation, visitor

bp = Blueprint("books", __name__, url_prefix="/books")

TABS = (
    ("Bank statements", "/books"),
    ("Set aside", "/books/set-aside"),
    ("Reconciliation", "/books/reconciliation"),
    ("Months", "/books/months"),
    ("Bank accounts", "/books/accounts"),
)

navigation.add("Books", "/books", roles=(Role.FINANCE,), order=55)
for word, tone in {
    "matched": "good",
    "confirmed": "good",
    "linked": "good",
    "set_aside": "warn",
    "several": "good",
}.items():
    filters.tone(word, tone)

# They register themselves on the blueprint above.
from core.books import assignments, explanations, proposals, queries  # noqa: E402
from core.books.views import accounts, lines, months, reconciliation, set_aside, statements, sums  # noqa: E402, F401


@bp.context_processor
def books() -> dict[str, object]:
    """What every page of the books needs: its tabs, and whether the visitor may change anything."""
    here = visitor()

    def holds(role: Role) -> bool:
        return here is not None and access.has_role(db(), here.person, role, on=today())

    is_finance = holds(Role.FINANCE)
    return {"books_tabs": TABS, "is_finance": is_finance, "may_decide": is_finance or holds(Role.PAYOUT_APPROVER)}


@hooks.to_do(order=52)
def waiting(session: Session, person: Person) -> Iterator[hooks.ToDo]:
    """Lines that nobody dealt with, and bookings and explanations of others that want a second person."""
    to_confirm = explanations.waiting_for(session, person, on=today())
    if to_confirm:
        yield hooks.ToDo("Explanations in the books to confirm", url_for("books.list_differences"), to_confirm)
    if access.has_role(session, person, Role.FINANCE, on=today()):
        to_confirm = proposals.count_for(session, person)
        if to_confirm:
            yield hooks.ToDo("Bookings of bank lines to confirm", url_for("books.index"), to_confirm)
        to_confirm = assignments.count_for(session, person)
        if to_confirm:
            yield hooks.ToDo("Assignments of set-aside money to confirm", url_for("books.list_set_aside"), to_confirm)
        count = queries.count_open(session)
        if count:
            yield hooks.ToDo("Lines of bank statements to be dealt with", url_for("books.index"), count)
