"""`pledgeworks books …`: read statements, reconcile, close months."""

from pathlib import Path
from typing import Any
from uuid import UUID

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.books import cli_bookings, explanations, feeds, months, movements, queries, reconciliation, statements, tasks
from core.books.cli_bookings import actor_option, say
from core.books.matching import Suggestion
from core.books.models import BankAccount, Direction, Subject
from core.books.xml import SIZE_MAX_BYTES
from core.cli import INFRASTRUCTURE, REFUSED, Commands, json_option, print_json, print_table
from core.clock import today, utc_now
from core.db import session_scope
from core.errors import NotFound
from core.identity import people
from core.money import Money


@click.group("books", cls=Commands)
def books() -> None:
    """The books: bank statements, reconciliation with providers, closing months."""


@books.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--account", help="For a CSV file: the name of the bank account it is of.")
@click.option("--are-others", is_flag=True, help="Lines that equal those of another statement are other movements: you looked.")
@actor_option
@json_option
def import_command(file: Path, account: str | None, are_others: bool, actor: str, as_json: bool) -> None:
    """Read a bank statement, CAMT.053 or CSV: all of it, or nothing. Lines that are here already are passed over.

    Nothing settles by itself: people confirm each line under Books.
    """
    with file.open("rb") as source:
        content = source.read(SIZE_MAX_BYTES + 1)
    with session_scope() as session:
        taken = statements.take(
            session,
            content,
            name=file.name,
            account_id=_account(session, account).id if account else None,
            are_others=are_others,
            actor=people.acting_person(session, actor),
            now=utc_now(),
        )
        rows = [
            {"statement": each.name, "account": each.account.name, "new": each.new, "known": each.known,
             "not_booked": each.not_booked}
            for each in taken
        ]  # fmt: skip
    if as_json:
        print_json(rows)
        return
    columns = {"statement": "Statement", "account": "Account", "new": "New", "known": "Known before", "not_booked": "Not booked"}
    print_table(rows, columns, empty="The file holds no statement.")


@books.command("lines")
@json_option
def lines_command(as_json: bool) -> None:
    """The lines that met nothing in the ledger, oldest first, and what each probably is."""
    with session_scope() as session:
        known = queries.suggestions(session)
        rows: list[dict[str, Any]] = [
            {
                "line": line.id,
                "booked_on": line.booked_on,
                "amount": str(line.money if line.direction is Direction.IN else -line.money),
                "counterparty": line.counterparty,
                "text": line.text,
                "probably": (it := known.get(line.id, Suggestion.unknown())).kind,
                "reference": it.expected.reference if it.expected else None,
            }
            for line in queries.open_lines(session)
        ]
    if as_json:
        print_json(rows)
        return
    columns = {
        "line": "Line",
        "booked_on": "Booked",
        "amount": "Amount",
        "counterparty": "Other party",
        "probably": "Probably",
        "reference": "Reference",
    }
    print_table(rows, columns, empty="Every line of the bank statements met its entry of the ledger.")


@books.command("reconcile")
@click.option("--offline", is_flag=True, help="Ask no provider; compare what is known.")
@json_option
def reconcile_command(offline: bool, as_json: bool) -> None:
    """Read what providers list, let it meet the ledger, and say what is on one side only or of another amount.

    Exit code 1 if a difference stands that nobody explained; 3 if none does and a provider was out of reach.
    """
    unreachable = [] if offline else _read_feeds()
    with session_scope() as session:
        rows = [
            {"list": each.side, "on": each.on, "age_days": (today() - each.on).days, "amount": str(each.money),
             "where": each.where, "what": each.what, "subject": each.subject, "id": each.subject_id,
             "explanation": each.explanation.text if each.explanation else None,
             "explanation_id": each.explanation.id if each.explanation else None, "explained": each.is_explained}
            for each in reconciliation.differences(session)
        ]  # fmt: skip
    if as_json:
        print_json({"differences": rows, "out_of_reach": unreachable})
    else:
        columns = {
            "list": "List",
            "on": "Day",
            "age_days": "Age",
            "amount": "Amount",
            "where": "Where",
            "what": "What",
            "id": "Id",
        }
        print_table(rows, columns, empty="Outside and ledger agree.")
        for sentence in unreachable:
            click.echo(sentence, err=True)
    if not all(row["explained"] for row in rows):
        raise SystemExit(REFUSED)
    if unreachable:
        raise SystemExit(INFRASTRUCTURE)


