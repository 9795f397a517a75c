"""Reads of what is paid through the provider: pay-ins, invoices, refunds, customers and notices."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.identity.models import Person
from pledge.models import (
    PAYABLE_INVOICES,
    UNENDED_INVOICES,
    PayIn,
    PayInInvoice,
    PayInRefund,
    PayInStatus,
    Pledge,
    PledgeInstalment,
    PledgeMember,
    RefundStatus,
    StripeCustomer,
    StripeEvent,
)


def pay_in(session: Session, pay_in_id: UUID) -> PayIn:
    """One pay-in, to look at.

    Raises:
        NotFound: no such pay-in.
    """
    found = session.get(PayIn, pay_in_id)
    if found is None:
        raise NotFound("There is no such pay-in.")
    return found


def locked_pay_in(session: Session, pay_in_id: UUID) -> PayIn:
    """The pay-in, locked: what the provider says is applied one answer at a time.

    Raises:
        NotFound: no such pay-in.
    """
    found = session.get(PayIn, pay_in_id, with_for_update={"of": PayIn}, populate_existing=True)
    if found is None:
        raise NotFound("There is no such pay-in.")
    return found


def latest_customer(session: Session, organisation_id: UUID) -> StripeCustomer | None:
    """The company as the provider knew it last."""
    newest = (StripeCustomer.created_at.desc(), StripeCustomer.customer_id.desc())
    return session.scalars(
        select(StripeCustomer).where(StripeCustomer.organisation_id == organisation_id).order_by(*newest).limit(1)
    ).first()


def customers_of(session: Session, organisation_id: UUID) -> set[str]:
    """Every id of a company at the provider."""
    found = select(StripeCustomer.customer_id).where(StripeCustomer.organisation_id == organisation_id)
    return set(session.scalars(found))


def existing_pay_in(session: Session, pay_in_id: UUID) -> UUID | None:
    """The id, if a pay-in has it: metadata at the provider may name one of another installation."""
    return session.scalar(select(PayIn.id).where(PayIn.id == pay_in_id))


def refund(session: Session, refund_id: UUID) -> PayInRefund:
    """One refund, to look at.

    Raises:
        NotFound: no such refund.
    """
    found = session.get(PayInRefund, refund_id)
    if found is None:
        raise NotFound("There is no such refund.")
    return found


def locked_refund(session: Session, refund_id: UUID) -> PayInRefund:
    """The refund, locked: it is approved and sent once.

    Raises:
        NotFound: no such refund.
    """
    found = session.get(PayInRefund, refund_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound("There is no such refund.")
    return found


def refunds_to_approve(session: Session, person: Person) -> int:
    """How many refunds wait for somebody who did not ask for them."""
    waiting = select(func.count()).where(PayInRefund.status == RefundStatus.ASKED, PayInRefund.asked_by_id != person.id)
    return session.scalar(waiting) or 0


def disputed_pay_ins(session: Session) -> int:
    """How many pay-ins a bank wants back."""
    return session.scalar(select(func.count()).where(PayIn.status == PayInStatus.DISPUTED)) or 0


def pay_in_by_object(session: Session, object_id: str) -> PayIn | None:
    """The pay-in whose session, invoice or payment at the provider this is."""
    places = (PayIn.session_id == object_id, PayIn.payment_id == object_id, PayInInvoice.invoice_id == object_id)
    return session.scalars(select(PayIn).outerjoin(PayIn.invoice).where(or_(*places))).first()


def unfinished_pay_ins(session: Session) -> Sequence[UUID]:
    """Pay-ins that may still change by themselves, the oldest first: with a page, or with an invoice that has not ended."""
    unfinished = PayIn.status.in_((PayInStatus.OPEN, PayInStatus.PROCESSING, PayInStatus.PAID))
    by_page = and_(unfinished, PayIn.session_id.is_not(None))
    by_invoice = and_(PayInInvoice.pay_in_id.is_not(None), or_(unfinished, PayInInvoice.standing.in_(UNENDED_INVOICES)))
    query = select(PayIn.id).outerjoin(PayIn.invoice).where(or_(by_page, by_invoice))
    return session.scalars(query.order_by(PayIn.started_at)).all()


def overdue_invoices(session: Session, *, on: date) -> Sequence[PayIn]:
    """Invoices that should have been paid by now, the longest overdue first."""
    late = (PayInInvoice.standing.in_(PAYABLE_INVOICES), PayInInvoice.due_on < on)
    return session.scalars(select(PayIn).join(PayIn.invoice).where(*late).order_by(PayInInvoice.due_on, PayIn.id)).all()


def latest_invoice_of(session: Session, organisation_id: UUID) -> PayInInvoice | None:
    """The invoice that a company asked for last: whom it names is likely right for the next one, too."""
    mine = select(PayInInvoice).join(PayInInvoice.pay_in).join(PayIn.instalment).join(PledgeInstalment.pledge).join(Pledge.member)
    newest = mine.where(PledgeMember.organisation_id == organisation_id).order_by(PayIn.started_at.desc())
    return session.scalars(newest.limit(1)).first()


def recent_pay_ins(session: Session, *, limit: int = 100) -> Sequence[PayIn]:
    """Pay-ins through the provider, those that need eyes first, then the newest."""
    trouble = PayIn.status.in_((PayInStatus.DISPUTED, PayInStatus.LOST, PayInStatus.FAILED))
    return session.scalars(select(PayIn).order_by(trouble.desc(), PayIn.started_at.desc()).limit(limit)).all()


def waiting_events(session: Session, *, before: datetime | None = None, limit: int = 1000) -> Sequence[StripeEvent]:
    """Notices nobody has handled, of those that came before a moment if it is given; the longest waiting first."""
    query = select(StripeEvent).where(StripeEvent.handled_at.is_(None))
    if before is not None:
        query = query.where(StripeEvent.received_at < before)
    return session.scalars(query.order_by(StripeEvent.received_at).limit(limit)).all()


def latest_event_at(session: Session) -> datetime | None:
    """By the provider's clock, the newest notice known here."""
    return session.scalar(select(func.max(StripeEvent.created_at)))
