"""The background work of `pledge`: once a day time passes for every membership, and pay-ins are followed to their end."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import ClassVar

import structlog
from sqlalchemy.orm import Session

from core import hints
from core.clock import utc_now
from core.db import session_scope
from core.errors import DomainError
from core.tasks import Run, Task, daily, enqueue, every, handler
from pledge import host_queries, providers, queries
from pledge.services import host_orders, inbox, invoices, membership, pay_ins, refunds
from pledge.services.inbox import HandleNotice
from pledge.services.pay_ins import LookAt
from pledge.services.refunds import SendRefund

GAVE_UP = timedelta(hours=1)
"""A notice that waits for longer than this has a task that was parked, or waits for its last try."""

LATE_AT_HOST = timedelta(days=180)
"""So long a host may still take a transfer for an order that it expected no longer."""
HOST_FAILURES_MAX = 3
"""After so many orders in a row that can't be read the service is away; the next hour looks again."""

log = structlog.get_logger()


@daily(at=time(2, 0))
def pass_a_day(now: datetime) -> None:
    """Move memberships to where their dates put them, and write the reminders that are due."""
    with session_scope() as session:
        moved, reminded = membership.run_clock(session, on=now.date(), now=now)
    log.info("pledge.clock", moved=moved, reminded=reminded)


@handler(LookAt)
def look_at_pay_in(task: LookAt, run: Run) -> None:
    """Bring about what is wanted of its invoice, ask the provider about a pay-in, and apply what it says."""
    invoices.tend(run.session, providers.required(), task.pay_in_id, clock=utc_now)


@handler(HandleNotice)
def handle_notice(task: HandleNotice, run: Run) -> None:
    """Look where a notice points; it is done in the transaction that books what was seen."""
    with run.session() as session:
        event = inbox.waiting(session, task.event_id)
        if event is None:
            return
        known, place = inbox.known_pay_in(session, event), (event.object_type, event.object_id)
    found = known or providers.required().pay_in_of(*place)
    with run.session() as session:
        pay_in_id = found and queries.existing_pay_in(session, found)
        if pay_in_id is None:
            inbox.mark(session, task.event_id, inbox.NOT_OURS, now=utc_now())
            return
    pay_ins.look(
        run.session,
        providers.required(),
        pay_in_id,
        clock=utc_now,
        also=lambda session: inbox.mark(session, task.event_id, f"looked at pay-in {pay_in_id}", now=utc_now()),
    )


@handler(SendRefund)
def send_refund(task: SendRefund, run: Run) -> None:
    """Have the provider make an approved refund, once."""
    refunds.send(run.session, providers.required(), task.refund_id, now=utc_now())


@every(seconds=3600)
def look_around(now: datetime) -> None:
    """The safety net: every pay-in that isn't finished is looked at, notices whose tasks gave up get another, and those that
    never came are fetched."""
    provider = providers.configured()
    if provider is None:
        return
    with session_scope() as session:
        for pay_in_id in queries.unfinished_pay_ins(session):
            enqueue(session, LookAt(pay_in_id), now=now, dedupe_key=f"{pay_in_id}:hourly")
        for event in queries.waiting_events(session, before=now - GAVE_UP):
            enqueue(session, HandleNotice(event.id), now=now, dedupe_key=event.id)
        since = inbox.list_since(session, now=now)
    fetched = list(provider.notices_since(since))
    with session_scope() as session:
        fresh = sum(inbox.take_in(session, notice, polled=True, now=now) for notice in fetched)
    log.info("pledge.pay_ins", fetched=len(fetched), missed=fresh)


@dataclass(frozen=True)
class LookAtHost(Task):
    """Look at everything that the fiscal host has, or may have."""

    kind: ClassVar[str] = "pledge.look_at_host"


@hints.listen("open_collective")
def look_at_the_host_sooner(session: Session, now: datetime) -> None:
    """Something happened to our fund there: a transfer was marked as received, perhaps."""
    enqueue(session, LookAtHost(), now=now, dedupe_key="now")


@handler(LookAtHost)
def look_at_the_host_now(task: LookAtHost, run: Run) -> None:
    """Because the host's service called."""
    look_at_the_host(utc_now())


@every(seconds=3600)
def look_at_the_host(now: datetime) -> None:
    """Bring every order that the fiscal host has, or may have, to what its books say."""
    host = providers.host()
    if host is None:
        return
    with session_scope() as session:
        orders = host_queries.unsettled(session, late_until=now - LATE_AT_HOST)
    in_vain = 0
    for order_id in orders:
        try:
            host_orders.look(session_scope, host, order_id, clock=utc_now)
        except DomainError as error:  # one that can't be read keeps none of the others waiting
            log.warning("pledge.host_not_read", order=str(order_id), error=error.message)
            in_vain += 1
            if in_vain == HOST_FAILURES_MAX:
                return
        else:
            in_vain = 0
