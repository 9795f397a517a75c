"""A small world to pay in: people, a funded account, recipients on a rail, and a run on its way."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from core import ledger
from core.db import new_id
from core.identity.models import Person
from core.ledger import Guard, Leg, Side
from core.money import Money
from payouts import services
from payouts.models import Destination, Payout, Recipient, RecipientKind, Run
from payouts.rails.base import Rail
from payouts.services import documents, holds, recipients, runs, sending

FUND = "liabilities:grant:1:usd"
BANK = "assets:bank:usd"
STRIPE, FINANCIAL, COLLECTIVE = (f"assets:rail:{name}:usd" for name in ("stripe", "stripe_financial", "open_collective"))
MANY = text(
    "INSERT INTO payout SELECT (jsonb_populate_record(payout, jsonb_build_object("
    "'id', gen_random_uuid(), 'obligation', 'many:' || id || ':' || number))).* "
    "FROM payout, generate_series(1, :count) AS number WHERE id = :payout"
)
"""As many copies of a payout, each owed for a reason of its own."""


@dataclass
class Clock:
    """A clock that stands until it is told to go on."""

    now: datetime = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go(self, span: timedelta) -> None:
        self.now += span


@dataclass
class Cast:
    """Who acts."""

    officer: Person
    finance: Person
    approver: Person
    second: Person


def cast(session: Session, now: datetime) -> Cast:
    def person(name: str) -> Person:
        made = Person(id=new_id(), email=f"{name.lower()}@example.org", name=name, created_at=now)
        session.add(made)
        return made

    made = Cast(person("Olga"), person("Finn"), person("Petra"), person("Quentin"))
    session.flush()
    return made


def fund(session: Session, money: Money, *, now: datetime, account: str = FUND, cash: str = BANK) -> None:
    """Money arrives where a rail pays from (the bank, if it is not said) and is committed to a grant."""
    ledger.ensure_account(session, cash, money.currency, normal=Side.DEBIT, guard=Guard.DEBIT)
    ledger.ensure_account(session, account, money.currency, normal=Side.CREDIT, guard=Guard.CREDIT)
    legs = [Leg(debit=cash, credit=account, amount=money.amount_minor)]
    ledger.post(session, key=f"pay-in:{new_id()}", kind="pay-in", legs=legs, at=now)


def recipient(
    session: Session, name: str, *, rail: Rail, by: Person, now: datetime, details: Mapping[str, str] | None = None
) -> Recipient:
    made = recipients.add_recipient(
        session, name=name, kind=RecipientKind.PERSON, country="DE", email=f"{name.lower()}@example.org", actor=by, now=now
    )
    place = recipients.set_destination(
        session, made.id, rail=rail, currency="USD", details=details or {"account": f"acct_{name}"}, actor=by, now=now
    )
    compared(session, place, now=now)
    documents.record(
        session, made.id, document="W-8BEN", signed_on=now.date() - timedelta(days=30), kept_at="A folder", actor=by, now=now
    )
    return made


def compared(session: Session, place: Destination, *, now: datetime) -> None:
    """A second person looks at a destination."""
    lena = session.scalars(select(Person).where(Person.email == "lena@example.org")).first()
    if lena is None:
        lena = Person(id=new_id(), email="lena@example.org", name="Lena", created_at=now)
        session.add(lena)
        session.flush()
    holds.look(session, place.id, note="Called the number known before", actor=lena, now=now)


def owed(session: Session, who: Recipient, cents: int, *, by: Person, now: datetime, obligation: str | None = None) -> Payout:
    return services.request(
        session,
        obligation=obligation or f"test:{new_id()}",
        recipient_id=who.id,
        money=Money(cents, "USD"),
        fund_account=FUND,
        memo="First quarter",
        prepared_by=by,
        due_on=date(2026, 11, 1),
        now=now,
    )


def approved_run(session: Session, people: Cast, *, rails: Mapping[str, Rail], now: datetime) -> Run:
    """Everything that is due, prepared by finance and approved by as many others as it takes."""
    run, _ = runs.prepare(session, currency="USD", due_by=now.date(), preparer=people.finance, rails=rails, now=now)
    for approver in (people.approver, people.second):
        if run.status == "draft":
            runs.approve(session, run.id, approver=approver, seen_hash=run.content_hash, now=now)
    return run


def sent_run(session: Session, people: Cast, *, rails: Mapping[str, Rail], now: datetime) -> Run:
    run = approved_run(session, people, rails=rails, now=now)
    sending.send(session, run.id, sender=people.finance, rails=rails, now=now)
    return run


@dataclass
class Sessions:
    """Opens sessions on one connection of a test, so that its commits are undone with the test."""

    connection: Connection
    opened: int = field(default=0)

    @contextmanager
    def __call__(self) -> Iterator[Session]:
        self.opened += 1
        with (
            Session(self.connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session


def payout_ids(session: Session, run_id: UUID) -> Sequence[UUID]:
    return session.scalars(select(Payout.id).where(Payout.run_id == run_id).order_by(Payout.amount_minor)).all()
