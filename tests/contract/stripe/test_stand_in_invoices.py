"""The stand-in's own rules of invoices: what Stripe lets be done to one in each state, and how money pays it."""

from datetime import timedelta
from typing import Any

import pytest
import stripe

from core import stripe_api
from tests.fakes.stripe import StripeServer, checkout
from tests.fakes.stripe import invoices as at_stripe
from tests.fakes.stripe.server import KEY


class Books:
    """Our side: an account's invoices, by the real library."""

    def __init__(self, server: StripeServer) -> None:
        self.world = server.world
        self.v1 = stripe_api.client(KEY, api_base=server.url, timeout=timedelta(seconds=8)).v1
        self.customer = self.v1.customers.create({"name": "Acme", "email": "acme@acme.example"}).id

    def draft(self, amount: int | None = 5_000_00) -> str:
        asked: Any = {
            "customer": self.customer, "collection_method": "send_invoice", "days_until_due": 30, "currency": "usd",
            "auto_advance": False, "pending_invoice_items_behavior": "exclude", "metadata": {"ours": "1"},
            "payment_settings": {"payment_method_types": ["customer_balance", "us_bank_account"]},
        }  # fmt: skip
        made = self.v1.invoices.create(asked).id
        if amount is not None:
            self.item(made, amount)
        return made

    def item(self, invoice: str, amount: int, currency: str = "usd") -> None:
        self.v1.invoice_items.create(
            {"customer": self.customer, "invoice": invoice, "currency": currency, "amount": amount, "description": "x"}
        )

    def final(self, amount: int = 5_000_00) -> str:
        made = self.draft(amount)
        self.v1.invoices.finalize_invoice(made, {"auto_advance": False})
        return made

    def get(self, invoice: str) -> stripe.Invoice:
        return self.v1.invoices.retrieve(invoice)

    def intent(self, invoice: str) -> dict[str, Any]:
        """Its payment, as the stand-in has it."""
        (payment,) = self.v1.invoice_payments.list({"invoice": invoice}).data
        return self.world.objects[str(payment.payment.payment_intent)]


@pytest.fixture
def books(stripe_server: StripeServer) -> Books:
    return Books(stripe_server)


def refused(deed: Any, *given: Any) -> str:
    with pytest.raises(stripe.InvalidRequestError) as said:
        deed(*given)
    return str(said.value.user_message or said.value)


def test_a_draft_is_filled_and_thrown_away_and_a_final_one_neither(books: Books) -> None:
    draft = books.draft(amount=None)
    assert (books.get(draft).total, books.get(draft).number, books.get(draft).hosted_invoice_url) == (0, None, None)
    books.item(draft, 100_00)
    books.item(draft, 50_00)
    assert (books.get(draft).total, books.get(draft).amount_remaining) == (150_00, 150_00)
    assert "currency" in refused(books.item, draft, 1_00, "eur")
    books.v1.invoices.delete(draft)
    assert "No such invoice" in refused(books.get, draft)
    final = books.final()
    assert "no longer editable" in refused(books.item, final, 1_00)
    assert "only delete draft" in refused(books.v1.invoices.delete, final)
    assert "already finalized" in refused(books.v1.invoices.finalize_invoice, final)
    assert books.get(final).total == 5_000_00


@pytest.mark.parametrize("amount", [None, 49, 100_000_000])
def test_only_what_can_be_charged_becomes_final(books: Books, amount: int | None) -> None:
    draft = books.draft(amount)
    assert "between $0.50 and $999,999.99" in refused(books.v1.invoices.finalize_invoice, draft)
    assert books.get(draft).status == "draft"


def test_a_draft_is_neither_sent_voided_nor_paid(books: Books) -> None:
    draft = books.draft()
    for deed in (books.v1.invoices.send_invoice, books.v1.invoices.void_invoice):
        assert "draft" in refused(deed, draft)
    assert "draft" in refused(books.v1.invoices.pay, draft, {"paid_out_of_band": True})


def test_its_payment_has_nothing_of_its_metadata_and_is_found_by_it_alone(books: Books) -> None:
    final = books.final()
    intent = books.intent(final)
    assert (intent["metadata"], intent["amount"], intent["customer"]) == ({}, 5_000_00, books.customer)
    asked: Any = {"payment": {"type": "payment_intent", "payment_intent": intent["id"]}}
    (found,) = books.v1.invoice_payments.list(asked).data
    assert (found.invoice, found.status, found.is_default) == (final, "open", True)


