"""What no schedule can beat: certified lower bounds on the mean completion time of rigid jobs that are never interrupted.

They hold even for a scheduler that knows every run time. Three are computed and the largest counts:

(a) the mean run time;
(b) the squashed area: one machine as fast as all GPUs, preemptive, smallest area first; mean busy times plus half the run time
    (Eastman, Even, Isaacs 1964; Goemans 1997; for parallel jobs Turek et al. 1994);
(c) the Lagrangian dual of the time-indexed program: charge every GPU-second a price that depends on when, let each job choose
    its cheapest start on its own, subtract what all GPUs would earn. Any prices that are not negative certify a bound;
    steps uphill look for good ones. Prices are constant within an hour or so, and each job's best start is found exactly,
    at the moments where its start or its end meets a change of price.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.simulation import TraceJob

Floats = NDArray[np.float64]


FIRST_STEP = 0.08
"""The first step uphill, as a part of the highest price."""

RIGID = 0.3
"""Where to begin: prices for jobs that could be cut to pieces are too high for rigid ones. Found by trying; any will do."""

SHRINK = 120
"""After so many steps they are half as long."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds."""

    run_time: float
    squashed_area: float
    dual: float

    @property
    def best(self) -> float:
        return max(self.run_time, self.squashed_area, self.dual)


def bounds(jobs: Sequence[TraceJob], gpus: int, *, iterations: int = 240, step: int = 3600) -> Bounds:
    """All three for one set of jobs on so many GPUs."""
    return Bounds(
        run_time=sum(job.run_seconds for job in jobs) / len(jobs),
        squashed_area=SquashedArea(jobs, gpus).bound,
        dual=Dual(jobs, gpus, step=step).improve(iterations),
    )


class SquashedArea:
    """Bound (b), O(n log n), and the prices that go with it."""

    def __init__(self, jobs: Sequence[TraceJob], gpus: int) -> None:
        self.pieces: list[tuple[float, float, int]] = []  # (from, until, area): what the fast machine works on, in order
        total = 0.0
        waiting: list[tuple[int, int]] = []  # (area, job)
        areas = [job.ask.gpus * job.run_seconds for job in jobs]
        left = [area / gpus for area in areas]  # seconds on the fast machine
        busy = [0.0] * len(jobs)  # integral of time over the job's own processing
        now, arrived = 0.0, 0
        while arrived < len(jobs) or waiting:
            if not waiting:
                now = max(now, jobs[arrived].ask.submitted_at)
            while arrived < len(jobs) and jobs[arrived].ask.submitted_at <= now:
                heapq.heappush(waiting, (areas[arrived], arrived))
                arrived += 1
            area, index = waiting[0]
            until = jobs[arrived].ask.submitted_at if arrived < len(jobs) else float("inf")
            worked = min(left[index], until - now)
            if worked:
                self.pieces.append((now, now + worked, area))
            busy[index] += worked * (now + worked / 2)
            left[index] -= worked
            now += worked
            if left[index] <= 0:
                heapq.heappop(waiting)
                middle = busy[index] * gpus / area if area else now
                total += middle + jobs[index].run_seconds / 2 - jobs[index].ask.submitted_at
        self.bound = total / len(jobs)

    def prices(self, moments: Floats) -> Floats:
        """The price of a GPU-second at each moment, in seconds of waiting: it falls by 1 / area while a job is worked on.

        That is complementary slackness of the fast machine's linear program: no job wants to be moved. It is nothing while
        the machine is idle.
        """
        price, corners, heights = 0.0, [], []
        behind = float("inf")
        for begin, end, area in reversed(self.pieces):
            if end < behind:
                corners += [behind, end]
                heights += [0.0, 0.0]
                price = 0.0
            corners.append(end)
            heights.append(price)
            price += (end - begin) / area
            corners.append(begin)
            heights.append(price)
            behind = begin
        found: Floats = np.interp(moments, corners[::-1], heights[::-1], left=0.0, right=0.0)
        return found


