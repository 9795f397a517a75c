"""Balances recomputed from the transfers, compared with the kept ones, and repaired on request.

The kept sums can only differ if somebody switched the triggers off; the nightly check tells.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from core import audit
from core.audit import Actor
from core.ledger.models import Repair


@dataclass(frozen=True, slots=True)
class Sums:
    """The four sums of an account."""

    debits_posted: int
    debits_pending: int
    credits_posted: int
    credits_pending: int


@dataclass(frozen=True, slots=True)
class Difference:
    """An account whose kept sums are not what its transfers add up to."""

    account_id: int
    account: str
    kept: Sums
    recomputed: Sums


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a recomputation."""

    accounts: int
    differences: Sequence[Difference]


def rebuild(session: Session, *, now: datetime, repair: bool = False, actor: Actor | None = None) -> Rebuilt:
    """Recompute every balance and compare, in one statement and so at one moment. With `repair`, correct the kept sums.

    A repair is a row of its own, whose trigger recomputes the account again; it comes with an audit event.
    """
    differences = [Difference(row.id, row.code, Sums(*row[2:6]), Sums(*row[6:10])) for row in session.execute(text(_DIFFERENCES))]
    accounts = session.execute(text("SELECT count(*) FROM ledger_account")).scalar_one()
    if repair:
        for difference in differences:
            row = Repair(account_id=difference.account_id, before=asdict(difference.kept), at=now)
            session.add(row)
            session.flush()
            audit.record(
                session,
                "ledger.repaired",
                row,
                actor=actor,
                at=now,
                reason="The kept balance differed from the transfers.",
                account=difference.account,
                before=asdict(difference.kept),
                after=asdict(difference.recomputed),
            )
    return Rebuilt(accounts, differences)


_SUMS = ("debits_posted", "debits_pending", "credits_posted", "credits_pending")
_KEPT = ", ".join(f"a.{column}" for column in _SUMS)
_RECOMPUTED = ", ".join(f"coalesce(r.{column}, 0)" for column in _SUMS)
_DIFFERENCES = f"""
    SELECT a.id, a.code, {_KEPT}, {_RECOMPUTED}
    FROM ledger_account AS a LEFT JOIN ledger_recomputed AS r ON r.account_id = a.id
    WHERE ({_KEPT}) IS DISTINCT FROM ({_RECOMPUTED})
    ORDER BY a.code
"""  # noqa: S608 - constants put into one another
