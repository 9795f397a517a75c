"""A company that pays online at the stand-in of Stripe, one step of the outside world at a time, under one clock."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from core.identity.models import Person
from core.money import Money
from core.tasks import registered
from pledge.models import PayIn, Pledge, PledgeInstalment
from pledge.providers.invoicing import Billing
from pledge.providers.stripe_checkout import StripeProvider
from pledge.providers.stripe_signature import notice
from pledge.services import customers, inbox, instalments, invoices, pay_ins
from tests.fakes.payouts_world import Sessions
from tests.fakes.stripe import StripeServer, World, checkout
from tests.fakes.stripe.server import KEY

SHORT = timedelta(seconds=12)
BILLING: dict[str, Any] = {
    "name": "Acme Inc.", "email": "invoices@acme.example", "line1": "1 Main Street", "line2": None, "city": "Springfield",
    "postal_code": "12345", "state": "IL", "country": "US",
}  # fmt: skip


@dataclass
class Clock:
    """The one clock of a test: Stripe's, ours and the workers'."""

    moment: datetime

    def __call__(self) -> datetime:
        return self.moment

    def seconds(self) -> float:
        return self.moment.timestamp()

    def pass_(self, **time: float) -> None:
        self.moment += timedelta(**time)


@dataclass
class Till:
    """Opens pages, has the company pay, and looks at what became of it."""

    session: Session
    server: StripeServer
    editor: Person
    clock: Clock
    provider: StripeProvider = field(init=False)
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        self.provider = StripeProvider(KEY, api_base=self.server.url, timeout=SHORT)
        self.sessions = Sessions(self.session.connection())

    @property
    def world(self) -> World:
        return self.server.world

    def announce(self, pledge: Pledge, amount: str = "5000") -> PledgeInstalment:
        return instalments.announce(
            self.session, pledge, money=Money.parse(amount, pledge.currency), actor=self.editor, now=self.clock()
        )  # fmt: skip

    def open(self, instalment: PledgeInstalment) -> PayIn:
        """As the page's button does it."""
        row = pay_ins.start(self.session, instalment.id, actor=self.editor, now=self.clock())
        if not pay_ins.has_page(row):
            organisation = instalment.member.organisation
            key = pay_ins.ask(self.session, row.id)
            customer = customers.customer_of(self.session, organisation)
            if customer is None:
                made = self.provider.create_customer(name=organisation.name, metadata={}, key=f"{key}-customer")
                customer = customers.remember_customer(self.session, organisation, made, now=self.clock())
            wanted = pay_ins.wanted(self.session, row, key=key, customer_id=customer, now=self.clock())
            pay_ins.opened(self.session, row.id, self.provider.open_page(wanted), now=self.clock())
        self.session.commit()
        return row

    def invoice(self, instalment: PledgeInstalment, **said: Any) -> PayIn:
        """As the page's button and a worker do it; `said` replaces what the company usually says."""
        row = self.ask_for_invoice(instalment, **said)
        self.tend(row)
        return row

    def ask_for_invoice(self, instalment: PledgeInstalment, **said: Any) -> PayIn:
        billing = Billing(**(BILLING | {name: each for name, each in said.items() if name != "po_number"}))
        row = invoices.ask(
            self.session, instalment.id, po_number=said.get("po_number", "PO 4711"), billing=billing,
            actor=self.editor, now=self.clock(),
        )  # fmt: skip
        self.session.commit()
        return row

    def tend(self, row: PayIn) -> PayIn:
        """A worker does what is left to do, and looks."""
        self.session.commit()
        try:
            invoices.tend(self.sessions, self.provider, row.id, clock=self.clock)
        finally:
            self.session.expire_all()
        return row

    def stripe_invoice(self, row: PayIn) -> dict[str, Any]:
        """The invoice as Stripe has it."""
        assert row.invoice is not None
        return self.world.objects[row.invoice.invoice_id or ""]

    def choose(self, row: PayIn, method: str) -> str:
        """The company agrees at Stripe's page; the payment's id there."""
        assert row.session_id is not None, "open the page first"
        return str(checkout.choose(self.world, row.session_id, method)["id"])

    def look(self, row: PayIn) -> PayIn:
        self.session.commit()
        pay_ins.look(self.sessions, self.provider, row.id, clock=self.clock)
        self.session.expire_all()
        return row

    def paid(self, instalment: PledgeInstalment, method: str = "card", *, settled: bool = True) -> PayIn:
        """A pay-in with its money, usable if `settled`."""
        row = self.open(instalment)
        payment = self.choose(row, method)
        if method != "card":
            checkout.arrive(self.world, payment)
        self.look(row)
        if settled:
            self.clock.pass_(days=5)
            self.look(row)
        return row

    def deliver(self, event: dict[str, Any]) -> None:
        """A notice comes in and its task runs."""
        inbox.take_in(self.session, notice(event), polled=False, now=self.clock())
        self.session.commit()
        self.run(inbox.HandleNotice(event["id"]))

    def run(self, task: Any) -> None:
        """A worker does a task."""
        registered()[task.kind][1](task, OneRun(self.sessions))
        self.session.expire_all()


@dataclass
class OneRun:
    """What a handler is told, in a test's transaction."""

    session: Callable[[], AbstractContextManager[Session]]
    task_id: UUID = field(default_factory=lambda: UUID(int=0))
    tries: int = 1
    lease_until: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(minutes=5))
