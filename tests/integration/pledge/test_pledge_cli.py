"""`pledgeworks pledge …` on an installation that `db upgrade` made."""

import csv
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

Command = Callable[..., Result]


@pytest.fixture
def pledgeworks(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Runs a command on an empty installation of its own."""
    from app import main
    from core.config import settings
    from core.db import engine

    monkeypatch.setenv("DATABASE_URL", fresh_database)
    settings.cache_clear()
    engine.cache_clear()
    yield lambda *arguments: CliRunner().invoke(main, ["pledge", *arguments])
    if engine.cache_info().currsize:
        engine().dispose()  # this database's connections only: the test run's server goes on
    engine.cache_clear()
    settings.cache_clear()


def read(result: Result) -> dict:  # type: ignore[type-arg]
    assert result.exit_code == 0, result.output
    answer: dict = json.loads(result.stdout)  # type: ignore[type-arg]
    return answer


def test_an_empty_installation_has_zeros(pledgeworks: Command) -> None:
    found = read(pledgeworks("totals", "--on", "2026-08-15"))
    assert (found["members"], found["reports"], found["renewal"], found["per_year"]) == (0, 0, {}, {})
    assert found["usd_all_time"] == {"all": "0.00", "active": "0.00"}


@pytest.mark.needs_shared
def test_the_published_files_give_the_published_totals(pledgeworks: Command, shared: Path) -> None:
    members, reports = str(shared / "data" / "osp-members"), str(shared / "data" / "osp_reports.csv")
    assert "7 members: 7 new" in pledgeworks("import", members).output
    assert "41 members: 34 new, 0 changed, 7 unchanged" in pledgeworks("import", reports).output
    assert "41 members: 0 new, 0 changed, 41 unchanged" in pledgeworks("import", members, reports).output
    found = read(pledgeworks("totals", "--on", "2026-08-15"))
    assert (found["members"], found["active"], found["reports"], found["meeting_minimum"]) == (41, 37, 79, 79)
    assert found["usd_all_time"] == {"all": "7270139.34", "active": "7164231.34"}
    assert found["usd_rolling_year"] == {"active": "3698830.00"}
    assert len(found["renewal"]) == 37
    source = (shared / "data" / "osp-members" / "sentry.json").read_text(encoding="utf-8")
    assert pledgeworks("export", "sentry").output == source.rstrip() + "\n"
    past = read(pledgeworks("export", "sentry", "--form", "past"))
    assert (past["urlLearnMore"], past["annualReports"][-1]["payments"]) == ("https://open.sentry.io/", 155000)


@pytest.mark.parametrize(
    ("developers", "paid", "code", "says"),
    [
        ("75", "155000", 0, "Met: 155,000.00 USD for 75 developers (about 2,067 USD per developer)"),
        ("14", "28,000.00", 0, "required 28,000.00 USD, 0.00 USD more"),
        ("14", "27999.99", 1, "(about 2,000 USD per developer); required 28,000.00 USD, short by 0.01 USD"),
        ("0", "5000", 0, "no developers on staff"),
        ("many", "5000", 2, "not a number of developers"),
        ("14", "-5", 2, "can't be negative"),
        ("14", "12.345", 2, "too fine"),
    ],
)  # fmt: skip
def test_check_answers_by_its_exit_code(pledgeworks: Command, developers: str, paid: str, code: int, says: str) -> None:
    result = pledgeworks("check", "--developers", developers, "--paid", paid)
    assert result.exit_code == code, result.output
    assert says in result.output


@pytest.mark.needs_shared
def test_every_acceptance_example_of_the_pledge_holds(pledgeworks: Command, shared: Path) -> None:
    """The examples name developers and dollars in their first words; the JSON has what is expected of them."""
    with (shared / "data" / "acceptance_examples.csv").open(encoding="utf-8") as rows:
        examples = {row["id"]: row for row in csv.DictReader(rows) if row["group"] == "pledge" and row["id"] <= "AE-009"}
    given = {
        "AE-001": ("75", "155000"), "AE-002": ("130", "260280"), "AE-003": ("135", "500000"), "AE-004": ("129", "750000"),
        "AE-006": ("14", "30000"), "AE-007": ("14", "28000.00"), "AE-008": ("14", "27999.99"), "AE-009": ("0", "5000"),
    }  # fmt: skip
    assert examples.keys() == given.keys()
    answers = {}
    for name, (developers, paid) in given.items():
        result = pledgeworks("check", "--developers", developers, "--paid", paid, "--json")
        answers[name] = json.loads(result.stdout)
        assert (result.exit_code == 0) is answers[name]["met"]
    wanted = {
        name: (row["expected"].startswith("not met") is False, *[f"${a['per_developer']}", f"${a['per_developer_shown']}"])
        for name, row in examples.items()
        for a in [answers[name]]
    }
    for name, (met, exact, shown) in wanted.items():
        expected = examples[name]["expected"].replace(",", "")
        assert answers[name]["met"] is met, name
        if name in {"AE-001", "AE-002", "AE-003", "AE-004"}:
            assert exact in expected, name
            assert f"shown as {shown}" in expected, name
            assert f"margin ${int(float(answers[name]['margin']))}" in expected, name
    assert answers["AE-006"]["per_developer"] == "2142.86"
    assert answers["AE-009"]["per_developer"] is None


def test_a_refused_file_leaves_nothing_behind(pledgeworks: Command, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"id": "a", "annualReports": [}')
    result = pledgeworks("import", str(tmp_path))
    assert result.exit_code == 1
    assert "a.json: line 1, column" in result.output
    assert pledgeworks("import", str(tmp_path / "nothing.json")).exit_code == 2
    assert read(pledgeworks("totals"))["members"] == 0


def test_the_minimum_table_grows_and_is_used_from_its_day_on(pledgeworks: Command) -> None:
    assert "2000.00" in pledgeworks("minimum", "list").output
    assert pledgeworks("minimum", "add", "2500", "--currency", "USD", "--valid-from", "2027-01-01", "--source", "Vote",
                       "--rules-version", "2027-01", "--as", "nobody@example.org").exit_code == 1  # fmt: skip
    from core.clock import utc_now
    from core.db import session_scope
    from core.identity import people
    from core.identity.models import Person
    from core.money import Money
    from pledge.services import rules

    with session_scope() as session:
        admin = Person(email="ada@example.org", name="Ada", is_admin=True, created_at=utc_now())
        session.add(admin)
        session.flush()
        rules.add_minimum(
            session, amount=Money.parse("1500", "EUR"), valid_from=utc_now().date(), source="Vote",
            rules_version="2027-01", actor=admin, now=utc_now(),
        )  # fmt: skip
    added = pledgeworks("minimum", "add", "2500", "--currency", "USD", "--valid-from", "2027-01-01", "--source", "Vote",
                        "--rules-version", "2027-01", "--as", "Ada@example.org")  # fmt: skip
    assert added.exit_code == 0, added.output
    as_json = read(pledgeworks("minimum", "add", "2400", "--currency", "EUR", "--valid-from", "2027-06-01", "--source", "Vote",
                               "--rules-version", "2027-06", "--as", "ada@example.org", "--json"))  # fmt: skip
    assert (as_json["valid_from"], as_json["currency"], as_json["amount"]) == ("2027-06-01", "EUR", "2400.00")
    assert as_json in json.loads(pledgeworks("minimum", "list", "--json").stdout)
    check = ("check", "--developers", "10", "--paid", "24999.99")
    assert pledgeworks(*check, "--on", "2026-12-31").exit_code == 0
    assert pledgeworks(*check, "--on", "2027-01-01").exit_code == 1
    assert pledgeworks("check", "--developers", "1", "--paid", "1500", "--currency", "eur").exit_code == 0
    again = pledgeworks("minimum", "add", "2600", "--currency", "USD", "--valid-from", "2027-01-01", "--source", "Vote",
                        "--rules-version", "2027-02", "--as", "ada@example.org")  # fmt: skip
    assert again.exit_code == 1
    assert "already" in again.output
    with session_scope() as session:
        people.acting_person(session, "ada@example.org").disabled_at = utc_now()
    left = pledgeworks("minimum", "add", "2600", "--currency", "USD", "--valid-from", "2028-01-01", "--source", "Vote",
                       "--rules-version", "2028-01", "--as", "ada@example.org")  # fmt: skip
    assert left.exit_code == 1
    assert "The account of ada@example.org is closed" in left.output


def test_papers_are_written_to_files(pledgeworks: Command, tmp_path: Path) -> None:
    from core.clock import utc_now
    from core.db import new_id, session_scope
    from core.identity.models import Organisation, Person
    from core.money import Money
    from pledge.models import MemberOrigin, MembershipStatus
    from pledge.services import instalments, membership, periods
    from tests.integration.pledge.conftest import Role, give

    now = utc_now()
    with session_scope() as session:
        edda, fatima = (
            Person(id=new_id(), email=f"{name}@example.org", name=name, created_at=now) for name in ("edda", "fatima")
        )
        acme = Organisation(id=new_id(), slug="acme", name="Acme", created_at=now)
        session.add_all(
            [edda, fatima, membership.new_member(acme, status=MembershipStatus.CHECKED, origin=MemberOrigin.HERE, now=now)]
        )
        session.flush()
        give(session, edda, Role.PLEDGE_EDITOR, organisation=acme)
        give(session, fatima, Role.FINANCE)
        year = periods.open_period(
            session, membership.queries.member_by_slug(session, "acme"), label="this", starts_on=now.date(), ends_on=now.date(),
            developers=Decimal(1), actor=edda, now=now,
        )  # fmt: skip
        row = instalments.announce(session, year, money=Money.parse("5", "USD"), actor=edda, now=now)
        reference = row.reference
        instalments.say_sent(session, row.id, sent_on=now.date(), evidence_url="https://b.example/1", actor=edda, now=now)
        instalments.confirm(session, row.id, received_on=now.date(), bank_reference="44", actor=fatima, now=now)
    for arguments in (("receipt", reference.lower()), ("statement", "acme", "this", "--format", "pdf")):
        file = tmp_path / f"{arguments[0]}.pdf"
        result = pledgeworks(*arguments, "--output", str(file))
        assert result.exit_code == 0, result.output
        assert file.read_bytes().startswith(b"%PDF-")
    missing = pledgeworks("receipt", "PW-0000000000", "--output", str(tmp_path / "none.pdf"))
    assert (missing.exit_code, "no instalment with the reference" in missing.stderr) == (1, True)
    assert not (tmp_path / "none.pdf").exists()
