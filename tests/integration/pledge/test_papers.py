"""Receipts and statements: what settled and stayed, exactly, and only for who may see it."""

import csv
import io
from collections.abc import Callable
from datetime import date, datetime

import pytest
from pypdf import PdfReader
from sqlalchemy.orm import Session
from web_client import Client

from core.identity.models import Person
from core.money import Money
from core.paper import PaperForm
from pledge import papers
from pledge.models import Pledge, PledgeInstalment
from pledge.papers import NoReceipt
from pledge.services import instalments, payments
from tests.fakes.pay_ins import Till


@pytest.fixture
def settled(session: Session, pledge: Pledge, editor: Person, finance: Person, now: datetime) -> PledgeInstalment:
    """$5,000 that arrived."""
    row = instalments.announce(session, pledge, money=Money.parse("5000", "USD"), actor=editor, now=now)
    instalments.say_sent(session, row.id, sent_on=date(2026, 10, 30), evidence_url="https://b.example/1", actor=editor, now=now)
    return instalments.confirm(session, row.id, received_on=date(2026, 11, 1), bank_reference="44", actor=finance, now=now)


def words(content: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages).split())


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_a_receipt_says_what_settled(session: Session, settled: PledgeInstalment) -> None:
    of = papers.receipt(session, settled)
    text = words(papers.draw_receipt(of, PaperForm.PDF))
    for part in (
        f"Receipt {settled.reference}",
        "Acme",
        "5,000.00 USD",
        "30 Oct 2026",
        "2 Nov 2026",
        "bank transfer",
        "/ledger/entries/",
    ):
        assert part in text
    (row,) = rows(papers.draw_receipt(of, PaperForm.CSV))
    assert (row["receipt"], row["company"], row["amount"], row["currency"]) == (settled.reference, "Acme", "5000.00", "USD")
    assert papers.draw_receipt(papers.receipt(session, settled), PaperForm.PDF) == papers.draw_receipt(of, PaperForm.PDF)


def test_there_is_no_receipt_before_it_settled(session: Session, pledge: Pledge, editor: Person, now: datetime) -> None:
    row = instalments.announce(session, pledge, money=Money.parse("5000", "USD"), actor=editor, now=now)
    with pytest.raises(NoReceipt, match="it is awaiting payment"):
        papers.receipt(session, row)


def test_a_receipt_of_an_online_payment_is_over_what_stayed(session: Session, till: Till, instalment: PledgeInstalment) -> None:
    till.paid(instalment)
    text = words(papers.draw_receipt(papers.receipt(session, instalment), PaperForm.PDF))
    assert "5,000.00 USD" in text
    assert "online, through Stripe" in text


def test_a_statement_has_every_payment_once_and_exact_sums(
    session: Session,
    pledge: Pledge,
    settled: PledgeInstalment,
    given: Callable[..., payments.PaymentInput],
    editor: Person,
    now: datetime,
) -> None:
    payments.record(session, pledge, given("1000.10", payee="=cmd()"), actor=editor, now=now)
    payments.record(session, pledge, given("2000.20", payee="日本 KK"), actor=editor, now=now)
    of = papers.statement(session, pledge)
    text = words(papers.draw_statement(of, PaperForm.PDF))
    for part in (
        "Statement 2026, Acme",
        settled.reference,
        "5,000.00 USD",
        "3,000.30 USD",
        "28,000.00 USD",
        "short by 19,999.70 USD",
    ):
        assert part in text
    listed = rows(papers.draw_statement(of, PaperForm.CSV))
    assert sum(int(row["amount"].replace(".", "")) for row in listed) == 8_000_30
    assert {row["paid_to"] for row in listed} == {"'=cmd()", "日本 KK", "Pledgeworks fund open-pledge"}
    assert [row["reference"] for row in listed if row["reference"]] == [settled.reference]
    assert papers.draw_statement(papers.statement(session, pledge), PaperForm.PDF) == papers.draw_statement(of, PaperForm.PDF)


def test_an_empty_year_has_a_statement_too(session: Session, pledge: Pledge) -> None:
    text = words(papers.draw_statement(papers.statement(session, pledge), PaperForm.PDF))
    assert "Nothing has settled." in text
    assert "Nothing was entered." in text


def test_the_company_finds_both_on_its_pages(
    client: Client, session: Session, settled: PledgeInstalment, editor: Person, stranger: Person
) -> None:
    client.sign_in(editor)
    page = client.get("/company/acme?period=2026")
    links = [
        a.get("href") or "" for a in page.all("a") if "receipt" in (a.get("href") or "") or "statement" in (a.get("href") or "")
    ]
    assert len(links) == 3
    for link in [*links, f"/company/acme/instalments/{settled.id}/receipt.csv"]:
        answer = client.get(link)
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.content.startswith(b"%PDF-") or b"," in answer.content
    assert "Receipt for what settled" in client.get(f"/company/acme/instalments/{settled.id}").words
    assert client.get("/company/acme/periods/2026/statement.xlsx").status == 404
    client.sign_in(stranger)
    assert client.get(links[0]).status == 403
    assert client.get(f"/company/acme/instalments/{settled.id}/receipt.pdf").status == 403
