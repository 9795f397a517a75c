"""What donors give: kinds of accelerators, what they are worth in reference GPU-hours, pools, and offers with an end."""

import enum
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import Text

from core.db import Base, Id, JsonObject, ShortText, Utc
from core.errors import IllegalTransition
from core.identity.models import Organisation, Person


class Flavor(Base):
    """A kind of accelerator as it is scheduled: a whole GPU, or an equal slice of one. Which kinds exist is data."""

    __tablename__ = "flavor"
    __table_args__ = (
        # Twenty characters: `GPU.<FLAVOR>` is a commodity of the exports, and beancount takes names up to 24.
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 20 AND slug <> 'ref'", name="slug"),
        CheckConstraint("slices_per_gpu BETWEEN 1 AND 8", name="slices"),
    )

    id: Mapped[Id]
    slug: Mapped[ShortText] = mapped_column(unique=True)
    name: Mapped[ShortText]
    vendor: Mapped[ShortText]
    slices_per_gpu: Mapped[int] = mapped_column(default=1)
    """How many schedulable devices one GPU is cut into: 7 for an H200 in 1g.18gb slices."""
    memory_gb: Mapped[int | None]
    """Memory of one schedulable device."""
    created_at: Mapped[Utc]

    @property
    def slice(self) -> Fraction:
        """The part of a whole GPU that one schedulable device is."""
        return Fraction(1, self.slices_per_gpu)


class ExchangeRate(Base):
    """From a moment on, one GPU-hour of a flavor is worth this many reference GPU-hours. Rows are only added."""

    __tablename__ = "exchange_rate"
    __table_args__ = (
        CheckConstraint("numerator > 0 AND denominator > 0", name="positive"),
        Index("uq_exchange_rate_flavor_valid_from", "flavor_id", "valid_from", unique=True),
    )

    id: Mapped[Id]
    flavor_id: Mapped[UUID] = mapped_column(ForeignKey("flavor.id"))
    numerator: Mapped[int]
    denominator: Mapped[int]
    valid_from: Mapped[Utc]
    author_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    source: Mapped[str]
    """Where the figure comes from, for whoever doubts it."""
    created_at: Mapped[Utc]

    flavor: Mapped[Flavor] = relationship(lazy="joined")
    author: Mapped[Person | None] = relationship()

    @property
    def rate(self) -> Fraction:
        return Fraction(self.numerator, self.denominator)


class PoolStatus(enum.StrEnum):
    """Whether a pool takes work."""

    OPEN = "open"  # jobs start here
    DRAINING = "draining"  # what runs may finish, nothing new starts
    CLOSED = "closed"  # gone


class IdleRule(enum.StrEnum):
    """What happens to a job that holds a pool's devices and does nothing."""

    TELL = "tell"  # its submitter and the desk are told; nothing is stopped
    STOP = "stop"  # told, and stopped; what it used is charged


class Trust(enum.StrEnum):
    """Whose code a pool runs."""

    OPEN = "open"  # anybody's whom a project lets submit, pull requests included
    REVIEWED = "reviewed"  # what a maintainer submits, and what is on a reviewed branch of the project's own repository


REVIEWED_REFS = ("refs/heads/main", "refs/heads/master")
"""What a pool takes for reviewed unless somebody says otherwise."""


class Pool(Base):
    """Hardware of one flavor behind one executor."""

    __tablename__ = "pool"
    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),
        CheckConstraint("idle_minutes BETWEEN 5 AND 1440", name="idle_minutes"),
        CheckConstraint("devices > 0 AND wall_seconds_max > 0 AND memory_bytes_max > 0", name="sizes"),
    )

    id: Mapped[Id]
    slug: Mapped[ShortText] = mapped_column(unique=True)
    name: Mapped[ShortText]
    flavor_id: Mapped[UUID] = mapped_column(ForeignKey("flavor.id"))
    executor: Mapped[ShortText]
    """The name of the adapter that starts work here."""
    endpoint: Mapped[str]
    """Where that adapter finds the hardware; empty for this machine."""
    region: Mapped[ShortText]
    devices: Mapped[int]
    """Schedulable devices of all hosts that take new work: GPUs, or slices where the flavor is cut."""
    runs: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    """Source kinds the executor can start: command, repository, image."""
    wall_seconds_max: Mapped[int] = mapped_column(default=24 * 3600)
    memory_bytes_max: Mapped[int] = mapped_column(default=64 * 2**30)
    status: Mapped[PoolStatus] = mapped_column(default=PoolStatus.OPEN)
    idle_minutes: Mapped[int] = mapped_column(Integer(), default=15, server_default="15")
    """After how many minutes without a sign of work a job counts as idle holding."""
    idle_rule: Mapped[IdleRule] = mapped_column(default=IdleRule.TELL, server_default=IdleRule.TELL)
    trust: Mapped[Trust] = mapped_column(default=Trust.OPEN, server_default=Trust.OPEN)
    reviewed_refs: Mapped[list[str]] = mapped_column(
        ARRAY(Text()), default=lambda: list(REVIEWED_REFS), server_default="{" + ",".join(REVIEWED_REFS) + "}"
    )
    """Patterns of branches and tags whose code counts as reviewed here."""
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Utc]

    flavor: Mapped[Flavor] = relationship(lazy="joined")


