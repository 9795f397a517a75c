"""The journey of money: finance prepares, a second person approves, the payout settles; and what happens when it does not."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from journey import Site
from playwright.sync_api import Page, expect

from core.clock import utc_now
from core.identity.models import Person, Role
from core.money import Money
from payouts.rails.bank_file import BankFileRail
from payouts.rails.base import Rail
from payouts.rails.fake import FakeRail, address_file
from payouts.rails.fake_server import Behaviour, FakeRailServer, Fault
from payouts.rails.manual import ManualRail
from tests.fakes import payouts_world as world
from tests.fakes.rail_server import payments, serving

RAILS: Mapping[str, Rail] = {rail.name: rail for rail in (FakeRail(lambda: None), BankFileRail(), ManualRail())}
FINANCE, APPROVER = "femi@example.org", "priya@example.org"


@pytest.fixture
def rail_server(site: Site, tmp_path: Path) -> Iterator[FakeRailServer]:
    """The trial payment service, where the site finds it."""
    with serving(tmp_path / "rail.sqlite") as server:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        address_file(folder).write_text(server.url)
        yield server


@pytest.fixture
def finance(site: Site) -> Person:
    site.add_person("ada@example.org", "Adele Admin", admin=True)
    site.add_person(APPROVER, "Priya Raman", Role.PAYOUT_APPROVER)
    return site.add_person(FINANCE, "Femi Adeyemi", Role.FINANCE)


def owe(site: Site, finance: Person, *lines: tuple[str, int, str, dict[str, str]]) -> None:
    """An officer asks for payouts to these recipients: (name, cents, rail, details)."""
    officer = site.add_person("ingrid@example.org", "Ingrid Solheim")
    now = utc_now()
    with site.session() as session:
        world.fund(session, Money(9_000_000, "USD"), now=now)
        for name, cents, rail, details in lines:
            who = world.recipient(session, name, rail=RAILS[rail], by=finance, now=now, details=details)
            world.owed(session, who, cents, by=officer, now=now)


def test_finance_prepares_a_second_person_approves_the_payout_settles(
    site: Site, page: Page, finance: Person, rail_server: FakeRailServer
) -> None:
    owe(
        site,
        finance,
        ("Mateo Silva", 2_500_000, "fake", {"account": "acct_mateo"}),
        ("Lin Wei", 180_000, "fake", {"account": "acct_lin"}),
    )
    site.start_worker()
    site.sign_in(page, FINANCE)
    page.goto(f"{site.url}/payouts")
    site.check(page, "payouts-due")
    page.get_by_role("button", name="Prepare run").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("Run 1"))
    expect(page.get_by_role("button", name="Approve run")).to_have_count(0)
    site.check(page, "payout-run-draft")
    run = page.url

    site.sign_in(page, APPROVER)
    page.goto(run)
    page.get_by_role("button", name="Try without sending").click()
    expect(page.get_by_text("All 2 payouts could be reserved now")).to_be_visible()
    page.get_by_role("button", name="Approve run").click()
    site.confirm(page)
    expect(page.get_by_text("It can be sent.", exact=False).first).to_be_visible()
    site.check(page, "payout-run-approved")
    page.get_by_role("button", name="Send run").click()
    # The page follows by itself: the smaller payout first, then the other.
    expect(page.get_by_text("$26,800.00 of $26,800.00")).to_be_visible(timeout=30_000)
    page.reload()
    expect(page.get_by_text("Nothing is left to do")).to_be_visible()
    site.check(page, "payout-run-done")
    assert [amount for _, amount in payments(rail_server)] == [180_000, 2_500_000]
    page.get_by_role("link", name="Mateo Silva").click()
    expect(page.get_by_text("It is paid, and the ledger is settled")).to_be_visible()
    site.check(page, "payout-paid")


def test_an_unknown_outcome_is_cleared_up_by_two_people(
    site: Site, page: Page, finance: Person, rail_server: FakeRailServer, tmp_path: Path
) -> None:
    site.start_worker()
    owe(site, finance, ("Aroha Ngata", 150_000, "fake", {"account": "closed_aroha"}))
    prepared_approved_and_sent(site, page)
    owe(
        site,
        finance,
        ("Example Commons Host", 900_000, "manual", {"holder": "Commons", "bank": "First Bank", "account": "000123456789"}),
        ("Jonas Weber", 320_000, "bank_file", {"iban": "DE89370400440532013000"}),
        ("Lin Wei", 180_000, "fake", {"account": "acct_lin"}),
    )
    rail_server.misbehave(Behaviour([Fault("cut_before")]))
    prepared_approved_and_sent(site, page)
    page.goto(f"{site.url}/payouts/unknown")
    for part in ("Attempts that failed for certain", "Looked up by themselves", "On the people’s desk"):
        for _ in range(60):
            if page.get_by_role("heading", name=part).count():
                break
            page.wait_for_timeout(500)
            page.reload()
        expect(page.get_by_role("heading", name=part)).to_be_visible()
    site.check(page, "payouts-unknown")

    evidence = tmp_path / "statement.txt"
    evidence.write_text("Booked: 9,000.00 USD, reference BANK-2026-77")
    page.get_by_role("link", name="Example Commons Host").click()
    site.check(page, "payout-by-hand")
    page.get_by_label("It was paid", exact=True).check()
    page.get_by_label("Reference of the bank or rail").fill("BANK-2026-77")
    page.get_by_label("Evidence", exact=True).set_input_files(evidence)
    page.get_by_label("What the evidence shows").fill("Line 4 of the statement of today.")
    page.get_by_role("button", name="Propose finding").click()
    expect(page.get_by_text("You proposed it; another person confirms it.")).to_be_visible()
    payout = page.url
    site.sign_in(page, FINANCE)
    page.goto(payout)
    site.check(page, "payout-finding")
    page.get_by_role("button", name="Confirm finding").click()
    site.confirm(page)
    expect(page.get_by_text("It is paid, and the ledger is settled")).to_be_visible()

    page.goto(f"{site.url}/payouts/bank")
    page.get_by_role("button", name="Make bank file").click()
    expect(page.get_by_text("File 1", exact=True)).to_be_visible()
    site.check(page, "payouts-bank")


def prepared_approved_and_sent(site: Site, page: Page) -> None:
    """As in the journey above, without looking."""
    site.sign_in(page, FINANCE)
    page.goto(f"{site.url}/payouts")
    page.get_by_role("button", name="Prepare run").click()
    page.wait_for_url("**/payouts/runs/*")
    run = page.url
    site.sign_in(page, APPROVER)
    page.goto(run)
    page.get_by_role("button", name="Approve run").click()
    site.confirm(page)
    page.get_by_role("button", name="Send run").click()
    expect(page.get_by_text("is on its way", exact=False).first).to_be_visible()


def test_the_kill_switch_recipients_and_limits(site: Site, page: Page, finance: Person, rail_server: FakeRailServer) -> None:
    site.sign_in(page, FINANCE)
    for name in ("", "/runs", "/unknown", "/bank", "/recipients"):
        page.goto(f"{site.url}/payouts{name}")
        site.check(page, f"payouts-empty{name.replace('/', '-')}")
    page.goto(f"{site.url}/payouts/rails")
    card = page.get_by_role("region", name="Bank file")
    card.get_by_text("Stop this rail").click()
    card.get_by_label("Reason").fill("The bank sent a statement we don't understand.")
    card.get_by_role("button", name="Stop rail").click()
    expect(page.get_by_text("Nothing more leaves on it")).to_be_visible()
    site.check(page, "payouts-rails-stopped")
    page.goto(f"{site.url}/payouts/recipients/new")
    page.get_by_label("Name").fill("Noor Haddad")
    page.get_by_label("Country").fill("DE")
    page.get_by_label("E-mail").fill("noor@example.org")
    page.get_by_role("button", name="Add recipient").click()
    page.get_by_role("link", name="Bank file", exact=True).click()
    site.confirm(page)
    page.get_by_label("IBAN").fill("DE89 3704 0044 0532 0130 01")
    page.get_by_role("button", name="Save destination").click()
    expect(page.get_by_role("alert")).to_contain_text("one of its characters is mistyped")
    site.check(page, "payouts-destination-refused")
    page.get_by_label("IBAN").fill("DE89 3704 0044 0532 0130 00")
    page.get_by_role("button", name="Save destination").click()
    page.get_by_role("link", name="Bank file", exact=True).click()
    page.get_by_label("IBAN").fill("NL91 ABNA 0417 1643 00")
    page.get_by_role("button", name="Save destination").click()
    expect(page.get_by_text("Tell noor@example.org")).to_be_visible()
    site.check(page, "payouts-recipient-changed")
    page.goto(f"{site.url}/payouts/limits")
    site.check(page, "payouts-limits")


def test_ten_thousand_due_payouts_come_in_pages(site: Site, page: Page, finance: Person) -> None:
    officer = site.add_person("ingrid@example.org", "Ingrid Solheim", Role.PROGRAMME_OFFICER)
    now = utc_now()
    with site.session() as session:
        who = world.recipient(session, "Verein zur Förderung quelloffener Infrastruktur e. V.", rail=RAILS["fake"], by=finance,
                              now=now, details={"account": "acct_verein"})  # fmt: skip
        first = world.owed(session, who, 12_345, by=officer, now=now - timedelta(days=1))
        session.flush()
        session.execute(world.MANY, {"payout": first.id, "count": 9_999})
    site.sign_in(page, FINANCE)
    started = utc_now()
    page.goto(f"{site.url}/payouts")
    assert (utc_now() - started).total_seconds() < 5
    expect(page.get_by_text("10000 payouts", exact=False)).to_be_visible()
    site.check(page, "payouts-many")
    page.get_by_role("link", name="More payouts").click()
    expect(page.get_by_role("link", name="First page")).to_be_visible()
