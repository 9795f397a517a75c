"""The payout (an obligation), its attempts (tries at a rail), and what two people found out about one.

A payout is paid at most once because of one partial unique index: it has at most one attempt that is not `failed`, and an
attempt becomes `failed` only when it is certain that no money moved and none will under its key.
"""

import enum
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, JsonObject, MinorUnits, ShortText, Utc
from core.errors import IllegalTransition
from core.files import StoredFile
from core.identity.models import Person
from core.money import Money
from payouts.models.recipients import Destination, Recipient

if TYPE_CHECKING:
    from payouts.models.bank import BankFile
    from payouts.models.runs import Run


class PayoutStatus(enum.StrEnum):
    """The life of an obligation."""

    DRAFT = "draft"  # owed; nothing reserved, perhaps already a line of a run
    APPROVED = "approved"  # its run is approved; waits for its turn to be sent
    RESERVED = "reserved"  # the amount is held in the ledger, an attempt exists
    PAID = "paid"  # the rail has it; the hold is settled
    RETURNED = "returned"  # the money came back later (wrong account, refused by the payee's bank)
    REVERSED = "reversed"  # we took it back
    CANCELLED = "cancelled"  # no longer owed; no money moved


NEXT: dict[PayoutStatus, frozenset[PayoutStatus]] = {
    PayoutStatus.DRAFT: frozenset({PayoutStatus.APPROVED, PayoutStatus.CANCELLED}),
    # Back to draft: an edit voids the approval, or the payout is taken out of its run to be approved anew.
    PayoutStatus.APPROVED: frozenset({PayoutStatus.RESERVED, PayoutStatus.DRAFT, PayoutStatus.CANCELLED}),
    PayoutStatus.RESERVED: frozenset({PayoutStatus.PAID, PayoutStatus.DRAFT, PayoutStatus.CANCELLED}),
    PayoutStatus.PAID: frozenset({PayoutStatus.RETURNED, PayoutStatus.REVERSED}),
    PayoutStatus.RETURNED: frozenset(),
    PayoutStatus.REVERSED: frozenset(),
    PayoutStatus.CANCELLED: frozenset(),
}
assert NEXT.keys() == set(PayoutStatus)

CLOSED = frozenset({PayoutStatus.RETURNED, PayoutStatus.REVERSED, PayoutStatus.CANCELLED})
"""After these the same obligation may be asked for again, as its next round."""


class AttemptState(enum.StrEnum):
    """What is known about one try at a rail."""

    SENDING = "sending"  # written down before the call; it may or may not have left (`sends` tells)
    UNKNOWN = "unknown"  # it left, and no clear answer came back
    HUMAN = "human"  # only people can find out; two of them, with evidence
    ACCEPTED = "accepted"  # the rail has it; `remote_id` names it there
    FAILED = "failed"  # certain: no money moved, none will under this key


NEXT_ATTEMPT: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.SENDING: frozenset({AttemptState.ACCEPTED, AttemptState.FAILED, AttemptState.UNKNOWN}),
    AttemptState.UNKNOWN: frozenset({AttemptState.ACCEPTED, AttemptState.FAILED, AttemptState.HUMAN}),
    AttemptState.HUMAN: frozenset({AttemptState.ACCEPTED, AttemptState.FAILED}),
    AttemptState.ACCEPTED: frozenset(),
    AttemptState.FAILED: frozenset(),
}
assert NEXT_ATTEMPT.keys() == set(AttemptState)


class AttemptFailure(enum.StrEnum):
    """How it is known that an attempt moved no money."""

    REFUSED = "refused"  # the rail said no, for good, to this key
    ABSENT = "absent"  # an authoritative look-up after quiescence found nothing
    RULED = "ruled"  # two people found out
    WITHDRAWN = "withdrawn"  # it never left, and the payout was taken back


