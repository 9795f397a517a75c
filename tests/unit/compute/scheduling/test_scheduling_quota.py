"""Quota groups: what may be borrowed, who is asked to leave, and what holds whatever happens."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.scheduling.quotas import preemption
from compute.scheduling.quotas.preemption import Claim, Lending, Terms, TooDear
from compute.scheduling.quotas.quota import Group, Share, Use, Wish

LANE = "h100"
TERMS = Terms(grace_seconds=60, lost_gpu_seconds_max=10_000)


def use(job: str, member: str, gpus: int, *, rank: int = 0, at: int = 0, ends_by: int = 100_000) -> Use:
    return Use(job, member, LANE, gpus, rank, at, ends_by)


def lending(shares: dict[str, Share], *uses: Use, terms: Terms = TERMS) -> Lending:
    book = Lending(Group(shares), terms)
    for each in uses:
        book.take(each)
    return book


def names(claim: Claim | TooDear | None) -> list[str]:
    assert isinstance(claim, Claim)
    return [str(leave.job) for leave in claim.leaves]


HALVES = {"p": Share(8), "q": Share(8)}


# Room ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shares", "used", "room"),
    [
        (HALVES, {}, 16),
        (HALVES, {"p": 3}, 13),
        (HALVES, {"q": 12}, 4),
        ({"p": Share(8, borrows=2), "q": Share(8)}, {}, 10),
        ({"p": Share(8, borrows=0), "q": Share(8)}, {"q": 3}, 8),
        ({"p": Share(8, borrows=2), "q": Share(8)}, {"p": 10}, 0),
        ({"p": Share(8), "q": Share(8, lends=3)}, {}, 11),
        ({"p": Share(8), "q": Share(8, lends=0)}, {"p": 5}, 3),
        ({"p": Share(8), "q": Share(8, lends=3)}, {"q": 6}, 10),
        ({"p": Share(8, lends=2), "q": Share(8)}, {"q": 10}, 6),
        ({"p": Share(0), "q": Share(8)}, {"q": 5}, 3),
    ],
)
def test_what_a_member_may_still_take(shares: dict[str, Share], used: dict[str, int], room: int) -> None:
    book = lending(shares, *(use(member, member, gpus) for member, gpus in used.items()))
    assert book.group.room("p") == room


SHARES = st.builds(
    Share,
    nominal=st.integers(0, 8),
    lends=st.none() | st.integers(0, 8),
    borrows=st.none() | st.integers(0, 8),
)


@given(st.lists(SHARES, min_size=1, max_size=4), st.data())
def test_room_is_what_the_definition_of_lending_leaves(shares: list[Share], data: st.DataObject) -> None:
    """Slowly: the largest number with which all that is borrowed is still lent by somebody who does not use it."""
    group = Group(dict(enumerate(shares)))
    used = dict.fromkeys(group.shares, 0)

    def allowed(member: int, gpus: int) -> bool:
        then = {**used, member: used[member] + gpus}
        borrowed = {m: max(0, then[m] - s.nominal) for m, s in group.shares.items()}
        spare = {m: max(0, s.nominal - then[m]) for m, s in group.shares.items()}
        lent = {m: spare[m] if s.lends is None else min(s.lends, spare[m]) for m, s in group.shares.items()}
        limit = group.shares[member].borrows
        return sum(borrowed.values()) <= sum(lent.values()) and (limit is None or borrowed[member] <= limit)

    for number in range(8):
        member = data.draw(st.sampled_from(sorted(used)))
        room = max(gpus for gpus in range(40) if gpus == 0 or allowed(member, gpus))
        assert group.room(member) == room
        gpus = data.draw(st.integers(0, room))
        if gpus:
            group.take(Use(number, member, LANE, gpus, 0, 0, 0))
            used[member] += gpus


def test_an_obstacle_says_what_is_used_and_whether_waiting_helps() -> None:
    book = lending({"p": Share(4, borrows=2), "q": Share(8, lends=3)}, use("a", "p", 5))
    obstacle = book.obstacle(Wish("b", "p", LANE, 2, 0))
    assert obstacle is not None
    assert (obstacle.needed, obstacle.room, obstacle.nominal, obstacle.used, obstacle.group_used) == (2, 1, 4, 5, 5)
    assert not obstacle.for_ever
    never = book.obstacle(Wish("c", "p", LANE, 7, 0))
    assert never is not None
    assert never.for_ever
    assert book.obstacle(Wish("d", "p", LANE, 1, 0)) is None


def test_a_quota_that_shrank_under_what_runs_lets_nobody_start() -> None:
    book = lending({"p": Share(4, lends=0), "q": Share(4)}, use("a", "q", 8))
    assert book.group.room("p") == 0, "its kept part is there, but the group uses all it has"


# Who is asked ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "uses", "wish", "asked"),
    [
        (
            "the one that loses least",
            [use("old", "q", 8, at=0), use("long", "q", 4, at=100), use("new", "q", 4, at=800)],
            Wish("w", "p", LANE, 4, 0),
            ["new"],
        ),
        (
            "a lower class before one that loses less",
            [use("own", "q", 8, rank=1), use("low", "q", 4, at=100), use("high", "q", 4, rank=1, at=800)],
            Wish("w", "p", LANE, 4, 0),
            ["low"],
        ),
        (
            "one large instead of many small where that loses less",
            [use("own", "q", 8), *(use(f"s{n}", "q", 1, at=400) for n in range(4)), use("big", "q", 4, at=900)],
            Wish("w", "p", LANE, 4, 0),
            ["big"],
        ),
        (
            "one small instead of a large that runs for a little shorter",
            [use("own", "q", 8), use("small", "q", 1, at=800), use("big", "q", 7, at=850)],
            Wish("w", "p", LANE, 1, 0),
            ["small"],
        ),
        (
            "one that is over within the grace anyway",
            [use("own", "q", 8), use("new", "q", 4, at=990), use("ending", "q", 4, at=1, ends_by=1050)],
            Wish("w", "p", LANE, 4, 0),
            ["ending"],
        ),
        (
            "an own job of a lower class, though it is inside the quota",
            [use("mine", "p", 8, at=900), use("theirs", "q", 8)],
            Wish("w", "p", LANE, 8, 1),
            ["mine"],
        ),
    ],
)
def test_who_is_asked(story: str, uses: list[Use], wish: Wish, asked: list[str]) -> None:
    book = lending(HALVES, *uses)
    assert names(book.claim(wish, 1000, {LANE: 0})) == asked, story


@pytest.mark.parametrize(
    ("story", "uses", "wish"),
    [
        (
            "others inside their quota, whatever the class",
            [use("a", "p", 8, rank=9), use("b", "q", 8)],
            Wish("w", "p", LANE, 1, 9),
        ),
        ("others for what would be borrowed", [use("a", "p", 6), use("b", "q", 10)], Wish("w", "p", LANE, 4, 0)),
        ("own jobs of the same class", [use("a", "p", 8), use("b", "q", 8)], Wish("w", "p", LANE, 1, 0)),
        ("anybody for a job larger than the group", [use("a", "q", 8)], Wish("w", "p", LANE, 17, 0)),
    ],
)
def test_who_is_not_asked(story: str, uses: list[Use], wish: Wish) -> None:
    book = lending(HALVES, *uses)
    assert book.claim(wish, 1000, {LANE: 0}) is None, story
    assert not book.due(10**9)


def test_the_cost_limit_holds_and_is_told() -> None:
    book = lending(HALVES, use("own", "q", 8), use("borrows", "q", 8, at=0))
    assert book.claim(Wish("w", "p", LANE, 8, 0), 1190, {LANE: 0}) == Claim(
        Wish("w", "p", LANE, 8, 0),
        book.claim_of("w").leaves,
        1250,  # type: ignore[union-attr]
    )
    assert book.claim_of("w").lost_gpu_seconds == 10_000  # type: ignore[union-attr]
    dear = lending(HALVES, use("own", "q", 8), use("borrows", "q", 8, at=0))
    assert dear.claim(Wish("w", "p", LANE, 8, 0), 1191, {LANE: 0}) == TooDear(10_008, 10_000)
    assert dear.leaving_at("borrows") is None


def test_classes_give_way_to_the_cost_limit() -> None:
    book = lending(HALVES, use("own", "q", 8, rank=1), use("low", "q", 4, at=0), use("high", "q", 4, rank=1, at=9_000))
    assert names(book.claim(Wish("w", "p", LANE, 4, 0), 9_100, {LANE: 0})) == ["high"]


def test_what_is_being_given_back_goes_to_nobody_else() -> None:
    book = lending(HALVES, use("own", "q", 8), use("borrows", "q", 8, at=1))
    wish = Wish("w", "p", LANE, 8, 0)
    assert names(book.claim(wish, 100, {LANE: 0})) == ["borrows"]
    book.give_back("borrows")
    assert book.obstacle(Wish("again", "q", LANE, 1, 0)) is not None
    assert book.obstacle(wish) is None
    book.take(use("w", "p", 8))
    assert book.claim_of("w") is None


def test_who_was_asked_stays_if_the_room_comes_by_itself() -> None:
    book = lending(HALVES, use("own", "q", 8), use("borrows", "q", 4, at=1), use("ends", "q", 4, at=10))
    assert names(book.claim(Wish("w", "p", LANE, 4, 0), 100, {LANE: 0})) == ["ends"]
    book.give_back("own")
    assert book.spare(120, {LANE: 8}) == ["ends"]
    assert book.leaving_at("ends") is None


def test_who_was_asked_goes_if_the_others_leave_too_late() -> None:
    """The second claim's one would do for both, but the first was told an earlier time."""
    book = lending({"p": Share(0), "q": Share(4)}, use("small", "p", 1), use("big", "p", 3))
    assert names(book.claim(Wish("w", "q", LANE, 1, 0), 100, {LANE: 0})) == ["small"]
    assert names(book.claim(Wish("x", "q", LANE, 1, 0), 140, {LANE: 0})) == ["big"]
    assert book.spare(140, {LANE: 0}) == []
    assert book.due(160) == ["small"]
    book.give_back("small")
    book.take(use("w", "q", 1, at=160))
    assert book.spare(160, {LANE: 0}) == [], "the other is still needed"


