"""Who is paid, and where the money goes."""

import enum
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, JsonObject, ShortText, Utc
from core.identity.models import Person


class RecipientKind(enum.StrEnum):
    """What a recipient is. A fiscal host takes money for others, less its fee."""

    PERSON = "person"
    ORGANISATION = "organisation"
    FISCAL_HOST = "fiscal_host"


class Recipient(Base):
    """Somebody money is paid to: a maintainer, a company, a fiscal host. It need not have an account here."""

    __tablename__ = "recipient"
    __table_args__ = (
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
        CheckConstraint("num_nonnulls(person_id, organisation_id) <= 1", name="one_identity"),
        CheckConstraint("(held_reason IS NULL) = (held_at IS NULL)", name="held"),
        Index("ix_recipient_name", "name", "id"),
    )

    id: Mapped[Id]
    name: Mapped[ShortText]
    """As the bank knows it."""
    kind: Mapped[RecipientKind]
    country: Mapped[str]
    """ISO 3166-1 alpha-2."""
    email: Mapped[str | None]
    """Where a notice of changed payment details goes."""
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"), index=True)
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    preferred_rail: Mapped[str | None]
    """By which rail it wants to be paid if that is possible; without one the platform chooses."""
    preferred_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    """Who said so last, also that it is left to the platform; who steers a payee's money does not approve it."""
    held_reason: Mapped[str | None]
    """Why nothing is paid to it at all until an approver lifts this."""
    held_at: Mapped[datetime | None]
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Utc]

    destinations: Mapped[list["Destination"]] = relationship(back_populates="recipient", order_by="Destination.created_at.desc()")


class Destination(Base):
    """Where a recipient's money of one currency goes on one rail. Never edited: a change retires the row and adds another.

    A trigger refuses every UPDATE but the one that retires it, so what an approver saw is what is sent.
    """

    __tablename__ = "destination"
    __table_args__ = (
        Index("uq_destination_current", "recipient_id", "currency", "rail", unique=True, postgresql_where="retired_at IS NULL"),
        CheckConstraint("usable_from >= created_at", name="usable_after_creation"),
        # The target of the look's composite key: a look carries the person it must differ from.
        UniqueConstraint("id", "created_by_id"),
    )

    id: Mapped[Id]
    recipient_id: Mapped[UUID] = mapped_column(ForeignKey("recipient.id"))
    rail: Mapped[ShortText]
    currency: Mapped[CurrencyCode]
    details: Mapped[JsonObject]
    """What the rail needs, in the rail's own words (an account id, an IBAN); checked by the rail when entered."""
    label: Mapped[ShortText]
    """How people see it: masked."""
    fingerprint: Mapped[ShortText]
    """SHA-256 of rail, currency and details: what an approval binds to."""
    created_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[Utc]
    usable_from: Mapped[Utc]
    """A changed destination cools off before money goes there, so that a hijacked account can be noticed."""
    replaces_id: Mapped[UUID | None] = mapped_column(ForeignKey("destination.id"))
    retired_at: Mapped[datetime | None]

    recipient: Mapped[Recipient] = relationship(back_populates="destinations")
    created_by: Mapped[Person] = relationship()
    look: Mapped["DestinationLook | None"] = relationship(back_populates="destination")


class DestinationLook(Base):
    """A second person compared a destination with what the recipient said by another way. Without it nothing is paid there."""

    __tablename__ = "destination_look"
    __table_args__ = (
        ForeignKeyConstraint(
            ["destination_id", "created_by_id"],
            ["destination.id", "destination.created_by_id"],
            name="fk_destination_look_destination",
        ),
        CheckConstraint("looked_by_id <> created_by_id", name="four_eyes"),
    )

    id: Mapped[Id]
    destination_id: Mapped[UUID] = mapped_column(unique=True)
    created_by_id: Mapped[UUID]
    """Who entered the destination."""
    looked_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    looked_at: Mapped[Utc]
    note: Mapped[str]
    """How it was compared, such as a call to the number known before."""

    destination: Mapped[Destination] = relationship(back_populates="look")
    looked_by: Mapped[Person] = relationship(foreign_keys=[looked_by_id])


class Standing(Base):
    """What a rail said, the last time it was asked, of the payee's account behind a destination."""

    __tablename__ = "destination_standing"

    id: Mapped[Id]
    destination_id: Mapped[UUID] = mapped_column(ForeignKey("destination.id"), unique=True)
    problem: Mapped[str | None]
    """Why it can't be paid yet, in words; None if it can."""
    asked_at: Mapped[Utc]


class PayeeDocument(Base):
    """That a document of a payee is on file, and since when. It is kept elsewhere, with what is secret in it."""

    __tablename__ = "payee_document"
    __table_args__ = (
        CheckConstraint("valid_until IS NULL OR valid_until >= signed_on", name="dates_in_order"),
        CheckConstraint("num_nulls(ended_at, ended_by_id, ended_reason) IN (0, 3)", name="ended"),
    )

    id: Mapped[Id]
    recipient_id: Mapped[UUID] = mapped_column(ForeignKey("recipient.id"), index=True)
    document: Mapped[ShortText]
    """Its name in the tax rules, such as W-9."""
    signed_on: Mapped[date]
    valid_until: Mapped[date | None]
    """The last day it is good for, by the rule in force when it was signed."""
    kept_at: Mapped[ShortText]
    """Where the document is."""
    recorded_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    recorded_at: Mapped[Utc]
    ended_at: Mapped[datetime | None]
    """It counts no more: it was entered by mistake, or is not true any longer."""
    ended_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    ended_reason: Mapped[str | None]

    recipient: Mapped[Recipient] = relationship()
    recorded_by: Mapped[Person] = relationship(foreign_keys=[recorded_by_id])
    ended_by: Mapped[Person | None] = relationship(foreign_keys=[ended_by_id])


class Notice(Base):
    """Something the recipient must be told at its known address, who told it, and what it said.

    The recipient sees it when it signs in. Where the installation names a mail server it is mailed, else people tell the
    recipient, or a mailer of the installation's own takes the notices (`pledgeworks payouts notices`).
    """

    __tablename__ = "payout_notice"
    __table_args__ = (
        CheckConstraint("(told_by_id IS NULL) = (told_at IS NULL)", name="told"),
        CheckConstraint("(answered_by_id IS NULL) = (answered_at IS NULL)", name="answered"),
        CheckConstraint("NOT denied OR answered_at IS NOT NULL", name="denied"),
    )

    id: Mapped[Id]
    recipient_id: Mapped[UUID] = mapped_column(ForeignKey("recipient.id"), index=True)
    address: Mapped[ShortText]
    """The e-mail address known before the change."""
    message: Mapped[str]
    created_at: Mapped[Utc]
    told_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    told_at: Mapped[datetime | None]
    destination_id: Mapped[UUID | None] = mapped_column(ForeignKey("destination.id"))
    """The destination it is about."""
    exported_at: Mapped[datetime | None]
    """When a mail server took it, or a mailer of the installation's own."""
    answered_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    answered_at: Mapped[datetime | None]
    """When the payee answered it, signed in."""
    denied: Mapped[bool] = mapped_column(default=False, server_default="false")
    """The payee said that it was not the one who changed anything."""

    recipient: Mapped[Recipient] = relationship()
    destination: Mapped[Destination | None] = relationship()
    told_by: Mapped[Person | None] = relationship(foreign_keys=[told_by_id])
    answered_by: Mapped[Person | None] = relationship(foreign_keys=[answered_by_id])
