"""The whole way through the pages, as officer, reviewers, maintainer and the public walk it."""

import io
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from web_client import Client, Page

from core import ledger
from core.clock import utc_now
from core.identity.models import OrganisationRole, OrganisationRoleRow, Person, Role
from grants import queries
from grants.models import Application, Grant, GrantStatus, InstalmentStatus, Programme, Review, ReviewStatus, Round
from tests.integration.grants import builders
from tests.integration.grants.builders import Funder, offer, usd


@pytest.fixture
def moment() -> datetime:
    """Pages read the wall clock."""
    return utc_now()


@pytest.fixture
def running(session: Session, programme: Programme, moment: datetime) -> Round:
    return builders.round_of(
        session,
        programme,
        opens_on=moment.date() - timedelta(days=3),
        closes_on=moment.date() + timedelta(days=30),
        decides_on=None,
    )


def ok(page: Page) -> Page:
    assert page.status == 200, page.problems
    return page


def moved(page: Page) -> str:
    assert page.status == 303, page.problems
    return page.location


def test_a_programme_is_set_up_published_funded_and_announced(
    client: Client, session: Session, funder: Funder, moment: datetime
) -> None:
    client.sign_in(funder.officer)
    form = ok(client.get("/programmes/new"))
    values = {
        "organisation": str(funder.organisation.id), "name": "Spring Fund", "currency": "USD",
        "summary": "For widely used projects.",
        "annual_cap": "1000000", "request_min": "10000", "request_step": "25000", "request_max": "100000", "award_cap": "100000",
    }  # fmt: skip
    refused = client.submit(form, "Set it up", **values, rubric="Merit | 30")
    assert refused.status == 422
    assert refused.problems == ["Line 1 of the rubric: write weight | name | most points | guidance."]
    rubric = "30 | Merit | 5 | Will it work?\n70 | Relevance"
    where = moved(client.submit(form, "Set it up", **values, rubric=rubric, checks="Is free", paperwork="28 | Agreement"))
    assert where == "/programmes/spring-fund/manage"
    client.sign_out()
    assert client.get("/programmes/spring-fund").status == 404
    client.sign_in(funder.officer)
    client.submit(ok(client.get(where)), "Publish")
    fresh = client.get("/programmes/spring-fund/rounds/new")
    today = moment.date()
    wrong = client.submit(fresh, "Announce", name="First", opens_on=today.isoformat(), closes_on="2020-01-01")
    assert wrong.problems == ["A round closes on or after the day it opens."]
    moved(client.submit(fresh, "Announce", name="First", opens_on=today.isoformat(), closes_on=""))
    rules = ok(client.get("/programmes/spring-fund/rules"))
    assert client.submit(rules, "Save the rules", annual_cap="900000").problems == [
        "Say why the rules change; it is kept with the change."
    ]
    moved(client.submit(rules, "Save the rules", annual_cap="900000", reason="Less this year"))
    client.sign_out()
    public = ok(client.get("/programmes/spring-fund"))
    assert "$900,000.00" in public.words
    assert "$10,000.00, or a multiple of $25,000.00 up to $100,000.00" in public.words
    assert "Spring Fund" in ok(client.get("/programmes")).words

    fund = "liabilities:fund:spring:usd"
    ledger.ensure_account(session, fund, "USD", normal=ledger.Side.CREDIT, guard=ledger.Guard.CREDIT)
    ledger.ensure_account(session, "assets:bank:usd", "USD", normal=ledger.Side.DEBIT, guard=ledger.Guard.DEBIT)
    ledger.post(
        session, key="spring", kind="test", legs=[ledger.Leg(debit="assets:bank:usd", credit=fund, amount=100_000)], at=moment
    )
    client.sign_in(funder.finance)
    form = ok(client.get("/programmes/spring-fund/funding"))
    assert client.submit(form, "Move the money", amount="2000", reason="2026").status == 409
    moved(client.submit(form, "Move the money", amount="600", reason="2026"))
    moved(client.submit(form, "Move the money", amount="600", reason="2026"))  # the same form again: the same transfer
    spring = queries.programme(session, "spring-fund")
    assert queries.available(session, spring) == usd(600)


