"""An instalment that a fiscal host receives for us: recorded there once, and settled here when its books show that it came.

The host's service knows no keys, so it is asked once: our row is committed first, and whatever it answers, what is true is looked
up. An order that shows nowhere a quarter of an hour later was not recorded; nothing else allows another. Marking it as paid can
be repeated, because the host refuses it the second time.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit, ledger
from core.books.models import OutsideMovement
from core.db import new_id
from core.errors import DomainError, IllegalTransition, InvalidInput
from core.identity import access
from core.identity.models import Person, Role
from core.ledger import Guard, Leg, Side
from pledge import host_queries, queries
from pledge.host_queries import RAIL
from pledge.models import HostOrder, HostOrderStatus, InstalmentStatus, PledgeInstalment
from pledge.providers.hosts import Awaited, Found, Host, HostRefused, HostSilent, Round
from pledge.services import host_returns, instalments

SHOWS_WITHIN = timedelta(minutes=15)
"""A call ends within a minute, and what it made shows within another; the rest is for clocks and restarts."""
ROWS = frozenset(f"{back}{kind}" for kind in ("contribution", "host_fee", "payment_processor_fee") for back in ("", "refund of "))
"""What the host's list calls what came, what it and its provider keep of it, and what goes back."""
FRESH = frozenset({InstalmentStatus.AWAITING_PAYMENT, InstalmentStatus.PROCESSING})

Sessions = Callable[[], AbstractContextManager[Session]]


class AlreadyExpected(DomainError):
    """The host expects this instalment already, or may; a second order could be paid for the same transfer."""

    code = "already_expected"


class NotExpected(DomainError):
    """This instalment can't be expected at the host: nobody waits for it any more."""

    code = "not_expected"


class NotThere(DomainError):
    """The host's books do not show that this money came, or show another amount."""

    code = "not_at_host"


def ask(
    session: Session,
    instalment_id: UUID,
    *,
    host: Host,
    payer: str,
    expected_on: date | None,
    fee_percent: Decimal | None,
    actor: Person,
    now: datetime,
) -> HostOrder:
    """Write down that the host is to expect an instalment. `record` asks it, after this is committed.

    Raises:
        NotAllowed: the actor is not in finance.
        PaidOnline: a payment page is open, or money came that way.
        NotExpected: it is paid, or failed.
        AlreadyExpected: there is an order for it.
        InvalidInput: the fee is no percentage, or the company's account is missing.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    instalment = queries.locked_instalment(session, instalment_id)
    if instalment.status not in FRESH:
        raise NotExpected(f"This instalment is {instalment.status.replace('_', ' ')}; only one that waits for money is expected.")
    instalments.take_by_transfer(instalment)
    if host_queries.live(session, instalment.id) is not None:
        raise AlreadyExpected("There is an order for this instalment at the host, or there may be one; look at it first.")
    if not payer.strip():
        raise InvalidInput("Name the company's account at the host's service.", field="payer")
    if fee_percent is not None and not 0 <= fee_percent <= 100:
        raise InvalidInput("A fee lies between 0 and 100 percent.", field="fee_percent")
    order_id = new_id()
    made = HostOrder(
        id=order_id,
        instalment_id=instalment.id,
        key=f"pw{order_id.hex}",
        payer=payer.strip().lower(),
        fund=host.fund,
        amount_minor=instalment.amount_minor,
        currency=instalment.currency,
        expected_on=expected_on,
        host_fee_percent=fee_percent,
        status=HostOrderStatus.ASKED,
        recorded_by_id=actor.id,
        asked_at=now,
    )
    session.add(made)
    session.flush()
    session.refresh(made)
    audit.record(session, "host_order.asked", instalment, actor=actor, at=now, host=host.title, payer=made.payer)
    return made


def record(sessions: Sessions, host: Host, order_id: UUID, *, clock: Callable[[], datetime]) -> None:
    """Have the host expect it, once: called by whoever wrote it down, right after that.

    Raises:
        HostRefused: it was not recorded; another may be.
        HostSilent: nobody knows yet; looking finds out.
    """
    with sessions() as session:
        order = host_queries.order(session, order_id)
        wanted, asked_at = awaited(order), order.asked_at
    if clock() - asked_at > SHOWS_WITHIN / 3:
        raise HostSilent("This took too long to begin; nothing was sent. Look at it in a quarter of an hour, then try again.")
    try:
        host.record(wanted)
    except HostRefused as refused:
        with sessions() as session:
            _refuse(session, host_queries.locked(session, order_id), refused.message, now=clock())
        raise
    look(sessions, host, order_id, clock=clock)


def look(sessions: Sessions, host: Host, order_id: UUID, *, clock: Callable[[], datetime]) -> None:
    """Bring our row to what the host's books say. No transaction is open while they are read.

    Raises:
        HostRefused, HostSilent: they can't be read; nothing changes.
    """
    with sessions() as session:
        order = host_queries.order(session, order_id)
        key, since = order.key, order.asked_at - timedelta(days=1)
    begun = clock()
    found = host.find(key, since=since)
    with sessions() as session:
        apply(session, order_id, found, begun=begun, now=clock())


def apply(session: Session, order_id: UUID, found: Sequence[Found], *, begun: datetime, now: datetime) -> HostOrder:
    """Take what the host's books say. `begun` is when they were asked: an order that shows late is not missing before."""
    order = host_queries.locked(session, order_id)
    order.looked_at = now
    found = [each for each in found if not each.ended] or found[-1:]  # of several, those that were ended there count no more
    if not found:
        _not_found(session, order, begun=begun, now=now)
    elif len(found) > 1:
        order.problem = (
            f"It is recorded {len(found)} times there ({', '.join(each.remote_id for each in found)}): expire all but one."
        )
    else:
        _follow(session, order, found[0], now=now)
    session.flush()
    return order


