"""`pledgeworks books …` for lines that people book on their own word: fees, what was sent back, and who confirms it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import click

from core.books import outgoing, proposals, queries, second_looks, several
from core.books.models import AloneLimit, Proposal
from core.cli import Commands, json_option, print_json, print_table
from core.clock import utc_now
from core.db import session_scope
from core.identity import people
from core.money import Money

actor_option = click.option("--as", "actor", metavar="EMAIL", required=True, help="Who does this; must have the role finance.")
DAY = click.DateTime(["%Y-%m-%d"])
line_argument = click.argument("line_id", metavar="LINE", type=click.UUID)
booking_argument = click.argument("booking_id", metavar="BOOKING", type=click.UUID)
note_option = click.option("--note", required=True, help="What it was for.")


@click.command("fee")
@line_argument
@note_option
@actor_option
@json_option
def fee_command(line_id: UUID, note: str, actor: str, as_json: bool) -> None:
    """Book a line of `books lines` as a fee of the bank. Above the limit it waits for another person."""
    with session_scope() as session:
        made = outgoing.book_fee(session, line_id, note=note, actor=people.acting_person(session, actor), now=utc_now())
        _say_booked(line_id, made, as_json)


@click.command("send-back")
@line_argument
@click.option("--from", "code", metavar="ACCOUNT", required=True, help="The account of the ledger that it was set aside on.")
@note_option
@actor_option
@json_option
def send_back_command(line_id: UUID, code: str, note: str, actor: str, as_json: bool) -> None:
    """Book a line as set-aside money that was sent back. Above the limit it waits for another person."""
    with session_scope() as session:
        who = people.acting_person(session, actor)
        made = outgoing.send_back(session, line_id, code, note=note, actor=who, now=utc_now())
        _say_booked(line_id, made, as_json)


@click.command("sum")
@line_argument
@click.option("--containing", default="", help="Only what has this in its name or references.")
@click.option("--from", "from_on", type=DAY, help="Only entries from this day on.")
@click.option("--until", "until_on", type=DAY, help="Only entries up to this day.")
@click.option("--choose", "keys", metavar="KEY", multiple=True, help="One of what is listed; give it once for each.")
@click.option("--all", "are_all", is_flag=True, help="All that are listed.")
@click.option("--note", default="", help="What shows that it is these: the invoice, or the batch.")
@click.option("--as", "actor", metavar="EMAIL", help="Who proposes it; must have the role finance.")
@json_option
def sum_command(
    line_id: UUID, containing: str, from_on: datetime | None, until_on: datetime | None, keys: Sequence[str], are_all: bool,
    note: str, actor: str | None, as_json: bool,
) -> None:  # fmt: skip
    """List what a line may be the sum of; with --choose or --all, propose that it is. Another person confirms it."""
    with session_scope() as session:
        listed = several.candidates(
            session,
            queries.line(session, line_id),
            containing=containing,
            from_on=from_on.date() if from_on else None,
            until_on=until_on.date() if until_on else None,
        )
        if keys or are_all:
            if actor is None:
                raise click.UsageError("Say who proposes it, with --as.")
            chosen = [each.key for each in listed] if are_all else list(keys)
            who = people.acting_person(session, actor)
            made = several.propose(session, line_id, chosen, note=note, actor=who, now=utc_now())
            _say_booked(line_id, made, as_json)
            return
    rows = [{"key": each.key, "on": each.on, "amount": str(each.money), "who": each.who, "references": list(each.references)}
            for each in listed]  # fmt: skip
    if as_json:
        print_json(rows)
        return
    columns = {"key": "Key", "on": "Day", "amount": "Amount", "who": "Who"}
    print_table(rows, columns, empty="No payment of this direction is open under this name and in these days.")


@click.command("bookings")
@json_option
def bookings_command(as_json: bool) -> None:
    """The bookings that wait for a second person, the longest waiting first."""
    with session_scope() as session:
        rows = [_booking(each) for each in proposals.waiting(session)]
    if as_json:
        print_json(rows)
        return
    columns = {"booking": "Booking", "booked_on": "Line of", "amount": "Amount", "deed": "As", "note": "Note"}
    print_table(rows, {**columns, "proposed_by": "By", "proposed_at": "Since"}, empty="No booking waits for a second person.")


@click.command("confirm-booking")
@booking_argument
@actor_option
@json_option
def confirm_booking_command(booking_id: UUID, actor: str, as_json: bool) -> None:
    """Confirm a booking of `books bookings` as the second person; it is posted now."""
    with session_scope() as session:
        line = proposals.confirm(session, booking_id, actor=people.acting_person(session, actor), now=utc_now())
        value = {"booking": booking_id, "line": line.id, "entry": line.entry_id}
    say(value, "Confirmed, and in the ledger.", as_json)


@click.command("decline-booking")
@booking_argument
@click.option("--reason", default="", help="Why it is not right; not needed for one's own.")
@actor_option
@json_option
def decline_booking_command(booking_id: UUID, reason: str, actor: str, as_json: bool) -> None:
    """Decline a booking, or take one's own back; the line waits again."""
    with session_scope() as session:
        who = people.acting_person(session, actor)
        line = proposals.decline(session, booking_id, reason=reason, actor=who, now=utc_now())
        value = {"booking": booking_id, "line": line.id, "entry": None}
    say(value, "The booking is off; the line waits again.", as_json)


