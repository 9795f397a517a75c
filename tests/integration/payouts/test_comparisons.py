"""A run against its rails: differences become alarms, and a rail that can't tell takes nothing from the other lines."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from payouts.models import Alarm, Payout, Recipient, Run
from payouts.rails.base import Rail, RailError, Receipt, Refused
from payouts.rails.fake import FakeRail
from payouts.rails.fake_server import FakeRailServer
from payouts.services.comparisons import compare_with_rails
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world


@dataclass
class Watched:
    """Sessions that know whether one is open."""

    sessions: world.Sessions
    open: int = field(default=0)

    @contextmanager
    def __call__(self) -> Iterator[Session]:
        with self.sessions() as session:
            self.open += 1
            yield session
            self.open -= 1


class Stubborn(FakeRail):
    """A trial rail that can't look up some references."""

    def __init__(self, server: FakeRailServer, watched: Watched, errors: Mapping[str, Exception]) -> None:
        super().__init__(lambda: server.url, timeout=timedelta(seconds=4))
        self._watched, self._errors = watched, errors

    def look_up(self, reference: str) -> Sequence[Receipt]:
        assert self._watched.open == 0, "a transaction is open while the rail is asked"
        if reference in self._errors:
            raise self._errors[reference]
        return super().look_up(reference)


@pytest.fixture
def watched(session: Session) -> Watched:
    return Watched(world.Sessions(session.connection()))


@pytest.fixture
def paid(
    session: Session, people: world.Cast, funded: None, ada: Recipient, rails: Mapping[str, Rail],
    engine_of_payouts: Engine, clock: world.Clock,
) -> Run:  # fmt: skip
    """Three paid lines on one rail."""
    for cents in (100_000, 200_000, 300_000):
        world.owed(session, ada, cents, by=people.officer, now=clock())
    run = world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    for payout_id in world.payout_ids(session, run.id):
        engine_of_payouts.drive(payout_id)
    session.expire_all()
    assert run.status == "done"
    return run


def references(session: Session, run: Run) -> list[str]:
    """Of the run's lines, in the order in which they are looked up."""
    session.refresh(run)
    return [payout.attempts[0].idem_key for payout in sorted(run.payouts, key=lambda payout: payout.obligation)]


def test_a_look_up_that_fails_takes_nothing_from_the_other_lines(
    session: Session, paid: Run, server: FakeRailServer, watched: Watched, now: datetime
) -> None:
    first, second, third = references(session, paid)
    with server.journal() as rows:
        rows.execute("DELETE FROM transfer WHERE reference = ?", (first,))
    errors = {second: RailError("The rail is closed on Sundays."), third: ValueError()}
    for _ in range(2):
        found = compare_with_rails(watched, paid.id, rails={"fake": Stubborn(server, watched, errors)}, now=now)
        assert [note.message for note in found.differences] == [
            f"Attempt 1 is accepted here, and the rail knows nothing under {first}."
        ]
        assert [note.message for note in found.not_looked_up] == [
            f"The payout to Ada ({second}) could not be looked up: The rail is closed on Sundays.",
            f"The payout to Ada ({third}) could not be looked up: ValueError()",
        ]
    (alarm,) = session.scalars(select(Alarm))
    assert session.get_one(Payout, alarm.payout_id).attempts[0].idem_key == first


def test_a_refusal_for_good_means_that_nothing_was_paid(
    session: Session, paid: Run, server: FakeRailServer, watched: Watched, now: datetime
) -> None:
    first, second, _ = references(session, paid)
    errors = {first: Refused("The order was rejected."), second: Refused("Who are you?", stops_rail=True)}
    found = compare_with_rails(watched, paid.id, rails={"fake": Stubborn(server, watched, errors)}, now=now)
    assert [note.message for note in found.differences] == [
        f"Attempt 1 is accepted here, and the rail knows nothing under {first}."
    ]
    assert [note.message.rpartition(": ")[2] for note in found.not_looked_up] == ["Who are you?"]


def test_rails_that_know_every_line_leave_nothing_to_say(
    session: Session, paid: Run, server: FakeRailServer, watched: Watched, now: datetime
) -> None:
    found = compare_with_rails(watched, paid.id, rails={"fake": Stubborn(server, watched, {})}, now=now)
    assert (found.differences, found.not_looked_up) == ([], [])
    assert session.scalars(select(Alarm)).all() == []
