"""`pledgeworks job explain`: why it waits."""

from uuid import UUID

import click

from compute.cli.output import words, yes
from compute.cli.ways import jobs_of, way_options
from compute.client import Document
from core.cli import json_option, print_json, print_table

UNKNOWN_START = "nobody can know; it waits for somebody to act"

OFFER_COLUMNS = {
    "donor": "DONOR",
    "name": "OFFER",
    "left_gpu_hours": "LEFT (H)",
    "closes_at": "CLOSES",
    "permits": "PERMITS",
    "usable": "USABLE NOW",
}


@click.command("explain")
@click.argument("job_id", type=click.UUID)
@way_options
@json_option
def explain_command(job_id: UUID, email: str | None, url: str | None, token: str | None, *, as_json: bool) -> None:
    """Explain why a job waits: reason, what has to happen, expected start, and the pools, offers and budget behind it."""
    found = jobs_of(email, url, token).explain(job_id)
    if as_json:
        print_json(found)
        return
    if found["status"] != "queued":
        click.echo(f"The job does not wait: it is {words(found['status'])}.")
        return
    click.echo("It can start now." if found["would_start_now"] else f"Waiting: {found['reason']}.")
    if found["place"]:
        click.echo(f"Place in line: {found['place']}.")
    if found["remedy"] and not found["would_start_now"]:
        click.echo(f"What has to happen: {found['remedy']}.")
        click.echo(f"Expected start: {found['expected']['in_words'] if found['expected'] else UNKNOWN_START}.")
    for name, count in found["passed_by"].items():
        click.echo(f"Go first as “{name}”: {count}.")
    click.echo(f"This reason has held since {_minute(found['since'])} UTC.")
    click.echo(
        f"It may use {_needed(found['needed'])}; its grant has "
        f"{found['grant_left_gpu_hours']} left and {found['grant_held_gpu_hours']} held for other jobs.\n"
    )
    print_table(
        [{**row, "fits": yes(row["fits"]), "trusts": yes(row["trusts"])} for row in found["pools"]],
        {
            "pool": "POOL",
            "flavor": "FLAVOR",
            "status": "STATE",
            "devices": "DEVICES",
            "free": "FREE",
            "fits": "FITS",
            "trusts": "TRUSTS",
        },
        empty="No pool has this flavor.",
    )
    click.echo()
    offers = [
        {
            **row,
            "closes_at": f"{_minute(row['closes_at'])} UTC",
            "permits": yes(row["permits"]),
            "usable": yes(row["permits"] and not row["closes_too_soon"]),
        }
        for row in found["offers"]
    ]
    print_table(offers, OFFER_COLUMNS, empty="No donor offers this flavor.")


def _minute(moment: str) -> str:
    """`2026-12-04 22:01`: seconds of a day to come say nothing."""
    return moment[:16].replace("T", " ")


def _needed(needed: list[Document]) -> str:
    """`2.000000 reference GPU-hours`, for several flavors one after the other."""
    if len(needed) == 1:
        return f"{needed[0]['reference_gpu_hours']} reference GPU-hours"
    return ", ".join(f"{each['reference_gpu_hours']} on {each['flavor']}" for each in needed) + " reference GPU-hours"
