"""What the commands of payouts share: the group, who acts, and how a line is told."""

from typing import Any

import click
from sqlalchemy.orm import Session

from core.cli import Commands, print_table
from core.clock import today
from core.identity import access, people
from core.identity.models import Person, Role
from core.money import Money
from payouts.models import Payout

DAY = click.DateTime(["%Y-%m-%d"])
actor_option = click.option("--as", "actor", metavar="EMAIL", required=True, help="Who does this; must have the role for it.")


@click.group("payouts", cls=Commands)
def payouts() -> None:
    """Payouts: runs with four eyes, rails and their kill switch."""


def acting(session: Session, email: str, *roles: Role) -> Person:
    """The person who acts, if it has one of the roles.

    Raises:
        NotFound: there is no such person.
        NotAllowed: its account is closed, or it lacks the role.
    """
    person = people.acting_person(session, email)
    if not any(access.has_role(session, person, role, on=today()) for role in roles):
        access.refuse(roles)
    return person


def line(payout: Payout, **more: object) -> dict[str, Any]:
    """One payout as the commands print it."""
    attempt = payout.attempts[-1] if payout.attempts else None
    return {
        "payout": payout.id,
        "obligation": payout.obligation,
        "recipient": payout.recipient.name,
        "amount": str(payout.money.decimal),
        "currency": payout.currency,
        "rail": payout.rail,
        "destination": payout.destination.label if payout.destination else None,
        "due_on": payout.due_on,
        "status": payout.status.value,
        "attempt": attempt.state.value if attempt else None,
        "reference": attempt.idem_key if attempt else None,
        "remote_id": attempt.remote_id if attempt else None,
        "why": payout.blocked_reason or (attempt.detail if attempt else None),
        **more,
    }


def decimal(money: Money | None) -> str | None:
    """None: it is not known beforehand."""
    return None if money is None else str(money.decimal)


def say_lines(lines: list[dict[str, Any]]) -> None:
    """The same as a table."""
    columns = {"recipient": "Recipient", "amount": "Amount", "currency": "", "rail": "Rail", "destination": "Destination",
               "due_on": "Due", "status": "Status", "remote_id": "Rail's id", "why": "Why"}  # fmt: skip
    print_table(lines, columns, empty="There are no payouts.")
