"""`pledgeworks payouts …`: the console's services from the command line, and the trial rail."""

import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from core.cli import INFRASTRUCTURE, REFUSED, Commands, json_option, print_json, print_table
from core.clock import today, utc_now
from core.config import Environment, settings
from core.db import session_scope
from core.errors import DomainError, NotFound
from core.identity import access, people, second_factor
from core.identity.models import Person, Role
from core.money import Money
from payouts import queries, rails
from payouts.models import Payout, PayoutStatus, RailSwitch, Run
from payouts.rails.base import CheckedRail, SetupLine
from payouts.rails.fake import address_file
from payouts.rails.fake_server import FakeRailServer
from payouts.services import controls, notices, previews, runs, sending
from payouts.services.comparisons import Comparison, compare_with_rails
from payouts.services.engine import Engine

DAY = click.DateTime(["%Y-%m-%d"])
actor_option = click.option("--as", "actor", metavar="EMAIL", required=True, help="Who does this; must have the role for it.")
wait_option = click.option(
    "--wait", type=click.IntRange(0, 86_400), metavar="SECONDS", help="Work here, without a worker, at most so long."
)


class NotInProduction(DomainError):
    """The trial rail moves no money and pretends to; it has no place beside real payments."""

    code = "not_in_production"


class ProofNeeded(DomainError):
    """Approving moves money and wants a code of the approver's second factor."""

    code = "proof_needed"
    status = 403


@click.group("payouts", cls=Commands)
def payouts() -> None:
    """Payouts: runs with four eyes, rails and their kill switch."""


@payouts.group("run", cls=Commands)
def run() -> None:
    """Runs: prepare, preview, approve, send, reconcile. RUN is its number."""


@run.command("prepare")
@click.option("--currency", default="USD", show_default=True, help="ISO 4217 code; a run has one currency.")
@click.option("--due-by", type=DAY, help="Take what is due by this day. Default: today, in UTC.")
@click.option("--rail", help="Only payouts that go on this rail.")
@actor_option
@json_option
def prepare_command(currency: str, due_by: datetime | None, rail: str | None, actor: str, as_json: bool) -> None:
    """Put everything that is due and ready into a new run, and say what is not ready."""
    with session_scope() as session:
        who = _actor(session, actor, Role.FINANCE)
        made, unready = runs.prepare(
            session,
            currency=currency.upper(),
            due_by=due_by.date() if due_by else today(),
            preparer=who,
            rails=rails.configured(),
            now=utc_now(),
            rail=rail,
        )
        described = _described(session, made)
        left_out = [
            {"payout": each.payout.id, "recipient": each.payout.recipient.name, "reason": each.reason} for each in unready
        ]
    if as_json:
        print_json({**described, "left_out": left_out})
        return
    _say(described)
    for each in left_out:
        click.echo(f"Left out: {each['reason']}")
    click.echo(f"Next: another person runs `pledgeworks payouts run preview {described['run']}` and approves it.")


@run.command("preview")
@click.argument("number", metavar="RUN", type=int)
@click.option("--dry-run", is_flag=True, help="Also reserve every line with the engine's own code, and undo it.")
@json_option
def preview_command(number: int, dry_run: bool, as_json: bool) -> None:
    """Show every line, the content hash, limits, and what stands in the way. Exit code 1 if something does."""
    with session_scope() as session:
        known = queries.run_by_number(session, number)
        seen = previews.preview(session, known.id, rails=rails.configured(), now=utc_now())
        problems = list(seen.problems)
        if dry_run:
            said = previews.dry_run(session, known.id, rails=rails.configured(), now=utc_now())
            problems = sorted({*problems, *(line.refusal for line in said if line.refusal)})
        lines = [
            _line(line.payout, first_time=line.first_time, changed=line.changed, payee_gets=_decimal(line.price.net),
                  fee_on_top=_decimal(line.price.cost), rail_reason=line.payout.rail_reason)
            for line in seen.lines
        ]  # fmt: skip
        described = {
            **_described(session, known),
            "content_hash": seen.content_hash,
            "approvals_needed": seen.approvals_needed,
            "approvals_given": seen.approvals_given,
            "payees_get": str(seen.net.decimal),
            "payees_get_unknown_for": seen.net_unknown,
            "fees_on_top": str(seen.cost.decimal),
            "limits": [{"limit": usage.what, "allowed": str(usage.limit), "used": str(usage.used), "wanted": str(usage.wanted)}
                       for usage in seen.limits],
            "paid_from": [{"account": each.account, "wanted": str(each.wanted), "free": str(each.available)}
                          for each in seen.cash],
            "problems": problems,
            "lines": lines,
        }  # fmt: skip
    if as_json:
        print_json(described)
    else:
        _say(described)
        _say_lines(lines)
        click.echo(f"Content hash {seen.content_hash}; {seen.approvals_given} of {seen.approvals_needed} approvals given.")
        for problem in problems:
            click.echo(f"Problem: {problem}")
    if problems:
        click.get_current_context().exit(REFUSED)


