"""Proposals of exchange rates from benchmarks: figures and their evidence, until a person decides."""

import enum
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from compute.models.offers import Flavor
from core.db import Base, Id, JsonObject, ShortText, Utc
from core.errors import IllegalTransition
from core.identity.models import Person


class ProposalStatus(enum.StrEnum):
    """The life of a proposal of rates."""

    OPEN = "open"  # made from benchmarks; changes nothing
    ACCEPTED = "accepted"  # a second person put its rates into the exchange table
    DECLINED = "declined"  # a person said why not


PROPOSAL_NEXT: dict[ProposalStatus, frozenset[ProposalStatus]] = {
    ProposalStatus.OPEN: frozenset({ProposalStatus.ACCEPTED, ProposalStatus.DECLINED}),
    ProposalStatus.ACCEPTED: frozenset(),
    ProposalStatus.DECLINED: frozenset(),
}
assert PROPOSAL_NEXT.keys() == set(ProposalStatus)


class RateProposal(Base):
    """Exchange rates as benchmarks suggest them, with what they were made from. It applies nothing by itself."""

    __tablename__ = "rate_proposal"
    __table_args__ = (
        CheckConstraint("decided_by_id <> made_by_id", name="four_eyes"),
        CheckConstraint("(status = 'open') = (decided_at IS NULL)", name="decided"),
        CheckConstraint("status = 'open' OR decided_by_id IS NOT NULL", name="decider"),
    )

    id: Mapped[Id]
    reference_id: Mapped[UUID] = mapped_column(ForeignKey("flavor.id"))
    evidence: Mapped[JsonObject]
    """The measured benchmarks, GPUs and settings it was made from: enough to make it again."""
    status: Mapped[ProposalStatus] = mapped_column(default=ProposalStatus.OPEN)
    status_at: Mapped[Utc]
    made_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    made_at: Mapped[Utc]
    decided_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    decided_at: Mapped[datetime | None]
    note: Mapped[str | None]

    reference: Mapped[Flavor] = relationship(lazy="joined")
    made_by: Mapped[Person] = relationship(foreign_keys=[made_by_id])
    decided_by: Mapped[Person | None] = relationship(foreign_keys=[decided_by_id])
    lines: Mapped[list["RateProposalLine"]] = relationship(back_populates="proposal", lazy="selectin")

    def advance(self, to: ProposalStatus, at: datetime) -> None:
        if to not in PROPOSAL_NEXT[self.status]:
            raise IllegalTransition("This proposal of rates", self.status, to)
        self.status, self.status_at = to, at


class RateProposalLine(Base):
    """One flavor of a proposal: the rate it had then, and the one proposed. Reference GPU-hours per GPU-hour."""

    __tablename__ = "rate_proposal_line"
    __table_args__ = (
        CheckConstraint("numerator > 0 AND denominator > 0", name="positive"),
        CheckConstraint("current_numerator > 0 AND current_denominator > 0", name="current_positive"),
        CheckConstraint("num_nulls(current_numerator, current_denominator) IN (0, 2)", name="current_whole"),
        Index("uq_rate_proposal_line_flavor", "proposal_id", "flavor_id", unique=True),
    )

    id: Mapped[Id]
    proposal_id: Mapped[UUID] = mapped_column(ForeignKey("rate_proposal.id"))
    flavor_id: Mapped[UUID] = mapped_column(ForeignKey("flavor.id"))
    current_numerator: Mapped[int | None]
    current_denominator: Mapped[int | None]
    numerator: Mapped[int]
    denominator: Mapped[int]
    low: Mapped[ShortText]
    high: Mapped[ShortText]
    """The range of prices that clear, as decimals."""

    proposal: Mapped[RateProposal] = relationship(back_populates="lines")
    flavor: Mapped[Flavor] = relationship(lazy="joined")

    @property
    def current(self) -> Fraction | None:
        """None: the flavor had no rate."""
        if self.current_numerator is None or self.current_denominator is None:
            return None
        return Fraction(self.current_numerator, self.current_denominator)

    @property
    def rate(self) -> Fraction:
        return Fraction(self.numerator, self.denominator)