def test_who_was_asked_stays_if_another_leaves_in_time() -> None:
    book = lending({"p": Share(0), "q": Share(4)}, use("small", "p", 1), use("big", "p", 3))
    book.claim(Wish("w", "q", LANE, 1, 0), 100, {LANE: 0})
    book.claim(Wish("x", "q", LANE, 1, 0), 100, {LANE: 0})
    assert book.spare(100, {LANE: 0}) == ["small"]
    assert book.due(160) == ["big"]


def test_who_was_asked_stays_if_nobody_waits_any_more() -> None:
    book = lending(HALVES, use("own", "q", 8), use("borrows", "q", 8, at=1))
    book.claim(Wish("w", "p", LANE, 4, 0), 100, {LANE: 0})
    book.withdraw("w")
    assert book.spare(159, {LANE: 0}) == ["borrows"]


def test_who_is_over_its_grace_is_not_spared() -> None:
    book = lending(HALVES, use("own", "q", 8), use("borrows", "q", 8, at=1))
    book.claim(Wish("w", "p", LANE, 4, 0), 100, {LANE: 0})
    book.withdraw("w")
    assert book.spare(160, {LANE: 0}) == []
    assert book.due(160) == ["borrows"]


def test_a_second_job_uses_what_the_first_leaves_over() -> None:
    book = lending(HALVES, use("own", "q", 8), use("borrows", "q", 8, at=1))
    assert names(book.claim(Wish("w", "p", LANE, 3, 0), 100, {LANE: 0})) == ["borrows"]
    assert names(book.claim(Wish("x", "p", LANE, 5, 0), 130, {LANE: 0})) == []
    assert book.claim_of("x").at == 160  # type: ignore[union-attr]


