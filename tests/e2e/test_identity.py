"""The journeys of identity: setting up, signing in, giving roles, the second factor."""

import re

import pyotp
from journey import PASSWORD, Site
from playwright.sync_api import Page, expect

from core.identity import people
from core.identity.models import Role


def test_the_first_administrator_sets_the_installation_up(site: Site, page: Page) -> None:
    page.goto(site.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Set up Pledgeworks")
    site.check(page, "first-run")
    page.get_by_label("Set-up code").fill(people.setup_token())
    page.get_by_label("Your name").fill("Adele Admin")
    page.get_by_label("E-mail address").fill("adele@example.org")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create the administrator").click()
    expect(page.get_by_role("alert")).to_contain_text("Use at least 12 characters")
    expect(page.get_by_role("alert")).to_be_focused()
    site.check(page, "first-run-refused")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create the administrator").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What waits for you")
    site.check(page, "work-empty")


def test_a_wrong_password_is_said_once_and_nothing_typed_is_lost(site: Site, page: Page) -> None:
    site.add_person("ada@example.org", "Ada Maintainer")
    page.goto(f"{site.url}/account/sessions")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    site.check(page, "sign-in")
    page.get_by_label("E-mail address").fill("ada@example.org")
    page.get_by_label("Password").fill("wrong password here")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("The e-mail address or the password is wrong.")
    expect(page.get_by_label("E-mail address")).to_have_value("ada@example.org")
    site.check(page, "sign-in-refused")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Where you are signed in")
    site.check(page, "sessions")


def test_a_second_factor_from_enrolment_to_the_next_sign_in(site: Site, page: Page) -> None:
    site.add_person("ines@example.org", "Ines Approver", Role.PAYOUT_APPROVER)
    site.sign_in(page, "ines@example.org")
    page.goto(f"{site.url}/account/second-factor")
    site.check(page, "second-factor-enrol")
    secret = page.locator("#totp-key").inner_text()
    page.get_by_label("Code", exact=True).fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Keep these recovery codes")
    site.check(page, "recovery-codes")
    recovery = page.get_by_role("list", name="Recovery codes").get_by_role("listitem").first.inner_text()

    page.get_by_role("link", name="I have kept them").click()
    site.check(page, "second-factor")
    page.context.clear_cookies()
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("E-mail address").fill("ines@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Enter a code")
    site.check(page, "sign-in-code")
    page.get_by_label("Code", exact=True).fill(recovery)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What waits for you")


def test_an_administrator_gives_a_role_and_the_invited_person_signs_in(site: Site, page: Page) -> None:
    site.add_person("adele@example.org", "Adele Admin", admin=True)
    site.sign_in(page, "adele@example.org")
    page.goto(f"{site.url}/admin/organisations/new")
    page.get_by_label("Name", exact=True).fill("Example Foundation")
    page.get_by_label("Foundation", exact=True).check()
    site.check(page, "organisation-new")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("People of Example Foundation")
    page.get_by_label("E-mail address").fill("olga@example.org")
    page.get_by_label(re.compile("^Name, if")).fill("Olga Owner")
    page.get_by_label("Role", exact=True).select_option("owner")
    page.get_by_role("button", name="Give role").click()
    site.check(page, "confirm")
    site.confirm(page)
    link = page.locator("#invitation").inner_text()
    site.check(page, "people-of-organisation")

    page.context.clear_cookies()
    page.goto(link)
    site.check(page, "invitation")
    page.get_by_label("Password").fill("another long password")
    page.get_by_role("button", name="Set the password").click()
    site.sign_in(page, "olga@example.org", "another long password")
    page.goto(f"{site.url}/organisations/example-foundation")
    site.check(page, "organisation")
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Gone")


def test_pages_of_the_shell_in_both_widths(site: Site, page: Page) -> None:
    site.add_person("adele@example.org", "Adele Admin", admin=True)
    page.goto(f"{site.url}/_components")
    site.check(page, "components")
    page.emulate_media(color_scheme="dark")
    site.check(page, "components-dark")
    page.emulate_media(color_scheme="light")
    for path, name in [("/", "home"), ("/projects", "projects-empty"), ("/no/such/page", "not-found")]:
        page.goto(site.url + path)
        site.check(page, name)
    site.sign_in(page, "adele@example.org")
    for path, name in [
        ("/account", "account"), ("/account/tokens", "tokens"), ("/admin/people", "admin-people"), ("/", "home-signed-in"),
    ]:  # fmt: skip
        page.goto(site.url + path)
        site.check(page, name)
