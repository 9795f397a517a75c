"""Instalments that are paid by an invoice: made and sent once, followed to the fund, withdrawn, and never booked twice."""

import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from stripe import InvoiceItemService

from core import audit, ledger
from core.errors import InvalidInput, NotAllowed, NotFound
from core.files import StoredFile
from core.files import store as keep
from core.identity.models import Person, Role
from pledge import queries, tasks
from pledge.models import (
    InstalmentStatus,
    InstalmentWay,
    InvoiceStanding,
    InvoiceWish,
    PayIn,
    PayInStatus,
    Pledge,
    PledgeInstalment,
)
from pledge.providers.base import AnswerKept, KeyRefused, NotThere, ProviderRefused, ProviderSilent
from pledge.services import bank_lines, instalments, invoice_endings, invoices, pay_ins
from pledge.services.instalments import PaidOnline
from pledge.services.invoice_endings import EndingAsked, KnownThere, OwnEnding
from pledge.services.invoices import NotWithdrawable
from pledge.services.pay_in_postings import Accounts
from pledge.services.pay_ins import NotPayable
from tests.fakes.pay_ins import Till
from tests.fakes.stripe import Fault, checkout, refunds
from tests.fakes.stripe import invoices as at_stripe
from tests.integration.pledge.conftest import give, person


@pytest.fixture
def row(till: Till, instalment: PledgeInstalment) -> PayIn:
    """An invoice over $5,000 that was sent."""
    return till.invoice(instalment)


@pytest.fixture
def second(session: Session, now: datetime) -> Person:
    made = person(session, "Farid", now)
    give(session, made, Role.FINANCE)
    return made


@pytest.fixture
def statement(session: Session, finance: Person, now: datetime) -> StoredFile:
    return keep(session, io.BytesIO(b"%PDF-1.4 closed"), name="closed.pdf", uploaded_by_id=finance.id, now=now)


def pay_by_transfer(till: Till, row: PayIn, amount: int | None = None) -> None:
    found = till.stripe_invoice(row)
    at_stripe.transfer(till.world, found["customer"], found["amount_remaining"] if amount is None else amount)


def state(row: PayIn) -> tuple[PayInStatus, InvoiceStanding, InstalmentStatus]:
    assert row.invoice is not None
    return row.status, row.invoice.standing, row.instalment.status


def kinds(till: Till, kind: str) -> list[Any]:
    return [each for each in till.world.objects.values() if each["object"] == kind]


# ------------------------------------------------------------------------------------------------ asked for, paid


def test_an_invoice_is_sent_once_and_says_what_the_company_asked_for(till: Till, row: PayIn) -> None:
    found = till.stripe_invoice(row)
    assert (found["status"], found["total"], found["_sent"]) == ("open", 5_000_00, 1)
    assert found["custom_fields"] == [{"name": "PO number", "value": "PO 4711"}]
    assert (found["customer_name"], found["customer_email"]) == ("Acme Inc.", "invoices@acme.example")
    assert found["customer_address"]["city"] == "Springfield"
    assert found["due_date"] - found["created"] == timedelta(days=30).total_seconds()
    assert found["payment_settings"]["payment_method_types"] == ["customer_balance", "us_bank_account"]
    assert row.invoice is not None
    assert (row.invoice.number, row.invoice.due_on) == (found["number"], till.clock().date() + timedelta(days=30))
    assert state(row) == (PayInStatus.OPEN, InvoiceStanding.OPEN, InstalmentStatus.AWAITING_PAYMENT)
    till.tend(row)
    assert (found["_sent"], len(kinds(till, "invoice"))) == (1, 1)


def test_a_debit_pays_an_invoice_and_settles_days_later(till: Till, row: PayIn, codes: Accounts) -> None:
    payment = at_stripe.agree(till.world, row.invoice.invoice_id or "" if row.invoice else "")
    till.look(row)
    assert state(row)[0] is PayInStatus.PROCESSING
    checkout.arrive(till.world, payment["id"])
    till.look(row)
    assert state(row) == (PayInStatus.PAID, InvoiceStanding.PAID, InstalmentStatus.PAID)
    till.clock.pass_(days=5)
    till.look(row)
    assert state(row) == (PayInStatus.SETTLED, InvoiceStanding.PAID, InstalmentStatus.SETTLED)
    assert ledger.balance(till.session, codes.stripe).posted == 5_000_00 - 5_00 == till.world.available("usd")
    assert ledger.balance(till.session, codes.fund).posted == 5_000_00 - 5_00


