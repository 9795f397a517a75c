"""The settings of the policy.

Simulator and most benchmarks run with the defaults. Production looks at more (`looks_max`: there is time between its turns) and
counts what stopping a job takes (`overhead_seconds`): compute/queries/snapshot.py. Tests that compare every answer look at all.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Knobs:
    """The settings of the policy, with their defaults."""

    half_life_seconds: int = 7 * 24 * 3600  # past use counts half after this
    past_weight: float = 5e-7  # a GPU-second of past use weighs as much as so many GPUs in use now
    own_weight: float = 0.25  # the job's own GPUs count as in use by this part
    short_first: float = 1.0  # the power of expected GPU time in a score
    patience_seconds: int = 14 * 24 * 3600  # a job that has waited for this long comes nearer, ...
    nearer_seconds: int = 24 * 3600  # ... its score halving every so often
    put_right: float = 1.0  # the power of how a project fared
    refresh_seconds: int = 300  # an expectation or a project that no event touched is looked at again after this, ...
    renewals_max: int = 2  # ... so many at one moment
    looks_max: int = 50  # how often one moment may find that a job can't pass in a lane; then its GPUs may stay idle
    wakes_max: int = 50  # so many parked kinds are put back in line at one moment; the others at the next
    overhead_seconds: int = 0  # how long a job may keep its devices beyond its wall time: fetching sources, being stopped
    backfill: bool = True  # may later jobs pass the next in line where they don't delay it?

    def nearer(self, waited_seconds: int) -> float:
        """What a score is multiplied by, so that no stream of short jobs keeps a long one waiting for ever."""
        late: int = max(0, waited_seconds - self.patience_seconds)
        return math.pow(0.5, late / self.nearer_seconds)


DEFAULTS = Knobs()
