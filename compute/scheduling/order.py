"""The order of turns in a lane for one number of GPUs: a heap in which each bucket knows its place, so that it can be moved.

A score that changed a little moves a bucket past few others, mostly none (Williams, Heapsort, CACM 1964, with places kept).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compute.scheduling.line import Bucket

NOWHERE = -1


class Order:
    """Whoever goes before all others is first."""

    def __init__(self) -> None:
        self.buckets: list[Bucket] = []

    def put(self, bucket: "Bucket") -> None:
        """It belongs where its score says, whether or not it was there before."""
        if bucket.at == NOWHERE:
            bucket.at = len(self.buckets)
            self.buckets.append(bucket)
        self._forward(bucket)
        self._back(bucket)

    def leave(self, bucket: "Bucket") -> None:
        """It stands in line no more, if it did."""
        if bucket.at != NOWHERE:
            last = self.buckets.pop()
            if last is not bucket:
                last.at = bucket.at
                self.buckets[last.at] = last
                self._forward(last)
                self._back(last)
            bucket.at = NOWHERE

    def _forward(self, bucket: "Bucket") -> None:
        buckets, at = self.buckets, bucket.at
        while at:
            ahead = buckets[(at - 1) >> 1]
            if not bucket.goes_before(ahead):
                break
            buckets[at], at, ahead.at = ahead, ahead.at, at
        buckets[at], bucket.at = bucket, at

    def _back(self, bucket: "Bucket") -> None:
        buckets, at = self.buckets, bucket.at
        behind = 2 * at + 1
        while behind < len(buckets):
            first = buckets[behind]
            if behind + 1 < len(buckets) and buckets[behind + 1].goes_before(first):
                first = buckets[behind + 1]
            if not first.goes_before(bucket):
                break
            buckets[at], at, first.at = first, first.at, at
            behind = 2 * at + 1
        buckets[at], bucket.at = bucket, at
