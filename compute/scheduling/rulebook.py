"""All that can refuse a kind: lanes with their windows, grants, offers, limits. A book is opened when somebody first names it."""

from collections import deque
from collections.abc import Iterable, Mapping

from compute.scheduling.events import (
    Choice,
    Event,
    GrantSet,
    GroupSet,
    Kind,
    LaneSet,
    OfferSet,
    ProjectSet,
    SubmitterSet,
    WindowGone,
    WindowSet,
)
from compute.scheduling.lanes import Lane
from compute.scheduling.line import Place
from compute.scheduling.model import Instant, Name, PoolState, Reason
from compute.scheduling.parking import Book, Moments
from compute.scheduling.quotas.groups import GroupBook, Member
from compute.scheduling.quotas.quota import Use
from compute.scheduling.rules.grants import GrantBook
from compute.scheduling.rules.limits import LimitBook
from compute.scheduling.rules.offers import Offers, Purse


class Rulebook:
    """The books by name, and who may leave their shelves."""

    def __init__(self, lanes: Mapping[Name, int]) -> None:
        self.woken: deque[Place] = deque()  # parked until something changed; they come back in line at the next moment
        self.moments = Moments()
        self.lanes = {name: Lane(LaneSet(name, gpus), self.woken, self.moments) for name, gpus in lanes.items()}
        self.promises_bind = False  # something may have to be kept for who is promised a start, beside GPUs
        self._grants: dict[Name, GrantBook] = {}
        self._offers: dict[Name, Offers] = {}
        self._of_projects: dict[Name, LimitBook] = {}
        self._of_submitters: dict[Name, LimitBook] = {}
        self.groups: dict[Name, GroupBook] = {}
        self._members: dict[tuple[Name, Name], Member] = {}  # by project and lane
        self.spared: list[Name] = []  # who need not leave, because the figures of their group changed

    def set(self, event: Event, now: Instant) -> None:
        """A new figure."""
        match event:
            case GrantSet():
                self._grant(event.grant).set(event, now)
            case OfferSet():
                self._offers_of(event.lane).set(event, now)
            case ProjectSet():
                self.promises_bind = True
                self._limit_of_project(event.project).set(event.limit)
            case SubmitterSet():
                self.promises_bind = True
                self._limit_of_submitter(event.submitter).set(event.limit)
            case LaneSet():
                self.lane(event.lane).set(event, now)
                self._share_hosts()
            case WindowSet():
                self.lane(event.lane).open_window(event, now)
            case WindowGone():
                self.lane(event.lane).close_window(event.window)
        for lane in self.lanes.values():
            lane.changed = True

    def says(self, event: Event) -> bool:
        """Whether the books have the figure of an event: those that count on by themselves; others have what they were told."""
        match event:
            case GrantSet():
                return self._grant(event.grant).says(event)
            case OfferSet():
                return self._offers_of(event.lane).says(event)
        return True

    def books(self, kind: Kind, choice: Choice) -> tuple[Book, ...]:
        """What may refuse a kind in a lane beside the lane itself, in the order of the reasons."""
        books: list[Book] = [self._grant(kind.grant)] if kind.grant is not None else []
        purse = self.purse(kind, choice)
        books += [purse] if purse is not None else []
        self.promises_bind = self.promises_bind or bool(books)
        books.append(self._limit_of_project(kind.project))
        books += [self._limit_of_submitter(kind.submitter)] if kind.submitter is not None else []
        books.append(self.member(kind.project, choice.lane))
        return tuple(books)

    def member(self, project: Name, lane: Name) -> Member:
        """A project in a lane, in a quota group or not."""
        if (project, lane) not in self._members:
            member = self._members[project, lane] = Member(self.lane(lane))
            member.group = self._group_of(lane)
        return self._members[project, lane]

    def _group_of(self, lane: Name) -> GroupBook | None:
        return next((group for group in self.groups.values() if lane in group.lanes), None)

    def set_group(self, event: GroupSet, uses: Iterable[Use]) -> None:
        """Other figures of a quota group, and what runs in its lanes."""
        self.promises_bind = True
        if event.group not in self.groups:
            self.groups[event.group] = GroupBook(event.group, self.woken)
        self.spared += self.groups[event.group].set(event, uses)
        for (_, lane), member in self._members.items():
            member.group = self._group_of(lane)

    def purse(self, kind: Kind, choice: Choice) -> Purse | None:
        """The offers that it may draw on in a lane, if it is metered by offers."""
        return self._offers_of(choice.lane).purse(kind.offers) if kind.offers is not None else None

    def lane(self, name: Name) -> Lane:
        """A lane nobody told of is closed."""
        if name not in self.lanes:
            self.lanes[name] = Lane(LaneSet(name, 0, PoolState.CLOSED), self.woken, self.moments)
        return self.lanes[name]

    def _share_hosts(self) -> None:
        """A reservation has the hosts of the lane that it is within."""
        for lane in list(self.lanes.values()):
            if lane.facts.within is not None:
                lane.on(self.lane(lane.facts.within).hosts)

    def expect(self, gpus: int, jobs: int) -> None:
        """So many jobs of this size came before: hosts are chosen with an eye to more of them."""
        for lane in self.lanes.values():
            if lane.hosts is not None and lane.facts.within is None:
                lane.hosts.expect(gpus, jobs)

    def gpus(self) -> int:
        """All there are, in use or not; those of a reservation are its lane's."""
        return sum(lane.facts.gpus for lane in self.lanes.values() if lane.facts.within is None)

    def open_lanes(self, now: Instant) -> list[Lane]:
        """Those that take new jobs."""
        return [lane for lane in self.lanes.values() if lane.is_open(now)]

    def forget_promises(self, places: Iterable[Place]) -> None:
        """Promises are made anew: what was kept for these kinds is there for everybody."""
        for place in places:
            for book in place.books:
                book.keep_nothing()
        for lane in self.lanes.values():
            lane.forget()

    def _grant(self, name: Name) -> GrantBook:
        if name not in self._grants:
            self._grants[name] = GrantBook(self.woken, self.moments)
        return self._grants[name]

    def _offers_of(self, name: Name) -> Offers:
        known = self.lanes.get(name)
        lane = name if known is None or known.facts.within is None else known.facts.within
        if lane not in self._offers:
            self._offers[lane] = Offers(self.woken, self.moments)
        return self._offers[lane]

    def _limit_of_project(self, name: Name) -> LimitBook:
        if name not in self._of_projects:
            self._of_projects[name] = LimitBook(Reason.PROJECT_LIMIT, self.woken)
        return self._of_projects[name]

    def _limit_of_submitter(self, name: Name) -> LimitBook:
        if name not in self._of_submitters:
            self._of_submitters[name] = LimitBook(Reason.SUBMITTER_LIMIT, self.woken)
        return self._of_submitters[name]
