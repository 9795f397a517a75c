"""A maintainer imports a funding.json and applies."""

import json
from datetime import timedelta

import pytest
from journey import Site
from manifest_samples import HOME, perfect
from playwright.sync_api import Page, expect

from core.clock import utc_now
from core.db import new_id
from core.identity.models import Organisation
from grants.models import ApplicationQuestion, Programme, ProgrammeKind, ProgrammeStatus, Round, RoundStatus

pytestmark = pytest.mark.browser

LONG = "Verein zur Förderung quelloffener Wettervorhersage-Infrastruktur im Alpenraum und angrenzenden Gebieten e. V."
ANSWERS = {
    "What is the money for?": "Half a year of one maintainer's time, and the GPUs of the nightly benchmarks.",
    "What will be done, and by when?": "March: the new scheduler is out.\nJune: every accelerator has a nightly run.",
    "Who will do the work?": "Mia Maintainer, release manager; Noor Reviewer, kernels.",
    "Who would receive it?": LONG,
    "What connects you with the funder?": "None.",
    "Who depends on it?": "Eleven companies that publish it in their model cards.",
}


@pytest.fixture
def call(site: Site) -> str:
    """A programme with an open round; its slug."""
    now = utc_now()
    with site.session() as session:
        funder = Organisation(id=new_id(), slug="example-capital", name="Example Capital", created_at=now)
        programme = Programme(
            id=new_id(), slug="maintenance", name="Maintenance grants", kind=ProgrammeKind.OPEN_CALL,
            status=ProgrammeStatus.RUNNING, organisation=funder, currency="USD", created_at=now,
            summary="Grants for widely used projects.",
            request_min_minor=1_000_000, request_step_minor=2_500_000, request_max_minor=10_000_000, award_cap_minor=10_000_000,
        )  # fmt: skip
        session.add_all(
            [
                funder,
                programme,
                Round(
                    programme=programme, number=1, name="Winter round", status=RoundStatus.OPEN,
                    theme="Continuous integration and benchmarks.", opens_on=now.date() - timedelta(days=10),
                    closes_on=now.date() + timedelta(days=20), decides_on=now.date() + timedelta(days=50), created_at=now,
                ),
            ]
        )  # fmt: skip
        session.flush()
        session.add(ApplicationQuestion(programme_id=programme.id, position=1, key="users", label="Who depends on it?"))
    return "maintenance"


def a_manifest() -> dict[str, object]:
    """Two projects, one of them on a forge that does not name the manifest yet."""
    manifest = perfect()
    forge = {**manifest["projects"][0], "guid": "long-name", "name": LONG, "licenses": ["spdx:Apache-2.0", "Own Licence 1.0"]}
    forge["repositoryUrl"] = {
        "url": "https://github.com/inference-team/a-rather-long-repository-name-that-has-to-break-somewhere"
    }
    manifest["projects"].append(forge)
    return manifest


def test_a_maintainer_imports_a_funding_json_and_applies(site: Site, page: Page, call: str) -> None:
    site.add_person("mia@example.org", "Mia Maintainer")
    site.sign_in(page, "mia@example.org")
    page.goto(f"{site.url}/applications")
    site.check(page, "applications-empty")
    page.get_by_role("link", name="Apply").click()
    site.check(page, "application-start")
    import_the_manifest(site, page)
    see_what_proves_it(site, page)
    write(site, page)
    attach_a_letter(site, page)
    check_and_submit(site, page)
    page.goto(f"{site.url}/applications")
    site.check(page, "applications")


