"""A run: payouts of one currency that are approved and sent together."""

import enum
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, Identity, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, MinorUnits, ShortText, Utc
from core.errors import IllegalTransition
from core.identity.models import Person

if TYPE_CHECKING:
    from payouts.models.payouts import Payout


class RunStatus(enum.StrEnum):
    """The life of a run."""

    DRAFT = "draft"  # lines may be added and removed; approvals of exactly this content are gathered
    APPROVED = "approved"  # enough people approved exactly this content
    SENDING = "sending"  # payouts are on their way; some may wait for a person
    DONE = "done"  # every line ended: paid, taken out or cancelled
    CANCELLED = "cancelled"  # given up before sending; its payouts are drafts again


NEXT_RUN: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.DRAFT: frozenset({RunStatus.APPROVED, RunStatus.CANCELLED}),
    RunStatus.APPROVED: frozenset({RunStatus.DRAFT, RunStatus.SENDING, RunStatus.CANCELLED}),
    RunStatus.SENDING: frozenset({RunStatus.DONE}),
    RunStatus.DONE: frozenset(),
    RunStatus.CANCELLED: frozenset(),
}
assert NEXT_RUN.keys() == set(RunStatus)


class Run(Base):
    """Payouts prepared by one person and approved by others as one content, named by its hash."""

    __tablename__ = "payout_run"
    __table_args__ = (
        # The target of the approvals' composite key: an approval carries the preparer it must differ from.
        UniqueConstraint("id", "prepared_by_id"),
        UniqueConstraint("number"),
        Index("ix_payout_run_prepared_at", "prepared_at"),
    )

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(BigInteger(), Identity(always=True))
    """What people call it."""
    currency: Mapped[CurrencyCode]
    status: Mapped[RunStatus] = mapped_column(default=RunStatus.DRAFT)
    content_hash: Mapped[ShortText]
    """SHA-256 of its sorted lines (obligation, destination, amount, rail). An approval is an approval of this."""
    prepared_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    prepared_at: Mapped[Utc]
    approved_at: Mapped[datetime | None]
    approved_minor: Mapped[MinorUnits | None]
    """What its lines came to when it was approved. From then on lines leave it and none comes, so that it is never more."""
    sent_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    sent_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    is_demo: Mapped[bool] = mapped_column(default=False)

    prepared_by: Mapped[Person] = relationship(foreign_keys=[prepared_by_id])
    sent_by: Mapped[Person | None] = relationship(foreign_keys=[sent_by_id])
    payouts: Mapped[list["Payout"]] = relationship(back_populates="run", order_by="Payout.obligation")
    approvals: Mapped[list["RunApproval"]] = relationship(back_populates="run", order_by="RunApproval.approved_at")

    @property
    def name(self) -> str:
        return f"Run {self.number}"

    def advance(self, to: RunStatus) -> None:
        if to not in NEXT_RUN[self.status]:
            raise IllegalTransition(self.name, self.status, to)
        self.status = to


class RunApproval(Base):
    """One person's approval of one content of a run. Any edit of the run voids it."""

    __tablename__ = "payout_run_approval"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "prepared_by_id"],
            ["payout_run.id", "payout_run.prepared_by_id"],
            name="fk_payout_run_approval_preparer",
        ),
        CheckConstraint("approver_id <> prepared_by_id", name="four_eyes"),
        Index("uq_payout_run_approval_current", "run_id", "approver_id", unique=True, postgresql_where="voided_at IS NULL"),
    )

    id: Mapped[Id]
    run_id: Mapped[UUID]
    prepared_by_id: Mapped[UUID]
    approver_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    content_hash: Mapped[ShortText]
    approved_at: Mapped[Utc]
    voided_at: Mapped[datetime | None]

    run: Mapped[Run] = relationship(back_populates="approvals")
    approver: Mapped[Person] = relationship()
