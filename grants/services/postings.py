"""The ledger's side of a grant: hold what is offered, commit what is accepted, give back what is not paid.

programme → grant is a hold while the offer stands, a transfer from its acceptance on; so money that is offered or committed can't
be granted twice. The account of the grant is what payouts draws on.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from core import ledger
from core.errors import DomainError
from core.money import Money
from grants.models import Grant


class NotFunded(DomainError):
    """The programme's account holds less than the grant."""

    code = "programme_not_funded"
    field = "amount"


def hold_offer(session: Session, grant: Grant, *, now: datetime) -> None:
    """Reserve an offered amount in the programme's account.

    Raises:
        NotFunded: the programme's available balance is below the amount.
    """
    programme = grant.programme
    for code, name in ((programme.account, programme.name), (grant.account, _name(grant))):
        ledger.ensure_account(session, code, grant.currency, normal=ledger.Side.CREDIT, guard=ledger.Guard.CREDIT, name=name)
    try:
        ledger.hold(
            session,
            key=_hold_key(grant),
            kind="grant.offered",
            legs=[ledger.Leg(debit=programme.account, credit=grant.account, amount=grant.amount_minor)],
            at=now,
            memo=_name(grant),
            refs=_refs(grant),
        )
    except ledger.InsufficientFunds:
        available = Money(ledger.balance(session, programme.account).available, grant.currency)
        raise NotFunded(
            f"{programme.name} has {available} to give, less than this {grant.money} grant; fund the programme first.",
            available=str(available),
        ) from None


def commit(session: Session, grant: Grant, *, now: datetime) -> None:
    """The offer is accepted: the held amount becomes the grant's."""
    ledger.settle(session, key=f"grant:{grant.id}:accepted", hold_key=_hold_key(grant), at=now)


def release_offer(session: Session, grant: Grant, *, now: datetime) -> None:
    """The offer is off: the held amount is the programme's again."""
    ledger.void(session, key=f"grant:{grant.id}:released", hold_key=_hold_key(grant), at=now)


def give_back(session: Session, grant: Grant, amount: Money, *, key: str, now: datetime) -> None:
    """Unpaid or returned money of a grant that is over goes back to its programme."""
    ledger.post(
        session,
        key=f"grant:{grant.id}:{key}",
        kind="grant.given_back",
        legs=[ledger.Leg(debit=grant.account, credit=grant.programme.account, amount=amount.amount_minor)],
        at=now,
        memo=f"{_name(grant)}, unpaid part returned",
        refs=_refs(grant),
    )
    grant.returned_minor += amount.amount_minor


def _hold_key(grant: Grant) -> str:
    return f"grant:{grant.id}:offer"


def _name(grant: Grant) -> str:
    return f"{grant.programme.name}: {grant.recipient_name}"[:250]


def _refs(grant: Grant) -> dict[str, str]:
    return {"grant": str(grant.id), "programme": str(grant.programme_id)}
