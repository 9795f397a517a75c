"""Instalments that a fiscal host receives: recorded there once, judged by its books, confirmed by a second person."""

import io
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import ledger
from core.books import feeds, movements, reconciliation
from core.books import tasks as books
from core.books.between import BetweenOurs
from core.books.models import OutsideMovement
from core.books.movements import NotBookable
from core.clock import utc_now
from core.config import settings
from core.db import new_id
from core.errors import IllegalTransition, NotAllowed
from core.files import StoredFile
from core.files import store as keep
from core.identity.models import Person, Role
from core.money import Money
from payouts.rails.fake_server import Behaviour
from payouts.rails.movements import OpenCollectiveMovements
from pledge import host_queries, queries, tasks
from pledge.models import HostOrder, HostOrderStatus, InstalmentStatus, Pledge, PledgeInstalment, PledgeMember
from pledge.providers.hosts import HostRefused, HostSilent
from pledge.providers.opencollective_host import OpenCollectiveHost
from pledge.services import host_orders, instalments, pay_ins, periods
from pledge.services.bank_lines import PayIns
from pledge.services.host_orders import AlreadyExpected, NotThere
from pledge.services.instalments import AtHost, SelfConfirmation
from pledge.services.pay_ins import NotPayable
from tests.fakes.graphql_server import GraphqlFault, serving
from tests.fakes.opencollective import FUND, HOST, TOKEN
from tests.fakes.opencollective_host import HOST_TOKEN, OpenCollectiveWithHost
from tests.fakes.pay_ins import Clock
from tests.fakes.payouts_world import Sessions
from tests.integration.pledge.conftest import give, person

THERE, LATE = "assets:rail:open_collective:usd", timedelta(minutes=16)
FUND_HERE, APART = "liabilities:fund:open-pledge:usd", "liabilities:returning:open_collective:usd"


@pytest.fixture
def service(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenCollectiveWithHost]:
    with serving(OpenCollectiveWithHost(shared / "schemas" / "opencollective-v2.graphql", balance_cents=0)) as server:
        monkeypatch.setenv("PLEDGEWORKS_OPENCOLLECTIVE_URL", server.url)
        monkeypatch.setenv("PLEDGEWORKS_OPENCOLLECTIVE_FUND", FUND)
        monkeypatch.setenv("PLEDGEWORKS_OPENCOLLECTIVE_HOST_TOKEN", HOST_TOKEN)
        settings.cache_clear()
        yield server


@pytest.fixture
def host(service: OpenCollectiveWithHost) -> OpenCollectiveHost:
    return OpenCollectiveHost(service.url, HOST_TOKEN, fund=FUND)


@pytest.fixture
def sessions(session: Session) -> Sessions:
    return Sessions(session.connection())


@pytest.fixture
def second(session: Session, now: datetime) -> Person:
    made = person(session, "Feodor", now)
    give(session, made, Role.FINANCE)
    return made


@pytest.fixture
def instalment(session: Session, pledge: Pledge, editor: Person, now: datetime) -> PledgeInstalment:
    return instalments.announce(session, pledge, money=Money.parse("5000", "USD"), actor=editor, now=now)


@pytest.fixture
def wall_instalment(session: Session, member: PledgeMember, editor: Person) -> PledgeInstalment:
    """Of the year that runs, which pages read from the wall clock."""
    now = utc_now()
    pledge = periods.open_period(
        session, member, label=str(now.year), starts_on=date(now.year, 1, 1), ends_on=date(now.year, 12, 31),
        developers=Decimal(14), actor=editor, now=now,
    )  # fmt: skip
    return instalments.announce(session, pledge, money=Money.parse("5000", "USD"), actor=editor, now=now)


@pytest.fixture
def asked(session: Session, instalment: PledgeInstalment, host: OpenCollectiveHost, finance: Person, now: datetime) -> HostOrder:
    made = host_orders.ask(
        session, instalment.id, host=host, payer="acme-inc", expected_on=None, fee_percent=None, actor=finance, now=now
    )
    session.commit()
    return made


