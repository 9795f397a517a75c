"""Who there is: people, organisations with dated memberships, projects, and how people and programs sign in."""

import enum
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import Text

from core.db import Base, Id, ShortText, Utc


class Person(Base):
    """Somebody who signs in, reviews, decides or is paid. E-mail addresses are kept in lower case."""

    __tablename__ = "person"
    __table_args__ = (CheckConstraint("email = lower(email)", name="email_lower_case"),)

    id: Mapped[Id]
    email: Mapped[ShortText] = mapped_column(unique=True)
    name: Mapped[ShortText]
    password_hash: Mapped[str | None]
    """argon2id; none for people who never sign in with a password."""
    totp_secret: Mapped[str | None]
    """Sealed with the installation's key; set once the first code was confirmed."""
    totp_last_step: Mapped[int | None]
    """The newest 30 s step a code was accepted for: a code works once."""
    is_admin: Mapped[bool] = mapped_column(default=False)
    """Runs the installation: users, programmes, switches. It replaces no second person anywhere."""
    created_at: Mapped[Utc]
    disabled_at: Mapped[datetime | None]


class OrganisationRole(enum.StrEnum):
    """What an organisation does here. One can have several at once."""

    COMPANY = "company"
    FOUNDATION = "foundation"
    FISCAL_HOST = "fiscal_host"
    INVESTOR = "investor"
    COMPUTE_DONOR = "compute_donor"


class Organisation(Base):
    """A legal or informal body. What it does is in its dated roles, not in a type."""

    __tablename__ = "organisation"
    __table_args__ = (CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),)

    id: Mapped[Id]
    slug: Mapped[ShortText] = mapped_column(unique=True)
    name: Mapped[ShortText]
    url: Mapped[str | None]
    country: Mapped[str | None]
    """ISO 3166-1 alpha-2."""
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Utc]

    roles: Mapped[list["OrganisationRoleRow"]] = relationship(back_populates="organisation", lazy="selectin")
    memberships: Mapped[list["Membership"]] = relationship(back_populates="organisation")


class OrganisationRoleRow(Base):
    """From when to when an organisation plays a role."""

    __tablename__ = "organisation_role"
    __table_args__ = (
        CheckConstraint("until_on IS NULL OR until_on > from_on", name="dates_in_order"),
        Index("uq_organisation_role_current", "organisation_id", "role", unique=True, postgresql_where="until_on IS NULL"),
    )

    id: Mapped[Id]
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    role: Mapped[OrganisationRole]
    from_on: Mapped[date]
    until_on: Mapped[date | None]

    organisation: Mapped[Organisation] = relationship(back_populates="roles")


class Role(enum.StrEnum):
    """What a person may do for an organisation (or, with no organisation, for the platform itself)."""

    OWNER = "owner"  # manages the organisation's people and everything below
    PLEDGE_EDITOR = "pledge_editor"  # enters developers and payments, publishes reports
    PROGRAMME_OFFICER = "programme_officer"  # screens applications, prepares decisions
    REVIEWER = "reviewer"  # reviews and votes
    FINANCE = "finance"  # records money received, prepares payout runs
    PAYOUT_APPROVER = "payout_approver"  # the second person of a payout run
    COMPUTE_DONOR = "compute_donor"  # manages offers, reads statements
    COMPUTE_SUBMITTER = "compute_submitter"  # submits jobs of a project
    MAINTAINER = "maintainer"  # applies for grants, accepts them, reports
    AUDITOR = "auditor"  # reads everything, changes nothing


