"""GitHub Sponsors by maintainer and month: what our ledger says was paid, beside GitHub's totals and activities."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.money import Money
from payouts.models import AttemptState, Payout, PayoutAttempt, PayoutStatus
from payouts.rails.github_sponsors import Activity, GitHubSponsorsRail, month_after, month_of

NOTHING = Money(0, "USD")
OPEN = frozenset({AttemptState.UNKNOWN, AttemptState.HUMAN})


@dataclass(frozen=True)
class Ours:
    """What the ledger says of one maintainer in a month."""

    paid: Money = NOTHING
    undecided: Money = NOTHING
    """Handed over, and nobody knows yet what became of it."""


@dataclass(frozen=True)
class Theirs:
    """What GitHub says."""

    total: Money
    activities: Sequence[Activity]


@dataclass(frozen=True)
class Row:
    """One maintainer in one month. `theirs` None: GitHub was not asked."""

    login: str
    ours: Ours
    theirs: Theirs | None

    @property
    def difference(self) -> Money | None:
        """What GitHub says was paid beyond what the ledger says; below zero if the ledger says more."""
        return self.theirs.total - self.ours.paid if self.theirs is not None else None

    @property
    def verdict(self) -> str:
        """In a word: `agrees`, `undecided` where the difference may be what is on its way, else `differs`."""
        if not self.difference:
            return "agrees" if self.difference is not None and not self.ours.undecided else "undecided"
        return "undecided" if self.difference == self.ours.undecided else "differs"


def ours(session: Session, month: datetime) -> Mapping[str, Ours]:
    """By maintainer, what was handed to GitHub in a month (UTC). Payments that came back are not counted."""
    rows = session.execute(
        select(PayoutAttempt, Payout.status)
        .join(Payout, Payout.id == PayoutAttempt.payout_id)
        .where(
            PayoutAttempt.rail == GitHubSponsorsRail.name,
            PayoutAttempt.sent_at >= month_of(month),
            PayoutAttempt.sent_at < month_after(month),
        )
    ).all()
    paid: defaultdict[str, Money] = defaultdict(lambda: NOTHING)
    undecided: defaultdict[str, Money] = defaultdict(lambda: NOTHING)
    for attempt, status in rows:
        login = attempt.parameters["destination"]["login"]
        if attempt.state is AttemptState.ACCEPTED and status is PayoutStatus.PAID:
            paid[login] += attempt.money
        elif attempt.state in OPEN:
            undecided[login] += attempt.money
    return {login: Ours(paid[login], undecided[login]) for login in {*paid, *undecided}}


def theirs(rail: GitHubSponsorsRail, month: datetime, *, besides: Iterable[str] = ()) -> Mapping[str, Theirs]:
    """The same from GitHub, for everybody it names in that month and those `besides`. Asks over the network.

    Raises:
        RailError: GitHub can't be read, or the token may not see it; nothing is known then.
    """
    start, end = month_of(month), month_after(month)
    activities = [each for each in rail.activities(since=start, until=end) if start <= each.at < end]
    logins = sorted({each.login for each in activities} | set(besides))
    totals = rail.totals(logins, since=start, until=end)
    return {login: Theirs(totals[login], [each for each in activities if each.login == login]) for login in logins}


def rows(ours: Mapping[str, Ours], theirs: Mapping[str, Theirs] | None) -> Sequence[Row]:
    """Side by side, what differs first."""
    made = [
        Row(login, ours.get(login, Ours()), theirs.get(login) if theirs is not None else None)
        for login in {*ours, *(theirs or {})}
    ]
    order = ("differs", "undecided", "agrees")
    return sorted(made, key=lambda row: (order.index(row.verdict) if theirs is not None else 0, row.login))
