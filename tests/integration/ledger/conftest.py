"""Fixtures of the ledger's tests."""

from datetime import datetime

import pytest
from ledger_book import Book
from sqlalchemy.orm import Session


@pytest.fixture
def book(session: Session, now: datetime) -> Book:
    """A ledger whose fund holds $1,000.00."""
    made = Book(session, now)
    made.open_accounts()
    made.pay_in(100_000)
    return made
