"""Instalments of a pledge that are paid through this platform: the only money of a pledge that our ledger holds."""

import enum
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, MinorUnits, ShortText, Utc
from core.errors import IllegalTransition
from core.files import StoredFile
from core.money import Money
from pledge.models.members import PledgeMember
from pledge.models.pledges import Pledge

if TYPE_CHECKING:
    from pledge.models.pay_ins import PayIn


class InstalmentStatus(enum.StrEnum):
    """The life of a pay-in. Only settled money may be granted."""

    DRAFT = "draft"  # the company is still deciding
    AWAITING_PAYMENT = "awaiting_payment"  # we told the company where to pay
    PROCESSING = "processing"  # the company says it paid; nobody has seen the money yet
    PAID = "paid"  # the rail says paid, but the cash is not ours yet (unsettled)
    SETTLED = "settled"  # the cash is on our account, in the ledger
    FAILED = "failed"  # the money did not come
    REFUNDED_PART = "refunded_part"  # some went back
    REFUNDED_FULL = "refunded_full"  # all went back
    DISPUTED = "disputed"  # the payer's bank asks for it back; nothing of it may be granted
    LOST = "lost"  # the dispute was lost; the cash is gone


NEXT_INSTALMENT: dict[InstalmentStatus, frozenset[InstalmentStatus]] = {
    InstalmentStatus.DRAFT: frozenset({InstalmentStatus.AWAITING_PAYMENT}),
    InstalmentStatus.AWAITING_PAYMENT: frozenset({InstalmentStatus.PROCESSING, InstalmentStatus.FAILED}),
    InstalmentStatus.PROCESSING: frozenset({InstalmentStatus.PAID, InstalmentStatus.FAILED}),
    InstalmentStatus.PAID: frozenset({InstalmentStatus.SETTLED, InstalmentStatus.FAILED, InstalmentStatus.DISPUTED}),
    InstalmentStatus.SETTLED: frozenset(
        {InstalmentStatus.REFUNDED_PART, InstalmentStatus.REFUNDED_FULL, InstalmentStatus.DISPUTED}
    ),
    InstalmentStatus.FAILED: frozenset({InstalmentStatus.AWAITING_PAYMENT}),
    InstalmentStatus.REFUNDED_PART: frozenset(
        {InstalmentStatus.REFUNDED_FULL, InstalmentStatus.DISPUTED, InstalmentStatus.SETTLED}  # settled: the refund failed
    ),
    InstalmentStatus.REFUNDED_FULL: frozenset({InstalmentStatus.REFUNDED_PART, InstalmentStatus.SETTLED}),
    InstalmentStatus.DISPUTED: frozenset({InstalmentStatus.SETTLED, InstalmentStatus.LOST, InstalmentStatus.REFUNDED_PART}),
    InstalmentStatus.LOST: frozenset({InstalmentStatus.SETTLED}),  # a bank can change its mind after all
}
assert NEXT_INSTALMENT.keys() == set(InstalmentStatus)


class InstalmentWay(enum.StrEnum):
    """Who says that the money came."""

    TRANSFER = "transfer"  # two people: the company with evidence, finance with the bank statement
    PROVIDER = "provider"  # the payment provider, asked by us; its pay-ins decide the state


class PledgeInstalment(Base):
    """Cash on its way from a company to one of our funds, and the two people who vouch for it."""

    __tablename__ = "pledge_instalment"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("confirmed_by_id <> entered_by_id", name="four_eyes"),
        CheckConstraint(
            "status NOT IN ('paid', 'settled', 'refunded_part', 'refunded_full', 'disputed', 'lost')"
            " OR (confirmed_by_id IS NOT NULL AND confirmed_at IS NOT NULL) OR way = 'provider'",
            name="confirmed_by_somebody",
        ),
        CheckConstraint(
            "status IN ('draft', 'awaiting_payment', 'failed') OR way = 'provider'"
            " OR (sent_on IS NOT NULL AND num_nonnulls(evidence_url, evidence_file_id) > 0)",
            name="evidence",
        ),
        CheckConstraint("status <> 'failed' OR length(trim(failure_reason)) > 0", name="failed_with_reason"),
        CheckConstraint("fund ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="fund"),
        Index("ix_pledge_instalment_status", "status", "entered_at"),
    )

    id: Mapped[Id]
    pledge_id: Mapped[UUID] = mapped_column(ForeignKey("pledge.id"), index=True)
    fund: Mapped[ShortText]
    """The fund that receives it: `liabilities:fund:<fund>:<currency>` in the ledger."""
    amount_minor: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    status: Mapped[InstalmentStatus] = mapped_column(default=InstalmentStatus.DRAFT)
    way: Mapped[InstalmentWay] = mapped_column(default=InstalmentWay.TRANSFER, server_default=InstalmentWay.TRANSFER)
    reference: Mapped[ShortText] = mapped_column(unique=True)
    """What the company writes on its bank transfer, so that finance finds it on the statement."""
    sent_on: Mapped[date | None]
    evidence_url: Mapped[str | None]
    evidence_file_id: Mapped[UUID | None] = mapped_column(ForeignKey("stored_file.id"))
    entered_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    """Who said that the company paid: the first pair of eyes."""
    entered_at: Mapped[Utc]
    received_on: Mapped[date | None]
    bank_reference: Mapped[str | None]
    """The line of our bank statement that finance compared it with."""
    confirmed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    confirmed_at: Mapped[datetime | None]
    failure_reason: Mapped[str | None]

    pledge: Mapped[Pledge] = relationship(lazy="joined")
    evidence_file: Mapped[StoredFile | None] = relationship()
    pay_ins: Mapped[list["PayIn"]] = relationship(order_by="PayIn.number", back_populates="instalment")

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def member(self) -> PledgeMember:
        return self.pledge.member

    def advance(self, to: InstalmentStatus) -> None:
        """Take one legal step; where a provider's word counts, any number of them at once, as between two looks at it."""
        legal = NEXT_INSTALMENT[self.status] if self.way is InstalmentWay.TRANSFER else _reachable(self.status)
        if to not in legal:
            raise IllegalTransition("This instalment", self.status, to)
        self.status = to


def _reachable(status: InstalmentStatus) -> set[InstalmentStatus]:
    reached: set[InstalmentStatus] = set()
    fresh = NEXT_INSTALMENT[status]
    while fresh:
        reached |= fresh
        fresh = frozenset().union(*(NEXT_INSTALMENT[each] for each in fresh)) - reached
    return reached
