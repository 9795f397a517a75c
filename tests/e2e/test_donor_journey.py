"""A donor reads its statement."""

from compute_start import arrange
from journey import Site
from playwright.sync_api import Page, expect


def test_a_donor_reads_its_statement(site: Site, page: Page) -> None:
    start = arrange(site)
    site.start_worker()
    site.command("job", "submit", "--project", "vllm", "--flavor", "cpu", "--wall", "5m", "--name", "Kernel tests",
                 "--as", start.maintainer, "--follow", "--", "sleep 2; echo done")  # fmt: skip

    site.sign_in(page, start.donor_person)
    page.goto(site.url)
    page.get_by_role("link", name="GPU offers").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("GPU offers")
    site.check(page, "donor-offers")
    page.get_by_role("link", name="Two slots for CI").click()
    site.check(page, "donor-offer")
    page.go_back()
    page.get_by_role("link", name="Statements of AWS").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("GPU time from AWS")
    site.check(page, "donor")
    page.locator("#statements + ul a, section[aria-labelledby=statements] a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("AWS, ")
    expect(page.get_by_role("main")).to_contain_text("vLLM")
    expect(page.get_by_role("main")).to_contain_text("Kernel tests")
    site.check(page, "donor-statement")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    assert download.value.suggested_filename.startswith("aws-")

    page.goto(f"{site.url}/compute/offers/new")
    page.get_by_label("Name of the offer").fill("More slots")
    page.get_by_label("First day").fill("2026-12-01")
    page.get_by_label("Last day").fill("2026-11-01")
    page.get_by_role("button", name="Enter offer").click()
    expect(page.locator(".error-summary")).to_contain_text("must close after it opens")
    site.check(page, "donor-new-offer")