class Membership(Base):
    """A person's role in an organisation or project, with dates; a row with neither is a role on the platform."""

    __tablename__ = "membership"
    __table_args__ = (
        CheckConstraint("until_on IS NULL OR until_on >= from_on", name="dates_in_order"),
        CheckConstraint("num_nonnulls(organisation_id, project_id) <= 1", name="one_scope"),
        Index(
            "uq_membership_current",
            "person_id",
            "role",
            "organisation_id",
            "project_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where="until_on IS NULL",
        ),
    )

    id: Mapped[Id]
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"), index=True)
    role: Mapped[Role]
    from_on: Mapped[date]
    until_on: Mapped[date | None]

    person: Mapped[Person] = relationship()
    organisation: Mapped[Organisation | None] = relationship(back_populates="memberships")
    project: Mapped["Project | None"] = relationship(back_populates="memberships")


class Project(Base):
    """An open-source project. Who is paid for it, and with which share, is dated and kept by grants."""

    __tablename__ = "project"
    __table_args__ = (CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),)

    id: Mapped[Id]
    slug: Mapped[ShortText] = mapped_column(unique=True)
    name: Mapped[ShortText]
    summary: Mapped[str | None]
    url: Mapped[str | None]
    repository_url: Mapped[str | None]
    licences: Mapped[list[str]] = mapped_column(ARRAY(Text()), default=list)
    """SPDX identifiers where known."""
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisation.id"))
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Utc]

    memberships: Mapped[list[Membership]] = relationship(back_populates="project")


class SignInSession(Base):
    """A signed-in browser. The cookie holds the token; here is only its SHA-256. People see and revoke these."""

    __tablename__ = "sign_in_session"

    id: Mapped[Id]
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[Utc]
    seen_at: Mapped[Utc]
    expires_at: Mapped[Utc]
    second_factor_at: Mapped[datetime | None]
    """When the person last proved to be there (a code, or in development its password); approving payouts wants it fresh."""
    revoked_at: Mapped[datetime | None]
    user_agent: Mapped[ShortText]
    address: Mapped[ShortText]

    person: Mapped[Person] = relationship(lazy="joined")


class ApiToken(Base):
    """A program's key: shown once, kept as SHA-256, limited to scopes, optionally to one project, with an end."""

    __tablename__ = "api_token"

    id: Mapped[Id]
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    name: Mapped[ShortText]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    hint: Mapped[str]
    """The last four characters, so that people can tell their tokens apart."""
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    created_at: Mapped[Utc]
    expires_at: Mapped[Utc]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    person: Mapped[Person] = relationship(lazy="joined")
    project: Mapped[Project | None] = relationship(lazy="joined")


class RecoveryCode(Base):
    """A spare second factor for the day the phone is lost. Works once; kept as SHA-256 of a random code."""

    __tablename__ = "recovery_code"
    __table_args__ = (UniqueConstraint("person_id", "code_hash"),)

    id: Mapped[Id]
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    code_hash: Mapped[bytes]
    created_at: Mapped[Utc]
    used_at: Mapped[datetime | None]


class RateCount(Base):
    """How often something happened in a window of time: sign-in attempts, API requests. Shared by all web processes.

    UNLOGGED: a counter is not worth the disk's time, and after a crash of the server an empty one is right.
    """

    __tablename__ = "rate_count"
    __table_args__ = (CheckConstraint("count > 0", name="positive"), {"prefixes": ["UNLOGGED"]})

    key: Mapped[ShortText] = mapped_column(primary_key=True)
    window_from: Mapped[Utc]
    window_until: Mapped[Utc] = mapped_column(index=True)
    count: Mapped[int]


class IdempotentAnswer(Base):
    """What the API answered to a POST with an Idempotency-Key, so that a repeat gets the same answer and no second deed."""

    __tablename__ = "idempotent_answer"
    __table_args__ = (UniqueConstraint("person_id", "route", "key"),)

    id: Mapped[Id]
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    route: Mapped[ShortText]
    """Method and path."""
    key: Mapped[ShortText]
    request_hash: Mapped[bytes]
    status: Mapped[int]
    body: Mapped[bytes]
    media_type: Mapped[ShortText]
    location: Mapped[str | None]
    created_at: Mapped[Utc] = mapped_column(index=True)
