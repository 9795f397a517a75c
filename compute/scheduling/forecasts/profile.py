"""How much of something stays free over time: steps that go up where what runs ends, and down where a start is reserved.

Two questions make a plan: from when on does so much stay free for so long, and take it. Steps stand in blocks of a few dozen, and
each block knows its least and its most. A search passes over blocks that are free enough or full as a whole, and a long
reservation changes only a block's offset; so both cost O(√n) for n steps instead of O(n). Jackson, Snell and Clement, Core
Algorithms of the Maui Scheduler (JSSPP 2001) call such a list of steps a profile.
"""

from bisect import bisect_right
from collections.abc import Iterable

from compute.scheduling.model import Instant

BLOCK_MAX = 48
"""A block with more steps than this is cut into two."""

_NEVER = 1 << 62


class Profile:
    """The free part of one resource from `now` on: GPUs, hosts, or what a limit leaves."""

    __slots__ = ("_blocks", "_firsts")

    def __init__(self, now: Instant, free: int, releases: Iterable[tuple[Instant, int]] = ()) -> None:
        """`free` now, which is below zero where more runs than there is, and what comes back when. The past is now."""
        times, levels = [now], [free]
        for at, amount in sorted(releases):
            if at > times[-1]:
                times.append(at)
                levels.append(levels[-1])
            levels[-1] += amount
        starts = range(0, len(times), BLOCK_MAX // 2)
        self._blocks = [_Block(times[at : at + BLOCK_MAX // 2], levels[at : at + BLOCK_MAX // 2]) for at in starts]
        self._firsts = [block.times[0] for block in self._blocks]

    def earliest(self, amount: int, seconds: int, not_before: Instant) -> Instant | None:
        """The first moment from which so much stays free for so long. None: never."""
        firsts, blocks = self._firsts, self._blocks
        first, skipped = self._find(not_before)  # the step it falls into counts from then on
        begin: Instant | None = None  # it is free from here on, ...
        until = _NEVER  # ... and that is enough if it stays so until then
        for place in range(first, len(blocks)):
            if firsts[place] >= until:
                return begin
            block = blocks[place]
            wanted = amount - block.offset
            if block.most < wanted:
                begin, until = None, _NEVER
            elif block.least >= wanted:
                if begin is None:
                    begin = max(block.times[skipped], not_before)
                    until = begin + seconds
            else:
                times = block.times
                for step, level in enumerate(block.levels[skipped:], skipped):
                    if level < wanted:
                        if times[step] >= until:
                            return begin
                        begin, until = None, _NEVER
                    elif begin is None:
                        begin = max(times[step], not_before)
                        until = begin + seconds
            skipped = 0
        return begin

    def take(self, begin: Instant, end: Instant, amount: int) -> None:
        """Reserve so much from one moment until another, whether or not it is there."""
        self._cut(begin)
        self._cut(end)
        first, step = self._find(begin)
        last, stop = self._find(end)
        blocks = self._blocks
        if first == last:
            blocks[first].lower(step, stop, amount)
            return
        blocks[first].lower(step, len(blocks[first].times), amount)
        for place in range(first + 1, last):
            blocks[place].offset -= amount
        if stop:
            blocks[last].lower(0, stop, amount)

    def _find(self, at: Instant) -> tuple[int, int]:
        """The step that this moment falls into: its block, and its place there."""
        place = bisect_right(self._firsts, at) - 1
        assert place >= 0, "a profile knows nothing of the time before it begins"
        return place, bisect_right(self._blocks[place].times, at) - 1

    def _cut(self, at: Instant) -> None:
        """Make a step begin at this moment, as high as the one it falls into."""
        place, step = self._find(at)
        block = self._blocks[place]
        if block.times[step] == at:
            return
        block.times.insert(step + 1, at)
        block.levels.insert(step + 1, block.levels[step])
        if len(block.times) > BLOCK_MAX:
            half = len(block.times) // 2
            behind = _Block(block.times[half:], block.levels[half:], block.offset)
            self._blocks[place : place + 1] = [_Block(block.times[:half], block.levels[:half], block.offset), behind]
            self._firsts.insert(place + 1, behind.times[0])


class _Block:
    """Some steps in a row. What is free in each is its level and the block's offset."""

    __slots__ = ("least", "levels", "most", "offset", "times")

    def __init__(self, times: list[Instant], levels: list[int], offset: int = 0) -> None:
        self.times = times
        self.levels = levels
        self.offset = offset
        self.least = min(levels)
        self.most = max(levels)

    def lower(self, first: int, stop: int, amount: int) -> None:
        """Take so much from these steps."""
        levels = self.levels
        levels[first:stop] = [level - amount for level in levels[first:stop]]
        self.least = min(levels)
        self.most = max(levels)
