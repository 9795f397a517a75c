"""All rails under everything that can go wrong: each obligation is paid once or ended by people, and every cent is found.

Workers are killed at random points, calls are cut, slow, refused, answered with 500, 429 or a proxy's page; what was made shows
late; notices come twice and in any order; each service refuses our credentials once. People do what the console offers them and
nothing else. All chance comes from one seed, which is printed; `PLEDGEWORKS_CHAOS_SEED` sets another. (Which process runs when is
the machine's choice, so the same seed gives the same faults and kills, not the same interleaving.)
"""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine as Store
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import ledger
from core.clock import utc_now
from core.db.session import make_engine
from core.ledger import Account
from core.money import Money
from payouts.models import Alarm, AttemptState, Payout, PayoutAttempt, PayoutStatus, Run, RunStatus
from payouts.rails.base import Rail
from tests.fakes import all_fakes, chaos_worker
from tests.fakes import payouts_world as world
from tests.fakes.all_fakes import Fakes, Happened
from tests.fakes.github_sponsors import Maintainer
from tests.fakes.people import People

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(540)]
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.fakes.all_rails"])

SEED = int(os.environ.get("PLEDGEWORKS_CHAOS_SEED", "20261122"))
EACH: Mapping[str, int] = {
    "fake": 26, "plain": 30, "opencollective": 24, "opencollective_expense": 26, "stripe_connect": 32, "global_payouts": 16,
    "github_sponsors": 14, "github_api": 6, "bank_file": 18, "manual": 8,
}  # fmt: skip
"""How many payouts on each rail; together 200."""
GITHUB = frozenset({"github_sponsors", "github_api"})
"""By file and by API: payments there carry no reference, only the maintainer's name."""
BAD = 2
"""So many of each (but of `manual`) can't be paid: the payee's side refuses."""
WORKERS = 3
KILLS = 12
FUND_CENTS = 20_000_000


def destination(rail: str, name: str) -> dict[str, str]:
    """Where a payee called this is paid, or can't be."""
    bad = name.startswith("bad")
    return {
        "fake": {"account": f"closed_{name}" if bad else f"acct_{name}"},
        "plain": {"account": f"closed_{name}" if bad else f"acct_{name}"},
        "opencollective": {"collective": "old-lib" if bad else name},
        "opencollective_expense": {"profile": name},
        "stripe_connect": {"account": f"acct_{name.replace('-', ''):0>16}"},
        "global_payouts": {"account": f"acct_{name.replace('-', ''):0<16}"},
        "github_sponsors": {"login": name},
        "github_api": {"login": name},
        "bank_file": {"iban": "DE89370400440532013000"},
        "manual": {"holder": name, "bank": "Sparkasse", "account": "123456789"},
    }[rail]


def names(rail: str) -> list[str]:
    """Its payees. The smallest amount goes first and alone on each rail, so the bad ones come last."""
    stem, count = rail.replace("_", "-"), EACH[rail]
    bad = 0 if rail == "manual" else BAD
    return [f"{stem}-{number}" for number in range(count - bad)] + [f"bad-{stem}-{number}" for number in range(bad)]