# Whatever happens ----------------------------------------------------------------------------------------------------------


@dataclass
class World:
    """A group that has its pool for itself, and a scheduler that serves whoever came first."""

    shares: dict[str, Share]
    terms: Terms
    now: int = 0
    waiting: dict[str, tuple[Wish, int]] = field(default_factory=dict)
    running: dict[str, Use] = field(default_factory=dict)
    lasting: dict[str, int] = field(default_factory=dict)
    promised: dict[str, int] = field(default_factory=dict)  # by when a job was told it starts
    evictions: int = 0
    evicted: list[tuple[str, str]] = field(default_factory=list)  # (job, for which)
    asked_for: dict[str, set[str]] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)  # by the job for which it was lost

    def __post_init__(self) -> None:
        self.book = Lending(Group(self.shares), self.terms)

    @property
    def free(self) -> int:
        return self.book.group.quota - sum(u.gpus for u in self.running.values())

    def submit(self, job: str, member: str, gpus: int, rank: int, seconds: int) -> None:
        self.waiting[job] = (Wish(job, member, LANE, gpus, rank), seconds)

    def cancel(self, job: str) -> None:
        self.forget(job)
        self.book.withdraw(job)

    def forget(self, job: str) -> None:
        """What was done for it is over: when it waits again, it asks anew."""
        del self.waiting[job]
        for kept in (self.promised, self.asked_for, self.lost):
            kept.pop(job, None)
        self.evicted = [each for each in self.evicted if each[1] != job]

    def end(self, job: str) -> None:
        self.book.give_back(job)
        del self.running[job]

    def turn(self) -> None:
        """One second: what is over ends, who fits starts, the others ask, and who must leave is evicted and waits again."""
        self.now += 1
        for job in [job for job, u in self.running.items() if u.started_at + self.lasting[job] <= self.now]:
            self.end(job)
        self.start_whoever_fits()
        for wish, _ in list(self.waiting.values()):
            self.ask(wish)
        self.book.spare(self.now, {LANE: self.free})
        for job in self.book.due(self.now):
            self.evict(job)
        self.start_whoever_fits()
        self.check()

    def start_whoever_fits(self) -> None:
        for job, (wish, seconds) in list(self.waiting.items()):
            if self.book.obstacle(wish) is None and wish.gpus <= self.free:
                self.start(job, wish, seconds)

    def start(self, job: str, wish: Wish, seconds: int) -> None:
        self.forget(job)
        self.running[job] = Use(job, wish.member, LANE, wish.gpus, wish.rank, self.now, self.now + 2 * seconds)
        self.lasting[job] = seconds
        self.book.take(self.running[job])

    def evict(self, job: str) -> None:
        victim = self.running[job]
        self.evictions += 1
        for wanted, asked in self.asked_for.items():
            if job in asked and wanted in self.waiting:
                assert (job, wanted) not in self.evicted, "nobody is evicted twice for one job"
                self.evicted.append((job, wanted))
                self.lost[wanted] = self.lost.get(wanted, 0) + victim.gpus * (self.now - victim.started_at)
                assert self.lost[wanted] <= self.terms.lost_gpu_seconds_max, "no more work is lost than allowed"
        self.end(job)
        self.submit(job, victim.member, victim.gpus, victim.rank, self.lasting[job])

    def ask(self, wish: Wish) -> None:
        inside = self.inside()
        before = self.book.claim_of(wish.job)
        found = self.book.claim(wish, self.now, {LANE: self.free})
        if not isinstance(found, Claim):
            used = sum(u.gpus for u in self.running.values() if u.member == wish.member)
            waiting = [
                other for other, _ in self.waiting.values() if other.member == wish.member and self.book.claim_of(other.job)
            ]
            if found is None and used + sum(w.gpus for w in waiting) + wish.gpus <= self.shares[wish.member].nominal:
                raise AssertionError("what is inside the quota can always be asked back")
            return
        new = [leave.job for leave in found.leaves if before is None or leave not in before.leaves]
        for job in new:
            victim = self.running[job]
            own = victim.member == wish.member and victim.rank < wish.rank
            assert own or job not in inside, "a job inside its own quota is safe from others"
            assert job not in self.asked_for.get(wish.job, set()), "nobody is asked twice for one job"
        self.asked_for.setdefault(wish.job, set()).update(new)
        self.promised.setdefault(wish.job, found.at)
        assert found.at <= self.now + self.terms.grace_seconds, "and that is within the grace"

    def inside(self) -> set[str]:
        """Counted anew: each member's highest and oldest that fit into its quota, those that leave already left out."""
        found = set()
        for member, share in self.shares.items():
            left = share.nominal - sum(c.wish.gpus for c in self.book.claims if c.wish.member == member)
            mine = [u for u in self.running.values() if u.member == member and self.book.leaving_at(u.job) is None]
            for u in sorted(mine, key=lambda u: (-u.rank, u.started_at, u.job)):
                if u.gpus <= left:
                    left -= u.gpus
                    found.add(u.job)
        return found

    def check(self) -> None:
        group = self.book.group
        used = {m: sum(u.gpus for u in self.running.values() if u.member == m) for m in self.shares}
        assert sum(used.values()) <= group.quota, "the group never uses more than its quota"
        for member, share in self.shares.items():
            others = sum(max(0, used[m] - s.nominal) for m, s in self.shares.items() if m != member)
            lent = sum(s.nominal - s.kept for m, s in self.shares.items())
            assert others <= lent
            assert share.borrows is None or used[member] <= share.nominal + share.borrows
        for job, at in self.promised.items():
            assert job not in self.waiting or self.now <= at, "who asked for its own has it when it was told"


