"""Paying online: from the page to the fund, with the ledger telling the same as the provider's books at every moment."""

import re
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import audit, ledger
from core.books import reconciliation
from core.identity.models import Person
from core.ledger import InsufficientFunds, Leg, Side
from core.money import Money
from payouts.rails.movements import StripeMovements
from pledge import queries
from pledge.models import (
    InstalmentStatus,
    PayInMovement,
    PayInStatus,
    PaymentChannel,
    Pledge,
    PledgeInstalment,
)
from pledge.providers.base import NotThere, ProviderRefused, ProviderSilent
from pledge.providers.stripe_calls import METADATA_KEY
from pledge.services import instalments, pay_ins
from pledge.services.instalments import PaidOnline
from pledge.services.pay_in_postings import Accounts
from pledge.services.pay_ins import CurrencyNotTaken, NotPayable
from tests.fakes.pay_ins import Till
from tests.fakes.stripe import Fault, checkout, refunds
from tests.fakes.stripe.server import KEY


def posted(session: Session, code: str) -> int:
    known = ledger.balances_of(session, [code])
    return known[code].posted if known else 0


def agree(till: Till, codes: Accounts) -> None:
    """The ledger's Stripe balance is Stripe's, every balance transaction is one entry, and the books find no difference."""
    world = till.world
    ours = posted(till.session, codes.stripe) - posted(till.session, codes.owed)
    currency = codes.stripe.rsplit(":", 1)[1]
    assert ours == world.available(currency) + world.pending(currency)
    theirs = {each["id"] for each in world.objects.values() if each["object"] == "balance_transaction"}
    assert set(till.session.scalars(select(PayInMovement.id))) == theirs
    entries = ledger.entries_for(till.session, ref=("rail", "stripe"))
    assert sorted(entry.refs["balance_transaction"] for entry in entries) == sorted(theirs)
    feed = StripeMovements(KEY, api_base=till.server.url)
    reconciliation.take(till.session, feed.name, feed.read(None), now=till.clock())
    reconciliation.meet(till.session, feed.name)
    assert reconciliation.differences(till.session) == []


# ------------------------------------------------------------------------------------------------ the three ways


def test_a_card_payment_arrives_at_once_and_settles_when_stripe_lets_us_use_it(
    session: Session, till: Till, instalment: PledgeInstalment, codes: Accounts
) -> None:
    row = till.open(instalment)
    till.choose(row, "card")
    till.look(row)
    assert (row.status, instalment.status) == (PayInStatus.PAID, InstalmentStatus.PAID)
    assert posted(session, codes.unsettled) == 5_000_00
    assert posted(session, codes.fund) == 0
    assert row.fees == Money(145_30, "USD")
    agree(till, codes)

    till.clock.pass_(days=2, seconds=1)
    row = till.look(row)
    assert (row.status, instalment.status) == (PayInStatus.SETTLED, InstalmentStatus.SETTLED)
    assert (posted(session, codes.unsettled), posted(session, codes.fund)) == (0, 5_000_00 - 145_30)
    assert (posted(session, codes.fees), posted(session, codes.borne)) == (145_30, 145_30)
    (payment,) = queries.payments_of(session, instalment.pledge)
    assert (payment.channel, payment.money, payment.paid_on) == (
        PaymentChannel.PLEDGEWORKS,
        Money(5_000_00, "USD"),
        date(2026, 11, 2),
    )
    assert payment.evidence_url is not None
    assert "/ledger/entries/" in payment.evidence_url
    agree(till, codes)


def test_a_bank_debit_is_on_its_way_for_days_and_nothing_is_booked_before(
    session: Session, till: Till, instalment: PledgeInstalment, codes: Accounts
) -> None:
    row = till.open(instalment)
    payment = till.choose(row, "us_bank_account")
    till.look(row)
    assert (row.status, instalment.status) == (PayInStatus.PROCESSING, InstalmentStatus.PROCESSING)
    assert row.movements == []
    till.clock.pass_(days=3)
    checkout.arrive(till.world, payment)
    row = till.look(row)
    assert row.status is PayInStatus.PAID
    assert row.fees == Money(5_00, "USD"), "0.8 %, at most $5"
    till.clock.pass_(days=4, seconds=1)
    row = till.look(row)
    assert row.status is PayInStatus.SETTLED
    agree(till, codes)