class OfferKind(enum.StrEnum):
    """The form in which a donor gives."""

    CREDITS = "credits"  # cloud credits with an expiry
    CAPACITY = "capacity"  # reserved machines for a window
    MACHINE = "machine"  # hours on the donor's own machines


class OfferStatus(enum.StrEnum):
    """The life of an offer."""

    PROPOSED = "proposed"  # entered by the donor, nothing drawn yet
    ACCEPTED = "accepted"  # tied to a pool; its window has not opened
    ACTIVE = "active"  # its hours are in the ledger and can be drawn
    DRAINING = "draining"  # being taken back: nothing new is drawn, running work has until the window's end
    EXPIRED = "expired"  # the window closed; nothing is drawn any more
    WITHDRAWN = "withdrawn"  # taken back by the donor before it opened
    DECLINED = "declined"  # not accepted
    CLOSED = "closed"  # the unused rest is written off, the statement is final


OFFER_NEXT: dict[OfferStatus, frozenset[OfferStatus]] = {
    OfferStatus.PROPOSED: frozenset({OfferStatus.ACCEPTED, OfferStatus.DECLINED, OfferStatus.WITHDRAWN}),
    OfferStatus.ACCEPTED: frozenset({OfferStatus.ACTIVE, OfferStatus.WITHDRAWN, OfferStatus.EXPIRED}),
    OfferStatus.ACTIVE: frozenset({OfferStatus.DRAINING, OfferStatus.EXPIRED}),
    OfferStatus.DRAINING: frozenset({OfferStatus.EXPIRED}),
    OfferStatus.EXPIRED: frozenset({OfferStatus.CLOSED}),
    OfferStatus.WITHDRAWN: frozenset(),
    OfferStatus.DECLINED: frozenset(),
    OfferStatus.CLOSED: frozenset(),
}
assert OFFER_NEXT.keys() == set(OfferStatus)


class ComputeOffer(Base):
    """GPU time a donor gives: how much, of what, from when to when, and for whom."""

    __tablename__ = "compute_offer"
    __table_args__ = (
        CheckConstraint("devices > 0", name="devices"),
        CheckConstraint("given_ticks > 0", name="given"),
        CheckConstraint("closes_at > opens_at AND closes_at <= declared_closes_at", name="window"),
        CheckConstraint("status NOT IN ('accepted', 'active', 'draining') OR pool_id IS NOT NULL", name="pool_when_accepted"),
        Index("ix_compute_offer_drawable", "pool_id", "closes_at", postgresql_where="status = 'active'"),
    )

    id: Mapped[Id]
    donor_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), index=True)
    name: Mapped[ShortText]
    kind: Mapped[OfferKind]
    flavor_id: Mapped[UUID] = mapped_column(ForeignKey("flavor.id"))
    pool_id: Mapped[UUID | None] = mapped_column(ForeignKey("pool.id"))
    devices: Mapped[int]
    """How many GPUs or slices stand behind it, as the donor declares."""
    given_ticks: Mapped[int]
    """The whole gift in flavor ticks."""
    region: Mapped[ShortText]
    opens_at: Mapped[Utc]
    closes_at: Mapped[Utc]
    """Work drawn on this offer must end before this moment."""
    declared_closes_at: Mapped[Utc]
    """When the window was to close at first; later than `closes_at` if the donor took the offer back early."""
    policy: Mapped[JsonObject] = mapped_column(default=dict)
    """compute.policies.OfferPolicy as JSON: for which projects, hosts, kinds and refs."""
    source: Mapped[str | None]
    """Where the gift is documented in public."""
    price_note: Mapped[str | None]
    """What the donor says an hour lists for, with its date. A note: it counts towards nothing."""
    status: Mapped[OfferStatus] = mapped_column(default=OfferStatus.PROPOSED)
    status_at: Mapped[Utc]
    proposed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    decided_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    closed_at: Mapped[datetime | None]
    remind_days: Mapped[list[int]] = mapped_column(ARRAY(Integer()), default=lambda: [30, 14, 7])
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Utc]

    donor: Mapped[Organisation] = relationship(lazy="joined")
    flavor: Mapped[Flavor] = relationship(lazy="joined")
    pool: Mapped[Pool | None] = relationship(lazy="joined")

    @property
    def ledger_account(self) -> str:
        return f"assets:gpu:offer:{self.id}"

    def advance(self, to: OfferStatus, at: datetime) -> None:
        if to not in OFFER_NEXT[self.status]:
            raise IllegalTransition("This offer", self.status, to)
        self.status, self.status_at = to, at
