"""Money into programmes, and the fees of fiscal hosts."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit, ledger
from core.errors import InvalidInput
from core.identity.access import require_role
from core.identity.models import Organisation, Person, Role
from core.money import Money
from grants import queries
from grants.models import FiscalHost


def fund(
    session: Session,
    programme_id: UUID,
    *,
    source_account: str,
    money: Money,
    key: str,
    actor: Person,
    now: datetime,
    reason: str,
) -> ledger.Entry:
    """Move money of a fund into a programme. `key` makes a repeated request the same transfer.

    Raises:
        NotAllowed: the actor has no finance role on the platform.
        InvalidInput: not a positive amount of the programme's currency, or not a fund's account.
        ledger.InsufficientFunds: the fund holds less.
    """
    programme = queries.locked_programme(session, programme_id)
    # On the platform itself: a fund is everybody's, and an owner of an organisation gives out only that organisation's roles.
    require_role(session, actor, Role.FINANCE, on=now.date())
    if money.amount_minor <= 0 or money.currency != programme.currency:
        raise InvalidInput(f"Enter an amount above zero in {programme.currency}.", field="amount")
    if not source_account.startswith("liabilities:fund:"):
        raise InvalidInput("A programme is funded from a fund's account.", field="source_account")
    entry = ledger.post(
        session,
        key=f"programme-funding:{key}",
        kind="programme.funded",
        legs=[ledger.Leg(debit=source_account, credit=programme.account, amount=money.amount_minor)],
        at=now,
        memo=reason,
        refs={"programme": str(programme.id)},
    )
    audit.record(
        session, "programme.funded", programme, actor=actor, at=now, reason=reason, amount=str(money), source=source_account
    )
    return entry


def register_host(
    session: Session,
    *,
    organisation: Organisation,
    fee_percent: Decimal,
    platform_share_percent: Decimal = Decimal(0),
    from_on: date,
    actor: Person,
    now: datetime,
    source_url: str | None = None,
) -> FiscalHost:
    """Register a fiscal host's fee from a day on; an earlier fee of the same host ends that day.

    Raises:
        NotAllowed: not an officer on the platform or of that organisation.
        InvalidInput: the fee is not at least 0 and below 100 %, or the host has no country to be paid in.
    """
    require_role(session, actor, Role.PROGRAMME_OFFICER, organisation_id=organisation.id, on=now.date())
    if not 0 <= fee_percent < 100 or not 0 <= platform_share_percent <= 100:
        raise InvalidInput("A fee is at least 0 and below 100 %, the platform's share of it 0 to 100 %.", field="fee_percent")
    if not organisation.country:
        raise InvalidInput(f"Enter the country of {organisation.name} first; payments need it.", field="organisation")
    earlier = queries.fiscal_host_of(session, organisation.id, on=from_on)
    if earlier is not None and earlier.from_on < from_on:
        earlier.until_on = from_on
    host = FiscalHost(
        organisation_id=organisation.id,
        fee_percent=fee_percent,
        platform_share_percent=platform_share_percent,
        from_on=from_on,
        source_url=source_url,
        created_at=now,
    )
    session.add(host)
    session.flush()
    audit.record(session, "fiscal_host.registered", host, actor=actor, at=now, fee_percent=str(fee_percent))
    return host
