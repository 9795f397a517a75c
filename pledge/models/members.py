"""Who pledges, and where its membership stands."""

import enum
from datetime import date
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, Id, ShortText, Utc
from core.errors import IllegalTransition
from core.identity.models import Organisation


class MemberRole(enum.StrEnum):
    """The role in the member file, in the words of the Open Source Pledge."""

    INNOVATOR = "Innovator"
    MEMBER = "Member"
    FORMER_INNOVATOR = "Former Innovator"
    FORMER_MEMBER = "Former Member"


class MemberOrigin(enum.StrEnum):
    """Who keeps this member's figures."""

    HERE = "here"  # the company itself, on its dashboard
    FILE = "file"  # somebody else's register; we imported its member file


class MembershipStatus(enum.StrEnum):
    """Where a membership stands. Dates alone move it from active to lapsed; one report brings it back."""

    APPLIED = "applied"  # the company asked to join; nobody has looked yet
    CHECKED = "checked"  # a programme officer looked; the first report is missing
    ACTIVE = "active"  # the latest report is younger than a year
    DUE_SOON = "due_soon"  # the next report falls due within two months
    OVERDUE = "overdue"  # the due day has passed; one month of grace runs, or a public exception
    LAPSED = "lapsed"  # the grace is over; one report reinstates
    WITHDRAWN = "withdrawn"  # the company left by its own word


NEXT_MEMBERSHIP: dict[MembershipStatus, frozenset[MembershipStatus]] = {
    MembershipStatus.APPLIED: frozenset({MembershipStatus.CHECKED, MembershipStatus.WITHDRAWN}),
    MembershipStatus.CHECKED: frozenset({MembershipStatus.ACTIVE, MembershipStatus.WITHDRAWN}),
    MembershipStatus.ACTIVE: frozenset({MembershipStatus.DUE_SOON, MembershipStatus.WITHDRAWN}),
    MembershipStatus.DUE_SOON: frozenset({MembershipStatus.ACTIVE, MembershipStatus.OVERDUE, MembershipStatus.WITHDRAWN}),
    MembershipStatus.OVERDUE: frozenset({MembershipStatus.ACTIVE, MembershipStatus.LAPSED, MembershipStatus.WITHDRAWN}),
    MembershipStatus.LAPSED: frozenset({MembershipStatus.ACTIVE, MembershipStatus.WITHDRAWN}),
    MembershipStatus.WITHDRAWN: frozenset({MembershipStatus.APPLIED}),
}
assert NEXT_MEMBERSHIP.keys() == set(MembershipStatus)

RENEWING = (MembershipStatus.ACTIVE, MembershipStatus.DUE_SOON, MembershipStatus.OVERDUE, MembershipStatus.LAPSED)
"""The states that dates decide, in the order in which time passes through them."""


class PledgeMember(Base):
    """An organisation's membership of the pledge: what its member file says, and where it stands."""

    __tablename__ = "pledge_member"
    __table_args__ = (
        UniqueConstraint("organisation_id"),
        UniqueConstraint("member_id"),
        CheckConstraint("member_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'", name="member_id"),
        CheckConstraint("status NOT IN ('due_soon', 'overdue', 'lapsed') OR due_on IS NOT NULL", name="due_when_renewing"),
    )

    id: Mapped[Id]
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    member_id: Mapped[ShortText]
    """The `id` of the member file: public and stable."""
    role: Mapped[MemberRole] = mapped_column(default=MemberRole.MEMBER)
    origin: Mapped[MemberOrigin]
    status: Mapped[MembershipStatus]
    status_since: Mapped[date]
    status_reason: Mapped[str | None]
    """Why it stands there, where a person decided it. Public."""
    listed: Mapped[bool] = mapped_column(default=False)
    """What the member file says under `active`: the population of every “active members” total."""
    joined_on: Mapped[date]
    due_on: Mapped[date | None]
    """The day the next report is due: the latest report's date and the rule's months."""
    figures_on: Mapped[date | None]
    """For imported figures: the day they describe. Dates after it say nothing about this member."""
    description: Mapped[str] = mapped_column(default="")
    short_description: Mapped[str] = mapped_column(default="")
    url: Mapped[str | None]
    """Where the company itself writes about its pledge."""
    jobs_url: Mapped[str | None]
    blog_profile_slug: Mapped[str | None]
    document: Mapped[str | None]
    """The member file as it was read (JSON, key order and numbers as written), so that an export keeps what we don't know."""
    created_at: Mapped[Utc]

    organisation: Mapped[Organisation] = relationship(lazy="joined")
    exceptions: Mapped[list["MembershipException"]] = relationship(
        back_populates="member", order_by="MembershipException.granted_at", lazy="selectin"
    )

    @property
    def name(self) -> str:
        return self.organisation.name

    @property
    def slug(self) -> str:
        return self.organisation.slug

    @property
    def is_judged(self) -> bool:
        """Does time pass for it? Imported figures that describe a day are not judged by later ones."""
        return self.figures_on is None

    @property
    def is_fictional(self) -> bool:
        """Made up for the demo, rather than imported from a public register."""
        return self.organisation.is_demo and self.origin is MemberOrigin.HERE

    def advance(self, to: MembershipStatus, *, since: date, reason: str | None = None) -> None:
        """Take one legal step."""
        if to not in NEXT_MEMBERSHIP[self.status]:
            raise IllegalTransition("This membership", self.status, to)
        self.status, self.status_since, self.status_reason = to, since, reason


class MembershipException(Base):
    """More time than the rule gives. Its reason is public, so it can't be empty."""

    __tablename__ = "pledge_exception"
    __table_args__ = (CheckConstraint("length(trim(reason)) > 0", name="reason"),)

    id: Mapped[Id]
    member_id: Mapped[UUID] = mapped_column(ForeignKey("pledge_member.id"), index=True)
    due_on: Mapped[date]
    """The due day this exception is about; a later report ends it."""
    until_on: Mapped[date]
    """The last day before the membership lapses."""
    reason: Mapped[str]
    granted_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    granted_at: Mapped[Utc]

    member: Mapped[PledgeMember] = relationship(back_populates="exceptions")


class Reminder(Base):
    """A notice about a due day: once per day of the rule, shown on the company's dashboard until it is set aside."""

    __tablename__ = "pledge_reminder"
    __table_args__ = (
        UniqueConstraint("member_id", "due_on", "offset_days"),
        Index("ix_pledge_reminder_open", "member_id", postgresql_where="dismissed_at IS NULL"),
    )

    id: Mapped[Id]
    member_id: Mapped[UUID] = mapped_column(ForeignKey("pledge_member.id"))
    due_on: Mapped[date]
    offset_days: Mapped[int]
    text: Mapped[str]
    created_at: Mapped[Utc]
    dismissed_at: Mapped[Utc | None]
    dismissed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))

    member: Mapped[PledgeMember] = relationship()
