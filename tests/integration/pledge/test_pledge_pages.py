"""The pledge's pages, fetched and sent as a browser would. Pages read the wall clock, so dates here follow it."""

import io
import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy.orm import Session
from web_client import words

from core.clock import today, utc_now
from core.identity.models import Person
from core.money import Money
from pledge import demo, queries
from pledge.models import InstalmentStatus, MembershipStatus, PaymentChannel, Pledge, PledgeMember, PledgeRule
from pledge.services import instalments, membership, payments, periods
from pledge.services.payments import PaymentInput

HOME = "/company/acme"


@pytest.fixture
def this_year(session: Session, member: PledgeMember, editor: Person) -> Pledge:
    """The running year with 14 developers."""
    year = today().year
    return periods.open_period(
        session, member, label=str(year), starts_on=date(year, 1, 1), ends_on=date(year, 12, 31),
        developers=Decimal(14), actor=editor, now=utc_now(),
    )  # fmt: skip


@pytest.fixture
def signed_in(client: Any, editor: Person) -> Any:
    client.sign_in(editor)
    return client


def pay(session: Session, pledge: Pledge, editor: Person, amount: str = "28000", **other: Any) -> None:
    values: dict[str, Any] = {
        "payee": "curl",
        "project": "curl",
        "money": Money.parse(amount, "USD"),
        "paid_on": date(today().year, 1, 1),
        "channel": PaymentChannel.DIRECT,
        "rule": PledgeRule.OPEN_SOURCE_PROJECT,
        "evidence_url": "https://acme.example/1",
    }
    payments.record(session, pledge, PaymentInput(**values | other), actor=editor, now=utc_now())


def test_an_empty_installation_says_what_will_be_here(client: Any, officer: Person) -> None:
    page = client.get("/pledges")
    assert "No company here yet" in page.words
    assert client.get("/pledges/nobody").status == 404
    assert client.get("/pledges?order=upside-down").status == 404


def test_a_company_enters_a_year_and_publishes_it(signed_in: Any, member: PledgeMember, session: Session) -> None:
    page = signed_in.get(HOME)
    assert "Enter your first year" in page.words
    page = signed_in.get(f"{HOME}/periods/new")
    page = signed_in.submit(page, "Enter the year", developers="14", follow=True)
    assert "short by $28,000.00" in page.words
    year = str(today().year)

    page = signed_in.get(f"{HOME}/periods/{year}/payments/new")
    page = signed_in.submit(
        page, "Enter payment", payee="curl", project="curl", amount="27,999.99", paid_on=str(today()),
        evidence_url="https://acme.example/receipt", follow=True,
    )  # fmt: skip
    assert "short by $0.01" in page.words
    page = signed_in.get(f"{HOME}/periods/{year}/payments/new")
    page = signed_in.submit(
        page, "Enter payment", payee="Django", project="Django", amount="0.01", paid_on=str(today()),
        evidence_file=(io.BytesIO(b"%PDF-1.7 receipt"), "receipt.pdf"), follow=True,
    )  # fmt: skip
    assert f"{year}: met" in page.words

    page = signed_in.get(f"{HOME}/periods/{year}/report")
    page = signed_in.submit(page, "Publish", url="https://acme.example/post", declared="30000", follow=True)
    assert page.h1 == f"Acme: annual report {year}"
    assert "+$2,000.00, declared and not itemised" in page.words
    assert member.status is MembershipStatus.ACTIVE
    assert "Acme" in signed_in.get("/pledges").words


def test_a_refused_payment_keeps_what_was_typed_and_says_what_is_wrong(signed_in: Any, this_year: Pledge) -> None:
    page = signed_in.get(f"{HOME}/periods/{this_year.label}/payments/new")
    tomorrow = today() + timedelta(days=1)
    page = signed_in.submit(page, "Enter payment", payee="curl", project=" ", amount="1.005", paid_on=str(tomorrow))
    assert page.status == 422
    assert page.one("input", name="payee").get("value") == "curl"
    assert page.one("input", name="amount").get("value") == "1.005"
    text = " ".join(page.problems)
    for says in ("Name the project", "too fine", "money promised does not count"):
        assert says in text
    page = signed_in.submit(page, "Enter payment", project="curl", amount="5", paid_on=str(today()))
    assert page.problems == ["Give a link or a file that shows the payment: a receipt, an invoice, a public page."]
    page = signed_in.submit(page, "Enter payment", evidence_file=(io.BytesIO(b"\x7fELF\x02\x00"), "evil.pdf"))
    assert "is not a PDF, PNG, JPEG, ZIP or text file" in page.problems[0]


