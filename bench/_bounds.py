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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.simulation import TraceJob

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

FIRST_STEP, LAST_STEP = 0.6, 0.002
"""Of the highest price: steps uphill begin large and end small, each shorter by the same part than the one before."""

RIGID = 0.3
"""Where to begin: prices for jobs that could be cut to pieces are too high for rigid ones. Found by trying; any will do."""

ITERATIONS = 500

PORTION = 1 << 16
"""So many starts are looked at together."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds."""

    run_time: float
    squashed_area: float
    dual: float

    @property
    def best(self) -> float:
        return max(self.run_time, self.squashed_area, self.dual)


def bounds(jobs: Sequence[TraceJob], gpus: int, *, iterations: int = ITERATIONS, step: int = 3600) -> Bounds:
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
    """Bound (c). Prices are in seconds of waiting per GPU-second, one for each interval of the grid; later ones cost nothing."""

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
        self._starts = self.release  # the cheapest under the prices that were last looked at
        self._whole: Places = (self.run // step).astype(np.intp)  # a run is so many whole intervals ...
        self._rest: Floats = self.run - self._whole * step  # ... and so many seconds

    def improve(self, iterations: int) -> float:
        """Steps uphill from the prices at hand (Adam: Kingma, Ba, 2015); what the best prices met certify."""
        length = self.prices.max() * FIRST_STEP or 1.0
        shorter = (LAST_STEP / FIRST_STEP) ** (1 / iterations)
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
            step = length * shorter**number * trend / (1 - 0.9**number)
            self.prices = np.maximum(0.0, self.prices + step / (np.sqrt(spread / (1 - 0.999**number)) + 1e-9))
        self.prices = best_prices
        return best

    def evaluate(self) -> tuple[float, Floats]:
        """The mean completion time that the prices certify, and each job's cheapest start under them.

        Looked at is every start at which the start or the end meets a change of price, until waiting alone costs more than
        the best known. What was cheapest under other prices is a good first guess, and keeps that short.
        """
        rate = np.append(self.prices, 0.0)
        paid = np.concatenate([[0.0], np.cumsum(self.prices) * self.step])  # price of one GPU from the beginning
        starts, cheapest = self.release.copy(), self._cost(self.release, rate, paid)
        again = self._cost(self._starts, rate, paid)
        better = again < cheapest
        starts[better], cheapest[better] = self._starts[better], again[better]
        for ends_on_grid in (False, True):
            offset: Floats | float = self.run if ends_on_grid else 0.0
            first = np.ceil((self.release + offset) / self.step).astype(np.intp)
            beyond = np.ceil((self.release + cheapest - self.run + offset) / self.step).astype(np.intp)
            for jobs, counts in _portions(np.minimum(beyond, self.intervals + 1) - first):
                each = np.repeat(jobs, counts)
                begins = np.cumsum(counts) - counts
                place = np.arange(len(each)) + np.repeat(first[jobs] - begins, counts)
                at = place * self.step - (self.run[each] if ends_on_grid else 0.0)
                price = self._ending(place, each, rate, paid) if ends_on_grid else self._starting(place, each, rate, paid)
                cost = at - self.release[each] + self.run[each] + self.width[each] * price
                least = np.minimum.reduceat(cost, begins)
                better = least < cheapest[jobs]
                cheapest[jobs[better]] = least[better]
                found = np.flatnonzero(np.repeat(better, counts) & (cost == np.repeat(least, counts)))[::-1]  # the first wins
                starts[each[found]] = at[found]
        self._starts = starts
        return float((cheapest.sum() - self.gpus * paid[-1]) / len(self.run)), starts

    def _starting(self, place: Places, jobs: Places, rate: Floats, paid: Floats) -> Floats:
        """What a GPU costs jobs that start at these places of the grid."""
        last = np.minimum(place + self._whole[jobs], self.intervals)
        price: Floats = paid[last] + rate[last] * self._rest[jobs] - paid[place]
        return price

    def _ending(self, place: Places, jobs: Places, rate: Floats, paid: Floats) -> Floats:
        """What a GPU costs jobs that end there. One of whole intervals starts on the grid, too, and pays nothing before."""
        first = place - self._whole[jobs]
        price: Floats = paid[place] - paid[first] + rate[first - 1] * self._rest[jobs]
        return price

    def _cost(self, starts: Floats, rate: Floats, paid: Floats) -> Floats:
        """Completion time since submission, plus what the GPUs cost meanwhile."""
        price = self._paid_until(starts + self.run, rate, paid) - self._paid_until(starts, rate, paid)
        cost: Floats = starts - self.release + self.run + self.width * price
        return cost

    def _paid_until(self, at: Floats, rate: Floats, paid: Floats) -> Floats:
        place = np.minimum((at / self.step).astype(np.intp), self.intervals)
        until: Floats = paid[place] + rate[place] * (at - place * self.step)
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


def _portions(counts: Places) -> Iterator[tuple[Places, Places]]:
    """The jobs of which something is to be looked at, and of how much; in portions that fit into a processor's cache."""
    jobs = np.flatnonzero(counts > 0)
    ends = np.cumsum(counts[jobs])
    begin = 0
    while begin < len(jobs):
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + PORTION, side="right")))
        yield jobs[begin:end], counts[jobs[begin:end]]
        begin = end
