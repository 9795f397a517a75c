"""From a GitHub username to a payout that GitHub's totals confirm, and one that two people have to find out about."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import Site
from playwright.sync_api import Page, expect

from core.clock import utc_now
from core.identity.models import Role
from core.money import Money
from payouts.models import Recipient, RecipientKind
from payouts.services import recipients
from tests.fakes import payouts_world as world
from tests.fakes.github_sponsors import TOKEN, GitHubSponsors, Maintainer
from tests.fakes.graphql_server import serving

FINANCE, APPROVER = "femi@example.org", "priya@example.org"


@pytest.fixture
def github(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubSponsors]:
    """GitHub, and the settings by which a site that starts afterwards finds it."""
    with serving(GitHubSponsors(shared / "schemas" / "github.graphql")) as made:
        made.add(Maintainer("ada"), Maintainer("linus", minimum=50))
        monkeypatch.setenv("PLEDGEWORKS_GITHUB_URL", made.url)
        monkeypatch.setenv("PLEDGEWORKS_GITHUB_SPONSOR", "acme")
        monkeypatch.setenv("PLEDGEWORKS_GITHUB_TOKEN", TOKEN)
        yield made


def test_a_file_is_uploaded_compared_and_what_is_in_doubt_found_out(github: GitHubSponsors, site: Site, page: Page) -> None:
    site.add_person("adele@example.org", "Adele Admin", admin=True)
    site.add_person(APPROVER, "Priya Raman", Role.PAYOUT_APPROVER)
    finance = site.add_person(FINANCE, "Femi Adeyemi", Role.FINANCE)
    officer = site.add_person("ingrid@example.org", "Ingrid Solheim")
    now = utc_now()
    with site.session() as session:
        world.fund(session, Money(9_000_000, "USD"), now=now)
        payees = [
            recipients.add_recipient(
                session, name=name, kind=RecipientKind.PERSON, country="DE", email=None, actor=finance, now=now
            )
            for name in ("Ada Example", "Linus Beispiel")
        ]
        for who, cents in zip(payees, (123_456, 1_000), strict=True):
            world.owed(session, who, cents, by=officer, now=now)
    assert "Reads what “acme” paid" in site.command("payouts", "rail", "check", "github_sponsors", "--payee", "login=ada")

    site.sign_in(page, FINANCE)
    enter_usernames(site, page, payees)
    compare_them(site, page, payees)
    site.start_worker()
    prepare_approve_and_send(site, page)
    made = make_file_upload_and_compare(github, site, page)
    two_people_find_out(site, page, made)
    page.get_by_role("link", name="Ada Example").click()
    expect(page.get_by_text("is carried to the recipient’s next payment", exact=False)).to_be_visible()
    site.check(page, "github-payout-paid")
    page.goto(f"{site.url}/payouts/rails")
    site.check(page, "github-rails")


def enter_usernames(site: Site, page: Page, payees: list[Recipient]) -> None:
    for who, login in zip(payees, ("nobody", "linus"), strict=True):
        page.goto(f"{site.url}/payouts/recipients/{who.id}/destinations/github_sponsors")
        site.confirm(page)
        page.get_by_label("GitHub username").fill(login)
        page.get_by_role("button", name="Save destination").click()
        if login == "nobody":
            expect(page.get_by_text("GitHub knows nobody called @nobody.").first).to_be_visible()
            site.check(page, "github-destination-refused")
            page.get_by_label("GitHub username").fill("@ada")
            page.get_by_role("button", name="Save destination").click()
        expect(page.get_by_text("USD goes to @", exact=False)).to_be_visible()
    page.goto(f"{site.url}/payouts/github")
    site.check(page, "github-empty")


def compare_them(site: Site, page: Page, payees: list[Recipient]) -> None:
    """Nothing is paid to a username that only one person has seen."""
    site.sign_in(page, APPROVER)
    for number, who in enumerate(payees):
        page.goto(f"{site.url}/payouts/recipients/{who.id}")
        page.get_by_text("Compare @").click()
        page.get_by_label("How you compared it").fill("It stands on their own page.")
        page.get_by_role("button", name="It is right").click()
        if number == 0:
            site.confirm(page)
        expect(page.get_by_text("Noted: you compared @", exact=False)).to_be_visible()
    site.check(page, "github-recipient-compared")
    site.sign_in(page, FINANCE)


def prepare_approve_and_send(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/payouts")
    page.get_by_role("button", name="Prepare run").click()
    page.wait_for_url("**/payouts/runs/*")
    expect(page.get_by_text("$1,234.00 leaves")).to_be_visible()
    site.check(page, "github-run")
    run = page.url
    site.sign_in(page, APPROVER)
    page.goto(run)
    page.get_by_role("button", name="Approve run").click()
    site.confirm(page)
    page.get_by_role("button", name="Send run").click()
    expect(page.get_by_text("is on its way", exact=False).first).to_be_visible()


def make_file_upload_and_compare(github: GitHubSponsors, site: Site, page: Page) -> str:
    site.sign_in(page, FINANCE)
    page.goto(f"{site.url}/payouts/github")
    for _ in range(60):
        if page.get_by_text("in 2 payments").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    site.check(page, "github-waiting")
    page.get_by_role("button", name="Make file").click()
    page.wait_for_url("**/payouts/github/files/*")
    site.check(page, "github-file-made")
    with page.expect_download() as started:
        page.get_by_role("link", name="Download CSV").click()
    github.upload(started.value.path().read_bytes())
    page.get_by_role("button", name="Compare with GitHub").click()
    expect(page.get_by_text("1 newly paid, 1 not certain")).to_be_visible()
    site.check(page, "github-file-compared")
    return page.url


def two_people_find_out(site: Site, page: Page, made: str) -> None:
    page.get_by_label("@linus").check()
    page.get_by_label("They were not paid, and will not be").check()
    page.get_by_label("Evidence", exact=True).set_input_files(
        {"name": "list.txt", "mimeType": "text/plain", "buffer": b"not in the list"}
    )
    page.get_by_label("What the evidence shows").fill("GitHub's list of sponsorships does not name him.")
    page.get_by_role("button", name="Propose finding").click()
    expect(page.get_by_text("Femi Adeyemi says: not paid", exact=False)).to_be_visible()
    site.sign_in(page, APPROVER)
    page.goto(made)
    site.check(page, "github-file-finding")
    page.get_by_role("button", name="Confirm 1 finding").click()
    site.confirm(page)
    if page.url.endswith("/confirmation") or page.get_by_role("button", name="Confirm 1 finding").count():
        page.goto(made)
        page.get_by_role("button", name="Confirm 1 finding").click()
    expect(page.get_by_text("what became of every payment is known", exact=False)).to_be_visible()
    site.check(page, "github-file-known")
