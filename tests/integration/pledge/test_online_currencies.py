"""Paying online in other currencies than the dollar: euros by debit, transfer and invoice; others by card below its limit."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from core.identity.models import Person
from core.money import Money
from pledge.models import PayInStatus, Pledge, PledgeMember
from pledge.services import periods, rules
from pledge.services.invoices import NoInvoices
from pledge.services.pay_in_postings import accounts
from pledge.services.pay_ins import CurrencyNotTaken
from tests.fakes.pay_ins import Till
from tests.fakes.stripe import checkout
from tests.fakes.stripe import invoices as at_stripe
from tests.integration.pledge.test_pay_ins import agree


def pledge_in(till: Till, member: PledgeMember, currency: str, officer: Person) -> Pledge:
    rules.add_minimum(
        till.session, amount=Money.parse("2000", currency), valid_from=date(2020, 1, 1), source="Vote", rules_version="1",
        actor=officer, now=till.clock(),
    )  # fmt: skip
    return periods.open_period(
        till.session, member, label="2026", starts_on=date(2026, 1, 1), ends_on=date(2026, 12, 31), developers=Decimal(3),
        currency=currency, actor=till.editor, now=till.clock(),
    )  # fmt: skip


@pytest.mark.parametrize("method", ["sepa_debit", "customer_balance"])
def test_euros_come_by_debit_or_transfer_and_settle_in_euros(
    till: Till, member: PledgeMember, officer: Person, method: str
) -> None:
    row = till.open(till.announce(pledge_in(till, member, "EUR", officer)))
    (asked,) = [each for each in till.server.log.requests if each.endpoint == "POST /v1/checkout/sessions"]
    assert asked.parameters["allowed_payment_method_types"] == ["sepa_debit", "customer_balance"]
    options = asked.parameters["payment_method_options"]["customer_balance"]["bank_transfer"]
    assert options == {"type": "eu_bank_transfer", "eu_bank_transfer": {"country": "DE"}}
    checkout.arrive(till.world, till.choose(row, method))
    till.look(row)
    till.clock.pass_(days=6)
    till.look(row)
    assert (row.status, str(row.kept)) == (PayInStatus.SETTLED, "5,000.00 EUR")
    agree(till, accounts("open-pledge", "EUR"))


def test_euros_can_be_invoiced(till: Till, member: PledgeMember, officer: Person) -> None:
    row = till.invoice(till.announce(pledge_in(till, member, "EUR", officer)))
    found = till.stripe_invoice(row)
    assert (found["currency"], found["payment_settings"]["payment_method_types"]) == ("eur", ["customer_balance", "sepa_debit"])
    at_stripe.transfer(till.world, found["customer"], 4_000_00, "eur")
    till.look(row)
    assert row.missing_minor == 1_000_00
    at_stripe.transfer(till.world, found["customer"], 1_000_00, "eur")
    assert till.look(row).status is PayInStatus.SETTLED


def test_other_currencies_are_taken_by_card_below_its_limit_and_said_not_to_be_above(
    till: Till, member: PledgeMember, officer: Person, finance: Person
) -> None:
    instalment = till.announce(pledge_in(till, member, "CHF", officer))
    with pytest.raises(CurrencyNotTaken, match="no way to take it is set up"):
        till.open(instalment)
    limit = Money.parse("5000", "CHF")
    rules.add_card_limit(till.session, amount=limit, valid_from=date(2020, 1, 1), source="Board", actor=finance, now=till.clock())
    with pytest.raises(NoInvoices, match="in CHF"):
        till.ask_for_invoice(instalment)
    row = till.paid(instalment, "card")
    assert (row.status, str(row.kept)) == (PayInStatus.SETTLED, "5,000.00 CHF")
    with pytest.raises(CurrencyNotTaken, match=r"up to 5,000\.00 CHF, and this is 6,000\.00 CHF"):
        till.open(till.announce(instalment.pledge, "6000"))


def test_an_instalment_is_typed_in_the_currency_of_its_pledge(
    client: Any, till: Till, member: PledgeMember, officer: Person, editor: Person
) -> None:
    pledge = pledge_in(till, member, "EUR", officer)
    client.sign_in(editor)
    page = client.get(f"/company/{member.slug}/periods/{pledge.label}/instalments/new")
    page = client.submit(page, "Get a reference", amount="1,234.50", follow=True)
    assert "€1,234.50" in page.words
    assert "SEPA debit" in page.words