def play(world: World, data: st.DataObject) -> None:
    members, submitted = sorted(world.shares), 0
    for _ in range(data.draw(st.integers(3, 25))):
        for _ in range(data.draw(st.integers(0, 3))):
            member = data.draw(st.sampled_from(members))
            gpus, rank = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 2))
            world.submit(f"j{submitted}", member, gpus, rank, data.draw(st.integers(1, 30)))
            submitted += 1
        if world.waiting and data.draw(st.integers(0, 6)) == 0:
            world.cancel(data.draw(st.sampled_from(sorted(world.waiting))))
        for _ in range(data.draw(st.integers(1, 5))):
            world.turn()


WORLDS = st.builds(
    World,
    shares=st.dictionaries(st.sampled_from("pqrs"), SHARES, min_size=1),
    terms=st.builds(Terms, grace_seconds=st.integers(0, 6), lost_gpu_seconds_max=st.sampled_from([0, 20, 60, 10**6])),
)


@settings(max_examples=100, deadline=None)
@given(WORLDS, st.data())
def test_the_quota_holds_and_owners_get_their_own_back(world: World, data: st.DataObject) -> None:
    play(world, data)


def crowded(world: World) -> World:
    """One borrows all of the owner's quota, with a small job inside its own; then the owner comes, and both have more to do."""
    for number, gpus in enumerate((6, 4, 2, 4)):
        world.submit(f"b{number}", "q", gpus, 0, 50)
    world.turn()
    for number in range(4):
        world.submit(f"o{number}", "p", 2, 0, 50)
        world.submit(f"c{number}", "q", 1, 0, 50)
    for _ in range(30):
        world.turn()
    return world


