"""A worker that is killed at any moment between taking a notice in hand and booking what it led to: the next one books once."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.orm import Session

from core import ledger
from core.db import new_id
from core.identity.models import Organisation, Role
from pledge.models import (
    InvoiceStanding,
    MemberOrigin,
    MembershipStatus,
    PayIn,
    PayInMovement,
    PayInStatus,
    PledgeInstalment,
    StripeEvent,
)
from pledge.providers.stripe_checkout import StripeProvider
from pledge.providers.stripe_signature import notice
from pledge.services import inbox, invoices, membership, periods
from pledge.tasks import handle_notice
from tests.fakes.pay_ins import SHORT, Clock, OneRun, Till
from tests.fakes.stripe import StripeServer
from tests.fakes.stripe.server import KEY
from tests.integration.pledge.conftest import give, person

SESSIONS = 4
"""handle_notice opens: the notice, whose it is, what was known, and the booking."""


@dataclass
class Mortal:
    """Opens real sessions; at the `number`th its process ends with SIGKILL, just before or just after the commit."""

    engine: Engine
    number: int = 0
    committed: bool = False
    opened: int = field(default=0)

    @contextmanager
    def __call__(self) -> Iterator[Session]:
        self.opened += 1
        with Session(self.engine, expire_on_commit=False) as session:
            with session.begin():
                yield session
                session.flush()
                if self.opened == self.number and not self.committed:
                    os.kill(os.getpid(), signal.SIGKILL)
            if self.opened == self.number:
                os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def database(fresh_database: str) -> Iterator[Engine]:
    engine = create_engine(fresh_database)
    yield engine
    engine.dispose()


@contextmanager
def a_company(engine: Engine, server: StripeServer, now: datetime) -> Iterator[tuple[Till, PledgeInstalment]]:
    """A company that pays $5,000."""
    with Session(engine, expire_on_commit=False) as session:
        editor = person(session, "Edda", now)
        organisation = Organisation(id=new_id(), slug="acme", name="Acme", created_at=now)
        member = membership.new_member(organisation, status=MembershipStatus.CHECKED, origin=MemberOrigin.HERE, now=now)
        session.add(member)
        session.flush()
        give(session, editor, Role.PLEDGE_EDITOR, organisation=organisation)
        pledge = periods.open_period(
            session, member, label="2026", starts_on=date(2026, 1, 1), ends_on=date(2026, 12, 31), developers=Decimal(1),
            actor=editor, now=now,
        )  # fmt: skip
        till = Till(session, server, editor, Clock(now))
        yield till, till.announce(pledge)
        session.commit()


def a_paid_page(engine: Engine, server: StripeServer, now: datetime) -> str:
    """A company paid by card, and Stripe's notice of it is in the inbox; its id."""
    with a_company(engine, server, now) as (till, instalment):
        till.choose(till.open(instalment), "card")
        event = server.world.events[-1]
        inbox.take_in(till.session, notice(event), polled=False, now=now)
        return str(event["id"])


def an_invoice_to_make(engine: Engine, server: StripeServer, now: datetime) -> UUID:
    """A company asked for an invoice, and no worker has begun."""
    with a_company(engine, server, now) as (till, instalment):
        return till.ask_for_invoice(instalment).id


@dataclass
class Deadly:
    """A provider whose caller's process ends with SIGKILL when one of its calls was answered."""

    provider: StripeProvider
    call: str

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.provider, name)
        return (
            real if name != self.call else lambda *given, **named: (real(*given, **named), os.kill(os.getpid(), signal.SIGKILL))
        )


def in_a_worker(deed: Callable[[], None]) -> int:
    """Do something in a process of its own; the signal that ended it, 0 for none."""
    child = os.fork()
    if child == 0:
        try:
            deed()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the worker failed instead of dying"
    return os.WTERMSIG(status)


def worker(url: str, event_id: str, number: int, *, committed: bool) -> int:
    """One worker process doing the task; the signal that ended it, 0 for none."""
    return in_a_worker(lambda: handle_notice(inbox.HandleNotice(event_id), OneRun(Mortal(create_engine(url), number, committed))))


def test_killed_anywhere_the_next_worker_books_once(
    fresh_database: str, database: Engine, stripe_server: StripeServer, now: datetime
) -> None:
    event_id = a_paid_page(database, stripe_server, now)
    points = [(number, committed) for number in range(1, SESSIONS + 1) for committed in (False, True)]
    # The last point lies after the booking's commit; a worker that comes to it finds nothing to do.
    for number, committed in points:
        assert worker(fresh_database, event_id, number, committed=committed) == signal.SIGKILL, (number, committed)
        with Session(database) as session:
            booked = session.scalar(select(func.count()).select_from(PayInMovement))
            event = session.get(StripeEvent, event_id)
            assert event is not None
            assert (booked, event.handled_at is not None) == ((1, True) if (number, committed) == points[-1] else (0, False))
    assert worker(fresh_database, event_id, 0, committed=False) == 0
    with Session(database) as session:
        row = session.scalars(select(PayIn)).one()
        assert (row.status, len(row.movements)) == (PayInStatus.PAID, 1)
        assert ledger.balance(session, "assets:rail:stripe:usd").posted == 5_000_00 - 145_30
        assert len(ledger.entries_for(session, ref=("rail", "stripe"))) == 1


def test_killed_anywhere_an_invoice_is_made_and_sent_once(
    fresh_database: str, database: Engine, stripe_server: StripeServer, now: datetime
) -> None:
    """After every answer of Stripe, and before and after every commit; each worker goes on where the last one died."""
    pay_in_id = an_invoice_to_make(database, stripe_server, now)
    provider = StripeProvider(KEY, api_base=stripe_server.url, timeout=SHORT)

    def tend(call: str = "", number: int = 0, *, committed: bool = False) -> int:
        sessions = Mortal(create_engine(fresh_database), number, committed)
        deadly: Any = Deadly(provider, call)
        return in_a_worker(lambda: invoices.tend(sessions, deadly, pay_in_id, clock=lambda: now))

    # Each worker opens fewer sessions than the one before, for what was kept is not done again: customer, draft, mail.
    for call, numbers in (("create_customer", (1, 2, 3)), ("draft_invoice", (2,)), ("issue_invoice", ()), ("send_invoice", (2,)),
                          ("look_at_invoice", (3, 4))):  # fmt: skip
        assert tend(call) == signal.SIGKILL, call
        for number in numbers:
            assert tend(number=number) == signal.SIGKILL, (call, number)
            assert tend(number=number, committed=True) == signal.SIGKILL, (call, number)
    assert tend() == 0
    world = stripe_server.world
    (made,) = [each for each in world.objects.values() if each["object"] == "invoice"]
    assert (made["status"], made["total"], made["_sent"]) == ("open", 5_000_00, 1)
    with Session(database) as session:
        row = session.get_one(PayIn, pay_in_id)
        assert row.invoice is not None
        assert (row.invoice.standing, row.invoice.sent_at) == (InvoiceStanding.OPEN, now)