def test_a_correction_and_a_struck_out_payment_stay_readable(
    signed_in: Any, session: Session, this_year: Pledge, editor: Person
) -> None:
    pay(session, this_year, editor)
    (row,) = queries.payments_of(session, this_year)
    way = f"{HOME}/periods/{this_year.label}/payments/{row.id}"
    page = signed_in.submit(signed_in.get(f"{way}/correction"), "Save the correction", amount="27000", why="A slip.", follow=True)
    assert "short by $1,000.00" in page.words
    assert "A slip." in page.words
    assert signed_in.get(f"{way}/correction").status == 404
    (row,) = queries.payments_of(session, this_year)
    way = f"{HOME}/periods/{this_year.label}/payments/{row.id}"
    page = signed_in.submit(signed_in.get(f"{way}/removal"), "Strike out", why="Never left the bank.", follow=True)
    assert "No payment yet" in page.words
    assert "struck out" in page.words


def test_help_in_kind_never_shows_up_in_a_sum(signed_in: Any, this_year: Pledge) -> None:
    page = signed_in.get(f"{HOME}/periods/{this_year.label}/in-kind/new")
    page = signed_in.submit(page, "Enter help", description="240 hours on urllib3", value="24000", follow=True)
    assert "240 hours on urllib3" in page.words
    assert "short by $28,000.00" in page.words


def test_many_payments_are_paged_and_reached_again(signed_in: Any, session: Session, this_year: Pledge, editor: Person) -> None:
    for i in range(60):
        pay(session, this_year, editor, "10.00", payee=f"Payee {i:02}")
    page = signed_in.get(HOME)
    shown = {words(cell) for cell in page.all("th", scope="row")}
    more = next(a.get("href") for a in page.all("a", rel="next"))
    rest = {words(cell) for cell in signed_in.get(more).all("th", scope="row")}
    assert (len(shown), len(rest), len(shown | rest)) == (50, 10, 60)


def test_an_instalment_goes_from_reference_to_ledger(
    signed_in: Any, client: Any, session: Session, this_year: Pledge, finance: Person
) -> None:
    page = signed_in.get(f"{HOME}/periods/{this_year.label}/instalments/new")
    page = signed_in.submit(page, "Get a reference", amount="28000", follow=True)
    (row,) = queries.instalments_of(session, this_year)
    assert row.reference in page.words
    page = signed_in.get(f"{HOME}/instalments/{row.id}/payment")
    page = signed_in.submit(
        page, "It was sent", sent_on=str(today()), evidence_file=(io.BytesIO(b"%PDF-1.4"), "bank.pdf"), follow=True
    )
    assert "Finance looks for it" in page.words

    client.sign_in(finance, fresh_factor=True)
    page = client.get("/finance/pay-ins")
    assert row.reference in page.words
    assert client.get(f"{HOME}/instalments/{row.id}/evidence").headers["Content-Disposition"].startswith("attachment")
    page = client.get(f"/finance/pay-ins/{row.id}/confirmation")
    page = client.submit(page, "Confirm", received_on=str(today()), bank_reference="Line 3", follow=True)
    assert "settled and in the ledger" in page.words
    assert row.status is InstalmentStatus.SETTLED
    assert client.get(f"/finance/pay-ins/{row.id}/confirmation").status == 200
    page = client.submit(
        client.get(f"/finance/pay-ins/{row.id}/confirmation"), "Confirm", received_on=str(today()), bank_reference="x"
    )
    assert page.status == 409
    assert "is settled" in page.problems[0]


def test_finding_a_pay_in_wants_a_fresh_second_factor(
    client: Any, session: Session, this_year: Pledge, editor: Person, finance: Person
) -> None:
    row = instalments.announce(session, this_year, money=Money(100, "USD"), actor=editor, now=utc_now())
    instalments.say_sent(session, row.id, sent_on=today(), evidence_url="https://b.example", actor=editor, now=utc_now())
    place, said = f"/finance/pay-ins/{row.id}/confirmation", {"received_on": str(today()), "bank_reference": "x"}
    client.sign_in(finance)
    page = client.post(place, said)
    assert (page.status, row.status) == (403, InstalmentStatus.PROCESSING)
    assert "Confirm that it is you" in page.words
    client.sign_in(finance, fresh_factor=True)
    client.post(place, said)
    assert row.status is InstalmentStatus.SETTLED


