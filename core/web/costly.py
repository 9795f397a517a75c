"""Public answers that read a whole history or plan a whole line: drawn by one thread of a process at a time, and kept.

Anybody may ask for them, and under many addresses (every month of every donor is one), so keeping them is not enough: whoever
goes round all addresses would keep the database busy. That no two are drawn at once bounds what all visitors together cost, and
nothing in a request gets past it, not even the cookie that core/web/public_pages.py trusts.
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
PATIENCE_SECONDS = 2.0
"""A process has few threads: one draws, and those that wait for it must not keep the rest of the site waiting."""
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


def costly(
    key: tuple[object, ...], draw: Callable[[], Content], *, seconds: float = KEPT_SECONDS, reads: Reads = Reads.HISTORY
) -> Content:
    """The answer of this key as it was drawn a moment ago, or drawn now. The key says all that it depends on.

    Raises:
        TooMany: others are being drawn, for longer than anybody should wait.
    """
    if cast("Application", current_app).bind is not None:  # tests look at their own uncommitted rows
        return draw()
    place = (request.script_root, *key)
    if (known := _known(place, seconds)) is not None:
        return cast("Content", known)
    if not _drawing[reads].acquire(timeout=PATIENCE_SECONDS):
        raise TooMany("Other visitors are having pages like this drawn. Try again in a few seconds.", retry_after_seconds=5)
    try:
        known = _known(place, seconds)  # somebody had it drawn while this one waited
        if known is None:
            known = draw()
            _keep(place, known)
        return cast("Content", known)
    finally:
        _drawing[reads].release()


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