class Dual:
    """Bound (c). Prices are in seconds of waiting per GPU-second, one for each interval of the grid."""

    def __init__(self, jobs: Sequence[TraceJob], gpus: int, *, step: int) -> None:
        self.step = step
        self.gpus = gpus
        first = jobs[0].ask.submitted_at
        self.release = np.array([job.ask.submitted_at - first for job in jobs], float)
        self.run = np.array([job.run_seconds for job in jobs], float)
        self.width = np.array([job.ask.gpus for job in jobs], float)
        horizon = self.release.max() + self.run.max() + (self.width * self.run).sum() / gpus
        self.intervals = int(horizon // step) + 2
        middles: Floats = (np.arange(self.intervals, dtype=np.float64) + 0.5) * step + first
        self.prices: Floats = SquashedArea(jobs, gpus).prices(middles) * RIGID

    def improve(self, iterations: int) -> float:
        """Steps uphill from the prices at hand (Adam: Kingma, Ba, 2015); what the best prices met certify."""
        first = self.prices.max() * FIRST_STEP or 1.0
        trend: Floats = np.zeros(self.intervals)
        spread: Floats = np.zeros(self.intervals)
        best, best_prices = 0.0, self.prices
        for number in range(1, iterations + 1):
            value, starts = self.evaluate()
            if value > best:
                best, best_prices = value, self.prices
            slope = self._use(starts) / self.gpus - 1
            trend = 0.9 * trend + 0.1 * slope
            spread = 0.999 * spread + 0.001 * slope**2
            length = first / (1 + number / SHRINK) / (np.sqrt(spread / (1 - 0.999**number)) + 1e-9)
            self.prices = np.maximum(0.0, self.prices + length * trend / (1 - 0.9**number))
        self.prices = best_prices
        return best

    def evaluate(self) -> tuple[float, Floats]:
        """The mean completion time that the prices certify, and each job's cheapest start under them."""
        paid = np.concatenate([[0.0], np.cumsum(self.prices) * self.step])  # price of one GPU from the beginning
        cheapest, starts = self._cost(self.release, slice(None), paid), self.release.copy()
        for ends_on_grid in (False, True):
            offset = self.run if ends_on_grid else 0.0
            place = np.ceil((self.release + offset) / self.step)
            open_jobs = np.arange(len(self.run))
            while open_jobs.size:
                at = place[open_jobs] * self.step - (self.run[open_jobs] if ends_on_grid else 0.0)
                # Waiting alone costs more than the best so far: no later start can be cheaper.
                worth = at - self.release[open_jobs] + self.run[open_jobs] < cheapest[open_jobs]
                open_jobs, at = open_jobs[worth], at[worth]
                cost = self._cost(at, open_jobs, paid)
                better = cost < cheapest[open_jobs]
                cheapest[open_jobs[better]], starts[open_jobs[better]] = cost[better], at[better]
                place[open_jobs] += 1
        return float((cheapest.sum() - self.gpus * paid[-1]) / len(self.run)), starts

    def _cost(self, starts: Floats, jobs: "slice | NDArray[np.intp]", paid: Floats) -> Floats:
        """Completion time since submission, plus what the GPUs cost meanwhile."""
        run = self.run[jobs]
        price = self._paid_until(starts + run, paid) - self._paid_until(starts, paid)
        cost: Floats = starts - self.release[jobs] + run + self.width[jobs] * price
        return cost

    def _paid_until(self, at: Floats, paid: Floats) -> Floats:
        place = np.minimum((at / self.step).astype(np.int64), self.intervals - 1)
        until: Floats = paid[place] + self.prices[place] * (at - place * self.step)
        return until

    def _use(self, starts: Floats) -> Floats:
        """Mean GPUs in use in each interval."""
        return self._work_until(starts + self.run) - self._work_until(starts)

    def _work_until(self, at: Floats) -> Floats:
        """For each interval, the GPUs of jobs that began (or ended) before it, and their part of it."""
        place = np.minimum((at / self.step).astype(np.int64), self.intervals - 1)
        part = at / self.step - place
        # A job that has reached `at` gives nothing more: the part of the interval before it, and nothing of those after.
        before = np.bincount(place, self.width * part, self.intervals)
        whole = np.bincount(place, self.width, self.intervals)
        work: Floats = before + whole[::-1].cumsum()[::-1] - whole
        return work
