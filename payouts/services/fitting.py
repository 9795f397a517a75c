"""Whether a payout fits its rail: whole units with the rest carried, the largest payment, one payment per place and month.

What a rail can't pay because it pays whole units only is owed to the recipient still: the hold puts it on an account of the
recipient's own, and the recipient's next payout, on whatever rail, takes it along.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from core import ledger
from core.errors import DomainError
from core.money import Money
from payouts.models import Destination, Payout, PayoutStatus
from payouts.policies import leaving
from payouts.policies.ways import amount_need, amount_outside, terms_need
from payouts.rails.base import Rail
from payouts.terms import in_force


class DoesNotFitRail(DomainError):
    """The rail can't pay this amount."""

    code = "does_not_fit_rail"


class PaidThisMonth(DomainError):
    """The rail pays one place once a month, and another payout goes there in this one."""

    code = "paid_this_month"


def kept(session: Session, payouts: Iterable[Payout]) -> Mapping[UUID, int]:
    """What was carried for each payout's recipient and is not spoken for, by payout, in minor units."""
    codes = {payout.id: carried_account(payout) for payout in payouts}
    balances = ledger.balances_of(session, set(codes.values()))
    return {payout_id: balances[code].available for payout_id, code in codes.items() if code in balances}


def why_taken(
    session: Session, payout: Payout, place: Destination, rail: Rail, *, chosen: Mapping[str, Payout], now: datetime
) -> str | None:
    """Why a payout can't go to its place in this month, with those chosen for its run, by fingerprint; None if it may."""
    if not rail.capabilities.once_a_month:
        return None
    other = chosen.get(place.fingerprint) or _other_payment(session, payout, place, now=now, planned=True)
    return _why_not_again(rail, other) if other is not None else None


def divide(session: Session, payout: Payout, rail: Rail, *, now: datetime) -> None:
    """Decide how much of a payout leaves and how much is carried. The caller holds the lock of the limits.

    Raises:
        DoesNotFitRail: nothing would leave, or more than the rail pays at once.
        PaidThisMonth: another payment goes to this place in this month.
    """
    before = kept(session, [payout]).get(payout.id, 0)
    reason = _why_amount(payout, rail, before, now=now)
    if reason is not None:
        raise DoesNotFitRail(reason)
    assert payout.destination is not None, "an approved payout has a destination"
    if rail.capabilities.once_a_month:
        other = _other_payment(session, payout, payout.destination, now=now, planned=False)
        if other is not None:
            raise PaidThisMonth(_why_not_again(rail, other), payout=str(other.id))
    payout.carried_minor = payout.amount_minor - leaving(payout.amount_minor, before, rail.capabilities.unit_minor)


def legs(session: Session, payout: Payout) -> list[ledger.Leg]:
    """The transfers of a divided payout: what leaves, and what is put aside or taken along."""
    fund, cash, rest = payout.fund_account, _cash(payout), payout.carried_minor
    if rest == 0:
        return [ledger.Leg(debit=fund, credit=cash, amount=payout.amount_minor)]
    carried = _ensure_carried(session, payout)
    if rest < 0:
        return [
            ledger.Leg(debit=fund, credit=cash, amount=payout.amount_minor),
            ledger.Leg(debit=carried, credit=cash, amount=-rest),
        ]
    return [
        ledger.Leg(debit=fund, credit=cash, amount=payout.amount_minor - rest),
        ledger.Leg(debit=fund, credit=carried, amount=rest),
    ]


def legs_back(payout: Payout) -> list[ledger.Leg]:
    """The same transfers the other way round, for money that came back.

    What was carried may have left with a later payment. The account is then below zero: the recipient had it in advance,
    and its next payout is smaller by as much.
    """
    fund, cash, rest, carried = payout.fund_account, _cash(payout), payout.carried_minor, carried_account(payout)
    if rest == 0:
        return [ledger.Leg(debit=cash, credit=fund, amount=payout.amount_minor)]
    if rest < 0:
        return [
            ledger.Leg(debit=cash, credit=fund, amount=payout.amount_minor),
            ledger.Leg(debit=cash, credit=carried, amount=-rest),
        ]
    return [
        ledger.Leg(debit=cash, credit=fund, amount=payout.amount_minor - rest),
        ledger.Leg(debit=carried, credit=fund, amount=rest),
    ]


def _cash(payout: Payout) -> str:
    assert payout.cash_account is not None, "a payout whose money is reserved has the account that it leaves from"
    return payout.cash_account


def carried_account(payout: Payout) -> str:
    """The ledger account of what is carried for a recipient."""
    return f"liabilities:carried:{payout.recipient_id}:{payout.currency.lower()}"


def _ensure_carried(session: Session, payout: Payout) -> str:
    # No guard: see legs_back. Two payouts can't take the same cents along, because they are divided under the limits' lock.
    account = ledger.ensure_account(
        session, carried_account(payout), payout.currency, normal=ledger.Side.CREDIT, guard=ledger.Guard.NONE
    )
    return account.code


def _why_amount(payout: Payout, rail: Rail, before: int, *, now: datetime) -> str | None:
    """Checked again under lock, because what was kept before may have left meanwhile."""
    owed, name = payout.money, payout.recipient.name
    gross = Money(leaving(payout.amount_minor, before, rail.capabilities.unit_minor), payout.currency)
    need = amount_need(owed, before, gross, rail.capabilities, title=rail.title, payee=name)
    terms = in_force(rail.name, now.date())
    if terms is None:
        return terms_need(rail.title).words
    need = need or amount_outside(terms, owed, before, gross, payee=name)
    return need.words if need else None


def _other_payment(session: Session, payout: Payout, place: Destination, *, now: datetime, planned: bool) -> Payout | None:
    """Another payout that is on its way to this place, or reached it this month; or, `planned`, is in a run."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    taken = [Payout.status == PayoutStatus.RESERVED, Payout.paid_at >= month]
    if planned:
        taken.append(and_(Payout.run_id.is_not(None), Payout.status.in_([PayoutStatus.DRAFT, PayoutStatus.APPROVED])))
    return session.scalars(
        select(Payout)
        .join(Destination, Destination.id == Payout.destination_id)
        .where(Destination.fingerprint == place.fingerprint, Payout.id != payout.id, or_(*taken))
        .order_by(Payout.id)
        .limit(1)
    ).first()


def _why_not_again(rail: Rail, other: Payout) -> str:
    return (
        f"{rail.title} pays one place once a month, because two payments could not be told apart, and {other.money} to "
        f"{other.recipient.name} ({other.memo}) goes there in this one; pay this next month, or enter another destination."
    )