def import_the_manifest(site: Site, page: Page) -> None:
    """A manifest with faults is refused with every path, and stays in the form to be corrected."""
    broken = a_manifest()
    broken["entity"] = {**perfect()["entity"], "type": "person", "phone": "+49 30 123"}
    broken["funding"] = {**perfect()["funding"], "plans": [{**perfect()["funding"]["plans"][0], "channels": ["paypal"]}]}
    page.get_by_label("Address of the funding.json").fill(HOME)
    page.get_by_text("It is not published there yet").click()
    page.get_by_label("Text of the funding.json").fill(json.dumps(broken, indent=2))
    page.get_by_role("button", name="Read it and start").click()
    expect(page.get_by_role("alert")).to_contain_text("3 errors")
    expect(page.get_by_text("funding.plans[0].channels[0]")).to_be_visible()
    site.check(page, "application-findings")
    page.get_by_label("Text of the funding.json").fill(json.dumps(a_manifest(), indent=2))
    page.get_by_role("button", name="Read it and start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Application to Maintenance grants")
    expect(page.get_by_label("Name of the project")).to_have_value("Fast Server")
    page.get_by_label("It names 2 projects").select_option(label=LONG)
    page.get_by_role("button", name="Fill in this project").click()
    expect(page.get_by_label("Name of the project")).to_have_value(LONG)
    site.check(page, "application-edit")


def see_what_proves_it(site: Site, page: Page) -> None:
    """The assistant shows what to publish."""
    page.get_by_role("link", name="Findings and proofs of the funding.json").click()
    page.get_by_text("How to prove it").first.click()
    expect(page.get_by_text("1 of 5 addresses are not proven yet.")).to_be_visible()
    expect(page.get_by_text("/blob/main/.well-known/funding-manifest-urls").first).to_be_visible()
    site.check(page, "application-manifest")
    page.get_by_role("link", name=LONG).click()
    page.get_by_role("link", name="Continue writing").click()


def write(site: Site, page: Page) -> None:
    """What is typed saves itself; a mistake is named, and saving refuses it beside the field."""
    for label, answer in ANSWERS.items():
        page.get_by_label(label).fill(answer)
    page.get_by_label("Amount you ask for").fill("a lot")
    expect(page.locator("#saved")).to_contain_text("Not saved yet")
    page.get_by_role("button", name="Save and go on").click()
    expect(page.get_by_role("alert")).to_contain_text("is not an amount")
    expect(page.get_by_label("Who will do the work?")).to_have_value(ANSWERS["Who will do the work?"])
    site.check(page, "application-refused")
    page.get_by_label("One person, directly").check()
    with page.expect_response(lambda response: response.url.endswith("/autosave")):
        page.get_by_label("Amount you ask for").fill("30000")
    expect(page.locator("#saved")).to_contain_text("Draft saved")
    page.goto(page.url)
    expect(page.get_by_label("Amount you ask for")).to_have_value("30000.00")
    page.get_by_role("button", name="Save and go on").click()


def attach_a_letter(site: Site, page: Page) -> None:
    """The type is told by the content, whatever the browser says."""
    letter = {"name": "letter of support.pdf", "mimeType": "text/html", "buffer": b"%PDF-1.7 letter"}
    page.locator("#file").set_input_files(letter)  # type: ignore[arg-type]
    page.get_by_role("button", name="Attach").click()
    expect(page.get_by_role("status")).to_contain_text("letter of support.pdf is attached")
    site.check(page, "application-files")


def check_and_submit(site: Site, page: Page) -> None:
    """The rule of the programme is checked before anything is handed in."""
    page.get_by_role("link", name="Check and submit").click()
    expect(page.get_by_role("alert")).to_contain_text("30,000.00 USD is outside this programme's rule")
    site.check(page, "application-missing")
    page.get_by_role("alert").get_by_role("link").click()
    expect(page.get_by_label("Amount you ask for")).to_be_in_viewport()
    page.get_by_label("Amount you ask for").fill("50000")
    page.get_by_role("button", name="Save and go on").click()
    page.get_by_role("link", name="Check and submit").click()
    site.check(page, "application-check")
    page.get_by_role("button", name="Submit the application").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(LONG)
    expect(page.get_by_role("status")).to_contain_text("is submitted")
    site.check(page, "application-submitted")
