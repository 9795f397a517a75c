"""What a job may cost at most, and whether its grant can ever pay for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID

from sqlalchemy.orm import Session

from compute import policies
from compute.models import ComputeGrant, Flavor, Pool
from compute.queries import budget, hosts, jobs
from compute.services.new_jobs import NewJob
from core.errors import DomainError
from core.identity.models import Project
from core.units import format_seconds


class NoGrant(DomainError):
    """The project has no compute grant that is open for as long as the job may take."""

    code = "no_compute_grant"


class BudgetTooSmall(DomainError):
    """The grant could never pay for the job's declared time, whatever else comes back."""

    code = "budget_too_small"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job may cost at most on one flavor."""

    flavor: Flavor
    gpus: int
    """Devices that it takes there at most: more than it asks for if it has its host alone."""
    flavor_ticks: int
    rate: Fraction
    reference_ticks: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What a job may cost at most, and what that leaves, in reference ticks. It is charged for the flavor it starts on."""

    costs: Sequence[Cost]
    """One for each flavor it accepts, the one it prefers first."""
    grant: ComputeGrant
    budget: budget.Budget
    exclusive: bool = False

    @property
    def dearest(self) -> Cost:
        return max(self.costs, key=lambda cost: cost.reference_ticks)

    @property
    def reference_ticks(self) -> int:
        return self.dearest.reference_ticks

    @property
    def shortfall(self) -> int:
        """How much the grant lacks even if every job in flight came back; 0 if it can pay."""
        return max(0, self.reference_ticks - self.budget.unsettled)

    @property
    def left_after(self) -> int:
        return self.budget.left - self.reference_ticks


def quote(
    session: Session,
    project: Project,
    flavors: Sequence[Flavor],
    *,
    gpus: int,
    exclusive: bool = False,
    wall_seconds: int,
    grant_id: UUID | None = None,
    able: Mapping[Flavor, Sequence[Pool]] | None = None,
    now: datetime,
) -> Quote:
    """What this many devices for this long may cost on each of these flavors, and which grant would pay.

    `exclusive`: all devices of a host, in whichever pool that is most. `able`: the pools that can run it, if that is known.
    Without `grant_id`: of the project's grants that stay open long enough, the one that ends first and can pay for whichever
    it starts on; if none can, the one with most left, so that the shortfall named is the smallest.

    Raises:
        NoGrant: the project has none, the one named is not its own, or it ends too soon.
    """
    costs = [
        _cost(
            flavor,
            budget.rate_at(session, flavor, now),
            hosts.taken_with(session, flavor, gpus, exclusive=exclusive, able=able[flavor] if able is not None else None)[1],
            wall_seconds,
        )
        for flavor in flavors
    ]
    needed = max(cost.reference_ticks for cost in costs)
    grants = jobs.drawable_grants(session, project.id, until=now + timedelta(seconds=wall_seconds) + policies.OVERHEAD)
    if grant_id is not None:
        grants = [grant for grant in grants if grant.id == grant_id]
    if not grants:
        raise NoGrant(
            f"{project.name} has no compute grant that stays open for the next {format_seconds(wall_seconds)}. "
            "Ask for one on the project's page, or declare a shorter wall time.",
            field="grant",
        )
    budgets = budget.of_grants(session, grants)
    payer = next(
        (grant for grant in grants if budgets[grant.id].unsettled >= needed),
        max(grants, key=lambda grant: budgets[grant.id].unsettled),
    )
    return Quote(costs, payer, budgets[payer.id], exclusive)


def require_budget(offered: Quote, new: NewJob) -> None:
    """Refuse a job that its grant can never pay for, whatever comes back.

    Raises:
        BudgetTooSmall: the message names the shortfall.
    """
    if offered.shortfall:
        have = offered.budget
        raise BudgetTooSmall(
            f"This job may use {policies.say_gpu_time(offered.reference_ticks)} "
            f"({offered.dearest.gpus} × {offered.dearest.flavor.slug}{', a host to itself,' if new.exclusive else ''} for "
            f"{format_seconds(new.wall_seconds)}, in reference GPU time). “{offered.grant.title}” has "
            f"{policies.say_gpu_time(have.unsettled)} of {policies.say_gpu_time(have.granted)} left: "
            f"{policies.say_gpu_time(offered.shortfall)} too few.",
            field="wall_time",
            needed_ticks=offered.reference_ticks,
            left_ticks=have.unsettled,
            shortfall_ticks=offered.shortfall,
        )


def _cost(flavor: Flavor, rate: Fraction, gpus: int, wall_seconds: int) -> Cost:
    ticks = policies.device_ticks(gpus, flavor.slices_per_gpu, wall_seconds)
    return Cost(flavor, gpus, ticks, rate, policies.in_reference(ticks, rate))
