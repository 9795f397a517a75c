"""`pledgeworks compute …`: donated GPU time, what became of it and what will."""

from typing import Any
from uuid import UUID

import click

from compute import outlooks, schemas
from compute.queries import overview, statements
from core.cli import Commands, json_option, print_json, print_table
from core.clock import utc_now
from core.db import session_scope


@click.group(cls=Commands)
def compute() -> None:
    """Donated GPU time: what donors gave, what became of it and what will."""


@compute.command("statement")
@click.option("--donor", required=True, help="The donor's slug.")
@click.option("--month", required=True, metavar="YYYY-MM", help="Which month.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
def statement_command(donor: str, month: str, *, as_csv: bool, as_json: bool) -> None:
    """Print a donor's statement of a month: given, used, idle and lost hours, by offer and by project."""
    with session_scope() as session:
        found = statements.statement(
            session, statements.donor_named(session, donor), statements.parse_month(month), now=utc_now()
        )
        made = schemas.StatementOut.of(found)
        text = schemas.statement_csv(found)
    if as_json:
        print_json(made.model_dump(mode="json"))
        return
    if as_csv:
        click.echo(text, nl=False)
        return
    click.echo(f"{found.donor.name}, {found.title} (GPU-hours, as of {found.until:%Y-%m-%d %H:%M} UTC)\n")
    hours = {"carried": "CARRIED", "given": "GIVEN", "used": "USED", "lost": "LOST", "idle": "IDLE", "ahead": "AHEAD"}
    print_table(made.offers, {"name": "OFFER", "flavor": "FLAVOR", **hours}, empty="Nothing was given in this month.")
    click.echo()
    print_table(
        made.projects,
        {"project": "PROJECT", "flavor": "FLAVOR", "used": "USED", "lost": "LOST", "jobs": "JOBS", "succeeded": "SUCCEEDED",
         "failed": "FAILED", "tests_passed": "TESTS PASSED", "artefacts": "FILES"},
        empty="No project used any of it.",
    )  # fmt: skip


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


def _say_forecast(title: str, found: outlooks.ForecastOut | None) -> None:
    click.echo(f"{title}\n  {found.sentence if found else 'Nothing can be drawn on this grant, so there is no forecast.'}")
    for line in _more(found):
        click.echo(f"  {line}")


def _more(found: Any) -> list[str]:
    if found is None or found.method is None:
        return []
    dates = ", ".join(f"{moment:%-d %b %Y}" for moment in found.warns_at)
    return [found.method, *([f"Warnings will be given on {dates}."] if dates else [])]
