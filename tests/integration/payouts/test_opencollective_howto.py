"""docs/how-to/pay-by-open-collective.md against the fake service: from no settings to the first confirmed payout."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from core.clock import utc_now
from core.config import ROOT, settings
from core.db import engine, session_scope
from core.identity.models import Membership, Role
from core.money import Money
from payouts import cli, rails
from tests.fakes import payouts_world as world

GUIDE = (ROOT / "docs" / "how-to" / "pay-by-open-collective.md").read_text()
Run = Callable[..., Result]


@pytest.fixture
def run(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    settings.cache_clear()
    settings().data_folder.mkdir(parents=True, exist_ok=True)
    engine.cache_clear()

    def invoke(command: str, exit_code: int = 0) -> Result:
        """A command of the guide, with its example values."""
        words = command.removeprefix("pledgeworks payouts ").split()
        result = CliRunner().invoke(cli.payouts, words)
        assert result.exit_code == exit_code, f"{command} → {result.exit_code}\n{result.output}\n{result.exception!r}"
        return result

    yield invoke
    if engine.cache_info().currsize:
        engine().dispose()
    engine.cache_clear()
    settings.cache_clear()


@pytest.fixture
def service(shared: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The stand-ins as the guide starts them, in a process of their own; what they print are the settings."""
    (tmp_path / "opencollective-v2.graphql").symlink_to(shared / "schemas" / "opencollective-v2.graphql")
    command = [sys.executable, "-m", "tests.fakes", str(tmp_path), "--port", "0"]
    fakes = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert fakes.stdout is not None
    printed: list[str] = []
    while not any("what payees and the host do" in line for line in printed):
        printed.append(fakes.stdout.readline())
    words = [word for line in printed for word in line.split() if line.startswith("export ") and "OPENCOLLECTIVE" in word]
    yield {name: value for name, _, value in (word.partition("=") for word in words)}
    fakes.kill()
    fakes.wait()
    fakes.stdout.close()


def commands() -> list[str]:
    return [line.strip() for line in GUIDE.splitlines() if line.startswith("pledgeworks payouts ")]


def test_without_settings_the_check_names_them(run: Run) -> None:
    assert "opencollective" not in rails.configured()
    said = run("pledgeworks payouts rail check opencollective", exit_code=1).output
    assert "PLEDGEWORKS_OPENCOLLECTIVE_TOKEN is not set" in said
    assert "PLEDGEWORKS_OPENCOLLECTIVE_FUND is not set" in said
    assert json.loads(run("pledgeworks payouts rail check manual --json").stdout)[0]["state"] == "ok"


def test_the_guide_leads_to_a_confirmed_payout(run: Run, service: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in service.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    now = utc_now()
    with session_scope() as session:  # what the guide does on the console
        people = world.cast(session, now)
        begun = now.date() - timedelta(days=1)
        people.finance.email, people.approver.email = "finance@example.org", "approver@example.org"
        for person, role in ((people.finance, Role.FINANCE), (people.approver, Role.PAYOUT_APPROVER)):
            session.add(Membership(person_id=person.id, role=role, from_on=begun))
        world.fund(session, Money(10_000_000, "USD"), now=now, cash=world.COLLECTIVE)
        rail = rails.configured()["opencollective"]
        who = world.recipient(session, "Babel", rail=rail, by=people.finance, now=now, details={"collective": "babel"})
        world.owed(session, who, 250_000, by=people.officer, now=now)
    said = [run(command).output for command in commands()]
    assert "“babel” (Babel) can be paid; the host keeps 0 % of a balance transfer." in said[0]
    assert any("1 paid; 2500.00 of 2500.00 USD paid" in each for each in said)
    shown = json.loads(run("pledgeworks payouts run show 1 --json").stdout)
    assert shown["status"] == "done"
    assert shown["lines"][0]["remote_id"].startswith("or_")