@pytest.fixture
def expected(asked: HostOrder, sessions: Sessions, host: OpenCollectiveHost, clock: Clock, session: Session) -> HostOrder:
    host_orders.record(sessions, host, asked.id, clock=clock)
    session.expire_all()
    return asked


@pytest.fixture
def noted(session: Session, expected: HostOrder, finance: Person, statement: StoredFile, now: datetime) -> HostOrder:
    instalments.note_arrival(session, expected.instalment_id, sent_on=now.date(), evidence=statement, actor=finance, now=now)
    session.commit()
    return expected


@pytest.fixture
def statement(session: Session, finance: Person, now: datetime) -> StoredFile:
    return keep(session, io.BytesIO(b"%PDF-1.4 a line"), name="line.pdf", uploaded_by_id=finance.id, now=now)


def test_it_is_recorded_once_and_settles_less_the_hosts_fee(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions,
    second: Person, clock: Clock,
) -> None:  # fmt: skip
    (there,) = service.pending()
    assert (there.status, there.cents, there.source) == ("PENDING", 500_000, "acme-inc")
    assert "acme" not in there.description.lower(), "anybody can read it"
    assert noted.status is HostOrderStatus.EXPECTED
    host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=second, clock=clock)
    with pytest.raises(IllegalTransition):  # again changes nothing, here or there
        host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=second, clock=clock)
    session.expire_all()
    assert noted.instalment.status is InstalmentStatus.SETTLED
    assert (ledger.balance(session, THERE).posted, ledger.balance(session, "liabilities:fund:open-pledge:usd").posted) == (
        475_000, 475_000,
    )  # fmt: skip
    assert service.balance(FUND) == 475_000
    feed = OpenCollectiveMovements(service.url, TOKEN, fund=FUND)
    reconciliation.take(session, feed.name, feed.read(None), now=clock())
    assert reconciliation.meet(session, feed.name) == 2, "the money and the fee"


@pytest.mark.parametrize("kind", ["cut_after", "500_after", "200_errors_after", "cut_before", "500_before"])
def test_an_answer_that_got_lost_is_looked_up_and_never_asked_again(
    session: Session, asked: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions,
    clock: Clock, kind: str,
) -> None:  # fmt: skip
    service.misbehave(Behaviour([GraphqlFault(kind, operation="RecordPendingOrder", times=1)]))
    with pytest.raises(HostSilent):
        host_orders.record(sessions, host, asked.id, clock=clock)
    session.expire_all()
    assert asked.status is HostOrderStatus.ASKED
    clock.pass_(seconds=LATE.total_seconds())
    with pytest.raises(HostSilent, match="nothing was sent"):
        host_orders.record(sessions, host, asked.id, clock=clock)
    host_orders.look(sessions, host, asked.id, clock=clock)
    session.expire_all()
    came = kind.endswith("after")
    assert len(service.pending()) == came
    assert asked.status is (HostOrderStatus.EXPECTED if came else HostOrderStatus.REFUSED)


def test_what_shows_late_is_not_missing_before(
    session: Session,
    asked: HostOrder,
    service: OpenCollectiveWithHost,
    host: OpenCollectiveHost,
    sessions: Sessions,
    clock: Clock,
) -> None:
    service.misbehave(Behaviour([], visibility_seconds=3600))
    host_orders.record(sessions, host, asked.id, clock=clock)
    session.expire_all()
    assert asked.status is HostOrderStatus.ASKED
    with pytest.raises(AlreadyExpected):
        host_orders.ask(
            session, asked.instalment_id, host=host, payer="acme-inc", expected_on=None, fee_percent=None,
            actor=session.get_one(Person, asked.recorded_by_id), now=clock(),
        )  # fmt: skip


