"""`pledgeworks payouts run …`: prepare, preview, approve, send and compare a run."""

from datetime import datetime, timedelta
from typing import Any

import click
from sqlalchemy.orm import Session

from core.cli import INFRASTRUCTURE, REFUSED, Commands, json_option, print_json, print_table
from core.clock import today, utc_now
from core.db import session_scope
from core.errors import DomainError
from core.identity import second_factor
from core.identity.models import Person, Role
from payouts import queries, rails
from payouts.cli.shared import DAY, acting, actor_option, decimal, line, payouts, say_lines
from payouts.models import Run
from payouts.services import previews, runs, sending
from payouts.services.comparisons import Comparison, compare_with_rails
from payouts.services.engine import Engine

wait_option = click.option(
    "--wait", type=click.IntRange(0, 86_400), metavar="SECONDS", help="Work here, without a worker, at most so long."
)


class ProofNeeded(DomainError):
    """Approving moves money and wants a code of the approver's second factor."""

    code = "proof_needed"
    status = 403


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
        who = acting(session, actor, Role.FINANCE)
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
            problems = sorted({*problems, *(each.refusal for each in said if each.refusal)})
        lines = [
            line(each.payout, first_time=each.first_time, changed=each.changed, payee_gets=decimal(each.price.net),
                 fee_on_top=decimal(each.price.cost), rail_reason=each.payout.rail_reason)
            for each in seen.lines
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
        say_lines(lines)
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
        who = acting(session, actor, Role.PAYOUT_APPROVER)
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
        who = acting(session, actor, Role.FINANCE, Role.PAYOUT_APPROVER)
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
        acting(session, actor, Role.FINANCE, Role.PAYOUT_APPROVER)
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
        described = {**_described(session, known), "lines": [line(payout) for payout in known.payouts]}
    if as_json:
        print_json(described)
        return
    _say(described)
    say_lines(described["lines"])


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
        who = acting(session, actor, Role.FINANCE)
        known = queries.run_by_number(session, number)
        runs.cancel(session, known.id, actor=who, now=utc_now(), reason=reason)
        described = _described(session, known)
    if as_json:
        print_json(described)
        return
    click.echo(f"Run {number} is given up; its payouts are due again.")


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
        described = {**_described(session, known), "lines": [line(payout) for payout in known.payouts]}
    if as_json:
        print_json({**described, "waits_for": waits, "differences": differences, "not_looked_up": unknown})
    else:
        _say(described)
        for sentence in [*waits, *differences, *unknown]:
            click.echo(sentence)
    if differences or unknown:
        click.get_current_context().exit(REFUSED if differences else INFRASTRUCTURE)


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


def _say(described: dict[str, Any]) -> None:
    by_status = ", ".join(f"{count} {status}" for status, count in described["by_status"].items())
    click.echo(
        f"Run {described['run']} is {described['status']}: {by_status or 'no lines'}; "
        f"{described['paid']} of {described['total']} {described['currency']} paid."
    )
