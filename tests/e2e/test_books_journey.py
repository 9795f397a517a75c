"""Finance reads a statement, deals with its lines, two people book a fee and explain a difference, and the month is closed.

Done from the keyboard, but for choosing the file, which every system does in a window of its own.
"""

import re
from datetime import date, timedelta
from pathlib import Path

from journey import Site
from playwright.sync_api import Page, expect

from core import ledger
from core.books import statements
from core.clock import today, utc_now
from core.identity.models import Role
from tests.fakes.bank_statements import IBAN, Ntry, camt

FATIMA, FARID = "fatima@example.org", "farid@example.org"
LONG = "RECHNUNG 2026/4711 " + "Verwaltungsgebührenabrechnungszeitraum" * 3


def test_a_month_from_its_statement_to_its_closing(site: Site, page: Page, tmp_path: Path) -> None:
    last = today().replace(day=1) - timedelta(days=1)
    arrange(site, last)
    site.sign_in(page, FATIMA)
    read_the_statement(site, page, tmp_path, last)
    link_a_line(page)
    propose_a_fee(site, page)
    explain_a_difference(site, page)

    site.sign_in(page, FARID)
    page.goto(f"{site.url}/books")
    open_line(page, "−$500.00")
    press(page, "Confirm booking")
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm that it is you")
    site.confirm(page)
    expect(page.get_by_text("You confirmed the booking, and it is in the ledger.")).to_be_visible()
    page.goto(f"{site.url}/books/reconciliation")
    press(page, "Confirm the explanation")
    expect(page.get_by_text("You confirmed the explanation.")).to_be_visible()
    close_the_month(site, page, last)


def arrange(site: Site, last: date) -> None:
    """Two people of finance, an account, and $9,000 that the ledger says arrived."""
    fatima = site.add_person(FATIMA, "Fatima Finance", Role.FINANCE)
    site.add_person(FARID, "Farid Finance", Role.FINANCE)
    arrived = utc_now() - (today() - last)
    with site.session() as session:
        statements.add_account(session, name="Main account", number=IBAN, currency="USD", actor=fatima, now=utc_now())
        ledger.ensure_account(session, "assets:bank:usd", "USD", normal=ledger.Side.DEBIT, guard=ledger.Guard.DEBIT)
        ledger.ensure_account(session, "equity:test", "USD", normal=ledger.Side.CREDIT)
        leg = ledger.Leg(debit="assets:bank:usd", credit="equity:test", amount=9_000_00)
        ledger.post(session, key="cash", kind="test", legs=[leg], at=arrived, memo="Grant of the Example Foundation")


def read_the_statement(site: Site, page: Page, folder: Path, last: date) -> None:
    page.goto(f"{site.url}/books")
    file = folder / "statement.xml"
    file.write_text("<html/>")
    page.get_by_label("Statement", exact=True).set_input_files(file)
    press(page, "Read statement")
    expect(page.get_by_role("alert")).to_contain_text("One thing needs correcting")
    day = last.isoformat()
    entries = [
        Ntry("9000.00", "Grant", day=day, who="Example Foundation"),
        Ntry("500.00", "Charges of the quarter", sign="DBIT", day=day, who="The bank"),
        Ntry("12.34", LONG, day=day, who="Gesellschaft für quelloffene Messtechnik und Verwaltungsverfahren mbH"),
    ]
    file.write_bytes(camt(entries))
    page.get_by_label("Statement", exact=True).set_input_files(file)
    press(page, "Read statement")
    expect(page.get_by_text("3 new lines")).to_be_visible()
    site.check(page, "books-lines")


def link_a_line(page: Page) -> None:
    open_line(page, "+$9,000.00")
    press(page, "It is in the ledger already")
    press(page, "Link")
    expect(page.get_by_text("Linked. Nothing was posted.")).to_be_visible()


def propose_a_fee(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/books")
    open_line(page, "−$500.00")
    press(page, "The bank took it as a fee")
    press(page, "Book as a fee")
    expect(page.get_by_role("alert")).to_contain_text("Say what it was for.")
    page.get_by_label("What it was for").focus()
    page.keyboard.type("Charges of the quarter, as on the bank’s list.")
    press(page, "Book as a fee")
    expect(page.get_by_text("A booking waits for a second person")).to_be_visible()
    expect(page.get_by_role("button", name="Confirm booking")).to_have_count(0)
    site.check(page, "books-fee-waits")


def explain_a_difference(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/books/reconciliation")
    row = page.get_by_role("row").filter(has_text="$12.34")
    row.get_by_text("Explain", exact=False).first.focus()
    page.keyboard.press("Enter")
    row.get_by_label("Why it is so").focus()
    page.keyboard.type("Sent to us in error; goes back next month.")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Kept. It counts when another person confirms it.")).to_be_visible()
    site.check(page, "books-explained")


def close_the_month(site: Site, page: Page, last: date) -> None:
    page.goto(f"{site.url}/books/months")
    press(page, "Close month")
    expect(page.get_by_text(f"{last:%B %Y} is closed.", exact=False)).to_be_visible()
    site.check(page, "books-month-closed")


def open_line(page: Page, amount: str) -> None:
    """Go to a line of the list by its amount."""
    page.get_by_role("row").filter(has_text=amount).get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(amount)


def press(page: Page, name: str) -> None:
    """Walk with the tabulator to what is named so, and press Enter."""
    wanted = re.compile(rf"\s*{re.escape(name)}")
    for _ in range(80):
        page.keyboard.press("Tab")
        here = page.evaluate("document.activeElement ? document.activeElement.innerText || '' : ''")
        if wanted.match(" ".join(here.split())):
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"the tabulator does not reach “{name}”")
