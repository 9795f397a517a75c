"""The database keeps the promises whoever writes: each constraint and guard, tried directly."""

import re
from collections.abc import Mapping

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from payouts.models import NEXT, NEXT_ATTEMPT, Payout, PayoutStatus, Recipient
from payouts.rails.base import Rail
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world

pytestmark = pytest.mark.usefixtures("funded")


@pytest.fixture
def paid(
    session: Session,
    people: world.Cast,
    ada: Recipient,
    rails: Mapping[str, Rail],
    engine_of_payouts: Engine,
    clock: world.Clock,
) -> Payout:
    """Paid on the trial rail, with one accepted attempt."""
    payout = world.owed(session, ada, 2_500_000, by=people.officer, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    engine_of_payouts.drive(payout.id)
    session.expire_all()
    return payout


def refused(session: Session, statement: str, match: str) -> None:
    with pytest.raises(DBAPIError, match=match), session.begin_nested():
        session.execute(text(statement))


ANOTHER = (
    "INSERT INTO payout_attempt SELECT (jsonb_populate_record(a, jsonb_build_object("
    "'id', gen_random_uuid(), 'no', {no}, 'idem_key', '{key}', 'remote_id', {remote}, 'state', '{state}', 'failure', {failure},"
    "'fee_minor', NULL, 'cost_minor', NULL"
    "))).* FROM payout_attempt a LIMIT 1"
)


@pytest.mark.parametrize(
    ("no", "key", "remote", "state", "failure", "match"),
    [
        ("2", "k2", "'tr_2'", "accepted", "NULL", "uq_payout_attempt_one_live"),
        ("2", "k2", "NULL", "sending", "NULL", "uq_payout_attempt_one_live"),
        ("2", "k2", "NULL", "unknown", "NULL", "uq_payout_attempt_one_live"),
        ("2", "k2", "NULL", "human", "NULL", "uq_payout_attempt_one_live"),
        ("1", "k2", "NULL", "failed", "'refused'", "uq_payout_attempt_payout_id_no"),
        ("2", "k2", "NULL", "failed", "NULL", "ck_payout_attempt_failed_has_reason"),
        ("2", "k2", "'tr_2'", "failed", "'refused'", "ck_payout_attempt_accepted_has_remote_id"),
        ("2", "k2", "NULL", "accepted", "NULL", "ck_payout_attempt_accepted_has_remote_id"),
        ("2", "k2", "NULL", "lost", "NULL", "attemptstate"),
    ],
)
def test_a_second_live_attempt_cannot_be_written(
    session: Session, paid: Payout, no: str, key: str, remote: str, state: str, failure: str, match: str
) -> None:
    refused(session, ANOTHER.format(no=no, key=key, remote=remote, state=state, failure=failure), match)


def test_keys_and_remote_ids_are_unique(session: Session, paid: Payout) -> None:
    key, remote = paid.attempts[0].idem_key, paid.attempts[0].remote_id
    failed = ANOTHER.format(no="2", key=key, remote="NULL", state="failed", failure="'refused'")
    refused(session, failed, "uq_payout_attempt_idem_key")
    session.execute(text("DROP INDEX uq_payout_attempt_one_live"))
    again = ANOTHER.format(no="2", key="k2", remote=f"'{remote}'", state="accepted", failure="NULL")
    refused(session, again, "uq_payout_attempt_rail_remote_id")


@pytest.mark.parametrize(
    ("statement", "match"),
    [
        ("UPDATE payout SET amount_minor = 1", "frozen"),
        ("UPDATE payout SET fund_account = 'x'", "frozen"),
        ("UPDATE payout SET destination_id = NULL", "frozen"),
        ("UPDATE payout SET recipient_id = gen_random_uuid()", "never changes"),
        ("UPDATE payout SET obligation = 'other'", "never changes"),
        ("UPDATE payout SET status = 'reserved'", "cannot become"),
        ("UPDATE payout SET status = 'draft'", "cannot become"),
        ("UPDATE payout SET status = 'cancelled'", "cannot become"),
        ("UPDATE payout SET paid_at = NULL", "ck_payout_paid_at"),
        ("DELETE FROM payout", "never deleted"),
        ("DELETE FROM payout_attempt", "never deleted"),
        ("TRUNCATE payout_attempt CASCADE", "append-only"),
        ("UPDATE payout_attempt SET idem_key = 'other'", "frozen"),
        ("UPDATE payout_attempt SET parameters = '{}'", "frozen"),
        ("UPDATE payout_attempt SET sends = 0", "counted upwards"),
        ("UPDATE payout_attempt SET state = 'failed', failure = 'refused', remote_id = NULL", "cannot become failed"),
        ("UPDATE payout_attempt SET remote_id = 'tr_other'", "final"),
        ("UPDATE payout_attempt SET lease_token = gen_random_uuid()", "ck_payout_attempt_lease"),
        ("UPDATE payout_rule SET value = 0", "append-only"),
        ("UPDATE rail_switch SET stopped = TRUE", "ck_rail_switch_stopped_for_a_reason"),
        ("UPDATE recipient SET country = 'Germany'", "ck_recipient_country"),
    ],
)
def test_what_was_approved_and_sent_stays_written(session: Session, paid: Payout, statement: str, match: str) -> None:
    refused(session, statement, match)


def test_a_payout_that_may_still_be_paid_cannot_be_taken_back(
    session: Session, people: world.Cast, bob: Recipient, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    payout = world.owed(session, bob, 100, by=people.officer, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    from payouts.policies import Rules
    from payouts.services import claims

    claims.claim(session, payout.id, rails=rails, rules=Rules(), now=clock())
    session.flush()
    refused(session, "UPDATE payout SET status = 'cancelled'", "may still pay it")
    refused(session, "UPDATE payout SET status = 'draft'", "may still pay it")


def test_the_database_knows_the_same_graph_as_the_code(session: Session) -> None:
    for function, graph in (("payout_guard", NEXT), ("payout_attempt_guard", NEXT_ATTEMPT)):
        source = str(session.scalar(text("SELECT prosrc FROM pg_proc WHERE proname = :name"), {"name": function}))
        listed = source.split("(OLD.stat", 1)[1].split("THEN", 1)[0]
        assert set(re.findall(r"\('(\w+)', '(\w+)'\)", listed)) == {
            (before.value, after.value) for before, steps in graph.items() for after in steps
        }
    assert PayoutStatus.PAID in NEXT[PayoutStatus.RESERVED]


def test_an_account_is_never_overdrawn_by_a_payout(
    session: Session, people: world.Cast, ada: Recipient, rails: Mapping[str, Rail], engine_of_payouts: Engine, clock: world.Clock
) -> None:
    for _ in range(3):
        world.owed(session, ada, 4_000_000, by=people.officer, now=clock())
    run = world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    for payout_id in world.payout_ids(session, run.id):
        engine_of_payouts.drive(payout_id)
    for payout_id in world.payout_ids(session, run.id):
        engine_of_payouts.drive(payout_id)
    session.expire_all()
    assert sorted(payout.status for payout in run.payouts) == ["approved", "paid", "paid"]
