"""`pledgeworks compute priorities`, `set-priority` and `prioritise`: named reasons to go first, or last."""

from uuid import UUID

import click

from compute.models import PriorityUse
from compute.queries import jobs
from compute.queries import priorities as priority_queries
from compute.rule_schemas import PriorityOut
from compute.services import priorities
from compute.services.priorities import NewClass
from core.cli import json_option, print_json, print_table
from core.clock import utc_now
from core.db import session_scope
from core.identity import people
from core.units import ticks_from_gpu_hours

_as_officer = click.option("--as", "email", metavar="EMAIL", required=True, help="Who does this: a programme officer.")


@click.command("priorities")
@json_option
def priorities_command(*, as_json: bool) -> None:
    """List the priority classes, the highest rank first; an ordinary job has none and rank 0."""
    with session_scope() as session:
        rows = [PriorityOut.of(row).model_dump(mode="json", by_alias=True) for row in priority_queries.classes(session)]
    if as_json:
        print_json({"priorities": rows})
        return
    columns = {"priority": "PRIORITY", "name": "NAME", "rank": "RANK", "for": "FOR", "month_gpu_hours": "GPU-HOURS A MONTH"}
    shown = [{**row, "month_gpu_hours": row["month_gpu_hours"] or "any"} for row in rows if row["open"]]
    print_table(shown, columns, empty="There is no priority: every job is ordinary.")


@click.command("set-priority")
@click.argument("slug")
@click.option("--name", required=True, help="What it is called, such as Release.")
@click.option("--rank", type=int, required=True, help="Above 0 goes before ordinary jobs, below 0 after them.")
@click.option("--for", "use", type=click.Choice([use.value for use in PriorityUse]), default="everybody", show_default=True)
@click.option("--needs-reason", is_flag=True, help="Each job has to say why.")
@click.option("--month-hours", type=click.IntRange(1), help="What a project may use in a month; without: any.")
@click.option("--closed", is_flag=True, help="Jobs get it no more; those that have it keep it.")
@_as_officer
@json_option
def set_priority_command(
    slug: str,
    name: str,
    rank: int,
    use: str,
    month_hours: int | None,
    email: str,
    *,
    needs_reason: bool,
    closed: bool,
    as_json: bool,
) -> None:
    """Name the priority class SLUG, or say anew what holds for it."""
    with session_scope() as session:
        actor = people.acting_person(session, email)
        ticks = ticks_from_gpu_hours(month_hours) if month_hours is not None else None
        new = NewClass(slug, name, rank, PriorityUse(use), needs_reason, ticks, is_open=not closed)
        row = priorities.set_class(session, new, actor=actor, now=utc_now())
        made = {"priority": row.slug, "name": row.name, "rank": row.rank, "for": str(row.use), "open": row.is_open}
        words = f"“{row.name}” has rank {row.rank} and is for {row.use}."
    if as_json:
        print_json(made)
    else:
        click.echo(words)


@click.command("prioritise")
@click.argument("job_id", type=click.UUID, metavar="JOB")
@click.argument("priority")
@click.option("--reason", required=True, help="Why, for everybody whom it passes.")
@_as_officer
@json_option
def prioritise_command(job_id: UUID, priority: str, reason: str, email: str, *, as_json: bool) -> None:
    """Give the waiting JOB a PRIORITY, or make it “ordinary” again."""
    with session_scope() as session:
        actor = people.acting_person(session, email)
        priorities.give(session, jobs.get(session, job_id), priority, reason=reason, actor=actor, now=utc_now())
    if as_json:
        print_json({"job": str(job_id), "priority": priority, "reason": reason})
    else:
        click.echo(f"The job is {priority}.")


PRIORITY_COMMANDS: list[click.Command] = [priorities_command, set_priority_command, prioritise_command]
