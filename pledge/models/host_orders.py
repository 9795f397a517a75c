"""Money that a fiscal host expects for our fund: a pledge's instalment as a pending order in the host's own books."""

import enum
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, MinorUnits, ShortText, Utc
from core.errors import IllegalTransition
from core.money import Money
from pledge.models.instalments import PledgeInstalment


class HostOrderStatus(enum.StrEnum):
    """What the host's books say of it, as far as we know."""

    ASKED = "asked"  # the host's service was asked to record it, and has not said that it did
    EXPECTED = "expected"  # recorded there; the host waits for the company's transfer
    PAID = "paid"  # ledger rows of the host show that it came
    EXPIRED = "expired"  # the host does not expect it any more
    REFUSED = "refused"  # it was certainly not recorded


NEXT_HOST_ORDER: dict[HostOrderStatus, frozenset[HostOrderStatus]] = {
    HostOrderStatus.ASKED: frozenset(HostOrderStatus) - {HostOrderStatus.ASKED},
    HostOrderStatus.EXPECTED: frozenset({HostOrderStatus.PAID, HostOrderStatus.EXPIRED}),
    HostOrderStatus.PAID: frozenset({HostOrderStatus.EXPIRED}),  # given back, and nothing of it settled an instalment
    HostOrderStatus.EXPIRED: frozenset({HostOrderStatus.PAID}),  # a host may take a late transfer after all
    HostOrderStatus.REFUSED: frozenset(),
}
assert NEXT_HOST_ORDER.keys() == set(HostOrderStatus)
LIVE_HOST_ORDERS = frozenset({HostOrderStatus.ASKED, HostOrderStatus.EXPECTED, HostOrderStatus.PAID})


class HostOrder(Base):
    """One pending order at a fiscal host, written down here before the host is asked for it."""

    __tablename__ = "host_order"
    __table_args__ = (
        UniqueConstraint("key"),
        UniqueConstraint("remote_id"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("host_fee_percent BETWEEN 0 AND 100", name="fee_percent"),
        CheckConstraint("status NOT IN ('expected', 'paid', 'expired') OR remote_id IS NOT NULL", name="known_there"),
        CheckConstraint("(status = 'paid') = (received_minor IS NOT NULL)", name="paid_with_amount"),
        CheckConstraint("status <> 'refused' OR length(trim(problem)) > 0", name="refused_with_reason"),
        # Two that the host waits for could both be marked as paid for one transfer.
        Index("uq_host_order_live", "instalment_id", unique=True, postgresql_where="status IN ('asked', 'expected', 'paid')"),
        Index("ix_host_order_instalment_id", "instalment_id"),
    )

    id: Mapped[Id]
    instalment_id: Mapped[UUID] = mapped_column(ForeignKey("pledge_instalment.id"))
    key: Mapped[ShortText]
    """What it is found by there. Anybody can read it, so it tells nothing."""
    payer: Mapped[ShortText]
    """The company's account at the host's service."""
    fund: Mapped[ShortText]
    """Our fund's account there."""
    amount_minor: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    expected_on: Mapped[date | None]
    host_fee_percent: Mapped[Decimal | None] = mapped_column(Numeric(5, 2))
    """What was agreed with the host for this one; None: whatever the host takes by default."""
    status: Mapped[HostOrderStatus] = mapped_column(default=HostOrderStatus.ASKED)
    remote_id: Mapped[str | None]
    received_minor: Mapped[MinorUnits | None]
    """What the host's ledger rows say came, before its fee."""
    fee_minor: Mapped[MinorUnits] = mapped_column(default=0)
    movement_id: Mapped[str | None]
    """The ledger row there, by which our books know it again."""
    fee_movement_id: Mapped[str | None]
    problem: Mapped[str | None]
    """For people: why it was not recorded, or what does not fit."""
    recorded_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    asked_at: Mapped[Utc]
    looked_at: Mapped[datetime | None]

    instalment: Mapped[PledgeInstalment] = relationship(lazy="joined")

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def received(self) -> Money | None:
        return Money(self.received_minor, self.currency) if self.received_minor is not None else None

    @property
    def fee(self) -> Money:
        return Money(self.fee_minor, self.currency)

    def advance(self, to: HostOrderStatus) -> None:
        """Take one legal step."""
        if to not in NEXT_HOST_ORDER[self.status]:
            raise IllegalTransition("This order at the host", self.status, to)
        self.status = to
