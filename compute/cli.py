"""`pledgeworks job …`, `pledgeworks compute …` and `pledgeworks simulate`."""

import re
import shlex
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import click
from pydantic import ValidationError

from compute import policies, schemas
from compute.client import Document, Jobs, LocalJobs, RemoteJobs
from compute.compute_cli import compute
from compute.history_cli import export_history
from compute.limit_commands import LIMIT_COMMANDS
from compute.models import JobKind, JobStatus
from compute.priority_commands import PRIORITY_COMMANDS
from compute.quota_commands import quota_command, quota_group_command, quotas_command
from compute.simulation.command import simulate
from compute.trust_commands import pools_command, trust_command
from compute.weight_commands import weigh_command, weights_command
from compute.window_commands import WINDOW_COMMANDS
from core.cli import INFRASTRUCTURE, REFUSED, Commands, json_option, print_json, print_table
from core.errors import InvalidInput
from core.units import format_seconds

NOT_FINISHED = 4
UNKNOWN_START = "nobody can know; it waits for somebody to act"
POLL_SECONDS = 1.0

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
OFFER_COLUMNS = {
    "donor": "DONOR",
    "name": "OFFER",
    "left_gpu_hours": "LEFT (H)",
    "closes_at": "CLOSES",
    "permits": "PERMITS",
    "usable": "USABLE NOW",
}

F = TypeVar("F", bound=Callable[..., Any])


class _Duration(click.ParamType[int]):
    """`90`, `90s`, `20m`, `3h20m`: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return policies.parse_duration(str(value))
        except InvalidInput as error:
            self.fail(error.message, param, ctx)


class _Size(click.ParamType[int]):
    """`512M`, `8G`: mebibytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d{1,7})([MG])i?B?", str(value), re.IGNORECASE)
        if not found:
            self.fail(f"“{value}” is not a size; write 512M or 8G.", param, ctx)
        return int(found[1]) * (1024 if found[2].upper() == "G" else 1)


def way_options(function: F) -> F:
    """Who acts and where: the local database as a person, or another installation with a token."""
    function = click.option("--as", "email", metavar="EMAIL", help="Act as this person on the local database.")(function)
    function = click.option("--token", envvar="PLEDGEWORKS_TOKEN", show_envvar=True, help="API token.")(function)
    return click.option("--url", envvar="PLEDGEWORKS_URL", show_envvar=True, help="Use this installation's API instead.")(
        function
    )


@click.group(cls=Commands)
def job() -> None:
    """Submit, follow, explain and cancel jobs on donated GPUs.

    Works on the local database (--as EMAIL), or on another installation with PLEDGEWORKS_URL and PLEDGEWORKS_TOKEN.
    """


