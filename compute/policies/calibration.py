"""What an hour of each kind of accelerator is worth, from the same benchmarks on all of them: a linear program and its prices.

The program is the max-min fairness of Gavel (Narayanan et al., Heterogeneity-Aware Cluster Scheduling Policies for Deep Learning
Workloads, OSDI 2020, section 4.1), over benchmarks instead of jobs and GPUs instead of shares of time:

    maximise t   so that   sum over f of s[m,f] x[m,f]  >=  t a[m]   for every benchmark m
                           sum over m of x[m,f]         <=  n[f]     for every flavor f,     x >= 0

x[m,f]: GPUs of flavor f that benchmark m gets. n[f]: GPUs there are. s[m,f]: work of m per GPU-hour of f, 1 on the reference
flavor. a[m]: the work m would do with its share of every flavor (Gavel's X-equal), so that nobody counts more for being fast.

Its dual has a price p[f] for a GPU of each flavor. At these prices the cheapest way to give everybody the fair amount of work
costs exactly what all the GPUs are worth: no project does better by moving to another flavor, and none is worthless or sold
out. That is what an exchange rate should do, so rates are these prices with the reference flavor at its present rate. Where
several prices clear, the middle of their range is taken, and the range is said.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from core.errors import DomainError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

NEAR = Fraction(1, 50)
"""A rate is rounded to the simplest fraction within two in a hundred: benchmarks are not more exact than that."""

EXACT_ON_EVERY_SLICE = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 30, 40, 60, 120)
"""Denominators that divide 120: conversions with them need no rounding on any slice (policies/accounting.py)."""

LEAST, MOST = Fraction(1, 1000), Fraction(1000)
"""No rate is beyond these: no two kinds of accelerators are that far apart, but a benchmark that measures something else is."""

SLACKS = (1e-9, 1e-7, 1e-6)
"""By so much, relative to what all GPUs are worth, prices may miss to clear: the least that the solver (1e-7) copes with."""


class PricesNotFound(DomainError):
    """The solver found no prices for what was measured."""

    code = "prices_not_found"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark that ran on the reference flavor and on others."""

    name: str
    weight: Fraction
    """Its part of the whole: projects count alike, and a project's benchmarks share its part."""
    gpu_seconds: Mapping[str, float]
    """Median GPU-seconds of a run, by flavor; whole GPUs, so that a seventh counts as a seventh."""


