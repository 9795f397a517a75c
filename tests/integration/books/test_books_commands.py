"""`pledgeworks books …` does what the pages do."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from core import ledger
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


def test_a_fee_is_proposed_and_confirmed_by_two(pledgeworks: Command, tmp_path: Path) -> None:
    file = tmp_path / "11.xml"
    fees = [Ntry(amount, f"charges {amount}", sign="DBIT", day="2026-11-03") for amount in ("500.00", "600.00", "5.00")]
    file.write_bytes(camt(fees, opening=None))
    me, other = ("--as", "fatima@example.org"), ("--as", "farid@example.org")
    assert pledgeworks("import", str(file), *me).exit_code == 0
    with session_scope() as session:
        ledger.ensure_account(session, "assets:bank:usd", "USD", normal=ledger.Side.DEBIT, guard=ledger.Guard.DEBIT)
        ledger.ensure_account(session, "equity:test", "USD", normal=ledger.Side.CREDIT)
        leg = ledger.Leg(debit="assets:bank:usd", credit="equity:test", amount=9_000_00)
        ledger.post(session, key="cash", kind="test", legs=[leg], at=utc_now())
    large, larger, small = (line["line"] for line in json.loads(pledgeworks("lines", "--json").stdout))
    assert "Booked" in pledgeworks("fee", small, "--note", "Fee", *me).stdout
    assert "Another person confirms it" in pledgeworks("fee", large, "--note", "Fee", *me).stdout
    assert pledgeworks("fee", larger, "--note", "Fee", *me).exit_code == 0
    kept, wrong = json.loads(pledgeworks("bookings", "--json").stdout)
    assert (kept["line"], kept["amount"], kept["proposed_by"]) == (large, "-500.00 USD", "Fatima")
    assert json.loads(pledgeworks("lines", "--json").stdout) == [], "what waits for a second person is dealt with"
    assert "another person" in pledgeworks("confirm-booking", kept["booking"], *me).stderr
    assert json.loads(pledgeworks("confirm-booking", kept["booking"], *other, "--json").stdout)["entry"]
    assert pledgeworks("decline-booking", wrong["booking"], *other).exit_code == 2
    assert pledgeworks("decline-booking", wrong["booking"], "--reason", "No fee.", *other).exit_code == 0
    assert "No booking waits" in pledgeworks("bookings").stdout
    assert pledgeworks("send-back", larger, "--from", "liabilities:unassigned:usd:x", "--note", "n", *me).exit_code == 1


def test_one_line_is_the_sum_of_several(pledgeworks: Command, tmp_path: Path) -> None:
    file = tmp_path / "11.xml"
    file.write_bytes(camt([Ntry("309.00", "GITHUB 4711", sign="DBIT", day="2026-11-03")], opening=None))
    me, other = ("--as", "fatima@example.org"), ("--as", "farid@example.org")
    assert pledgeworks("import", str(file), *me).exit_code == 0
    with session_scope() as session:
        ledger.ensure_account(session, "assets:bank:usd", "USD", normal=ledger.Side.DEBIT, guard=ledger.Guard.DEBIT)
        ledger.ensure_account(session, "equity:test", "USD", normal=ledger.Side.DEBIT)
        cash, bank, now = "equity:test", "assets:bank:usd", utc_now()
        ledger.post(session, key="cash", kind="t", legs=[ledger.Leg(debit=bank, credit=cash, amount=900_00)], at=now)
        for cents, name in ((100_00, "ada"), (200_00, "grace")):
            leg = ledger.Leg(debit=cash, credit=bank, amount=cents)
            ledger.post(session, key=name, kind="t", legs=[leg], at=now, memo=f"GitHub {name}")
    (line,) = (each["line"] for each in json.loads(pledgeworks("lines", "--json").stdout))
    listed = json.loads(pledgeworks("sum", line, "--containing", "github", "--json").stdout)
    assert [each["amount"] for each in listed] == ["100.00 USD", "200.00 USD"]
    assert pledgeworks("sum", line, "--until", "2026-01-01").stdout.startswith("No payment")
    assert pledgeworks("sum", line, "--all", "--note", "n").exit_code == 2
    assert pledgeworks("sum", line, "--all", *me).exit_code == 2
    assert "Proposed" in pledgeworks("sum", line, "--all", "--note", "Invoice 4711", *me).stdout
    (waits,) = json.loads(pledgeworks("bookings", "--json").stdout)
    assert (waits["deed"], waits["amount"]) == ("several", "-309.00 USD")
    assert pledgeworks("confirm-booking", waits["booking"], *other).exit_code == 0


def test_the_limit_is_a_dated_table(pledgeworks: Command) -> None:
    rows = json.loads(pledgeworks("limit", "list", "--json").stdout)
    assert [(row["currency"], row["amount"]) for row in rows] == [("EUR", "100.00 EUR"), ("USD", "100.00 USD")]
    day = (utc_now().date() + timedelta(days=1)).isoformat()
    add = ("limit", "add", "250", "--from", day, "--source", "Board", "--as")
    assert pledgeworks(*add, "farid@example.org").exit_code == 1, "finance is bound by it"
    with session_scope() as session:
        stan = session.query(Person).filter_by(name="Stan").one()
        session.add(Membership(person_id=stan.id, role=Role.PAYOUT_APPROVER, from_on=utc_now().date()))
    assert "up to 250.00 USD in 30 days" in pledgeworks(*add, "stan@example.org").stdout
    assert "Board" in pledgeworks("limit", "list").stdout
