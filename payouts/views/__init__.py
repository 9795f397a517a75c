"""The pages of `payouts`: the payout console."""

from collections.abc import Iterator

from flask import Blueprint, url_for
from sqlalchemy.orm import Session

from core.clock import today, utc_now
from core.identity import access
from core.identity.models import Person, Role
from core.web import db, filters, hooks, navigation, visitor
from payouts.rails import configured

bp = Blueprint("payouts", __name__, url_prefix="/payouts")

CONSOLE = (Role.FINANCE, Role.PAYOUT_APPROVER)
"""Who works here. Auditors and administrators may look."""

TABS = (
    ("Payouts", "/payouts"),
    ("Runs", "/payouts/runs"),
    ("Unknown", "/payouts/unknown"),
    ("Bank files", "/payouts/bank"),
    ("GitHub", "/payouts/github"),
    ("Recipients", "/payouts/recipients"),
    ("Rails", "/payouts/rails"),
    ("Limits", "/payouts/limits"),
)

navigation.add("Payouts", "/payouts", roles=CONSOLE, order=40)
navigation.add("Getting paid", "/payouts/mine", roles=(Role.MAINTAINER,), order=35)
filters.tone("stopped", "bad")
filters.tone("human", "warn")
filters.tone("cancelled", "neutral")
filters.tone("agrees", "good")
filters.tone("differs", "bad")
filters.tone("undecided", "warn")

# They register themselves on the blueprint above.
from payouts import queries  # noqa: E402
from payouts.services import documents  # noqa: E402
from payouts.services import payees as payees_service  # noqa: E402
from payouts.views import bank, desk, github, onboarding, overview, payees, payouts, rails, recipients, runs  # noqa: E402


@bp.context_processor
def console() -> dict[str, object]:
    """What every page of the console needs: its tabs, what the visitor may do, and rails in words."""
    here, day = visitor(), today()

    def holds(role: Role) -> bool:
        return here is not None and access.has_role(db(), here.person, role, on=day)

    titles = {name: rail.title for name, rail in configured().items()}
    return {
        "console_tabs": [(label, path) for label, path in TABS if path != "/payouts/github" or "github_sponsors" in titles],
        "is_finance": holds(Role.FINANCE),
        "is_approver": holds(Role.PAYOUT_APPROVER),
        "rail_titles": titles,
    }


@hooks.to_do(order=40)
def waiting(session: Session, person: Person) -> Iterator[hooks.ToDo]:
    """What waits for finance and for approvers."""
    day = today()
    finance = access.has_role(session, person, Role.FINANCE, on=day)
    approver = access.has_role(session, person, Role.PAYOUT_APPROVER, on=day)
    if finance:
        due = sum(count for _, count in queries.due_totals(session, on=day))
        if due:
            yield hooks.ToDo("Payouts are due", url_for("payouts.index"), due)
    if approver:
        drafts = queries.runs_to_approve(session, person)
        if drafts:
            yield hooks.ToDo("Payout runs to approve", url_for("payouts.list_runs"), drafts)
    if finance or approver:
        stuck = queries.count_for_people(session)
        if stuck:
            yield hooks.ToDo("Payouts that need people", url_for("payouts.list_unknown"), stuck)
        entered = [place for place in queries.to_look_at(session) if place.created_by_id != person.id]
        if entered:
            yield hooks.ToDo("Payment details to compare", url_for("payouts.list_recipients"), len(entered))


@hooks.to_do(order=6)
def own_payments(session: Session, person: Person) -> Iterator[hooks.ToDo]:
    """What a payee answers or brings so that its money can come."""
    for recipient in payees_service.recipients_of(session, person, on=today()):
        url = url_for("payouts.show_mine", recipient_id=recipient.id)
        changes = [each for each in queries.notices(session, recipient.id) if each.answered_at is None]
        if changes:
            yield hooks.ToDo("Your payment details were changed: was it you?", url, len(changes))
        lacking = [item for item in documents.checklist_of(session, recipient, now=utc_now()) if item.asked_for]
        if lacking:
            yield hooks.ToDo("A document of yours is wanted", url, len(lacking))
        owed = payees_service.owed_to(session, recipient)
        if owed and all(place.retired_at is not None for place in recipient.destinations):
            yield hooks.ToDo("You are owed money: say where it goes", url, len(owed))


__all__ = ["bank", "bp", "desk", "github", "onboarding", "overview", "payees", "payouts", "rails", "recipients", "runs"]
