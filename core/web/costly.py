"""Public answers that read a whole history or plan a whole line: drawn by one thread of a process at a time, and kept.

Anybody may ask for them, and under many addresses (every month of every donor is one), so keeping them is not enough: whoever
goes round all addresses would keep the database busy. That no two are drawn at once bounds what all visitors together cost, and
nothing in a request gets past it, not even the cookie that core/web/public_pages.py trusts.

A process has three threads, and the rest of the site needs them. So while one draws, everybody else gets a copy that is a little
older, or is refused at once and told when to come again. One visitor in a process may wait for a moment, so that who comes second
on a quiet day is not sent away.
"""

import enum
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import TypeVar, cast

from flask import current_app, request

from core.identity.limits import TooMany
from core.web.context import Application
from core.web.public_pages import Drawn

KEPT_SECONDS = 30.0
KEPT_LONGER = 10
"""While others are drawn, a copy may be so many times as old."""
PATIENCE_SECONDS = 1.0
COME_AGAIN_SECONDS = 5
KEPT_CHARACTERS_MAX = 32_000_000


class Reads(enum.Enum):
    """What makes an answer costly. Of each kind one is drawn at a time, so that a slow one keeps the other kind from nobody."""

    HISTORY = enum.auto()  # everything that ever ran
    LINE = enum.auto()  # everything that waits: ten thousand jobs are planned for seconds
    OVERVIEW = enum.auto()  # the one page that says what there is: whoever goes round all statements closes it to nobody


Content = TypeVar("Content", Drawn, bytes)
_kept: OrderedDict[tuple[object, ...], tuple[float, Drawn | bytes]] = OrderedDict()
_keeping = Lock()
_drawing = {reads: Lock() for reads in Reads}
_waiting = Lock()


def costly(
    key: tuple[object, ...], draw: Callable[[], Content], *, seconds: float = KEPT_SECONDS, reads: Reads = Reads.HISTORY
) -> Content:
    """The answer of this key as it was drawn a moment ago, or drawn now. The key says all that it depends on.

    Raises:
        TooMany: others are being drawn, and somebody waits already, or waited for long enough.
    """
    if cast("Application", current_app).bind is not None:  # tests look at their own uncommitted rows
        return draw()
    place = (request.script_root, *key)
    if (known := _known(place, seconds)) is not None:
        return cast("Content", known)
    if not _drawing[reads].acquire(blocking=False):
        if (known := _known(place, seconds * KEPT_LONGER)) is not None:
            return cast("Content", known)
        if not _acquire_in_time(_drawing[reads]):
            raise TooMany(
                f"Other visitors are having pages like this drawn. Wait {COME_AGAIN_SECONDS} seconds, then ask again.",
                retry_after_seconds=COME_AGAIN_SECONDS,
            )
    try:
        known = _known(place, seconds)  # somebody had it drawn while this one waited
        if known is None:
            known = draw()
            _keep(place, known)
        return cast("Content", known)
    finally:
        _drawing[reads].release()


def _acquire_in_time(drawing: Lock) -> bool:
    """Wait for it, unless somebody waits already, or two kinds are being drawn: the last thread is everybody else's."""
    if sum(each.locked() for each in _drawing.values()) > 1 or not _waiting.acquire(blocking=False):
        return False
    try:
        return drawing.acquire(timeout=PATIENCE_SECONDS)
    finally:
        _waiting.release()


def _known(place: tuple[object, ...], seconds: float) -> Drawn | bytes | None:
    at, content = _kept.get(place, (0.0, None))
    return content if time.monotonic() - at < seconds else None


def _keep(place: tuple[object, ...], content: Drawn | bytes) -> None:
    with _keeping:
        _kept.pop(place, None)
        _kept[place] = (time.monotonic(), content)
        while sum(_size(each) for _, each in _kept.values()) > KEPT_CHARACTERS_MAX:
            _kept.popitem(last=False)


def _size(content: Drawn | bytes) -> int:
    return len(content) if isinstance(content, bytes) else len(content.body)
