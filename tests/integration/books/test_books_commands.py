"""`pledgeworks books …` does what the pages do."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from core.books import statements
from core.clock import utc_now
from core.config import settings
from core.db import engine, new_id, session_scope
from core.identity.models import Membership, Person, Role
from tests.fakes.bank_statements import IBAN, Ntry, camt

Command = Callable[..., Result]


@pytest.fixture
def pledgeworks(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    from app import main

    monkeypatch.setenv("DATABASE_URL", fresh_database)
    settings.cache_clear()
    engine.cache_clear()
    now = utc_now()
    with session_scope() as session:
        fatima = Person(id=new_id(), email="fatima@example.org", name="Fatima", created_at=now)
        stan = Person(id=new_id(), email="stan@example.org", name="Stan", created_at=now)
        farid = Person(id=new_id(), email="farid@example.org", name="Farid", created_at=now)
        session.add_all([fatima, farid, stan])
        session.flush()
        session.add_all(Membership(person_id=who.id, role=Role.FINANCE, from_on=now.date()) for who in (fatima, farid))
        session.flush()
        statements.add_account(session, name="Main", number=IBAN, currency="USD", actor=fatima, now=now)
    yield lambda *arguments: CliRunner().invoke(main, ["books", *arguments])
    if engine.cache_info().currsize:
        engine().dispose()
    engine.cache_clear()
    settings.cache_clear()


def test_reading_a_statement_and_what_waits(pledgeworks: Command, tmp_path: Path) -> None:
    file = tmp_path / "44.xml"
    file.write_bytes(camt([Ntry("5000.00", "PW-1A2B3C4D5E"), Ntry("7.00", "fee", sign="DBIT")], opening="10.00"))
    result = pledgeworks("import", str(file), "--as", "fatima@example.org", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == [{"statement": "2026-44", "account": "Main", "new": 2, "known": 0, "not_booked": 0}]
    again = pledgeworks("import", str(file), "--as", "fatima@example.org")
    assert again.exit_code == 0
    assert "2026-44" in again.stdout
    lines = json.loads(pledgeworks("lines", "--json").stdout)
    assert [(line["amount"], line["probably"]) for line in lines] == [("5,000.00 USD", "unknown"), ("-7.00 USD", "unknown")]


def test_a_refusal_is_one_sentence_and_an_exit_code(pledgeworks: Command, tmp_path: Path) -> None:
    file = tmp_path / "x.xml"
    file.write_bytes(b"<!DOCTYPE a><a/>")
    refused = pledgeworks("import", str(file), "--as", "fatima@example.org")
    assert (refused.exit_code, "document type" in refused.stderr) == (1, True)
    assert pledgeworks("import", str(file), "--as", "stan@example.org").exit_code == 1
    assert pledgeworks("import", str(file), "--as", "fatima@example.org", "--account", "Other").exit_code == 1
    assert "Every line" in pledgeworks("lines").stdout


def test_a_month_is_reconciled_explained_closed_and_opened(pledgeworks: Command, tmp_path: Path) -> None:
    file = tmp_path / "10.xml"
    file.write_bytes(camt([Ntry("5.00", "a gift", day="2026-10-30")], opening=None))
    me, other = ("--as", "fatima@example.org"), ("--as", "farid@example.org")
    assert pledgeworks("import", str(file), *me).exit_code == 0
    result = pledgeworks("reconcile", "--json")
    assert result.exit_code == 1
    (row,) = json.loads(result.stdout)["differences"]
    assert (row["list"], row["amount"], row["explained"]) == ("missing_here", "5.00 USD", False)
    assert pledgeworks("close", "2026-10", *me).exit_code == 1
    explained = pledgeworks("explain", row["subject"], row["id"], "--text", "Sent back.", *me, "--json")
    known = json.loads(explained.stdout)["explanation"]
    assert pledgeworks("confirm-explanation", known, *me).exit_code == 1
    assert pledgeworks("confirm-explanation", known, *other).exit_code == 0
    assert pledgeworks("reconcile").exit_code == 0
    assert "October 2026 is closed" in pledgeworks("close", "2026-10", *me).stdout
    assert pledgeworks("reopen", "2026-10", *me).exit_code == 1
    assert pledgeworks("reopen", "2026-10", "--reason", "A slip.", *me).exit_code == 0
    assert "open again" in pledgeworks("reopen", "2026-10", *other).stdout
