"""A provider calls to say that something happened, unsigned: a hint to look, and nothing more.

What it says is not read, so a forged call can do no more than have us look sooner; at most one look is on its way at a time, and
each begins some seconds later. Whoever follows something at that provider registers what to do:

    @hints.listen("open_collective")
    def look_sooner(session: Session, now: datetime) -> None: ...
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy.orm import Session

from core.clock import utc_now
from core.tasks import Run, Task, enqueue, handler

PAUSE = timedelta(seconds=10)
"""Longer than a provider takes to commit what it calls about, and the least time between two looks."""

Listener = Callable[[Session, datetime], None]

_listeners: defaultdict[str, list[Listener]] = defaultdict(list)


@dataclass(frozen=True)
class Hint(Task):
    """Have everybody who follows something at a provider look sooner."""

    kind: ClassVar[str] = "core.hint"
    provider: str


def listen(provider: str) -> Callable[[Listener], Listener]:
    """Register what to do when a provider calls."""

    def register(listener: Listener) -> Listener:
        _listeners[provider].append(listener)
        return listener

    return register


def hear(session: Session, provider: str, *, now: datetime) -> None:
    """Take a call in."""
    enqueue(session, Hint(provider), now=now, run_at=now + PAUSE, dedupe_key=provider)


@handler(Hint)
def pass_on(task: Hint, run: Run) -> None:
    """Tell everybody, in one transaction."""
    with run.session() as session:
        for listener in _listeners[task.provider]:
            listener(session, utc_now())
