"""`pledgeworks compute pools` and `trust`: what there is to run on, and whose code it runs."""

from typing import Any

import click

from compute.models import Trust
from compute.policies.offers import parse_refs
from compute.queries import overview
from compute.services import trust
from core.cli import json_option, print_json, print_table
from core.clock import utc_now
from core.db import session_scope
from core.identity import people


@click.command("pools")
@json_option
def pools_command(*, as_json: bool) -> None:
    """List the pools, and whose code each runs."""
    with session_scope() as session:
        rows: list[dict[str, Any]] = [
            {
                "pool": pool.slug,
                "flavor": pool.flavor.slug,
                "devices": pool.devices,
                "status": pool.status.value,
                "trust": pool.trust.value,
                "reviewed_refs": pool.reviewed_refs,
            }
            for pool in overview.pools(session)
        ]
        shown = [{**row, "reviewed": " ".join(row["reviewed_refs"]) if row["trust"] == "reviewed" else ""} for row in rows]
    if as_json:
        print_json({"pools": rows})
        return
    columns = {
        "pool": "POOL",
        "flavor": "FLAVOR",
        "devices": "DEVICES",
        "status": "STATE",
        "trust": "CODE",
        "reviewed": "REVIEWED",
    }
    print_table(shown, columns, empty="There is no pool.")


@click.command("trust")
@click.argument("pool")
@click.argument("code", type=click.Choice([trust.value for trust in Trust]))
@click.option("--ref", "refs", multiple=True, help="A branch whose code counts as reviewed; repeat for more. Without: as it is.")
@click.option("--reason", required=True, help="Why, for those whose jobs it concerns.")
@click.option("--as", "email", metavar="EMAIL", required=True, help="Who does this: a programme officer.")
@json_option
def trust_command(pool: str, code: str, refs: tuple[str, ...], reason: str, email: str, *, as_json: bool) -> None:
    """Say whose CODE POOL runs: anybody's (open), or reviewed code only."""
    with session_scope() as session:
        actor, found = people.acting_person(session, email), overview.pool_named(session, pool)
        reviewed = parse_refs("\n".join(refs)) if refs else found.reviewed_refs
        trust.set_trust(session, found, Trust(code), reviewed_refs=reviewed, reason=reason, actor=actor, now=utc_now())
        made = {"pool": found.slug, "trust": found.trust.value, "reviewed_refs": found.reviewed_refs}
        words = f"{found.name} takes {'reviewed code only' if found.trust is Trust.REVIEWED else 'everybody’s code'} from now on."
    if as_json:
        print_json(made)
    else:
        click.echo(words)


TRUST_COMMANDS: list[click.Command] = [pools_command, trust_command]
