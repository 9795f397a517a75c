"""An officer names the hosts of a pool; a maintainer has one alone, and reads where the job is and why the next one waits."""

from compute_start import arrange
from journey import Site
from playwright.sync_api import Page, expect

from compute.services import tick
from core.clock import utc_now

LONG = "gpu2-of-the-second-rack-in-the-cellar.building-7.example.org"


def test_a_job_has_a_host_alone_and_says_which(site: Site, page: Page) -> None:
    start = arrange(site)
    site.sign_in(page, "olga@example.org")
    an_officer_names_hosts_by_keyboard_alone(site, page)
    site.sign_in(page, start.maintainer)
    who_asks_for_more_than_a_host_has_is_told(site, page)
    submit(site, page, "Latency, undisturbed")
    expect(page.get_by_role("heading", level=1)).to_have_text("Latency, undisturbed")
    tick.schedule(site.session, {"local"}, now=utc_now())
    page.reload()
    expect(page.locator("#state")).to_contain_text(f"{LONG}, alone: 2 devices")
    site.check(page, "job-alone")
    submit(site, page, "Throughput, undisturbed")
    expect(page.get_by_role("heading", level=1)).to_have_text("Throughput, undisturbed")
    tick.schedule(site.session, {"local"}, now=utc_now())
    page.reload()
    expect(page.locator("#state")).to_contain_text("needs 2 × cpu (a host to itself), 1 free")
    site.check(page, "job-waits-for-a-host")


def an_officer_names_hosts_by_keyboard_alone(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/compute/pools/here")
    page.get_by_role("link", name="Name its hosts").press("Enter")
    page.get_by_label("Name").focus()
    for typed in ("gpu 1", "1", "It was here."):
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".error-summary")).to_be_focused()
    expect(page.locator(".error-summary")).to_contain_text("letters, digits, dots and hyphens")
    site.check(page, "host-refused")
    page.get_by_label("Name").fill("gpu1.example.org")
    page.get_by_role("button", name="Add host").press("Enter")
    page.get_by_role("link", name="Add a host").press("Enter")
    page.get_by_label("Name").fill(LONG)
    page.get_by_label("GPUs or slices").fill("2")
    page.get_by_label("Reason").fill("It was bought in November.")
    page.keyboard.press("Enter")
    expect(page.get_by_role("table", name="The machines of this pool")).to_contain_text("In service")
    site.check(page, "pool-hosts")


def who_asks_for_more_than_a_host_has_is_told(site: Site, page: Page) -> None:
    submit(site, page, "Too large", gpus="3")
    expect(page.locator(".error-summary")).to_contain_text("The largest host with CPU slot has 2; this job asks for 3 at once.")


def submit(site: Site, page: Page, name: str, *, gpus: str = "2") -> None:
    page.goto(f"{site.url}/jobs/new")
    page.get_by_label("Name").fill(name)
    page.get_by_label("A command alone").check()
    page.get_by_label("Command", exact=True).fill("bench serve")
    page.get_by_label("How many").fill(gpus)
    page.get_by_label("Longest run time").fill("6m")
    page.get_by_label("Alone on its host").check()
    page.get_by_role("button", name="Submit job").click()
