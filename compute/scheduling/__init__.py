"""Who starts now, and what everybody else waits for: plain data in, decisions with reasons out; no clock, no I/O.

`docs/explanation/scheduling.md` says in which order to read it, what of it production uses, and the why.
"""

from compute.scheduling.estimates import Estimates
from compute.scheduling.feed import Surprise
from compute.scheduling.forecast import forecast
from compute.scheduling.kept import KeptCore
from compute.scheduling.knobs import Knobs
from compute.scheduling.memory import IdealJob, IdealShare, Memory, ProjectMemory
from compute.scheduling.model import (
    Alternative,
    Decision,
    Draw,
    Ending,
    Expected,
    Grant,
    Instant,
    Job,
    Limit,
    Offer,
    Plan,
    Pool,
    PoolState,
    Priority,
    Project,
    Ran,
    Reason,
    Running,
    Snapshot,
    Start,
    Window,
)
from compute.scheduling.offers import draw
from compute.scheduling.plan import plan

__all__ = [
    "Alternative",
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
    "Limit",
    "Memory",
    "Offer",
    "Plan",
    "Pool",
    "PoolState",
    "Priority",
    "Project",
    "ProjectMemory",
    "Ran",
    "Reason",
    "Running",
    "Snapshot",
    "Start",
    "Surprise",
    "Window",
    "draw",
    "forecast",
    "plan",
]
