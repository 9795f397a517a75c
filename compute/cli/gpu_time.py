"""`pledgeworks compute …`: donated GPU time, what became of it and what will."""

from pathlib import Path
from typing import Any
from uuid import UUID

import click

from compute import outlooks, papers
from compute.queries import overview, statements
from compute.queries.statements import Statement
from compute.services import calibration
from core.cli import Commands, json_option, print_json, print_table
from core.clock import utc_now
from core.db import session_scope
from core.paper import PaperForm


@click.group(cls=Commands)
def compute() -> None:
    """Donated GPU time: what donors gave, what became of it and what will."""


@compute.command("statement")
@click.option("--donor", required=True, help="The donor's slug.")
@click.option("--month", required=True, metavar="YYYY-MM", help="Which month.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--entries", "as_entries", is_flag=True, help="Print the ledger's entries behind it, as CSV.")
@click.option("--pdf", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file as PDF.")
@json_option
def statement_command(donor: str, month: str, *, as_csv: bool, as_entries: bool, pdf: Path | None, as_json: bool) -> None:
    """Print a donor's statement of a month: given, held, used, lost and lapsed hours, by offer and by project."""
    with session_scope() as session:
        found = statements.statement(
            session, statements.donor_named(session, donor), statements.parse_month(month), now=utc_now()
        )
        made = papers.StatementOut.of(found)
        text = papers.draw_entries(found) if as_entries else papers.draw_statement(found, PaperForm.CSV)
        document = papers.draw_statement(found, PaperForm.PDF) if pdf is not None else None
    if pdf is not None and document is not None:
        pdf.write_bytes(document)
        click.echo(f"Written to {pdf}.")
    elif as_json:
        print_json(made.model_dump(mode="json"))
    elif as_csv or as_entries:
        click.echo(text.decode(), nl=False)
    else:
        _say_statement(found, made)


@compute.command("forecast")
@click.option("--grant", "grant_id", type=click.UUID, help="A compute grant.")
@click.option("--donor", help="A donor's slug: all its offers that can be drawn.")
@json_option
def forecast_command(grant_id: UUID | None, donor: str | None, *, as_json: bool) -> None:
    """Say when a grant or a donor's offers will be used up, or how much of them will lapse, at the pace of the last weeks."""
    if (grant_id is None) == (donor is None):
        raise click.UsageError("Name a grant with --grant, or a donor with --donor.")
    now = utc_now()
    with session_scope() as session:
        made: outlooks.GrantForecastOut | outlooks.DonorForecastOut
        if grant_id is not None:
            made = outlooks.GrantForecastOut.of(session, overview.grant(session, grant_id), now=now)
        else:
            assert donor is not None
            made = outlooks.of_donor(session, donor, now=now)
    if as_json:
        print_json(made.model_dump(mode="json"))
    elif isinstance(made, outlooks.GrantForecastOut):
        _say_forecast(made.title, made.forecast)
    else:
        for line in made.offers:
            _say_forecast(f"{line.name} ({line.flavor})", line.forecast)
        if not made.offers:
            click.echo("No offer of this donor can be drawn now or later.")


@compute.command("calibrate")
@json_option
def calibrate_command(*, as_json: bool) -> None:
    """Print the exchange rates that benchmarks suggest now. Changes nothing: proposals are made and decided on the desk."""
    with session_scope() as session:
        found = calibration.calibrate(session, now=utc_now())
    rows = [
        {
            "flavor": each.flavor.slug,
            "current": str(each.current) if each.current is not None else None,
            "suggested": str(each.rate),
            "low": round(each.price.low, 4),
            "high": round(each.price.high, 4),
        }
        for each in found.suggestions
    ]
    if as_json:
        print_json({"reference": found.reference.slug, "benchmarks": len(found.benchmarks), "rates": rows})
        return
    columns = {"flavor": "FLAVOR", "current": "RATE NOW", "suggested": "SUGGESTED", "low": "FROM", "high": "TO"}
    print_table(rows, columns, empty="")
    click.echo(f"\nFrom {len(found.benchmarks)} benchmarks; {found.reference.slug} keeps its rate.")


def _say_statement(found: Statement, made: papers.StatementOut) -> None:
    click.echo(f"{found.donor.name}, {found.title} (GPU-hours, as of {found.until:%Y-%m-%d %H:%M} UTC)\n")
    hours = {name: name.replace("_", " ").upper() for name in papers.AMOUNTS}
    print_table(made.offers, {"name": "OFFER", "flavor": "FLAVOR", **hours}, empty="Nothing was given in this month.")
    click.echo()
    print_table(
        made.projects,
        {"project": "PROJECT", "flavor": "FLAVOR", "held": "HELD", "used": "USED", "returned": "RETURNED", "lost": "LOST",
         "jobs": "JOBS", "succeeded": "SUCCEEDED", "failed": "FAILED", "tests_passed": "TESTS PASSED", "artefacts": "FILES"},
        empty="No project used any of it.",
    )  # fmt: skip
    agrees = "agree with" if found.proved else "do NOT agree with"
    click.echo(f"\nThe ledger's {len(found.entries)} entries of the month {agrees} every line (--entries prints them).")


def _say_forecast(title: str, found: outlooks.ForecastOut | None) -> None:
    click.echo(f"{title}\n  {found.sentence if found else 'Nothing can be drawn on this grant, so there is no forecast.'}")
    for line in _more(found):
        click.echo(f"  {line}")


def _more(found: Any) -> list[str]:
    if found is None or found.method is None:
        return []
    dates = ", ".join(f"{moment:%-d %b %Y}" for moment in found.warns_at)
    return [found.method, *([f"Warnings will be given on {dates}."] if dates else [])]
