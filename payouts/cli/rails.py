"""`pledgeworks payouts rail …`, and the trial rail."""

import signal
import sys
from pathlib import Path
from typing import Any

import click

from core.cli import REFUSED, Commands, json_option, print_json, print_table
from core.clock import utc_now
from core.config import Environment, settings
from core.db import session_scope
from core.errors import DomainError, NotFound
from core.identity.models import Role
from payouts import queries, rails
from payouts.cli.shared import acting, actor_option, payouts
from payouts.models import RailSwitch
from payouts.rails.base import CheckedRail, SetupLine
from payouts.rails.fake import address_file
from payouts.rails.fake_server import FakeRailServer
from payouts.services import controls


class NotInProduction(DomainError):
    """The trial rail moves no money and pretends to; it has no place beside real payments."""

    code = "not_in_production"


@payouts.group("rail", cls=Commands)
def rail_group() -> None:
    """Rails: their health, and the kill switch."""


@rail_group.command("list")
@json_option
def list_rails(as_json: bool) -> None:
    """Every rail of this installation."""
    with session_scope() as session:
        switches = queries.switches(session)
    rows = [
        {**_switched(name, switches.get(name)), "title": rail.title, "health": rail.health().message}
        for name, rail in rails.configured().items()
    ]
    if as_json:
        print_json(rows)
        return
    print_table(rows, {"rail": "Rail", "state": "State", "health": "Health", "reason": "Reason"}, empty="There are no rails.")


@rail_group.command("check")
@click.argument("rail")
@click.option("--payee", metavar="KEY=VALUE", multiple=True, help="A payee's details on this rail: could it be paid?")
@json_option
def check_command(rail: str, payee: tuple[str, ...], as_json: bool) -> None:
    """Say what a rail still lacks before money depends on it. Exit code 1 if something does. Moves no money."""
    lacking = rails.missing_settings().get(rail)
    if lacking:
        lines = [SetupLine(False, f"{name} is not set (docs/reference/settings.md).") for name in lacking]
    else:
        found = rails.configured()[_known(rail)]
        details = dict(each.partition("=")[::2] for each in payee)
        checked = found.check_destination(details, "USD").details if details else None
        health = found.health()
        lines = list(found.check_setup(checked) if isinstance(found, CheckedRail) else [SetupLine(health.ok, health.message)])
    words = {True: "ok", False: "missing", None: "look"}
    if as_json:
        print_json([{"state": words[line.ok], "message": line.message} for line in lines])
    else:
        for line in lines:
            click.echo(f"{words[line.ok]:8}{line.message}")
    if any(line.ok is False for line in lines):
        click.get_current_context().exit(REFUSED)


@rail_group.command("stop")
@click.argument("rail")
@click.option("--reason", required=True, help="Why; shown to everybody whose payout waits.")
@actor_option
@json_option
def stop_command(rail: str, reason: str, actor: str, as_json: bool) -> None:
    """Stop a rail: nothing more is reserved or sent on it from now on."""
    with session_scope() as session:
        who = acting(session, actor, Role.FINANCE, Role.PAYOUT_APPROVER)
        described = _switched(rail, controls.stop_rail(session, _known(rail), reason=reason, actor=who, now=utc_now()))
    if as_json:
        print_json(described)
        return
    click.echo(f"The rail {rail} is stopped.")


@rail_group.command("start")
@click.argument("rail")
@click.option("--reason", required=True, help="Why it may run again.")
@actor_option
@json_option
def start_command(rail: str, reason: str, actor: str, as_json: bool) -> None:
    """Let money leave on a rail again."""
    with session_scope() as session:
        who = acting(session, actor, Role.PAYOUT_APPROVER)
        described = _switched(rail, controls.start_rail(session, _known(rail), reason=reason, actor=who, now=utc_now()))
    if as_json:
        print_json(described)
        return
    click.echo(f"The rail {rail} runs.")


@click.command("fake-rail")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="Port on 127.0.0.1; 0 takes a free one."
)
@click.option(
    "--journal", type=click.Path(dir_okay=False, path_type=Path), help="Where it keeps what it did; default: the data folder."
)
def fake_rail(port: int, journal: Path | None) -> None:
    """Run the trial payment service, so that payouts can be tried without real money. Never in production."""
    if settings().pledgeworks_env is Environment.PRODUCTION:
        raise NotInProduction("The trial payment service moves no money; it does not run in production.")
    folder = settings().data_folder
    server = FakeRailServer(journal or folder / "fake-rail.sqlite", port=port)
    address = address_file(folder)
    address.write_text(server.url + "\n")
    click.echo(f"The trial payment service answers at {server.url}.")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how it is meant to end
    finally:
        server.server_close()
        if address.exists() and address.read_text().strip() == server.url:
            address.unlink()


def _known(rail: str) -> str:
    if rail not in rails.configured():
        raise NotFound(f"There is no rail “{rail}”; there are {', '.join(rails.configured())}.")
    return rail


def _switched(rail: str, switch: RailSwitch | None) -> dict[str, Any]:
    """Whether a rail runs. One that was never stopped has no switch yet."""
    stopped = switch is not None and switch.stopped
    return {"rail": rail, "state": "stopped" if stopped else "running", "reason": switch.reason if switch else None}
