"""`pledgeworks pledge …`: import member files, print the public totals, check a figure, keep the minimum table."""

from datetime import date, datetime
from pathlib import Path

import click

from core.cli import REFUSED, Commands, json_option, print_json, print_table
from core.clock import today, utc_now
from core.db import session_scope
from core.errors import InvalidInput
from core.identity import people
from core.money import Money
from core.paper import PaperForm
from pledge import papers, queries
from pledge.member_file import Form
from pledge.models import CardLimit, PledgeMinimum
from pledge.policies.standing import NoMinimum, Standing, developers_from, minimum_on
from pledge.policies.totals import amount, plain
from pledge.public import figures, totals_json
from pledge.services import files, rules

DAY = click.DateTime(["%Y-%m-%d"])


@click.group("pledge", cls=Commands)
def pledge() -> None:
    """Companies' pledges: import, totals, checks."""


@pledge.command("import")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--demo", is_flag=True, help="Mark new organisations as demo data.")
@click.option("--figures-on", type=DAY, help="The day the figures describe, if not today: later days don't judge them.")
@json_option
def import_command(paths: tuple[Path, ...], demo: bool, figures_on: datetime | None, as_json: bool) -> None:
    """Import member files (PATH…: .json in the present or past form, .csv with one row per report, or folders).

    All of them or none. Importing the same files again changes nothing. A refused file names line and column, or the path
    of the value.
    """
    found, skipped = files.read_paths(paths)
    with session_scope() as session:
        result = files.import_all(
            session, found, now=utc_now(), is_demo=demo, figures_on=figures_on.date() if figures_on else None
        )
    result.skipped = skipped
    if as_json:
        print_json(
            {
                "members": {str(outcome): result.members[outcome] for outcome in files.Outcome},
                "reports": {str(outcome): result.reports[outcome] for outcome in files.Outcome},
                "skipped": skipped,
            }
        )
        return
    for path in skipped:
        click.echo(f"Passed over {path}: neither .json nor .csv.", err=True)
    for what, counts in (("members", result.members), ("reports", result.reports)):
        click.echo(f"{counts.total()} {what}: " + ", ".join(f"{counts[outcome]} {outcome}" for outcome in files.Outcome) + ".")


@pledge.command("export")
@click.argument("slug")
@click.option("--form", type=click.Choice([form.value for form in Form]), default="present", show_default=True,
              help="The form of the Open Source Pledge today, or that of 2024.")  # fmt: skip
def export_command(slug: str, form: str) -> None:
    """Print the member file (JSON) of the company SLUG."""
    with session_scope() as session:
        click.echo(files.export(session, queries.member_by_slug(session, slug), form=Form(form)), nl=False)


