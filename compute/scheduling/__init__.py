"""Who starts now, and what everybody else waits for: plain data in, decisions with reasons out; no clock, no I/O.

Read model.py first, then planner.py. `docs/explanation/scheduling.md` tells the why.
"""

from compute.scheduling.budgets import draw
from compute.scheduling.estimates import Estimates
from compute.scheduling.fairness import decayed
from compute.scheduling.forecast import forecast
from compute.scheduling.model import (
    Decision,
    Draw,
    Expected,
    Grant,
    Instant,
    Job,
    Limit,
    Offer,
    Plan,
    Pool,
    PoolState,
    Project,
    Reason,
    Rules,
    Running,
    Snapshot,
    Start,
)
from compute.scheduling.planner import plan

__all__ = [
    "Decision",
    "Draw",
    "Estimates",
    "Expected",
    "Grant",
    "Instant",
    "Job",
    "Limit",
    "Offer",
    "Plan",
    "Pool",
    "PoolState",
    "Project",
    "Reason",
    "Rules",
    "Running",
    "Snapshot",
    "Start",
    "decayed",
    "draw",
    "forecast",
    "plan",
]
