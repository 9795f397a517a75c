"""A core that is kept between turns, fed by differences, killed, and built anew from what was remembered."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheduling_books import Books, merged
from scheduling_build import GPU_HOUR, grant, job, offer, running, snapshot, uid

from compute.scheduling import Ending, KeptCore, Surprise
from compute.scheduling.core import Core
from compute.scheduling.learning import estimates
from compute.scheduling.plan import events
from core.units import TICKS_PER_GPU_SECOND

seeds = given(seed=st.integers(0, 2**32))
STEPS = 40


@given(seed=st.integers(0, 2**32), on_hosts=st.booleans())
@settings(max_examples=25)
def test_a_core_fed_by_differences_starts_what_one_told_by_hand_starts(seed: int, on_hosts: bool) -> None:
    books = Books(random.Random(seed), on_hosts=on_hosts)
    books.go_on()
    kept = KeptCore(books.snapshot(everything=True))
    told = Core({}, {}, books.snapshot(everything=True).knobs)
    starts = told.apply(books.now, list(events(books.snapshot(everything=True))))
    books.told()
    for _ in range(STEPS):
        assert [(s.job_id, (s.pool_id, s.flavor), s.host, s.ends_by, s.draws) for s in kept.starts] == [
            (s.job, s.lane, s.held[0][0] if s.held else "", s.ends_by, s.draws) for s in starts
        ]
        assert [each.job_id for each in kept.decisions()] == told.line()
        books.carry_out(kept.starts, refuse=0.2)
        books.go_on()
        now = books.snapshot(everything=False)
        kept.turn(now, books.endings(kept.unseen(now)))
        starts = told.apply(books.now, books.told())


@seeds
@settings(max_examples=20)
def test_a_core_built_from_what_was_remembered_goes_on_like_the_one_that_was_killed(seed: int) -> None:
    """Each job is a batch of its own here: what was learnt of a batch is forgotten at a restart."""
    with pytest.MonkeyPatch.context() as without_batches:
        without_batches.setattr(estimates, "BATCH_GAP", -1)
        _kill_and_go_on(seed)


def _kill_and_go_on(seed: int) -> None:
    chance = random.Random(seed)
    books = Books(chance)
    books.go_on()
    kept = KeptCore(books.snapshot(everything=True))
    memory, heir = kept.remember(), None
    for step in range(STEPS):
        killed = step % 13 == 12
        books.carry_out(kept.starts, refuse=0.0 if killed else 0.2)
        books.go_on(submit=not killed)
        now = books.snapshot(everything=False)
        kept.turn(now, books.endings(kept.unseen(now)))
        if heir is not None:
            heir.turn(now, books.endings(heir.unseen(now)))
            assert (heir.starts, heir.decisions()) == (kept.starts, kept.decisions())
        if killed:
            heir = KeptCore(books.snapshot(everything=True), memory, books.endings(memory.unfinished()))
            assert (heir.starts, heir.decisions()) == (kept.starts, kept.decisions())
        memory, before = merged(memory, kept.remember()), memory
        if killed:
            assert heir is not None
            assert merged(before, heir.remember()) == memory


def test_a_start_that_was_not_carried_out_leaves_no_trace() -> None:
    world = snapshot(job("a", gpus=8, grant="g", offers=["o"]), grants=(grant("g", 8),), offers=(offer("o", 8),))
    kept = KeptCore(world)
    assert [start.job_id for start in kept.starts] == [uid("a")]

    (again,) = kept.turn(replace(world, now=world.now + 600), {})

    assert (again.job_id, again.draws[0].ticks) == (uid("a"), 8 * GPU_HOUR)
    (memory,) = kept.remember().projects.values()
    assert memory.past == pytest.approx(0, abs=1e-6), "ten minutes of eight GPUs would be 4,800"
    assert memory.rate == 8 * TICKS_PER_GPU_SECOND


def test_figures_that_the_books_count_themselves_are_told_where_a_person_changed_them_at_the_same_moment() -> None:
    first = job("first", gpus=1, grant="g")
    world = snapshot(first, grants=(grant("g", 5),))
    kept = KeptCore(world)
    assert len(kept.starts) == 1
    run = running("first", 1, ends_in_hours=1, started_at=world.now)
    kept.turn(replace(world, queued=(), running=(run,), grants=(grant("g", 4),)), {})

    # The job ends at once, which gives an hour back, and somebody takes that hour away.
    asks = job("asks", gpus=5, grant="g")
    now = replace(world, queued=(asks,), grants=(grant("g", 4),))
    assert kept.turn(now, {uid("first"): Ending(0, teaches=True)}) == ()
    assert [decision.ticks_available for decision in kept.decisions()] == [4 * GPU_HOUR]


@pytest.mark.parametrize("surprise", ["runs", "elsewhere", "again", "changed"])
def test_what_it_can_not_be_told_is_a_surprise(surprise: str) -> None:
    world = snapshot(job("a"), job("b", gpus=8))
    kept = KeptCore(world)
    run = running("a", 1, ends_in_hours=1, started_at=world.now)
    worlds = {
        "runs": replace(world, queued=(), running=(run, running("b", 8, ends_in_hours=1))),
        "elsewhere": replace(world, queued=world.queued[1:], running=(replace(run, gpus=2),)),
        "again": replace(world, queued=(replace(world.queued[0], tries=1), world.queued[1])),
        "changed": replace(world, queued=(replace(world.queued[1], gpus=7),), running=(run,)),
    }
    with pytest.raises(Surprise):
        kept.turn(worlds[surprise], {})


def test_what_it_is_told_as_it_was_is_no_surprise() -> None:
    world = snapshot(job("a"), job("b", gpus=8))
    kept = KeptCore(world)
    run = running("a", 1, ends_in_hours=1, started_at=world.now)
    assert kept.turn(replace(world, queued=(replace(world.queued[1]),), running=(run,)), {}) == ()
