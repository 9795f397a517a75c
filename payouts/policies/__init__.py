"""The pure rules of `payouts`: what the engine may do next, and by which rail whom."""

from payouts.policies.engine import (
    Finding,
    Known,
    LimitReached,
    Next,
    Rules,
    Step,
    Usage,
    content_hash,
    judge,
    leaving,
    line_hash,
    line_text,
    next_step,
    reference,
)

__all__ = [
    "Finding",
    "Known",
    "LimitReached",
    "Next",
    "Rules",
    "Step",
    "Usage",
    "content_hash",
    "judge",
    "leaving",
    "line_hash",
    "line_text",
    "next_step",
    "reference",
]
