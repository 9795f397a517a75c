"""`pledgeworks compute weights` and `weigh`: how large a share of the turns a project gets."""

import click

from compute.queries import shares as share_queries
from compute.queries.named import project_named
from compute.services import shares
from core.cli import json_option, print_json, print_table
from core.clock import utc_now
from core.db import session_scope
from core.identity import people


@click.command("weights")
@json_option
def weights_command(*, as_json: bool) -> None:
    """List the weights that were set; every other project weighs 1."""
    with session_scope() as session:
        rows = [
            {"project": row.project.slug, "weight": row.weight, "reason": row.reason, "since": row.set_at.isoformat()}
            for row in share_queries.all_weights(session)
        ]
    if as_json:
        print_json({"weights": rows})
        return
    columns = {"project": "PROJECT", "weight": "WEIGHT", "since": "SINCE", "reason": "BECAUSE"}
    print_table([{**row, "since": str(row["since"])[:10]} for row in rows], columns, empty="Every project weighs 1.")


@click.command("weigh")
@click.argument("project")
@click.argument("weight", type=int)
@click.option("--reason", required=True, help="Why, for everybody who shares the GPUs.")
@click.option("--as", "email", metavar="EMAIL", required=True, help="Who does this: a programme officer.")
@json_option
def weigh_command(project: str, weight: int, reason: str, email: str, *, as_json: bool) -> None:
    """Set how much PROJECT counts when turns are shared: twice the WEIGHT, twice the share."""
    with session_scope() as session:
        actor = people.acting_person(session, email)
        found = project_named(session, project)
        row = shares.set_weight(session, found, weight, reason=reason, actor=actor, now=utc_now())
        made = {"project": found.slug, "weight": row.weight, "reason": row.reason}
        words = f"{found.name} weighs {row.weight} from the scheduler's next look on."
    if as_json:
        print_json(made)
    else:
        click.echo(words)


WEIGHT_COMMANDS: list[click.Command] = [weights_command, weigh_command]
