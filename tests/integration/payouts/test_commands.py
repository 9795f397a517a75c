"""`pledgeworks payouts …` does what the console does, by the same services, and says how it went by its exit code."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from core.clock import utc_now
from core.config import settings
from core.db import engine, session_scope
from core.identity import people
from core.identity.models import Membership, Role
from core.money import Money
from core.tasks import TaskRow
from payouts import cli, rails
from payouts.models import Payout
from payouts.rails.fake import address_file
from payouts.rails.fake_server import FakeRailServer
from payouts.services.sending import SendPayout
from tests.fakes import payouts_world as world
from tests.fakes.rail_server import payments, serving

Run = Callable[..., Result]


@pytest.fixture
def installation(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    settings.cache_clear()
    settings().data_folder.mkdir(parents=True, exist_ok=True)
    engine.cache_clear()
    yield
    if engine.cache_info().currsize:
        engine().dispose()
    engine.cache_clear()
    settings.cache_clear()


@pytest.fixture
def trial(installation: None, tmp_path: Path) -> Iterator[FakeRailServer]:
    with serving(tmp_path / "rail.sqlite") as server:
        address_file(settings().data_folder).write_text(server.url)
        now = utc_now()
        with session_scope() as session:
            cast = world.cast(session, now)
            begun = now.date() - timedelta(days=1)
            for person, role in ((cast.finance, Role.FINANCE), (cast.approver, Role.PAYOUT_APPROVER)):
                session.add(Membership(person_id=person.id, role=role, from_on=begun))
            world.fund(session, Money(10_000_000, "USD"), now=now)
            for name, cents in (("Ada", 2_500_000), ("Bob", 180_000)):
                who = world.recipient(session, name, rail=rails.configured()["fake"], by=cast.finance, now=now)
                world.owed(session, who, cents, by=cast.officer, now=now)
        yield server


@pytest.fixture
def run() -> Run:
    def invoke(*arguments: str, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(cli.payouts, arguments)
        assert result.exit_code == exit_code, f"{arguments} → {result.exit_code}\n{result.output}\n{result.exception!r}"
        return result

    return invoke


def parsed(result: Result) -> Any:
    return json.loads(result.stdout)


def test_a_run_from_prepare_to_reconcile(trial: FakeRailServer, run: Run) -> None:
    made = parsed(run("run", "prepare", "--as", "finn@example.org", "--json"))
    assert (made["run"], made["status"], made["lines"], made["total"], made["left_out"]) == (1, "draft", 2, "26800.00", [])
    seen = parsed(run("run", "preview", "1", "--dry-run", "--json"))
    assert (seen["problems"], seen["approvals_needed"], len(seen["lines"])) == ([], 1, 2)
    assert all(line["first_time"] for line in seen["lines"])

    refused = run("run", "approve", "1", "--as", "finn@example.org", exit_code=1)
    assert "needs the role “payout approver”" in refused.stderr
    refused = run("run", "approve", "1", "--hash", "0" * 64, "--as", "petra@example.org", exit_code=1)
    assert "not what you looked at" in refused.stderr
    refused = run("run", "send", "1", "--as", "finn@example.org", exit_code=1)
    assert "can't become sending" in refused.stderr
    assert (
        parsed(run("run", "approve", "1", "--hash", seen["content_hash"], "--as", "petra@example.org", "--json"))["status"]
        == "approved"
    )

    sent = parsed(run("run", "send", "1", "--as", "finn@example.org", "--wait", "20", "--json"))
    assert (sent["status"], sent["by_status"], sent["paid"]) == ("done", {"paid": 2}, "26800.00")
    assert [amount for _, amount in payments(trial)] == [180_000, 2_500_000]
    assert parsed(run("run", "reconcile", "1", "--as", "finn@example.org", "--json"))["differences"] == []
    shown = parsed(run("run", "show", "1", "--json"))
    assert {line["remote_id"] is not None for line in shown["lines"]} == {True}
    assert "26800.00" in run("run", "list").output
    assert [row["status"] for row in parsed(run("list", "--status", "paid", "--json"))] == ["paid", "paid"]


def test_reconcile_finds_a_payment_that_only_the_rail_knows(trial: FakeRailServer, run: Run) -> None:
    run("run", "prepare", "--as", "finn@example.org")
    run("run", "approve", "1", "--as", "petra@example.org")
    run("run", "send", "1", "--as", "finn@example.org", "--wait", "20")
    with trial.journal() as rows:
        rows.execute(
            "INSERT INTO transfer SELECT 'tr_twin', face, reference, amount_minor, currency, account, memo, 0"
            " FROM transfer LIMIT 1"
        )
    found = run("run", "reconcile", "1", "--as", "finn@example.org", "--json", exit_code=1)
    assert "tr_twin" in parsed(found)["differences"][0]


def test_a_rail_that_does_not_answer_is_said_and_is_no_difference(trial: FakeRailServer, run: Run) -> None:
    run("run", "prepare", "--as", "finn@example.org")
    run("run", "approve", "1", "--as", "petra@example.org")
    run("run", "send", "1", "--as", "finn@example.org", "--wait", "20")
    address = address_file(settings().data_folder)
    address.unlink()
    said = run("run", "reconcile", "1", "--as", "finn@example.org", exit_code=3)
    assert said.stdout.count("could not be looked up: The trial payment service is not running") == 2
    found = parsed(run("run", "reconcile", "1", "--as", "finn@example.org", "--json", exit_code=3))
    assert (found["differences"], len(found["not_looked_up"])) == ([], 2)
    address.write_text(trial.url)
    run("run", "reconcile", "1", "--as", "finn@example.org")


def test_reconciling_a_run_that_was_not_sent_lets_nothing_go(trial: FakeRailServer, run: Run) -> None:
    run("run", "prepare", "--as", "finn@example.org")
    run("run", "approve", "1", "--as", "petra@example.org")
    found = parsed(run("run", "reconcile", "1", "--as", "finn@example.org", "--json"))
    assert (found["status"], found["waits_for"], {line["why"] for line in found["lines"]}) == ("approved", [], {None})
    with session_scope() as session:
        assert not any(session.scalars(select(Payout.is_canary)))
        assert session.scalars(select(TaskRow).where(TaskRow.kind == SendPayout.kind)).all() == []
    assert payments(trial) == []


def test_who_left_does_not_act(trial: FakeRailServer, run: Run) -> None:
    with session_scope() as session:
        finn = people.acting_person(session, "finn@example.org")
        people.disable(session, finn, actor=people.acting_person(session, "petra@example.org"), reason="Left", now=utc_now())
    refused = run("run", "prepare", "--as", "Finn@example.org", exit_code=1)
    assert "The account of finn@example.org is closed; another person acts" in refused.stderr
    assert "nobody with the e-mail address" in run("run", "prepare", "--as", "nobody@example.org", exit_code=1).stderr


def test_states_there_are_not_are_named(trial: FakeRailServer, run: Run) -> None:
    assert "'draft', 'approved', 'reserved'" in run("list", "--status", "foo", exit_code=2).stderr


def test_the_kill_switch(trial: FakeRailServer, run: Run) -> None:
    run("run", "prepare", "--as", "finn@example.org")
    stopped = parsed(run("rail", "stop", "fake", "--reason", "Drill", "--as", "finn@example.org", "--json"))
    assert stopped == {"rail": "fake", "state": "stopped", "reason": "Drill"}
    assert {row["rail"]: row["state"] for row in parsed(run("rail", "list", "--json"))}["fake"] == "stopped"
    problems = parsed(run("run", "preview", "1", "--json", exit_code=1))["problems"]
    assert problems == ["The rail “Trial rail (no real money)” is stopped: Drill"]
    run("rail", "start", "fake", "--reason", "Drill over", "--as", "finn@example.org", exit_code=1)
    started = parsed(run("rail", "start", "fake", "--reason", "Drill over", "--as", "petra@example.org", "--json"))
    assert started == {"rail": "fake", "state": "running", "reason": "Drill over"}
    run("rail", "stop", "nowhere", "--reason", "x", "--as", "finn@example.org", exit_code=1)


def test_a_run_is_given_up(trial: FakeRailServer, run: Run) -> None:
    run("run", "prepare", "--as", "finn@example.org")
    given_up = parsed(run("run", "cancel", "1", "--reason", "Wrong month", "--as", "finn@example.org", "--json"))
    assert (given_up["run"], given_up["status"], given_up["lines"]) == (1, "cancelled", 0)
    assert parsed(run("run", "show", "1", "--json"))["status"] == "cancelled"
    run("run", "prepare", "--as", "finn@example.org", "--currency", "EUR", exit_code=1)
    run("run", "show", "99", exit_code=1)
    run("run", "prepare", "--as", "nobody@example.org", exit_code=1)


def test_the_trial_rail_stays_out_of_production(installation: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEDGEWORKS_ENV", "production")
    settings.cache_clear()
    assert "fake" not in rails.configured()
    refused = CliRunner().invoke(cli.rails.fake_rail)
    assert isinstance(refused.exception, cli.rails.NotInProduction)
