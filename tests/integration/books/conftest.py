"""Finance, a company with a pledge, a bank account, and the domains' sources as the application registers them."""

from collections.abc import Callable, Sequence
from datetime import date, datetime

import pytest
from sqlalchemy.orm import Session

import app as application
from core.books import queries, statements
from core.books.models import BankAccount, BankLine
from core.identity.models import Person, Role
from core.money import Money
from pledge.models import Pledge, PledgeInstalment
from pledge.services import instalments
from tests.fakes.bank_statements import IBAN, Ntry, camt
from tests.integration.pledge import conftest as companies

assert application.main, "importing the application registers what the domains expect on bank accounts"

editor, finance, give_role = companies.editor, companies.finance, companies.give_role
member, pledge = companies.member, companies.pledge


@pytest.fixture
def second(session: Session, now: datetime) -> Person:
    """Another person of finance."""
    made = companies.person(session, "Farid", now)
    companies.give(session, made, Role.FINANCE)
    return made


@pytest.fixture
def account(session: Session, finance: Person, now: datetime) -> BankAccount:
    return statements.add_account(session, name="Main account", number=IBAN, currency="USD", actor=finance, now=now)


@pytest.fixture
def announced(session: Session, pledge: Pledge, editor: Person, now: datetime) -> Callable[..., PledgeInstalment]:
    """An instalment of $5,000 that waits for its payment, or of another amount."""

    def make(amount: str = "5000") -> PledgeInstalment:
        return instalments.announce(session, pledge, money=Money.parse(amount, "USD"), actor=editor, now=now)

    return make


@pytest.fixture
def said(
    session: Session, announced: Callable[..., PledgeInstalment], editor: Person, now: datetime
) -> Callable[..., PledgeInstalment]:
    """The same, and the company says that it sent it."""

    def make(amount: str = "5000") -> PledgeInstalment:
        return instalments.say_sent(
            session,
            announced(amount).id,
            sent_on=date(2026, 10, 30),
            evidence_url="https://bank.example/1",
            actor=editor,
            now=now,
        )

    return make


@pytest.fixture
def read(session: Session, account: BankAccount, finance: Person, now: datetime) -> Callable[..., Sequence[BankLine]]:
    """Read a statement with these entries, and tell the lines that were new."""

    def take(*entries: Ntry, name: str = "2026-44", opening: str | None = None) -> Sequence[BankLine]:
        (taken,) = statements.take(session, camt(entries, name=name, opening=opening), name=f"{name}.xml", actor=finance, now=now)
        return queries.lines_of(session, taken.statement.id) if taken.statement else []

    return take