@pledge.command("statement")
@click.argument("slug")
@click.argument("period")
@click.option("--format", "form", type=click.Choice([form.value for form in PaperForm]), default="csv", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write.")
def statement_command(slug: str, period: str, form: str, output: Path) -> None:
    """Write the yearly statement of the company SLUG for PERIOD, such as 2026."""
    with session_scope() as session:
        row = queries.pledge_by_label(session, queries.member_by_slug(session, slug), period)
        output.write_bytes(papers.draw_statement(papers.statement(session, row), PaperForm(form)))


@pledge.command("receipt")
@click.argument("reference")
@click.option("--format", "form", type=click.Choice([form.value for form in PaperForm]), default="pdf", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write.")
def receipt_command(reference: str, form: str, output: Path) -> None:
    """Write the receipt of the instalment with this REFERENCE, such as PW-1A2B3C4D5E."""
    with session_scope() as session:
        row = queries.instalment_by_reference(session, reference)
        output.write_bytes(papers.draw_receipt(papers.receipt(session, row), PaperForm(form)))


@pledge.command("totals")
@click.option("--on", type=DAY, help="As of this day: reports and members after it are not counted. Default: today, in UTC.")
@json_option
def totals_command(on: datetime | None, as_json: bool) -> None:
    """Print the public totals as JSON (with or without --json), each with its population.

    `active` are the members whose member file says active. docs/reference/pledge-totals.md describes every field.
    """
    with session_scope() as session:
        print_json(totals_json(figures(session, on=_day(on))))


@pledge.command("check")
@click.option("--developers", required=True, help="Average number of developers, such as 14 or 12.5.")
@click.option("--paid", required=True, help="What was paid and counts, such as 28000.00.")
@click.option("--currency", default="USD", show_default=True, help="ISO 4217 code.")
@click.option("--on", type=DAY, help="Measured by the minimum in force on this day. Default: today.")
@json_option
@click.pass_context
def check_command(ctx: click.Context, developers: str, paid: str, currency: str, on: datetime | None, as_json: bool) -> None:
    """Is the pledge met? Exit code 0 if it is, 1 if it is short, 2 for input that is no number."""
    try:
        staff = developers_from(developers)
        money = Money.parse(paid, currency.upper())
        if money.amount_minor < 0:
            raise InvalidInput("The amount paid can't be negative.", field="paid")
        with session_scope() as session:
            minimum = minimum_on(queries.minimums(session), money.currency, _day(on))
    except (InvalidInput, NoMinimum) as error:
        # Not a refusal: exit code 1 says “short” here, so that scripts can rely on it.
        raise click.UsageError(error.message) from None
    standing = Standing(staff, minimum.money, money)
    rounded = standing.per_developer_rounded
    if as_json:
        print_json(
            {
                "met": standing.met,
                "developers": plain(staff),
                "currency": money.currency,
                "paid": amount(money),
                "minimum_per_developer": amount(minimum.money),
                "required": amount(standing.required),
                "margin": amount(standing.margin),
                "short_by": amount(standing.short_by),
                "per_developer": amount(standing.per_developer_exact) if standing.per_developer_exact is not None else None,
                "per_developer_shown": f"{rounded.decimal:.0f}" if rounded is not None else None,
                "rules_version": minimum.rules_version,
            }
        )
    else:
        click.echo(f"{'Met' if standing.met else 'Short'}: {_sentence(standing)}")
    if not standing.met:
        ctx.exit(REFUSED)


@pledge.group("minimum", cls=Commands)
def minimum_group() -> None:
    """The dated table of minimums per developer and year."""


@minimum_group.command("list")
@json_option
def minimum_list(as_json: bool) -> None:
    """Print the table of minimums."""
    with session_scope() as session:
        rows = [_minimum(row) for row in queries.minimums(session)]
    if as_json:
        print_json(rows)
        return
    headings = {"valid_from": "From", "currency": "Currency", "amount": "Per developer", "rules_version": "Rules"}
    print_table(rows, {**headings, "author": "Author", "source": "Source"}, empty="The table is empty.")


@minimum_group.command("add")
@click.argument("amount_text", metavar="AMOUNT")
@click.option("--currency", required=True, help="ISO 4217 code.")
@click.option("--valid-from", required=True, type=DAY, help="First day it is in force.")
@click.option("--source", required=True, help="Where it was decided.")
@click.option("--rules-version", required=True, help="Name of the rules it belongs to.")
@click.option("--as", "email", required=True, help="E-mail address of the programme officer who adds it.")
@json_option
def minimum_add(
    amount_text: str, currency: str, valid_from: datetime, source: str, rules_version: str, email: str, as_json: bool
) -> None:
    """Add a minimum of AMOUNT per developer and year. Published years keep the one they were measured by."""
    with session_scope() as session:
        row = rules.add_minimum(
            session,
            amount=Money.parse(amount_text, currency.upper()),
            valid_from=valid_from.date(),
            source=source,
            rules_version=rules_version,
            actor=people.acting_person(session, email),
            now=utc_now(),
        )
        described = _minimum(row)
    if as_json:
        print_json(described)
        return
    click.echo(f"From {row.valid_from} on: {row.money} per developer and year.")


def _minimum(row: PledgeMinimum) -> dict[str, object]:
    return {
        "valid_from": row.valid_from,
        "currency": row.currency,
        "amount": amount(row.money),
        "source": row.source,
        "author": row.author,
        "rules_version": row.rules_version,
    }


@pledge.group("card-limit", cls=Commands)
def card_limit_group() -> None:
    """The dated table of the largest online payment by card."""


@card_limit_group.command("list")
@json_option
def card_limit_list(as_json: bool) -> None:
    """Print the table of card limits."""
    with session_scope() as session:
        rows = [_card_limit(row) for row in queries.card_limits(session)]
    if as_json:
        print_json(rows)
        return
    headings = {"valid_from": "From", "currency": "Currency", "amount": "Largest by card"}
    print_table(rows, {**headings, "author": "Author", "source": "Source"}, empty="The table is empty: no cards.")


@card_limit_group.command("add")
@click.argument("amount_text", metavar="AMOUNT")
@click.option("--currency", required=True, help="ISO 4217 code.")
@click.option("--valid-from", required=True, type=DAY, help="First day it is in force.")
@click.option("--source", required=True, help="Where it was decided.")
@click.option("--as", "email", required=True, help="E-mail address of who adds it, in finance.")
@json_option
def card_limit_add(amount_text: str, currency: str, valid_from: datetime, source: str, email: str, as_json: bool) -> None:
    """Take cards up to AMOUNT from a day on; 0 takes none. Pages that are open keep what they were opened with."""
    with session_scope() as session:
        row = rules.add_card_limit(
            session,
            amount=Money.parse(amount_text, currency.upper()),
            valid_from=valid_from.date(),
            source=source,
            actor=people.acting_person(session, email),
            now=utc_now(),
        )
        described = _card_limit(row)
    if as_json:
        print_json(described)
        return
    click.echo(f"From {row.valid_from} on: cards up to {row.money}.")


def _card_limit(row: CardLimit) -> dict[str, object]:
    return {
        "valid_from": row.valid_from,
        "currency": row.currency,
        "amount": amount(row.money),
        "source": row.source,
        "author": row.author,
    }


def _day(given: datetime | None) -> date:
    return given.date() if given else today()


def _sentence(standing: Standing) -> str:
    staff = f"{standing.developers:f} {'developer' if standing.developers == 1 else 'developers'}"
    if standing.per_developer_rounded is None:
        return f"no developers on staff, so nothing is required; {standing.paid} were paid."
    shown = f"about {standing.per_developer_rounded.decimal:,.0f} {standing.paid.currency} per developer"
    if standing.met:
        return f"{standing.paid} for {staff} ({shown}); required {standing.required}, {standing.margin} more than that."
    return f"{standing.paid} for {staff} ({shown}); required {standing.required}, short by {standing.short_by}."


commands: list[click.Command] = [pledge]
"""What app.py adds to the top level."""