@pytest.mark.usefixtures("app")  # it tells the books who knows which movements
def test_nobody_says_that_the_hosts_money_came_from_our_bank(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions,
    finance: Person, second: Person, clock: Clock,
) -> None:  # fmt: skip
    assert PayIns().expected(session) == [], "no line of our bank is it"
    service.receive(service.pending()[0])
    feed = OpenCollectiveMovements(service.url, TOKEN, fund=FUND)
    reconciliation.take(session, feed.name, feed.read(None), now=clock())
    rows = session.scalars(select(OutsideMovement)).all()
    assert {row.kind for row in rows} == {"contribution", "host_fee"}
    assert BetweenOurs().expected(session) == []
    for row in rows:
        with pytest.raises(NotBookable, match="known here"):
            movements.book(session, row.id, actor=finance, now=clock())
    with pytest.raises(AtHost):
        instalments.confirm(
            session, noted.instalment_id, received_on=clock().date(), bank_reference="line 4", actor=second, now=clock()
        )
    session.commit()
    host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=second, clock=clock)
    assert reconciliation.meet(session, feed.name) == 2
    given = OutsideMovement(
        id=new_id(), provider=feed.name, remote_id="row-x", kind="contribution", about="order-of-somebody", occurred_at=clock(),
        amount_minor=700, currency="USD", description="", first_seen_at=clock(),
    )  # fmt: skip
    session.add(given)
    session.flush()
    assert [each.id for each in BetweenOurs().expected(session)] == [given.id], "the control: what no order is of may be ours"


@pytest.mark.usefixtures("app")
def test_what_the_host_takes_late_of_a_paid_instalment_is_nobodys_entry_and_is_told(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions,
    second: Person, clock: Clock, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    host_orders.give_up(sessions, host, noted.id, clock=clock)
    session.expire_all()
    instalments.confirm(
        session, noted.instalment_id, received_on=clock().date(), bank_reference="line 4", actor=second, now=clock()
    )
    session.commit()
    with pytest.raises(NotThere, match="no more"):
        host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=second, clock=clock)
    assert service.pending()[0].status == "EXPIRED", "nothing was asked of the host"
    service.receive(service.pending()[0])
    monkeypatch.setattr(tasks, "session_scope", sessions)
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert (noted.status, "paid another way" in (noted.problem or "")) == (HostOrderStatus.PAID, True)
    assert (of_rail(session, service, clock), posted(session, THERE), posted(session, APART)) == ([], 4_750_00, 5_000_00)
    assert posted(session, FUND_HERE) == 5_000_00, "what two people found at the bank, and nothing more"
    tasks.look_at_the_host(clock())
    assert posted(session, APART) == 5_000_00, "the same again books nothing again"
    service.give_back(service.pending()[0], with_fee=True)
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert of_rail(session, service, clock), "the list tells it, and has it looked at"
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert (noted.status, noted.problem, noted.instalment.status) == (HostOrderStatus.EXPIRED, None, InstalmentStatus.SETTLED)
    assert (of_rail(session, service, clock), posted(session, THERE), posted(session, APART)) == ([], 0, 0)


