"""Whether waiting jobs are told the truth: ten thousand jobs under all rules, and what they were told checked by replay.

python -m bench.explanations [--jobs N] [--seed N]

At random moments one waiting job of each reason is picked. What would have to happen, as it was told, is done, exactly: the job
waits for that no more. One unit short of it (a GPU, a tick, a second), it still does. One expected start is held against
what came: in a replay from that moment in which nobody new comes, and in the life that went on.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from bench._life import Life, life
from bench._made_up import JOBS_A_DAY
from bench._promises import PROMISING, Promises
from bench._ranges import Ranges
from bench._truth import Verdict, check
from compute.scheduling import Expected, Instant, Plan, Reason, forecast

LOOKS = 200
"""At so many moments, picked at random."""

REPLAYS_EVERY = 5
"""Every so many of these are replayed to their end with nobody new."""


@dataclass(frozen=True)
class Foretold:
    """What a job was told of its start, and what came of it where nobody new came, if that was replayed."""

    job_id: UUID
    expected: Expected
    alone_at: Instant | None = None
    lived_at: Instant | None = None


@dataclass(frozen=True)
class Findings:
    """What was checked."""

    verdicts: Sequence[Verdict]
    foretold: Sequence[Foretold]
    promises: Promises
    ranges: Ranges


def look_into(jobs: int, seed: int, *, looks: int = LOOKS, jobs_a_day: int = JOBS_A_DAY) -> Findings:
    """Play the life of so many jobs, and check at random moments what those who wait are told."""
    chance = random.Random(seed)
    playing = life(jobs, seed, jobs_a_day=jobs_a_day)
    verdicts: list[Verdict] = []
    foretold: list[Foretold] = []
    promises, ranges = Promises(), Ranges(random.Random(seed + 1))
    wanted, moment = {chance.randrange(jobs // 8) for _ in range(looks)}, 0
    while (answer := playing.step()) is not None:
        moment += 1
        promises.look(playing, answer)
        ranges.look(playing, answer)
        if moment in wanted and answer.waiting:
            verdicts.extend(_check_one_of_each(playing, answer, chance))
            foretold.extend(_ask_one(playing, answer, chance, replayed=len(foretold) % REPLAYS_EVERY == 0))
    lived = [replace(each, lived_at=playing.start_after(each.job_id, each.expected.as_of)) for each in foretold]
    return Findings(verdicts, lived, promises, ranges)


def _check_one_of_each(playing: Life, answer: Plan, chance: random.Random) -> list[Verdict]:
    world = playing.snapshot()
    told = {reason: [each for each in answer.waiting if each.reason is reason] for reason in Reason}
    return [check(world, answer, chance.choice(decisions)) for decisions in told.values() if decisions]


def _ask_one(playing: Life, answer: Plan, chance: random.Random, *, replayed: bool) -> list[Foretold]:
    found = forecast(playing.snapshot(), answer, playing.likely_seconds(), jobs_max=10_000)
    if not found:
        return []
    job_id = chance.choice(sorted(found))
    return [Foretold(job_id, found[job_id], _start_alone(playing.alone(), job_id) if replayed else None)]


def _start_alone(playing: Life, job_id: UUID) -> Instant | None:
    asked_at = playing.now
    while job_id in playing.queued and playing.step() is not None:
        pass
    return playing.start_after(job_id, asked_at)


def main() -> None:
    """Print the tables; fail if anything told is false, or a reason was never told."""
    parser = argparse.ArgumentParser(prog="python -m bench.explanations", description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000, help="how many jobs come (default 10,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up life (default 1)")
    arguments, _ = parser.parse_known_args()
    found = look_into(arguments.jobs, arguments.seed)
    _report(found, arguments.jobs)
    if lines := wrong(found):
        sys.exit("\n".join(lines))


def _report(found: Findings, jobs: int) -> None:
    true = Counter(each.decision.reason for each in found.verdicts if each.true)
    checked = Counter(each.decision.reason for each in found.verdicts)
    print(f"{jobs:,} jobs; {len(found.verdicts):,} explanations checked, {sum(true.values()):,} true")
    for reason in Reason:
        print(f"  {reason:<24}{checked[reason]:>6} checked{true[reason]:>6} true")
    print("starts that were told “at the latest”, as life went on")
    for reason in PROMISING:
        seen = found.promises
        print(
            f"  {reason:<24}{seen.kept[reason]:>6} by then{seen.broken[reason]:>6} later"
            f"{seen.ended[reason]:>6} waited for something else before"
        )
    print(f"{len(found.foretold):,} expected starts")
    for label, held, of in _starts(found):
        print(f"  {label:<64}{held:>4} of {of:>4}" + (f"  {held / of:>4.0%}" if of else ""))


def wrong(found: Findings) -> list[str]:
    """Everything that was told and is not so, in words; nothing if all is well."""
    lines = [
        f"{each.decision.reason}: helped not: {each.helped_not}, needed not: {each.needed_not}\n"
        f"  {each.decision.detail}\n  {each.decision.remedy}"
        for each in found.verdicts
        if not each.true
    ]
    lines += [f"{reason} was told nobody" for reason in Reason if reason not in {each.decision.reason for each in found.verdicts}]
    late = found.promises.broken[Reason.WAITING_FOR_QUOTA]  # of who is next in line it says that another's turn may come sooner
    lines += [f"{Reason.WAITING_FOR_QUOTA}: {late} started later than told"] if late else []
    return lines


def _starts(found: Findings) -> list[tuple[str, int, int]]:
    """What came of what was expected: label, how many, of how many."""
    alone = [(each.alone_at, each.expected) for each in found.foretold if each.alone_at is not None]
    lived = [(each.lived_at, each.expected) for each in found.foretold if each.lived_at is not None]
    rows = []
    for label, seen in (("nobody new came", alone), ("life went on", lived)):
        bounded = [(at, told) for at, told in seen if told.latest_at is not None]
        rows += [
            (
                f"{label}: started by what declared times said",
                sum(at <= (told.latest_at or 0) for at, told in bounded),
                len(bounded),
            ),
            (f"{label}: started within the range", sum(told.soonest_at <= at <= told.late_at for at, told in seen), len(seen)),
            (f"{label}: started before the range", sum(at < told.soonest_at for at, told in seen), len(seen)),
            (f"{label}: started after the range", sum(at > told.late_at for at, told in seen), len(seen)),
        ]
    return rows + found.ranges.rows()


if __name__ == "__main__":
    main()