def test_a_transfer_that_is_too_small_leaves_it_open_and_the_rest_completes_it(till: Till, row: PayIn) -> None:
    pay_by_transfer(till, row, 4_000_00)
    till.look(row)
    assert (state(row)[:2], row.missing_minor) == ((PayInStatus.OPEN, InvoiceStanding.OPEN), 1_000_00)
    assert row.movements == []
    with pytest.raises(NotWithdrawable, match="lies at Stripe"):
        invoices.withdraw(till.session, row.id, actor=till.editor, now=till.clock())
    with pytest.raises(PaidOnline):
        say_sent(till, row)
    pay_by_transfer(till, row, 1_000_00)
    till.look(row)
    assert (state(row)[:2], row.missing_minor) == ((PayInStatus.SETTLED, InvoiceStanding.PAID), None)


def test_what_was_transferred_too_much_is_told(till: Till, row: PayIn) -> None:
    pay_by_transfer(till, row, 5_100_00)
    till.look(row)
    assert (row.status, row.surplus_minor) == (PayInStatus.SETTLED, 100_00)


def test_a_second_payment_of_the_same_invoice_is_booked_and_shown_as_too_much(till: Till, row: PayIn, codes: Accounts) -> None:
    pay_by_transfer(till, row)
    till.look(row)
    at_stripe.pay_twice(till.world, row.invoice.invoice_id or "" if row.invoice else "", 200_00)
    till.look(row)
    assert sorted(each.gross_minor for each in row.movements) == [200_00, 5_000_00]
    assert str(pay_ins.overpaid(row.instalment)) == "200.00 USD"
    assert ledger.balance(till.session, codes.stripe).posted == till.world.available("usd")


def test_a_debit_that_bounces_leaves_the_invoice_to_be_paid_again(till: Till, row: PayIn) -> None:
    assert row.invoice is not None
    payment = at_stripe.agree(till.world, row.invoice.invoice_id or "")
    till.look(row)
    checkout.bounce(till.world, payment["id"])
    till.look(row)
    assert state(row) == (PayInStatus.FAILED, InvoiceStanding.OPEN, InstalmentStatus.FAILED)
    assert row.id in queries.unfinished_pay_ins(till.session)
    with pytest.raises(NotPayable, match="is open"):
        till.open(row.instalment)
    pay_by_transfer(till, row)
    till.look(row)
    assert state(row) == (PayInStatus.SETTLED, InvoiceStanding.PAID, InstalmentStatus.SETTLED)


@pytest.mark.parametrize("shuffled", [False, True])
def test_every_notice_of_an_invoice_leads_to_its_pay_in(till: Till, row: PayIn, shuffled: bool) -> None:
    """Also those about a payment or a charge, which carry none of our marks; in any order, twice, they book once."""
    assert row.invoice is not None
    at_stripe.pass_due(till.world, row.invoice.invoice_id or "")
    pay_by_transfer(till, row)
    events = [each for each in till.world.events if each["data"]["object"]["object"] != "cash_balance"]
    assert {"invoice.overdue", "invoice.paid", "invoice_payment.paid", "charge.succeeded"} <= {each["type"] for each in events}
    row.payment_id = None  # as if nobody had looked before
    for event in [*(reversed(events) if shuffled else events), *events]:
        till.deliver(event)
    assert {till.session.get_one(tasks.inbox.StripeEvent, each["id"]).outcome for each in events} == {
        f"looked at pay-in {row.id}"
    }
    assert (row.status, len(row.movements)) == (PayInStatus.SETTLED, 1)


