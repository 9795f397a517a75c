"""The ledger's side of a pay-in through the provider.

Every balance transaction of the provider is one entry under its own id, so the account `assets:rail:stripe:<currency>` says what
the provider's books say, movement by movement. What arrived lies in `liabilities:unsettled:…` until we may use it; then it goes
to the fund, less the fee of receiving it. Nothing can be granted before.

Money taken back comes first out of what is unsettled, then out of the fund; what the fund has already given away is a shortfall
of the fund, filled by the next money that settles. What the provider takes beyond our balance there we owe it.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from core import ledger
from core.ledger import Entry, Guard, Leg, Side
from core.money import Money
from pledge.models import MovementKind, PayIn, PayInMovement
from pledge.providers.base import Movement

RAIL = "stripe"
RECEIVING = frozenset({MovementKind.ARRIVAL, MovementKind.PAYMENT_FAILED})


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of one fund's pay-ins in one currency."""

    stripe: str
    owed: str
    unsettled: str
    fund: str
    shortfall: str
    fees: str
    borne: str
    refunds: str


def accounts(fund: str, currency: str) -> Accounts:
    """Their codes."""
    code = currency.lower()
    return Accounts(
        stripe=f"assets:rail:{RAIL}:{code}",
        owed=f"liabilities:rail:{RAIL}:{code}",
        unsettled=f"liabilities:unsettled:{fund}:{code}",
        fund=f"liabilities:fund:{fund}:{code}",
        shortfall=f"assets:shortfall:{fund}:{code}",
        fees=f"expenses:fees:{RAIL}:{code}",
        borne=f"income:fees-borne:{fund}:{code}",
        refunds=f"liabilities:refunds:{RAIL}:{code}",
    )


def shortfall(session: Session, fund: str, currency: str) -> Money:
    """What was taken back of money that the fund had already given away."""
    code = accounts(fund, currency).shortfall
    known = ledger.balances_of(session, [code])
    return Money(known[code].posted if known else 0, currency)


def book(session: Session, pay_in: PayIn, seen: Movement, *, held: int = 0, now: datetime) -> PayInMovement:
    """Book a movement that is not booked yet, with its fee. `held`: so much of a refund was set apart from the fund for it."""
    codes = ensured(session, pay_in)
    legs = (
        _incoming(session, pay_in, seen, codes) if seen.gross.amount_minor > 0 else _outgoing(session, pay_in, seen, codes, held)
    )
    if seen.fee.amount_minor > 0:
        legs.append(Leg(debit=codes.fees, credit=codes.stripe, amount=seen.fee.amount_minor))
    elif seen.fee.amount_minor < 0:
        legs.append(Leg(debit=codes.stripe, credit=codes.fees, amount=-seen.fee.amount_minor))
    refs = {"rail": RAIL, "balance_transaction": seen.id}
    legs = _within_balance(session, legs, codes)
    _post(session, pay_in, _key(seen.id), f"pledge.pay_in_{seen.kind}", legs, now=now, **refs)
    movement = PayInMovement(
        id=seen.id,
        kind=seen.kind,
        gross_minor=seen.gross.amount_minor,
        fee_minor=seen.fee.amount_minor,
        currency=seen.gross.currency,
        source=seen.source,
        happened_at=seen.happened_at,
        available_at=seen.available_at,
        booked_at=now,
    )
    pay_in.movements.append(movement)
    session.flush()
    return movement


def settle(session: Session, pay_in: PayIn, *, now: datetime) -> Entry | None:
    """Give what is left of a pay-in to the fund, less the fee of receiving it. Nothing to post if all of it went back."""
    left = pay_in.kept.amount_minor
    if left <= 0:
        return None
    codes = ensured(session, pay_in)
    legs = _to_fund(session, pay_in, left, codes, from_account=codes.unsettled)
    return _post(session, pay_in, f"pay-in-settled:{pay_in.id}", "pledge.pay_in_settled", legs, now=now)


def arrival_key(pay_in: PayIn) -> str:
    """The key of the entry that books a pay-in's arrival, the last one after debits that bounced; it has one once money came."""
    return _key([each.id for each in pay_in.movements if each.kind is MovementKind.ARRIVAL][-1])


def _key(balance_transaction: str) -> str:
    return f"{RAIL}:{balance_transaction}"


def _incoming(session: Session, pay_in: PayIn, seen: Movement, codes: Accounts) -> list[Leg]:
    amount = seen.gross.amount_minor
    if pay_in.settled_at is None:
        return [Leg(debit=codes.stripe, credit=codes.unsettled, amount=amount)]
    return _to_fund(session, pay_in, amount, codes, from_account=codes.stripe)


