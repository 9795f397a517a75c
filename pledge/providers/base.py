"""All that services know of a payment provider: pages to pay at, and what its objects say now."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from core.errors import DomainError
from core.money import Money
from pledge.models import MovementKind
from pledge.providers.invoicing import Invoices, InvoiceSeen


class ProviderSilent(DomainError):
    """The payment provider gave no clear answer; whatever it did is found out by looking, never by doing it again."""

    code = "provider_silent"
    status = 503


class AnswerKept(ProviderSilent):
    """An unclear answer that the provider saved under the key: asked again under it, it says the same for a day."""

    code = "answer_kept"


class ProviderRefused(DomainError):
    """The payment provider said no, and nothing happened."""

    code = "provider_refused"


class KeyRefused(ProviderRefused):
    """The provider refuses our key: nobody can do anything there until an administrator puts it right."""

    code = "key_refused"


class CustomerUnknown(ProviderRefused):
    """The provider does not know this customer: it was made under another key or account."""

    code = "customer_unknown"


class NotThere(ProviderRefused):
    """The provider does not know what we ask about: it was made under another key or account."""

    code = "not_there"


@dataclass(frozen=True, slots=True)
class PageWanted:
    """A page where one pay-in can be paid."""

    pay_in_id: UUID
    key: str
    """Idempotency: asked again under it, the provider answers with the same page."""
    money: Money
    customer_id: str
    reference: str
    """What the company's people know it by."""
    title: str
    methods: tuple[str, ...]
    """In the provider's words."""
    transfer: str | None
    """The kind of account a bank transfer goes to."""
    transfer_country: str | None
    return_url: str
    cancel_url: str


@dataclass(frozen=True, slots=True)
class PayPage:
    """A page that can be paid, once."""

    session_id: str
    url: str
    expires_at: datetime


class Standing(enum.StrEnum):
    """What the payer and the provider have done so far."""

    OPEN = "open"
    EXPIRED = "expired"
    ON_ITS_WAY = "on_its_way"
    FAILED = "failed"
    ARRIVED = "arrived"


@dataclass(frozen=True, slots=True)
class Movement:
    """A movement on our balance there, as its own books say."""

    id: str
    kind: MovementKind
    gross: Money
    fee: Money
    source: str
    happened_at: datetime
    available_at: datetime


@dataclass(frozen=True, slots=True)
class Dispute:
    """The payer's bank wants the money back."""

    id: str
    money: Money
    open: bool
    """Not decided yet. An inquiry that took nothing is not open either: nothing is withheld."""
    reason: str


@dataclass(frozen=True, slots=True)
class RefundWanted:
    """Money to send back to who paid it."""

    refund_id: UUID
    payment_id: str
    money: Money
    key: str


class RefundStanding(enum.StrEnum):
    """What became of a refund there."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RefundSeen:
    """A refund there. `refund_id` None: somebody made it in the provider's own dashboard."""

    id: str
    refund_id: UUID | None
    standing: RefundStanding
    wants_details: bool = False
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the provider says about one pay-in at one moment."""

    standing: Standing
    payment_id: str | None = None
    pay_in_id: UUID | None = None
    """Whose payment it is, by what we wrote on it; like the customer and the currency, read off the payment itself."""
    customer_id: str | None = None
    currency: str | None = None
    method: str | None = None
    paid_on: date | None = None
    missing: Money | None = None
    failure: str | None = None
    movements: Sequence[Movement] = ()
    unknown: Sequence[str] = ()
    """Movements that it can't tell the meaning of, in words."""
    disputes: Sequence[Dispute] = ()
    refunds: Sequence[RefundSeen] = ()
    surplus: Money | None = None
    invoice: InvoiceSeen | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """An event of the provider: where to look."""

    id: str
    type: str
    object_type: str
    object_id: str
    created_at: datetime
    api_version: str | None
    live: bool


class Provider(Invoices, Protocol):
    """A payment provider."""

    title: str
    live: bool
    """Real money."""

    def create_customer(self, *, name: str, metadata: Mapping[str, str], key: str) -> str:
        """A company there. Raises ProviderSilent, ProviderRefused."""

    def open_page(self, wanted: PageWanted) -> PayPage:
        """A page to pay at. Raises ProviderSilent, ProviderRefused, CustomerUnknown."""

    def close_page(self, session_id: str) -> None:
        """Nobody can pay there any more; nothing to do if it is closed or paid. Raises ProviderSilent, ProviderRefused."""

    def cancel(self, payment_id: str) -> None:
        """Stop waiting for a payment; nothing to do if it came or was cancelled. Raises ProviderSilent, ProviderRefused."""

    def look(self, session_id: str) -> Snapshot:
        """What is true now of what is paid at a page. Raises ProviderSilent, ProviderRefused, NotThere."""

    def look_at_invoice(self, invoice_id: str) -> Snapshot:
        """What is true now of what is paid by an invoice. Raises ProviderSilent, ProviderRefused, NotThere."""

    def refund(self, wanted: RefundWanted) -> None:
        """Send money back, once per key. Raises ProviderSilent, ProviderRefused."""

    def refunds_of(self, payment_id: str) -> Sequence[RefundSeen]:
        """Every refund of a payment. Raises ProviderSilent, ProviderRefused."""

    def pay_in_of(self, object_type: str, object_id: str) -> UUID | None:
        """Whose object this is, by the provider's own word; None if none of ours. Raises ProviderSilent, ProviderRefused."""

    def notices_since(self, moment: datetime) -> Iterable[Notice]:
        """Events since then, oldest first; kept there for 30 days. Raises ProviderSilent, ProviderRefused."""
