"""Invoices of the provider for an instalment: asked for by the company, made by a worker, withdrawn or ended when paid elsewhere.

What is wanted is written down first; a worker brings it about and looks at what became of it. Killed at any step, the next one
takes that step again: under the same key it does nothing twice, and what is there already is found.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit
from core.errors import DomainError, InvalidInput
from core.identity import access
from core.identity.models import Person, Role
from core.tasks import enqueue
from pledge import queries, terms
from pledge.models import (
    UNENDED_INVOICES,
    InvoiceStanding,
    InvoiceWish,
    PayIn,
    PayInInvoice,
    PayInStatus,
    PledgeInstalment,
)
from pledge.policies import pay_ins as policy
from pledge.providers.base import AnswerKept, CustomerUnknown, KeyRefused, NotThere, Provider, ProviderRefused
from pledge.providers.invoicing import Billing, InvoiceWanted
from pledge.services import customers, invoice_states, pay_ins
from pledge.services.pay_ins import LookAt, Sessions

ROUNDS_MAX = 3
PO_NUMBER_MAX = 140
"""Characters that the provider prints."""
E_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
NEVER_FINAL = frozenset({InvoiceStanding.DRAFT, InvoiceStanding.NOT_MADE})


class NoInvoices(DomainError):
    """Nobody can ask for an invoice in this currency here."""

    code = "no_invoices"


class NotWithdrawable(DomainError):
    """This invoice is paid, on its way to be, or ended."""

    code = "invoice_not_withdrawable"


class NotBroughtAbout(DomainError):
    """The provider's invoice is not as it is wanted, though every step was taken; the next try looks again."""

    code = "invoice_not_brought_about"


class Deed(Enum):
    """What is left to do at the provider."""

    SEND = auto()
    WITHDRAW = auto()
    END_PAID = auto()


@dataclass(frozen=True, slots=True)
class Todo:
    """A deed, and everything it needs, read before the provider is asked."""

    deed: Deed
    invoice_id: str | None
    standing: InvoiceStanding
    organisation_id: UUID
    name: str
    wanted: InvoiceWanted


def ask(
    session: Session,
    instalment_id: UUID,
    *,
    po_number: str | None,
    billing: Billing,
    actor: Person,
    now: datetime,
) -> PayIn:
    """Ask for an invoice over what is outstanding, as much as one charge takes. A worker makes and sends it.

    Raises:
        NotPayable: nothing is outstanding, or another way of paying it is open.
        NoInvoices: not in this currency.
        InvalidInput: the PO number is too long, or the address can't be used.
    """
    _require_billing(billing)
    po_number = (po_number or "").strip() or None
    if po_number and (len(po_number) > PO_NUMBER_MAX or not po_number.isprintable()):
        raise InvalidInput(f"A PO number is one line of at most {PO_NUMBER_MAX} characters.", field="po_number")
    currency = queries.instalment(session, instalment_id).currency
    known = terms.book().on(currency, now.date())
    if known is None or not known.invoice:
        raise NoInvoices(f"Invoices can't be asked for in {currency} here. Pay online now, or send a bank transfer.")
    pay_in = pay_ins.start_invoice(session, instalment_id, actor=actor, now=now)
    pay_in.invoice = PayInInvoice(
        po_number=po_number,
        **{name: getattr(billing, name) for name in Billing.__slots__},
        due_days=known.due_days,
        wish=InvoiceWish.SENT,
        standing=InvoiceStanding.NOT_MADE,
        tries=1,
    )
    session.flush()
    audit.record(session, "invoice.asked", pay_in, actor=actor, at=now, amount=str(pay_in.money))
    enqueue(session, LookAt(pay_in.id), now=now, dedupe_key=f"{pay_in.id}:invoice")
    return pay_in


