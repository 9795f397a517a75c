"""What the state of an invoice means, and what whoever reads it does next."""

from collections.abc import Mapping

from core.clock import today
from core.web import filters
from pledge.models import InvoiceStanding, InvoiceWish, PayIn, PayInInvoice, PayInStatus
from pledge.policies import pay_ins as policy

MAKING = "making"
OPEN = "open"
NOT_SENT = "not_sent"
OVERDUE = "overdue"
TOO_SMALL = "too_small"
AGAIN = "again"
WRITTEN_OFF = "uncollectible"
GONE = "unknown_there"
WITHDRAWING = "withdrawing"
ENDING = "ending"
WITHDRAWN = "withdrawn"
ELSEWHERE = "paid_elsewhere"

for word, tone in {
    WITHDRAWING: "neutral",
    ENDING: "neutral",
    ELSEWHERE: "good",
    MAKING: "info",
    WRITTEN_OFF: "warn",
    GONE: "warn",
}.items():
    filters.tone(word, tone)

FOR_COMPANY: Mapping[str, str] = {
    MAKING: "Stripe makes it and e-mails it to {email}. Load this page again in a few seconds.",
    OPEN: "It was e-mailed to {email} and is due on {due}. Pay at its page.",
    NOT_SENT: "Stripe could not e-mail it to {email} ({not_sent}) Open it here; it is due on {due}.",
    OVERDUE: "It was due on {due}. Pay it at its page; if something is wrong with it, withdraw it and ask for another.",
    TOO_SMALL: "A part of your transfer came, {missing} are missing. Send them to the same account: an invoice is paid whole "
    "or not at all.",
    AGAIN: "{problem} The invoice is still open: pay it again, with another account or another way, or withdraw it.",
    WRITTEN_OFF: "We no longer expect it to be paid. It still can be; or withdraw it to pay another way.",
    GONE: "Stripe does not know it under our account of today. Do not pay it. Finance ends it; then you can pay another way.",
    WITHDRAWING: "It is being withdrawn. Do not pay it; load this page again in a few seconds.",
    ENDING: "Your money was found on our bank account, so the invoice is being closed. Do not pay it.",
    WITHDRAWN: "It was withdrawn before anybody paid, and can't be paid any more.",
    ELSEWHERE: "Paid to our bank account, not through Stripe. Nothing is left to do.",
}
FOR_FINANCE: Mapping[str, str] = {
    MAKING: "Stripe is being asked to make it. If it does not answer, it is asked again, once.",
    OPEN: "Waits for the company until {due}.",
    NOT_SENT: "Stripe could not e-mail it to {email} ({not_sent}) The company can open it on its page. Due on {due}.",
    OVERDUE: "It was due on {due}. Ask the company, at {email}; or withdraw it.",
    TOO_SMALL: "The company's transfer was {missing} too small; what came lies in its cash balance at Stripe, not on ours. The "
    "company sees that.",
    AGAIN: "{problem} The invoice is open; the company sees why, and can pay again.",
    WRITTEN_OFF: "Written off in Stripe's dashboard. It can still be paid; withdraw it if it shall not be.",
    GONE: "Stripe does not know it under the key of today: it was made under another key or account. If that account can still "
    "be used, void it there. Then, or if the account is gone, end it here: one person with evidence, another confirms.",
    WITHDRAWING: "It is being withdrawn.",
    ENDING: "The money was found on our bank account. Stripe is being told that the invoice was paid elsewhere.",
    WITHDRAWN: "Withdrawn before anybody paid.",
    ELSEWHERE: "Paid to our bank account; ended at Stripe as paid elsewhere, and booked once, from the bank statement.",
}
assert FOR_COMPANY.keys() == FOR_FINANCE.keys()


def key_of(row: PayIn) -> str | None:
    """What its invoice says of a pay-in; None once money is on its way or came, for then the pay-in itself says more."""
    invoice = row.invoice
    if invoice is None:
        return None
    if invoice.standing is InvoiceStanding.PAID_ELSEWHERE:
        return ELSEWHERE
    if invoice.standing is InvoiceStanding.VOID and row.status is PayInStatus.EXPIRED:
        return WITHDRAWN
    if not policy.waits_for_payment(row):
        return None
    return _waiting(row, invoice)


def _waiting(row: PayIn, invoice: PayInInvoice) -> str:
    found = [
        (GONE, invoice.unknown_since is not None),
        (WITHDRAWING, invoice.wish is InvoiceWish.WITHDRAWN),
        (ENDING, invoice.wish is InvoiceWish.PAID_ELSEWHERE),
        (TOO_SMALL, bool(row.missing_minor)),
        (AGAIN, row.status is PayInStatus.FAILED),
        (MAKING, not invoice.is_payable),
        (WRITTEN_OFF, invoice.standing is InvoiceStanding.UNCOLLECTIBLE),
        (OVERDUE, invoice.is_overdue(today())),
        (NOT_SENT, invoice.not_sent is not None),
    ]
    return next((key for key, holds in found if holds), OPEN)