@run.command("approve")
@click.argument("number", metavar="RUN", type=int)
@click.option("--hash", "seen_hash", help="The content hash you looked at; refused if the run holds something else by now.")
@click.option("--code", help="A code of your second factor, if you have set one up; in production you must.")
@actor_option
@json_option
def approve_command(number: int, seen_hash: str | None, code: str | None, actor: str, as_json: bool) -> None:
    """Approve exactly what the run holds. Never by the person who prepared it or asked for one of its payouts."""
    with session_scope() as session:
        who = _actor(session, actor, Role.PAYOUT_APPROVER)
        _prove(session, who, code)
        known = queries.run_by_number(session, number)
        approved = runs.approve(session, known.id, approver=who, seen_hash=seen_hash or known.content_hash, now=utc_now())
        described = {**_described(session, approved), "content_hash": approved.content_hash}
    if as_json:
        print_json(described)
        return
    _say(described)
    more = "It can be sent." if described["status"] == "approved" else "It needs another approver."
    click.echo(f"You approved {approved.content_hash}. {more}")


@run.command("send")
@click.argument("number", metavar="RUN", type=int)
@actor_option
@wait_option
@json_option
def send_command(number: int, actor: str, wait: int | None, as_json: bool) -> None:
    """Let an approved run go: the first payout of each automatic rail alone, then the others."""
    with session_scope() as session:
        who = _actor(session, actor, Role.FINANCE, Role.PAYOUT_APPROVER)
        known = queries.run_by_number(session, number)
        sending.send(session, known.id, sender=who, rails=rails.configured(), now=utc_now())
    _finish(number, wait, as_json)


@run.command("reconcile")
@click.argument("number", metavar="RUN", type=int)
@actor_option
@wait_option
@json_option
def reconcile_command(number: int, actor: str, wait: int | None, as_json: bool) -> None:
    """Carry every line as far as machines can, then look each up at its rail.

    Exit code 1 if rail and ledger differ; 3 if they don't, as far as is known, and a line could not be looked up.
    """
    with session_scope() as session:
        _actor(session, actor, Role.FINANCE, Role.PAYOUT_APPROVER)
        known = queries.run_by_number(session, number)
        sending.look_after(session, known.id, rails=rails.configured(), now=utc_now())
    _finish(number, wait or 0, as_json, compare=True)


@run.command("show")
@click.argument("number", metavar="RUN", type=int)
@json_option
def show_command(number: int, as_json: bool) -> None:
    """The statement of a run: each line with its state, its reference and what the rail calls it."""
    with session_scope() as session:
        known = queries.run(session, queries.run_by_number(session, number).id)
        described = {**_described(session, known), "lines": [_line(payout) for payout in known.payouts]}
    if as_json:
        print_json(described)
        return
    _say(described)
    _say_lines(described["lines"])