def require_payable(session: Session, order_id: UUID, *, actor: Person, now: datetime) -> HostOrder:
    """May this person say that the money of an order came?

    Raises:
        NotAllowed, SelfConfirmation: not in finance, or who said that it was sent.
        NotThere: the host was not seen to have it, its books say something else, or nobody noted that it arrived.
        IllegalTransition: it is settled already, or failed.
    """
    order = host_queries.order(session, order_id)
    instalment = instalments.require_confirmable(session, order.instalment_id, actor=actor, now=now)
    if order.status not in {HostOrderStatus.EXPECTED, HostOrderStatus.PAID}:
        raise NotThere("The host has not been seen to expect this, or does no more; look first.")
    if order.problem is not None:
        raise NotThere(order.problem)
    if instalment.status is InstalmentStatus.AWAITING_PAYMENT:
        raise NotThere("First somebody notes that it arrived, with the bank's line as evidence; another person confirms.")
    if instalment.status is not InstalmentStatus.PROCESSING:
        raise IllegalTransition("This instalment", instalment.status, InstalmentStatus.PAID)
    return order


def pay(
    sessions: Sessions, host: Host, order_id: UUID, *, received_on: date, actor: Person, clock: Callable[[], datetime]
) -> None:
    """Have the host book that it came, and settle the instalment once its books say so. Doing it again does no harm.

    Raises:
        NotAllowed, SelfConfirmation, NotThere, IllegalTransition: this person can't, or there is nothing to confirm.
        HostRefused, HostSilent: the host did not say; look, and do it again.
    """
    with sessions() as session:
        order = require_payable(session, order_id, actor=actor, now=clock())
        remote_id, is_paid = order.remote_id or "", order.status is HostOrderStatus.PAID
    said: HostRefused | HostSilent | None = None
    if not is_paid:
        try:
            host.mark_paid(remote_id, on=received_on)
        except (HostRefused, HostSilent) as error:
            said = error  # paid already, or after all: its books decide
        look(sessions, host, order_id, clock=clock)
    with sessions() as session:
        if said is not None and host_queries.order(session, order_id).status is not HostOrderStatus.PAID:
            raise said
        settle(session, order_id, received_on=received_on, title=host.title, actor=actor, now=clock())


def give_up(sessions: Sessions, host: Host, order_id: UUID, *, clock: Callable[[], datetime]) -> None:
    """Have the host expect it no longer; then another order may be recorded. Its books say whether it does.

    Raises:
        HostRefused, HostSilent: the host did not say; look, and do it again.
    """
    with sessions() as session:
        remote_id = host_queries.order(session, order_id).remote_id
    if remote_id is None:
        raise HostSilent("The host has not been seen to expect this; look in a quarter of an hour.")
    try:
        host.expire(remote_id)
    finally:  # refused or not: what its books say holds
        look(sessions, host, order_id, clock=clock)


def settle(session: Session, order_id: UUID, *, received_on: date, title: str, actor: Person, now: datetime) -> PledgeInstalment:
    """Confirm the instalment whose money the host's books show, and book the host's fee.

    Raises:
        NotThere: they do not show it, or another amount.
        as instalments.confirm.
    """
    order = host_queries.locked(session, order_id)
    if order.status is not HostOrderStatus.PAID:
        raise NotThere("The host's books do not show this money yet.")
    if order.received != order.money or order.problem is not None:
        raise NotThere(order.problem or f"The host booked {order.received} instead of {order.money}; have it corrected there.")
    instalment = instalments.confirm(
        session,
        order.instalment_id,
        received_on=received_on,
        bank_reference=f"{title}, order {order.remote_id}",
        cash=_fund_there(session, order, title=title),
        by_host=True,
        refs={"rail": RAIL, "balance_transaction": order.movement_id or ""},
        actor=actor,
        now=now,
    )
    _book_fee(session, order, instalment, title=title, now=now)
    return instalment


class HostMovements:
    """Implements core.books.feeds.Claimant: what the host booked of an order is not ours to book another time."""

    def claims(self, session: Session, provider: str, movements: Sequence[OutsideMovement]) -> Mapping[UUID, str]:
        if provider != RAIL:
            return {}
        orders = host_queries.by_remote_id(session, {each.about for each in movements if each.about})
        # Entries carry their movement's own id and meet by it. This only says whose the others are, whatever their order became.
        return {
            each.id: f"host-order:{orders[each.about].id}" for each in movements if each.about in orders and each.kind in ROWS
        }