def test_a_bounced_debit_fails_with_the_reason_and_another_page_can_be_paid(
    session: Session, till: Till, instalment: PledgeInstalment, codes: Accounts
) -> None:
    row = till.open(instalment)
    checkout.bounce(till.world, till.choose(row, "us_bank_account"))
    till.look(row)
    assert (row.status, instalment.status) == (PayInStatus.FAILED, InstalmentStatus.FAILED)
    assert "insufficient_funds" in (row.problem or "")
    assert instalment.failure_reason == row.problem
    second = till.paid(instalment)
    assert (second.number, instalment.status, instalment.failure_reason) == (2, InstalmentStatus.SETTLED, None)
    agree(till, codes)


def test_a_transfer_that_is_too_small_says_what_is_missing_and_counts_for_nothing(
    till: Till, instalment: PledgeInstalment, codes: Accounts
) -> None:
    row = till.open(instalment)
    payment = till.choose(row, "customer_balance")
    till.look(row)
    assert row.missing_minor is None, "nothing came yet, which is no news"
    checkout.arrive(till.world, payment, 4_000_00)
    row = till.look(row)
    assert (row.status, row.missing_minor, row.movements) == (PayInStatus.PROCESSING, 1_000_00, [])
    checkout.arrive(till.world, payment, 1_000_00)
    till.look(row)
    row = till.look(row)
    assert (row.status, row.missing_minor) == (PayInStatus.SETTLED, None)
    agree(till, codes)


def test_a_declined_card_leaves_the_page_open(till: Till, instalment: PledgeInstalment) -> None:
    row = till.open(instalment)
    assert row.session_id is not None
    checkout.decline(till.world, row.session_id)
    till.look(row)
    assert row.status is PayInStatus.OPEN
    assert till.open(instalment).id == row.id


def test_a_returned_debit_leaves_the_fund_even_where_the_balance_at_stripe_is_too_small(
    session: Session, till: Till, instalment: PledgeInstalment, codes: Accounts
) -> None:
    row = till.paid(instalment, "us_bank_account")
    assert row.payment_id is not None
    refunds.dispute(till.world, row.payment_id, reason="insufficient_funds", lost=True)
    till.look(row)
    assert (row.status, instalment.status) == (PayInStatus.LOST, InstalmentStatus.LOST)
    # The fee stays with Stripe: $5 of it lie nowhere, so we owe them, and the fund is short of them.
    assert (posted(session, codes.fund), posted(session, codes.shortfall), posted(session, codes.owed)) == (0, 5_00, 5_00)
    assert queries.payments_of(session, instalment.pledge) == []
    agree(till, codes)

    till.paid(till.announce(instalment.pledge, "100"), "us_bank_account")
    assert (posted(session, codes.shortfall), posted(session, codes.owed)) == (0, 0)
    assert posted(session, codes.fund) == 100_00 - 80 - 5_00
    agree(till, codes)


def test_money_in_another_currency_is_not_booked_and_said(
    session: Session, till: Till, instalment: PledgeInstalment, codes: Accounts
) -> None:
    row = till.open(instalment)
    payment = till.choose(row, "card")
    moved = till.world.objects[till.world.objects[till.world.objects[payment]["latest_charge"]]["balance_transaction"]]
    moved["currency"] = "eur"
    for _ in range(2):
        till.look(row)
    assert row.problem == f"The payment {payment} moved EUR, not USD, so nothing of it is booked."
    assert row.movements == []
    assert (posted(session, codes.stripe), ledger.entries_for(session, ref=("pay_in", str(row.id)))) == (0, [])
    assert [each.verb for each in audit.history(session, row)].count("pay_in.not_as_asked") == 1
    moved["currency"] = "usd"
    till.look(row)
    assert (row.status, row.problem) == (PayInStatus.PAID, None)
    agree(till, codes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metadata": {}}, "is not marked as this one's"),
        ({"metadata": {METADATA_KEY: str(UUID(int=7))}}, "is not marked as this one's"),
        ({"customer": "cus_other"}, r"is of another customer \(cus_other\)"),
        ({"customer": None}, "is of another customer"),
        ({"currency": "eur"}, "moved EUR, not USD"),
    ],
)
def test_a_payment_that_is_not_the_pay_in_s_is_not_booked(
    session: Session, till: Till, instalment: PledgeInstalment, codes: Accounts, change: dict[str, Any], said: str
) -> None:
    row = till.open(instalment)
    till.world.objects[till.choose(row, "card")].update(change)
    till.look(row)
    assert re.search(said, row.problem or "")
    assert (row.payment_id, row.movements, posted(session, codes.unsettled)) == (None, [], 0)


# ------------------------------------------------------------------------------------------------ pages