def test_finance_refuses_and_the_company_sees_why(
    client: Any, session: Session, this_year: Pledge, editor: Person, finance: Person
) -> None:
    row = instalments.announce(session, this_year, money=Money(100, "USD"), actor=editor, now=utc_now())
    instalments.say_sent(session, row.id, sent_on=today(), evidence_url="https://b.example", actor=editor, now=utc_now())
    client.sign_in(finance)
    client.submit(client.get(f"/finance/pay-ins/{row.id}/refusal"), "It did not come", why="Not on the statement.")
    client.sign_in(editor)
    page = client.get(HOME)
    assert "Not on the statement." in page.words
    assert "Awaiting payment" in client.submit(page, "Send again", follow=True).words


def test_pages_are_closed_to_those_without_the_role(client: Any, this_year: Pledge, stranger: Person) -> None:
    assert client.get(HOME).status in {302, 303}
    client.sign_in(stranger)
    for path in (HOME, f"{HOME}/periods/new", f"{HOME}/member-file", "/finance/pay-ins", "/pledges/applications"):
        assert client.get(path).status == 403, path
    assert "No company of yours pledges yet" in client.get("/company").words


def test_a_company_joins_and_is_accepted(client: Any, session: Session, stranger: Person, officer: Person) -> None:
    client.sign_in(stranger)
    page = client.submit(client.get("/pledges/join"), "Ask to join", name="Bröt & Co", url="https://broet.example", follow=True)
    assert page.h1 == "Bröt & Co"
    assert "Applied" in page.words
    assert "No report yet" in client.get("/pledges/brot-co").words
    again = client.submit(client.get("/pledges/join"), "Ask to join", name="bröt co")
    assert again.status == 409
    client.sign_in(officer)
    assert "Bröt & Co" in client.get("/pledges/applications").words
    assert "Look at companies" in client.get("/work").words
    client.submit(client.get("/pledges/brot-co/check"), "Accept", why="Its post is there.")
    assert queries.member_by_slug(session, "brot-co").status is MembershipStatus.CHECKED


def test_the_member_file_comes_out_and_goes_in(
    signed_in: Any, session: Session, this_year: Pledge, member: PledgeMember, editor: Person
) -> None:
    pay(session, this_year, editor)
    page = signed_in.get(f"{HOME}/periods/{this_year.label}/report")
    signed_in.submit(page, "Publish", url="https://acme.example/post")
    exported = signed_in.get("/pledges/acme/member.json")
    document = json.loads(exported.text)
    assert document["annualReports"][0]["usdAmountPaid"] == 28000
    past = json.loads(signed_in.get("/pledges/acme/member.json?form=past").text)
    assert past["annualReports"][0]["payments"] == 28000
    assert signed_in.get("/pledges/acme/member.json?form=future").status == 404
    old = {"url": "https://acme.example/old", "year": "2020", "reportDate": "2020-06-01"}
    document["annualReports"].append(old | {"averageNumberOfDevs": 3, "usdAmountPaid": 1})
    form = signed_in.get(f"{HOME}/member-file")
    upload = (io.BytesIO(json.dumps(document).encode()), "acme.json")
    assert "is read" in signed_in.submit(form, "Read the file", file=upload, follow=True).words
    assert [report.year for report in queries.reports_of(session, member)][-1] == "2020"
    broken = signed_in.submit(form, "Read the file", file=(io.BytesIO(b'{"id": acme}'), "acme.json"))
    assert broken.status == 422
    assert "acme.json: line 1, column 8" in broken.problems[0]
    assert "Choose a member file" in signed_in.submit(form, "Read the file").problems[0]


def test_badges_are_pictures_that_may_stand_anywhere(
    signed_in: Any, session: Session, this_year: Pledge, member: PledgeMember, editor: Person
) -> None:
    member.organisation.name = '<b>"Acme" & Söhne</b>'
    pay(session, this_year, editor)
    signed_in.submit(signed_in.get(f"{HOME}/periods/{this_year.label}/report"), "Publish", url="https://acme.example/post")
    for shape in ("horizontal", "vertical", "social"):
        for tone in ("colour", "mono"):
            answer = signed_in.get(f"/pledges/acme/badge.svg?shape={shape}&tone={tone}")
            assert answer.response.mimetype == "image/svg+xml"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
            assert "$2,000 per developer" in (ET.fromstring(answer.text).get("aria-label") or "")  # noqa: S314 - our own
    assert signed_in.get("/pledges/acme/badge.svg?shape=round").status == 404


