"""Ending an invoice whose account at the provider is gone.

Under another key or account the provider neither knows nor voids it, and while it counts as open here the company can pay no
other way. That nobody can pay it there any more only people can find out: one says so with evidence, another confirms.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit
from core.errors import DomainError, InvalidInput, NotFound
from core.files import StoredFile
from core.identity import access
from core.identity.models import Person, Role
from pledge import queries
from pledge.models import InvoiceEnding, InvoiceStanding, InvoiceWish, PayIn, PayInInvoice
from pledge.policies import pay_ins as policy
from pledge.services import invoice_states, pay_ins


class KnownThere(DomainError):
    """The provider was not seen to know this invoice no longer, so it is withdrawn there."""

    code = "invoice_known_there"


class EndingAsked(DomainError):
    """Somebody asked for it already."""

    code = "invoice_ending_asked"


class OwnEnding(DomainError):
    """Whoever says that nobody can pay it does not confirm it."""

    code = "own_invoice_ending"


def ask(session: Session, pay_in_id: UUID, *, reason: str, evidence: StoredFile, actor: Person, now: datetime) -> InvoiceEnding:
    """Say that nobody can pay an invoice any more, though the provider can't be told; another person confirms.

    Raises:
        NotAllowed: the actor is not in finance.
        KnownThere: the provider knows it, or it waits for no payment.
        EndingAsked: that waits for a second person.
        InvalidInput: no reason.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    pay_in = queries.locked_pay_in(session, pay_in_id)
    invoice = _lost(pay_in)
    if not reason.strip():
        raise InvalidInput("Say why nobody can pay it any more.", field="reason")
    if invoice.ending is not None:
        raise EndingAsked("Somebody asked for it already. Another person of finance confirms or declines it.")
    session.flush()
    made = InvoiceEnding(
        pay_in_id=pay_in.id, reason=reason.strip(), evidence_file_id=evidence.id, asked_by_id=actor.id, asked_at=now
    )
    invoice.ending = made
    session.flush()
    audit.record(session, "invoice.ending_asked", pay_in, actor=actor, at=now, reason=made.reason)
    return made


def confirmable(session: Session, pay_in_id: UUID, *, actor: Person, now: datetime) -> InvoiceEnding:
    """What this person may confirm by what is known here. The provider is asked next: a key may have been put right since.

    Raises:
        NotAllowed: the actor is not in finance.
        NotFound: nobody asked for it.
        OwnEnding: the actor did.
        KnownThere: the provider knows it again, or it waits for no payment.
    """
    pay_in, ending = _asked(session, pay_in_id, actor=actor, now=now)
    if ending.asked_by_id == actor.id:
        raise OwnEnding("You said that nobody can pay it; another person of finance confirms that.")
    _lost(pay_in)
    return ending


def confirm(session: Session, pay_in_id: UUID, *, actor: Person, now: datetime) -> PayIn:
    """End it here, as the second person; what is not paid can be paid another way.

    The caller has just asked the provider, and it does not know it: nothing ends it there after this.

    Raises:
        DomainError: as for `confirmable`.
    """
    ending = confirmable(session, pay_in_id, actor=actor, now=now)
    pay_in = queries.locked_pay_in(session, pay_in_id)
    invoice = _lost(pay_in)
    ending.confirmed_by_id, ending.confirmed_at = actor.id, now
    if invoice.wish is InvoiceWish.SENT:
        invoice.wish = InvoiceWish.WITHDRAWN
    audit.record(session, "invoice.ending_confirmed", pay_in, actor=actor, at=now, reason=ending.reason)
    invoice_states.move(session, invoice, InvoiceStanding.VOID, now=now)
    pay_ins.expire(session, pay_in_id, now=now, reason=ending.reason)
    pay_in.problem = None  # such as a debit that bounced before
    return pay_in


def decline(session: Session, pay_in_id: UUID, *, actor: Person, now: datetime) -> None:
    """It does not convince, or its author takes it back; somebody can ask again, with other evidence.

    Raises:
        NotAllowed: the actor is not in finance.
        NotFound: nobody asked for it.
    """
    pay_in, ending = _asked(session, pay_in_id, actor=actor, now=now)
    audit.record(session, "invoice.ending_declined", pay_in, actor=actor, at=now, reason=ending.reason)
    session.delete(ending)
    session.flush()
    session.expire(pay_in.invoice)


def _asked(session: Session, pay_in_id: UUID, *, actor: Person, now: datetime) -> tuple[PayIn, InvoiceEnding]:
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    pay_in = queries.locked_pay_in(session, pay_in_id)
    ending = pay_in.invoice.ending if pay_in.invoice is not None else None
    if ending is None or ending.confirmed_at is not None:
        raise NotFound("Nobody asked for this, or somebody decided about it. The payment's page shows where it stands.")
    return pay_in, ending


def _lost(pay_in: PayIn) -> PayInInvoice:
    invoice = pay_in.invoice
    if invoice is None or not policy.waits_for_payment(pay_in) or invoice.unknown_since is None:
        raise KnownThere(
            "Only an invoice that waits for a payment, and that the provider does not know any more, is ended here. Ask Stripe "
            "now; if it knows it, withdraw it."
        )
    return invoice