def test_from_screening_to_the_first_payment(
    client: Client, session: Session, funder: Funder, running: Round, maintainer: Person, moment: datetime
) -> None:
    builders.money_in(session, running.programme, usd(20_000), moment)
    application = builders.submit(session, running, maintainer, moment)
    committee = f"/review/applications/{application.id}"
    _screen_and_assign(client, session, funder, application, committee)
    _review_twice(client, session, funder, application)
    _decide(client, funder, application, committee, moment)
    grant = queries.grant_of_application(session, application.id)
    assert grant is not None
    _accept_and_pay(client, session, funder, maintainer, grant)


def _screen_and_assign(client: Client, session: Session, funder: Funder, application: Application, committee: str) -> None:
    client.sign_in(funder.officer)
    page = ok(client.get(committee))
    assert "Answer “Has a free licence”." in client.submit(page, "Keep the answers").problems
    checks = {f"check_{check.id.hex}": "yes" for check in application.programme.checks}
    moved(client.submit(page, "Keep the answers", **checks))
    page = ok(client.get(committee))
    assert client.submit(page, "Ask them").problems == ["Choose at least one reviewer."]
    moved(client.submit(page, "Ask them", reviewers=[str(reviewer.id) for reviewer in funder.reviewers]))
    ok(client.get(committee))


def _review_twice(client: Client, session: Session, funder: Funder, application: Application) -> None:
    for reviewer, outcome in zip(funder.reviewers, ("none", "disclose", "recuse"), strict=True):
        client.sign_in(reviewer)
        assert "Reviews to write" in ok(client.get("/work")).words
        ok(client.get("/review"))
        review = queries.review_of(session, application.id, reviewer.id)
        assert review is not None
        where = moved(client.get(f"/review/{review.id}"))
        assert where == f"/review/applications/{application.id}/declaration"
        form = ok(client.get(where))
        if outcome != "none":
            assert client.submit(form, "Declare", outcome=outcome).status == 422
        moved(client.submit(form, "Declare", outcome=outcome, reason="A friend works on it." if outcome != "none" else ""))
        if outcome == "recuse":
            assert client.get(f"/review/{review.id}").status == 403
            assert "stay closed to you until the decision" in ok(client.get(f"/review/applications/{application.id}")).words
            continue
        form = ok(client.get(f"/review/{review.id}"))
        points = {f"points_{criterion.id.hex}": "6" for criterion in application.programme.criteria}
        assert "Give 0 to 5 points." in client.submit(form, "Hand in", **points, recommendation="fund", comment="Yes.").problems
        points = dict.fromkeys(points, "4")
        where = moved(client.submit(form, "Hand in", **points, recommendation="fund", comment="Yes."))
        assert "80.0" in ok(client.get(where)).words
    ok(client.get("/review"))
    statuses = {review.status for review in session.scalars(select(Review)).unique()}
    assert statuses == {ReviewStatus.SUBMITTED, ReviewStatus.RECUSED}


def _decide(client: Client, funder: Funder, application: Application, committee: str, moment: datetime) -> None:
    client.sign_in(funder.officer)
    moved(client.submit(ok(client.get(committee)), "Shortlist"))
    form = ok(client.get(f"/review/applications/{application.id}/decision"))
    first, second, third = (f"vote_{reviewer.id.hex}" for reviewer in funder.reviewers)
    values = {
        "outcome": "award", "minute": "Agreed after an hour.", "amount": "20000", "schedule": "monthly", "count": "3",
        "starts_on": moment.date().isoformat(), "recipient_name": "Widget e. V.", first: "for",
    }  # fmt: skip
    lonely = client.submit(form, "Record", **values)
    assert lonely.status == 409
    assert "the quorum is 2" in lonely.problems[0]
    assert "Agreed after an hour." in lonely.text  # nothing typed is lost
    assert client.submit(form, "Record", **values | {second: "for", third: "for"}).status == 422  # recused: no such choice
    moved(client.submit(form, "Record", **values | {second: "for"}))
    assert moved(client.get(f"/review/applications/{application.id}/decision")) == committee