@job.command("submit", context_settings={"ignore_unknown_options": False})
@click.option("--project", required=True, help="The project's slug.")
@click.option(
    "--flavor", "flavors", required=True, multiple=True, help="Kind of accelerator, such as h100; repeat for others, best first."
)
@click.option("--gpus", type=click.IntRange(1), default=1, show_default=True, help="GPUs, or slices where the flavor is cut.")
@click.option("--wall", "wall_seconds", type=_Duration(), required=True, help="Longest run time, such as 20m or 3h20m.")
@click.option("--kind", type=click.Choice([kind.value for kind in JobKind]), default="ci", show_default=True)
@click.option("--repository", help="https address of a Git repository (in development also a folder of this project).")
@click.option("--commit", help="The exact commit, 40 hexadecimal digits.")
@click.option("--ref", help="The branch or tag it is on, such as refs/heads/main; some offers ask for it.")
@click.option("--image", help="Container image, for pools that run images.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="A public variable; repeat for more.")
@click.option("--artefact", "artefacts", multiple=True, metavar="GLOB", help="Files to keep; repeat for more.")
@click.option("--memory", "memory_mib", type=_Size(), default="4G", show_default=True, help="Of all its processes together.")
@click.option("--name", default="", help="What to call it.")
@click.option("--priority", default="", help="A priority class, see `compute priorities`; without: ordinary.")
@click.option("--priority-reason", default="", help="Why, for everybody whom it passes.")
@click.option("--grant", "grant_id", type=click.UUID, help="The compute grant that pays; without: the one that ends first.")
@click.option("--follow", is_flag=True, help="Print its log until it ends; exit as --exit-code of `job show` does.")
@way_options
@json_option
@click.argument("command", nargs=-1, required=True)
def submit_command(
    command: tuple[str, ...],
    email: str | None,
    url: str | None,
    token: str | None,
    flavors: tuple[str, ...],
    variables: tuple[str, ...],
    grant_id: UUID | None,
    *,
    follow: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Submit a job that runs COMMAND, after `--`: one quoted shell text, or words that are quoted for you."""
    _one_form(follow=follow, as_json=as_json, instead="submit with --json, then follow with `job logs ID --follow`")
    jobs = _jobs(email, url, token)
    asked = {name: value for name, value in given.items() if value is not None}
    asked["command"] = command[0] if len(command) == 1 else shlex.join(command)
    asked["environment"] = dict(_variable(text) for text in variables)
    asked["artefacts"] = list(asked["artefacts"])
    asked["flavor"], *asked["alternatives"] = flavors
    try:
        made = jobs.submit(schemas.JobIn(**asked, grant=grant_id))
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}.") from None
    if as_json:
        print_json(made)
    else:
        click.echo(f"Job {made['id']} is queued.", err=follow)
    if follow:
        _follow(jobs, UUID(made["id"]), attempt=None)
        _exit(jobs.show(UUID(made["id"])))


@job.command("list")
@click.option("--project", help="Only this project's jobs.")
@click.option("--status", type=click.Choice([status.value for status in JobStatus]), help="Only jobs in this state.")
@click.option("--idle", is_flag=True, help="Only running jobs that hold devices and do nothing.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@way_options
@json_option
def list_command(email: str | None, url: str | None, token: str | None, *, as_json: bool, **wanted: Any) -> None:
    """List jobs, newest first, each waiting one with its reason and when it probably starts."""
    found = _jobs(email, url, token).list(**wanted)
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
    found = _jobs(email, url, token).show(job_id)
    if as_json:
        print_json(found)
    else:
        _print_job(found)
    if use_exit_code:
        _exit(found)


@job.command("logs")
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
    _one_form(follow=follow, as_json=as_json, instead="ask again with --offset from `next_offset` until it is `complete`")
    jobs = _jobs(email, url, token)
    if as_json:
        part = jobs.log(job_id, attempt=attempt, offset=offset)
        print_json(part)
        if offset < part["next_offset"] < part["total_bytes"]:
            click.echo(f"There is more of it: go on with --offset {part['next_offset']}.", err=True)
    elif follow:
        _follow(jobs, job_id, attempt=attempt, offset=offset)
    else:
        _print_log(jobs, job_id, attempt=attempt, offset=offset)
    if use_exit_code:
        _exit(jobs.show(job_id))


@job.command("cancel")
@click.argument("job_id", type=click.UUID)
@click.option("--reason", default="", help="Why; shown on the job's page.")
@way_options
@json_option
def cancel_command(job_id: UUID, reason: str, email: str | None, url: str | None, token: str | None, *, as_json: bool) -> None:
    """Cancel a job. What it used is charged; a job that has ended keeps its ending."""
    found = _jobs(email, url, token).cancel(job_id, reason=reason)
    if as_json:
        print_json(found)
    elif found["finished"]:
        click.echo(f"Job {job_id} has ended: {_words(found['status'])}.")
    else:
        click.echo(f"Job {job_id} is being stopped.")


@job.command("explain")
@click.argument("job_id", type=click.UUID)
@way_options
@json_option
def explain_command(job_id: UUID, email: str | None, url: str | None, token: str | None, *, as_json: bool) -> None:
    """Explain why a job waits: reason, what has to happen, expected start, and the pools, offers and budget behind it."""
    found = _jobs(email, url, token).explain(job_id)
    if as_json:
        print_json(found)
        return
    if found["status"] != "queued":
        click.echo(f"The job does not wait: it is {_words(found['status'])}.")
        return
    place = f", number {found['place']} in line" if found["place"] else ""
    click.echo("It can start now." if found["would_start_now"] else f"Waiting: {found['reason']}{place}.")
    if found["remedy"] and not found["would_start_now"]:
        click.echo(f"What has to happen: {found['remedy']}.")
        click.echo(f"Expected start: {found['expected']['in_words'] if found['expected'] else UNKNOWN_START}.")
    for name, count in found["passed_by"].items():
        click.echo(f"Go first as “{name}”: {count}.")
    click.echo(f"This reason has held since {found['since'][:19].replace('T', ' ')} UTC.")
    click.echo(
        f"It may use {_needed(found['needed'])}; its grant has "
        f"{found['grant_left_gpu_hours']} left and {found['grant_held_gpu_hours']} held for other jobs.\n"
    )
    print_table(
        [{**row, "fits": _yes(row["fits"]), "trusts": _yes(row["trusts"])} for row in found["pools"]],
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
        {**row, "permits": _yes(row["permits"]), "usable": _yes(row["permits"] and not row["closes_too_soon"])}
        for row in found["offers"]
    ]
    print_table(offers, OFFER_COLUMNS, empty="No donor offers this flavor.")


compute.add_command(weights_command)
compute.add_command(weigh_command)
for quota in (quotas_command, quota_group_command, quota_command):
    compute.add_command(quota)
for command in [*LIMIT_COMMANDS, *PRIORITY_COMMANDS, *WINDOW_COMMANDS]:
    compute.add_command(command)
compute.add_command(pools_command)
compute.add_command(trust_command)
job.add_command(export_history)

commands: list[click.Command] = [job, compute, simulate]
"""What app.py adds to the top level."""


def _jobs(email: str | None, url: str | None, token: str | None) -> Jobs:
    if email is None and url is not None:
        if not token:
            raise click.UsageError(
                "PLEDGEWORKS_URL is set, but no token: set PLEDGEWORKS_TOKEN too, or act locally with --as EMAIL."
            )
        return RemoteJobs(url, token)
    return LocalJobs(email)


def _one_form(*, follow: bool, as_json: bool, instead: str) -> None:
    """A log that is followed is text without an end; a document has one."""
    if follow and as_json:
        raise click.UsageError(f"--follow prints text and --json one document, so they don't go together: {instead}.")


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"“{text}” is not NAME=VALUE.", param_hint="--env")
    return name, value


def _waits(waiting: Document | None) -> dict[str, str]:
    """Two cells of the list; what somebody has to act on has no start."""
    if waiting is None:
        return {"starts": "", "waits": ""}
    expected = waiting["expected"]
    return {"starts": expected["in_short"] if expected else "not known", "waits": waiting["reason"]}


def _print_log(jobs: Jobs, job_id: UUID, *, attempt: int | None, offset: int) -> Document:
    """Print what there is from `offset` on; the last part says where to go on."""
    while True:
        part = jobs.log(job_id, attempt=attempt, offset=offset)
        sys.stdout.write(part["text"])
        if part["next_offset"] == offset:
            sys.stdout.flush()
            return part
        offset = part["next_offset"]


def _follow(jobs: Jobs, job_id: UUID, *, attempt: int | None, offset: int = 0) -> None:
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


def _exit(found: Document) -> None:
    """0 succeeded, 1 the job's own failure, 3 infrastructure, 4 not finished."""
    if not found["finished"]:
        code = NOT_FINISHED
    elif found["status"] == "succeeded":
        code = 0
    else:
        code = INFRASTRUCTURE if found["cause"] == "infrastructure" else REFUSED
    click.get_current_context().exit(code)


def _print_job(found: Document) -> None:
    click.echo(f"Job        {found['id']}  {found['name']}")
    click.echo(f"Project    {found['project']} ({found['kind']})")
    flavors = " or ".join([found["flavor"], *found["alternatives"]])
    click.echo(f"Asks for   {found['gpus']} × {flavors} for {format_seconds(found['wall_seconds'])} at most")
    click.echo(f"Runs       {found['command']}")
    if found["repository"]:
        click.echo(f"Source     {found['repository']} at {found['commit']}")
    if found["priority"]:
        why = f": {found['priority']['reason']}" if found["priority"]["reason"] else ""
        click.echo(f"Priority   {found['priority']['name']}{why}")
    click.echo(f"State      {_words(found['status'])}")
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
        click.echo(f"Attempt {attempt['number']}  {_words(attempt['status'])}{blame} in pool {attempt['pool']}{code}")
        if attempt["chosen_because"]:
            click.echo(f"           On {attempt['flavor']}: {attempt['chosen_because']}")
        if attempt["reason"]:
            click.echo(f"           {attempt['reason']}")
    click.echo(f"Cost       {found['used_reference_gpu_hours']} reference GPU-hours")


def _needed(needed: list[Document]) -> str:
    """`2.000000 reference GPU-hours`, for several flavors one after the other."""
    if len(needed) == 1:
        return f"{needed[0]['reference_gpu_hours']} reference GPU-hours"
    return ", ".join(f"{each['reference_gpu_hours']} on {each['flavor']}" for each in needed) + " reference GPU-hours"


def _words(status: str) -> str:
    return status.replace("_", " ")


def _yes(value: bool) -> str:
    return "yes" if value else "no"