def withdraw(session: Session, pay_in_id: UUID, *, actor: Person, reason: str | None = None, now: datetime) -> PayIn:
    """Withdraw an invoice that nobody has paid: the company its own, or finance, with a reason.

    Raises:
        NotAllowed: neither.
        NotWithdrawable: it is paid, on its way to be, ended, or, for the company, partly transferred.
    """
    pay_in = queries.locked_pay_in(session, pay_in_id)
    in_finance = access.has_role(session, actor, Role.FINANCE, on=now.date())
    if not in_finance:
        organisation_id = pay_in.instalment.member.organisation_id
        access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=organisation_id, on=now.date())
    invoice = pay_in.invoice
    if invoice is None or not policy.waits_for_payment(pay_in) or invoice.wish is InvoiceWish.PAID_ELSEWHERE:
        raise NotWithdrawable("This invoice is paid, on its way to be, or ended; its line says which.")
    if pay_in.missing_minor and not in_finance:
        raise NotWithdrawable("A part of your transfer lies at Stripe already. Send the rest, or ask finance to return it.")
    invoice.wish = InvoiceWish.WITHDRAWN
    audit.record(session, "invoice.withdrawal_asked", pay_in, actor=actor, at=now, reason=reason)
    enqueue(session, LookAt(pay_in.id), now=now, dedupe_key=f"{pay_in.id}:invoice")
    return pay_in


def end_as_paid_elsewhere(session: Session, instalment: PledgeInstalment, *, now: datetime) -> None:
    """Two people found an instalment's money on our bank account: its invoices shall wait for nothing more."""
    for pay_in in instalment.pay_ins:
        if pay_in.invoice is not None and pay_in.invoice.standing in UNENDED_INVOICES:
            pay_in.invoice.wish = InvoiceWish.PAID_ELSEWHERE
            audit.record(session, "invoice.found_elsewhere", pay_in, actor=None, at=now, amount=str(pay_in.money))
            enqueue(session, LookAt(pay_in.id), now=now, dedupe_key=f"{pay_in.id}:invoice")


def tend(sessions: Sessions, provider: Provider, pay_in_id: UUID, *, clock: Callable[[], datetime]) -> None:
    """Bring about what is wanted of a pay-in's invoice, if it has one; then look at it. No transaction is open meanwhile.

    Raises:
        NotBroughtAbout: others change it there all the time.
        ProviderSilent, ProviderRefused, NotThere, LookedMeanwhile: the next try finds out.
    """
    for _ in range(ROUNDS_MAX):
        refused: ProviderRefused | None = None
        try:
            _bring_about(sessions, provider, pay_in_id, clock=clock)
        except KeyRefused:
            raise
        except NotThere:
            with sessions() as session:
                pay_ins.expire_unknown(session, pay_in_id, now=clock())
            raise
        except AnswerKept:
            _take_another_key(sessions, pay_in_id)
            raise
        except ProviderRefused as error:
            _take_another_key(sessions, pay_in_id)
            refused = error  # a debit may be on its way: what is there now says whether that is the reason
        pay_ins.look(sessions, provider, pay_in_id, clock=clock)
        with sessions() as session:
            if _todo(queries.pay_in(session, pay_in_id)) is None:
                return
        if refused is not None:
            raise refused
    raise NotBroughtAbout("Stripe's invoice is still not as it is wanted here. Look at it in Stripe's dashboard.")


def _bring_about(sessions: Sessions, provider: Provider, pay_in_id: UUID, *, clock: Callable[[], datetime]) -> None:
    with sessions() as session:
        todo = _todo(queries.pay_in(session, pay_in_id))
    if todo is None:
        return
    if todo.deed is Deed.SEND:
        _send(sessions, provider, todo, clock=clock)
    elif todo.deed is Deed.END_PAID and todo.invoice_id is not None and todo.standing not in NEVER_FINAL:
        provider.end_paid_invoice(todo.invoice_id, key=todo.wanted.key)
    else:
        _withdraw(sessions, provider, todo, clock=clock)


def _take_another_key(sessions: Sessions, pay_in_id: UUID) -> None:
    """Errors and refusals are kept under a key for a day, and answered again."""
    with sessions() as session:
        _invoice(session, pay_in_id).tries += 1


