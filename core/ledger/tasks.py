"""Recurring work of the ledger: expiring holds, sealing behind the writers, the nightly comparison."""

from datetime import datetime, time

import structlog
from sqlalchemy.orm import Session

from core import tasks
from core.db import engine, session_scope
from core.ledger.posting import expire_due
from core.ledger.rebuild import rebuild
from core.ledger.sealing import seal_all

log = structlog.get_logger(__name__)


class BalancesDiffer(Exception):
    """The nightly comparison found kept balances that the transfers don't add up to: somebody must look."""


@tasks.every(seconds=30)
def expire_holds(now: datetime) -> None:
    """Release holds whose time has passed."""
    with session_scope() as session:
        if expired := expire_due(session, now=now):
            log.info("ledger.holds_expired", entries=expired)


@tasks.every(seconds=60)
def seal_entries(now: datetime) -> None:
    """Seal what was written since the last time."""
    with Session(engine()) as session:
        for link in seal_all(session, now=now):
            log.info("ledger.sealed", seal=link.no, entries=link.entries, hash=link.hash.hex())


@tasks.daily(at=time(2, 30))
def check_ledger(now: datetime) -> None:
    """Look through the whole ledger: nothing unsealed is left behind, and every kept balance equals its transfers.

    Nothing is repaired by itself. Differences fail loudly, so that the worker's log and the page of background work show them.
    """
    with Session(engine()) as session:
        seal_all(session, now=now, thorough=True)
    with session_scope() as session:
        result = rebuild(session, now=now)
    if result.differences:
        for difference in result.differences:
            log.error("ledger.balance_differs", account=difference.account)
        raise BalancesDiffer(
            f"{len(result.differences)} of {result.accounts} accounts differ from their transfers; see `ledger rebuild`"
        )
    log.info("ledger.balances_checked", accounts=result.accounts)