def test_a_void_one_is_never_paid_and_never_open_again(books: Books) -> None:
    final = books.final()
    books.v1.invoices.void_invoice(final)
    assert (books.get(final).status, books.intent(final)["status"]) == ("void", "canceled")
    for deed in (books.v1.invoices.void_invoice, books.v1.invoices.send_invoice):
        assert "void" in refused(deed, final)
    at_stripe.transfer(books.world, books.customer, 5_000_00)
    assert (books.get(final).status, books.world.available("usd")) == ("void", 10_000_000)


def test_a_debit_on_its_way_keeps_it_from_being_voided_or_ended(books: Books) -> None:
    final = books.final()
    intent = at_stripe.agree(books.world, final)
    assert "processing" in refused(books.v1.invoices.void_invoice, final)
    assert "processing" in refused(books.v1.invoices.pay, final, {"paid_out_of_band": True})
    checkout.arrive(books.world, intent["id"])
    assert (books.get(final).status, books.get(final).amount_remaining) == ("paid", 0)
    assert "paid" in refused(books.v1.invoices.void_invoice, final)


def test_a_transfer_pays_the_oldest_that_it_covers_whole_and_keeps_the_rest(books: Books) -> None:
    large, small = books.final(5_000_00), books.final(1_000_00)
    at_stripe.transfer(books.world, books.customer, 4_000_00)
    assert (books.get(large).status, books.get(small).status) == ("open", "paid")
    assert books.world.cash[books.customer, "usd"] == 3_000_00
    at_stripe.transfer(books.world, books.customer, 2_500_00)
    assert (books.get(large).status, books.world.cash[books.customer, "usd"]) == ("paid", 500_00)
    later = books.final(500_00)
    assert (books.get(later).status, books.world.cash[books.customer, "usd"]) == ("paid", 0), "what lies there pays the next"


def test_one_that_was_paid_elsewhere_moved_no_money_here(books: Books) -> None:
    final = books.final()
    books.v1.invoices.pay(final, {"paid_out_of_band": True})
    found = books.get(final)
    assert (found.status, found.amount_paid_off_stripe, books.world.available("usd")) == ("paid", 5_000_00, 10_000_000)
    assert books.intent(final)["status"] == "canceled"


def test_one_that_was_written_off_can_still_be_paid_or_voided(books: Books) -> None:
    paid, voided = books.final(100_00), books.final(200_00)
    for each in (paid, voided):
        at_stripe.write_off(books.world, each)
    at_stripe.transfer(books.world, books.customer, 100_00)
    books.v1.invoices.void_invoice(voided)
    assert (books.get(paid).status, books.get(voided).status) == ("paid", "void")


def test_a_second_payment_makes_it_overpaid_and_is_told(books: Books) -> None:
    final = books.final()
    at_stripe.transfer(books.world, books.customer, 5_000_00)
    at_stripe.pay_twice(books.world, final, 200_00)
    assert (books.get(final).amount_paid, books.get(final).amount_overpaid) == (5_000_00, 200_00)
    kinds = [each["type"] for each in books.world.events]
    assert kinds.index("invoice.paid") < kinds.index("invoice.overpaid")
    assert kinds.count("invoice_payment.paid") == 2


def test_an_edited_one_is_void_and_names_the_one_in_its_place(books: Books) -> None:
    final = books.final()
    made = at_stripe.revise(books.world, final, 6_000_00)
    old, new = books.get(final), books.get(made["id"])
    assert (old.status, old.latest_revision, old.total) == ("void", new.id, 5_000_00)
    assert (new.status, new.total, new.latest_revision) == ("open", 6_000_00, None)
    assert new.from_invoice is not None
    assert (new.from_invoice.action, new.from_invoice.invoice) == ("revision", final)
    at_stripe.transfer(books.world, books.customer, 6_000_00)
    assert (books.get(final).status, books.get(new.id).status) == ("void", "paid")


def test_nobody_is_e_mailed_without_an_address(books: Books) -> None:
    books.customer = books.v1.customers.create({"name": "No mail"}).id
    assert "no e-mail address" in refused(books.v1.invoices.send_invoice, books.final())
