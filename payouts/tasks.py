"""The background work of `payouts`: carry each payout as far as it goes, and look after those nobody looks after."""

from datetime import datetime, timedelta

from core import tasks
from core.clock import utc_now
from core.db import session_scope
from payouts import queries, rails
from payouts.services import sending
from payouts.services.engine import Engine
from payouts.services.sending import SendPayout

SOONEST = timedelta(milliseconds=200)


@tasks.handler(SendPayout)
def send_payout(task: SendPayout, run: tasks.Run) -> None:
    """One step, then the next when it is due. Run twice, it finds that the other run has the lease."""
    outcome = Engine(rails=rails.configured(), sessions=run.session).drive(task.payout_id)
    if outcome.until is not None:
        raise tasks.Postpone(max(outcome.until - utc_now(), SOONEST))


@tasks.every(seconds=60)
def look_after(now: datetime) -> None:
    """Choose canaries that are missing, and put a task behind every payout on its way that lost its own."""
    configured = rails.configured()
    with session_scope() as session:
        on_their_way = queries.sending_runs(session)
    for run_id in on_their_way:
        with session_scope() as session:
            sending.look_after(session, run_id, rails=configured, now=now)
