"""`pledgeworks job logs`, and following a log until its job ends."""

import sys
import time
from uuid import UUID

import click

from compute.cli.output import exit_as
from compute.cli.ways import jobs_of, way_options
from compute.client import Document, Jobs
from core.cli import json_option, print_json

POLL_SECONDS = 1.0


@click.command("logs")
@click.argument("job_id", type=click.UUID)
@click.option("--follow", "-f", is_flag=True, help="Go on printing until the job has ended.")
@click.option("--attempt", type=click.IntRange(1), help="Which attempt; without: the newest.")
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True, help="From which byte on.")
@click.option(
    "--exit-code", "use_exit_code", is_flag=True, help="Exit 0 succeeded, 1 the job failed, 3 infrastructure, 4 not finished."
)
@way_options
@json_option
def logs_command(
    job_id: UUID,
    attempt: int | None,
    offset: int,
    email: str | None,
    url: str | None,
    token: str | None,
    *,
    follow: bool,
    use_exit_code: bool,
    as_json: bool,
) -> None:
    """Print a job's output.

    With --json one part of it, as the API gives it: go on with --offset from its `next_offset` until it is `complete`.
    """
    one_form(follow=follow, as_json=as_json, instead="ask again with --offset from `next_offset` until it is `complete`")
    jobs = jobs_of(email, url, token)
    if as_json:
        part = jobs.log(job_id, attempt=attempt, offset=offset)
        print_json(part)
        if offset < part["next_offset"] < part["total_bytes"]:
            click.echo(f"There is more of it: go on with --offset {part['next_offset']}.", err=True)
    elif follow:
        follow_log(jobs, job_id, attempt=attempt, offset=offset)
    else:
        _print_log(jobs, job_id, attempt=attempt, offset=offset)
    if use_exit_code:
        exit_as(jobs.show(job_id))


def one_form(*, follow: bool, as_json: bool, instead: str) -> None:
    """A log that is followed is text without an end; a document has one."""
    if follow and as_json:
        raise click.UsageError(f"--follow prints text and --json one document, so they don't go together: {instead}.")


def follow_log(jobs: Jobs, job_id: UUID, *, attempt: int | None, offset: int = 0) -> None:
    """Print the log until the job has ended. When it goes again after a failure of the infrastructure, so does the log."""
    number, waits = attempt, ""
    while True:
        seen = jobs.log(job_id, attempt=attempt, offset=offset)
        if number is not None and seen["attempt"] not in {None, number}:
            offset = 0
        if seen["attempt"] is not None:
            number = seen["attempt"]
        end = _print_log(jobs, job_id, attempt=attempt, offset=offset)
        offset = end["next_offset"]
        if end["complete"]:
            return
        waiting = jobs.show(job_id)["waiting"] if number is None else None
        if waiting and waiting["reason"] != waits:
            waits = waiting["reason"]
            click.echo(
                f"The job {waits}." if waits.startswith(("waits", "may", "goes")) else f"The job waits: it {waits}.", err=True
            )
        time.sleep(POLL_SECONDS)


def _print_log(jobs: Jobs, job_id: UUID, *, attempt: int | None, offset: int) -> Document:
    """Print what there is from `offset` on; the last part says where to go on."""
    while True:
        part = jobs.log(job_id, attempt=attempt, offset=offset)
        sys.stdout.write(part["text"])
        if part["next_offset"] == offset:
            sys.stdout.flush()
            return part
        offset = part["next_offset"]
