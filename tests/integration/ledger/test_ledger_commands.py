"""`pledgeworks ledger …` and the recurring work, on a database of their own."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ledger_book import FUND, Book, lively
from sqlalchemy import text
from sqlalchemy.orm import Session

from core import ledger
from core.config import settings
from core.db import engine
from core.ledger import tasks as ledger_tasks
from core.ledger.cli import ledger as commands


@pytest.fixture
def empty_installation(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """DATABASE_URL names a migrated database."""
    engine.cache_clear()
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    settings.cache_clear()
    yield
    engine().dispose()
    engine.cache_clear()


@pytest.fixture
def installation(empty_installation: None, now: datetime) -> None:
    """The same with a lively ledger."""
    with Session(engine()) as session:
        lively(session, now)
        session.commit()


@pytest.fixture
def run(installation: None) -> Callable[..., Result]:
    """Run a ledger command."""
    return lambda *arguments, **more: CliRunner().invoke(commands, [str(a) for a in arguments], **more)


def harm(statement: str) -> None:
    """Change something as only a superuser can, with the triggers off."""
    with Session(engine()) as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        assert session.execute(text(statement)).rowcount
        session.commit()


def test_seal_export_and_verify_go_together(run: Callable[..., Result], tmp_path: Path) -> None:
    head = json.loads(run("seal", "--json").stdout)["head"]
    file = tmp_path / "ledger.json"
    assert run("export", "--format", "json", "--output", file).exit_code == 0
    result = run("verify", file, "--public-key", head["public_key"], "--head", f"{head['seal']}:{head['hash']}")
    assert result.exit_code == 0, result.output
    assert "The export is whole and unchanged." in result.output
    report = json.loads(run("verify", file, "--json").stdout)
    assert (report["ok"], report["entries"], report["unsealed_entries"]) == (True, 13, 0)


def test_verify_reads_standard_input(run: Callable[..., Result]) -> None:
    exported = run("export", "--format", "json").stdout
    assert run("verify", "-", input=exported).exit_code == 0


def test_a_changed_file_ends_with_exit_code_1_and_says_where(run: Callable[..., Result], tmp_path: Path) -> None:
    run("seal")
    file = tmp_path / "ledger.json"
    run("export", "--format", "json", "--output", file)
    file.write_text(file.read_text(encoding="utf-8").replace('"amount": 23456}', '"amount": 23457}'), encoding="utf-8")
    result = run("verify", file)
    assert result.exit_code == 1
    assert "entry 2 (“pay-in:2”): It is not what it was when it was sealed." in result.output


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"%PDF-1.7", b"[1]"])
def test_what_is_no_export_is_refused_in_one_sentence(run: Callable[..., Result], tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    result = run("verify", file)
    assert result.exit_code == 1
    assert "not a ledger export" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("option", [["--head", "x"], ["--head", "1:abc"], ["--public-key", "xyz"]])
def test_wrong_use_is_exit_code_2(run: Callable[..., Result], tmp_path: Path, option: list[str]) -> None:
    file = tmp_path / "file"
    file.write_text("{}")
    assert run("verify", file, *option).exit_code == 2


def test_a_file_that_cannot_be_written_is_exit_code_3(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("export", "--format", "beancount", "--output", tmp_path / "missing" / "ledger.beancount")
    assert result.exit_code == 3
    assert "can't be written" in result.stderr


def test_rebuild_finds_and_repairs(run: Callable[..., Result]) -> None:
    assert run("rebuild").exit_code == 0
    harm(f"UPDATE ledger_account SET credits_posted = credits_posted + 5 WHERE code = '{FUND}'")
    found = run("rebuild")
    assert found.exit_code == 1
    assert FUND in found.stdout
    assert run("rebuild", "--repair").exit_code == 0
    assert json.loads(run("rebuild", "--json").stdout)["differences"] == []


def test_an_empty_ledger_has_nothing_to_seal(empty_installation: None) -> None:
    assert "nothing to seal" in CliRunner().invoke(commands, ["seal"]).stdout


def test_the_worker_seals_and_expires(installation: None, now: datetime) -> None:
    with Session(engine()) as session:
        Book(session, now).hold(100, key="short", expires_at=now + timedelta(hours=1))
        session.commit()
    ledger_tasks.expire_holds(now + timedelta(minutes=30))
    ledger_tasks.seal_entries(now)
    ledger_tasks.expire_holds(now + timedelta(hours=1))
    with Session(engine()) as session:
        assert ledger.entry_by_key(session, "expire:short") is not None
        sealed = session.execute(text("SELECT count(*) FROM ledger_sealed_entry")).scalar_one()
        assert sealed == session.execute(text("SELECT count(*) FROM ledger_entry")).scalar_one() - 1


def test_the_nightly_check_fails_loudly_when_a_balance_differs(installation: None, now: datetime) -> None:
    ledger_tasks.check_ledger(now)
    harm(f"UPDATE ledger_account SET credits_posted = credits_posted + 5 WHERE code = '{FUND}'")
    with pytest.raises(ledger_tasks.BalancesDiffer, match="1 of"):
        ledger_tasks.check_ledger(now)