def _todo(pay_in: PayIn) -> Todo | None:
    """What is left to do. Nothing while money is on its way or there: then the provider's own word decides."""
    invoice = pay_in.invoice
    if invoice is None or pay_in.status not in {PayInStatus.OPEN, PayInStatus.FAILED} or invoice.standing not in UNENDED_INVOICES:
        return None
    deed = {InvoiceWish.WITHDRAWN: Deed.WITHDRAW, InvoiceWish.PAID_ELSEWHERE: Deed.END_PAID}.get(invoice.wish, Deed.SEND)
    if deed is Deed.SEND and (pay_in.status is PayInStatus.FAILED or invoice.sent_at or invoice.not_sent):
        return None
    organisation = pay_in.instalment.member.organisation
    return Todo(deed, invoice.invoice_id, invoice.standing, organisation.id, organisation.name, _wanted(pay_in, invoice))


def _wanted(pay_in: PayIn, invoice: PayInInvoice) -> InvoiceWanted:
    """Everything that the invoice says; the same at every try, for a key goes with its request."""
    known = terms.book().on(pay_in.currency, pay_in.started_at.date())
    assert known is not None, "asked for in a currency that invoices are made in"
    return InvoiceWanted(
        pay_in_id=pay_in.id,
        key=f"pw-invoice-{pay_in.id}-{invoice.tries}",
        money=pay_in.money,
        customer_id=invoice.customer_id or "",
        title=pay_ins.title_of(pay_in),
        po_number=invoice.po_number,
        due_days=invoice.due_days,
        billing=Billing(**{name: getattr(invoice, name) for name in Billing.__slots__}),
        methods=known.invoice,
        transfer=known.transfer if terms.TRANSFER in known.invoice else None,
        transfer_country=known.transfer_country,
    )


def _send(sessions: Sessions, provider: Provider, todo: Todo, *, clock: Callable[[], datetime]) -> None:
    pay_in_id, invoice_id, wanted = todo.wanted.pay_in_id, todo.invoice_id, todo.wanted
    try:
        if invoice_id is None:
            invoice_id, wanted = _draft(sessions, provider, todo, clock=clock)
            with sessions() as session:
                still_wanted = _keep_draft(session, pay_in_id, invoice_id, now=clock())
            if not still_wanted:
                provider.withdraw_invoice(invoice_id)
                return
        provider.issue_invoice(invoice_id, wanted)
    except (KeyRefused, NotThere):
        raise
    except ProviderRefused as error:
        with sessions() as session:
            _give_up(session, pay_in_id, error.message, now=clock())
        return
    problem: str | None = None
    try:
        provider.send_invoice(invoice_id, wanted)
    except KeyRefused:
        raise
    except ProviderRefused as error:
        problem = error.message  # it can be paid all the same: its page is on ours
    with sessions() as session:
        _note_sent(session, pay_in_id, problem, now=clock())


def _draft(sessions: Sessions, provider: Provider, todo: Todo, *, clock: Callable[[], datetime]) -> tuple[str, InvoiceWanted]:
    """A draft at the provider, under a customer that it knows: after a change of its key or account, a new one."""
    wanted = todo.wanted
    if not wanted.customer_id:
        wanted = _named(sessions, provider, todo, instead_of=None, clock=clock)
    try:
        return provider.draft_invoice(wanted), wanted
    except CustomerUnknown:
        wanted = _named(sessions, provider, todo, instead_of=wanted.customer_id, clock=clock)
        return provider.draft_invoice(wanted), wanted