def test_nobody_on_staff_is_said_in_words(signed_in: Any, session: Session, this_year: Pledge, editor: Person) -> None:
    page = signed_in.get(f"{HOME}/periods/{this_year.label}/developers")
    page = signed_in.submit(page, "Correct", developers="0", reason="We are founders only.", follow=True)
    assert "no developers on staff" in page.words
    pay(session, this_year, editor, "5000")
    page = signed_in.submit(
        signed_in.get(f"{HOME}/periods/{this_year.label}/report"), "Publish", url="https://acme.example/post", follow=True
    )
    assert "no developers on staff" in page.words
    assert "no developers on staff" in signed_in.get("/pledges").words
    assert "no developers on staff" in signed_in.get("/pledges/acme/badge.svg").text


def test_long_names_and_long_words_stand_on_every_page(
    signed_in: Any, session: Session, this_year: Pledge, member: PledgeMember, editor: Person
) -> None:
    member.organisation.name = "Verein zur Förderung quelloffener " + "Wettervorhersageinfrastruktur" * 5
    pay(session, this_year, editor, payee="x" * 250, project="y" * 250)
    signed_in.submit(signed_in.get(f"{HOME}/periods/{this_year.label}/report"), "Publish", url="https://acme.example/post")
    for path in (HOME, "/pledges", "/pledges/acme", f"/pledges/acme/reports/{this_year.label}"):
        assert signed_in.get(path).status == 200


def test_more_time_is_given_with_a_public_reason(
    client: Any, session: Session, this_year: Pledge, member: PledgeMember, editor: Person, officer: Person
) -> None:
    member.status, member.due_on = MembershipStatus.CHECKED, None
    pay(session, this_year, editor)
    client.sign_in(editor)
    client.submit(client.get(f"{HOME}/periods/{this_year.label}/report"), "Publish", url="https://acme.example/post")
    client.sign_in(officer)
    until = today() + timedelta(days=500)
    page = client.submit(
        client.get("/pledges/acme/exception"), "Give more time", until_on=str(until), reason="A merger.", follow=True
    )
    assert "A merger." in page.words
    assert "A merger." in client.get("/pledges/acme").words


def test_the_api_gives_totals_members_and_reports(client: Any, session: Session, officer: Person) -> None:
    demo.load_public_reports(session, now=utc_now())
    first = client.api("GET", "/api/v1/pledges?limit=40").json
    assert first["totals"]["usd_all_time"] == {"all": "7270139.34", "active": "7164231.34"}
    second = client.api("GET", f"/api/v1/pledges?limit=40&cursor={first['next_cursor']}").json
    ids = [item["id"] for item in first["items"] + second["items"]]
    assert (len(ids), len(set(ids)), second["next_cursor"]) == (41, 41, None)
    sentry = client.api("GET", "/api/v1/organisations/sentry/pledge").json
    assert [report["per_developer"] for report in sentry["reports"]][:2] == ["5681.82", "5813.95"]
    assert sentry["figures_on"] == "2026-08-15"
    assert client.api("GET", "/api/v1/organisations/nobody/pledge").status == 404
    assert client.api("GET", "/api/v1/pledges?limit=0").status == 422


def test_the_demo_loads_once_and_its_made_up_company_counts_in_no_total(client: Any, session: Session) -> None:
    from core.identity import demo as people_demo

    now = utc_now()
    people = people_demo.load(session, now=now)
    member = demo.load(session, now=now, people=people)
    assert demo.load(session, now=now, people=people) is member
    page = client.get("/pledges")
    assert "made up" in page.words
    assert "$7,270,139.34" in page.words
    client.sign_in(people["company"])
    assert client.get("/company", follow=True).h1 == "Example Robotics GmbH"
    year = now.year
    for path in (
        f"/pledges/example-robotics/reports/{year - 1}", "/pledges/example-robotics", "/organisations/example-robotics", "/",
        "/pledges?members=former&order=oldest", "/pledges/sentry", "/pledges/sentry/reports/2021",
    ):  # fmt: skip
        assert client.get(path).status == 200, path
    assert membership.run_clock(session, on=now.date(), now=now) == (0, 0)
