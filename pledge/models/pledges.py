"""A company's promise for a period, what it paid towards it, and what it published about it."""

import enum
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, MinorUnits, ShortText, Utc
from core.files import StoredFile
from core.money import Money
from pledge.models.members import PledgeMember

Developers = Numeric(15, 6)
"""Full-time equivalents: an average, so parts of a person occur."""


class Pledge(Base):
    """One period of one member: how many developers, and the minimum that was in force when the period ended."""

    __tablename__ = "pledge"
    __table_args__ = (
        UniqueConstraint("member_id", "label"),
        CheckConstraint("ends_on >= starts_on", name="dates_in_order"),
        CheckConstraint("developers >= 0", name="developers"),
    )

    id: Mapped[Id]
    member_id: Mapped[UUID] = mapped_column(ForeignKey("pledge_member.id"))
    label: Mapped[ShortText]
    """What the member calls the period: mostly a year. It is text in the member file and stays text."""
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    developers: Mapped[Decimal] = mapped_column(Developers)
    minimum_id: Mapped[UUID] = mapped_column(ForeignKey("pledge_minimum.id"))
    currency: Mapped[CurrencyCode]
    minimum_minor: Mapped[MinorUnits]
    """Per developer: a copy of the minimum's amount, so that a published year never changes its measure."""
    rules_version: Mapped[ShortText]
    created_at: Mapped[Utc]

    member: Mapped[PledgeMember] = relationship(lazy="joined")

    @property
    def minimum(self) -> Money:
        return Money(self.minimum_minor, self.currency)

    def counted(self, payment: "PledgePayment") -> Money:
        """What a payment adds, in this pledge's currency."""
        return Money(payment.counted_minor, self.currency)


class PaymentChannel(enum.StrEnum):
    """The way the money took."""

    DIRECT = "direct"
    GITHUB_SPONSORS = "github_sponsors"
    OPEN_COLLECTIVE = "open_collective"
    THANKS_DEV = "thanks_dev"
    ECOSYSTEMS = "ecosystems"
    FOUNDATION = "foundation"
    PLEDGEWORKS = "pledgeworks"  # an instalment paid through this platform
    OTHER = "other"


class PledgeRule(enum.StrEnum):
    """The rule that says whether a payment counts. policies.payments says which do, and why."""

    OPEN_SOURCE_PROJECT = "open_source_project"
    MAINTAINER = "maintainer"
    FOUNDATION = "foundation"
    NOT_OPEN_SOURCE = "not_open_source"
    OWN_PROJECT = "own_project"
    OWN_ECOSYSTEM = "own_ecosystem"
    OWN_EMPLOYEE = "own_employee"
    BENEFIT_IN_RETURN = "benefit_in_return"


class PledgePayment(Base):
    """One payment the company made. A correction is a new row that supersedes the old one; nothing is deleted.

    A trigger refuses DELETE, and any UPDATE but the one that marks a row as superseded.
    """

    __tablename__ = "pledge_payment"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("counted_minor >= 0", name="counted"),
        CheckConstraint("(rate IS NULL) = (rate_source IS NULL)", name="rate_with_source"),
        CheckConstraint("rate IS NULL OR rate > 0", name="rate_positive"),
        CheckConstraint("num_nonnulls(evidence_url, evidence_file_id) > 0", name="evidence"),
        CheckConstraint("length(trim(reason)) > 0", name="reason"),
        CheckConstraint("(superseded_at IS NULL) = (superseded_reason IS NULL)", name="superseded_with_reason"),
        Index("ix_pledge_payment_pledge", "pledge_id", "paid_on", "id", postgresql_where="superseded_at IS NULL"),
        Index("uq_pledge_payment_instalment", "instalment_id", unique=True, postgresql_where="superseded_at IS NULL"),
    )

    id: Mapped[Id]
    pledge_id: Mapped[UUID] = mapped_column(ForeignKey("pledge.id"))
    payee: Mapped[ShortText]
    project: Mapped[ShortText]
    amount_minor: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    paid_on: Mapped[date]
    channel: Mapped[PaymentChannel]
    evidence_url: Mapped[str | None]
    evidence_file_id: Mapped[UUID | None] = mapped_column(ForeignKey("stored_file.id"))
    rule: Mapped[PledgeRule]
    eligible: Mapped[bool]
    """What the rule says, kept with the row: a later version of the rules changes nothing that was recorded."""
    reason: Mapped[str]
    rate: Mapped[Decimal | None] = mapped_column(Numeric(20, 10))
    """Units of the pledge's currency for one unit of the payment's; none where they are the same."""
    rate_source: Mapped[str | None]
    counted_minor: Mapped[MinorUnits]
    """The amount in the pledge's currency, rounded half up once."""
    instalment_id: Mapped[UUID | None] = mapped_column(ForeignKey("pledge_instalment.id"))
    entered_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    entered_at: Mapped[Utc]
    superseded_at: Mapped[datetime | None]
    superseded_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("pledge_payment.id"))
    """The corrected row; none if the payment was struck out."""
    superseded_reason: Mapped[str | None]

    pledge: Mapped[Pledge] = relationship()
    evidence_file: Mapped[StoredFile | None] = relationship()

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)


