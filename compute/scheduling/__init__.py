"""Who starts now, and what everybody else waits for: plain data in, decisions with reasons out; no clock, no I/O.

`docs/explanation/scheduling.md` says in which order to read it, what of it production uses, and the why.
"""

from compute.scheduling.forecasts.forecast import forecast
from compute.scheduling.forecasts.ranges import Correction, came_out, corrected, held, horizon
from compute.scheduling.keeping.feed import Surprise
from compute.scheduling.keeping.kept import KeptCore
from compute.scheduling.keeping.memory import IdealJob, IdealShare, Memory, ProjectMemory
from compute.scheduling.knobs import Knobs
from compute.scheduling.learning.estimates import Estimates
from compute.scheduling.model import (
    Alternative,
    Asks,
    Decision,
    Draw,
    Ending,
    Expected,
    Grant,
    Instant,
    Job,
    Leave,
    Leaving,
    Limit,
    Offer,
    Plan,
    Pool,
    PoolState,
    Priority,
    Project,
    Quota,
    Ran,
    Reason,
    Running,
    Snapshot,
    Start,
    Whole,
    Window,
)
from compute.scheduling.plan import plan
from compute.scheduling.quotas.preemption import Terms
from compute.scheduling.quotas.quota import Share
from compute.scheduling.rules.offers import draw

__all__ = [
    "Alternative",
    "Asks",
    "Correction",
    "Decision",
    "Draw",
    "Ending",
    "Estimates",
    "Expected",
    "Grant",
    "IdealJob",
    "IdealShare",
    "Instant",
    "Job",
    "KeptCore",
    "Knobs",
    "Leave",
    "Leaving",
    "Limit",
    "Memory",
    "Offer",
    "Plan",
    "Pool",
    "PoolState",
    "Priority",
    "Project",
    "ProjectMemory",
    "Quota",
    "Ran",
    "Reason",
    "Running",
    "Share",
    "Snapshot",
    "Start",
    "Surprise",
    "Terms",
    "Whole",
    "Window",
    "came_out",
    "corrected",
    "draw",
    "forecast",
    "held",
    "horizon",
    "plan",
]
