"""What both of Stripe's rails ask about a payee's account before money depends on it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from payouts.rails.base import NotNow, OnboardingRail, OutcomeUnknown, RailError, SetupLine

WAIT_FOR_PAYEE = timedelta(hours=1)
WAIT_FOR_STRIPE = timedelta(minutes=1)


def setup_lines(rail: OnboardingRail, key_may: str, payee: Mapping[str, str] | None) -> Sequence[SetupLine]:
    """Whether Stripe answers, what the key must be allowed to do, and whether a payee can be paid."""
    health = rail.health()
    lines = [
        SetupLine(health.ok, health.message),
        SetupLine(None, f"The key may write {key_may}: see it in Stripe's dashboard."),
    ]
    if payee is not None:
        try:
            problem = rail.standing(payee).problem
        except RailError as error:
            problem = str(error)
        lines.append(SetupLine(problem is None, problem or "The payee can be paid."))
    return lines


def problem_before(rail: OnboardingRail, account: str) -> str | None:
    """Why this payee can't be paid now. Nothing has left yet, so no answer means: not now.

    Raises:
        NotNow: Stripe did not say.
    """
    try:
        return rail.standing({"account": account}).problem
    except OutcomeUnknown as error:
        raise NotNow(f"Stripe did not say whether the payee can be paid. {error}", retry_after=WAIT_FOR_STRIPE) from error
