"""`pledgeworks job`: list, show and cancel; submit, logs and explain have files of their own."""

from typing import Any
from uuid import UUID

import click

from compute.cli.output import exit_as, words
from compute.cli.ways import jobs_of, way_options
from compute.client import Document
from compute.models import JobStatus
from core.cli import Commands, json_option, print_json, print_table
from core.units import format_seconds

LIST_COLUMNS = {
    "id": "JOB",
    "project": "PROJECT",
    "name": "NAME",
    "status": "STATE",
    "gpus": "GPUS",
    "flavor": "FLAVOR",
    "starts": "EXPECTED START",
    "waits": "WAITS BECAUSE",
}


@click.group(cls=Commands)
def job() -> None:
    """Submit, follow, explain and cancel jobs on donated GPUs.

    Works on the local database (--as EMAIL), or on another installation with PLEDGEWORKS_URL and PLEDGEWORKS_TOKEN.
    """


@job.command("list")
@click.option("--project", help="Only this project's jobs.")
@click.option("--status", type=click.Choice([status.value for status in JobStatus]), help="Only jobs in this state.")
@click.option("--idle", is_flag=True, help="Only running jobs that hold devices and do nothing.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@way_options
@json_option
def list_command(email: str | None, url: str | None, token: str | None, *, as_json: bool, **wanted: Any) -> None:
    """List jobs, newest first, each waiting one with its reason and when it probably starts."""
    found = jobs_of(email, url, token).list(**wanted)
    if as_json:
        print_json(found)
        return
    print_table([{**row, **_waits(row["waiting"])} for row in found["jobs"]], LIST_COLUMNS, empty="There are no such jobs.")


@job.command("show")
@click.argument("job_id", type=click.UUID)
@click.option(
    "--exit-code", "use_exit_code", is_flag=True, help="Exit 0 succeeded, 1 the job failed, 3 infrastructure, 4 not finished."
)
@way_options
@json_option
def show_command(
    job_id: UUID, email: str | None, url: str | None, token: str | None, *, use_exit_code: bool, as_json: bool
) -> None:
    """Show a job: state, why it waits or how it ended, and what it cost."""
    found = jobs_of(email, url, token).show(job_id)
    if as_json:
        print_json(found)
    else:
        _print_job(found)
    if use_exit_code:
        exit_as(found)


@job.command("cancel")
@click.argument("job_id", type=click.UUID)
@click.option("--reason", default="", help="Why; shown on the job's page.")
@way_options
@json_option
def cancel_command(job_id: UUID, reason: str, email: str | None, url: str | None, token: str | None, *, as_json: bool) -> None:
    """Cancel a job. What it used is charged; a job that has ended keeps its ending."""
    found = jobs_of(email, url, token).cancel(job_id, reason=reason)
    if as_json:
        print_json(found)
    elif found["finished"]:
        click.echo(f"Job {job_id} has ended: {words(found['status'])}.")
    else:
        click.echo(f"Job {job_id} is being stopped.")


def _waits(waiting: Document | None) -> dict[str, str]:
    """Two cells of the list; what somebody has to act on has no start."""
    if waiting is None:
        return {"starts": "", "waits": ""}
    expected = waiting["expected"]
    return {"starts": expected["in_short"] if expected else "not known", "waits": waiting["reason"]}


def _print_job(found: Document) -> None:
    click.echo(f"Job        {found['id']}  {found['name']}")
    click.echo(f"Project    {found['project']} ({found['kind']})")
    flavors = " or ".join([found["flavor"], *found["alternatives"]])
    alone = ", a host to itself," if found["exclusive"] else ""
    click.echo(f"Asks for   {found['gpus']} × {flavors}{alone} for {format_seconds(found['wall_seconds'])} at most")
    click.echo(f"Runs       {found['command']}")
    if found["repository"]:
        click.echo(f"Source     {found['repository']} at {found['commit']}")
    if found["priority"]:
        why = f": {found['priority']['reason']}" if found["priority"]["reason"] else ""
        click.echo(f"Priority   {found['priority']['name']}{why}")
    click.echo(f"State      {words(found['status'])}")
    if found["waiting"]:
        waiting = found["waiting"]
        click.echo(f"Waits      {waiting['reason']} (since {waiting['since'][:19].replace('T', ' ')} UTC)")
        if waiting["remedy"]:
            click.echo(f"Needs      {waiting['remedy']}")
        if waiting["expected"]:
            click.echo(f"Expected   {waiting['expected']['in_words']}")
    if found["asked_to_leave"]:
        click.echo(f"Leaves     {found['asked_to_leave']}")
    if found["activity"]:
        click.echo(f"Does       {found['activity']['in_words']}")
        if found["activity"]["idle"]:
            click.echo(f"           {found['activity']['advice']}")
    for attempt in found["attempts"]:
        code = f", exit code {attempt['exit_code']}" if attempt["exit_code"] is not None else ""
        blame = f" ({attempt['cause']})" if attempt["cause"] else ""
        where = f"on {attempt['host']} in pool {attempt['pool']}" if attempt["host"] else f"in pool {attempt['pool']}"
        click.echo(f"Attempt {attempt['number']}  {words(attempt['status'])}{blame} {where}{code}")
        if attempt["chosen_because"]:
            click.echo(f"           On {attempt['flavor']}: {attempt['chosen_because']}")
        if attempt["reason"]:
            click.echo(f"           {attempt['reason']}")
    click.echo(f"Cost       {found['used_reference_gpu_hours']} reference GPU-hours")
