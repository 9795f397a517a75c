"""How reviews become one number: exactly, and rounded only where people read it."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction


def review_score(points: Iterable[tuple[int, int, int]]) -> Fraction:
    """One review as an exact share of what could be had, times 100: 100 · Σ weight · points/points_max ÷ Σ weight.

    Takes (weight, points, points_max) for every criterion of the rubric.
    """
    rows = list(points)
    weights = sum(weight for weight, _, _ in rows)
    assert weights > 0, "a rubric has at least one criterion, each with a positive weight"
    return 100 * sum((Fraction(weight * given, most) for weight, given, most in rows), Fraction(0)) / weights


def mean_score(scores: Iterable[Fraction]) -> Fraction | None:
    """The exact mean of the reviews that count; None without any."""
    counted = list(scores)
    return sum(counted, Fraction(0)) / len(counted) if counted else None


def shown_score(score: Fraction | None) -> str:
    """A score rounded half up to one decimal, for people; sorting and deciding use the exact one."""
    if score is None:
        return "–"
    tenths = (Decimal(score.numerator * 10) / Decimal(score.denominator)).quantize(Decimal(1), ROUND_HALF_UP)
    return f"{tenths / 10:.1f}"
