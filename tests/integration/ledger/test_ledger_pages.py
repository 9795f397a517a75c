"""The open ledger's pages, for anybody."""

import io
import json
import re
from datetime import datetime

import pytest
from ledger_book import BANK, FUND, GRANT, Book, lively
from sqlalchemy.orm import Session
from web_client import Client

from core import ledger
from core.clock import utc_now
from core.identity import people
from core.identity.limits import Limit
from core.ledger import Leg
from core.ledger import views as ledger_views
from core.ledger.sealing import seal
from core.ledger.verify import verify

PAGES = ["/ledger", "/ledger/accounts", "/ledger/accounts?under=assets:bank", "/ledger/entries"]


@pytest.fixture(autouse=True)
def installed(session: Session) -> None:
    """An installation that has its first person: before that, every page leads to the first-run page."""
    people.create(session, email="ada@example.org", name="Ada", password="correct horse battery", actor=None, now=utc_now())


@pytest.fixture
def sealed(session: Session, now: datetime) -> Session:
    """A lively ledger, sealed, with one entry after the seal."""
    book = lively(session, now)
    seal(session, now=now)
    book.award(1, key="after")
    return session


@pytest.mark.parametrize("path", PAGES)
def test_pages_of_an_empty_ledger_are_well_formed(client: Client, path: str) -> None:
    assert client.get(path).status == 200


@pytest.mark.parametrize("path", [*PAGES, f"/ledger/accounts/{BANK}", f"/ledger/accounts/{FUND}"])
def test_pages_of_a_lively_ledger_are_well_formed(client: Client, sealed: Session, path: str) -> None:
    assert client.get(path).status == 200


def test_the_front_page_adds_up_groups_and_shows_the_signed_head(client: Client, sealed: Session) -> None:
    page = client.get("/ledger")
    assert "$1,122.19" in page.words  # the bank in dollars
    assert "€92.00" in page.words
    assert "2.50 h" in page.words  # one H100-hour is worth two and a half reference hours
    assert re.search(r"--head 1:[0-9a-f]{64}", page.words)
    assert "1 newer wait for the next seal" in page.words


def test_an_account_page_explains_its_balance_line_by_line(client: Client, sealed: Session) -> None:
    lines = re.findall(r"([+−]?\$[\d,.]+)", client.get(f"/ledger/accounts/{GRANT}").words)
    assert lines == [
        "$300.05",
        "$0.00",
        "$300.05",
        "+$0.01",
        "$300.05",
        "−$0.03",
        "$300.04",
        "+$0.07",
        "$300.07",
        "+$300.00",
        "$300.00",
    ]


def test_the_running_balance_goes_on_over_pages(client: Client, session: Session, now: datetime) -> None:
    book = Book(session, now)
    book.open_accounts()
    for i in range(1, 121):
        book.pay_in(i, key=f"pay-in:{i}")
    page, seen = client.get(f"/ledger/accounts/{FUND}"), []
    while True:
        cells = page.document.findall(".//{*}tbody/{*}tr")
        seen += ["".join(row.itertext()).split("$")[-1].strip() for row in cells]
        following = [link for link in page.document.findall(".//{*}a") if link.get("rel") == "next"]
        if not following:
            break
        page = client.get(following[0].get("href"))
    assert seen == [f"{sum(range(1, n + 1)) / 100:.2f}" for n in range(120, 0, -1)]


def test_entries_are_filtered_by_account_and_by_reference(client: Client, sealed: Session) -> None:
    assert "Pay in" not in client.get(f"/ledger/entries?account={GRANT}").words
    page = client.get("/ledger/entries?ref=company:acme")
    assert page.words.count("Pay in") == 2
    assert "No entry fits" in client.get("/ledger/entries?account=assets:nothing").words


def test_a_reference_without_a_name_is_refused_with_a_sentence(client: Client, sealed: Session) -> None:
    page = client.get("/ledger/entries?ref=acme")
    assert page.status == 422
    assert "Write a reference as its name and value" in page.words


def test_an_entry_shows_its_transfers_and_its_place(client: Client, sealed: Session) -> None:
    entry = ledger.entry_by_key(sealed, "paid")
    page = client.get(f"/ledger/entries/{entry.id}")
    assert "of $20.00 held" in page.words
    assert "seal 1" in page.words


@pytest.mark.parametrize(
    "path", ["/ledger/accounts/assets:nothing", "/ledger/entries/0190c2f4-7c1e-7f3a-9d55-0c9f4c1b2a10", "/ledger/export/xml"]
)
def test_what_is_not_there_is_404(client: Client, path: str) -> None:
    assert client.get(path).status == 404


def test_the_downloaded_json_verifies(client: Client, sealed: Session) -> None:
    page = client.get("/ledger/export/json")
    assert page.headers["Content-Disposition"] == 'attachment; filename="ledger.json"'
    assert verify(io.StringIO(page.text)).ok
    assert json.loads(page.text)["head"]["seal"] == 1


@pytest.mark.parametrize(("form", "begins"), [("beancount", 'option "title"'), ("hledger", "; Pledgeworks ledger")])
def test_the_text_exports_are_downloads_too(client: Client, sealed: Session, form: str, begins: str) -> None:
    assert client.get(f"/ledger/export/{form}").text.startswith(begins)


def test_exports_are_limited_per_address(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_views, "EXPORTS", Limit(count=2, per=ledger_views.EXPORTS.per))
    answers = [client.get("/ledger/export/hledger").status for _ in range(3)]
    assert answers == [200, 200, 429]


def test_an_entry_of_many_transfers_is_shown_short_in_the_list(client: Client, session: Session, now: datetime) -> None:
    book = Book(session, now)
    book.open_accounts()
    legs = [Leg(BANK, FUND, n) for n in range(1, 10)]
    entry = ledger.post(session, key="many", kind="pay-in", legs=legs, at=now)
    assert "and 3 more" in client.get("/ledger/entries").words
    assert client.get(f"/ledger/entries/{entry.id}").words.count(BANK) == 9
