"""One row of the scheduler's figures: ours beside every peer that ran, what nobody can beat, and what is to be reached."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench._report import Runs


@dataclass(frozen=True)
class Figure:
    """What was measured, and what is to be reached: at least so much of a rate, else at most."""

    measure: str
    unit: str
    ours: Runs
    reach: float
    peers: Sequence[Runs] = ()
    bound: Runs | None = None
    """What nobody can beat, in the unit of the figure."""
    reach_is_ratio: bool = False
    """To be reached is our figure ÷ the bound."""

    @property
    def is_rate(self) -> bool:
        return self.unit.endswith("/s")

    @property
    def ratio(self) -> float | None:
        """Our figure ÷ the bound."""
        return self.ours.middle / self.bound.middle if self.bound is not None else None

    @property
    def missed_by_percent(self) -> float:
        """By how much of what is to be reached; 0: it is met."""
        seen = self.ours.middle if not self.reach_is_ratio else self.ratio
        assert seen is not None, "a ratio needs a bound"
        gap = 1 - seen / self.reach if self.is_rate else seen / self.reach - 1
        return max(0.0, 100 * gap)

    def document(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "measure": self.measure,
            "unit": self.unit,
            "ours": list(self.ours.figures),
            "ours_median": self.ours.middle,
            "peers": {peer.name: peer.middle for peer in self.peers},
            "bound": None if self.bound is None else {"name": self.bound.name, "value": self.bound.middle},
            "ratio_to_bound": self.ratio,
            "reach": self.reach,
            "reach_is_ratio_to_bound": self.reach_is_ratio,
            "met": not self.missed_by_percent,
            "missed_by_percent": self.missed_by_percent,
        }


HEADING = ("measure", "ours: median (least to most)", "peers", "bound", "ours ÷ bound", "reach", "")


def markdown(figures: Sequence[Figure]) -> Iterator[str]:
    """A table, line by line."""
    yield from (_row(HEADING), _row(["---"] * len(HEADING)))
    for figure in figures:
        yield _row(cells(figure))


def cells(figure: Figure) -> tuple[str, ...]:
    """A row in words."""
    return (
        figure.measure,
        f"{_spread(figure.ours)} {figure.unit}".rstrip(),
        " · ".join(f"{peer.name} {number(peer.middle)}{_of_bound(figure, peer)}" for peer in figure.peers),
        "" if figure.bound is None else f"{figure.bound.name} {number(figure.bound.middle)}",
        "" if figure.ratio is None else f"{figure.ratio:.3f}",
        f"{'≥' if figure.is_rate else '≤'} {number(figure.reach)}{' × bound' if figure.reach_is_ratio else ''}",
        f"missed by {figure.missed_by_percent:.1f} %" if figure.missed_by_percent else "met",
    )


def _of_bound(figure: Figure, peer: Runs) -> str:
    """Where the ratio is to be reached, every peer's stands beside ours."""
    assert figure.bound is not None or not figure.reach_is_ratio, "a ratio needs a bound"
    return f" ({peer.middle / figure.bound.middle:.3f})" if figure.bound is not None and figure.reach_is_ratio else ""


def _spread(runs: Runs) -> str:
    if len(set(runs.figures)) == 1:
        return number(runs.middle)
    return f"{number(runs.middle)} ({number(min(runs.figures))} to {number(max(runs.figures))})"


def number(value: float) -> str:
    """Three figures, and no more digits than they need."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