@run.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Every run, newest first."""
    with session_scope() as session:
        rows = [_described(session, each) for each in session.scalars(queries.runs().order_by(Run.number.desc()).limit(200))]
    if as_json:
        print_json(rows)
        return
    columns = {"run": "Run", "status": "Status", "lines": "Lines", "total": "Total", "paid": "Paid", "prepared_by": "Prepared by"}
    print_table(rows, columns, empty="There are no runs yet; `pledgeworks payouts run prepare` makes one.")


@run.command("cancel")
@click.argument("number", metavar="RUN", type=int)
@click.option("--reason", required=True)
@actor_option
@json_option
def cancel_command(number: int, reason: str, actor: str, as_json: bool) -> None:
    """Give a run up before it is sent; its payouts are due again."""
    with session_scope() as session:
        who = _actor(session, actor, Role.FINANCE)
        known = queries.run_by_number(session, number)
        runs.cancel(session, known.id, actor=who, now=utc_now(), reason=reason)
        described = _described(session, known)
    if as_json:
        print_json(described)
        return
    click.echo(f"Run {number} is given up; its payouts are due again.")


@payouts.command("list")
@click.option("--status", type=click.Choice([status.value for status in PayoutStatus]), help="Only payouts in this state.")
@click.option("--due-by", type=DAY, help="Only those due by this day.")
@json_option
def list_payouts(status: str | None, due_by: datetime | None, as_json: bool) -> None:
    """What is owed and what became of it, by due date (at most 500)."""
    with session_scope() as session:
        wanted = queries.Filter(status=PayoutStatus(status) if status else None, due_by=due_by.date() if due_by else None)
        query = queries.payouts(wanted)
        rows = [_line(each) for each in session.scalars(query.order_by(Payout.due_on, Payout.id).limit(500))]
    if as_json:
        print_json(rows)
        return
    _say_lines(rows)


@payouts.command("notices")
@click.option("--take", is_flag=True, help="They count as taken by a mailer from now on, and are not listed again.")
@json_option
def list_notices(take: bool, as_json: bool) -> None:
    """Changed payment details that payees must hear of and no mail went about; a mailer of yours can take them from here."""
    with session_scope() as session:
        rows = [
            {
                "notice": each.id,
                "to": each.address,
                "recipient": each.recipient.name,
                "message": each.message,
                "at": each.created_at,
            }
            for each in notices.export(session, take=take, now=utc_now())
        ]
    if as_json:
        print_json(rows)
        return
    columns = {"at": "At", "to": "To", "recipient": "Recipient", "message": "Message"}
    print_table(rows, columns, empty="No notice waits for a mailer.")


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
        who = _actor(session, actor, Role.FINANCE, Role.PAYOUT_APPROVER)
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
        who = _actor(session, actor, Role.PAYOUT_APPROVER)
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


def _finish(number: int, wait: int | None, as_json: bool, *, compare: bool = False) -> None:
    """Work in the foreground if asked to, then say where the run stands."""
    waits: list[str] = []
    compared = Comparison()
    with session_scope() as session:
        run_id = queries.run_by_number(session, number).id
    if wait is not None:
        outcomes = Engine(rails=rails.configured()).carry_on(run_id, wait=timedelta(seconds=wait))
        waits = sorted({outcome.reason for outcome in outcomes})
    if compare:
        compared = compare_with_rails(session_scope, run_id, rails=rails.configured(), now=utc_now())
    differences, unknown = ([note.message for note in notes] for notes in (compared.differences, compared.not_looked_up))
    with session_scope() as session:
        known = queries.run(session, run_id)
        described = {**_described(session, known), "lines": [_line(payout) for payout in known.payouts]}
    if as_json:
        print_json({**described, "waits_for": waits, "differences": differences, "not_looked_up": unknown})
    else:
        _say(described)
        for sentence in [*waits, *differences, *unknown]:
            click.echo(sentence)
    if differences or unknown:
        click.get_current_context().exit(REFUSED if differences else INFRASTRUCTURE)


def _actor(session: Session, email: str, *roles: Role) -> Person:
    """The person who acts, if it has one of the roles.

    Raises:
        NotFound: there is no such person.
        NotAllowed: its account is closed, or it lacks the role.
    """
    person = people.acting_person(session, email)
    if not any(access.has_role(session, person, role, on=today()) for role in roles):
        access.refuse(roles)
    return person


def _prove(session: Session, person: Person, code: str | None) -> None:
    """Who set up a second factor uses it here too; production wants one of everybody.

    In development a person without one is taken at its word: whoever may start this command could do anything else as well.
    """
    match second_factor.way_for(person):
        case second_factor.Way.CODE:
            if not code:
                raise ProofNeeded("Approving needs a code of your second factor: --code 123456.")
            second_factor.use_code(session, person, code, now=utc_now())
        case second_factor.Way.ENROL:
            raise ProofNeeded("Set up a second factor first, under Account → Second factor.")


def _known(rail: str) -> str:
    if rail not in rails.configured():
        raise NotFound(f"There is no rail “{rail}”; there are {', '.join(rails.configured())}.")
    return rail


def _switched(rail: str, switch: RailSwitch | None) -> dict[str, Any]:
    """Whether a rail runs. One that was never stopped has no switch yet."""
    stopped = switch is not None and switch.stopped
    return {"rail": rail, "state": "stopped" if stopped else "running", "reason": switch.reason if switch else None}


def _described(session: Session, known: Run) -> dict[str, Any]:
    totals = queries.run_totals(session, known)
    return {
        "run": known.number,
        "id": known.id,
        "status": known.status.value,
        "currency": known.currency,
        "content_hash": known.content_hash,
        "lines": totals.lines,
        "total": str(totals.total.decimal),
        "paid": str(totals.paid.decimal),
        "by_status": {status.value: count for status, count in totals.by_status.items()},
        "prepared_by": known.prepared_by.email,
        "prepared_at": known.prepared_at,
    }


def _line(payout: Payout, **more: object) -> dict[str, Any]:
    attempt = payout.attempts[-1] if payout.attempts else None
    return {
        "payout": payout.id,
        "obligation": payout.obligation,
        "recipient": payout.recipient.name,
        "amount": str(payout.money.decimal),
        "currency": payout.currency,
        "rail": payout.rail,
        "destination": payout.destination.label if payout.destination else None,
        "due_on": payout.due_on,
        "status": payout.status.value,
        "attempt": attempt.state.value if attempt else None,
        "reference": attempt.idem_key if attempt else None,
        "remote_id": attempt.remote_id if attempt else None,
        "why": payout.blocked_reason or (attempt.detail if attempt else None),
        **more,
    }


def _decimal(money: Money | None) -> str | None:
    """None: it is not known beforehand."""
    return None if money is None else str(money.decimal)


def _say(described: dict[str, Any]) -> None:
    by_status = ", ".join(f"{count} {status}" for status, count in described["by_status"].items())
    click.echo(
        f"Run {described['run']} is {described['status']}: {by_status or 'no lines'}; "
        f"{described['paid']} of {described['total']} {described['currency']} paid."
    )


def _say_lines(lines: list[dict[str, Any]]) -> None:
    columns = {"recipient": "Recipient", "amount": "Amount", "currency": "", "rail": "Rail", "destination": "Destination",
               "due_on": "Due", "status": "Status", "remote_id": "Rail's id", "why": "Why"}  # fmt: skip
    print_table(lines, columns, empty="There are no payouts.")


commands: list[click.Command] = [payouts, fake_rail]
"""What app.py adds to the top level."""
