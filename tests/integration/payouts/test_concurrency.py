"""Ten at once: approvals hold the money once, claims give one worker the step, requests make one payout."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from core import ledger
from core.clock import utc_now
from core.db.session import make_engine
from core.errors import DomainError
from core.identity.models import Person
from core.money import Money
from payouts.models import Payout, PayoutAttempt, PayoutStatus, Recipient, RunApproval
from payouts.policies import Rules
from payouts.rails.base import Rail
from payouts.rails.fake import FakeRail
from payouts.services import claims, runs, sending
from payouts.services.claims import Claim
from tests.fakes import payouts_world as world

TEN = 10
RAILS: dict[str, Rail] = {"fake": FakeRail(lambda: None)}
Sessions = Callable[[], Iterator[Session]]


class Shop:
    """A committed database with one payout that is due."""

    def __init__(self, database: str) -> None:
        self.store = make_engine(database, pool_size=TEN)
        self.now: datetime = utc_now()
        with self.session() as session:
            self.people = world.cast(session, self.now)
            world.fund(session, Money(1_000_000, "USD"), now=self.now)
            self.ada = world.recipient(session, "Ada", rail=RAILS["fake"], by=self.people.finance, now=self.now)
            self.payout = world.owed(session, self.ada, 100_000, by=self.people.officer, now=self.now)

    @contextmanager
    def session(self) -> Iterator[Session]:
        with Session(self.store, expire_on_commit=False) as session, session.begin():
            yield session

    def at_once(self, act: Callable[[Session, int], object]) -> list[object]:
        """Ten transactions that begin together; what each returned, or the rule that refused it."""
        gate = threading.Barrier(TEN)

        def one(number: int) -> object:
            try:
                with self.session() as session:
                    gate.wait()
                    return act(session, number)
            except DomainError as error:
                return error

        with ThreadPoolExecutor(TEN) as hands:
            return list(hands.map(one, range(TEN)))


@pytest.fixture
def shop(fresh_database: str) -> Iterator[Shop]:
    made = Shop(fresh_database)
    yield made
    made.store.dispose()


def test_ten_approvals_at_once_approve_once(shop: Shop) -> None:
    with shop.session() as session:
        run, _ = runs.prepare(
            session, currency="USD", due_by=shop.now.date(), preparer=shop.people.finance, rails=RAILS, now=shop.now
        )
        approvers = [Person(email=f"a{i}@example.org", name=f"Approver {i}", created_at=shop.now) for i in range(TEN)]
        session.add_all(approvers)
    answers = shop.at_once(
        lambda session, i: runs.approve(
            session, run.id, approver=session.get_one(Person, approvers[i].id), seen_hash=run.content_hash, now=shop.now
        )
    )
    assert sum(not isinstance(answer, DomainError) for answer in answers) == 1
    with shop.session() as session:
        assert session.scalar(select(func.count()).select_from(RunApproval)) == 1
        assert session.get_one(Payout, shop.payout.id).status is PayoutStatus.APPROVED


def test_ten_claims_at_once_hold_the_money_once(shop: Shop) -> None:
    with shop.session() as session:
        world.sent_run(session, shop.people, rails=RAILS, now=shop.now)
    answers = shop.at_once(lambda session, _: claims.claim(session, shop.payout.id, rails=RAILS, rules=Rules(), now=shop.now))
    assert sum(isinstance(answer, Claim) for answer in answers) == 1
    with shop.session() as session:
        assert session.scalar(select(func.count()).select_from(PayoutAttempt)) == 1
        assert ledger.balance(session, world.FUND).available == 1_000_000 - 100_000


def test_ten_requests_at_once_owe_once(shop: Shop) -> None:
    def ask(session: Session, _: int) -> object:
        ada, officer = session.get_one(Recipient, shop.ada.id), session.get_one(Person, shop.people.officer.id)
        return world.owed(session, ada, 5, by=officer, now=shop.now, obligation="once").id

    assert len(set(shop.at_once(ask))) == 1


def test_ten_runs_at_once_take_a_payout_once(shop: Shop) -> None:
    answers = shop.at_once(
        lambda session, _: runs.prepare(
            session,
            currency="USD",
            due_by=shop.now.date(),
            preparer=session.get_one(Person, shop.people.finance.id),
            rails=RAILS,
            now=shop.now,
        )
    )
    assert sum(isinstance(answer, runs.NothingToPay) for answer in answers) == TEN - 1


def test_ten_sends_at_once_send_once(shop: Shop) -> None:
    with shop.session() as session:
        run = world.approved_run(session, shop.people, rails=RAILS, now=shop.now)
    answers = shop.at_once(
        lambda session, _: sending.send(
            session, run.id, sender=session.get_one(Person, shop.people.finance.id), rails=RAILS, now=shop.now
        )
    )
    assert sum(not isinstance(answer, DomainError) for answer in answers) == 1


def test_a_day_limit_that_fits_one_lets_one_through(shop: Shop) -> None:
    """Two reservations that would each fit are serialised by the limits' lock."""
    from payouts.models import RuleKind
    from payouts.services import controls

    with shop.session() as session:
        others = [world.owed(session, shop.ada, 100_000, by=shop.people.officer, now=shop.now) for _ in range(TEN - 1)]
        controls.set_rule(
            session, kind=RuleKind.DAY_MAX, value=150_000, currency="USD", rail=None, valid_from=shop.now,
            reason="Test", actor=shop.people.approver, now=shop.now,
        )  # fmt: skip
        run = world.sent_run(session, shop.people, rails=RAILS, now=shop.now)
        for payout in run.payouts:
            payout.is_canary = False
    ids = [shop.payout.id, *(payout.id for payout in others)]
    answers = shop.at_once(lambda session, i: claims.claim(session, ids[i], rails=RAILS, rules=Rules(), now=shop.now))
    assert sum(isinstance(answer, Claim) for answer in answers) == 1


def test_a_person_at_a_run_and_a_worker_at_its_payout_do_not_wait_for_each_other(shop: Shop) -> None:
    """A payout that is updated twice in a transaction has its foreign key looked at again, and with it the run's row."""
    with shop.session() as session:
        run_id = world.sent_run(session, shop.people, rails=RAILS, now=shop.now).id
    with shop.session() as person, shop.session() as worker:
        worker.execute(text("SET LOCAL lock_timeout = '2s'"))
        payout = worker.scalars(select(Payout).with_for_update(of=Payout)).one()
        runs.locked(person, run_id)
        for words in ("first", "second"):
            payout.blocked_reason = words
            worker.flush()