def test_a_page_that_is_open_is_used_again(till: Till, instalment: PledgeInstalment) -> None:
    first, second = till.open(instalment), till.open(instalment)
    assert first.id == second.id
    assert len([each for each in till.world.objects.values() if each["object"] == "checkout.session"]) == 1


def test_a_page_that_ran_out_is_followed_by_another(till: Till, instalment: PledgeInstalment) -> None:
    row = till.open(instalment)
    assert row.session_id is not None
    checkout.run_out(till.world, row.session_id)
    till.look(row)
    assert (row.status, instalment.status) == (PayInStatus.EXPIRED, InstalmentStatus.AWAITING_PAYMENT)
    assert till.open(instalment).number == 2


def test_cards_are_offered_up_to_the_limit_of_the_day(till: Till, pledge: Pledge) -> None:
    offered = {}
    for amount in ("10000", "10000.01"):
        row = till.open(till.announce(pledge, amount))
        assert row.session_id is not None
        offered[amount] = till.world.objects[row.session_id]["payment_method_types"]
    assert offered == {
        "10000": ["us_bank_account", "customer_balance", "card"],
        "10000.01": ["us_bank_account", "customer_balance"],
    }


def test_more_than_one_charge_takes_several_pages_one_after_the_other(
    session: Session, till: Till, pledge: Pledge, codes: Accounts
) -> None:
    instalment = till.announce(pledge, "2000000.01")
    amounts = []
    for _ in range(3):
        row = till.paid(instalment, "us_bank_account")
        amounts.append(row.amount_minor)
    assert amounts == [999_999_99, 999_999_49, 53], "three cents alone can't be charged"
    assert instalment.status is InstalmentStatus.SETTLED
    assert queries.year_figures(session, pledge).standing.paid == Money(2_000_000_01, "USD")
    with pytest.raises(NotPayable, match="plan another"):
        till.open(instalment)
    agree(till, codes)


def test_an_unclear_answer_opens_no_second_page_that_anybody_knows(till: Till, instalment: PledgeInstalment) -> None:
    for kind in ("cut_after", "500_after"):
        till.server.faults = [Fault(kind, times=1, on="POST /v1/checkout/sessions")]
        with pytest.raises(ProviderSilent, match="Nobody was charged"):
            till.open(instalment)
        till.session.commit()
    row = till.open(instalment)
    assert (row.number, row.asked) == (1, 3), "a saved 500 would be replayed for a day under the old key"
    known = [each["id"] for each in till.world.objects.values() if each["object"] == "checkout.session"]
    assert len(known) == 3
    assert row.session_id == known[-1]


def test_a_refused_key_says_that_a_transfer_works_meanwhile(till: Till, instalment: PledgeInstalment) -> None:
    till.server.faults = [Fault("401")]
    with pytest.raises(ProviderRefused, match="a bank transfer works meanwhile"):
        till.open(instalment)


def test_what_cannot_be_paid_online_says_why(
    session: Session, till: Till, pledge: Pledge, instalment: PledgeInstalment, editor: Person
) -> None:
    instalment.currency = "GBP"
    with pytest.raises(CurrencyNotTaken, match="GBP can't be paid online here"):
        till.open(instalment)
    instalment.currency = "USD"
    with pytest.raises(NotPayable, match="too little"):
        till.open(till.announce(pledge, "0.49"))
    till.clock.pass_(days=60)
    with pytest.raises(NotPayable, match="ended on 31 Dec 2026"):
        till.open(instalment)


# ------------------------------------------------------------------------------------------------ by hand, beside it


def test_nobody_confirms_an_online_payment_by_hand_nor_says_that_it_was_sent(
    session: Session, till: Till, instalment: PledgeInstalment, editor: Person, finance: Person
) -> None:
    row = till.open(instalment)
    payment = till.choose(row, "us_bank_account")
    till.look(row)
    now = till.clock()
    with pytest.raises(PaidOnline, match="being paid online"):
        instalments.say_sent(
            session, instalment.id, sent_on=now.date(), evidence_url="https://bank.example/1", actor=editor, now=now
        )
    with pytest.raises(PaidOnline, match="nobody confirms it by hand"):
        instalments.confirm(session, instalment.id, received_on=now.date(), bank_reference="1", actor=finance, now=now)
    with pytest.raises(PaidOnline):
        instalments.fail(session, instalment.id, reason="No.", actor=finance, now=now)
    assert instalment not in queries.pay_ins(session, InstalmentStatus.PROCESSING)
    checkout.arrive(till.world, payment)