class Payout(Base):
    """What is owed to a recipient for one reason."""

    __tablename__ = "payout"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("approved_by_id <> prepared_by_id", name="four_eyes"),
        CheckConstraint("status IN ('draft', 'cancelled') OR approved_by_id IS NOT NULL", name="approved_by_somebody"),
        CheckConstraint(
            "status IN ('draft', 'cancelled') OR num_nulls(run_id, destination_id, rail, approved_line_hash) = 0",
            name="approved_in_a_run",
        ),
        CheckConstraint("(status IN ('paid', 'returned', 'reversed')) = (paid_at IS NOT NULL)", name="paid_at"),
        CheckConstraint("status IN ('draft', 'approved', 'cancelled') OR cash_account IS NOT NULL", name="cash_account"),
        CheckConstraint("round > 0 AND attempts_allowed >= 0 AND holds >= 0", name="counters"),
        # The reason exists once. Money that came back, or a payout that was cancelled, opens its next round, and only then.
        UniqueConstraint("obligation", "round"),
        Index(
            "uq_payout_open_obligation",
            "obligation",
            unique=True,
            postgresql_where="status NOT IN ('returned', 'reversed', 'cancelled')",
        ),
        CheckConstraint("amount_minor > carried_minor", name="something_leaves"),
        CheckConstraint("num_nulls(wish_rail, wish_reason, wish_by_id) IN (0, 3)", name="wish"),
        CheckConstraint("expected_fee_minor >= 0 AND expected_cost_minor >= 0", name="expected"),
        Index("uq_payout_canary", "run_id", "rail", unique=True, postgresql_where="is_canary"),
        Index("ix_payout_due", "due_on", "id", postgresql_where="status = 'draft'"),
        Index("ix_payout_status", "status", "id"),
        Index("ix_payout_reserved", "currency", "reserved_at"),
    )

    id: Mapped[Id]
    obligation: Mapped[ShortText]
    """The reason, named by whoever owes: `grant-instalment:<id>`."""
    round: Mapped[int] = mapped_column(default=1)
    """1 the first time; one more each time the obligation opened again."""
    recipient_id: Mapped[UUID] = mapped_column(ForeignKey("recipient.id"), index=True)
    amount_minor: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    fund_account: Mapped[ShortText]
    """The ledger account that is debited."""
    memo: Mapped[ShortText]
    """What the recipient reads beside the payment."""
    due_on: Mapped[date]
    status: Mapped[PayoutStatus] = mapped_column(default=PayoutStatus.DRAFT)
    prepared_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    """Who said that this is owed; never who approves it."""
    created_at: Mapped[Utc]

    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("payout_run.id"), index=True)
    destination_id: Mapped[UUID | None] = mapped_column(ForeignKey("destination.id"))
    rail: Mapped[str | None]
    is_canary: Mapped[bool] = mapped_column(default=False)
    """Goes first on its rail; the others of the run wait until the rail accepted it."""
    approved_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    approved_at: Mapped[datetime | None]
    approved_line_hash: Mapped[str | None]
    """SHA-256 of this line as it was approved; compared again before money is reserved."""
    attempts_allowed: Mapped[int] = mapped_column(default=0)
    """One with the approval; one more by an authoritative look-up that found nothing, or by a person's decision."""
    holds: Mapped[int] = mapped_column(default=0)
    """How many holds were taken for it; the newest is open while it is reserved."""
    reserved_at: Mapped[datetime | None]
    cash_account: Mapped[str | None]
    """The ledger account that its money leaves from: its rail's when it was reserved. What comes back, comes back there."""
    paid_at: Mapped[datetime | None]
    blocked_reason: Mapped[str | None]
    """Why it could not be sent when its turn came (a limit, a shortfall, a stopped rail) and what to do."""
    carried_minor: Mapped[MinorUnits] = mapped_column(default=0, server_default="0")
    """Set when it is reserved: what does not leave with it, because the rail pays whole units only, and is kept for the
    recipient instead. Negative: so much that was kept before leaves with it."""
    rail_reason: Mapped[str | None]
    """Why it goes by its rail, as it was when it was put into its run."""
    wish_rail: Mapped[str | None]
    """A person's word that it goes by this rail, if that is possible."""
    wish_reason: Mapped[str | None]
    wish_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    expected_fee_minor: Mapped[MinorUnits | None]
    """What the rail was expected to take from the payee when it was put into its run; None: not known beforehand."""
    expected_cost_minor: Mapped[MinorUnits | None]
    """What it was expected to cost on top."""
    expected_at_most: Mapped[bool] = mapped_column(default=False, server_default="false")
    """The two are upper bounds."""
    is_demo: Mapped[bool] = mapped_column(default=False)

    recipient: Mapped[Recipient] = relationship()
    destination: Mapped[Destination | None] = relationship()
    run: Mapped["Run | None"] = relationship(back_populates="payouts")
    prepared_by: Mapped[Person] = relationship(foreign_keys=[prepared_by_id])
    approved_by: Mapped[Person | None] = relationship(foreign_keys=[approved_by_id])
    wish_by: Mapped[Person | None] = relationship(foreign_keys=[wish_by_id])
    attempts: Mapped[list["PayoutAttempt"]] = relationship(back_populates="payout", order_by="PayoutAttempt.no")

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def leaving(self) -> Money:
        """What the rail is told to pay: what is owed, less what is carried."""
        return Money(self.amount_minor - self.carried_minor, self.currency)

    @property
    def carried(self) -> Money:
        return Money(self.carried_minor, self.currency)

    @property
    def expected_fee(self) -> Money | None:
        return None if self.expected_fee_minor is None else Money(self.expected_fee_minor, self.currency)

    @property
    def expected_cost(self) -> Money | None:
        return None if self.expected_cost_minor is None else Money(self.expected_cost_minor, self.currency)

    @property
    def hold_key(self) -> str:
        """The ledger key of the newest hold."""
        return f"hold:payout:{self.id}:{self.holds}"

    @property
    def settle_key(self) -> str:
        """The ledger key of the one settlement this payout can ever have."""
        return f"paid:payout:{self.id}"

    @property
    def live_attempt(self) -> "PayoutAttempt | None":
        """The one attempt that is not failed, if there is one."""
        return next((attempt for attempt in self.attempts if attempt.state is not AttemptState.FAILED), None)

    def advance(self, to: PayoutStatus) -> None:
        if to not in NEXT[self.status]:
            raise IllegalTransition("This payout", self.status, to)
        self.status = to