def _named(
    sessions: Sessions, provider: Provider, todo: Todo, *, instead_of: str | None, clock: Callable[[], datetime]
) -> InvoiceWanted:
    """The company as the provider knows it, kept with the invoice before it is used."""
    with sessions() as session:
        organisation = queries.pay_in(session, todo.wanted.pay_in_id).instalment.member.organisation
        customer_id = customers.customer_of(session, organisation)
    if customer_id in {None, instead_of}:
        customer_id = customers.made(provider, todo.organisation_id, todo.name, key=f"{todo.wanted.key}-{instead_of or 'first'}")
    with sessions() as session:
        pay_in = queries.locked_pay_in(session, todo.wanted.pay_in_id)
        assert pay_in.invoice is not None, "an invoice is drafted"
        assert customer_id is not None, "it was made, if it was not known"
        organisation = pay_in.instalment.member.organisation
        pay_in.invoice.customer_id = customers.remember_customer(
            session, organisation, customer_id, instead_of=instead_of, now=clock()
        )
        if instead_of is not None:
            pay_in.invoice.tries += 1  # another customer is another request, so it takes another key
        session.flush()
        return _wanted(pay_in, pay_in.invoice)


def _withdraw(sessions: Sessions, provider: Provider, todo: Todo, *, clock: Callable[[], datetime]) -> None:
    """Void it; where it was never made final nothing is left of it, and nobody can look at it any more."""
    invoice_id = todo.invoice_id
    if invoice_id is None and todo.wanted.customer_id:
        invoice_id = provider.find_invoice(todo.wanted.pay_in_id, todo.wanted.customer_id)
    gone = invoice_id is None
    if invoice_id is not None:
        try:
            gone = provider.withdraw_invoice(invoice_id)
        except NotThere:
            if todo.standing not in NEVER_FINAL:
                raise
            gone = True  # thrown away before, and the worker that did it died
    if gone:
        with sessions() as session:
            _note_gone(session, todo.wanted.pay_in_id, now=clock())


def _keep_draft(session: Session, pay_in_id: UUID, invoice_id: str, *, now: datetime) -> bool:
    """False if it was withdrawn while the provider made it."""
    invoice = _invoice(session, pay_in_id)
    if invoice.wish is not InvoiceWish.SENT or invoice.standing is InvoiceStanding.VOID:
        return False
    invoice.invoice_id = invoice_id
    if invoice.standing is InvoiceStanding.NOT_MADE:
        invoice_states.move(session, invoice, InvoiceStanding.DRAFT, now=now)
    return True


def _note_sent(session: Session, pay_in_id: UUID, problem: str | None, *, now: datetime) -> None:
    invoice = _invoice(session, pay_in_id)
    if problem is None:
        invoice.sent_at, invoice.not_sent = now, None
        audit.record(session, "invoice.sent", invoice.pay_in, actor=None, at=now)
    elif invoice.sent_at is None:
        invoice.not_sent = problem
        audit.record(session, "invoice.not_sent", invoice.pay_in, actor=None, at=now, reason=problem)


def _give_up(session: Session, pay_in_id: UUID, problem: str, *, now: datetime) -> None:
    """The provider refuses what the invoice says. The company sees why and can ask for another; a draft is thrown away."""
    pay_in = pay_ins.fail(session, pay_in_id, problem, now=now)
    assert pay_in.invoice is not None, "its invoice was refused"
    pay_in.invoice.wish = InvoiceWish.WITHDRAWN


def _note_gone(session: Session, pay_in_id: UUID, *, now: datetime) -> None:
    invoice = _invoice(session, pay_in_id)
    invoice_states.move(session, invoice, InvoiceStanding.VOID, now=now)
    invoice.invoice_id = None  # there is nothing to look at
    if invoice.pay_in.status is PayInStatus.OPEN:
        pay_ins.expire(session, pay_in_id, now=now)


def _invoice(session: Session, pay_in_id: UUID) -> PayInInvoice:
    invoice = queries.locked_pay_in(session, pay_in_id).invoice
    assert invoice is not None, "only pay-ins with an invoice come here"
    return invoice


def _require_billing(billing: Billing) -> None:
    for name in ("name", "email", "line1", "city"):
        if not getattr(billing, name).strip():
            raise InvalidInput("An invoice needs a name, an e-mail address, a street and a city.", field=name)
    if not E_MAIL.fullmatch(billing.email):
        raise InvalidInput("Enter an e-mail address, such as invoices@example.com.", field="email")
    if not re.fullmatch("[A-Z]{2}", billing.country):
        raise InvalidInput("Enter the country as two capitals, such as US.", field="country")
