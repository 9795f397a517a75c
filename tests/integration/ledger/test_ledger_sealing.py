"""Sealing behind the writers, and what the chain and the export then prove."""

import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from ledger_book import BANK, FUND, GRANT, Book, lively
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from core import ledger
from core.ledger import Leg
from core.ledger.export import Format, export, snapshot
from core.ledger.reader import NotAnExport
from core.ledger.rebuild import rebuild
from core.ledger.sealing import latest_seal, seal, seal_all
from core.ledger.verify import Report, verify


@pytest.fixture
def own_engine(fresh_database: str) -> Iterator[Engine]:
    made = create_engine(fresh_database)
    yield made
    made.dispose()


@pytest.fixture
def sealed(own_engine: Engine, now: datetime) -> Engine:
    """A lively ledger, committed and sealed in two links, with one entry after them."""
    with Session(own_engine) as session:
        lively(session, now)
        session.commit()
        seal_all(session, now=now, batch_max=8)
        Book(session, now).award(1, key="after")
        session.commit()
    return own_engine


def exported(engine: Engine, now: datetime) -> str:
    with snapshot(engine) as session:
        return "".join(export(session, Format.JSON, now=now))


def verified(engine: Engine, now: datetime, **more: Any) -> Report:
    return verify(io.StringIO(exported(engine, now)), **more)


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def test_an_untouched_export_is_in_order(sealed: Engine, now: datetime) -> None:
    report = verified(sealed, now)
    assert report.findings == []
    assert (report.seals, report.sealed_entries, report.unsealed_entries) == (2, 13, 1)


def test_a_sealed_ledger_has_nothing_left_to_seal(sealed: Engine, now: datetime) -> None:
    with Session(sealed) as session:
        assert seal(session, now=now).entries == 1
        assert seal(session, now=now) is None
        assert seal(session, now=now, thorough=True) is None


def test_an_entry_that_commits_late_comes_into_a_later_seal(own_engine: Engine, now: datetime) -> None:
    with Session(own_engine) as early, Session(own_engine) as late, Session(own_engine) as sealer:
        Book(early, now).open_accounts()
        ledger.ensure_account(early, "assets:bank:eur", "EUR", normal=ledger.Side.DEBIT)
        ledger.ensure_account(early, "income:eur", "EUR", normal=ledger.Side.CREDIT)
        early.commit()
        Book(early, now).pay_in(500, key="first to write")  # draws the lower transaction number and id, commits last
        legs = [Leg(debit="assets:bank:eur", credit="income:eur", amount=5)]
        ledger.post(late, key="first to commit", kind="gift", legs=legs, at=now)
        late.commit()
        assert seal(sealer, now=now).entries == 1
        sealer.commit()
        assert seal(sealer, now=now) is None
        sealer.commit()
        early.commit()
        assert seal(sealer, now=now).entries == 1
        sealer.commit()
    assert verified(own_engine, now).ok
    order = [entry["key"] for entry in json.loads(exported(own_engine, now))["entries"]]
    assert order == ["first to commit", "first to write"]


def test_what_the_shortcut_would_miss_is_found_by_a_thorough_look(sealed: Engine, now: datetime) -> None:
    """A dump restored into another server brings transaction numbers that are ahead of the new ones."""
    with Session(sealed) as session:
        seal(session, now=now)
        session.commit()
        superuser(session, "UPDATE ledger_seal SET horizon = horizon + 1000000")
        Book(session, now).award(2, key="below the horizon")
        session.commit()
        assert seal(session, now=now) is None
        assert seal(session, now=now, thorough=True).entries == 1
        session.commit()
    assert verified(sealed, now).ok


def test_a_seal_is_signed_with_the_key_of_the_installation(sealed: Engine, now: datetime) -> None:
    report = verified(sealed, now)
    assert verified(sealed, now, public_key=report.public_key).ok
    assert codes(verified(sealed, now, public_key="ab" * 32)) == {"other_key"}


