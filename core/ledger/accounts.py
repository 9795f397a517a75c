"""Opening accounts and commodities, and reading balances."""

import re
from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.db import among
from core.errors import InvalidInput
from core.ledger.entries import Balance
from core.ledger.errors import AccountDiffers, UnknownAccount
from core.ledger.models import Account, Commodity, CommodityKind, Guard, Side
from core.ledger.units import GPU_REFERENCE, gpu_commodity, is_gpu_time
from core.money import exponent

CODE = re.compile(r"(assets|liabilities|equity|income|expenses)(:[a-z0-9][a-z0-9._-]*)+")


def ensure_account(
    session: Session, code: str, commodity: str, *, normal: Side, guard: Guard = Guard.NONE, name: str = ""
) -> Account:
    """The account of this code, opened if there is none. Currencies and reference GPU time need no preparation.

    Raises:
        AccountDiffers: it exists with another commodity, side or guard.
        InvalidInput: not an account code, not a currency, or a flavor nobody introduced with `ensure_gpu_commodity`.
    """
    account = session.scalar(select(Account).where(Account.code == code))
    if account is None:
        _check(code, normal, guard)
        _ensure_commodity(session, commodity)
        session.execute(
            insert(Account)
            .values(code=code, commodity=commodity, normal=normal, guard=guard, name=name)
            .on_conflict_do_nothing(index_elements=["code"])  # somebody else may have opened it this moment
        )
        account = session.scalars(select(Account).where(Account.code == code)).one()
    wanted = (commodity, normal, guard)
    existing = (account.commodity, account.normal, account.guard)
    if existing != wanted:
        raise AccountDiffers(code, _described(*existing), _described(*wanted))
    return account


def ensure_gpu_commodity(session: Session, flavor: str) -> str:
    """The commodity code of a flavor's GPU time (`GPU.<FLAVOR>`), introduced if it is new.

    Raises:
        InvalidInput: the flavor's name can't be a commodity.
    """
    code = gpu_commodity(flavor)
    _introduce(session, code, CommodityKind.GPU_TIME, scale=0)
    return code


def balance(session: Session, code: str) -> Balance:
    """The kept balance of one account, as of this moment.

    Raises:
        UnknownAccount: no account has this code.
    """
    account = session.execute(select(*_BALANCE_COLUMNS).where(Account.code == code)).one_or_none()
    if account is None:
        raise UnknownAccount(code)
    return Balance(*account)


def balances(session: Session, prefix: str = "") -> list[Balance]:
    """The kept balances of every account whose code is `prefix` or lies below it (`liabilities:fund`), by code."""
    query = select(*_BALANCE_COLUMNS).order_by(Account.code)
    if prefix:
        query = query.where((Account.code == prefix) | Account.code.startswith(f"{prefix}:", autoescape=True))
    session.flush()
    return [Balance._make(account) for account in session.connection().execute(query)]  # the ORM's rows take half as long again


def balances_of(session: Session, codes: Collection[str]) -> dict[str, Balance]:
    """The kept balances of these accounts by code; codes no account has are left out."""
    rows = session.execute(select(*_BALANCE_COLUMNS).where(among(Account.code, codes)))
    return {row.code: Balance(*row) for row in rows}


# Columns in the order of Balance, not objects: the sums change below SQLAlchemy's feet, and a session must never answer with
# what it read before.
_BALANCE_COLUMNS = (
    Account.code,
    Account.commodity,
    Account.normal,
    Account.debits_posted,
    Account.debits_pending,
    Account.credits_posted,
    Account.credits_pending,
)


def _check(code: str, normal: Side, guard: Guard) -> None:
    if not CODE.fullmatch(code) or len(code) > 250:
        raise InvalidInput(
            f"“{code[:80]}” is not an account code; write lower-case parts joined by colons, such as assets:bank:usd.",
            field="code",
        )
    if guard is not Guard.NONE and guard.value != normal.value:
        raise InvalidInput(f"{code} stands on the {normal} side; a guard stands there too, not on {guard}.", field="guard")


def _ensure_commodity(session: Session, code: str) -> None:
    if code == GPU_REFERENCE:
        _introduce(session, code, CommodityKind.GPU_TIME, scale=0)
    elif not is_gpu_time(code):
        _introduce(session, code, CommodityKind.CURRENCY, scale=exponent(code))
    elif session.get(Commodity, code) is None:
        raise InvalidInput(f"The ledger has no commodity {code}; introduce its flavor first.", field="commodity")


def _introduce(session: Session, code: str, kind: CommodityKind, *, scale: int) -> None:
    session.execute(insert(Commodity).values(code=code, kind=kind, scale=scale).on_conflict_do_nothing(index_elements=["code"]))


def _described(commodity: str, normal: Side, guard: Guard) -> str:
    return f"{commodity} on the {normal} side with {'no guard' if guard is Guard.NONE else f'guard {guard}'}"
