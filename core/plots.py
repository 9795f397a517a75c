"""Curves for pages, as plain places on a drawing: made here, drawn by templates/components/plots.html, no script anywhere.

Every plot stands beside a table of the same figures: the curve shows the shape, the table is for reading and for whoever can't
see the curve.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 10, 26
"""The room around the curves, where the axes are named."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_DURATIONS = (
    10, 20, _MINUTE, 2 * _MINUTE, 4 * _MINUTE, 10 * _MINUTE, 20 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR, 12 * _HOUR,
    _DAY, 2 * _DAY, 4 * _DAY, 8 * _DAY, 16 * _DAY, 32 * _DAY, 64 * _DAY, 128 * _DAY,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tick:
    """A named place on an axis."""

    at: float
    label: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve: the points of an SVG polyline."""

    name: str
    points: str


@dataclass(frozen=True, slots=True)
class Plot:
    """What the template draws."""

    title: str
    curves: Sequence[Curve]
    across: Sequence[Tick]
    up: Sequence[Tick]


Points = Sequence[tuple[float, float]]


def plot(
    title: str, curves: Mapping[str, Points], *, across: Sequence[tuple[float, str]], top: float, up: Callable[[float], str]
) -> Plot:
    """Curves over a common horizontal axis.

    `across` names places on it, the first its left end and the last its right end; the vertical axis goes from 0 to `top`,
    whose places `up` puts in words. What lies above is drawn at the top.
    """
    first, last = across[0][0], across[-1][0]
    span = (last - first) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        inside = WIDTH - LEFT - RIGHT
        return LEFT + (x - first) / span * inside, TOP + (1 - min(y, top) / top) * (HEIGHT - TOP - BOTTOM)

    def polyline(points: Points) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))

    ends = {0: "start", len(across) - 1: "end"}
    return Plot(
        title=title,
        curves=[Curve(name, polyline(points)) for name, points in curves.items()],
        across=[Tick(place(x, 0)[0], label, ends.get(number, "middle")) for number, (x, label) in enumerate(across)],
        up=[Tick(place(first, y)[1], up(y)) for y in (0.0, top / 2, top)],
    )


def duration_top(seconds: float) -> int:
    """The end of an axis of durations: the next one whose half is a round duration too."""
    return next((top for top in _DURATIONS if seconds <= top), _DURATIONS[-1])


def count_top(most: float) -> int:
    """The end of an axis of counts: 2, 4, 10, 20, 40, 100 …"""
    size = 1
    while True:
        for factor in (2, 4, 10):
            if most <= factor * size:
                return factor * size
        size *= 10
