"""Quota groups in the core: who is parked on its group and told what, who is asked to leave, and who comes first."""

from compute.scheduling.core import Core
from compute.scheduling.events import (
    Asked,
    Cancelled,
    Choice,
    Ended,
    Evicted,
    GroupSet,
    Kind,
    LaneSet,
    Leaving,
    Runs,
    Spared,
    Submitted,
)
from compute.scheduling.model import Priority, Reason
from compute.scheduling.quotas.preemption import Terms
from compute.scheduling.quotas.quota import Share

LANE = "h100"
TERMS = Terms(grace_seconds=60, lost_gpu_seconds_max=10_000)
HALVES = {"p": Share(4), "q": Share(4)}


def kind(project: str, gpus: int, *, rank: int = 0, wall: int = 1000) -> Kind:
    return Kind(project, None, (Choice(LANE),), gpus, wall, priority=Priority(rank))


def core(shares: dict[str, Share], gpus: int = 8, terms: Terms = TERMS, unassigned: int = 0) -> Core:
    made = Core({LANE: gpus}, {})
    made.apply(0, [LaneSet(LANE, gpus, flavor=LANE), GroupSet("ml", frozenset({LANE}), shares, terms, unassigned)])
    return made


def starts(core: Core, now: int, *events: object) -> list[object]:
    return [started.job for started in core.apply(now, events)]  # type: ignore[arg-type]


def test_what_nobody_lends_is_not_borrowed_and_the_reason_has_the_figures() -> None:
    book = core({"p": Share(4, borrows=2), "q": Share(4)})
    assert starts(book, 1, Submitted("a", kind("p", 5))) == ["a"]
    assert starts(book, 1, Submitted("b", kind("p", 2))) == []
    told = book.decision("b")
    assert told.reason is Reason.WAITING_FOR_QUOTA
    assert (told.group, told.limit, told.in_use, told.group_quota, told.group_in_use, told.may_borrow) == ("ml", 4, 5, 8, 5, 2)
    assert told.detail == "needs 2 × h100; its project uses 5 of its own 4 in quota group ml and may borrow 2"
    assert told.remedy == "its project has 1 GPU less in use in quota group ml, or may borrow as many more"
    assert starts(book, 2, Submitted("c", kind("p", 7))) == []
    assert book.decision("c").detail == "needs 7 × h100, more than its project can ever have in quota group ml"
    assert starts(book, 3, Ended("a")) == ["b"]


def test_an_owner_gets_back_what_was_borrowed_and_nobody_else_does() -> None:
    book = core(HALVES)
    assert starts(book, 1, *(Submitted(f"q{n}", kind("q", 2)) for n in range(4))) == ["q0", "q1", "q2", "q3"]
    assert starts(book, 10, Submitted("p0", kind("p", 4)), Submitted("q4", kind("q", 1))) == []
    asked = book.asks()
    assert {each.job for each in asked if isinstance(each, Asked)} == {"q2", "q3"}
    assert {each.at for each in asked if isinstance(each, Asked)} == {70}
    assert book.decision("p0").expected_start_at == 70
    assert "gets back what others borrowed by" in book.decision("p0").detail
    assert book.decision("p0").remedy.startswith("nothing but time")
    assert starts(book, 20, Submitted("q5", kind("q", 1))) == []
    assert book.asks() == [], "asked once"
    assert starts(book, 70, Evicted("q2"), Submitted("q2", kind("q", 2), 1)) == []
    assert starts(book, 71, Evicted("q3"), Submitted("q3", kind("q", 2), 1)) == ["p0"]
    assert book.decision("q2").reason in {Reason.RESERVED_NEXT, Reason.WAITING_FOR_CAPACITY}


def test_who_was_asked_stays_if_the_room_comes_by_itself_or_nobody_waits() -> None:
    for event in (Ended("q0"), Cancelled("p0")):
        book = core(HALVES)
        starts(book, 1, *(Submitted(f"q{n}", kind("q", 4)) for n in range(2)))
        starts(book, 10, Submitted("p0", kind("p", 4)))
        assert [each.job for each in book.asks()] == ["q1"]
        assert starts(book, 20, event) == (["p0"] if isinstance(event, Ended) else [])
        assert book.asks() == [Spared("q1")]


def test_a_cost_limit_leaves_the_owner_waiting() -> None:
    book = core(HALVES, terms=Terms(60, 4 * 60))
    starts(book, 1, Submitted("q0", kind("q", 4)), Submitted("q1", kind("q", 4)))
    assert starts(book, 10, Submitted("p0", kind("p", 4))) == []
    assert book.asks() == []
    assert book.decision("p0").expected_start_at is None


def test_an_owner_comes_before_who_would_borrow_whatever_the_class() -> None:
    book = core(HALVES)
    starts(book, 1, Submitted("q0", kind("q", 4, rank=9)), Submitted("p0", kind("p", 4)))
    starts(book, 2, Submitted("q1", kind("q", 4, rank=9)), Submitted("p1", kind("p", 4)))
    assert starts(book, 3, Ended("p0")) == ["p1"]