def test_a_large_instalment_takes_several_invoices_one_after_the_other(till: Till, pledge: Pledge) -> None:
    instalment = till.announce(pledge, "1500000")
    first = till.invoice(instalment)
    assert str(first.money) == "999,999.99 USD"
    with pytest.raises(NotPayable, match="is open"):
        till.ask_for_invoice(instalment)
    pay_by_transfer(till, first)
    till.look(first)
    second = till.invoice(instalment, po_number=None)
    assert str(second.money) == "500,000.01 USD"
    assert till.stripe_invoice(second)["custom_fields"] is None
    pay_by_transfer(till, second)
    till.look(second)
    assert instalment.status is InstalmentStatus.SETTLED


# ------------------------------------------------------------------------------------------------ refused, silent


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"po_number": "4" * 141}, "po_number"), ({"po_number": "4\n7"}, "po_number"), ({"email": "acme"}, "email"),
        ({"city": " "}, "city"), ({"country": "usa"}, "country"),
    ],
)  # fmt: skip
def test_what_an_invoice_can_not_say_is_refused_and_nothing_begins(
    till: Till, instalment: PledgeInstalment, said: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        till.ask_for_invoice(instalment, **said)
    assert (refused.value.field, instalment.pay_ins) == (field, [])


@pytest.mark.parametrize(
    "step", ["POST /v1/customers/", "POST /v1/invoices", "POST /v1/invoiceitems", "POST /v1/invoices/in_", "GET /v1/invoices"]
)
@pytest.mark.parametrize("kind", ["cut_after", "500_after", "500_before", "html"])
def test_an_unclear_answer_at_any_step_leads_to_one_invoice_all_the_same(
    till: Till, instalment: PledgeInstalment, step: str, kind: str
) -> None:
    row = till.ask_for_invoice(instalment)
    till.server.faults = [Fault(kind, times=1, on=step)]
    with pytest.raises(ProviderSilent):
        till.tend(row)
    till.tend(row)
    assert state(row)[:2] == (PayInStatus.OPEN, InvoiceStanding.OPEN)
    (found,) = kinds(till, "invoice")
    assert (found["total"], found["_sent"]) == (5_000_00, 1)
    assert row.invoice is not None
    assert row.invoice.sent_at == till.clock()


def test_an_error_that_stripe_saved_is_not_asked_for_again(till: Till, instalment: PledgeInstalment) -> None:
    """Under the same key it would be answered for a day."""
    row = till.ask_for_invoice(instalment)
    till.server.faults = [Fault("500_before", times=1, on="POST /v1/invoices")]
    with pytest.raises(AnswerKept):
        till.tend(row)
    assert row.invoice is not None
    assert row.invoice.tries == 2


def test_what_stripe_refuses_is_said_and_another_can_be_asked_for(till: Till, instalment: PledgeInstalment) -> None:
    """Somebody changed the draft in the dashboard; it is thrown away."""
    row = till.ask_for_invoice(instalment)
    till.server.faults = [Fault("cut_after", times=1, on="POST /v1/invoiceitems")]
    with pytest.raises(ProviderSilent):
        till.tend(row)
    (draft,) = kinds(till, "invoice")
    draft["total"] = 1
    till.tend(row)
    assert state(row) == (PayInStatus.FAILED, InvoiceStanding.VOID, InstalmentStatus.FAILED)
    assert "not 5,000.00 USD" in (row.problem or "")
    assert kinds(till, "invoice") == []
    assert till.invoice(instalment).status is PayInStatus.OPEN


def test_an_item_that_came_twice_is_never_asked_of_the_company(
    till: Till, instalment: PledgeInstalment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The item of an earlier try, whose answer was an error, comes between our look at the draft and the item of this try."""
    once = InvoiceItemService.create

    def twice(service: InvoiceItemService, params: Any, options: Any) -> Any:
        once(service, params, {"idempotency_key": "of an earlier try"})
        return once(service, params, options)

    row = till.ask_for_invoice(instalment)
    with monkeypatch.context() as patched:
        patched.setattr(InvoiceItemService, "create", twice)
        till.tend(row)
    assert (state(row)[0], kinds(till, "invoice")) == (PayInStatus.FAILED, [])
    assert "over 10,000.00 USD, not 5,000.00 USD" in (row.problem or "")


def test_a_refused_key_is_nobodys_refusal(till: Till, instalment: PledgeInstalment) -> None:
    row = till.ask_for_invoice(instalment)
    till.server.faults = [Fault("401", times=1)]
    with pytest.raises(KeyRefused):
        till.tend(row)
    assert state(row)[0] is PayInStatus.OPEN
    assert state(till.tend(row))[1] is InvoiceStanding.OPEN


def test_an_invoice_that_can_not_be_e_mailed_can_be_paid(till: Till, instalment: PledgeInstalment) -> None:
    row = till.ask_for_invoice(instalment)
    real, till.provider.send_invoice = till.provider.send_invoice, refuse  # type: ignore[method-assign]
    till.tend(row)
    till.provider.send_invoice = real  # type: ignore[method-assign]
    assert row.invoice is not None
    assert (state(row)[1], row.invoice.not_sent) == (InvoiceStanding.OPEN, "Stripe refused: no such mailbox.")
    pay_by_transfer(till, row)
    assert till.look(row).status is PayInStatus.SETTLED


def refuse(*_: Any) -> None:
    raise ProviderRefused("Stripe refused: no such mailbox.")


def test_after_a_change_of_the_account_the_company_is_made_anew(till: Till, row: PayIn, pledge: Pledge) -> None:
    old = till.stripe_invoice(row)["customer"]
    del till.world.objects[old]
    fresh = till.invoice(till.announce(pledge, "100"))
    assert till.stripe_invoice(fresh)["customer"] != old
    assert fresh.invoice is not None
    assert fresh.invoice.tries == 2


# ------------------------------------------------------------------------------------------------ withdrawn, ended


def test_a_withdrawn_invoice_is_void_and_another_way_is_open(till: Till, row: PayIn, stranger: Person) -> None:
    with pytest.raises(NotAllowed):
        invoices.withdraw(till.session, row.id, actor=stranger, now=till.clock())
    invoices.withdraw(till.session, row.id, actor=till.editor, now=till.clock())
    assert queries.unfinished_pay_ins(till.session) == [row.id]
    till.tend(row)
    assert state(row) == (PayInStatus.EXPIRED, InvoiceStanding.VOID, InstalmentStatus.AWAITING_PAYMENT)
    assert (till.stripe_invoice(row)["status"], queries.unfinished_pay_ins(till.session)) == ("void", [])
    with pytest.raises(NotWithdrawable):
        invoices.withdraw(till.session, row.id, actor=till.editor, now=till.clock())
    assert till.open(row.instalment).page_url


def test_an_invoice_is_withdrawn_before_it_was_made(till: Till, instalment: PledgeInstalment) -> None:
    row = till.ask_for_invoice(instalment)
    invoices.withdraw(till.session, row.id, actor=till.editor, now=till.clock())
    till.tend(row)
    assert (state(row)[:2], kinds(till, "invoice")) == ((PayInStatus.EXPIRED, InvoiceStanding.VOID), [])


@pytest.mark.parametrize("step", ["POST /v1/invoices", "POST /v1/invoiceitems"])
def test_a_draft_is_thrown_away_also_where_nobody_heard_of_it(till: Till, instalment: PledgeInstalment, step: str) -> None:
    row = till.ask_for_invoice(instalment)
    till.server.faults = [Fault("cut_after", times=1, on=step)]
    with pytest.raises(ProviderSilent):
        till.tend(row)
    assert len(kinds(till, "invoice")) == 1
    invoices.withdraw(till.session, row.id, actor=till.editor, now=till.clock())
    till.tend(row)
    assert (state(row)[:2], kinds(till, "invoice")) == ((PayInStatus.EXPIRED, InvoiceStanding.VOID), [])


def test_an_invoice_that_is_paid_while_it_is_withdrawn_is_paid(till: Till, row: PayIn) -> None:
    invoices.withdraw(till.session, row.id, actor=till.editor, now=till.clock())
    payment = at_stripe.agree(till.world, row.invoice.invoice_id or "" if row.invoice else "")
    till.tend(row)
    assert state(row)[0] is PayInStatus.PROCESSING
    checkout.arrive(till.world, payment["id"])
    till.tend(row)
    assert state(row)[:2] == (PayInStatus.PAID, InvoiceStanding.PAID)


def test_what_was_voided_or_written_off_at_stripe_is_followed(till: Till, row: PayIn) -> None:
    assert row.invoice is not None
    at_stripe.write_off(till.world, row.invoice.invoice_id or "")
    till.look(row)
    assert state(row)[:2] == (PayInStatus.OPEN, InvoiceStanding.UNCOLLECTIBLE)
    with pytest.raises(NotPayable, match="is open"):
        till.open(row.instalment)
    at_stripe.void_invoice(till.world, {}, base="", invoice=row.invoice.invoice_id or "")
    till.look(row)
    assert state(row)[:2] == (PayInStatus.EXPIRED, InvoiceStanding.VOID)


def test_an_invoice_of_another_account_is_not_decided_about(till: Till, row: PayIn) -> None:
    assert row.invoice is not None
    del till.world.objects[row.invoice.invoice_id or ""]
    invoices.withdraw(till.session, row.id, actor=till.editor, now=till.clock())
    with pytest.raises(NotThere, match="another key or account"):
        till.tend(row)
    assert state(row)[:2] == (PayInStatus.OPEN, InvoiceStanding.OPEN)


@pytest.fixture
def lost(till: Till, row: PayIn) -> PayIn:
    """The account was changed, and the hourly look found nothing."""
    assert row.invoice is not None
    del till.world.objects[row.invoice.invoice_id or ""]
    with pytest.raises(NotThere):
        till.tend(row)
    return row


def test_an_invoice_of_an_account_that_is_gone_is_ended_by_two_people_with_evidence(
    till: Till, lost: PayIn, finance: Person, second: Person, statement: StoredFile
) -> None:
    session, now = till.session, till.clock()

    def ask(reason: str = "The account was closed.", actor: Person = finance) -> None:
        invoice_endings.ask(session, lost.id, reason=reason, evidence=statement, actor=actor, now=now)

    assert lost.invoice is not None
    assert lost.invoice.unknown_since == now
    with pytest.raises(NotPayable, match="is open"):
        till.open(lost.instalment)
    with pytest.raises(InvalidInput):
        ask(" ")
    with pytest.raises(NotAllowed):
        ask(actor=till.editor)
    ask()
    with pytest.raises(EndingAsked):
        ask(actor=second)
    with pytest.raises(OwnEnding):
        invoice_endings.confirm(session, lost.id, actor=finance, now=now)
    assert state(lost)[:2] == (PayInStatus.OPEN, InvoiceStanding.OPEN)
    invoice_endings.confirm(session, lost.id, actor=second, now=now)
    assert state(lost) == (PayInStatus.EXPIRED, InvoiceStanding.VOID, InstalmentStatus.AWAITING_PAYMENT)
    assert queries.unfinished_pay_ins(session) == []
    assert till.open(lost.instalment).page_url
    with pytest.raises(NotFound):
        invoice_endings.confirm(session, lost.id, actor=second, now=now)


def test_an_invoice_that_stripe_knows_is_not_ended_here(
    till: Till, lost: PayIn, finance: Person, second: Person, statement: StoredFile, pledge: Pledge
) -> None:
    session, now = till.session, till.clock()
    other = till.invoice(till.announce(pledge, "100"))
    with pytest.raises(KnownThere, match="withdraw it"):
        invoice_endings.ask(session, other.id, reason="r", evidence=statement, actor=finance, now=now)
    invoice_endings.ask(session, lost.id, reason="r", evidence=statement, actor=finance, now=now)
    assert lost.invoice is not None
    till.world.add({**till.stripe_invoice(other), "id": lost.invoice.invoice_id, "total": 5_000_00})
    till.look(lost)  # the key of before is back
    assert lost.invoice.unknown_since is None
    with pytest.raises(KnownThere):
        invoice_endings.confirm(session, lost.id, actor=second, now=now)
    invoice_endings.decline(session, lost.id, actor=finance, now=now)
    assert lost.invoice.ending is None


def test_the_database_wants_two_people_to_end_an_invoice(till: Till, lost: PayIn, finance: Person, statement: StoredFile) -> None:
    made = invoice_endings.ask(till.session, lost.id, reason="r", evidence=statement, actor=finance, now=till.clock())
    made.confirmed_by_id, made.confirmed_at = finance.id, till.clock()
    with pytest.raises(IntegrityError, match="two_people"):
        till.session.flush()


# ------------------------------------------------------------------------------------------------ changed at Stripe


def revised(till: Till, row: PayIn, total: int = 6_000_00) -> dict[str, Any]:
    assert row.invoice is not None
    return at_stripe.revise(till.world, row.invoice.invoice_id or "", total)


def test_an_invoice_that_was_changed_at_stripe_is_left_to_a_person_and_can_be_withdrawn(till: Till, row: PayIn) -> None:
    made = revised(till, row)
    for _ in range(2):
        till.look(row)
    assert state(row)[:2] == (PayInStatus.OPEN, InvoiceStanding.OPEN)
    assert row.problem == (
        f"Invoice {made['number']} was changed there: it is over 6,000.00 USD, and the company was asked for 5,000.00 USD. "
        "Nothing of it is booked."
    )
    assert [each.verb for each in audit.history(till.session, row)].count("pay_in.not_as_asked") == 1
    invoices.withdraw(till.session, row.id, actor=till.editor, now=till.clock())
    till.tend(row)
    assert (state(row)[:2], row.problem) == ((PayInStatus.EXPIRED, InvoiceStanding.VOID), None)
    assert till.world.objects[made["id"]]["status"] == "void"
    assert till.open(row.instalment).page_url


def test_what_is_paid_by_a_changed_invoice_is_not_booked_until_all_of_it_went_back(
    till: Till, row: PayIn, codes: Accounts
) -> None:
    made = revised(till, row)
    at_stripe.transfer(till.world, made["customer"], 6_000_00)
    till.look(row)
    assert (row.movements, row.problem is not None, pay_ins.overpaid(row.instalment)) == ([], True, None)
    assert ledger.balances_of(till.session, [codes.stripe]).get(codes.stripe) is None
    with pytest.raises(NotPayable, match="is open"):
        till.open(row.instalment)
    (paid,) = [each for each in kinds(till, "payment_intent") if each["status"] == "succeeded"]
    till.world.top_up(5_00)  # for the fee, which Stripe keeps
    refunds.create_refund(till.world, {"payment_intent": paid["id"], "amount": 6_000_00}, base="")
    till.clock.pass_(days=5)
    till.look(row)
    assert (row.status, row.problem) == (PayInStatus.REFUNDED_FULL, None)
    balance = ledger.balance(till.session, codes.stripe)
    owed = ledger.balance(till.session, codes.owed)
    assert balance.posted - owed.posted == till.world.available("usd") - 5_00


def test_a_revision_over_the_same_amount_is_paid_like_the_first(till: Till, row: PayIn) -> None:
    made = revised(till, row, 5_000_00)
    at_stripe.transfer(till.world, made["customer"], 5_000_00)
    till.look(row)
    assert (state(row)[:2], row.problem) == ((PayInStatus.SETTLED, InvoiceStanding.PAID), None)
    assert (row.invoice.number if row.invoice else None) == made["number"]


def test_an_invoice_in_another_currency_is_left_to_a_person_before_anybody_pays(till: Till, row: PayIn) -> None:
    till.stripe_invoice(row)["currency"] = "eur"
    till.look(row)
    assert row.problem is not None
    assert "is over 5,000.00 EUR, and the company was asked for 5,000.00 USD" in row.problem


# ------------------------------------------------------------------------------------------------ paid elsewhere


def say_sent(till: Till, row: PayIn) -> None:
    instalments.say_sent(
        till.session, row.instalment_id, sent_on=till.clock().date(), evidence_url="https://bank.example/1", actor=till.editor,
        now=till.clock(),
    )  # fmt: skip


def confirm(till: Till, row: PayIn, finance: Person) -> None:
    instalments.confirm(
        till.session, row.instalment_id, received_on=till.clock().date(), bank_reference="Line 7", actor=finance, now=till.clock()
    )


def test_an_invoice_paid_to_our_bank_is_ended_at_stripe_after_two_people_found_it(
    till: Till, row: PayIn, finance: Person, codes: Accounts
) -> None:
    say_sent(till, row)
    till.tend(row)
    assert till.stripe_invoice(row)["status"] == "open", "one person's word ends nothing"
    confirm(till, row, finance)
    till.tend(row)
    assert state(row) == (PayInStatus.EXPIRED, InvoiceStanding.PAID_ELSEWHERE, InstalmentStatus.SETTLED)
    assert till.stripe_invoice(row)["amount_paid_off_stripe"] == 5_000_00
    assert ledger.balance(till.session, codes.fund).posted == 5_000_00
    assert row.movements == []
    assert len(queries.payments_of(till.session, row.instalment.pledge)) == 1


def test_money_that_came_by_stripe_is_not_found_on_the_bank_statement_too(
    till: Till, row: PayIn, finance: Person, codes: Accounts
) -> None:
    """The company says that it sent a transfer, and it did: to Stripe."""
    say_sent(till, row)
    pay_by_transfer(till, row)
    till.look(row)
    assert (state(row)[2], row.instalment.way) == (InstalmentStatus.SETTLED, InstalmentWay.PROVIDER)
    with pytest.raises(PaidOnline):
        confirm(till, row, finance)
    assert row.instalment.id not in {each.id for each in bank_lines.PayIns().expected(till.session)}
    assert ledger.balance(till.session, codes.fund).posted == 5_000_00 - 5_00
    assert len(queries.payments_of(till.session, row.instalment.pledge)) == 1


def test_an_invoice_paid_both_ways_counts_once_and_finance_is_told(
    till: Till, row: PayIn, finance: Person, codes: Accounts
) -> None:
    """Both really came: the ledger has both, the year has one, and the rest is to be sent back."""
    say_sent(till, row)
    confirm(till, row, finance)
    pay_by_transfer(till, row)
    till.tend(row)
    assert state(row) == (PayInStatus.SETTLED, InvoiceStanding.PAID, InstalmentStatus.SETTLED)
    assert ledger.balance(till.session, codes.fund).posted == 10_000_00 - 5_00
    assert [str(each.money) for each in queries.payments_of(till.session, row.instalment.pledge)] == ["5,000.00 USD"]
    assert str(pay_ins.overpaid(row.instalment)) == "5,000.00 USD"


def test_a_debit_on_its_way_is_waited_for_before_the_invoice_is_ended(till: Till, row: PayIn, finance: Person) -> None:
    say_sent(till, row)
    confirm(till, row, finance)
    assert row.invoice is not None
    payment = at_stripe.agree(till.world, row.invoice.invoice_id or "")
    till.tend(row)
    assert (state(row)[0], row.invoice.wish) == (PayInStatus.PROCESSING, InvoiceWish.PAID_ELSEWHERE)
    checkout.bounce(till.world, payment["id"])
    till.tend(row)
    assert state(row)[:2] == (PayInStatus.EXPIRED, InvoiceStanding.PAID_ELSEWHERE)


def test_with_a_payment_page_open_a_transfer_is_still_refused(till: Till, instalment: PledgeInstalment) -> None:
    row = till.open(instalment)
    with pytest.raises(PaidOnline):
        say_sent(till, row)
    with pytest.raises(NotPayable, match="page of this instalment is open"):
        till.ask_for_invoice(instalment)


# ------------------------------------------------------------------------------------------------ overdue


def test_an_invoice_is_overdue_from_the_day_after_and_the_hourly_look_goes_on(till: Till, row: PayIn) -> None:
    assert row.invoice is not None
    assert row.invoice.due_on is not None
    due = row.invoice.due_on
    assert (row.invoice.is_overdue(due), row.invoice.is_overdue(due + timedelta(days=1))) == (False, True)
    assert queries.overdue_invoices(till.session, on=due) == []
    assert queries.overdue_invoices(till.session, on=due + timedelta(days=1)) == [row]
    assert queries.unfinished_pay_ins(till.session) == [row.id]