def test_a_head_noted_earlier_must_stay_in_the_chain(sealed: Engine, now: datetime) -> None:
    with Session(sealed) as session:
        head = latest_seal(session)
        noted = (head.no, head.hash.hex())
        session.commit()
        seal_all(session, now=now + timedelta(hours=1))
    assert verified(sealed, now, noted_head=noted).ok
    assert codes(verified(sealed, now, noted_head=(noted[0], "00" * 32))) == {"noted_head_gone"}


def test_a_chain_cut_back_cleanly_is_found_by_whoever_noted_its_head(sealed: Engine, now: datetime) -> None:
    """The one thing a file can't tell by itself, and why the head is published."""
    with Session(sealed) as session:
        head = latest_seal(session)
        noted = (head.no, head.hash.hex())
        superuser(session, "DELETE FROM ledger_sealed_entry WHERE seal_no = 2", "DELETE FROM ledger_seal WHERE no = 2")
    assert verified(sealed, now).ok
    assert codes(verified(sealed, now, noted_head=noted)) == {"noted_head_gone"}


def superuser(session: Session, *statements: str) -> None:
    """What a superuser with bad intentions does: switch triggers and foreign keys off."""
    session.execute(text("SET LOCAL session_replication_role = replica"))
    for statement in statements:
        assert session.execute(text(statement)).rowcount, f"{statement} changed nothing"
    session.execute(text("SET LOCAL session_replication_role = origin"))
    session.commit()


AWARD = "(SELECT id FROM ledger_entry WHERE key = 'award:1')"
TAMPERING = {
    "an amount was changed": (
        [f"UPDATE ledger_transfer SET amount = amount + 1 WHERE entry_id = {AWARD}"],
        {"entry_changed", "balance_differs"},
    ),
    "an amount was changed and the balances made to fit": (
        [
            f"UPDATE ledger_transfer SET amount = amount + 1 WHERE entry_id = {AWARD}",
            f"UPDATE ledger_account SET debits_posted = debits_posted + 1 WHERE code = '{FUND}'",
            f"UPDATE ledger_account SET credits_posted = credits_posted + 1 WHERE code = '{GRANT}'",
        ],
        {"entry_changed"},
    ),
    "a transfer was deleted": (
        [f"DELETE FROM ledger_transfer WHERE entry_id = {AWARD}"],
        {"entry_changed", "no_transfers", "balance_differs"},
    ),
    "an entry was deleted whole": (
        [f"DELETE FROM ledger_transfer WHERE entry_id = {AWARD}", "DELETE FROM ledger_entry WHERE key = 'award:1'"],
        {"entry_missing", "balance_differs"},
    ),
    "an entry and its place were deleted": (
        [
            f"DELETE FROM ledger_transfer WHERE entry_id = {AWARD}",
            f"DELETE FROM ledger_sealed_entry WHERE entry_id = {AWARD}",
            "DELETE FROM ledger_entry WHERE key = 'award:1'",
        ],
        {"entry_missing", "balance_differs"},
    ),
    "the accounts were swapped": (
        [f"UPDATE ledger_transfer SET debit_id = credit_id, credit_id = debit_id WHERE entry_id = {AWARD}"],
        {"entry_changed", "balance_differs", "overdrawn"},
    ),
    "an account took another's name": (
        [f"UPDATE ledger_account SET code = 'liabilities:grant:2:usd' WHERE code = '{GRANT}'"],
        {"entry_changed"},
    ),
    "a time was moved": (["UPDATE ledger_entry SET at = at - interval '1 day' WHERE key = 'award:1'"], {"entry_changed"}),
    "a reference was rewritten": (
        ["UPDATE ledger_entry SET refs = '{\"company\": \"other\"}' WHERE key = 'pay-in:1'"],
        {"entry_changed"},
    ),
    "an entry was changed and its hash too": (
        [
            f"UPDATE ledger_transfer SET amount = amount + 1 WHERE entry_id = {AWARD}",
            f"UPDATE ledger_sealed_entry SET hash = sha256('x') WHERE entry_id = {AWARD}",
        ],
        {"entry_changed", "seal_broken", "balance_differs"},
    ),
    "a seal was rewritten": (["UPDATE ledger_seal SET sealed_at = sealed_at + interval '1 day' WHERE no = 1"], {"seal_changed"}),
    "a seal got a hash of its own": (
        ["UPDATE ledger_seal SET hash = sha256('x') WHERE no = 1"],
        {"seal_changed", "bad_signature", "chain_broken"},
    ),
    "the last seal was taken away": (
        ["DELETE FROM ledger_seal WHERE no = 2"],
        {"seal_missing"},
    ),
    "the first seal was taken away": (
        ["DELETE FROM ledger_seal WHERE no = 1"],
        {"seal_missing", "chain_broken"},
    ),
    "a signature was changed": (["UPDATE ledger_seal SET signature = sha512('x') WHERE no = 2"], {"bad_signature"}),
    "entries changed places": (
        [
            "UPDATE ledger_sealed_entry SET position = position + 100 WHERE position <= 2",
            "UPDATE ledger_sealed_entry SET position = 103 - position WHERE position > 100",
        ],
        {"seal_broken"},
    ),
    "a balance was changed": (
        [f"UPDATE ledger_account SET credits_posted = credits_posted + 1 WHERE code = '{GRANT}'"],
        {"balance_differs"},
    ),
    "a hold was ended twice": (
        [
            "DROP INDEX uq_ledger_transfer_hold",
            """
            INSERT INTO ledger_transfer (
                entry_id, leg, phase, debit_id, credit_id, commodity, amount, hold_entry_id, hold_leg, held_amount)
            SELECT entry_id, 1, phase, debit_id, credit_id, commodity, amount, hold_entry_id, hold_leg, held_amount
            FROM ledger_transfer WHERE phase = 'settle'
            """,
        ],
        {"entry_changed", "hold_ended_twice", "balance_differs"},
    ),
}


