"""What reaches a project when a fiscal host receives the money for it.

The host's fee is taken from every instalment and rounded half up to the minor unit, so that for each of them
net + fee = gross exactly. Of its fee the host passes a share on to the platform it runs on, rounded the same way:
a gift of $1,000 at a host with 10 % whose platform takes 15 % of the fee gives $900 to the project, $85 to the host and $15 to
the platform (docs.opencollective.com, "Fiscal hosts: fees").
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from core.errors import InvalidInput
from core.money import Money


@dataclass(frozen=True)
class HostedPart:
    """One instalment through a host; net + host_keeps + platform = gross."""

    gross: Money
    fee: Money
    platform: Money

    @property
    def net(self) -> Money:
        return self.gross - self.fee

    @property
    def host_keeps(self) -> Money:
        return self.fee - self.platform


@dataclass(frozen=True)
class Hosted:
    """A whole grant through a host."""

    parts: tuple[HostedPart, ...]

    @property
    def gross(self) -> Money:
        return total(part.gross for part in self.parts)

    @property
    def fee(self) -> Money:
        return total(part.fee for part in self.parts)

    @property
    def platform(self) -> Money:
        return total(part.platform for part in self.parts)

    @property
    def host_keeps(self) -> Money:
        return total(part.host_keeps for part in self.parts)

    @property
    def net(self) -> Money:
        return total(part.net for part in self.parts)


def through_host(instalments: Sequence[Money], *, fee_percent: Decimal, platform_share_percent: Decimal = Decimal(0)) -> Hosted:
    """What a host with this fee leaves of every instalment.

    Raises:
        InvalidInput: the fee is not at least 0 and below 100 %, or the platform's share is not between 0 and 100 %.
    """
    if not 0 <= fee_percent < 100:
        raise InvalidInput(f"A host's fee is at least 0 and below 100 %; {fee_percent} is not.", field="host_fee")
    if not 0 <= platform_share_percent <= 100:
        raise InvalidInput(
            f"A platform's share of the fee is between 0 and 100 %; {platform_share_percent} is not.", field="platform_share"
        )
    parts = []
    for gross in instalments:
        fee = _percent(gross, fee_percent)
        parts.append(HostedPart(gross, fee, _percent(fee, platform_share_percent)))
    return Hosted(tuple(parts))


def total(amounts: Iterable[Money]) -> Money:
    """The sum of at least one amount."""
    first, *others = amounts
    return sum(others, first)


def _percent(amount: Money, percent: Decimal) -> Money:
    """Exact, then rounded half up once."""
    exact = amount.amount_minor * Fraction(percent) / 100
    return Money((2 * exact.numerator + exact.denominator) // (2 * exact.denominator), amount.currency)
