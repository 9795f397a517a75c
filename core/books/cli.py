"""`pledgeworks books …`: read statements, and see what waits."""

from pathlib import Path
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.books import queries, statements
from core.books.matching import Suggestion
from core.books.models import BankAccount, Direction
from core.books.xml import SIZE_MAX_BYTES
from core.cli import Commands, json_option, print_json, print_table
from core.clock import utc_now
from core.db import session_scope
from core.errors import NotFound
from core.identity import people

actor_option = click.option("--as", "actor", metavar="EMAIL", required=True, help="Who does this; must have the role finance.")


@click.group("books", cls=Commands)
def books() -> None:
    """The books: bank statements, and what each of their lines is."""


@books.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--account", help="For a CSV file: the name of the bank account it is of.")
@actor_option
@json_option
def import_command(file: Path, account: str | None, actor: str, as_json: bool) -> None:
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
        "booked_on": "Booked",
        "amount": "Amount",
        "counterparty": "Other party",
        "probably": "Probably",
        "reference": "Reference",
    }
    print_table(rows, columns, empty="Every line of the bank statements met its entry of the ledger.")


def _account(session: Session, name: str) -> BankAccount:
    found = session.scalars(select(BankAccount).where(BankAccount.name == name).limit(1)).first()
    if found is None:
        known = ", ".join(f"“{each.name}”" for each in statements.accounts(session)) or "none yet"
        raise NotFound(f"There is no bank account “{name}”; there are {known}.")
    return found


commands: list[click.Command] = [books]
