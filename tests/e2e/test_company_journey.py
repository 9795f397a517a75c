"""A company joins, enters its year, pays an instalment through us, and publishes."""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from journey import Site
from playwright.sync_api import Page, expect

from core.clock import today
from core.identity.models import Role

FOUNDER, OFFICER, FINANCE = "nia@example.org", "olga@example.org", "fatima@example.org"
COMPANY = "Gesellschaft für quelloffene Messtechnik"
YEAR = str(today().year)
HOME = "/company/gesellschaft-fur-quelloffene-messtechnik"


@pytest.fixture
def crew(site: Site) -> Site:
    """Somebody from a company, and the two people of the platform the company meets."""
    site.add_person(FOUNDER, "Nia Founder")
    site.add_person(OFFICER, "Olga Officer", Role.PROGRAMME_OFFICER)
    site.add_person(FINANCE, "Fatima Finance", Role.FINANCE)
    return site


def test_a_company_enters_a_year_and_publishes(crew: Site, page: Page, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.pdf"
    receipt.write_bytes(b"%PDF-1.7\n% a receipt")
    join(crew, page)
    enter_the_year(crew, page, receipt)
    reference = pay_through_us(crew, page, receipt)
    accept_the_company(crew, page)
    find_the_money(crew, page, reference)
    publish(crew, page)


def join(crew: Site, page: Page) -> None:
    page.goto(f"{crew.url}/pledges")
    expect(page.get_by_text("No company here yet")).to_be_visible()
    crew.check(page, "pledge-empty")

    crew.sign_in(page, FOUNDER)
    page.goto(f"{crew.url}/pledges")
    page.get_by_role("link", name="Join with your company").click()
    crew.check(page, "pledge-join")
    page.get_by_label("Company").fill(COMPANY)
    page.get_by_label("Website or pledge announcement").fill("https://messtechnik.example/pledge")
    page.get_by_role("button", name="Ask to join").click()
    expect(page.get_by_role("heading", level=1, name=COMPANY)).to_be_visible()
    crew.check(page, "pledge-first-year")


def enter_the_year(crew: Site, page: Page, receipt: Path) -> None:
    page.get_by_role("link", name="Enter a year").click()
    page.get_by_label("Developers, on average").fill("14")
    crew.check(page, "pledge-period")
    page.get_by_role("button", name="Enter the year").click()
    expect(page.get_by_role("heading", name=f"{YEAR}: short by $28,000.00")).to_be_visible()

    # A promise is refused, and what was typed is still there.
    page.get_by_role("link", name="Enter a payment").click()
    page.get_by_label("Paid to").fill("curl")
    page.get_by_label("For the project").fill("curl")
    page.get_by_label("Amount").fill("17999.99")
    page.get_by_label("Paid on").fill(str(today() + timedelta(days=30)))
    page.get_by_label("Link to evidence").fill("https://messtechnik.example/receipts/1")
    page.get_by_role("button", name="Enter payment").click()
    expect(page.get_by_role("alert")).to_contain_text("money promised does not count")
    crew.check(page, "pledge-payment-refused")
    expect(page.get_by_label("Paid to")).to_have_value("curl")
    page.get_by_label("Paid on").fill(str(date(today().year, 1, 1)))
    page.get_by_role("button", name="Enter payment").click()
    expect(page.get_by_role("heading", name=f"{YEAR}: short by $10,000.01")).to_be_visible()

    # What does not count is shown, and changes nothing.
    page.get_by_role("link", name="Enter a payment").click()
    page.get_by_label("Paid to").fill("Messtechnik-Tage")
    page.get_by_label("For the project").fill("Conference sponsorship")
    page.get_by_label("Amount").fill("5000")
    page.get_by_label("Paid on").fill(str(date(today().year, 1, 1)))
    page.get_by_label("What kind of payment it is").select_option("benefit_in_return")
    page.get_by_label("Or a file").set_input_files(receipt)
    page.get_by_role("button", name="Enter payment").click()
    expect(page.get_by_role("heading", name=f"{YEAR}: short by $10,000.01")).to_be_visible()
    page.get_by_role("link", name="Enter help in kind").click()
    page.get_by_label("What it was").fill("240 hours of maintenance on urllib3")
    page.get_by_label("Your own estimate").fill("24000")
    crew.check(page, "pledge-in-kind")
    page.get_by_role("button", name="Enter help").click()
    expect(page.get_by_role("heading", name=f"{YEAR}: short by $10,000.01")).to_be_visible()


def pay_through_us(crew: Site, page: Page, receipt: Path) -> str:
    """Returns the reference to write on the bank transfer."""
    page.get_by_role("link", name="Pay an instalment").click()
    expect(page.get_by_label("Amount")).to_have_value("10000.01")
    page.get_by_role("button", name="Get a reference").click()
    reference = page.get_by_role("rowheader", name=re.compile("^PW-")).inner_text()
    page.get_by_role("link", name="I sent it").click()
    page.get_by_label("Sent on").fill(str(date(today().year, 1, 1)))
    page.get_by_label("Or a file").set_input_files(receipt)
    crew.check(page, "pledge-sent")
    page.get_by_role("button", name="It was sent").click()
    expect(page.get_by_text("Finance looks for it", exact=True)).to_be_visible()
    crew.check(page, "pledge-dashboard")
    return reference


def accept_the_company(crew: Site, page: Page) -> None:
    crew.sign_in(page, OFFICER)
    page.goto(f"{crew.url}/pledges/applications")
    crew.check(page, "pledge-applications")
    page.get_by_role("link", name="Accept").click()
    page.get_by_label("What was checked").fill("Its announcement names year, developers and payees.")
    page.get_by_role("button", name="Accept").click()


def find_the_money(crew: Site, page: Page, reference: str) -> None:
    crew.sign_in(page, FINANCE)
    page.goto(f"{crew.url}/finance/pay-ins")
    expect(page.get_by_role("cell", name=reference, exact=True)).to_be_visible()
    crew.check(page, "pledge-pay-ins")
    page.get_by_role("link", name="Arrived").click()
    crew.confirm(page)
    page.get_by_label("Arrived on").fill(str(today()))
    page.get_by_label("Line of the bank statement").fill("Statement 44, line 3")
    crew.check(page, "pledge-confirm-pay-in")
    page.get_by_role("button", name="Confirm $10,000.01").click()
    expect(page.get_by_text("settled and in the ledger")).to_be_visible()


def publish(crew: Site, page: Page) -> None:
    crew.sign_in(page, FOUNDER)
    page.goto(f"{crew.url}{HOME}")
    expect(page.get_by_role("heading", name=f"{YEAR}: met")).to_be_visible()
    page.get_by_role("link", name="Publish the report").click()
    page.get_by_label("Your own post about it").fill("https://messtechnik.example/open-source")
    page.get_by_label("Total in your post").fill("28500")
    crew.check(page, "pledge-publish")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("heading", level=1, name=f"{COMPANY}: annual report {YEAR}")).to_be_visible()
    expect(page.get_by_text("+$500.00, declared and not itemised")).to_be_visible()
    crew.check(page, "pledge-report")

    page.get_by_role("link", name=COMPANY).click()
    expect(page.get_by_role("img", name="horizontal, colour")).to_be_visible()
    crew.check(page, "pledge-company")
    page.goto(f"{crew.url}/pledges")
    expect(page.get_by_role("rowheader", name=COMPANY)).to_be_visible()
    crew.check(page, "pledge-leaderboard")
    member_file = page.request.get(f"{crew.url}/pledges/{HOME.removeprefix('/company/')}/member.json").json()
    assert member_file["active"] is True
    assert member_file["annualReports"][0]["usdAmountPaid"] == 28500
