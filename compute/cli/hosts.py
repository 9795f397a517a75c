"""`pledgeworks compute hosts`, `add-host`, `change-host` and `remove-host`: the machines of a pool."""

from typing import Any

import click

from compute.models import Pool, PoolHost
from compute.queries import hosts as host_queries
from compute.queries import overview
from compute.rule_schemas import HostsOut
from compute.services import hosts
from core.cli import json_option, print_json, print_table
from core.clock import utc_now
from core.db import session_scope
from core.identity import people

actor_option = click.option("--as", "email", metavar="EMAIL", required=True, help="Who does this: a programme officer.")
reason_option = click.option("--reason", required=True, help="Why, for those whose jobs it concerns.")
devices_range = click.IntRange(1, 100_000)


@click.command("hosts")
@click.argument("pool")
@json_option
def hosts_command(pool: str, *, as_json: bool) -> None:
    """List the hosts of POOL; a pool without any is one host."""
    with session_scope() as session:
        found = overview.pool_named(session, pool)
        rows = HostsOut.shown(session, [found]).model_dump(mode="json")["hosts"]
        one = f"{found.name} is one host with {found.devices} devices."
    if as_json:
        print_json({"hosts": rows})
        return
    columns = {"host": "HOST", "devices": "DEVICES", "in_use": "IN USE", "takes": "NEW WORK", "reason": "BECAUSE"}
    print_table([{**row, "takes": "yes" if row["in_service"] else "no"} for row in rows], columns, empty=one)


@click.command("add-host")
@click.argument("pool")
@click.argument("name")
@click.option("--devices", type=devices_range, required=True, help="Its GPUs, or slices.")
@reason_option
@actor_option
@json_option
def add_host_command(pool: str, name: str, devices: int, reason: str, email: str, *, as_json: bool) -> None:
    """Name a machine of POOL. The first is the one that the pool was so far."""
    with session_scope() as session:
        actor, found = people.acting_person(session, email), overview.pool_named(session, pool)
        row = hosts.add(session, found, name=name, devices=devices, reason=reason, actor=actor, now=utc_now())
        _say(found, _row(row), f"Host {row.name} takes work in {found.name} from now on.", as_json=as_json)


@click.command("change-host")
@click.argument("pool")
@click.argument("name")
@click.option("--devices", type=devices_range, help="Its GPUs, or slices. Without: as many as it has.")
@click.option("--in-service/--out-of-service", default=None, help="Whether it takes new work. Without: as it is.")
@reason_option
@actor_option
@json_option
def change_host_command(
    pool: str, name: str, devices: int | None, reason: str, email: str, *, in_service: bool | None, as_json: bool
) -> None:
    """Change a machine of POOL. What runs there goes on."""
    with session_scope() as session:
        actor, found = people.acting_person(session, email), overview.pool_named(session, pool)
        row = host_queries.named(session, found, name)
        hosts.change(
            session,
            row,
            devices=devices,
            in_service=in_service,
            reason=reason,
            actor=actor,
            now=utc_now(),
        )
        words = f"Host {row.name} has {row.devices} devices and {'takes' if row.in_service else 'is out of service: it takes no'}"
        _say(found, _row(row), f"{words} new work.", as_json=as_json)


@click.command("remove-host")
@click.argument("pool")
@click.argument("name")
@reason_option
@actor_option
@json_option
def remove_host_command(pool: str, name: str, reason: str, email: str, *, as_json: bool) -> None:
    """Forget a machine of POOL on which nothing runs."""
    with session_scope() as session:
        actor, found = people.acting_person(session, email), overview.pool_named(session, pool)
        row = host_queries.named(session, found, name)
        gone = _row(row)
        hosts.remove(session, row, reason=reason, actor=actor, now=utc_now())
        _say(found, gone, f"Host {name} is removed from {found.name}.", as_json=as_json)


HOST_COMMANDS = [hosts_command, add_host_command, change_host_command, remove_host_command]


def _row(row: PoolHost) -> dict[str, Any]:
    return {"host": row.name, "devices": row.devices, "in_service": row.in_service, "reason": row.reason}


def _say(pool: Pool, row: dict[str, Any], words: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"pool": pool.slug, "pool_devices": pool.devices, **row})
    else:
        click.echo(words)
