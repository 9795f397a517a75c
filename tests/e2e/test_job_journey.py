"""A project submits a job, watches its log, sees its cost."""

import json
import re
from datetime import timedelta

import pytest
from compute_start import arrange
from journey import Site
from playwright.sync_api import Page, expect
from sqlalchemy import select

from core.clock import utc_now
from core.identity import tokens
from core.identity.models import Person, Project

COMMAND = """\
echo "collecting tests"
sleep 4
echo "<b>test_kernel</b> passed"
printf '<testsuite><testcase name="test_kernel"/></testsuite>' > report.xml
sleep 1
"""


def test_a_project_submits_a_job_watches_its_log_and_sees_its_cost(site: Site, page: Page) -> None:
    start = arrange(site)
    site.sign_in(page, start.maintainer)
    page.goto(f"{site.url}/jobs/new")
    page.get_by_label("Name").fill("Kernel tests")
    page.get_by_label("A command alone").check()
    expect(page.locator("#repository")).to_be_hidden()
    page.get_by_label("Command", exact=True).fill(COMMAND)
    page.get_by_label("Files to keep").fill("report.xml")
    page.get_by_label("Longest run time").fill("30h")
    page.get_by_label("Longest run time").blur()
    # The price follows what is typed, before anything is sent.
    expect(page.locator("#quote")).to_contain_text("15.00 reference GPU-hours")
    expect(page.locator("#quote")).to_contain_text("short")
    site.check(page, "job-new")
    page.get_by_role("button", name="Submit job").click()
    expect(page.locator(".error-summary")).to_contain_text("at most")
    site.check(page, "job-refused")
    page.get_by_label("Longest run time").fill("6m")
    page.get_by_role("button", name="Submit job").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Kernel tests")
    expect(page.locator("#state")).to_contain_text("Waits because")
    site.check(page, "job-waiting")
    page.get_by_role("link", name="Explain in full").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Why Kernel tests waits")
    site.check(page, "job-explained")
    page.go_back()

    site.start_worker()
    # No reload: the page itself follows the job.
    expect(page.locator("#log")).to_contain_text("collecting tests", timeout=40_000)
    expect(page.locator("#log")).not_to_contain_text("passed")
    expect(page.locator("#log")).to_contain_text("<b>test_kernel</b> passed", timeout=20_000)
    expect(page.locator("#state")).to_contain_text("Succeeded", timeout=20_000)

    expect(page.locator("#state")).to_contain_text(re.compile(r"0\.000\d reference GPU-hours"))
    page.wait_for_timeout(1500)  # the file is taken over by a task of its own
    page.reload()
    expect(page.locator("#state")).to_contain_text("1 of 1 tests passed")
    page.get_by_text(re.compile("ledger entries behind it")).click()
    expect(page.get_by_role("main")).to_contain_text("liabilities:gpu:grant:")
    site.check(page, "job-done")
    with page.expect_download() as download:
        page.get_by_role("link", name="report.xml").click()
    assert download.value.suggested_filename == "report.xml"

    page.get_by_role("link", name="GPU time for vLLM").click()
    expect(page.get_by_role("main")).to_contain_text("Settled")
    site.check(page, "compute-grant")
    page.goto(f"{site.url}/compute")
    site.check(page, "compute")


def test_a_job_is_watched_without_javascript(site: Site, page: Page) -> None:
    start = arrange(site)
    made = site.command("job", "submit", "--project", "vllm", "--flavor", "cpu", "--wall", "5m", "--as", start.maintainer,
                        "--json", "--", "echo hello from the job")  # fmt: skip
    job_id = re.search(r'"id": "([0-9a-f-]{36})"', made)
    assert job_id
    site.start_worker()
    site.command("job", "logs", job_id[1], "--follow", "--exit-code")
    assert page.context.browser
    plain = page.context.browser.new_context(java_script_enabled=False)
    still = plain.new_page()
    still.goto(f"{site.url}/jobs/{job_id[1]}")
    expect(still.locator("#log")).to_contain_text("hello from the job")
    expect(still.locator("#state")).to_contain_text("Succeeded")
    plain.close()


def test_a_ci_system_uses_a_token_and_learns_who_failed(site: Site) -> None:
    arrange(site)
    site.start_worker()
    with site.session() as session:
        person = session.scalars(select(Person).where(Person.email == "mo@example.org")).one()
        project = session.scalars(select(Project).where(Project.slug == "vllm")).one()
        secret = tokens.issue(
            session, person, name="CI", scopes=("jobs:read", "jobs:write"), known_scopes=("jobs:read", "jobs:write"),
            lifetime=timedelta(days=1), project=project, now=utc_now(),
        ).secret  # fmt: skip
    way = ("--url", site.url, "--token", secret)
    printed = site.command("job", "submit", "--project", "vllm", "--flavor", "cpu", "--wall", "5m", *way, "--follow", "--",
                           "echo over the wire")  # fmt: skip
    assert "over the wire" in printed
    with pytest.raises(AssertionError, match="→ 1"):
        site.command("job", "submit", "--project", "vllm", "--flavor", "cpu", "--wall", "5m", *way, "--follow", "--", "exit 3")
    with pytest.raises(AssertionError, match="no project “nobody”"):
        site.command("job", "submit", "--project", "nobody", "--flavor", "cpu", "--wall", "5m", *way, "--", "true")
    listed = json.loads(site.command("job", "list", *way, "--json"))
    assert [row["status"] for row in listed["jobs"]] == ["failed", "succeeded"]
    shown = json.loads(site.command("job", "show", listed["jobs"][0]["id"], *way, "--json"))
    assert (shown["cause"], shown["exit_code"]) == ("test", 3)
    assert "does not wait" in site.command("job", "explain", listed["jobs"][0]["id"], *way)
