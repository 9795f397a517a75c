"""Quota groups at work in a simulation: one line for each group, and nothing but its quotas and classes decides.

Each group has as many GPUs as its quota, for itself. First in line are those for whom room was made, then jobs inside their
project's quota, then jobs that would borrow; among them the higher class, then the project with the least use of its quota, then
the oldest job. Jobs of one project, class and size wait in a row, and only its head is asked about.
"""

import heapq
from bisect import insort
from collections.abc import Iterator, Mapping
from typing import Any, cast

from compute.scheduling.estimates import Name
from compute.scheduling.preemption import Claim, Lending, Terms
from compute.scheduling.quota import Group, Share, Use, Wish
from compute.simulation.engine import Ask, Decision, Leave, Stay

Row = tuple[str, int, int]
"""A project, a rank, a size."""


class QuotaLine:
    """All groups. A project is in one of them."""

    def __init__(self, groups: Mapping[str, Mapping[Any, Share]], terms: Terms) -> None:
        self._groups = {name: _Line(name, Lending(Group(shares), terms)) for name, shares in groups.items()}
        self._group_of = {project: self._groups[name] for name, shares in groups.items() for project in shares}
        self._asks: dict[int, Ask] = {}
        self._touched: dict[str, None] = {}

    def submitted(self, ask: Ask, now: int) -> None:
        self._asks[ask.index] = ask
        insort(self._touch(ask).rows.setdefault(_row(ask), []), (ask.submitted_at, ask.index))

    def ended(self, index: int, now: int) -> None:
        self._touch(self._asks.pop(index)).lending.give_back(index)

    def evicted(self, index: int, now: int) -> None:
        ask = self._asks[index]
        line = self._touch(ask)
        line.lending.give_back(index)
        insort(line.rows[_row(ask)], (ask.submitted_at, index))

    def decide(self, now: int) -> Iterator[Decision]:
        touched, self._touched = self._touched, {}
        for name in touched:
            yield from self._groups[name].decide(self._asks, now)

    def _touch(self, ask: Ask) -> "_Line":
        line = self._group_of[ask.project]
        self._touched[line.name] = None
        return line


class _Line:
    """One group."""

    def __init__(self, name: str, lending: Lending) -> None:
        self.name = name
        self.lending = lending
        self.rows: dict[Row, list[tuple[int, int]]] = {}

    @property
    def free(self) -> dict[Name, int]:
        return {self.name: self.lending.group.quota - self.lending.group.used}

    def decide(self, asks: Mapping[int, Ask], now: int) -> Iterator[Decision]:
        for claim in self.lending.claims:
            if self.lending.obstacle(claim.wish) is None and claim.wish.gpus <= self.free[self.name]:
                yield self._start(asks[cast("int", claim.wish.job)], now)
        yield from self._start_whoever_fits(asks, now)
        for row in sorted((row for row, jobs in self.rows.items() if jobs), key=lambda row: (-row[1], self.rows[row][0])):
            yield from self._ask_back(self._wish(row), now)
        for job in self.lending.spare(now, self.free):
            yield Stay(cast("int", job))

    def _start_whoever_fits(self, asks: Mapping[int, Ask], now: int) -> Iterator[int]:
        """Nothing is given back meanwhile: a row whose head does not fit has none that does."""
        line = [self._place(row) for row, jobs in self.rows.items() if jobs]
        heapq.heapify(line)
        while line and self.lending.group.used < self.lending.group.quota:
            row = line[0][-1]
            place, wish = self._place(row), self._wish(row)
            if place != line[0]:
                heapq.heapreplace(line, place)
            elif self.lending.obstacle(wish) is not None:
                heapq.heappop(line)
            else:
                yield self._start(asks[cast("int", wish.job)], now)
                if self.rows[row]:
                    heapq.heapreplace(line, self._place(row))
                else:
                    heapq.heappop(line)

    def _start(self, ask: Ask, now: int) -> int:
        self.rows[_row(ask)].remove((ask.submitted_at, ask.index))
        self.lending.take(Use(ask.index, ask.project, self.name, ask.gpus, ask.rank, now, now + ask.wall_seconds))
        return ask.index

    def _ask_back(self, wish: Wish, now: int) -> Iterator[Leave]:
        before = self.lending.claim_of(wish.job)
        claim = self.lending.claim(wish, now, self.free)
        if isinstance(claim, Claim) and claim is not before:
            for leave in claim.leaves[len(before.leaves) if before is not None else 0 :]:
                yield Leave(cast("int", leave.job), leave.at)

    def _wish(self, row: Row) -> Wish:
        project, rank, gpus = row
        return Wish(self.rows[row][0][1], project, self.name, gpus, rank)

    def _place(self, row: Row) -> tuple[bool, int, float, tuple[int, int], Row]:
        """Where the head of a row stands in line."""
        (project, rank, gpus), group = row, self.lending.group
        taken, nominal = group.counts.taken.get(project, 0), group.shares[project].nominal
        return (taken + gpus > nominal, -rank, taken / nominal if nominal else float(taken), self.rows[row][0], row)


def _row(ask: Ask) -> Row:
    return (ask.project, ask.rank, ask.gpus)