@dataclass(frozen=True, slots=True)
class Price:
    """What an hour of a flavor is worth in hours of the reference flavor."""

    middle: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices that clear, and how fair the best sharing is."""

    reference: str
    flavors: Mapping[str, Price]
    fair: float
    """t: everybody does at least this many times the work that an equal share of every flavor would do."""


def speeds(benchmarks: Sequence[Benchmark], flavors: Sequence[str], reference: str) -> list[list[float]]:
    """s: (benchmarks, flavors), work per GPU-hour relative to the reference flavor.

    A pair that nobody measured gets the geometric mean of the benchmarks measured there, as Gavel estimates it from other jobs.
    """
    known = [
        [bench.gpu_seconds[reference] / bench.gpu_seconds[name] if name in bench.gpu_seconds else None for name in flavors]
        for bench in benchmarks
    ]
    means = []
    for column in zip(*known, strict=True):
        measured = [math.log(speed) for speed in column if speed is not None]
        means.append(math.exp(sum(measured) / len(measured)))
    return [[mean if speed is None else speed for speed, mean in zip(row, means, strict=True)] for row in known]


def prices(benchmarks: Sequence[Benchmark], gpus: Mapping[str, Fraction], reference: str) -> Prices:
    """Solve the program and the range of its prices with HiGHS.

    There are two flavors or more; every benchmark ran on the reference flavor, and one of them on each flavor of `gpus`.

    Raises:
        PricesNotFound: the speeds are too far apart for the solver.
    """
    # Heavy, and nothing else of the platform needs them.
    import numpy as np

    flavors = sorted(gpus)
    s = np.array(speeds(benchmarks, flavors, reference))
    n = np.array([float(gpus[name]) for name in flavors])
    weights = np.array([float(bench.weight) for bench in benchmarks])
    w = weights / weights.sum()
    # Every row adds up to 1, whatever the speeds and the numbers of GPUs: the solver's tolerances are absolute.
    u = s * n / (s @ n)[:, np.newaxis]
    fair = _fair_sharing(u, w)
    at = flavors.index(reference)
    worth = _corners(u, w, fair, at)
    corners = worth / n * n[at]
    middle, low, high = corners.mean(axis=0), corners.min(axis=0), corners.max(axis=0)
    found = {name: Price(float(middle[at]), float(low[at]), float(high[at])) for at, name in enumerate(flavors)}
    return Prices(reference, found, fair)


def rounded(rate: float) -> Fraction:
    """The simplest fraction near a rate, of those that convert exactly where there is one."""
    for denominator in EXACT_ON_EVERY_SLICE:
        found = Fraction(round(rate * denominator), denominator)
        if found and abs(found - Fraction(rate)) <= NEAR * Fraction(rate):
            return found
    return Fraction(rate).limit_denominator(10_000)


def _fair_sharing(u: "Matrix", w: "Matrix") -> float:
    """The program itself, in parts of each flavor: variables x[m,f] / (w[m] n[f]) row by row, then t.

    u: (benchmarks, flavors), the part of its equal-share work that a benchmark would do on each flavor. w: their weights.
    """
    import numpy as np

    rows, columns = u.shape
    cost = np.zeros(rows * columns + 1)
    cost[-1] = -1
    work = np.zeros((rows, rows * columns + 1))
    for number in range(rows):
        work[number, number * columns : (number + 1) * columns] = -u[number]
    work[:, -1] = 1
    supply = np.hstack([np.kron(w, np.eye(columns)), np.zeros((columns, 1))])
    solved = _solve(cost, a_ub=np.vstack([work, supply]), b_ub=np.concatenate([np.zeros(rows), np.ones(columns)]))
    return float(solved[-1])


def _corners(u: "Matrix", w: "Matrix", fair: float, reference: int) -> "Matrix":
    """What the GPUs of each flavor are worth at each corner of the prices that clear: (corners, flavors)."""
    import numpy as np

    directions = _directions(u.shape[1], reference)
    for slack in SLACKS[:-1]:
        try:
            return np.array([_corner(u, w, fair * (1 + slack), reference, direction) for direction in directions])
        except PricesNotFound:
            continue
    return np.array([_corner(u, w, fair * (1 + SLACKS[-1]), reference, direction) for direction in directions])


def _corner(u: "Matrix", w: "Matrix", fair: float, reference: int, direction: "Matrix") -> "Matrix":
    """What all GPUs of each flavor are worth, at the prices furthest in a direction among those that clear.

    Variables: q[f] = p[f] n[f], then what each benchmark pays for its equal-share work, v[m]. q[f] >= v[m] u[m,f]; all q together
    are at most what the fair work costs, t times w v (weak duality: never less, so t has a slack); q[reference] = 1.
    """
    import numpy as np

    rows, columns = u.shape
    dear = np.zeros((rows * columns, columns + rows))
    for number in range(rows):
        for kind in range(columns):
            dear[number * columns + kind, kind] = -1
            dear[number * columns + kind, columns + number] = u[number, kind]
    clears = np.concatenate([np.ones(columns), -fair * w])
    unit = np.zeros((1, columns + rows))
    unit[0, reference] = 1
    solved = _solve(
        np.concatenate([-direction, np.zeros(rows)]),
        a_ub=np.vstack([dear, clears]),
        b_ub=np.zeros(rows * columns + 1),
        a_eq=unit,
        b_eq=np.ones(1),
    )
    return solved[:columns]


def _directions(columns: int, reference: int) -> "list[Matrix]":
    """Down and up for every flavor but the reference."""
    import numpy as np

    return [sign * np.eye(columns)[kind] for kind in range(columns) if kind != reference for sign in (-1, 1)]


def _solve(cost: "Matrix", **constraints: Any) -> "Matrix":
    from scipy.optimize import linprog

    names = {"a_ub": "A_ub", "a_eq": "A_eq"}
    found = linprog(cost, method="highs", **{names.get(name, name): value for name, value in constraints.items()})
    # All data are positive, so both programs have an optimum; what is left is what the solver cannot tell from zero.
    if found.status != 0:
        raise PricesNotFound(
            "The speeds measured by these benchmarks are too far apart to find rates from them. Run those again that are far "
            "quicker or slower on one kind of accelerator than on all others."
        )
    solved: Matrix = found.x
    return solved