@pytest.mark.usefixtures("app")
def test_another_amount_that_was_given_back_lets_the_instalment_be_paid_another_way(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, second: Person, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(tasks, "session_scope", Sessions(session.connection()))
    service.receive(service.pending()[0], cents=4_999_85)
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert (noted.status, "4,999.85" in (noted.problem or "")) == (HostOrderStatus.PAID, True)
    service.give_back(service.pending()[0], with_fee=True)
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert (noted.status, noted.problem) == (HostOrderStatus.EXPIRED, None)
    assert (of_rail(session, service, clock), posted(session, THERE), posted(session, APART)) == ([], 0, 0)
    instalments.confirm(session, noted.instalment_id, received_on=clock().date(), bank_reference="4", actor=second, now=clock())
    assert noted.instalment.status is InstalmentStatus.SETTLED


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("looked", [(), ("paid",), ("unpaid",), ("paid", "unpaid")])
def test_paid_unpaid_and_paid_again_bears_the_hosts_fee_once(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions,
    second: Person, clock: Clock, monkeypatch: pytest.MonkeyPatch, looked: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.setattr(tasks, "session_scope", sessions)
    (order,) = service.pending()
    for what, deed in (("paid", service.receive), ("unpaid", service.mark_unpaid)):
        deed(order)
        if what in looked:
            tasks.look_at_the_host(clock())
    service.receive(order)
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert (noted.status, noted.fee_minor, noted.problem) == (HostOrderStatus.PAID, 250_00, None)
    host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=second, clock=clock)
    session.expire_all()
    assert noted.instalment.status is InstalmentStatus.SETTLED
    assert (posted(session, FUND_HERE), posted(session, THERE), posted(session, APART)) == (4_750_00, 4_750_00, 0)
    assert of_rail(session, service, clock) == [], "each row there is one entry here"


@pytest.mark.usefixtures("app")
def test_a_fee_that_was_kept_of_the_first_time_waits_until_the_second_settles(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions,
    second: Person, clock: Clock, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(tasks, "session_scope", sessions)
    (order,) = service.pending()
    service.receive(order)
    service.give_back(order)
    order.status = "PENDING"
    service.receive(order)
    tasks.look_at_the_host(clock())
    host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=second, clock=clock)
    of_rail(session, service, clock)
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert (noted.instalment.status, noted.problem, of_rail(session, service, clock)) == (InstalmentStatus.SETTLED, None, [])
    assert (posted(session, FUND_HERE), posted(session, THERE), posted(session, APART)) == (4_750_00, 4_500_00, 0)


@pytest.fixture
def settled(
    session: Session, noted: HostOrder, host: OpenCollectiveHost, sessions: Sessions, second: Person, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> HostOrder:  # fmt: skip
    """$5,000 of which the host kept $250."""
    monkeypatch.setattr(tasks, "session_scope", sessions)
    host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=second, clock=clock)
    session.expire_all()
    assert posted(session, FUND_HERE) == 4_750_00
    return noted


@pytest.mark.usefixtures("app")
def test_what_the_host_gives_back_with_its_fee_goes_out_of_the_fund_and_counts_no_more(
    session: Session, settled: HostOrder, service: OpenCollectiveWithHost, clock: Clock, client: Any, finance: Person
) -> None:
    service.give_back(service.pending()[0], with_fee=True)
    assert len(of_rail(session, service, clock)) == 2, "the list tells it first, and has it looked at"
    for _ in range(2):
        tasks.look_at_the_host(clock())
        session.expire_all()
        assert (settled.problem, settled.instalment.status) == (None, InstalmentStatus.REFUNDED_FULL)
        assert (posted(session, THERE), posted(session, FUND_HERE), of_rail(session, service, clock)) == (0, 0, [])
    assert queries.payments_of(session, settled.instalment.pledge) == []
    assert posted(session, "income:fees-borne:open-pledge:usd") == posted(session, "expenses:fees:open_collective:usd") == 0
    client.sign_in(finance)
    assert "The host gave it back." in client.get(f"/finance/pay-ins/{settled.instalment_id}/host").words


@pytest.mark.usefixtures("app")
def test_what_the_host_takes_again_after_it_gave_it_back_is_booked_apart_and_so_is_its_return(
    session: Session, settled: HostOrder, service: OpenCollectiveWithHost, clock: Clock
) -> None:
    (order,) = service.pending()

    def looked() -> tuple[str, int, int, int]:
        of_rail(session, service, clock)
        tasks.look_at_the_host(clock())
        session.expire_all()
        assert of_rail(session, service, clock) == []
        return settled.problem or "", posted(session, FUND_HERE), posted(session, THERE), posted(session, APART)

    service.mark_unpaid(order)
    assert looked() == ("", 0, 0, 0)
    service.receive(order)
    told, *sums = looked()
    assert ("settled with it once" in told, sums) == (True, [0, 4_750_00, 5_000_00])
    service.mark_unpaid(order)
    assert looked() == ("", 0, 0, 0)
    assert (settled.status, settled.instalment.status) == (HostOrderStatus.PAID, InstalmentStatus.REFUNDED_FULL)
    service.receive(order)
    assert looked()[1:] == (0, 4_750_00, 5_000_00)


@pytest.mark.usefixtures("app")
def test_late_money_of_an_order_is_booked_apart_beside_the_order_that_settled(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions,
    finance: Person, second: Person, clock: Clock, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(tasks, "session_scope", sessions)
    host_orders.give_up(sessions, host, noted.id, clock=clock)
    other = host_orders.ask(
        session, noted.instalment_id, host=host, payer="acme-inc", expected_on=None, fee_percent=None, actor=finance, now=clock()
    ).id
    session.commit()
    host_orders.record(sessions, host, other, clock=clock)
    host_orders.pay(sessions, host, other, received_on=clock().date(), actor=second, clock=clock)
    service.receive(service.pending()[0], cents=4_990_00)
    of_rail(session, service, clock)
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert "booked apart" in (noted.problem or "")
    assert (of_rail(session, service, clock), posted(session, FUND_HERE), posted(session, APART)) == ([], 4_750_00, 4_990_00)
    service.give_back(service.pending()[0], with_fee=True)
    of_rail(session, service, clock)
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert (noted.status, noted.problem, of_rail(session, service, clock)) == (HostOrderStatus.EXPIRED, None, [])
    assert (posted(session, FUND_HERE), posted(session, APART)) == (4_750_00, 0)


@pytest.mark.usefixtures("app")
def test_late_money_beside_an_order_that_was_paid_asks_nobody_to_expire_it(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions,
    finance: Person, clock: Clock, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(tasks, "session_scope", sessions)
    host_orders.give_up(sessions, host, noted.id, clock=clock)
    other = host_orders.ask(
        session, noted.instalment_id, host=host, payer="acme-inc", expected_on=None, fee_percent=None, actor=finance, now=clock()
    ).id
    session.commit()
    host_orders.record(sessions, host, other, clock=clock)
    for each in reversed(service.pending()):
        service.receive(each)
        tasks.look_at_the_host(clock())
    session.expire_all()
    assert "have it give one of them back" in (noted.problem or "")
    assert (noted.status, posted(session, APART)) == (HostOrderStatus.EXPIRED, 0), "which one is given back, nobody knows"


@pytest.mark.usefixtures("app")
def test_a_fee_that_the_host_gives_back_while_it_keeps_the_payment_is_the_funds_again(
    session: Session, settled: HostOrder, service: OpenCollectiveWithHost, clock: Clock
) -> None:
    service._rows(service.pending()[0], HOST, FUND, "HOST_FEE", is_refund=True, cents=250_00)
    assert len(of_rail(session, service, clock)) == 1
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert (settled.problem, settled.instalment.status) == (None, InstalmentStatus.SETTLED)
    assert (posted(session, FUND_HERE), posted(session, THERE), of_rail(session, service, clock)) == (5_000_00, 5_000_00, [])
    assert posted(session, "income:fees-borne:open-pledge:usd") == posted(session, "expenses:fees:open_collective:usd") == 0


@pytest.mark.usefixtures("app")
def test_a_fees_return_that_somebody_booked_is_not_booked_again(
    session: Session, settled: HostOrder, service: OpenCollectiveWithHost, finance: Person, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    service._rows(service.pending()[0], HOST, FUND, "HOST_FEE", is_refund=True, cents=250_00)
    of_rail(session, service, clock)
    (row,) = session.scalars(select(OutsideMovement).where(OutsideMovement.kind == "refund of host_fee"))
    with monkeypatch.context() as before:
        before.setattr(feeds, "_claimants", [])  # as when no order claimed it
        movements.book(session, row.id, actor=finance, now=clock())
    service.give_back(service.pending()[0])
    of_rail(session, service, clock)
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert (settled.problem, settled.instalment.status) == (None, InstalmentStatus.REFUNDED_FULL)
    assert (posted(session, THERE), posted(session, FUND_HERE), of_rail(session, service, clock)) == (0, 0, [])
    assert posted(session, "income:fees-borne:open-pledge:usd") == posted(session, "expenses:fees:open_collective:usd") == 0


@pytest.mark.usefixtures("app")
def test_what_the_fund_gave_away_meanwhile_is_not_booked_back_until_the_fund_has_it(
    session: Session, settled: HostOrder, service: OpenCollectiveWithHost, clock: Clock
) -> None:
    ledger.ensure_account(session, "equity:granted", "USD", normal=ledger.Side.CREDIT)
    granted = ledger.Leg(debit=FUND_HERE, credit="equity:granted", amount=1_000_00)
    ledger.post(session, key="granted", kind="test", legs=[granted], at=clock())
    service.give_back(service.pending()[0], with_fee=True)
    of_rail(session, service, clock)
    for _ in range(2):
        tasks.look_at_the_host(clock())
        session.expire_all()
        assert "fund open-pledge has 4,000.00 USD free in the ledger, 1,000.00 USD too little" in (settled.problem or "")
    assert (settled.instalment.status, posted(session, FUND_HERE)) == (InstalmentStatus.SETTLED, 3_750_00), "all or nothing"
    assert len(of_rail(session, service, clock)) == 2, "it stands in the reconciliation meanwhile"
    back = ledger.Leg(debit="equity:granted", credit=FUND_HERE, amount=1_000_00)
    ledger.post(session, key="back", kind="test", legs=[back], at=clock())
    session.commit()
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert (settled.problem, settled.instalment.status) == (None, InstalmentStatus.REFUNDED_FULL)
    assert (posted(session, FUND_HERE), posted(session, THERE), of_rail(session, service, clock)) == (0, 0, [])


@pytest.mark.usefixtures("app")
def test_a_fee_that_the_host_kept_is_missing_in_our_fund_there(
    session: Session, settled: HostOrder, service: OpenCollectiveWithHost, clock: Clock
) -> None:
    service.give_back(service.pending()[0])
    of_rail(session, service, clock)
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert "has 4,750.00 USD free in the ledger, 250.00 USD too little" in (settled.problem or "")
    assert (settled.instalment.status, len(of_rail(session, service, clock))) == (InstalmentStatus.SETTLED, 1)


@pytest.mark.usefixtures("app")
def test_a_part_that_the_host_gives_back_goes_out_of_the_fund_and_the_rest_of_it_later(
    session: Session, settled: HostOrder, service: OpenCollectiveWithHost, clock: Clock, client: Any, finance: Person
) -> None:
    order, place = service.pending()[0], f"/finance/pay-ins/{settled.instalment_id}/host"
    gift = ledger.Leg(debit=THERE, credit=FUND_HERE, amount=250_00)  # it kept its fee
    ledger.post(session, key="gift", kind="test", legs=[gift], at=clock())
    for cents, status, counted in (
        (100_00, InstalmentStatus.REFUNDED_PART, 4_900_00),
        (900_00, InstalmentStatus.REFUNDED_PART, 4_000_00),
        (4_000_00, InstalmentStatus.REFUNDED_FULL, 0),
    ):
        service._rows(order, order.target, order.source, "CONTRIBUTION", is_refund=True, cents=cents)
        of_rail(session, service, clock)
        for _ in range(2):
            tasks.look_at_the_host(clock())
            session.expire_all()
            assert (settled.problem, settled.instalment.status) == (None, status)
            assert sum(each.amount_minor for each in queries.payments_of(session, settled.instalment.pledge)) == counted
            assert posted(session, FUND_HERE) == posted(session, THERE) == counted
        assert of_rail(session, service, clock) == []
        assert host_queries.unsettled(session, late_until=clock()) == [], "nothing more is to be looked at"
        client.sign_in(finance)
        said = "The host gave it back." if counted == 0 else "The host gave a part of it back."
        assert said in client.get(place).words


@pytest.mark.usefixtures("app")
def test_a_part_that_went_back_before_anybody_confirmed_it_is_told_and_settles_nothing(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions,
    second: Person, clock: Clock,
) -> None:  # fmt: skip
    (order,) = service.pending()
    service.receive(order)
    service._rows(order, order.target, order.source, "CONTRIBUTION", is_refund=True, cents=100_00)
    host_orders.look(sessions, host, noted.id, clock=clock)
    with pytest.raises(NotThere, match=r"100\.00 USD of 5,000\.00 USD back before anybody confirmed"):
        host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=second, clock=clock)


def of_rail(session: Session, service: OpenCollectiveWithHost, clock: Clock) -> list[str]:
    """The host's list is read; what of it no entry is."""
    feed = OpenCollectiveMovements(service.url, TOKEN, fund=FUND)
    books.keep(session, feed.name, feed.read(None), now=clock())
    session.commit()
    return [each.what for each in reconciliation.differences(session) if each.where == feed.name]


def posted(session: Session, code: str) -> int:
    return sum(each.posted for each in ledger.balances(session, code))


def test_another_amount_is_not_even_marked_as_paid(
    noted: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions, second: Person, clock: Clock
) -> None:
    service.pending()[0].cents = 499_000
    host_orders.look(sessions, host, noted.id, clock=clock)
    with pytest.raises(NotThere, match=r"4,?990"):
        host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=second, clock=clock)
    assert service.pending()[0].status == "PENDING", "nothing was asked of the host"


def test_what_failed_is_not_marked_as_paid(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions,
    second: Person, finance: Person, clock: Clock,
) -> None:  # fmt: skip
    instalments.fail(session, noted.instalment_id, reason="It came back", actor=finance, now=clock())
    session.commit()
    with pytest.raises(IllegalTransition):
        host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=second, clock=clock)
    assert service.pending()[0].status == "PENDING", "nothing was asked of the host"


def test_an_instalment_at_the_host_is_not_paid_online(
    session: Session, expected: HostOrder, editor: Person, now: datetime
) -> None:
    with pytest.raises(NotPayable, match="fiscal host"):
        pay_ins.start(session, expected.instalment_id, actor=editor, now=now)


def test_an_order_that_cannot_be_read_keeps_no_other_waiting(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, sessions: Sessions, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    looked: list[Any] = []

    def look(_: Any, __: Any, order_id: Any, **___: Any) -> None:
        looked.append(order_id)
        if len(looked) == 1:
            raise IllegalTransition("This order", "paid", "expired")

    monkeypatch.setattr(tasks, "session_scope", sessions)
    monkeypatch.setattr(host_orders, "look", look)
    monkeypatch.setattr(host_queries, "unsettled", lambda *_, **__: [noted.id, noted.instalment_id])
    tasks.look_at_the_host(clock())
    assert looked == [noted.id, noted.instalment_id]


def test_a_look_up_as_for_other_orders_would_not_find_it(expected: HostOrder, service: OpenCollectiveWithHost) -> None:
    """The negative control of naming every state: the service's list leaves pending orders out."""
    asked = {"account": {"slug": FUND}, "filter": "INCOMING", "limit": 100}
    assert not service._listed(asked)
    assert len(service._listed(asked | {"status": ["PENDING"]})) == 1


def test_refusals_are_told_and_allow_another(
    session: Session,
    asked: HostOrder,
    service: OpenCollectiveWithHost,
    host: OpenCollectiveHost,
    sessions: Sessions,
    clock: Clock,
) -> None:
    service.trusted = False
    with pytest.raises(HostRefused, match="permission to create pending contributions"):
        host_orders.record(sessions, host, asked.id, clock=clock)
    session.expire_all()
    assert asked.status is HostOrderStatus.REFUSED
    assert host_queries.live(session, asked.instalment_id) is None


def test_a_token_of_no_host_admin_is_told_so(
    asked: HostOrder, service: OpenCollectiveWithHost, sessions: Sessions, clock: Clock
) -> None:
    with pytest.raises(HostRefused, match="Only host admins"):
        host_orders.record(sessions, OpenCollectiveHost(service.url, TOKEN, fund=FUND), asked.id, clock=clock)


def test_who_noted_it_and_who_is_not_in_finance_do_not_confirm(
    noted: HostOrder, host: OpenCollectiveHost, sessions: Sessions, finance: Person, stranger: Person, clock: Clock,
    service: OpenCollectiveWithHost,
) -> None:  # fmt: skip
    for who, error in ((finance, SelfConfirmation), (stranger, NotAllowed)):
        with pytest.raises(error):
            host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=who, clock=clock)
    assert service.pending()[0].status == "PENDING", "nothing was asked of the host"


def test_nobody_noted_it_and_nothing_is_asked(
    expected: HostOrder, host: OpenCollectiveHost, sessions: Sessions, second: Person, clock: Clock
) -> None:
    with pytest.raises(NotThere, match="First somebody notes"):
        host_orders.pay(sessions, host, expected.id, received_on=clock().date(), actor=second, clock=clock)


def test_another_amount_is_not_settled(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions,
    second: Person, clock: Clock,
) -> None:  # fmt: skip
    service.receive(service.pending()[0], cents=499_000)
    with pytest.raises(NotThere, match=r"4,?990"):
        host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=second, clock=clock)
    session.expire_all()
    assert noted.instalment.status is InstalmentStatus.PROCESSING


