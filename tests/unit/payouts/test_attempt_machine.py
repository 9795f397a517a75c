"""A simulated rail and simulated workers that crash, freeze and lose answers: whatever the order, one payment at most.

Time is a number of seconds. A worker is its claim; it may die or sleep between any two of its steps, as processes do. The
rail makes the money move at any moment until a call's time-out, answered or not, and shows it late.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.money import Money
from payouts.models import AttemptState
from payouts.policies import Finding, Known, Rules, Step, judge, next_step
from payouts.rails.base import Capabilities, Receipt

WHICH = st.integers(0, 3)
START = datetime(2026, 11, 2, tzinfo=UTC)
AMOUNT = Money(100, "USD")
TIMEOUT, VISIBILITY = timedelta(seconds=10), timedelta(seconds=30)
RULES = Rules(lease=timedelta(seconds=30), quiescence=timedelta(seconds=20), pause=timedelta(seconds=5))


@dataclass
class Attempt:
    key: str
    created_at: datetime
    state: AttemptState = AttemptState.SENDING
    sends: int = 0
    declined: int = 0
    sent_at: datetime | None = None
    not_before: datetime | None = None
    token: int | None = None
    lease_until: datetime | None = None

    def known(self) -> Known:
        return Known(self.state, self.sends, self.declined, self.created_at, self.sent_at, self.not_before, self.lease_until)

    def release(self) -> None:
        self.token = self.lease_until = None


@dataclass
class Worker:
    attempt: Attempt
    token: int
    lease_until: datetime
    step: Step
    counted: bool = False


@dataclass
class Payment:
    key: str
    at: datetime


@dataclass
class World:
    rail: Capabilities
    now: datetime = START
    attempts: list[Attempt] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    tokens: int = 0


class Attempts(RuleBasedStateMachine):
    patience: Rules = RULES

    @initialize(idempotent=st.booleans(), authoritative=st.booleans())
    def begin(self, idempotent: bool, authoritative: bool) -> None:
        window = timedelta(hours=23) if idempotent else timedelta(0)
        self.world = World(
            Capabilities(
                idempotent=idempotent,
                key_window=window,
                lookup_authoritative=authoritative,
                visibility=VISIBILITY,
                timeout=TIMEOUT,
            )
        )

    @rule(seconds=st.integers(1, 60))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule()
    def claim(self) -> None:
        """T1: the newest attempt if it lives, else the next one, with a new key, after one that surely moved nothing."""
        here = self.world
        live = next((attempt for attempt in here.attempts if attempt.state is not AttemptState.FAILED), None)
        if live is None:
            live = Attempt(f"key-{len(here.attempts) + 1}", here.now)
            here.attempts.append(live)
        found = next_step(live.known(), here.rail, self.patience, here.now)
        if found.step in {Step.SEND, Step.LOOK_UP}:
            here.tokens += 1
            live.token, live.lease_until, live.not_before = here.tokens, here.now + self.patience.lease, None
            if found.step is Step.LOOK_UP:
                live.state = AttemptState.UNKNOWN
            here.workers.append(Worker(live, here.tokens, live.lease_until, found.step))

    def _pick(self, which: int, step: Step, *, counted: bool) -> Worker | None:
        """One of the workers at this point, the longest asleep first."""
        ready = [worker for worker in self.world.workers if worker.step is step and worker.counted is counted]
        return ready[which % len(ready)] if ready else None

    @precondition(lambda self: self.world.workers)
    @rule(which=WHICH)
    def a_worker_dies(self, which: int) -> None:
        self.world.workers.pop(which % len(self.world.workers))

    @rule(which=WHICH)
    def count_the_send(self, which: int) -> None:
        """T1b, only under a lease that is still ours."""
        worker, here = self._pick(which, Step.SEND, counted=False), self.world
        if worker is None:
            return
        attempt = worker.attempt
        if attempt.token != worker.token or here.now >= worker.lease_until:
            here.workers.remove(worker)
            return
        attempt.sends, attempt.sent_at, worker.counted = attempt.sends + 1, here.now, True

    @rule(which=WHICH, moves=st.booleans(), late=st.integers(0, 10), answered=st.booleans(), declined=st.booleans())
    def send(self, which: int, moves: bool, late: int, answered: bool, declined: bool) -> None:
        """The deadline, the call, and T2; the money may move although no answer comes."""
        worker, here = self._pick(which, Step.SEND, counted=True), self.world
        if worker is None:
            return
        here.workers.remove(worker)
        if not self.patience.in_time(worker.lease_until, here.rail, here.now):
            return
        attempt, ours = worker.attempt, worker.attempt.token == worker.token
        if declined:
            attempt.declined += 1
            if ours:
                attempt.release()
            return
        known_key = here.rail.idempotent and any(payment.key == attempt.key for payment in here.payments)
        if moves and not known_key:
            here.payments.append(Payment(attempt.key, here.now + timedelta(seconds=late)))
        if answered and (moves or known_key):
            if attempt.state in {AttemptState.SENDING, AttemptState.UNKNOWN}:
                attempt.state = AttemptState.ACCEPTED
                attempt.release()
        elif answered and not moves and attempt.sends - attempt.declined == 1:
            if attempt.state in {AttemptState.SENDING, AttemptState.UNKNOWN}:
                attempt.state = AttemptState.FAILED  # a clear refusal of the only send there was
                attempt.release()
        elif ours:
            attempt.state = AttemptState.UNKNOWN
            attempt.release()

    @rule(which=WHICH)
    def look_up(self, which: int) -> None:
        worker, here = self._pick(which, Step.LOOK_UP, counted=False), self.world
        if worker is None:
            return
        here.workers.remove(worker)
        attempt = worker.attempt
        seen = [payment for payment in here.payments if payment.key == attempt.key and payment.at + VISIBILITY <= here.now]
        finding = judge([Receipt(f"tr_{number}", AMOUNT) for number, _ in enumerate(seen)], AMOUNT, here.rail)
        if attempt.token != worker.token or attempt.state is not AttemptState.UNKNOWN:
            return
        ends = {
            Finding.ACCEPTED: AttemptState.ACCEPTED,
            Finding.ABSENT: AttemptState.FAILED,
            Finding.PEOPLE: AttemptState.HUMAN,
            Finding.CONTRADICTION: AttemptState.HUMAN,
        }
        attempt.state = ends[finding]
        attempt.release()

    @invariant()
    def money_moves_once_at_most(self) -> None:
        if hasattr(self, "world"):
            assert len(self.world.payments) <= 1, f"{len(self.world.payments)} payments: {self.world}"

    @invariant()
    def what_counts_as_accepted_was_paid(self) -> None:
        if hasattr(self, "world"):
            accepted = [attempt.key for attempt in self.world.attempts if attempt.state is AttemptState.ACCEPTED]
            assert set(accepted) <= {payment.key for payment in self.world.payments}

    @invariant()
    def one_attempt_lives(self) -> None:
        if hasattr(self, "world"):
            assert sum(attempt.state is not AttemptState.FAILED for attempt in self.world.attempts) <= 1


TestAttempts = Attempts.TestCase
TestAttempts.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


class Resends(Rules):
    def may_resend(self, known: Known, capabilities: Capabilities, now: datetime) -> bool:
        return True


class Impatient(Rules):
    def quiet_after(self, capabilities: Capabilities) -> timedelta:
        return timedelta(seconds=1)


class Sleepwalker(Rules):
    def in_time(self, lease_until: datetime, capabilities: Capabilities, now: datetime) -> bool:
        return True


class ForgetsTheLease(Rules):
    """A call lasts its time-out at most; that it may begin as late as its lease lets it is left out."""

    def quiet_after(self, capabilities: Capabilities) -> timedelta:
        return max(self.quiescence, capabilities.visibility + capabilities.timeout)


def sends_unanswered(play: Attempts, *, moves: bool) -> None:
    play.claim()
    play.count_the_send(0)
    play.send(-1, moves=moves, late=0, answered=False, declined=False)


def ask_twice(play: Attempts) -> None:
    sends_unanswered(play, moves=True)
    sends_unanswered(play, moves=True)


def look_too_early(play: Attempts) -> None:
    sends_unanswered(play, moves=True)
    play.time_passes(2)
    play.claim()
    play.look_up(0)
    sends_unanswered(play, moves=True)


def sleep_before_sending(play: Attempts) -> None:
    play.claim()
    play.count_the_send(0)
    play.time_passes(60)  # the sleeper's lease is over, and a look-up proves that nothing happened
    play.claim()
    play.look_up(0)
    sends_unanswered(play, moves=True)
    play.send(0, moves=True, late=0, answered=True, declined=False)  # the sleeper wakes up


def send_at_the_end_of_the_lease(play: Attempts) -> None:
    play.claim()
    play.count_the_send(0)
    play.time_passes(19)
    play.send(0, moves=True, late=10, answered=False, declined=False)
    play.time_passes(25)  # the money moved 15 seconds ago, and shows in another 15
    play.claim()
    play.look_up(0)
    sends_unanswered(play, moves=True)


@pytest.mark.parametrize(
    ("weak", "scene"),
    [
        (Resends, ask_twice),
        (Impatient, look_too_early),
        (Sleepwalker, sleep_before_sending),
        (ForgetsTheLease, send_at_the_end_of_the_lease),
    ],
)
def test_each_rule_prevents_a_second_payment(weak: type[Rules], scene: Callable[[Attempts], None]) -> None:
    paid = {}
    for kind in (Rules, weak):
        play = Attempts()
        play.patience = kind(lease=RULES.lease, quiescence=RULES.quiescence, pause=RULES.pause)
        play.begin(idempotent=False, authoritative=True)
        scene(play)
        paid[kind] = len(play.world.payments)
    assert paid == {Rules: 1, weak: 2}