@pytest.mark.parametrize(("statements", "expected"), TAMPERING.values(), ids=TAMPERING.keys())
def test_planted_tampering_is_found(sealed: Engine, now: datetime, statements: list[str], expected: set[str]) -> None:
    with Session(sealed) as session:
        superuser(session, *statements)
    report = verified(sealed, now)
    assert codes(report) == expected, report.findings


def test_an_export_may_be_formatted_and_sorted_anew(sealed: Engine, now: datetime) -> None:
    document = json.loads(exported(sealed, now))
    assert verify(io.StringIO(json.dumps(document, sort_keys=True, indent=7))).ok


def test_an_export_without_its_end_is_refused(sealed: Engine, now: datetime) -> None:
    whole = exported(sealed, now)
    with pytest.raises(NotAnExport, match="should stand"):
        verify(io.StringIO(whole[: len(whole) // 2]))


@pytest.mark.parametrize("content", ["", "[]", "{}", "nonsense", '{"format": "other"}', '{"entries": [1]}', "{" * 100_000])
def test_what_is_no_export_is_refused_with_a_sentence(content: str) -> None:
    with pytest.raises(NotAnExport):
        verify(io.StringIO(content))


def test_a_difference_of_balances_is_found_and_repaired_with_a_record(sealed: Engine, now: datetime) -> None:
    with Session(sealed) as session:
        assert rebuild(session, now=now).differences == []
        superuser(session, f"UPDATE ledger_account SET debits_posted = 700000, credits_pending = 9 WHERE code = '{BANK}'")
        (difference,) = rebuild(session, now=now).differences
        assert (difference.account, difference.kept.debits_posted, difference.kept.credits_pending) == (BANK, 700_000, 9)
        rebuild(session, now=now, repair=True)
        session.commit()
        assert rebuild(session, now=now).differences == []
        assert session.execute(text("SELECT details->>'account' FROM event WHERE verb = 'ledger.repaired'")).scalars().all() == [
            BANK
        ]
    assert verified(sealed, now).ok


def test_a_repair_takes_no_numbers_from_its_writer(sealed: Engine, now: datetime) -> None:
    before = exported(sealed, now)
    with Session(sealed) as session:
        session.execute(
            text(
                "INSERT INTO ledger_repair (id, account_id, before, at)"
                " SELECT gen_random_uuid(), id, '{\"debits_posted\": 5}', now() FROM ledger_account"
            )
        )
        session.commit()
    assert exported(sealed, now) == before