def _to_fund(session: Session, pay_in: PayIn, amount: int, codes: Accounts, *, from_account: str) -> list[Leg]:
    """The fee of receiving first, then the shortfall: the fund has given that money away already."""
    borne = min(_fee_to_bear(session, pay_in, codes), amount)
    fills = min(shortfall(session, pay_in.instalment.fund, pay_in.currency).amount_minor, amount - borne)
    wanted = [(codes.shortfall, fills), (codes.fund, amount - borne - fills), (codes.borne, borne)]
    return [Leg(debit=from_account, credit=code, amount=part) for code, part in wanted if part]


def _fee_to_bear(session: Session, pay_in: PayIn, codes: Accounts) -> int:
    """What is left of the arrival's fee: borne once, by the first money that reaches the fund, be it back from a refund."""
    fee = sum(each.fee_minor for each in pay_in.movements if each.kind in RECEIVING)
    entries = ledger.entries_for(session, ref=("pay_in", str(pay_in.id))) if fee > 0 else []
    return max(fee - sum(each.amount for entry in entries for each in entry.transfers if each.credit == codes.borne), 0)


def _outgoing(session: Session, pay_in: PayIn, seen: Movement, codes: Accounts, held: int) -> list[Leg]:
    held = min(held, -seen.gross.amount_minor)
    amount = -seen.gross.amount_minor - held
    unsettled = min(amount, pay_in.kept.amount_minor) if pay_in.settled_at is None else 0
    fund = min(amount - unsettled, max(ledger.balance(session, codes.fund).available, 0))
    wanted = [
        (codes.refunds, held),
        (codes.unsettled, unsettled),
        (codes.fund, fund),
        (codes.shortfall, amount - unsettled - fund),
    ]
    return [Leg(debit=code, credit=codes.stripe, amount=part) for code, part in wanted if part]


def _within_balance(session: Session, legs: list[Leg], codes: Accounts) -> list[Leg]:
    """The provider's balance can be below zero, an asset can't: what is taken beyond it is owed, and repaid by what comes in."""
    ours, owed = ledger.balance(session, codes.stripe).available, ledger.balance(session, codes.owed).posted
    split: list[tuple[str, str, int]] = []
    for leg in legs:
        if leg.debit == codes.stripe:
            part = min(owed, leg.amount)
            ours, owed = ours + leg.amount - part, owed - part
            split += [(codes.owed, leg.credit, part), (codes.stripe, leg.credit, leg.amount - part)]
        else:
            part = min(max(ours, 0), leg.amount)
            ours, owed = ours - part, owed + leg.amount - part
            split += [(leg.debit, codes.stripe, part), (leg.debit, codes.owed, leg.amount - part)]
    return [Leg(debit=debit, credit=credit, amount=amount) for debit, credit, amount in split if amount]


def ensured(session: Session, pay_in: PayIn) -> Accounts:
    """The accounts of a pay-in, made if they are not there."""
    fund, currency = pay_in.instalment.fund, pay_in.currency
    codes = accounts(fund, currency)
    for code, normal, guard, name in (
        (codes.stripe, Side.DEBIT, Guard.DEBIT, f"Stripe balance, {currency}"),
        (codes.owed, Side.CREDIT, Guard.CREDIT, f"Owed to Stripe, {currency}"),
        (codes.unsettled, Side.CREDIT, Guard.CREDIT, f"Arrived for fund {fund}, not ours to use yet"),
        (codes.fund, Side.CREDIT, Guard.CREDIT, f"Fund {fund}"),
        (codes.shortfall, Side.DEBIT, Guard.DEBIT, f"Taken back after fund {fund} gave it away"),
        (codes.fees, Side.DEBIT, Guard.NONE, f"Fees of Stripe, {currency}"),
        (codes.borne, Side.CREDIT, Guard.NONE, f"Fees of receiving, borne by fund {fund}"),
        (codes.refunds, Side.CREDIT, Guard.CREDIT, f"Refunds set apart, {currency}"),
    ):
        ledger.ensure_account(session, code, currency, normal=normal, guard=guard, name=name)
    return codes


def _post(session: Session, pay_in: PayIn, key: str, kind: str, legs: list[Leg], *, now: datetime, **refs: str) -> Entry:
    instalment = pay_in.instalment
    return ledger.post(
        session,
        key=key,
        kind=kind,
        legs=legs,
        at=now,
        memo=f"Pay-in of {instalment.member.name}, {instalment.reference}, part {pay_in.number}",
        refs={
            "pay_in": str(pay_in.id),
            "pledge_instalment": str(instalment.id),
            "organisation": str(instalment.member.organisation_id),
            **refs,
        },
    )