@books.command("book-movement")
@click.argument("movement_id", metavar="ID", type=click.UUID)
@actor_option
@json_option
def book_movement_command(movement_id: UUID, actor: str, as_json: bool) -> None:
    """Book a movement that a provider lists as what it calls it: money to or from our bank, or the provider's fee."""
    with session_scope() as session:
        entry = movements.book(session, movement_id, actor=people.acting_person(session, actor), now=utc_now())
        say({"movement": movement_id, "entry": entry.id}, f"Booked as entry {entry.id}.", as_json)


@books.command("explain")
@click.argument("subject", type=click.Choice([subject.value for subject in Subject]))
@click.argument("subject_id", metavar="ID", type=click.UUID)
@click.option("--text", required=True, help="Why it is so, and what becomes of it.")
@click.option("--amount", help="Where one thing has two differences: which, such as “-5.00 USD”, as `books reconcile` prints it.")
@actor_option
@json_option
def explain_command(subject: str, subject_id: UUID, text: str, amount: str | None, actor: str, as_json: bool) -> None:
    """Explain a difference that `books reconcile` lists, of this amount. It counts when another person confirms it."""
    with session_scope() as session:
        who = people.acting_person(session, actor)
        money = Money.parse(*_two_words(amount)) if amount else None
        made = explanations.explain(session, Subject(subject), subject_id, text=text, money=money, actor=who, now=utc_now())
        say({"explanation": made.id, "confirmed": False}, f"Kept as {made.id}. Another person confirms it.", as_json)


@books.command("confirm-explanation")
@click.argument("explanation_id", metavar="ID", type=click.UUID)
@click.option("--as", "actor", metavar="EMAIL", required=True, help="Who does this: finance or a payout approver.")
@json_option
def confirm_command(explanation_id: UUID, actor: str, as_json: bool) -> None:
    """Confirm an explanation as the second person."""
    with session_scope() as session:
        who = people.acting_person(session, actor)
        explanations.decide(session, explanation_id, confirm=True, actor=who, now=utc_now())
    say({"explanation": explanation_id, "confirmed": True}, "Confirmed.", as_json)


@books.command("close")
@click.argument("month", metavar="YYYY-MM")
@actor_option
@json_option
def close_command(month: str, actor: str, as_json: bool) -> None:
    """Close a month and everything before it: nothing dated in it is posted any more."""
    with session_scope() as session:
        who = people.acting_person(session, actor)
        made = months.close(session, months.first_of(month), actor=who, now=utc_now())
        say({"month": f"{made.month:%Y-%m}", "explained": made.explained}, f"{made.month:%B %Y} is closed.", as_json)


@books.command("reopen")
@click.argument("month", metavar="YYYY-MM")
@click.option("--reason", help="What has to be corrected. With it you ask; without it you open what somebody else asked for.")
@actor_option
@json_option
def reopen_command(month: str, reason: str | None, actor: str, as_json: bool) -> None:
    """Open the last closed month again: one person of finance asks with a reason, another one opens it."""
    with session_scope() as session:
        who, first = people.acting_person(session, actor), months.first_of(month)
        found = next((each for each in months.all_closed(session) if each.month == first and not each.reopened_at), None)
        if found is None:
            raise NotFound(f"{first:%B %Y} is not closed.")
        if reason:
            months.ask_reopening(session, found.id, reason=reason, actor=who, now=utc_now())
            say({"month": month, "state": "asked"}, "Asked. Another person of finance opens it.", as_json)
        else:
            months.reopen(session, found.id, actor=who, now=utc_now())
            say({"month": month, "state": "open"}, f"{first:%B %Y} is open again.", as_json)


def _read_feeds() -> list[str]:
    """Read every feed; returns what those out of reach said."""
    unreachable = []
    for feed in feeds.all_feeds():
        try:
            tasks.read(feed, now=utc_now())
        except feeds.FeedUnreachable as error:
            unreachable.append(str(error))
    return unreachable


def _two_words(amount: str) -> tuple[str, str]:
    number, _, currency = amount.strip().rpartition(" ")
    return number, currency.upper()


def _account(session: Session, name: str) -> BankAccount:
    found = session.scalars(select(BankAccount).where(BankAccount.name == name).limit(1)).first()
    if found is None:
        known = ", ".join(f"“{each.name}”" for each in statements.accounts(session)) or "none yet"
        raise NotFound(f"There is no bank account “{name}”; there are {known}.")
    return found


for command in cli_bookings.commands:
    books.add_command(command)
commands: list[click.Command] = [books]
