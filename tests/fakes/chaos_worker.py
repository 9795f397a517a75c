"""What a worker process of the chaos tests does: drive payouts until none is left that a machine can carry further.

It ends itself with SIGKILL at a named point (`kill`, once reached), or at random ones (`rate`), as a crash would: no finally, no
rollback, no goodbye. The weakened variants are the negative controls: each leaves out one rule of the engine.
"""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.db.session import make_engine
from core.identity.models import Person
from payouts import queries
from payouts.models import Payout
from payouts.policies import Known, Rules
from payouts.rails.base import (
    Capabilities,
    CheckedDestination,
    DestinationField,
    Health,
    Instruction,
    NetworkRail,
    OutcomeUnknown,
    Rail,
    Receipt,
    Refused,
)
from payouts.rails.fake import FakeRail
from payouts.services import sending, withdrawals
from payouts.services.engine import Engine, no_probe

TIMEOUT = timedelta(seconds=0.6)
VISIBILITY = timedelta(seconds=1.0)
LOOKS_EVERY = timedelta(seconds=0.5)
QUIET = Rules(lease=timedelta(seconds=1.6), quiescence=timedelta(seconds=1.7), pause=timedelta(seconds=0.2), attempts_max=50)


# ------------------------------------------------------------------------------------------------ weakened rules


class ResendsWithoutKeys(Rules):
    """Weakened: an unanswered send is repeated on every rail."""

    def may_resend(self, known: Known, capabilities: Capabilities, now: datetime) -> bool:
        return True


class NoDeadline(Rules):
    """Weakened: whoever wakes up late still sends."""

    def in_time(self, lease_until: datetime, capabilities: Capabilities, now: datetime) -> bool:
        return True


class Impatient(Rules):
    """Weakened: look-ups are believed at once."""

    def quiet_after(self, capabilities: Capabilities) -> timedelta:
        return timedelta(seconds=0.1)


@dataclass
class WeakRail:
    """A rail that breaks one promise on the way."""

    rail: NetworkRail

    @property
    def name(self) -> str:
        return self.rail.name

    @property
    def title(self) -> str:
        return self.rail.title

    @property
    def capabilities(self) -> Capabilities:
        return self.rail.capabilities

    @property
    def destination_fields(self) -> Sequence[DestinationField]:
        return self.rail.destination_fields

    def check_destination(self, details: Mapping[str, str], currency: str) -> CheckedDestination:
        return self.rail.check_destination(details, currency)

    def health(self) -> Health:
        return self.rail.health()

    def send(self, instruction: Instruction) -> Receipt:
        return self.rail.send(instruction)

    def look_up(self, reference: str) -> Sequence[Receipt]:
        return self.rail.look_up(reference)


class NewKeyPerSend(WeakRail):
    """Weakened: the key is made when the call is made."""

    def send(self, instruction: Instruction) -> Receipt:
        return self.rail.send(replace(instruction, reference=f"pw-{uuid4().hex[:20]}"))


class UnknownIsFailed(WeakRail):
    """Weakened: a time-out counts as a refusal."""

    def send(self, instruction: Instruction) -> Receipt:
        try:
            return self.rail.send(instruction)
        except OutcomeUnknown as error:
            raise Refused(str(error)) from error


WEAK_RULES: Mapping[str, type[Rules]] = {"resend": ResendsWithoutKeys, "no_deadline": NoDeadline, "impatient": Impatient}
WEAK_RAILS: Mapping[str, type[WeakRail]] = {"new_key": NewKeyPerSend, "unknown_failed": UnknownIsFailed}


class Places(Protocol):
    """Where the rails of a test are. Goes to the worker processes."""

    @property
    def rules(self) -> Rules: ...

    def rails(self, weak: str | None = None) -> Mapping[str, Rail]:
        """New clients of them."""
        ...


