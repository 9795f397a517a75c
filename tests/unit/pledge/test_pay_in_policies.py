"""How an instalment is split into charges, and what state follows from what came, in whatever order it was heard of."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.db import new_id
from core.errors import IllegalTransition
from core.money import Money
from pledge.models import (
    NEXT_INSTALMENT,
    NEXT_PAY_IN,
    CardLimit,
    InstalmentStatus,
    InstalmentWay,
    MovementKind,
    PayIn,
    PayInMovement,
    PayInStatus,
    PledgeInstalment,
)
from pledge.policies import pay_ins as policy
from pledge.providers.base import Dispute, Snapshot, Standing

NOW = datetime(2026, 11, 2, tzinfo=UTC)
SIGNS = {MovementKind.ARRIVAL: 1, MovementKind.REFUND: -1, MovementKind.REFUND_FAILED: 1,
         MovementKind.DISPUTE: -1, MovementKind.REINSTATED: 1}  # fmt: skip


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def pay_in(asked: int = 1000, *, settled: bool = False, status: PayInStatus = PayInStatus.OPEN, **moved: int) -> PayIn:
    """A pay-in of `asked` with these movements, by kind."""
    row = PayIn(id=new_id(), number=1, amount_minor=asked, currency="USD", status=status, settled_at=NOW if settled else None)
    row.movements = [
        PayInMovement(id=f"txn_{kind}", kind=MovementKind(kind), gross_minor=SIGNS[MovementKind(kind)] * amount, fee_minor=0,
                      currency="USD", happened_at=NOW)
        for kind, amount in moved.items()
    ]  # fmt: skip
    return row


@given(st.one_of(st.integers(50, 10**11), st.builds(lambda n, d: n * 99_999_999 + d, st.integers(1, 50), st.integers(0, 60))))
def test_parts_add_up_each_can_be_charged_and_the_first_leads_to_the_others(amount: int) -> None:
    parts = [part.amount_minor for part in policy.parts(usd(amount))]
    assert sum(parts) == amount
    assert all(50 <= part <= 99_999_999 for part in parts)
    assert len(parts) == -(-amount // 99_999_999)
    assert [part.amount_minor for part in policy.parts(usd(amount - parts[0]))] == parts[1:]


@pytest.mark.parametrize(
    ("row", "covers"),
    [
        (pay_in(), 1000),
        (pay_in(status=PayInStatus.PROCESSING), 1000),
        (pay_in(status=PayInStatus.FAILED), 0),
        (pay_in(status=PayInStatus.EXPIRED), 0),
        (pay_in(status=PayInStatus.SETTLED, arrival=1000), 1000),
        (pay_in(status=PayInStatus.REFUNDED_PART, arrival=1000, refund=300), 700),
        (pay_in(status=PayInStatus.DISPUTED, arrival=1000, dispute=1000), 1000),
        (pay_in(status=PayInStatus.LOST, arrival=1000, dispute=1000), 0),
    ],
)
def test_what_is_outstanding_is_what_nobody_has_paid_or_is_about_to(row: PayIn, covers: int) -> None:
    assert policy.outstanding(usd(1500), [row]) == usd(1500 - covers)
    assert policy.outstanding(usd(10), [row]) == usd(10 if covers == 0 else 0)


@pytest.mark.parametrize(
    ("row", "seen", "status"),
    [
        (pay_in(), Snapshot(Standing.OPEN), PayInStatus.OPEN),
        (pay_in(), Snapshot(Standing.EXPIRED), PayInStatus.EXPIRED),
        (pay_in(), Snapshot(Standing.ON_ITS_WAY), PayInStatus.PROCESSING),
        (pay_in(), Snapshot(Standing.ARRIVED), PayInStatus.PROCESSING),
        (pay_in(), Snapshot(Standing.FAILED, failure="No."), PayInStatus.FAILED),
        (pay_in(arrival=1000), Snapshot(Standing.ARRIVED), PayInStatus.PAID),
        (pay_in(arrival=1000, settled=True), Snapshot(Standing.ARRIVED), PayInStatus.SETTLED),
        (pay_in(arrival=1000, refund=1), Snapshot(Standing.ARRIVED), PayInStatus.REFUNDED_PART),
        (pay_in(arrival=1000, refund=1000), Snapshot(Standing.ARRIVED), PayInStatus.REFUNDED_FULL),
        (pay_in(arrival=1000, refund=1000, refund_failed=1000, settled=True), Snapshot(Standing.ARRIVED), PayInStatus.SETTLED),
        (
            pay_in(arrival=1000, dispute=1000),
            Snapshot(Standing.ARRIVED, disputes=[Dispute("dp", usd(1000), open=True, reason="fraudulent")]),
            PayInStatus.DISPUTED,
        ),
        (
            pay_in(arrival=1000, dispute=1000),
            Snapshot(Standing.ARRIVED, disputes=[Dispute("dp", usd(1000), open=False, reason="insufficient_funds")]),
            PayInStatus.LOST,
        ),
        (
            pay_in(arrival=1000, dispute=1000, reinstated=1000, settled=True),
            Snapshot(Standing.ARRIVED, disputes=[Dispute("dp", usd(1000), open=False, reason="fraudulent")]),
            PayInStatus.SETTLED,
        ),
    ],
)
def test_the_state_follows_from_what_came(row: PayIn, seen: Snapshot, status: PayInStatus) -> None:
    assert policy.status_of(row, seen) is status


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([pay_in()], InstalmentStatus.AWAITING_PAYMENT),
        ([pay_in(status=PayInStatus.EXPIRED)], InstalmentStatus.AWAITING_PAYMENT),
        ([pay_in(status=PayInStatus.FAILED)], InstalmentStatus.FAILED),
        ([pay_in(status=PayInStatus.FAILED), pay_in(status=PayInStatus.PROCESSING)], InstalmentStatus.PROCESSING),
        ([pay_in(500, status=PayInStatus.SETTLED, settled=True, arrival=500)], InstalmentStatus.PROCESSING),
        ([pay_in(status=PayInStatus.PAID, arrival=1000)], InstalmentStatus.PAID),
        ([pay_in(status=PayInStatus.SETTLED, settled=True, arrival=1000)], InstalmentStatus.SETTLED),
        ([pay_in(status=PayInStatus.SETTLED, settled=True, arrival=600), pay_in(status=PayInStatus.PAID, arrival=400)],
         InstalmentStatus.PAID),
        ([pay_in(status=PayInStatus.REFUNDED_PART, settled=True, arrival=1000, refund=1)], InstalmentStatus.REFUNDED_PART),
        ([pay_in(status=PayInStatus.REFUNDED_FULL, settled=True, arrival=1000, refund=1000)], InstalmentStatus.REFUNDED_FULL),
        ([pay_in(status=PayInStatus.REFUNDED_PART, settled=True, arrival=1500, refund=500)], InstalmentStatus.SETTLED),
        ([pay_in(status=PayInStatus.DISPUTED, settled=True, arrival=1000, dispute=1000)], InstalmentStatus.DISPUTED),
        ([pay_in(status=PayInStatus.LOST, settled=True, arrival=1000, dispute=1000)], InstalmentStatus.LOST),
        ([pay_in(status=PayInStatus.LOST, arrival=1000, dispute=1000),
          pay_in(status=PayInStatus.SETTLED, settled=True, arrival=1000)], InstalmentStatus.SETTLED),
    ],
)  # fmt: skip
def test_an_instalment_stands_where_its_payments_put_it(rows: list[PayIn], status: InstalmentStatus) -> None:
    found = policy.instalment_status(usd(1000), rows)
    assert found is status


def test_the_card_limit_is_the_newest_that_is_in_force() -> None:
    limits = [
        CardLimit(currency=currency, valid_from=day, amount_minor=amount)
        for currency, day, amount in (("USD", date(2021, 1, 1), 10), ("USD", date(2026, 1, 1), 20), ("EUR", date(2026, 1, 1), 5))
    ]
    assert policy.card_limit_on(limits, "USD", date(2025, 12, 31)) == usd(10)
    assert policy.card_limit_on(limits, "USD", date(2026, 1, 1)) == usd(20)
    assert policy.card_limit_on(limits, "USD", date(2020, 1, 1)) == usd(0)
    assert policy.card_limit_on(limits, "GBP", date(2026, 1, 1)) == Money(0, "GBP")


def test_a_pay_in_never_loses_the_money_that_came_nor_opens_again() -> None:
    arrived = {PayInStatus.PAID, PayInStatus.SETTLED, PayInStatus.REFUNDED_PART, PayInStatus.REFUNDED_FULL,
               PayInStatus.DISPUTED, PayInStatus.LOST}  # fmt: skip
    assert all(PayInStatus.OPEN not in following for following in NEXT_PAY_IN.values())
    assert all(NEXT_PAY_IN[status] <= arrived for status in arrived)
    assert PayInStatus.PAID not in NEXT_PAY_IN[PayInStatus.SETTLED]


@pytest.mark.parametrize("way", list(InstalmentWay))
def test_steps_are_skipped_only_where_the_provider_s_word_counts(way: InstalmentWay) -> None:
    row = PledgeInstalment(status=InstalmentStatus.AWAITING_PAYMENT, way=way)
    if way is InstalmentWay.PROVIDER:
        row.advance(InstalmentStatus.SETTLED)
        assert row.status is InstalmentStatus.SETTLED
    else:
        with pytest.raises(IllegalTransition):
            row.advance(InstalmentStatus.SETTLED)


def test_money_that_came_does_not_become_a_wait_again() -> None:
    for status in (InstalmentStatus.SETTLED, InstalmentStatus.REFUNDED_FULL, InstalmentStatus.LOST, InstalmentStatus.DISPUTED):
        assert not NEXT_INSTALMENT[status] & {
            InstalmentStatus.AWAITING_PAYMENT,
            InstalmentStatus.PROCESSING,
            InstalmentStatus.PAID,
        }