@dataclass
class Everywhere:
    """A committed database, all services, worker processes and people."""

    database: str
    store: Store
    fakes: Fakes
    rails: Mapping[str, Rail]
    people: People = field(init=False)
    workers: list[ForkServerProcess] = field(default_factory=list)

    @contextmanager
    def session(self) -> Iterator[Session]:
        with Session(self.store, expire_on_commit=False) as session, session.begin():
            yield session

    def owe(self, only: tuple[str, ...] = tuple(EACH), share: int = 1) -> None:
        """One run over all rails, on its way."""
        now = utc_now()
        with self.session() as session:
            cast = world.cast(session, now)
            world.fund(session, Money(FUND_CENTS, "USD"), now=now)
            for provider in self.fakes.balances():
                world.fund(session, Money(all_fakes.OPENING_CENTS, "USD"), now=now, cash=f"assets:rail:{provider}:usd")
            for rail in only:
                for number, name in enumerate(names(rail)[::share]):
                    details = destination(rail, name)
                    if rail == "global_payouts" or (rail == "stripe_connect" and not name.startswith("bad")):
                        all_fakes.stripe_account(self.fakes, rail, details["account"])
                    if rail in GITHUB:
                        self.fakes.github.add(Maintainer(name, minimum=5_000 if name.startswith("bad") else 1))
                    who = world.recipient(session, name, rail=self.rails[rail], by=cast.finance, now=now, details=details)
                    made = world.owed(session, who, 1_001 + 7 * number, by=cast.officer, now=now, obligation=f"all:{name}")
                    made.due_on = now.date()
            world.sent_run(session, cast, rails=self.rails, now=now)
            self.people = People(
                self.session, self.fakes, self.rails, cast.finance.id, cast.approver.id, random.Random(SEED)
            )  # fmt: skip

    def start(self, **options: Any) -> ForkServerProcess:
        places = self.fakes.addresses
        worker = PROCESSES.Process(target=chaos_worker.work, args=(self.database, places), kwargs=options, daemon=True)
        worker.start()
        self.workers.append(worker)
        return worker

    def end_workers(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.join()

    @contextmanager
    def life_outside(self) -> Iterator[None]:
        """People, payees and hosts, all the while."""
        ended = threading.Event()

        def live() -> None:
            while not ended.wait(0.25):
                self.people.go_round()
                self.fakes.go_on()

        life = threading.Thread(target=live)
        life.start()
        try:
            yield
        finally:
            ended.set()
            life.join()

    def payout_of(self) -> Mapping[tuple[str, str], tuple[UUID, int, AttemptState]]:
        """The payout of every attempt, what it asked for, and its state, by rail and the name it has there.

        At GitHub all attempts of a payout have the maintainer's name. What was paid there belongs to the accepted one, if any is.
        """
        with self.session() as session:
            return {
                (each.rail, each.parameters["destination"]["login"] if each.rail in GITHUB else each.idem_key): (
                    each.payout_id, each.money.amount_minor, each.state,
                )
                for each in session.scalars(select(PayoutAttempt).order_by(PayoutAttempt.state == AttemptState.ACCEPTED)).all()
            }  # fmt: skip

    def unfinished(self) -> str:
        """What every payout that has not ended waits for."""
        open_ones = select(Payout).where(Payout.status.in_([PayoutStatus.APPROVED, PayoutStatus.RESERVED]))
        with self.session() as session:
            return "\n".join(
                f"{each.recipient.name} {each.status} {each.blocked_reason or ''} "
                + "; ".join(f"{one.state} sends {one.sends - one.declined} {one.detail}" for one in each.attempts)
                for each in session.scalars(open_ones).all()
            )

    def doubled(self) -> list[str]:
        """Obligations that were paid more than once, whatever the references."""
        known = self.payout_of()
        counted = Counter(known[each.rail, each.reference][0] for each in self.fakes.happened())
        return [f"{payout_id} was paid {count} times" for payout_id, count in counted.items() if count > 1]

    def require_every_cent(self) -> None:
        """Rails and database know the same payments; every obligation was paid once, or ended by people without one."""
        assert self.doubled() == []
        happened, known = self.fakes.happened(), self.payout_of()
        for each in happened:
            assert known[each.rail, each.reference][1:] == (each.cents, AttemptState.ACCEPTED), each
        with self.session() as session:
            paid = {payout_id for rail, payout_id in self._accepted(session) if rail != "manual"}
            assert paid == {known[each.rail, each.reference][0] for each in happened}
            statuses = Counter((rail, status) for rail, status in session.execute(select(Payout.rail, Payout.status)).all())
            for rail, count in EACH.items():
                bad = len([name for name in names(rail) if name.startswith("bad")])
                assert statuses[rail, PayoutStatus.PAID] == count - bad, (rail, statuses)
                assert statuses[rail, PayoutStatus.CANCELLED] == bad, (rail, statuses)
            assert session.scalar(select(func.count()).select_from(Alarm)) == 0
            assert session.scalars(select(Run.status)).all() == [RunStatus.DONE]
            self._require_ledger(session, happened)

    def _accepted(self, session: Session) -> list[tuple[str, UUID]]:
        accepted = select(PayoutAttempt.rail, PayoutAttempt.payout_id).where(PayoutAttempt.state == AttemptState.ACCEPTED)
        return [(rail, payout_id) for rail, payout_id in session.execute(accepted).all()]

    def _require_ledger(self, session: Session, happened: list[Happened]) -> None:
        """Each place is short by exactly what its rails paid, as its provider says; the fund also by what is carried."""
        by_hand = sum(
            each.money.amount_minor
            for each in session.scalars(
                select(PayoutAttempt).where(PayoutAttempt.rail == "manual", PayoutAttempt.state == AttemptState.ACCEPTED)
            )
        )
        funded = FUND_CENTS + all_fakes.OPENING_CENTS * len(self.fakes.balances())
        elsewhere = 0
        for provider, left in self.fakes.balances().items():
            there = ledger.balance(session, f"assets:rail:{provider}:usd")
            assert (there.posted, there.available) == (left, left), provider
            elsewhere += all_fakes.OPENING_CENTS - left
        gone = sum(each.cents for each in happened) + by_hand
        bank, fund = ledger.balance(session, world.BANK), ledger.balance(session, world.FUND)
        assert (bank.posted, bank.available) == (FUND_CENTS - gone + elsewhere,) * 2
        codes = session.scalars(select(Account.code).where(Account.code.startswith("liabilities:carried:"))).all()
        carried = sum(ledger.balance(session, code).posted for code in codes)
        assert carried > 0, "whole dollars left cents behind"
        assert (fund.posted, fund.available) == (funded - gone - carried,) * 2


@pytest.fixture
def everywhere(fresh_database: str, shared: Path, tmp_path: Path) -> Iterator[Everywhere]:
    print(f"PLEDGEWORKS_CHAOS_SEED={SEED}")
    store = make_engine(fresh_database, pool_size=4)
    with all_fakes.serving(
        shared, tmp_path, seed=SEED, collectives=names("opencollective"), people=names("opencollective_expense")
    ) as fakes:
        made = Everywhere(fresh_database, store, fakes, fakes.addresses.rails())
        yield made
        made.end_workers()
    store.dispose()


def test_two_hundred_payouts_on_all_rails_are_made_once_whatever_happens(everywhere: Everywhere) -> None:
    everywhere.owe()
    everywhere.fakes.misbehave(turned_away=True)
    codes: list[int | None] = []
    workers: list[ForkServerProcess] = []
    began = time.monotonic()
    until = began + 110
    with everywhere.life_outside():
        while codes.count(-signal.SIGKILL) < KILLS and 0 not in codes and time.monotonic() < until:
            codes += [worker.exitcode for worker in workers if not worker.is_alive()]
            workers = [worker for worker in workers if worker.is_alive()]
            while len(workers) < WORKERS:
                workers.append(everywhere.start(rate=0.008, seed=SEED + len(codes) + len(workers), notices=8))
            time.sleep(0.05)
        everywhere.end_workers()
        assert codes.count(-signal.SIGKILL) >= KILLS // 2, f"the kills did not happen: {codes}"
        print(f"killed {codes.count(-signal.SIGKILL)} after {time.monotonic() - began:.0f} s; open:\n{everywhere.unfinished()}")
        for worker in [everywhere.start(seed=SEED + number, notices=2) for number in range(WORKERS)]:
            worker.join(max(1.0, until + 360 - time.monotonic()))
            assert worker.exitcode == 0, f"healthy workers come to an end:\n{everywhere.unfinished()}"
    print(dict(everywhere.people.did), dict(everywhere.people.refused))
    everywhere.require_every_cent()
    assert sum(1 for deed in everywhere.people.did if deed.endswith("started")) >= 2, "rails that were stopped were started"


@pytest.mark.parametrize("weak", ["impatient", "unknown_failed"])
def test_a_weakened_engine_pays_twice_under_the_same_chaos(everywhere: Everywhere, weak: str) -> None:
    everywhere.owe(only=("plain", "opencollective", "stripe_connect"), share=3)
    everywhere.fakes.misbehave(rate=0.15)
    for number in range(WORKERS):
        everywhere.start(weak=weak, seed=SEED + number)
    until = time.monotonic() + 60
    with everywhere.life_outside():
        while not everywhere.doubled() and time.monotonic() < until:
            time.sleep(0.3)
    everywhere.end_workers()
    assert everywhere.doubled(), f"“{weak}” did no harm: is the rule needed?"
