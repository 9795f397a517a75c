"""The engine: drives a payout from one commit to the next, with every network call between two of them.

T1 claim → T1b count the send → deadline → network → T2 record. It may be killed anywhere; whoever comes next reads from
the database what may have happened and goes on (docs/explanation/payout-engine.md has the table of every point).
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.db import session_scope
from core.errors import DomainError
from payouts import queries
from payouts.models import Payout
from payouts.policies import Rules, Step
from payouts.rails.base import FollowedRail, NetworkRail, Rail, UnreferencedRail
from payouts.services import claims, records, runs, sending
from payouts.services.claims import Claim, Wait, WaitsForTurn
from payouts.services.controls import RailStopped
from payouts.services.readiness import DestinationNotReady, PayeeHeld

log = structlog.get_logger()


class Probe(Protocol):
    """Called by name at the points of the crash table, so that tests can end the process there."""

    def __call__(self, point: str) -> None: ...


def no_probe(point: str) -> None:
    """Nothing happens at any point."""


@dataclass(frozen=True)
class Engine:
    """What it takes to move money: rails, rules, a clock and a way to open transactions."""

    rails: Mapping[str, Rail]
    rules: Rules = field(default_factory=Rules)
    sessions: Callable[[], AbstractContextManager[Session]] = session_scope
    clock: Callable[[], datetime] = utc_now
    probe: Probe = no_probe

    def drive(self, payout_id: UUID) -> Wait:
        """Do the one step that may be done now, and say when to come back (`until` None: never by yourself)."""
        self.probe("before_claim")
        try:
            with self.sessions() as session:
                claimed = claims.claim(session, payout_id, rails=self.rails, rules=self.rules, now=self.clock())
                self.probe("after_claim_before_commit")
        except DomainError as error:
            return self._blocked(payout_id, error)
        if isinstance(claimed, Wait):
            return claimed
        self.probe("after_reserve_commit")
        rail = self.rails[claimed.rail]
        assert isinstance(rail, NetworkRail), "only network rails are driven by machines"
        if claimed.step is Step.SEND:
            return self._send(claimed, rail)
        return self._look_up(claimed, rail)

    def carry_on(self, run_id: UUID, *, wait: timedelta) -> list[Wait]:
        """Drive every line of a run until machines can do no more, or `wait` has passed. For commands that wait.

        Beside running workers it does no harm: who has the lease does the step. Returns what each unfinished line waits for.
        """
        deadline = self.clock() + wait
        while True:
            with self.sessions() as session:
                sending.release_lines(session, runs.lock(session, run_id), rails=self.rails, now=self.clock())
                todo = queries.unfinished(session, run_id)
            outcomes = [self.drive(payout_id) for payout_id in todo]
            moments = [outcome.until for outcome in outcomes if outcome.until is not None]
            if not moments or min(moments) > deadline:
                return outcomes
            time.sleep(max(0.05, (min(moments) - self.clock()).total_seconds()))

    def _send(self, claimed: Claim, rail: NetworkRail) -> Wait:
        try:
            with self.sessions() as session:
                ours = claims.mark_sent(session, claimed, capabilities=rail.capabilities, now=self.clock())
        except (RailStopped, DestinationNotReady, PayeeHeld) as stopped:
            with self.sessions() as session:
                claims.release(session, claimed)
            return self._blocked(claimed.payout_id, stopped)
        except WaitsForTurn as turn:
            with self.sessions() as session:
                claims.release(session, claimed, not_before=turn.until)
            self._blocked(claimed.payout_id, turn)
            return Wait(turn.until, turn.message)
        self.probe("before_send")
        # A process that was frozen for the length of its lease wakes up here: somebody else may be at it already.
        if not ours or not self.rules.in_time(claimed.lease_until, rail.capabilities, self.clock()):
            return Wait(claimed.lease_until, "Too late to send under this lease.")
        self.probe("mid_send")
        try:
            receipt = rail.send(claimed.instruction)
        except Exception as error:  # noqa: BLE001 - whatever was raised after the first byte, money may have moved
            log.info("payout.no_receipt", payout=str(claimed.payout_id), rail=rail.name, error=repr(error))
            self.probe("after_send_before_commit")
            with self.sessions() as session:
                records.answered(session, claimed, error, now=self.clock())
                self.probe("before_settle_commit")
        else:
            self.probe("after_send_before_commit")
            with self.sessions() as session:
                records.accepted(session, claimed.attempt_id, receipt, now=self.clock())
                self.probe("before_settle_commit")
        self.probe("after_accept_commit")
        return self._after(claimed)

    def _look_up(self, claimed: Claim, rail: NetworkRail) -> Wait:
        self.probe("in_reconcile")
        try:
            if isinstance(rail, FollowedRail) and self._may_go_on(claimed):
                found = rail.follow(claimed.instruction)
            elif isinstance(rail, UnreferencedRail):
                found = rail.find(claimed.instruction)
            else:
                found = rail.look_up(claimed.instruction.reference)
        except Exception as error:  # noqa: BLE001 - a look-up that brought nothing is recorded as what it is
            with self.sessions() as session:
                records.not_looked_up(session, claimed, error, pause=self.rules.pause, now=self.clock())
        else:
            with self.sessions() as session:
                records.looked_up(session, claimed, found, capabilities=rail.capabilities, rules=self.rules, now=self.clock())
        return self._after(claimed)

    def _may_go_on(self, claimed: Claim) -> bool:
        """Whether a step of ours may be taken towards the payment. Where not, the rail is only asked, and people see why."""
        try:
            with self.sessions() as session:
                claims.require_going_on(session, claimed, now=self.clock())
        except DomainError as error:
            self._blocked(claimed.payout_id, error)
            return False
        return True

    def _after(self, claimed: Claim) -> Wait:
        """Open the way for the payouts that wait for this one, and come back soon if there is more to do about it."""
        now = self.clock()
        with self.sessions() as session:
            return sending.after_step(session, claimed.payout_id, rails=self.rails, rules=self.rules, now=now)

    def _blocked(self, payout_id: UUID, error: DomainError) -> Wait:
        """Show people why it could not go; come back later, because most reasons pass."""
        with self.sessions() as session:
            session.execute(
                update(Payout)
                .where(Payout.id == payout_id, Payout.blocked_reason.is_distinct_from(error.message))
                .values(blocked_reason=error.message)
            )
        return Wait(self.clock() + self.rules.pause, error.message)
