"""Asking for an invoice, reading it and withdrawing it, as companies and finance see it."""

import io
from datetime import timedelta
from typing import Any

import pytest

from core.clock import utc_now
from core.identity.models import Person, Role
from core.web import db
from pledge.models import InvoiceStanding, InvoiceWish, PayIn, PayInStatus, PledgeInstalment
from pledge.providers.base import NotThere, Snapshot
from pledge.providers.invoicing import InvoiceLinks
from pledge.providers.stripe_invoices import StripeInvoices
from tests.fakes.pay_ins import Till
from tests.fakes.stripe import invoices as at_stripe
from tests.integration.pledge.conftest import give, person

ASKED = {
    "po_number": "PO 4711", "name": "Acme Inc.", "email": "invoices@acme.example", "line1": "1 Main Street",
    "city": "Springfield", "country": "us",
}  # fmt: skip


@pytest.fixture
def place(running: PledgeInstalment) -> str:
    return f"/company/{running.member.slug}/instalments/{running.id}"


@pytest.fixture
def wall_second(wall: Till) -> Person:
    made = person(wall.session, "Farid", utc_now())
    give(wall.session, made, Role.FINANCE)
    wall.session.commit()
    return made


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


def test_a_changed_invoice_says_to_both_what_to_do(
    client: Any, wall: Till, running: PledgeInstalment, place: str, editor: Person, finance: Person
) -> None:
    row = wall.invoice(running)
    assert row.invoice is not None
    made = at_stripe.revise(wall.world, row.invoice.invoice_id or "", 6_000_00)
    wall.look(row)
    client.sign_in(editor)
    assert "not as you asked for it any more" in client.get(place).words
    client.sign_in(finance)
    page = client.get(f"/finance/pay-ins/online/{row.id}")
    assert f"Invoice {made['number']} was changed there: it is over 6,000.00 USD" in page.words
    assert "If nobody has paid it, withdraw it here" in page.words
    assert [a for a in page.all("a") if "Withdraw the invoice" in "".join(a.itertext())]


def test_two_people_end_an_invoice_of_an_account_that_is_gone(
    client: Any, wall: Till, running: PledgeInstalment, place: str, editor: Person, finance: Person, wall_second: Person
) -> None:
    row = wall.invoice(running)
    assert row.invoice is not None
    client.sign_in(finance, fresh_factor=True)
    at = f"/finance/pay-ins/online/{row.id}"
    assert "Stripe knows this invoice" in client.get(f"{at}/ending").words
    del wall.world.objects[row.invoice.invoice_id or ""]
    with pytest.raises(NotThere):
        wall.tend(row)
    assert "end it here: one person with evidence" in client.get(at).words
    page = client.submit(client.get(f"{at}/ending"), "Say that nobody can pay it", reason="It was closed.")
    assert (page.status, page.problems) == (422, ["Attach what shows that the account is closed, or the invoice void."])
    file = (io.BytesIO(b"%PDF-1.4 closed"), "closed.pdf")
    page = client.submit(page, "Say that nobody can pay it", follow=True, reason="It was closed.", evidence_file=file)
    assert "Another person of finance looks at the evidence" in page.words
    client.sign_in(wall_second, fresh_factor=True)
    assert client.get(f"{at}/ending/evidence").status == 200
    page = client.submit(client.get(f"{at}/ending"), "Confirm, and end it", follow=True)
    assert "The invoice is ended." in page.words
    client.sign_in(editor)
    assert "Pay $5,000.00" in client.get(place).words


@pytest.fixture
def said_to_be_gone(client: Any, wall: Till, running: PledgeInstalment, finance: Person) -> tuple[PayIn, dict[str, Any]]:
    """An invoice that a look under a wrong key did not find, said to be payable by nobody; and the invoice as Stripe has it."""
    row = wall.invoice(running)
    assert row.invoice is not None
    there = wall.world.objects.pop(row.invoice.invoice_id or "")
    with pytest.raises(NotThere):
        wall.tend(row)
    client.sign_in(finance, fresh_factor=True)
    file = (io.BytesIO(b"%PDF-1.4 closed"), "closed.pdf")
    page = client.get(f"/finance/pay-ins/online/{row.id}/ending")
    client.submit(page, "Say that nobody can pay it", reason="It was closed.", evidence_file=file)
    return row, there


def test_stripe_is_asked_again_before_an_invoice_is_ended_here(
    client: Any, wall: Till, said_to_be_gone: tuple[PayIn, dict[str, Any]], wall_second: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key was put right, and no look came since: ended here, it would stay payable at Stripe for good."""
    row, there = said_to_be_gone
    wall.world.objects[there["id"]] = there
    asked, open_meanwhile = StripeInvoices.look_at_invoice, []

    def look(provider: StripeInvoices, invoice_id: str) -> Snapshot:
        open_meanwhile.append(db().in_transaction())
        return asked(provider, invoice_id)

    monkeypatch.setattr(StripeInvoices, "look_at_invoice", look)
    client.sign_in(wall_second, fresh_factor=True)
    page = client.submit(client.get(f"/finance/pay-ins/online/{row.id}/ending"), "Confirm, and end it")
    assert (page.status, "Stripe knows this invoice after all" in page.words, open_meanwhile) == (409, True, [False])
    wall.session.expire_all()
    assert row.invoice is not None
    assert (row.status, row.invoice.standing, row.invoice.unknown_since) == (PayInStatus.OPEN, InvoiceStanding.OPEN, None)


def test_an_ended_invoice_of_an_instalment_that_is_paid_asks_for_nothing(
    client: Any, wall: Till, said_to_be_gone: tuple[PayIn, dict[str, Any]], wall_second: Person
) -> None:
    row, _ = said_to_be_gone
    assert row.invoice is not None
    row.invoice.wish = InvoiceWish.PAID_ELSEWHERE
    wall.session.commit()
    client.sign_in(wall_second, fresh_factor=True)
    at = f"/finance/pay-ins/online/{row.id}/ending"
    page = client.submit(client.get(at), "Confirm, and end it", follow=True)
    assert "The invoice is ended. Its money was found on our bank account." in page.words
    wall.session.expire_all()
    assert (row.status, row.invoice.wish) == (PayInStatus.EXPIRED, InvoiceWish.PAID_ELSEWHERE)