def awaited(order: HostOrder) -> Awaited:
    """What the host is told."""
    return Awaited(
        key=order.key,
        payer=order.payer,
        company=order.instalment.member.name,
        money=order.money,
        reference=order.instalment.reference,
        expected_on=order.expected_on,
        fee_percent=order.host_fee_percent,
    )


def _refuse(session: Session, order: HostOrder, why: str, *, now: datetime) -> None:
    order.problem = why
    order.advance(HostOrderStatus.REFUSED)
    audit.record(session, "host_order.refused", order.instalment, actor=None, at=now, reason=why)


def _not_found(session: Session, order: HostOrder, *, begun: datetime, now: datetime) -> None:
    if order.status is not HostOrderStatus.ASKED:
        order.problem = f"The host's books show order {order.remote_id} no more; ask its people."
    elif begun - order.asked_at >= SHOWS_WITHIN:
        _refuse(session, order, "The host's service gave no clear answer, and its books show no such order.", now=now)


def _follow(session: Session, order: HostOrder, found: Found, *, now: datetime) -> None:
    order.remote_id = found.remote_id
    order.problem = _misfit(order, found)
    if found.last is None and order.status is HostOrderStatus.PAID:
        order.problem = f"The host's books show the money of order {order.remote_id} no more; ask its people."
    elif found.last is None:
        _move(session, order, HostOrderStatus.EXPIRED if found.ended else HostOrderStatus.EXPECTED, now=now)
    elif not found.last.gone and not host_returns.settled_by(order):
        _came(session, order, found.last, now=now)
    if order.problem is None:
        order.problem = host_returns.follow(session, order, found, now=now)


def _came(session: Session, order: HostOrder, last: Round, *, now: datetime) -> None:
    other = host_queries.live(session, order.instalment_id)
    if other is not None and other.id != order.id:
        if order.instalment.status not in host_returns.PAID_ANOTHER_WAY:  # then its money is booked apart, and nothing else
            order.problem = f"The host took it late, and has order {other.remote_id or other.key} too: "
            order.problem += (
                "both were paid, so have it give one of them back."
                if other.status is HostOrderStatus.PAID
                else "expire that one there."
            )
        return
    order.received_minor, order.movement_id = last.received.money.amount_minor, last.received.movement_id
    order.fee_minor = sum(fee.money.amount_minor for fee in last.fees)
    order.fee_movement_id = last.fees[0].movement_id if len(last.fees) == 1 else None
    _move(session, order, HostOrderStatus.PAID, now=now)


def _misfit(order: HostOrder, found: Found) -> str | None:
    """Does it say another amount? Of what settles nothing any more, the rows are booked, whatever they say."""
    if found.last is not None and host_returns.is_apart(order, found.last):
        return None
    expected = found.last.received.money if found.last is not None else found.money
    if expected != order.money:
        return f"The host's books say {expected} instead of {order.money}; have it corrected there."
    return None


def _move(session: Session, order: HostOrder, to: HostOrderStatus, *, now: datetime) -> None:
    """Forward only: an answer may be older than the one before it."""
    if order.status is to or (order.status is HostOrderStatus.EXPIRED and to is HostOrderStatus.EXPECTED):
        return
    order.advance(to)
    audit.record(session, f"host_order.{to}", order.instalment, actor=None, at=now, order=order.remote_id or "")


def _fund_there(session: Session, order: HostOrder, *, title: str) -> str:
    """Our fund at the host: payouts of that service leave from there."""
    code = f"assets:rail:{RAIL}:{order.currency.lower()}"
    name = f"Balance at {title}, {order.currency}"
    return ledger.ensure_account(session, code, order.currency, normal=Side.DEBIT, guard=Guard.DEBIT, name=name).code


def _book_fee(session: Session, order: HostOrder, instalment: PledgeInstalment, *, title: str, now: datetime) -> None:
    """The fund bears what the host kept; the company paid the whole."""
    if not order.fee_minor:
        return
    codes, currency = instalments.accounts(instalment), order.currency
    fund_there = _fund_there(session, order, title=title)
    fees, borne = f"expenses:fees:{RAIL}:{currency.lower()}", f"income:fees-borne:{instalment.fund}:{currency.lower()}"
    ledger.ensure_account(session, fees, currency, normal=Side.DEBIT, guard=Guard.NONE, name=f"Fees of {title}, {currency}")
    ledger.ensure_account(
        session, borne, currency, normal=Side.CREDIT, guard=Guard.NONE, name=f"Fees of receiving, borne by fund {instalment.fund}"
    )
    ledger.post(
        session,
        key=f"host-fee:{order.id}",
        kind="pledge.host_fee",
        legs=[
            Leg(debit=fees, credit=fund_there, amount=order.fee_minor),
            Leg(debit=codes.fund, credit=borne, amount=order.fee_minor),
        ],
        at=now,
        memo=f"Fee of {title} for {instalment.reference}",
        refs={
            "pledge_instalment": str(instalment.id),
            **({"rail": RAIL, "balance_transaction": order.fee_movement_id} if order.fee_movement_id else {}),
        },
    )