def test_too_few_gpus_are_asked_back_too() -> None:
    """Quotas promise eight, the pool has six left."""
    book = core(HALVES, gpus=6)
    assert starts(book, 1, Submitted("q0", kind("q", 4))) == ["q0"]
    assert starts(book, 2, Submitted("q1", kind("q", 2))) == ["q1"]
    assert starts(book, 10, Submitted("p0", kind("p", 2))) == []
    assert [each.job for each in book.asks()] == ["q1"]
    assert starts(book, 70, Evicted("q1"), Submitted("q1", kind("q", 2), 1)) == ["p0"]


def test_other_figures_hold_at_once_and_free_who_was_asked_under_the_former() -> None:
    book = core(HALVES, gpus=9)
    starts(book, 1, Submitted("q0", kind("q", 4)), Submitted("q1", kind("q", 4)))
    starts(book, 10, Submitted("p0", kind("p", 4)))
    assert [each.job for each in book.asks()] == ["q1"]
    larger = GroupSet("ml", frozenset({LANE}), {"p": Share(4), "q": Share(8)}, TERMS)
    assert starts(book, 20, larger, LaneSet(LANE, 13, flavor=LANE)) == ["p0"]
    assert book.asks() == [Spared("q1")]


def test_projects_that_are_no_members_borrow_what_nobody_owns_or_uses_and_give_it_back() -> None:
    book = core({"p": Share(4)}, unassigned=4)
    assert starts(book, 1, Submitted("x", kind("outside", 6)), Submitted("p0", kind("p", 2))) == ["p0", "x"]
    assert starts(book, 2, Submitted("p1", kind("p", 2))) == []
    assert [each.job for each in book.asks()] == ["x"]
    assert starts(book, 3, Submitted("y", kind("elsewhere", 1))) == []
    assert starts(book, 62, Evicted("x"), Submitted("x", kind("outside", 6), 1)) == ["p1", "y"]
    assert starts(book, 63, Submitted("z", kind("outside", 9))) == []
    assert book.decision("z").reason is Reason.WAITING_FOR_POOL


def test_a_large_job_that_borrows_is_next_in_line_and_not_passed_for_ever() -> None:
    book = core(HALVES)
    starts(book, 1, *(Submitted(f"q{n}", kind("q", 2)) for n in range(4)))
    assert starts(book, 2, Submitted("p0", kind("outside", 8, rank=1))) == []
    assert book.decision("p0").reason is Reason.RESERVED_NEXT
    assert starts(book, 3, Ended("q0"), Submitted("y", kind("elsewhere", 2, wall=9000))) == []
    assert starts(book, 4, Ended("q1"), Ended("q2"), Ended("q3")) == ["p0"]


def test_who_was_asked_before_is_asked_no_second_time_and_the_room_is_kept_for_the_same_job() -> None:
    first = core(HALVES)
    starts(first, 1, *(Submitted(f"q{n}", kind("q", 2)) for n in range(4)))
    starts(first, 10, Submitted("p0", kind("p", 4)))
    asked = {each.job: each for each in first.asks() if isinstance(each, Asked)}
    known = [Leaving(job, LANE, each.at, each.needed_for, 10, each.lost_gpu_seconds) for job, each in asked.items()]
    again = core(HALVES)  # after q2 left, told everything anew
    running = [Runs(job, kind("q", 2), 1, 1001) for job in ("q0", "q1", "q3")]
    waiting = [Submitted("p0", kind("p", 4), 10), Submitted("q2", kind("q", 2), 1)]
    assert starts(again, 70, *running, *waiting, *known) == []
    assert again.asks() == []
    assert again.decision("q2").reason is Reason.WAITING_FOR_QUOTA, "what is free is kept"
    assert starts(again, 71, *known) == [], "to say it twice changes nothing"
    assert starts(again, 72, Evicted("q3"), Submitted("q3", kind("q", 2), 1)) == ["p0"]
    assert sum(leave.lost_gpu_seconds for leave in asked.values()) == 2 * 2 * 69


def test_who_left_and_runs_again_is_not_taken_for_one_who_leaves() -> None:
    again = core(HALVES)
    running = [
        Runs(job, kind("q", 2), started_at, started_at + 1000)
        for job, started_at in (("q0", 1), ("q1", 1), ("q2", 80), ("q3", 85))
    ]
    known = [Leaving(job, LANE, 70, "p0", 10, 138) for job in ("q2", "q3")]
    assert starts(again, 100, *running, Submitted("p0", kind("p", 4), 10), *known) == []

    asked = [each for each in again.asks() if isinstance(each, Asked)]
    assert [each.at for each in asked] == [160, 160], "the GPUs that it was promised are in use again"
    assert again.decision("p0").expected_start_at == 160


def test_who_waits_for_gpus_that_another_was_given_notice_for_is_told_no_time() -> None:
    book = core(HALVES)
    starts(book, 1, *(Submitted(f"q{n}", kind("q", 4)) for n in range(2)))
    starts(book, 10, Submitted("p0", kind("p", 2)), Submitted("p1", kind("p", 2, wall=500)))
    assert [each.job for each in book.asks()] == ["q1"], "it gives back enough for both"
    told = {job: book.decision(job).expected_start_at for job in ("p0", "p1")}
    assert sorted(told.values(), key=str) == [70, None], "a core that is built anew knows nothing of the second"
    assert starts(book, 70, Evicted("q1"), Submitted("q1", kind("q", 4), 1)) in (["p0", "p1"], ["p1", "p0"])
