"""What the database itself refuses, whoever writes to it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from ledger_book import BANK, FUND, GRANT, Book
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from core import ledger
from core.ledger import Side
from core.ledger.models import Account, EntryRow, TransferRow


@pytest.fixture
def ids(book: Book) -> Mapping[str, int]:
    """Account ids by code."""
    ledger.ensure_account(book.session, "assets:bank:eur", "EUR", normal=Side.DEBIT)
    return dict(book.session.execute(select(Account.code, Account.id)).all())


def insert_transfer(book: Book, **values: Any) -> None:
    """One row as a mistaken or malicious client would write it."""
    entry = EntryRow(id=uuid4(), key=str(uuid4()), request_hash=b"", kind="raw", memo="", refs={}, at=book.now)
    with book.session.begin_nested():
        book.session.add(entry)
        book.session.flush()
        book.session.add(TransferRow(**{"entry_id": entry.id, "leg": 0, "phase": "direct", "commodity": "USD", **values}))
        book.session.flush()


def held(book: Book, ids: Mapping[str, int]) -> dict[str, Any]:
    """The columns of a correct ending of a fresh hold of 500."""
    entry = book.hold(500)
    return {
        "debit_id": ids[FUND],
        "credit_id": ids[BANK],
        "amount": 500,
        "phase": "settle",
        "hold_entry_id": entry.id,
        "hold_leg": 0,
        "held_amount": 500,
        "hold_phase": "hold",
    }


def refused(constraint: str) -> Any:
    return pytest.raises(DBAPIError, match=constraint)


def test_a_correct_row_is_taken(book: Book, ids: Mapping[str, int]) -> None:
    insert_transfer(book, debit_id=ids[FUND], credit_id=ids[GRANT], amount=1)
    insert_transfer(book, **held(book, ids))
    assert ledger.balance(book.session, FUND).posted == 100_000 - 1 - 500


@pytest.mark.parametrize("commodity", ["USD", "EUR"])
def test_a_transfer_between_commodities(book: Book, ids: Mapping[str, int], commodity: str) -> None:
    with refused("fk_ledger_transfer_(debit|credit)_id_commodity"):
        insert_transfer(book, debit_id=ids[FUND], credit_id=ids["assets:bank:eur"], amount=1, commodity=commodity)


@pytest.mark.parametrize("amount", [0, -5])
def test_an_amount_that_is_not_positive(book: Book, ids: Mapping[str, int], amount: int) -> None:
    with refused("amount_positive"):
        insert_transfer(book, debit_id=ids[FUND], credit_id=ids[GRANT], amount=amount)


def test_one_account_on_both_sides(book: Book, ids: Mapping[str, int]) -> None:
    with refused("two_accounts"):
        insert_transfer(book, debit_id=ids[FUND], credit_id=ids[FUND], amount=1)


def test_an_overdraft_of_a_fund(book: Book, ids: Mapping[str, int]) -> None:
    with refused("no_overdraft"):
        insert_transfer(book, debit_id=ids[FUND], credit_id=ids[GRANT], amount=100_001)


def test_an_overdraft_of_the_bank(book: Book, ids: Mapping[str, int]) -> None:
    spent = ledger.ensure_account(book.session, "expenses:other:usd", "USD", normal=Side.DEBIT)
    with refused("no_overdraft"):
        insert_transfer(book, debit_id=spent.id, credit_id=ids[BANK], amount=100_001)


def test_an_overdraft_of_what_a_hold_left(book: Book, ids: Mapping[str, int]) -> None:
    book.hold(60_000)
    with refused("no_overdraft"):
        insert_transfer(book, debit_id=ids[FUND], credit_id=ids[GRANT], amount=40_001)


@pytest.mark.parametrize(
    "wrong",
    [
        {"held_amount": 501, "amount": 501},
        {"credit_id": GRANT},
        {"debit_id": GRANT},
        {"hold_leg": 1},
        {"hold_phase": "direct"},
    ],
)
def test_an_ending_that_differs_from_its_hold(book: Book, ids: Mapping[str, int], wrong: dict[str, Any]) -> None:
    values = {name: ids.get(value, value) for name, value in wrong.items()}
    with refused("fk_ledger_transfer_hold"):
        insert_transfer(book, **{**held(book, ids), **values})


def test_an_ending_of_what_is_no_hold(book: Book, ids: Mapping[str, int]) -> None:
    award = book.award(500)
    ending = {**held(book, ids), "hold_entry_id": award.id, "credit_id": ids[GRANT]}
    with refused("fk_ledger_transfer_hold"):
        insert_transfer(book, **ending)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 501},
        {"phase": "direct"},
        {"phase": "void", "amount": 499},
        {"phase": "expire", "amount": 499},
        {"hold_leg": None},
        {"held_amount": None},
        {"hold_phase": None},
        {"expires_at": datetime(2026, 12, 1, tzinfo=UTC)},
    ],
)
def test_an_ending_that_moves_more_or_forgets_its_hold(book: Book, ids: Mapping[str, int], wrong: dict[str, Any]) -> None:
    with refused("does not carry what one of its phase carries"):
        insert_transfer(book, **{**held(book, ids), **wrong})


def test_one_bad_row_among_many(book: Book, ids: Mapping[str, int]) -> None:
    good = {"debit_id": ids[FUND], "credit_id": ids[GRANT], "amount": 1, "commodity": "USD", "phase": "direct"}
    bad = {**good, "leg": 2, "expires_at": datetime(2026, 12, 1, tzinfo=UTC)}
    entry = book.award(500)
    with refused("does not carry what one of its phase carries"), book.session.begin_nested():
        rows = [{**good, "leg": 1}, bad, {**good, "leg": 3}]
        book.session.execute(insert(TransferRow).values([{"entry_id": entry.id, "expires_at": None, **row} for row in rows]))


def test_a_second_ending_of_a_hold(book: Book, ids: Mapping[str, int]) -> None:
    ending = held(book, ids)
    insert_transfer(book, **ending)
    with refused("uq_ledger_transfer_hold"):
        insert_transfer(book, **{**ending, "phase": "void"})


def test_a_second_entry_under_one_key(book: Book) -> None:
    with refused("uq_ledger_entry_key"), book.session.begin_nested():
        book.session.add(EntryRow(key="pay-in:1", request_hash=b"", kind="raw", memo="", refs={}, at=book.now))
        book.session.flush()


def test_an_account_that_starts_with_a_balance(book: Book) -> None:
    with refused("starts with a balance"), book.session.begin_nested():
        row = Account(code="assets:gift", name="", commodity="USD", normal="debit", guard="none", debits_posted=5)
        book.session.add(row)
        book.session.flush()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"code": "Assets:Bank"}, "not an account code"),
        ({"normal": "left"}, "debit or the credit side"),
        ({"guard": "credit"}, "guarded there"),
    ],
)
def test_an_account_of_another_form(book: Book, wrong: dict[str, str], why: str) -> None:
    values = {"code": "assets:gift", "normal": "debit", "guard": "none", **wrong}
    with refused(why), book.session.begin_nested():
        book.session.execute(
            text("INSERT INTO ledger_account (code, name, commodity, normal, guard) VALUES (:code, '', 'USD', :normal, :guard)"),
            values,
        )


CHANGES = (
    "UPDATE ledger_entry SET memo = 'x'",
    "UPDATE ledger_transfer SET amount = 1",
    "UPDATE ledger_transfer SET amount = 1 WHERE false",
    "UPDATE ledger_commodity SET scale = 3",
    "UPDATE ledger_account SET credits_posted = 1000000",
    "UPDATE ledger_account SET guard = 'none'",
    "UPDATE ledger_account SET code = 'assets:other'",
    "DELETE FROM ledger_transfer",
    "DELETE FROM ledger_entry",
    "DELETE FROM ledger_account",
    "DELETE FROM ledger_seal",
    "DELETE FROM ledger_sealed_entry",
    "UPDATE ledger_seal SET entries = 1",
    "UPDATE ledger_sealed_entry SET position = 1",
    "DELETE FROM ledger_repair",
    "TRUNCATE ledger_transfer CASCADE",
    "TRUNCATE ledger_entry CASCADE",
    "TRUNCATE ledger_account CASCADE",
    "TRUNCATE ledger_seal CASCADE",
    "TRUNCATE ledger_sealed_entry",
)


@pytest.mark.parametrize("statement", CHANGES)
def test_a_change_by_hand(book: Book, statement: str) -> None:
    with pytest.raises(DBAPIError, match="append-only") as refusal, book.session.begin_nested():
        book.session.execute(text(statement))
    assert isinstance(refusal.value.orig, psycopg.errors.RestrictViolation)


def test_the_name_of_an_account_may_change(book: Book) -> None:
    book.session.execute(text("UPDATE ledger_account SET name = 'House bank'"))
