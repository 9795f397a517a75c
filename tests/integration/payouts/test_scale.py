"""A run of many lines takes as many statements as a run of few, and so does each of its payouts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, text
from sqlalchemy.orm import Session

from core.tasks import TaskRow, TaskStatus
from payouts.models import Recipient, RuleKind, Run
from payouts.policies import LimitReached, Rules
from payouts.rails.base import Rail
from payouts.services import claims, controls, previews, runs, sending, withdrawals
from payouts.services.claims import Claim
from tests.fakes import payouts_world as world

pytestmark = pytest.mark.usefixtures("funded")


@contextmanager
def counted(session: Session) -> Iterator[list[str]]:
    """The statements sent meanwhile; a batch of rows counts as one."""
    sent: list[str] = []

    def note(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    session.flush()
    bind = session.connection()
    event.listen(bind, "before_cursor_execute", note)
    try:
        yield sent
        session.flush()
    finally:
        event.remove(bind, "before_cursor_execute", note)


@dataclass
class Desk:
    """A run of some size, taken from due to sent."""

    def __init__(
        self, session: Session, people: world.Cast, rails: Mapping[str, Rail], who: Recipient, clock: world.Clock
    ) -> None:
        self.session, self.people, self.rails, self.who, self.clock = session, people, rails, who, clock

    def owe(self, count: int) -> None:
        first = world.owed(self.session, self.who, 100, by=self.people.officer, now=self.clock())
        self.session.flush()
        self.session.execute(world.MANY, {"count": count - 1, "payout": first.id})

    def prepared(self) -> Run:
        now, finance = self.clock(), self.people.finance
        run, unready = runs.prepare(
            self.session, currency="USD", due_by=now.date(), preparer=finance, rails=self.rails, now=now
        )  # fmt: skip
        assert unready == []
        return run

    def approve(self, run: Run) -> None:
        runs.approve(self.session, run.id, approver=self.people.approver, seen_hash=run.content_hash, now=self.clock())

    def send(self, run: Run) -> None:
        sending.send(self.session, run.id, sender=self.people.finance, rails=self.rails, now=self.clock())

    def steps(self, count: int) -> dict[str, int]:
        """How many statements each step of a run of so many lines takes, each line from a fund of its own."""
        taken: dict[str, int] = {}
        self.owe(count)
        self.session.execute(text("UPDATE payout SET fund_account = 'liabilities:fund:' || id WHERE run_id IS NULL"))

        def step(name: str, act: Callable[[], Any]) -> Any:
            self.session.flush()
            self.session.expunge_all()
            with counted(self.session) as sent:
                made = act()
            taken[name] = len(sent)
            return made

        run = step("prepare", self.prepared)
        assert len(run.payouts) == count
        step("preview", lambda: previews.preview(self.session, run.id, rails=self.rails, now=self.clock()))
        step("approve", lambda: self.approve(run))
        step("send", lambda: self.send(run))
        waiting = world.payout_ids(self.session, run.id)
        step("wake", lambda: sending.wake(self.session, waiting, now=self.clock()))
        step("look after", lambda: sending.look_after(self.session, run.id, rails=self.rails, now=self.clock()))
        return taken

    def limit_runs(self, *, to: int) -> None:
        controls.set_rule(
            self.session, kind=RuleKind.RUN_MAX, value=to, currency="USD", rail=None, valid_from=self.clock(), reason="Less",
            actor=self.people.approver, now=self.clock(),
        )  # fmt: skip

    def claim(self, run: Run) -> int:
        """How many statements the claim of the run's canary takes."""
        first = next(payout.id for payout in run.payouts if payout.is_canary)
        self.session.flush()
        self.session.expunge_all()
        with counted(self.session) as sent:
            claimed = claims.claim(self.session, first, rails=self.rails, rules=Rules(), now=self.clock())
            assert isinstance(claimed, Claim), claimed
        return len(sent)


@pytest.fixture
def desk(session: Session, people: world.Cast, rails: Mapping[str, Rail], ada: Recipient, clock: world.Clock) -> Desk:
    return Desk(session, people, rails, ada, clock)


def test_a_long_run_takes_as_many_statements_as_a_short_one(desk: Desk) -> None:
    few = desk.steps(3)
    assert desk.steps(60) == few


def test_a_claim_in_a_long_run_takes_as_many_statements_as_in_a_short_one(desk: Desk) -> None:
    taken = []
    for count in (1, 40):
        desk.owe(count)
        run = desk.prepared()
        desk.approve(run)
        desk.send(run)
        taken.append(desk.claim(run))
    assert taken[0] == taken[1] <= 20


def test_waking_twice_leaves_one_task_for_each_payout(desk: Desk) -> None:
    desk.owe(5)
    run = desk.prepared()
    desk.approve(run)
    desk.send(run)
    waiting = world.payout_ids(desk.session, run.id)
    for _ in range(2):
        sending.wake(desk.session, waiting, now=desk.clock())
    rows = desk.session.scalars(select(TaskRow).where(TaskRow.kind == sending.SendPayout.kind)).all()
    assert sorted(row.arguments["payout_id"] for row in rows) == sorted(map(str, waiting))
    assert {row.status for row in rows} == {TaskStatus.READY}


def test_a_limit_set_after_the_approval_counts_and_lines_taken_out_since_do_not(desk: Desk) -> None:
    desk.owe(3)
    run = desk.prepared()
    desk.approve(run)
    desk.send(run)
    assert run.approved_minor == 300
    desk.limit_runs(to=250)
    with pytest.raises(LimitReached, match="The limit for one run is"):
        desk.claim(run)
    last = next(payout.id for payout in run.payouts if not payout.is_canary)
    withdrawals.cancel(desk.session, last, actor=desk.people.finance, reason="Not owed", now=desk.clock())
    assert desk.claim(run) > 0