def test_the_crowded_world_keeps_its_promises() -> None:
    world = crowded(World(HALVES, Terms(5, 10**6)))
    assert {"o0", "o1", "o2", "o3"} <= world.running.keys()
    assert world.evictions == 2


def test_who_asked_first_does_not_wait_for_who_was_asked_later() -> None:
    """A world that was found by chance: who was asked first was spared, because who was asked later has enough for both."""
    world = World({"p": Share(0), "q": Share(3), "r": Share(1)}, Terms(5, 60))
    world.submit("small", "p", 1, 0, 8)
    world.submit("big", "p", 3, 0, 8)
    world.turn()
    world.submit("first", "q", 1, 0, 1)
    for _ in range(4):
        world.turn()
    world.submit("second", "q", 1, 0, 1)
    for _ in range(3):
        world.turn()
    assert "small" not in world.running, "it made room for the first in time"


@pytest.mark.parametrize("broken", ["borrowed", "obstacle", "limit"])
def test_the_checks_find_what_they_are_there_for(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative controls: anybody may be asked; claims hold against nobody; nothing counts as lost."""

    def anybody(self: Group, member: str, leaving: Iterable[str] = (), promised: int = 0) -> list[Use]:
        return [u for u in self.uses(member) if u.job not in leaving]

    if broken == "borrowed":
        monkeypatch.setattr(Group, "borrowed", anybody)
    elif broken == "obstacle":
        monkeypatch.setattr(Lending, "obstacle", lambda self, wish: self.group.obstacle(wish))
    else:
        monkeypatch.setattr(preemption, "_lost", lambda leaves: 0)
    with pytest.raises(AssertionError):
        crowded(World(HALVES, Terms(5, 20 if broken == "limit" else 10**6)))


# A slow reference -----------------------------------------------------------------------------------------------------------


def subsets(uses: list[Use]) -> Iterable[tuple[Use, ...]]:
    return chain.from_iterable(combinations(uses, size) for size in range(len(uses) + 1))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from("pqr"), SHARES, min_size=2), st.data())
def test_an_answer_exists_when_one_does_and_nobody_in_it_is_asked_for_nothing(
    shares: dict[str, Share], data: st.DataObject
) -> None:
    """Slowly: try every set of jobs that may be asked, on a group in which they never ran."""
    limit = data.draw(st.sampled_from([0, 500, 2000, 10**6]))
    book = Lending(Group(shares), Terms(10, limit))
    running: list[Use] = []
    for number in range(data.draw(st.integers(0, 6))):
        member = data.draw(st.sampled_from(sorted(shares)))
        room = book.group.room(member)
        if room:
            gpus, at = data.draw(st.integers(1, min(4, room))), data.draw(st.integers(0, 99))
            running.append(Use(str(number), member, LANE, gpus, data.draw(st.integers(0, 1)), at, 10**6))
            book.take(running[-1])
    wish = Wish("w", data.draw(st.sampled_from(sorted(shares))), LANE, data.draw(st.integers(1, 8)), data.draw(st.integers(0, 2)))
    borrowed = {u.job for member in shares if member != wish.member for u in book.group.borrowed(member)}
    own = [u for u in running if u.member == wish.member and u.rank < wish.rank]
    stays = sum(u.gpus for u in running if u.member == wish.member and u not in own)
    inside = stays + wish.gpus <= shares[wish.member].nominal
    may = [u for u in running if u.job in borrowed or u in own]

    def works(leaving: tuple[Use, ...]) -> bool:
        left = Group(shares)
        for u in running:
            if u not in leaving:
                left.take(u)
        used = sum(u.gpus for u in left.uses(wish.member))
        if any(u.member != wish.member for u in leaving) and used + wish.gpus > shares[wish.member].nominal:
            return False
        return wish.gpus <= left.room(wish.member)

    def lost(leaving: Iterable[Use]) -> int:
        return sum(u.gpus * (110 - u.started_at) for u in leaving)

    answers = [leaving for leaving in subsets(may) if works(leaving)] if inside else []
    found = book.claim(wish, 100, {LANE: book.group.quota - book.group.used})
    if not answers:
        assert found is None
    elif isinstance(found, TooDear):
        assert found.lost_gpu_seconds > limit
    else:
        assert isinstance(found, Claim)
        chosen = tuple(u for u in running if u.job in {leave.job for leave in found.leaves})
        assert works(chosen)
        assert lost(chosen) == found.lost_gpu_seconds <= limit
        assert not any(works(tuple(u for u in chosen if u is not spare)) for spare in chosen)
