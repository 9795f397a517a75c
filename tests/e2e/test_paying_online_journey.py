"""A company pays at the provider's page and comes back, and asks for an invoice with its PO number."""

import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest
from journey import Site
from playwright.sync_api import Page, expect

from core.clock import today, utc_now
from core.db import new_id
from core.identity import memberships
from core.identity.memberships import Scope
from core.identity.models import Organisation, Role
from pledge.models import MemberOrigin, MembershipStatus
from pledge.services import membership, periods
from tests.fakes.stripe import StripeServer, serving
from tests.fakes.stripe.server import KEY

PAYER = "petra@example.org"
YEAR = str(today().year)
WAITS_SECONDS = 60


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StripeServer]:
    """Asked for before the site, which reads its settings when it starts."""
    with serving() as server:
        server.world.available_after = {"card": 1}
        monkeypatch.setenv("PLEDGEWORKS_STRIPE_KEY", KEY)
        monkeypatch.setenv("PLEDGEWORKS_STRIPE_URL", server.url)
        yield server


def test_a_company_pays_at_the_page_and_asks_for_an_invoice(stand_in: StripeServer, site: Site, page: Page) -> None:
    site.start_worker()
    a_company(site)
    site.sign_in(page, PAYER)

    plan(site, page, "5000")
    site.check(page, "paying-online-ways")
    page.get_by_role("button", name="Pay $5,000.00").click()
    page.get_by_role("link", name="Go to Stripe").click()
    page.get_by_role("button", name="Pay by card").click()
    expect(page.get_by_text("We ask Stripe what became of it.", exact=False)).to_be_visible()
    until(page, "In the fund, and counts for your year.")
    site.check(page, "paying-online-settled")

    plan(site, page, "12000")
    page.get_by_role("link", name="Ask for an invoice").click()
    said = {
        "Your PO number": "PO 4711", "E-mail address for invoices": "invoices@acme.example",
        "Street and number": "1 Main Street", "City": "Springfield", "Country": "US",
    }  # fmt: skip
    for label, text in said.items():
        page.get_by_label(label).fill(text)
    site.check(page, "paying-online-invoice")
    page.get_by_role("button", name="Send us the invoice").click()
    until(page, "It was e-mailed to invoices@acme.example")
    site.check(page, "paying-online-invoice-open")
    page.get_by_role("link", name="Open the invoice").click()
    expect(page.locator("body")).to_contain_text("PO number: PO 4711")
    expect(page.locator("body")).to_contain_text("12,000.00 USD")


def a_company(site: Site) -> None:
    """A member with this year's pledge, and somebody who pays for it."""
    payer = site.add_person(PAYER, "Petra Payer")
    with site.session() as session:
        organisation = Organisation(id=new_id(), slug="acme", name="Acme", created_at=utc_now())
        member = membership.new_member(organisation, status=MembershipStatus.CHECKED, origin=MemberOrigin.HERE, now=utc_now())
        session.add(member)
        session.flush()
        memberships.give(session, payer, Role.PLEDGE_EDITOR, Scope(organisation), actor=None, now=utc_now())
        periods.open_period(
            session, member, label=YEAR, starts_on=date(int(YEAR), 1, 1), ends_on=date(int(YEAR), 12, 31),
            developers=Decimal(14), actor=payer, now=utc_now(),
        )  # fmt: skip


def plan(site: Site, page: Page, amount: str) -> None:
    page.goto(f"{site.url}/company/acme/periods/{YEAR}/instalments/new")
    page.get_by_label("Amount").fill(amount)
    page.get_by_role("button", name="Get a reference").click()
    expect(page.get_by_role("heading", name="Pay now")).to_be_visible()


def until(page: Page, words: str) -> None:
    """Load the page until a worker brought about what it says."""
    deadline = time.monotonic() + WAITS_SECONDS
    while page.get_by_text(words).count() == 0:
        assert time.monotonic() < deadline, f"the page never said: {words}\n{page.inner_text('main')}"
        time.sleep(0.5)
        page.reload()