@click.group("limit", cls=Commands)
def limit_group() -> None:
    """The dated table of what one person of finance books alone in 30 days."""


@limit_group.command("list")
@json_option
def limit_list(as_json: bool) -> None:
    """Print the table of limits."""
    with session_scope() as session:
        rows = [_limit(row) for row in second_looks.limits(session)]
    if as_json:
        print_json(rows)
        return
    columns = {"valid_from": "From", "currency": "Currency", "amount": "One person alone", "author": "Author", "source": "Source"}
    print_table(rows, columns, empty="The table is empty: two people book everything.")


@limit_group.command("add")
@click.argument("amount_text", metavar="AMOUNT")
@click.option("--currency", default="USD", show_default=True)
@click.option("--from", "valid_from", type=DAY, required=True, help="Tomorrow or later.")
@click.option("--source", required=True, help="Who decided it and why; it stays with the limit.")
@click.option("--as", "actor", metavar="EMAIL", required=True, help="Who does this: a payout approver.")
@json_option
def limit_add(amount_text: str, currency: str, valid_from: datetime, source: str, actor: str, as_json: bool) -> None:
    """Let one person alone book AMOUNT in 30 days from a day on; 0 always takes two."""
    with session_scope() as session:
        who, amount = people.acting_person(session, actor), Money.parse(amount_text, currency.upper())
        row = second_looks.add_limit(
            session, amount=amount, valid_from=valid_from.date(), source=source, actor=who, now=utc_now()
        )
        say(_limit(row), f"From {row.valid_from} on, one person alone books up to {row.money} in 30 days.", as_json)


def _booking(each: Proposal) -> dict[str, Any]:
    return {
        "booking": each.id, "line": each.line_id, "booked_on": each.line.booked_on, "amount": str(-each.line.money),
        "deed": each.deed, "set_aside_on": each.set_aside_on, "note": each.note, "why_two": each.why_two,
        "proposed_by": each.proposed_by.name, "proposed_at": each.proposed_at,
    }  # fmt: skip


def _limit(row: AloneLimit) -> dict[str, object]:
    return {"valid_from": row.valid_from, "currency": row.currency, "amount": str(row.money), "author": row.author,
            "source": row.source}  # fmt: skip


def _say_booked(line_id: UUID, made: Proposal | None, as_json: bool) -> None:
    if made is None:
        say({"line": line_id, "booking": None}, "Booked, and in the ledger.", as_json)
    else:
        say({"line": line_id, "booking": made.id}, f"Proposed as {made.id}. {made.why_two} Another person confirms it.", as_json)


def say(value: dict[str, Any], sentence: str, as_json: bool) -> None:
    """What a command did: as JSON, or in a sentence."""
    if as_json:
        print_json(value)
    else:
        click.echo(sentence)


commands: list[click.Command] = [
    fee_command, send_back_command, sum_command, bookings_command, confirm_booking_command, decline_booking_command, limit_group,
]  # fmt: skip