@dataclass(frozen=True)
class Trial:
    """The trial payment service alone."""

    url: str
    rules: Rules = QUIET

    def rails(self, weak: str | None = None) -> Mapping[str, Rail]:
        """With idempotency keys (`fake`) and without (`plain`)."""
        made = [
            FakeRail(lambda: self.url, timeout=TIMEOUT, visibility=VISIBILITY),
            FakeRail(lambda: self.url, name="plain", idempotent=False, timeout=TIMEOUT, visibility=VISIBILITY),
        ]
        return {rail.name: weakened(rail, weak) for rail in made}


def weakened(rail: Rail, weak: str | None) -> Rail:
    """A rail without one of its promises, if that is what is weak."""
    wrap = WEAK_RAILS.get(weak or "")
    return wrap(rail) if wrap and isinstance(rail, NetworkRail) else rail


def weakened_rules(rules: Rules, weak: str | None) -> Rules:
    kind = WEAK_RULES.get(weak or "", Rules)
    return kind(lease=rules.lease, quiescence=rules.quiescence, pause=rules.pause, attempts_max=rules.attempts_max)


# ------------------------------------------------------------------------------------------------ dying


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killer(point: str | None, rate: float, freeze: str | None, rng: random.Random) -> Callable[[str], None]:
    """A probe that ends the process at a named point, or at any with a probability; or stops it once until SIGCONT."""
    if point is None and not rate and freeze is None:
        return no_probe
    frozen = False

    def probe(reached: str) -> None:
        nonlocal frozen
        if reached == freeze and not frozen:
            frozen = True
            os.kill(os.getpid(), signal.SIGSTOP)
        elif reached == point or (rate and rng.random() < rate):
            if reached == "mid_send":  # while the request is in flight
                threading.Timer(rng.uniform(0.01, 0.06), die).start()
            else:
                die()

    return probe


# ------------------------------------------------------------------------------------------------ working


def work(
    database: str,
    places: Places,
    *,
    seed: int = 0,
    weak: str | None = None,
    kill: str | None = None,
    rate: float = 0.0,
    freeze: str | None = None,
    notices: int = 0,
) -> None:
    """Until every payout has ended. In each round come `notices` about any of them, ended ones too, in any order and again."""
    rng = random.Random(seed)
    store = make_engine(database, pool_size=2)

    @contextmanager
    def sessions() -> Iterator[Session]:
        with Session(store, expire_on_commit=False) as session, session.begin():
            yield session

    here = places.rails(weak)
    engine = Engine(
        rails=here, rules=weakened_rules(places.rules, weak), sessions=sessions, probe=killer(kill, rate, freeze, rng)
    )
    resting: dict[UUID, datetime] = {}
    while True:
        try:
            with sessions() as session:
                for run_id in queries.sending_runs(session):
                    sending.release_lines(session, sending.lock(session, run_id), rails=here, now=utc_now())
            with sessions() as session:
                unfinished, everybody = list(queries.unfinished(session)), list(session.scalars(select(Payout.id)))
        except DBAPIError as error:  # a lock time-out or a dropped connection: the next round tries again
            print(f"database: {error.orig}", file=sys.stderr)
            time.sleep(0.2)
            continue
        if not unfinished:
            return
        now = utc_now()
        todo = [payout_id for payout_id in unfinished if resting.get(payout_id, now) <= now]
        todo += rng.choices(everybody, k=notices)
        rng.shuffle(todo)
        for payout_id in todo:
            try:
                outcome = engine.drive(payout_id)
                if weak == "unknown_failed" and outcome.until is None:
                    _insist(sessions, payout_id)
            except DBAPIError as error:
                print(f"database: {error.orig}", file=sys.stderr)
            else:
                latest = utc_now() + LOOKS_EVERY
                resting[payout_id] = min(outcome.until or latest, latest)
        if not todo or min(resting.values(), default=utc_now()) > utc_now():
            time.sleep(0.1)


def _insist(sessions: Callable[[], AbstractContextManager[Session]], payout_id: UUID) -> None:
    """Part of that weakness: what “failed” is tried again."""
    with sessions() as session:
        payout = queries.payout(session, payout_id)
        if payout.status == "reserved" and payout.live_attempt is None:
            somebody = session.get_one(Person, payout.prepared_by_id)
            withdrawals.try_again(session, payout.id, actor=somebody, reason="It said failed", now=utc_now())
