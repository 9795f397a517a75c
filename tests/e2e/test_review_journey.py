"""Reviewers decide; the maintainer accepts: in a real browser, at both widths, with axe looking at every page."""

from datetime import timedelta
from decimal import Decimal

import pytest
from journey import Site
from playwright.sync_api import Page, expect

from core import ledger
from core.clock import utc_now
from core.identity import organisations
from core.identity.memberships import Scope
from core.identity.models import OrganisationRole, Role
from core.money import Money
from grants.models import PayeeWish, ProgrammeKind
from grants.services import applications, funding, programmes, rounds
from grants.services.programmes import Paper, RubricLine, Rules

pytestmark = pytest.mark.browser


def usd(dollars: int) -> Money:
    return Money(dollars * 100, "USD")


def arranged(site: Site) -> None:
    """A funded programme with an open round, its committee, a fiscal host, and one application handed in."""
    site.add_person("ada@example.org", "Ada Admin", admin=True)
    now = utc_now()
    with site.session() as session:
        funder = organisations.create(session, name="Example Capital", roles=[OrganisationRole.INVESTOR], actor=None, now=now)
        host = organisations.create(
            session, name="Example Collective", roles=[OrganisationRole.FISCAL_HOST], country="US", actor=None, now=now
        )
    scope = Scope(organisation=funder)
    officer = site.add_person("olu@example.org", "Olu Officer", Role.PROGRAMME_OFFICER)
    site.add_person("rana@example.org", "Rana Reviewer", Role.REVIEWER, scope=scope)
    site.add_person("remy@example.org", "Remy Reviewer", Role.REVIEWER, scope=scope)
    site.add_person("ruta@example.org", "Ruta Reviewer", Role.REVIEWER, scope=scope)
    mia = site.add_person("mia@example.org", "Mia Maintainer")
    with site.session() as session:
        rules = Rules(
            name="Spring Fund",
            kind=ProgrammeKind.OPEN_CALL,
            summary="Grants for widely used projects.",
            terms="Say publicly what the grant made possible.",
            currency="USD",
            annual_cap=usd(100_000),
            request_min=usd(10_000),
            request_step=usd(25_000),
            request_max=usd(100_000),
        )
        made = programmes.create(session, slug="spring-fund", organisation=funder, rules=rules, actor=officer, now=now)
        paper = Paper(
            checks=(("Has a free licence", ""), ("Is used by others", "")),
            rubric=(RubricLine("Merit", 30), RubricLine("Relevance", 70, guidance="Who depends on it?")),
            paperwork=(("Grant agreement", "Signed.", 28),),
        )
        programmes.set_paper(session, made.id, paper=paper, actor=officer, now=now)
        session.expire_all()
        programmes.publish(session, made.id, actor=officer, now=now)
        today = now.date()
        round_ = rounds.plan_round(
            session, made.id, name="First round", opens_on=today, closes_on=today + timedelta(days=30), decides_on=None,
            actor=officer, now=now,
        )  # fmt: skip
        bank = ledger.ensure_account(session, "assets:bank:usd", "USD", normal=ledger.Side.DEBIT, guard=ledger.Guard.DEBIT)
        legs = [ledger.Leg(debit=bank.code, credit=made.account, amount=5_000_000)]
        ledger.post(session, key="journey", kind="test.money-in", legs=legs, at=now)
        funding.register_host(
            session, organisation=host, fee_percent=Decimal(10), platform_share_percent=Decimal(15), from_on=today,
            actor=officer, now=now,
        )  # fmt: skip
        draft = applications.Draft(
            project_name="Widget",
            project_url="https://widget.example.org",
            repository_url="https://code.example.org/widget",
            licences=("MIT",),
            summary="Widget turns cranks. Thousands of companies use it.",
            use_of_funds="Half a year of maintenance.",
            plan="Two releases.",
            team="Mia Maintainer",
            payee=PayeeWish.PERSON,
            payee_name="Mia Maintainer",
            conflicts="None.",
            requested=usd(25_000),
        )
        application = applications.start_draft(session, round_id=round_.id, applicant=mia, draft=draft, now=now)
        applications.submit(session, application.id, person=mia, now=now)


def test_reviewers_decide_and_the_maintainer_accepts(site: Site, page: Page) -> None:
    arranged(site)
    _screens_and_assigns(site, page)
    _review(site, page, "rana", points=("4", "5"))
    _review(site, page, "remy", points=("3", "4"))
    _steps_back(site, page, "ruta")
    _decides(site, page)
    _accepts(site, page)
    _pays(site, page)
    page.context.clear_cookies()
    page.goto(f"{site.url}/grants")
    page.get_by_role("link", name="Widget").first.click()
    expect(page.get_by_text("A member stepped back: My cousin maintains it.")).to_be_visible()
    site.check(page, "grant-public")
    page.goto(f"{site.url}/programmes/spring-fund")
    site.check(page, "programme-public")


