"""`pledgeworks compute limits`, `limit` and `lift-limit`: how much a project or a person may have running at a time."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from sqlalchemy.orm import Session

from compute.queries import run_limits as limit_queries
from compute.queries.named import project_named
from compute.rule_schemas import RunLimitOut
from compute.scheduling import Limit
from compute.services import run_limits
from compute.services.run_limits import Whose
from core.cli import json_option, print_json, print_table
from core.clock import utc_now
from core.db import session_scope
from core.errors import NotFound
from core.identity import people

F = TypeVar("F", bound=Callable[..., Any])


def _whose_options(function: F) -> F:
    function = click.option("--as", "email", metavar="EMAIL", required=True, help="Who does this: a programme officer.")(function)
    function = click.option("--everybody", is_flag=True, help="Each person who has no limit of their own.")(function)
    function = click.option("--person", metavar="EMAIL", help="A person, in all projects together.")(function)
    return click.option("--project", help="A project (its slug).")(function)


@click.command("limits")
@json_option
def limits_command(*, as_json: bool) -> None:
    """List how much projects and people may have running at a time; who is not named may have what there is."""
    with session_scope() as session:
        rows = [RunLimitOut.of(row).model_dump(mode="json") for row in limit_queries.all_limits(session)]
    if as_json:
        print_json({"limits": rows})
        return
    shown = [{**row, "jobs": row["jobs"] or "any", "gpus": row["gpus"] or "any", "since": str(row["since"])[:10]} for row in rows]
    columns = {"whose": "WHOSE", "jobs": "JOBS", "gpus": "GPUS", "since": "SINCE", "reason": "BECAUSE"}
    print_table(shown, columns, empty="No limit was set: everybody may have running what there is.")


@click.command("limit")
@_whose_options
@click.option("--jobs", type=int, help="Jobs at a time; without: any number.")
@click.option("--gpus", type=int, help="GPUs or slices at a time; without: any number.")
@click.option("--reason", required=True, help="Why, for everybody who has to wait because of it.")
@json_option
def limit_command(
    project: str | None,
    person: str | None,
    email: str,
    jobs: int | None,
    gpus: int | None,
    reason: str,
    *,
    everybody: bool,
    as_json: bool,
) -> None:
    """Set how much a project, a person or everybody may have running at a time. What runs goes on."""
    with session_scope() as session:
        actor = people.acting_person(session, email)
        whose = _whose(session, project, person, everybody=everybody)
        row = run_limits.set_limit(session, whose, Limit(jobs, gpus), reason=reason, actor=actor, now=utc_now())
        made = {"project": project, "person": person, "jobs": row.jobs, "gpus": row.gpus, "reason": row.reason}
        words = f"{row.whose}: jobs {row.jobs or 'any'}, GPUs {row.gpus or 'any'} at a time."
    if as_json:
        print_json(made)
    else:
        click.echo(words)


@click.command("lift-limit")
@_whose_options
@click.option("--reason", required=True, help="Why, for the record.")
@json_option
def lift_limit_command(
    project: str | None, person: str | None, email: str, reason: str, *, everybody: bool, as_json: bool
) -> None:
    """Take a limit away. For a person what holds for everybody holds again."""
    with session_scope() as session:
        actor = people.acting_person(session, email)
        run_limits.lift(session, _whose(session, project, person, everybody=everybody), reason=reason, actor=actor, now=utc_now())
    if as_json:
        print_json({"project": project, "person": person, "lifted": True})
    else:
        click.echo("The limit is lifted.")


def _whose(session: Session, project: str | None, person: str | None, *, everybody: bool) -> Whose:
    if [project is not None, person is not None, everybody].count(True) != 1:
        raise click.UsageError("Name one: --project, --person or --everybody.")
    if project is not None:
        return project_named(session, project)
    if person is None:
        return None
    found = people.by_email(session, person)
    if found is None:
        raise NotFound(f"There is nobody with the address “{person}”.")
    return found


LIMIT_COMMANDS: list[click.Command] = [limits_command, limit_command, lift_limit_command]
