"""What every benchmark prints: a table of name, figure, peer, ratio and spread of several runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Runs:
    """The figures of several runs of one thing."""

    name: str
    figures: Sequence[float]

    @property
    def middle(self) -> float:
        return median(self.figures)


@dataclass(frozen=True)
class Line:
    """One line: our figure, beside a peer measured in the same run, or a reach it must meet."""

    ours: Runs
    unit: str
    peer: Runs | None = None
    reach: float | None = None
    """What must be met: at least this much of a rate, at most this much of a duration; of the ratio if `reach_is_ratio`."""
    reach_is_ratio: bool = False

    @property
    def is_rate(self) -> bool:
        return self.unit.endswith("/s")

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the peer we are."""
        if self.peer is None:
            return None
        ours, peers = self.ours.middle, self.peer.middle
        return ours / peers if self.is_rate else peers / ours

    @property
    def met(self) -> bool | None:
        if self.reach is None:
            return None
        figure = (self.ratio or 0.0) if self.reach_is_ratio else self.ours.middle
        return figure >= self.reach if self.is_rate or self.reach_is_ratio else figure <= self.reach


COLUMNS = ("what", "median", "min", "max", "unit", "peer", "peer median", "ratio", "reach")


def report(title: str, lines: Sequence[Line]) -> None:
    """Print the table."""
    rows = [COLUMNS, *(_cells(line) for line in lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    print(f"\n{title}")
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cells(line: Line) -> tuple[str, ...]:
    figures = line.ours.figures
    return (
        line.ours.name,
        _number(line.ours.middle),
        _number(min(figures)),
        _number(max(figures)),
        line.unit,
        line.peer.name if line.peer else "",
        _number(line.peer.middle) if line.peer else "",
        f"{line.ratio:.2f}×" if line.ratio is not None else "",
        _reach(line),
    )


def _reach(line: Line) -> str:
    if line.reach is None:
        return ""
    wanted = f"{line.reach:g}×" if line.reach_is_ratio else _number(line.reach)
    sign = "≥" if line.is_rate or line.reach_is_ratio else "≤"
    return f"{sign} {wanted}: {'met' if line.met else 'MISSED'}"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def repeat(name: str, runs: int, measure: Callable[[], float]) -> Runs:
    """Measure several times."""
    return Runs(name, [measure() for _ in range(runs)])