def test_after_a_page_ran_out_a_transfer_can_be_sent(till: Till, instalment: PledgeInstalment, editor: Person) -> None:
    row = till.open(instalment)
    assert row.session_id is not None
    till.provider.close_page(row.session_id)
    till.look(row)
    instalments.say_sent(
        till.session, instalment.id, sent_on=till.clock().date(), evidence_url="https://b.example/1", actor=editor,
        now=till.clock(),
    )  # fmt: skip
    with pytest.raises(NotPayable, match="transfer of this instalment was sent"):
        till.open(instalment)


def test_a_page_of_another_account_blocks_nobody_once_it_is_over(till: Till, instalment: PledgeInstalment) -> None:
    """While it may still be paid there, nothing is decided; nor ever about money that is on its way."""
    page, other = till.open(instalment), till.announce(instalment.pledge)
    awaited = till.open(other)
    till.choose(awaited, "customer_balance")
    till.look(awaited)
    for row in (page, awaited):
        del till.world.objects[row.session_id or ""]
    with pytest.raises(NotThere, match="another key or account"):
        till.look(page)
    till.clock.pass_(days=1, minutes=1)
    till.look(page)
    assert page.status is PayInStatus.EXPIRED
    assert till.open(instalment) is not page
    with pytest.raises(NotThere):
        till.look(awaited)
    till.session.expire_all()
    assert awaited.status is PayInStatus.PROCESSING


# ------------------------------------------------------------------------------------------------ exactly once


def test_looking_again_changes_nothing(session: Session, till: Till, instalment: PledgeInstalment, codes: Accounts) -> None:
    row = till.paid(instalment)
    before = ledger.entries_for(session, ref=("pay_in", str(row.id)))
    for _ in range(3):
        till.look(row)
    assert ledger.entries_for(session, ref=("pay_in", str(row.id))) == before
    assert len(queries.payments_of(session, instalment.pledge)) == 1


def test_an_older_answer_is_not_applied_over_a_newer_one(till: Till, instalment: PledgeInstalment) -> None:
    row = till.open(instalment)
    assert row.session_id is not None
    before = pay_ins.watched(till.session, row.id)
    stale = till.provider.look(row.session_id)
    till.choose(row, "card")
    till.look(row)
    assert not pay_ins.apply(till.session, row.id, stale, looks=before.looks, now=till.clock())
    assert row.status is PayInStatus.PAID


def test_a_part_that_settles_while_another_is_looked_at_stays_counted(session: Session, till: Till, pledge: Pledge) -> None:
    """As a view does it: its session keeps what it read before Stripe was asked."""
    instalment = till.announce(pledge, "1000000.50")
    first = till.paid(instalment, "us_bank_account", settled=False)
    second = till.open(instalment)
    session.expire_on_commit = False
    before = pay_ins.watched(session, second.id)
    assert [(each.settled_at, len(each.movements)) for each in instalment.pay_ins] == [(None, 1), (None, 0)]
    session.commit()
    till.clock.pass_(days=5)
    pay_ins.look(till.sessions, till.provider, first.id, clock=till.clock)
    seen = till.provider.look(second.session_id or "")
    assert pay_ins.apply(session, second.id, seen, looks=before.looks, now=till.clock())
    (payment,) = queries.payments_of(session, pledge)
    assert (payment.money, payment.superseded_at) == (first.money, None)


def test_unsettled_money_cannot_be_granted(session: Session, till: Till, instalment: PledgeInstalment, codes: Accounts) -> None:
    till.paid(instalment, settled=False)
    ledger.ensure_account(session, "liabilities:programme:x:usd", "USD", normal=Side.CREDIT)
    with pytest.raises(InsufficientFunds):
        ledger.post(
            session, key="grab", kind="test", at=till.clock(),
            legs=[Leg(debit=codes.fund, credit="liabilities:programme:x:usd", amount=1)],
        )  # fmt: skip


def test_the_database_takes_a_balance_transaction_once_and_one_open_page(
    session: Session, till: Till, instalment: PledgeInstalment
) -> None:
    row = till.paid(instalment, settled=False)
    columns = "pay_in_id, kind, gross_minor, fee_minor, currency, source, happened_at, available_at, booked_at"
    again = "INSERT INTO pay_in_movement (id, {0}) SELECT {1}, {0} FROM pay_in_movement"
    for new_id, name in (("id", "pk_pay_in_movement"), ("'txn_other'", "uq_pay_in_movement_arrival")):
        with pytest.raises(IntegrityError, match=name), session.begin_nested():
            session.execute(text(again.format(columns, new_id)))
    assert session.scalar(select(func.count()).select_from(PayInMovement)) == len(row.movements) == 1
