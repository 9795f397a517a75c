"""How much room windows leave in a pool."""

from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_OID, UUID, uuid5

from compute.policies.windows import PoolTime, Run, Taken, without

NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def uid(name: str) -> UUID:
    return uuid5(NAMESPACE_OID, name)


def taken(name: str, gpus: int, begins: float, ends: float, project: str | None = None) -> Taken:
    return Taken(uid(name), gpus, NOON + begins * HOUR, NOON + ends * HOUR, uid(project) if project else None)


def at(hours: float) -> datetime:
    return NOON + hours * HOUR


def test_a_job_has_the_least_room_of_all_windows_it_meets() -> None:
    time = PoolTime(8, [taken("fans", 6, 2, 3), taken("disks", 3, 4, 5)], runs=[Run(1, at(3))])
    assert time.room(at(0), at(2)) == 7, "it is over when the first begins"
    assert time.room(at(0), at(2.1)) == 1
    assert time.room(at(2.5), at(3)) == 1, "one that is going on counts, too"
    assert time.room(at(3), at(4.5)) == 5


def test_a_drain_lets_nothing_run_past_it() -> None:
    time = PoolTime(8, drains_at=at(2))
    assert time.room(at(0), at(2)) == 8
    assert time.room(at(0), at(2) + timedelta(seconds=1)) == 0


def test_a_reservation_is_for_its_project_and_its_time() -> None:
    own = taken("demo", 4, 0, 3, "vllm")
    time = PoolTime(8, [own], runs=[Run(1, at(1), own.id), Run(2, at(1))])
    assert time.reserved_room(own.id, uid("vllm"), at(0), at(3)) == 3
    assert time.reserved_room(own.id, uid("ray"), at(0), at(3)) == 0
    assert time.reserved_room(own.id, uid("vllm"), at(0), at(3.5)) == 0
    assert time.reserved_room(uid("gone"), uid("vllm"), at(0), at(1)) == 0
    assert time.room(at(0), at(1)) == 2, "what runs in a reservation is counted with it, once"


def test_once_it_is_called_off_what_ran_in_it_counts_as_everybodys() -> None:
    time = PoolTime(8, runs=[Run(3, at(1), uid("called off"))])
    assert time.room(at(0), at(1)) == 5


def test_the_most_that_windows_take_together() -> None:
    windows = [taken("a", 2, 0, 2), taken("b", 3, 1, 3), taken("c", 4, 2, 4)]
    assert PoolTime(8, windows).most_taken(at(0), at(4)) == (7, at(2)), "one ends when the next begins"
    assert PoolTime(8, without(windows, uid("b"))).most_taken(at(0), at(4)) == (4, at(2))