class InKindKind(enum.StrEnum):
    """Help that is not cash. It is shown, and never counts."""

    TIME = "time"
    MATERIALS = "materials"
    CREDITS = "credits"
    COMPUTE = "compute"


class InKindHelp(Base):
    """Help in kind, with the value the company itself puts on it, if any. Deliberately without a link to any total."""

    __tablename__ = "pledge_in_kind"
    __table_args__ = (
        CheckConstraint("value_minor IS NULL OR value_minor >= 0", name="value"),
        CheckConstraint("(superseded_at IS NULL) = (superseded_reason IS NULL)", name="superseded_with_reason"),
        Index("ix_pledge_in_kind_member", "member_id", "year", postgresql_where="superseded_at IS NULL"),
    )

    id: Mapped[Id]
    member_id: Mapped[UUID] = mapped_column(ForeignKey("pledge_member.id"))
    year: Mapped[ShortText]
    """The label of the period or report it belongs to."""
    kind: Mapped[InKindKind]
    description: Mapped[str]
    value_minor: Mapped[MinorUnits | None]
    currency: Mapped[CurrencyCode]
    entered_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    entered_at: Mapped[Utc]
    superseded_at: Mapped[datetime | None]
    superseded_reason: Mapped[str | None]

    @property
    def value(self) -> Money | None:
        return None if self.value_minor is None else Money(self.value_minor, self.currency)


class AnnualReport(Base):
    """What a member published about a year: the declared total, and what was itemised here when it did.

    Imported reports have a declared total only. A corrected report is a new row; a trigger keeps the old one.
    """

    __tablename__ = "pledge_report"
    __table_args__ = (
        CheckConstraint("developers >= 0", name="developers"),
        CheckConstraint("declared_minor >= 0", name="declared"),
        CheckConstraint("(pledge_id IS NULL) = (itemised_minor IS NULL)", name="itemised_here_only"),
        CheckConstraint("(superseded_at IS NULL) = (superseded_reason IS NULL)", name="superseded_with_reason"),
        Index(
            "uq_pledge_report_current",
            "member_id",
            "year",
            "report_on",
            unique=True,
            postgresql_where="superseded_at IS NULL",
        ),
        Index("uq_pledge_report_period", "pledge_id", unique=True, postgresql_where="superseded_at IS NULL"),
    )

    id: Mapped[Id]
    member_id: Mapped[UUID] = mapped_column(ForeignKey("pledge_member.id"), index=True)
    pledge_id: Mapped[UUID | None] = mapped_column(ForeignKey("pledge.id"))
    year: Mapped[ShortText]
    report_on: Mapped[date]
    """The day of publication: renewal counts from it, whatever the year's label says."""
    url: Mapped[str]
    developers: Mapped[Decimal] = mapped_column(Developers)
    declared_minor: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    itemised_minor: Mapped[MinorUnits | None]
    """The sum of the payments that counted, on the day of publication."""
    minimum_minor: Mapped[MinorUnits]
    """Per developer, in force on the day of the report."""
    rules_version: Mapped[ShortText]
    published_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    published_at: Mapped[Utc]
    superseded_at: Mapped[datetime | None]
    superseded_reason: Mapped[str | None]

    member: Mapped[PledgeMember] = relationship()
    pledge: Mapped[Pledge | None] = relationship()

    @property
    def declared(self) -> Money:
        return Money(self.declared_minor, self.currency)

    @property
    def itemised(self) -> Money | None:
        return None if self.itemised_minor is None else Money(self.itemised_minor, self.currency)

    @property
    def minimum(self) -> Money:
        return Money(self.minimum_minor, self.currency)
