"""What one programme year still allows, and whether an award keeps within it."""

from dataclasses import dataclass
from datetime import date

from core.errors import DomainError
from core.money import Money
from grants.models import Programme
from grants.policies.applications import fits_request_rule, request_rule_in_words


class AwardCapExceeded(DomainError):
    """One grant of this programme may not be that large."""

    code = "award_cap_exceeded"
    field = "amount"


class AnnualCapExceeded(DomainError):
    """The programme year's money is committed, over all rounds."""

    code = "annual_cap_exceeded"
    field = "amount"


class NoPlaceLeft(DomainError):
    """The programme year's places are taken, over all rounds."""

    code = "no_place_left"


class RoundFull(DomainError):
    """The round made all the grants it may."""

    code = "round_full"


class OverrideNeeded(DomainError):
    """The amount is outside the request rule, and nobody said why it may be."""

    code = "override_needed"
    field = "override_reason"


class WrongCurrency(DomainError):
    code = "wrong_currency"
    status = 422
    field = "amount"


@dataclass(frozen=True)
class Standing:
    """What one programme year has used of its limits."""

    year: int
    committed: Money
    """Offered, running and completed grants, less what went back."""
    places_taken: int
    annual_cap: Money | None
    places: int | None

    @property
    def remaining(self) -> Money | None:
        """What may still be committed this year; None without a cap."""
        return self.annual_cap - self.committed if self.annual_cap is not None else None

    @property
    def places_left(self) -> int | None:
        return self.places - self.places_taken if self.places is not None else None


def programme_year(first_month: int, on: date) -> int:
    """The programme year a day belongs to, named for the calendar year it begins in."""
    return on.year if on.month >= first_month else on.year - 1


def require_within_caps(
    programme: Programme, amount: Money, standing: Standing, *, round_grants: int = 0, round_max: int | None = None
) -> None:
    """Refuse an award that passes a limit. No reason overrides these: raise the limit instead, for all to see.

    Raises:
        WrongCurrency, AwardCapExceeded, NoPlaceLeft, AnnualCapExceeded, RoundFull
    """
    if amount.currency != programme.currency:
        raise WrongCurrency(f"{programme.name} grants in {programme.currency}, not in {amount.currency}.")
    if programme.award_cap is not None and amount > programme.award_cap:
        raise AwardCapExceeded(f"A grant of {programme.name} is at most {programme.award_cap}; this is {amount}.")
    if standing.places_left is not None and standing.places_left < 1:
        raise NoPlaceLeft(
            f"All {standing.places} places of {programme.name} in {standing.year} are taken.",
            year=standing.year,
            places=standing.places,
        )
    if standing.remaining is not None and amount > standing.remaining:
        raise AnnualCapExceeded(
            f"{programme.name} may commit {standing.annual_cap} in {standing.year}, whatever the calendar of its rounds; "
            f"{standing.committed} are committed, so {standing.remaining} are left for this {amount}.",
            year=standing.year,
            committed=str(standing.committed),
            remaining=str(standing.remaining),
        )
    if round_max is not None and round_grants >= round_max:
        raise RoundFull(f"This round may make {round_max} grants and has made them.")


def require_rule_or_reason(programme: Programme, amount: Money, override_reason: str | None) -> str | None:
    """The reason to keep with an award: None inside the request rule, else the one given.

    Raises:
        OverrideNeeded: outside the rule without a reason.
    """
    if fits_request_rule(amount, programme):
        return None
    if not override_reason or not override_reason.strip():
        raise OverrideNeeded(
            f"{amount} is outside the rule of {programme.name} ({request_rule_in_words(programme)}). "
            "Say why it may be; the reason is published with the grant."
        )
    return override_reason.strip()