def _screens_and_assigns(site: Site, page: Page) -> None:
    site.sign_in(page, "olu@example.org")
    page.goto(f"{site.url}/programmes/spring-fund/manage")
    site.check(page, "programme-manage")
    page.get_by_role("link", name="Widget").click()
    for check in ("Has a free licence", "Is used by others"):
        page.get_by_role("group", name=check).get_by_label("Yes").check()
    page.get_by_role("button", name="Keep the answers").click()
    for name in ("Rana", "Remy", "Ruta"):
        page.get_by_label(f"{name} Reviewer").check()
    page.get_by_role("button", name="Ask them").click()
    site.check(page, "application-committee")


def _review(site: Site, page: Page, who: str, *, points: tuple[str, str]) -> None:
    site.sign_in(page, f"{who}@example.org")
    page.goto(f"{site.url}/review")
    if who == "rana":
        site.check(page, "review-desk")
    page.get_by_role("link", name="Declare conflicts").click()
    if who == "rana":
        site.check(page, "review-declaration")
    page.get_by_label("No, nothing").check()
    page.get_by_role("button", name="Declare").click()
    page.get_by_label("Merit").fill(points[0])
    page.get_by_label("Relevance").fill("9")
    page.get_by_label("fund it as asked").check()
    page.get_by_label("What the committee should know").fill("Solid work, and much depends on it.")
    page.get_by_role("button", name="Hand in the review").click()
    expect(page.get_by_role("link", name="Give 0 to 5 points.")).to_be_visible()
    if who == "rana":
        site.check(page, "review-refused")
    page.get_by_label("Relevance").fill(points[1])
    page.get_by_role("button", name="Hand in the review").click()
    page.get_by_role("heading", name="Widget before the committee").wait_for()


def _steps_back(site: Site, page: Page, who: str) -> None:
    site.sign_in(page, f"{who}@example.org")
    page.goto(f"{site.url}/review")
    page.get_by_role("link", name="Declare conflicts").click()
    page.get_by_label("Yes, and I step back from it").check()
    page.get_by_label("What it is").fill("My cousin maintains it.")
    page.get_by_role("button", name="Declare").click()
    page.get_by_role("link", name="Widget").click()
    expect(page.get_by_text("stay closed to you until the decision")).to_be_visible()
    expect(page.get_by_text("Solid work")).to_have_count(0)


def _decides(site: Site, page: Page) -> None:
    site.sign_in(page, "olu@example.org")
    page.goto(f"{site.url}/programmes/spring-fund/manage")
    page.get_by_role("link", name="Widget").click()
    expect(page.get_by_text("84.0").first).to_be_visible()  # (94 + 74) / 2, exactly
    page.get_by_role("button", name="Shortlist").click()
    page.get_by_role("link", name="Record the decision").click()
    page.get_by_label("Award a grant").check()
    for name in ("Rana", "Remy"):
        page.get_by_label(f"{name} Reviewer").select_option("For")
    page.get_by_label("Minute").fill("Agreed after an hour.")
    page.get_by_label("Amount", exact=False).first.fill("20000")
    page.get_by_label("Monthly", exact=True).check()
    page.get_by_label("First instalment on").fill(utc_now().date().isoformat())
    page.get_by_label("How many").fill("4")
    page.get_by_role("button", name="Record the decision").click()
    expect(page.get_by_role("link", name="outside the rule")).to_be_visible()  # 20,000 is no multiple of 25,000
    site.check(page, "decision-refused")
    page.get_by_label("Why the amount may be outside the rule").fill("Four months instead of five.")
    page.get_by_role("button", name="Record the decision").click()
    page.get_by_text("The grant is offered").wait_for()


def _accepts(site: Site, page: Page) -> None:
    site.sign_in(page, "mia@example.org")
    page.goto(f"{site.url}/work")
    page.get_by_role("link", name="Answer the offer of Spring Fund").click()
    expect(page.get_by_text("$18,000.00").first).to_be_visible()
    site.check(page, "grant-acceptance")
    page.get_by_label("Directly, to an account of my own").check()
    page.get_by_label("Country of the account").fill("DE")
    page.get_by_label("I have read the terms").check()
    page.get_by_role("button", name="Accept the grant").click()
    page.get_by_text("The grant is yours.").wait_for()
    page.get_by_label("File with: Grant agreement").set_input_files(
        {"name": "agreement.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 signed"}
    )
    page.get_by_role("button", name="Send this document").click()
    page.get_by_text("An officer checks it.").wait_for()
    site.check(page, "grant-own")


def _pays(site: Site, page: Page) -> None:
    site.sign_in(page, "olu@example.org")
    page.goto(f"{site.url}/programmes/spring-fund/manage")
    page.locator("section", has=page.get_by_role("heading", name="Grants")).get_by_role("link", name="Widget").click()
    page.get_by_role("button", name="In order").click()
    page.get_by_role("button", name="Approve payment").click()
    page.get_by_text("with payouts now").wait_for()
    site.check(page, "grant-manage")
