"""Asking for an invoice, reading it and withdrawing it, as companies and finance see it."""

from datetime import timedelta
from typing import Any

import pytest

from core.identity.models import Person
from core.web import db
from pledge.models import InvoiceStanding, PayInStatus, PledgeInstalment
from pledge.providers.invoicing import InvoiceLinks
from pledge.providers.stripe_invoices import StripeInvoices
from tests.fakes.pay_ins import Till
from tests.fakes.stripe import invoices as at_stripe

ASKED = {
    "po_number": "PO 4711", "name": "Acme Inc.", "email": "invoices@acme.example", "line1": "1 Main Street",
    "city": "Springfield", "country": "us",
}  # fmt: skip


@pytest.fixture
def place(running: PledgeInstalment) -> str:
    return f"/company/{running.member.slug}/instalments/{running.id}"


def ask(client: Any, place: str, **other: str) -> Any:
    return client.submit(client.get(f"{place}/invoice"), "Send us the invoice", follow=True, **(ASKED | other))


def test_a_company_asks_for_an_invoice_opens_and_withdraws_it(
    client: Any, wall: Till, running: PledgeInstalment, place: str, editor: Person
) -> None:
    client.sign_in(editor)
    page = client.get(place)
    for words in ("Pay now", "By bank debit: about $5.00", "By card: about $145.30", "price of it is not known", "about $20.00"):
        assert words in page.words
    page = ask(client, place)
    assert "e-mails it to invoices@acme.example" in page.words
    (row,) = running.pay_ins
    wall.tend(row)
    page = client.get(place)
    assert f"Invoice {wall.stripe_invoice(row)['number']}" in page.words
    assert "Pay $5,000.00" not in page.words
    for form in ("page", "pdf"):
        link = client.get(f"{place}/invoices/{row.id}/{form}")
        assert (link.status, link.location.startswith(f"{wall.server.url}/i/in_")) == (303, True)
    wall.stripe_invoice(row)["hosted_invoice_url"] = "https://invoice.stripe.com.evil.example/i/1"
    assert "not its own (invoice.stripe.com.evil.example)" in client.get(f"{place}/invoices/{row.id}/page").words
    page = client.submit(client.get(place), "Withdraw the invoice", follow=True)
    assert "It is being withdrawn" in page.words
    wall.tend(row)
    page = client.get(place)
    assert "withdrawn before anybody paid" in page.words
    assert "Pay $5,000.00" in page.words
    assert 'value="PO 4711"' not in client.get(f"{place}/invoice").text, "the next order has another number"
    assert 'value="1 Main Street"' in client.get(f"{place}/invoice").text


def test_the_provider_is_asked_with_no_transaction_of_the_page_open(
    client: Any, wall: Till, running: PledgeInstalment, place: str, editor: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.sign_in(editor)
    ask(client, place)
    (row,) = running.pay_ins
    wall.tend(row)
    asked, open_meanwhile = StripeInvoices.invoice_links, []

    def links(provider: StripeInvoices, invoice_id: str) -> InvoiceLinks:
        open_meanwhile.append(db().in_transaction())
        return asked(provider, invoice_id)

    monkeypatch.setattr(StripeInvoices, "invoice_links", links)
    assert client.get(f"{place}/invoices/{row.id}/page").status == 303
    assert open_meanwhile == [False]


def test_mistakes_are_shown_beside_their_fields(
    client: Any, wall: Till, running: PledgeInstalment, place: str, editor: Person
) -> None:
    client.sign_in(editor)
    page = ask(client, place, po_number="4" * 141, email="acme")
    assert "Use at most 140 characters." in page.words
    page = ask(client, place, email="acme")
    assert "such as invoices@example.com" in page.words
    assert running.pay_ins == []


def test_an_overdue_invoice_is_finances_to_see_and_to_withdraw(
    client: Any, wall: Till, running: PledgeInstalment, editor: Person, finance: Person
) -> None:
    row = wall.invoice(running)
    assert row.invoice is not None
    row.invoice.due_on = wall.clock().date() - timedelta(days=3)
    wall.session.commit()
    client.sign_in(finance)
    page = client.get("/finance/pay-ins")
    assert "Ask the company, at invoices@acme.example" in page.words
    at = f"/finance/pay-ins/online/{row.id}"
    assert client.get(f"{at}/invoice/page").location.startswith(wall.server.url)
    client.submit(client.get(f"{at}/withdrawal"), "Withdraw it", why="They merged with another company.")
    wall.tend(row)
    assert (row.status, row.invoice.standing) == (PayInStatus.EXPIRED, InvoiceStanding.VOID)
    assert "They merged with another company." in client.get(at).words


def test_strangers_see_and_do_nothing(client: Any, wall: Till, running: PledgeInstalment, place: str, stranger: Person) -> None:
    row = wall.invoice(running)
    client.sign_in(stranger)
    for path in (f"{place}/invoice", f"{place}/invoices/{row.id}/page", f"/finance/pay-ins/online/{row.id}/invoice/pdf"):
        assert client.get(path).status in {403, 404}


def test_what_came_in_part_is_told_to_both(
    client: Any, wall: Till, running: PledgeInstalment, place: str, editor: Person, finance: Person
) -> None:
    row = wall.invoice(running)
    at_stripe.transfer(wall.world, wall.stripe_invoice(row)["customer"], 4_000_00)
    wall.look(row)
    client.sign_in(editor)
    page = client.get(place)
    assert "$1,000.00 are missing" in page.words
    assert "Withdraw the invoice" not in page.words
    client.sign_in(finance)
    assert "$1,000.00 too small" in client.get("/finance/pay-ins").words