class PayoutAttempt(Base):
    """One try at a rail. Its key and parameters are committed before the first byte leaves and never change."""

    __tablename__ = "payout_attempt"
    __table_args__ = (
        UniqueConstraint("payout_id", "no"),
        UniqueConstraint("idem_key"),
        UniqueConstraint("rail", "remote_id"),
        # Never pay twice: everything else only feeds this index.
        Index("uq_payout_attempt_one_live", "payout_id", unique=True, postgresql_where="state <> 'failed'"),
        Index("ix_payout_attempt_open", "lease_until", postgresql_where="state IN ('sending', 'unknown')"),
        Index("ix_payout_attempt_human", "changed_at", postgresql_where="state IN ('unknown', 'human')"),
        CheckConstraint("(state = 'accepted') = (remote_id IS NOT NULL)", name="accepted_has_remote_id"),
        CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name="failed_has_reason"),
        CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name="lease"),
        CheckConstraint("no > 0 AND sends >= declined AND declined >= 0", name="counters"),
        CheckConstraint("fee_minor IS NULL OR fee_minor >= 0 AND state = 'accepted'", name="fee"),
        CheckConstraint("cost_minor IS NULL OR cost_minor >= 0 AND state = 'accepted'", name="cost"),
    )

    id: Mapped[Id]
    payout_id: Mapped[UUID] = mapped_column(ForeignKey("payout.id"))
    no: Mapped[int]
    rail: Mapped[ShortText]
    idem_key: Mapped[ShortText]
    """The reference the rail sees, and its idempotency key where it has such: at most 35 letters, digits and hyphens."""
    parameters: Mapped[JsonObject]
    """Everything the rail is told, frozen."""
    state: Mapped[AttemptState]
    sends: Mapped[int] = mapped_column(default=0)
    """How often it may have left. Counted and committed before the call."""
    declined: Mapped[int] = mapped_column(default=0)
    """How many of those sends the rail answered with a clear "not now": nothing happened."""
    lookups: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[Utc]
    changed_at: Mapped[Utc]
    """When its state last changed."""
    sent_at: Mapped[datetime | None]
    """When the newest send was started; quiescence counts from here."""
    not_before: Mapped[datetime | None]
    """The rail asked to be left alone until then (429), or a look-up is not due yet."""
    lease_token: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    remote_id: Mapped[str | None]
    fee_minor: Mapped[MinorUnits | None]
    """What the rail says it took from the payee; None if it does not say."""
    cost_minor: Mapped[MinorUnits | None]
    """What the rail says it took from us on top; None if it does not say."""
    failure: Mapped[AttemptFailure | None]
    detail: Mapped[str | None]
    """The newest answer in words: why unknown, why failed."""
    said_no: Mapped[str | None]
    """What the rail said when it refused in a way that proves nothing. Found absent later, the attempt counts as refused."""
    at_rail: Mapped[bool] = mapped_column(default=False, server_default="false")
    """The rail said that it has it and goes on with it: it is never sent again, and if it is gone later, people find out why."""
    bank_file_id: Mapped[UUID | None] = mapped_column(ForeignKey("bank_file.id"), index=True)

    payout: Mapped[Payout] = relationship(back_populates="attempts")
    bank_file: Mapped["BankFile | None"] = relationship(back_populates="attempts")
    resolutions: Mapped[list["Resolution"]] = relationship(back_populates="attempt", order_by="Resolution.proposed_at")

    @property
    def money(self) -> Money:
        """What the rail is told to pay: what is owed, less what is carried."""
        return Money(self.parameters["amount_minor"], self.parameters["currency"])

    @property
    def fee(self) -> Money | None:
        return None if self.fee_minor is None else Money(self.fee_minor, self.money.currency)

    @property
    def cost(self) -> Money | None:
        return None if self.cost_minor is None else Money(self.cost_minor, self.money.currency)

    @property
    def proposal(self) -> "Resolution | None":
        """What one person proposed and no second one has decided yet."""
        return next((resolution for resolution in self.resolutions if resolution.decided_at is None), None)

    def advance(self, to: AttemptState, *, at: datetime, detail: str | None = None, **values: Any) -> None:
        """Move on and give back the lease. `values` are columns that belong to the new state."""
        if to not in NEXT_ATTEMPT[self.state]:
            raise IllegalTransition("This attempt", self.state, to)
        self.state, self.changed_at, self.detail = to, at, detail
        self.lease_token = self.lease_until = None
        for name, value in values.items():
            setattr(self, name, value)


