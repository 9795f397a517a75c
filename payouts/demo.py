"""The demo's payouts: recipients on every rail, and a run in preparation. Made-up accounts on the trial rail; no real money."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import ledger
from core.identity.models import Person
from core.ledger import Guard, Leg, Side
from core.money import Money
from payouts import rails
from payouts.models import Recipient, RecipientKind, Run
from payouts.services import documents, holds, recipients, runs
from payouts.services.requests import request

BANK, FUND = "assets:bank:usd", "liabilities:fund:stipends:usd"
GIVEN = Money(6_000_000, "USD")

# Fictional people and accounts. The IBAN is the registry's own example; accounts that start with “closed” refuse payments.
RECIPIENTS: tuple[tuple[str, str, RecipientKind, str, str, dict[str, str]], ...] = (
    ("mateo", "Mateo Silva", RecipientKind.PERSON, "BR", "fake", {"account": "acct_mateo_silva"}),
    ("lin", "Lin Wei", RecipientKind.PERSON, "SG", "fake", {"account": "acct_lin_wei"}),
    ("aroha", "Aroha Ngata", RecipientKind.PERSON, "NZ", "fake", {"account": "closed_aroha"}),
    ("jonas", "Jonas Weber", RecipientKind.PERSON, "DE", "bank_file", {"iban": "DE89370400440532013000", "bic": "COBADEFFXXX"}),
    (
        "commons",
        "Example Commons Host",
        RecipientKind.FISCAL_HOST,
        "US",
        "manual",
        {"holder": "Example Commons Host", "bank": "First Example Bank", "account": "000123456789", "routing": "110000000"},
    ),
)
PAPERS = {"jonas": "W-8BEN", "commons": "W-9"}
"""What a payer in the US has on file of them."""
STIPENDS = (
    ("mateo", 250_000, "Stipend, documentation sprint"),
    ("lin", 180_000, "Stipend, release engineering"),
    ("jonas", 320_000, "Stipend, security review"),
    ("commons", 900_000, "Community event, hosting and travel"),
)


def load(session: Session, *, now: datetime, people: Mapping[str, Person]) -> dict[str, Recipient]:
    """Load recipients, a small fund for stipends and a draft run; loading again changes nothing. Returns recipients by key.

    `people` are those of core.identity.demo: `officer` asks, `finance` prepares, `approver` is left to approve.
    """
    made = _recipients(session, now=now, people=people)
    if session.scalars(select(Run).where(Run.is_demo)).first() is None:
        _fund(session, now=now)
        _stipends(session, made, now=now, people=people)
    return made


def _recipients(session: Session, *, now: datetime, people: Mapping[str, Person]) -> dict[str, Recipient]:
    known = {recipient.name: recipient for recipient in session.scalars(select(Recipient).where(Recipient.is_demo))}
    here = rails.configured()
    made: dict[str, Recipient] = {}
    for key, name, kind, country, rail, details in RECIPIENTS:
        if name in known:
            made[key] = known[name]
            continue
        person = people.get("maintainer") if key == "mateo" else None
        made[key] = recipients.add_recipient(
            session,
            name=name,
            kind=kind,
            country=country,
            email=person.email if person else f"{key}@demo.example",
            person_id=person.id if person else None,
            actor=people["finance"],
            now=now,
            is_demo=True,
        )
        place = recipients.set_destination(
            session, made[key].id, rail=here[rail], currency="USD", details=details, actor=people["finance"], now=now
        )
        holds.look(session, place.id, note="Demo data: compared by a call.", actor=people["approver"], now=now)
        asked = {item.rule.document for item in documents.checklist_of(session, made[key], now=now)}
        if PAPERS.get(key) in asked:
            documents.record(
                session, made[key].id, document=PAPERS[key], signed_on=now.date() - timedelta(days=200),
                kept_at="Demo data: there is no paper", actor=people["finance"], now=now,
            )  # fmt: skip
    return made


def _fund(session: Session, *, now: datetime) -> None:
    ledger.ensure_account(session, BANK, GIVEN.currency, normal=Side.DEBIT, guard=Guard.DEBIT)
    ledger.ensure_account(session, FUND, GIVEN.currency, normal=Side.CREDIT, guard=Guard.CREDIT, name="Stipends (demo)")
    ledger.post(
        session,
        key="demo:payouts:pay-in",
        kind="pay-in",
        legs=[Leg(debit=BANK, credit=FUND, amount=GIVEN.amount_minor)],
        at=now,
        memo="Demo data: a gift for stipends",
    )


def _stipends(session: Session, made: Mapping[str, Recipient], *, now: datetime, people: Mapping[str, Person]) -> None:
    """Four in a run that waits for its approver, and one that is due next week."""
    for number, (key, cents, memo) in enumerate(STIPENDS, start=1):
        _owe(session, f"demo-stipend:{number}", made[key], cents, memo, people=people, now=now, days=0)
    _owe(session, "demo-stipend:5", made["aroha"], 150_000, "Stipend, translation", people=people, now=now, days=7)
    stipends = {f"demo-stipend:{number}" for number in range(1, len(STIPENDS) + 1)}
    run, _ = runs.prepare(
        session,
        currency="USD",
        due_by=now.date(),
        preparer=people["finance"],
        rails=rails.configured(),
        now=now,
        obligations=stipends,
        is_demo=True,
    )
    assert len(run.payouts) == len(STIPENDS)


def _owe(
    session: Session,
    obligation: str,
    who: Recipient,
    cents: int,
    memo: str,
    *,
    people: Mapping[str, Person],
    now: datetime,
    days: int,
) -> None:
    request(
        session,
        obligation=obligation,
        recipient_id=who.id,
        money=Money(cents, "USD"),
        fund_account=FUND,
        memo=memo,
        prepared_by=people["officer"],
        due_on=now.date() + timedelta(days=days),
        now=now,
        is_demo=True,
    )