def _accept_and_pay(client: Client, session: Session, funder: Funder, maintainer: Person, grant: Grant) -> None:
    body = builders.organisation(session, "Open Source Collective", country="US")
    session.add(
        OrganisationRoleRow(
            organisation_id=body.id, role=OrganisationRole.FISCAL_HOST, from_on=grant.awarded_on - timedelta(days=9)
        )
    )
    builders.member(session, funder.officer, Role.PROGRAMME_OFFICER, organisation_id=body.id)
    client.sign_in(funder.officer)
    form = ok(client.get("/fiscal-hosts"))
    since = (grant.awarded_on - timedelta(days=3)).isoformat()
    moved(client.submit(form, "Keep this fee", fee_percent="10", platform_share_percent="15", from_on=since))
    client.sign_out()
    assert client.get(f"/grants/{grant.id}").status == 404  # an offer is not public
    client.sign_in(maintainer)
    assert "Answer the offer" in ok(client.get("/work")).words
    ok(client.get("/grants/mine"))
    page = ok(client.get(moved(client.get(f"/grants/{grant.id}/own"))))
    assert "$17,999.99" in page.words  # each fee rounded half up
    assert "$6,000.00" in page.words  # 6,666.67 less 666.67
    assert client.submit(page, "Accept", payee="direct", country="DE").problems == ["Accept the terms to take the grant."]
    assert client.submit(page, "Accept", payee="direct", terms="y", country="Germany").status == 422
    moved(client.submit(page, "Accept", payee="direct", terms="y", country="DE", legal_name="Mia Maintainer"))
    ok(client.get(f"/grants/{grant.id}/own"))
    client.sign_in(funder.officer)
    manage = ok(client.get(f"/grants/{grant.id}/manage"))
    moved(client.submit(manage, "Approve payment"))
    session.expire_all()
    assert grant.instalments[0].status is InstalmentStatus.IN_PAYOUT
    ok(client.get(f"/programmes/{grant.programme.slug}/manage"))
    client.sign_out()
    public = ok(client.get(f"/grants/{grant.id}"))
    assert "A member stepped back: A friend works on it." in public.words
    assert "Ruta" not in public.text  # members are not named
    assert "2 for, 0 against" in public.words
    register = ok(client.get("/grants"))
    assert "Widget e. V." in register.words
    assert "1 disclosed, 1 recused" in register.words
    assert "Grants" in ok(client.get(f"/projects/{grant.project.slug}")).words
    csv = client.get("/grants.csv")
    assert csv.headers["Content-Type"].startswith("text/csv")
    assert "Widget e. V.,active," in csv.text


