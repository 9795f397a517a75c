"""What an instalment that the provider collected counts for in the pledge: the money that settled and stayed."""

from datetime import datetime

from sqlalchemy.orm import Session

from core import audit, ledger
from core.config import settings
from core.money import Money
from pledge import queries
from pledge.models import PayIn, PaymentChannel, PledgeInstalment, PledgePayment, PledgeRule
from pledge.services.pay_in_postings import arrival_key
from pledge.services.payments import PaymentInput, make


def count(session: Session, instalment: PledgeInstalment, *, now: datetime) -> None:
    """Make the pledge's payment of this instalment say what settled and stayed. What it said before stays, superseded."""
    nothing = Money(0, instalment.currency)
    settled = [each for each in instalment.pay_ins if each.settled_at is not None and each.kept > nothing]
    worth = sum((each.kept for each in settled), nothing)
    standing = queries.payment_of_instalment(session, instalment)
    if worth == (standing.money if standing else nothing):
        return
    if standing is not None:
        standing.superseded_at = now
        standing.superseded_reason = f"{worth} of the instalment settled and stayed; it is {instalment.status.replace('_', ' ')}."
        session.flush()
        audit.record(
            session, "payment.struck_out", standing, actor=None, at=now,
            reason=standing.superseded_reason, amount=str(standing.money),
        )  # fmt: skip
    if worth:
        fresh = _payment(session, instalment, settled[-1], worth, now=now)
        session.add(fresh)
        session.flush()
        audit.record(session, "payment.recorded", fresh, actor=None, at=now, amount=str(worth), eligible=fresh.eligible)


def _payment(session: Session, instalment: PledgeInstalment, last: PayIn, worth: Money, *, now: datetime) -> PledgePayment:
    pledge, paid_on = instalment.pledge, last.paid_on
    if paid_on is None or not pledge.starts_on <= paid_on <= pledge.ends_on:
        paid_on = last.started_at.date()  # begun in the period and charged just after it: a payment of the period
    entry = ledger.entry_by_key(session, arrival_key(last))
    assert entry is not None, "what settled has arrived, in the ledger"
    return make(
        pledge,
        PaymentInput(
            payee=f"Pledgeworks fund {instalment.fund}",
            project="Open-source projects, by the fund's programmes",
            money=worth,
            paid_on=paid_on,
            channel=PaymentChannel.PLEDGEWORKS,
            rule=PledgeRule.FOUNDATION,
            reason=f"Settled through the payment provider, reference {instalment.reference}.",
            evidence_url=f"{settings().base_url}/ledger/entries/{entry.id}",
        ),
        entered_by_id=last.started_by_id,
        instalment_id=instalment.id,
        now=now,
    )