def test_the_answer_to_marking_it_paid_may_get_lost(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, host: OpenCollectiveHost, sessions: Sessions,
    second: Person, clock: Clock,
) -> None:  # fmt: skip
    service.misbehave(Behaviour([GraphqlFault("cut_after", operation="ProcessPendingOrder", times=1)]))
    host_orders.pay(sessions, host, noted.id, received_on=clock().date(), actor=second, clock=clock)
    session.expire_all()
    assert noted.instalment.status is InstalmentStatus.SETTLED
    assert service.balance(FUND) == 475_000


def test_the_hosts_own_people_mark_it_and_the_hourly_look_sees_it(
    session: Session, noted: HostOrder, service: OpenCollectiveWithHost, sessions: Sessions, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(tasks, "session_scope", sessions)
    service.receive(service.pending()[0])
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert noted.status is HostOrderStatus.PAID
    service.give_back(service.pending()[0], with_fee=True)
    tasks.look_at_the_host(clock())
    session.expire_all()
    assert (noted.status, noted.problem) == (HostOrderStatus.EXPIRED, None), "it came and went before anybody confirmed it"
    assert (noted.instalment.status, posted(session, FUND_HERE)) == (InstalmentStatus.PROCESSING, 0)


def test_the_database_allows_one_order_at_a_time(session: Session, asked: HostOrder) -> None:
    copy = "INSERT INTO host_order SELECT gen_random_uuid(), instalment_id, key || 'x', payer, fund, amount_minor, currency,"
    rest = " expected_on, host_fee_percent, status, remote_id, received_minor, fee_minor, movement_id, fee_movement_id, problem,"
    with pytest.raises(IntegrityError, match="uq_host_order_live"):
        session.execute(text(f"{copy}{rest} recorded_by_id, asked_at, looked_at FROM host_order"))


def test_two_people_lead_it_through_the_pages(
    client: Any, wall_instalment: PledgeInstalment, service: OpenCollectiveWithHost, finance: Person, second: Person
) -> None:
    client.sign_in(finance)
    assert "Have the host expect it" in client.get("/finance/pay-ins").words
    place, today = f"/finance/pay-ins/{wall_instalment.id}/host", utc_now().date().isoformat()
    page = client.submit(client.get(place), "Record at the host", payer="no-such", follow=True)
    assert "Account Not Found" in page.words
    page = client.submit(client.get(place), "Record at the host", payer="Acme-Inc", fee_percent="0", follow=True)
    assert "The host expects it." in page.words
    page = client.submit(page, "Note that it arrived", sent_on=today)
    assert page.status == 422
    assert "Attach the line" in page.problems[0]
    page = client.submit(
        page, "Note that it arrived", sent_on=today, evidence_file=(io.BytesIO(b"%PDF-1.4 x"), "line.pdf"), follow=True
    )
    assert "somebody else in finance confirms it here" in page.words
    client.sign_in(second)
    assert client.submit(client.get(place), "Confirm $5,000.00", received_on=today).status == 403
    client.sign_in(second, fresh_factor=True)
    page = client.submit(client.get(place), "Confirm $5,000.00", received_on=today, follow=True)
    assert "settled and in the ledger" in page.words
    assert service.balance(FUND) == 500_000


def test_the_page_says_what_to_do_without_a_host(client: Any, instalment: PledgeInstalment, finance: Person) -> None:
    client.sign_in(finance)
    assert "PLEDGEWORKS_OPENCOLLECTIVE_HOST_TOKEN" in client.get(f"/finance/pay-ins/{instalment.id}/host").words
