"""The scheduler through time: jobs come and go, pools drain and shrink, and no rule is broken at any moment.

The machine plays the caller: it applies starts, settles what a job really used, and gives back the rest, as services do.
"""

from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from scheduling_build import GPU_HOUR, HOUR, NOON, grant, job, offer, pool, uid

from compute.scheduling import Job, Limit, Plan, Pool, PoolState, Project, Reason, Rules, Running, Snapshot, Start, plan

PROJECTS = ["vllm", "deepspeed", "ray"]


class Timeline(RuleBasedStateMachine):
    # A second look at the same moment may start more: starts change whose turn it is, and so who is next in line where.
    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.submitted = 0
        self.pools: dict[str, Pool] = {name: pool(name, H100=8) for name in ("berlin", "paris")}
        self.projects = {name: Project(uid(name), weight, limit=Limit(gpus=16)) for weight, name in enumerate(PROJECTS, 1)}
        self.grants = {uid(name): grant(name, 100) for name in PROJECTS}
        self.offers = {o.id: o for o in (offer("o1", 60, closes=NOON + 12 * HOUR), offer("o2", 300, pool="paris"))}
        self.queue: dict[object, Job] = {}
        self.running: dict[object, tuple[Start, Job, int]] = {}
        self.last: tuple[Snapshot, Plan] | None = None

    @initialize(overhead=st.sampled_from([0, 300]))
    def rules(self, overhead: int) -> None:
        self.rules_of_the_house = Rules(overhead_seconds=overhead)

    @rule(
        asked=st.lists(
            st.tuples(st.sampled_from(PROJECTS), st.sampled_from([1, 1, 2, 3, 6, 8]), st.sampled_from([1, 1, 2, 4, 8])),
            min_size=2,
            max_size=8,
        )
    )
    def submit(self, asked: list[tuple[str, int, int]]) -> None:
        for project, gpus, half_hours in asked:
            self.submitted += 1
            fresh = job(f"job {self.submitted}", gpus, half_hours / 2, project=project, grant=project)
            self.queue[fresh.id] = replace(fresh, submitted_at=self.now, offers=frozenset(self.offers))

    @rule(seconds=st.sampled_from([60, HOUR // 2, HOUR, 3 * HOUR]), data=st.data())
    def let_time_pass(self, seconds: int, data: st.DataObject) -> None:
        """Every job that reaches its declared end is ended; some end before."""
        self.now += seconds
        for job_id, (start, waiting, began) in list(self.running.items()):
            if start.ends_by <= self.now or data.draw(st.integers(0, 3), label="ends early if 0") == 0:
                self._end(job_id, start, waiting, min(self.now, start.ends_by) - began)

    @rule(
        name=st.sampled_from(["berlin", "paris"]),
        state=st.sampled_from([PoolState.OPEN, PoolState.OPEN, PoolState.OPEN, PoolState.DRAINING, PoolState.CLOSED]),
        gpus=st.sampled_from([4, 8, 8, 16]),
    )
    def change_pool(self, name: str, state: PoolState, gpus: int) -> None:
        self.pools[name] = replace(self.pools[name], state=state, capacity={"H100": gpus})

    @rule()
    def tick(self) -> None:
        world = self._snapshot()
        before = self._free()
        answer = plan(world)
        self.last = (world, answer)
        assert len(answer.starts) + len(answer.waiting) == len(self.queue), "every queued job has a decision"
        for start in answer.starts:
            waiting = self.queue.pop(start.job_id)
            assert start.gpus == waiting.gpus, "no gang starts partly"
            assert self.pool_of(start).state is PoolState.OPEN
            before[start.pool_id] -= start.gpus
            assert before[start.pool_id] >= 0, "no pool runs over capacity"
            self._hold(waiting, start, 1)
            self.running[start.job_id] = (start, waiting, self.now)

    @invariant()
    def nothing_is_spent_twice(self) -> None:
        assert all(each.available_ticks >= 0 for each in (*self.grants.values(), *self.offers.values()))

    @invariant()
    def nothing_runs_outside_its_window(self) -> None:
        for start, _, _ in self.running.values():
            assert all(start.ends_by <= self.offers[draw.offer_id].closes_at for draw in start.draws)

    @invariant()
    def the_next_in_line_gets_its_gpus_in_time(self) -> None:
        """Counting only declared ends of what runs: at the promised moment the GPUs are there."""
        if self.last is None or self.last[0].now != self.now:
            return
        for wait in self.last[1].waiting:
            (place,) = (each for each in self.last[0].pools if each.id == wait.pool_id) if wait.pool_id else (None,)
            if wait.reason is Reason.RESERVED_NEXT and place in self.pools.values():
                assert place is not None
                assert wait.expected_start_at is not None
                used = sum(
                    start.gpus
                    for start, _, _ in self.running.values()
                    if start.pool_id == wait.pool_id and max(start.ends_by, self.now + 1) > wait.expected_start_at
                )
                assert place.capacity["H100"] - used >= wait.gpus_needed

    def pool_of(self, start: Start) -> Pool:
        return next(each for each in self.pools.values() if each.id == start.pool_id)

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            now=self.now,
            pools=tuple(self.pools.values()),
            projects=tuple(self.projects.values()),
            queued=tuple(self.queue.values()),
            running=tuple(
                Running(start.job_id, each.project_id, None, start.pool_id, start.flavor, start.gpus, each.rate, start.ends_by)
                for start, each, _ in self.running.values()
            ),
            offers=tuple(self.offers.values()),
            grants=tuple(self.grants.values()),
            rules=self.rules_of_the_house,
        )

    def _free(self) -> dict[object, int]:
        free: dict[object, int] = {each.id: each.capacity["H100"] for each in self.pools.values()}
        for start, _, _ in self.running.values():
            free[start.pool_id] -= start.gpus
        return free

    def _hold(self, waiting: Job, start: Start, sign: int) -> None:
        assert waiting.grant_id is not None
        held = self.grants[waiting.grant_id]
        self.grants[held.id] = replace(held, available_ticks=held.available_ticks - sign * waiting.cost_ticks)
        for draw in start.draws:
            drawn = self.offers[draw.offer_id]
            self.offers[drawn.id] = replace(drawn, available_ticks=drawn.available_ticks - sign * draw.ticks)

    def _end(self, job_id: object, start: Start, waiting: Job, ran_seconds: int) -> None:
        """Give back the hold, then take what was used: overhead is not charged beyond the declared time."""
        del self.running[job_id]
        self._hold(waiting, start, -1)
        used = min(ran_seconds, waiting.wall_seconds) * waiting.gpus * GPU_HOUR // HOUR
        assert waiting.grant_id is not None
        held = self.grants[waiting.grant_id]
        self.grants[held.id] = replace(held, available_ticks=held.available_ticks - used)
        for draw in start.draws:
            part = min(used, draw.ticks)
            drawn = self.offers[draw.offer_id]
            self.offers[drawn.id] = replace(drawn, available_ticks=drawn.available_ticks - part)
            used -= part


TestTimeline = Timeline.TestCase
TestTimeline.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