class Outcome(enum.StrEnum):
    """What people can find out about an attempt."""

    ACCEPTED = "accepted"  # the money went: the payout is paid
    FAILED = "failed"  # it did not go, and will not: the payout may be tried again
    RETURNED = "returned"  # it went, and came back
    REVERSED = "reversed"  # it went, and we took it back


class Resolution(Base):
    """One person's finding with evidence, and a second person's decision about it."""

    __tablename__ = "payout_resolution"
    __table_args__ = (
        CheckConstraint("confirmed IS NOT TRUE OR decided_by_id <> proposed_by_id", name="two_people"),
        CheckConstraint("num_nulls(decided_by_id, decided_at, confirmed) IN (0, 3)", name="decided"),
        CheckConstraint("proposed_by_id IS NOT NULL OR outcome IN ('returned', 'reversed')", name="proposed_by"),
        CheckConstraint("(outcome = 'accepted') = (remote_id IS NOT NULL)", name="accepted_has_remote_id"),
        Index("uq_payout_resolution_open", "attempt_id", unique=True, postgresql_where="decided_at IS NULL"),
    )

    id: Mapped[Id]
    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("payout_attempt.id"), index=True)
    outcome: Mapped[Outcome]
    remote_id: Mapped[str | None]
    """The bank's or rail's own reference of the payment."""
    evidence_id: Mapped[UUID] = mapped_column(ForeignKey("stored_file.id"))
    note: Mapped[str]
    proposed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    """None: the provider's own list of movements says that the money came back."""
    proposed_at: Mapped[Utc]
    decided_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    decided_at: Mapped[datetime | None]
    confirmed: Mapped[bool | None]

    attempt: Mapped[PayoutAttempt] = relationship(back_populates="resolutions")
    evidence: Mapped[StoredFile] = relationship()
    proposed_by: Mapped[Person | None] = relationship(foreign_keys=[proposed_by_id])
    decided_by: Mapped[Person | None] = relationship(foreign_keys=[decided_by_id])

    @property
    def said_by(self) -> str:
        """Whose finding it is, in words."""
        return self.proposed_by.name if self.proposed_by else "The provider"
