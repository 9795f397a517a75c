"""The background work of `grants`: following payouts, and what the calendar brings."""

from datetime import datetime, time

from core import tasks
from core.clock import utc_now
from core.db import session_scope
from grants.services import grants, instalments, rounds
from payouts.services import PayoutChanged


@tasks.handler(PayoutChanged)
def follow_payout(task: PayoutChanged, run: tasks.Run) -> None:
    """Mark the instalment a payout belongs to. Told twice, late or out of order, it ends the same."""
    with run.session() as session:
        instalments.payout_changed(session, task.payout_id, refused=task.status == "failed", now=utc_now())


@tasks.daily(at=time(0, 10))
def keep_the_calendar(now: datetime) -> None:
    """Open and close rounds, lapse offers, bring instalments due and release them, complete what is over."""
    for step in (rounds.keep_rounds, grants.lapse_offers, instalments.bring_all_up_to_date, grants.complete_finished):
        with session_scope() as session:
            step(session, now=now)
