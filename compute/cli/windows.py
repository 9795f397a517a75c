"""`pledgeworks compute windows`, `plan-window`, `change-window`, `call-off-window`: times at which a pool has fewer GPUs."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click

from compute.models import PoolWindow, WindowKind
from compute.queries import overview
from compute.queries import windows as window_queries
from compute.queries.named import project_named
from compute.rule_schemas import WindowOut
from compute.services import windows
from compute.services.windows import NewWindow
from core.cli import json_option, print_json, print_table
from core.clock import utc_now
from core.db import session_scope
from core.identity import people

COLUMNS = {
    "id": "WINDOW",
    "pool": "POOL",
    "kind": "KIND",
    "gpus": "GPUS",
    "begins_at": "FROM (UTC)",
    "ends_at": "UNTIL (UTC)",
    "project": "FOR",
    "why": "BECAUSE",
}


class _Moment(click.ParamType[datetime]):
    """A moment with its offset, so that nobody has to guess whose clock it is."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"“{value}” is not a moment; write 2026-11-29T10:00Z or 2026-11-29T11:00+01:00.", param, ctx)
        if moment.tzinfo is None:
            self.fail(f"“{value}” says no time zone; write {value}Z for UTC, or an offset such as {value}+01:00.", param, ctx)
        return moment.astimezone(UTC)


_as_officer = click.option("--as", "email", metavar="EMAIL", required=True, help="Who does this: a programme officer.")


@click.command("windows")
@click.option("--pool", "slug", help="Only this pool's.")
@click.option("--past", "with_past", is_flag=True, help="Also those that are over or were called off; needs --pool.")
@json_option
def windows_command(slug: str | None, *, with_past: bool, as_json: bool) -> None:
    """List maintenance, reservations and drains of pools that are to come or going on."""
    if with_past and slug is None:
        raise click.UsageError("--past needs --pool.")
    with session_scope() as session:
        pools = overview.pools(session)
        if slug is not None:
            pools = [overview.pool_named(session, slug)]
        rows = [*window_queries.planned(session, pools, now=utc_now())]
        if with_past:
            rows += window_queries.past(session, pools[0])
        said = [_said(row) for row in rows]
    if as_json:
        print_json({"windows": said})
        return
    lines = [{**row, "begins_at": _short(row["begins_at"]), "ends_at": _short(row["ends_at"])} for row in said]
    print_table(lines, {**COLUMNS, "status": "STATE"} if with_past else COLUMNS, empty="No window is planned.")


@click.command("plan-window")
@click.argument("pool")
@click.option("--kind", type=click.Choice([kind.value for kind in WindowKind]), default="maintenance", show_default=True)
@click.option("--from", "begins_at", type=_Moment(), required=True, help="When it begins, such as 2026-11-29T10:00Z.")
@click.option("--until", "ends_at", type=_Moment(), help="When it ends; a drain has no end.")
@click.option("--gpus", type=click.IntRange(1), help="How many of the pool's devices; without: all.")
@click.option("--project", help="For whom a reservation is (its slug).")
@click.option("--why", required=True, help="A few words that whoever waits because of it reads.")
@_as_officer
@json_option
def plan_window_command(pool: str, email: str, *, as_json: bool, **given: Any) -> None:
    """Plan maintenance, a reservation or a drain of POOL. Jobs that could still run then do not start before it."""
    with session_scope() as session:
        actor = people.acting_person(session, email)
        found = overview.pool_named(session, pool)
        kind = WindowKind(given["kind"])
        row = windows.plan(
            session,
            found,
            NewWindow(
                kind,
                given["begins_at"],
                given["why"],
                given["ends_at"],
                given["gpus"] or (None if kind is WindowKind.DRAIN else found.devices),
                project_named(session, given["project"]) if given["project"] else None,
            ),
            actor=actor,
            now=utc_now(),
        )
        made, words = _said(row), in_words(row)
    _say(made, f"Planned: {words}", as_json=as_json)


@click.command("change-window")
@click.argument("window_id", type=click.UUID, metavar="WINDOW")
@click.option("--from", "begins_at", type=_Moment(), help="When it begins instead.")
@click.option("--until", "ends_at", type=_Moment(), help="When it ends instead.")
@click.option("--gpus", type=click.IntRange(1), help="How many devices instead.")
@click.option("--why", help="Other words.")
@_as_officer
@json_option
def change_window_command(window_id: UUID, email: str, *, as_json: bool, **given: Any) -> None:
    """Change WINDOW; what is not named stays as it is."""
    with session_scope() as session:
        actor = people.acting_person(session, email)
        row = window_queries.get(session, window_id)
        asked = NewWindow(
            row.kind,
            given["begins_at"] or row.begins_at,
            given["why"] or row.why,
            given["ends_at"] or row.ends_at,
            given["gpus"] or row.gpus,
            row.project,
        )
        windows.change(session, row, asked, actor=actor, now=utc_now())
        made, words = _said(row), in_words(row)
    _say(made, f"Changed: {words}", as_json=as_json)


@click.command("call-off-window")
@click.argument("window_id", type=click.UUID, metavar="WINDOW")
@click.option("--reason", required=True, help="Why, for the record.")
@_as_officer
@json_option
def call_off_window_command(window_id: UUID, reason: str, email: str, *, as_json: bool) -> None:
    """Call WINDOW off. Jobs that run in a reservation go on."""
    with session_scope() as session:
        actor = people.acting_person(session, email)
        row = window_queries.get(session, window_id)
        windows.call_off(session, row, reason=reason, actor=actor, now=utc_now())
        made, words = _said(row), in_words(row)
    _say(made, f"Called off: {words}", as_json=as_json)


def in_words(row: PoolWindow) -> str:
    """A window in one line."""
    what = "drains" if row.gpus is None else f"has {row.gpus} taken ({row.kind})"
    whom = f" for {row.project.name}" if row.project else ""
    until = f" until {row.ends_at:%Y-%m-%d %H:%M} UTC" if row.ends_at else " on"
    return f"{row.pool.name} {what}{whom} from {row.begins_at:%Y-%m-%d %H:%M} UTC{until}: {row.why}"


def _said(row: PoolWindow) -> dict[str, Any]:
    return WindowOut.of(row).model_dump(mode="json")


def _say(made: dict[str, Any], words: str, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
    else:
        click.echo(f"{words}\nIt is {made['id']}.")


def _short(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment else ""


WINDOW_COMMANDS: list[click.Command] = [windows_command, plan_window_command, change_window_command, call_off_window_command]