def test_an_officer_handles_documents_reports_suspension_and_the_end(
    client: Client, session: Session, funder: Funder, running: Round, maintainer: Person, moment: datetime
) -> None:
    from grants.models import PaperworkTemplate

    session.add(PaperworkTemplate(programme_id=running.programme_id, position=1, name="Agreement"))
    session.flush()
    terms = offer(usd(9_000), schedule="quarterly", count=3, starts_on=moment.date() - timedelta(days=200), report_gate=True)
    grant = builders.offered(session, running, funder, maintainer, moment, terms)
    builders.accepted(session, grant, maintainer, moment)
    own, manage = f"/grants/{grant.id}/own", f"/grants/{grant.id}/manage"
    client.sign_in(maintainer)
    ok(client.get(own))
    item = grant.paperwork[0]
    empty = client.post(f"/grants/{grant.id}/documents/{item.id}", {})
    assert empty.problems == ["Choose the file of the document."]
    sent = client.post(f"/grants/{grant.id}/documents/{item.id}", {"file": [(io.BytesIO(b"%PDF-1.7"), "a.pdf")]})
    assert sent.status == 303
    client.sign_in(funder.officer)
    moved(client.submit(ok(client.get(manage)), "In order"))
    session.expire_all()
    assert grant.status is GrantStatus.ACTIVE
    client.sign_in(maintainer)
    page = ok(client.get(own))
    part = grant.instalments[1]
    assert client.submit(page, "Send the report", instalment_id=str(part.id)).status == 422
    moved(client.submit(page, "Send the report", instalment_id=str(part.id), body="Released 1.0."))
    client.sign_in(funder.officer)
    page = ok(client.get(manage))
    assert client.submit(page, "Send it back").problems == ["Say what is missing; the recipient writes the next report from it."]
    moved(client.submit(page, "Accept the report"))
    page = ok(client.get(manage))
    moved(client.submit(page, "Pay “Quarter 3” without its report", reason="Ill"))
    moved(client.submit(ok(client.get(manage)), "Suspend", reason="No answer"))
    moved(client.submit(ok(client.get(manage)), "Resume"))
    assert client.submit(ok(client.get(manage)), "Terminate").problems == [
        "Say why the grant ends; it is published in the register."
    ]
    moved(client.submit(ok(client.get(manage)), "Terminate", reason="Archived"))
    client.sign_out()
    assert "Archived" in ok(client.get(f"/grants/{grant.id}")).words
    assert "$9,000.00 returned" in ok(client.get("/grants")).words


def test_the_register_of_interests_flags_what_waits(
    client: Client, session: Session, funder: Funder, running: Round, maintainer: Person, moment: datetime
) -> None:
    application = builders.submit(session, running, maintainer, moment)
    company = builders.organisation(session, "Replicate")
    client.sign_in(funder.officer)
    page = ok(client.get("/interests"))
    since = {"interest-from_on": "2024-01-01"}
    moved(client.submit(page, "Enter the interest", **since, **{"interest-holder": str(funder.organisation.id),
                        "interest-subject": str(company.id)}))  # fmt: skip
    page = ok(client.get("/interests"))
    link = {"link-project": str(application.project_id), "link-other": str(company.id), "link-from_on": "2024-01-01"}
    assert client.submit(page, "Enter the link", **link, **{"link-kind": "depends_on"}).status == 422
    moved(client.submit(page, "Enter the link", **link))
    words = ok(client.get(f"/review/applications/{application.id}")).words
    assert "Example Capital holds a stake in Replicate, which uses Widget." in words


@pytest.mark.parametrize("path", ["manage", "rules", "rounds/new", "exceptions"])
def test_officers_pages_are_not_for_others(client: Client, programme: Programme, maintainer: Person, path: str) -> None:
    client.sign_in(maintainer)
    assert client.get(f"/programmes/{programme.slug}/{path}").status == 403


def test_strangers_see_neither_committee_nor_offer(
    client: Client, session: Session, submitted: Application, moment: datetime
) -> None:
    client.sign_in(builders.person(session, "Eve"))
    assert client.get(f"/review/applications/{submitted.id}").status == 403
    assert client.get(f"/review/applications/{submitted.id}/decision").status == 403
    assert client.get(f"/grants/{UUID(int=7)}/acceptance").status == 404
    assert client.get("/review").status == 200
    assert client.get("/interests").status == 403


def test_the_empty_register_says_so(client: Client, maintainer: Person) -> None:
    assert "No grant here" in ok(client.get("/grants")).words


def test_a_source_is_a_web_address(client: Client, funder: Funder, submitted: Application) -> None:
    client.sign_in(funder.officer)
    form = ok(client.get("/interests"))
    address = "javascript:alert(document.domain)"
    refused = client.submit(form, "Enter the link", **{"link-from_on": "2026-01-01", "link-source_url": address})
    assert refused.status == 422
    assert "Enter a web address that starts with https:// or http://." in refused.problems
