"""What is owed, and what payees are to be told."""

from datetime import datetime

import click

from core.cli import json_option, print_json, print_table
from core.clock import utc_now
from core.db import session_scope
from payouts import queries
from payouts.cli.shared import DAY, line, payouts, say_lines
from payouts.models import Payout, PayoutStatus
from payouts.services import notices


@payouts.command("list")
@click.option("--status", type=click.Choice([status.value for status in PayoutStatus]), help="Only payouts in this state.")
@click.option("--due-by", type=DAY, help="Only those due by this day.")
@json_option
def list_payouts(status: str | None, due_by: datetime | None, as_json: bool) -> None:
    """What is owed and what became of it, by due date (at most 500)."""
    with session_scope() as session:
        wanted = queries.Filter(status=PayoutStatus(status) if status else None, due_by=due_by.date() if due_by else None)
        query = queries.payouts(wanted)
        rows = [line(each) for each in session.scalars(query.order_by(Payout.due_on, Payout.id).limit(500))]
    if as_json:
        print_json(rows)
        return
    say_lines(rows)


@payouts.command("notices")
@click.option("--take", is_flag=True, help="They count as taken by a mailer from now on, and are not listed again.")
@json_option
def list_notices(take: bool, as_json: bool) -> None:
    """Changed payment details that payees must hear of and no mail went about; a mailer of yours can take them from here."""
    with session_scope() as session:
        rows = [
            {
                "notice": each.id,
                "to": each.address,
                "recipient": each.recipient.name,
                "message": each.message,
                "at": each.created_at,
            }
            for each in notices.export(session, take=take, now=utc_now())
        ]
    if as_json:
        print_json(rows)
        return
    columns = {"at": "At", "to": "To", "recipient": "Recipient", "message": "Message"}
    print_table(rows, columns, empty="No notice waits for a mailer.")
