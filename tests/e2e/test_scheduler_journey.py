"""Everything around the scheduler, as people meet it: who waits and why, who got what, and what would be different if."""

import re
from datetime import timedelta

from journey import Site
from playwright.sync_api import Page, expect
from scheduler_start import LONG, UNBROKEN, Line, arrange
from sqlalchemy import select

from compute.models import WhatIf, WhatIfStatus
from compute.queries import what_if
from compute.services import what_if as asking
from core.clock import utc_now


def test_what_the_scheduler_did_and_would_do_is_read_and_asked(site: Site, page: Page) -> None:
    site.add_person("root@example.org", "Root", admin=True)
    nothing_yet(site, page)
    line = arrange(site)
    whoever_waits_reads_why(site, page, line)
    everybody_reads_who_got_what(site, page)
    site.sign_in(page, "olga@example.org")
    an_officer_asks_by_keyboard_alone(site, page)
    an_officer_sets_rules(site, page, line)
    a_second_officer_accepts_rates(site, page)


def nothing_yet(site: Site, page: Page) -> None:
    for name, address in (("utilisation", "/compute/utilisation?days=90"), ("fairness", "/compute/fairness"), ("jobs", "/jobs")):
        page.goto(site.url + address)
        expect(page.locator(".empty")).to_be_visible()
        site.check(page, f"no-{name}")


def whoever_waits_reads_why(site: Site, page: Page, line: Line) -> None:
    page.goto(f"{site.url}/jobs?status=queued")
    expect(page.get_by_role("main")).to_contain_text("next in line")
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"UTC \(between"))
    site.check(page, "jobs-waiting")
    page.get_by_role("link", name=UNBROKEN).click()
    page.get_by_role("link", name="Explain in full").click()
    expect(page.get_by_role("main")).to_contain_text("Expected start: probably at")
    site.check(page, "explanation")
    page.goto(f"{site.url}/jobs/{line.idle}")
    expect(page.locator("#state")).to_contain_text("which have done nothing for")
    site.check(page, "job-idle")


def everybody_reads_who_got_what(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/compute/utilisation")
    expect(page.get_by_role("main")).to_contain_text("NVIDIA A100 in Dublin")
    page.get_by_text("The days as a table").first.click()
    site.check(page, "utilisation")
    page.goto(f"{site.url}/compute/fairness?flavor=h100")
    expect(page.get_by_role("main")).to_contain_text(LONG)
    site.check(page, "fairness")


def an_officer_asks_by_keyboard_alone(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/compute/what-if")
    reach(page, "Replay the history")
    page.keyboard.press("Enter")
    expect(page.locator(".error-summary")).to_be_focused()
    site.check(page, "what-if-refused")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the summary leads to the field
    page.keyboard.type("8")
    reach(page, "Replay the history")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("8 × NVIDIA A100 more")
    expect(page.locator("#state")).to_contain_text("It waits for a worker")
    site.check(page, "what-if-waiting")
    with site.session() as session:
        row = session.scalars(select(WhatIf)).one()
        row.advance(WhatIfStatus.RUNNING, utc_now())
    expect(page.locator("#state")).to_contain_text("The history is being replayed", timeout=10_000)
    site.check(page, "what-if-running")
    with site.session() as session:
        session.get_one(WhatIf, row.id).status_at = utc_now() - what_if.SILENCE - timedelta(minutes=1)
    expect(page.locator("#state")).to_contain_text("The worker that had it is gone", timeout=10_000)
    site.check(page, "what-if-silent")
    asking.reply(site.session, row.id)
    page.reload()
    expect(page.get_by_role("main")).to_contain_text("Wait of 95 in 100")
    site.check(page, "what-if-answered")
    fail(site, row)
    page.reload()
    expect(page.locator("#state")).to_contain_text("There is no answer")
    site.check(page, "what-if-failed")
    reach(page, "Ask again")
    page.keyboard.press("Enter")
    page.wait_for_url("**/compute/what-if")
    reach(page, "8 × NVIDIA A100 more")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("8 × NVIDIA A100 more")


def an_officer_sets_rules(site: Site, page: Page, line: Line) -> None:
    page.goto(f"{site.url}/admin/compute")
    site.check(page, "compute-desk")
    page.get_by_role("link", name="Set a weight").click()
    page.get_by_label("Project").select_option(label=LONG)
    page.get_by_role("button", name="Set weight").click()
    expect(page.locator(".error-summary")).to_be_visible()
    site.check(page, "weight-refused")
    page.goto(f"{site.url}/admin/compute/pools/h100/idle")
    site.check(page, "idle-rule")
    page.goto(f"{site.url}/compute/grants/{line.grant}")
    expect(page.get_by_role("main")).to_contain_text("What to expect")
    site.check(page, "grant-forecast")


def a_second_officer_accepts_rates(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/admin/compute/calibration")
    expect(page.get_by_role("main")).to_contain_text("4/5")
    site.check(page, "calibration")
    page.get_by_role("button", name="Make a proposal").click()
    expect(page.get_by_role("main")).to_contain_text("somebody else has to decide it")
    address = page.url
    site.sign_in(page, "otto@example.org")
    page.goto(address)
    site.check(page, "proposal")
    page.get_by_role("button", name="Accept rates").click()
    expect(page.get_by_role("main")).to_contain_text("Accepted")


def reach(page: Page, words: str) -> None:
    """Press Tab until the focus is on what says this."""
    for _ in range(80):
        if words in (page.evaluate("document.activeElement.innerText") or "") and page.locator(":is(a, button):focus").count():
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reaches “{words}”")


def fail(site: Site, row: WhatIf) -> None:
    """As a replay leaves it that took too long."""
    with site.session() as session:
        asked = session.get_one(WhatIf, row.id)
        asked.status, asked.answer = WhatIfStatus.FAILED, None
        asked.failure = "The replay did not end within 120 seconds; ask about fewer days."
