"""What may be done next about an attempt, and what an approval binds to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.db import new_id
from core.money import Money
from payouts.models import NEXT_ATTEMPT, AttemptState, RuleKind
from payouts.policies import Finding, Known, LimitReached, Next, Rules, Step, Usage, judge, leaving, next_step, reference
from payouts.rails.base import REFERENCE_CHARACTERS_MAX, Capabilities, Receipt

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
RULES = Rules()
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
KEYED = Capabilities(idempotent=True, key_window=23 * HOUR, lookup_authoritative=True)
PLAIN = Capabilities(lookup_authoritative=True, visibility=HOUR)
BY_HAND = Capabilities(needs_person=True)


def known(
    state: AttemptState = AttemptState.SENDING,
    sends: int = 0,
    declined: int = 0,
    age: timedelta = MINUTE,
    sent: timedelta | None = None,
    not_before: timedelta | None = None,
    lease: timedelta | None = None,
) -> Known:
    def moment(distance: timedelta | None, sign: int) -> datetime | None:
        return None if distance is None else NOW + sign * distance

    sent = sent if sent is not None or not sends else age
    return Known(state, sends, declined, NOW - age, moment(sent, -1), moment(not_before, 1), moment(lease, 1))


@pytest.mark.parametrize(
    ("about", "rail", "expected"),
    [
        (known(), KEYED, Next(Step.SEND)),
        (known(lease=MINUTE), KEYED, Next(Step.WAIT, NOW + MINUTE)),
        (known(not_before=HOUR), PLAIN, Next(Step.WAIT, NOW + HOUR)),
        # Maybe sent, on a rail with keys: the same key again, up to a number of times and inside the window.
        (known(sends=1), KEYED, Next(Step.SEND)),
        (known(AttemptState.UNKNOWN, sends=3), KEYED, Next(Step.SEND)),
        (known(AttemptState.UNKNOWN, sends=4, age=HOUR), KEYED, Next(Step.LOOK_UP)),
        (known(AttemptState.UNKNOWN, sends=1, age=24 * HOUR), KEYED, Next(Step.LOOK_UP)),
        # Without keys never again: wait until a look-up can be believed.
        (known(sends=1), PLAIN, Next(Step.WAIT, NOW - MINUTE + HOUR + RULES.lease)),
        (known(AttemptState.UNKNOWN, sends=1, age=2 * HOUR), PLAIN, Next(Step.LOOK_UP)),
        # What the rail said it has is never sent again, not even under its key. It is looked at before lists are complete.
        (replace(known(AttemptState.UNKNOWN, sends=1), at_rail=True), KEYED, Next(Step.WAIT, NOW - MINUTE + RULES.quiescence)),
        (replace(known(AttemptState.UNKNOWN, sends=1, age=2 * HOUR), at_rail=True), KEYED, Next(Step.LOOK_UP)),
        (replace(known(AttemptState.UNKNOWN, sends=1, age=20 * MINUTE), at_rail=True), PLAIN, Next(Step.LOOK_UP)),
        # A clear “not now” is no send at all.
        (known(sends=2, declined=2), PLAIN, Next(Step.SEND)),
        (known(sends=2, declined=1, age=2 * HOUR), PLAIN, Next(Step.LOOK_UP)),
        (known(), BY_HAND, Next(Step.PEOPLE)),
        (known(AttemptState.HUMAN, sends=1), KEYED, Next(Step.PEOPLE)),
        (known(AttemptState.ACCEPTED, sends=1), KEYED, Next(Step.NOTHING)),
        (known(AttemptState.FAILED, sends=1), KEYED, Next(Step.NOTHING)),
    ],
)
def test_what_may_be_done_next(about: Known, rail: Capabilities, expected: Next) -> None:
    assert next_step(about, rail, RULES, NOW) == expected


RAILS = st.builds(
    Capabilities,
    idempotent=st.booleans(),
    key_window=st.timedeltas(timedelta(0), 30 * HOUR),
    lookup_authoritative=st.booleans(),
    visibility=st.timedeltas(timedelta(0), 3 * HOUR),
    timeout=st.timedeltas(timedelta(seconds=1), MINUTE),
)
ATTEMPTS = st.builds(
    known,
    state=st.sampled_from(AttemptState),
    sends=st.integers(0, 6),
    age=st.timedeltas(timedelta(0), 30 * HOUR),
    lease=st.none() | st.timedeltas(-HOUR, HOUR),
    not_before=st.none() | st.timedeltas(-HOUR, HOUR),
)


@given(ATTEMPTS, RAILS)
def test_nothing_is_sent_again_without_a_key_and_nothing_believed_too_early(about: Known, rail: Capabilities) -> None:
    found = next_step(about, rail, RULES, NOW)
    maybe_sent = about.sends > about.declined
    if found.step is Step.SEND and maybe_sent:
        assert rail.idempotent
        assert about.created_at + rail.key_window > NOW
    if found.step is Step.LOOK_UP:
        assert maybe_sent
        assert about.sent_at is not None
        assert about.sent_at + rail.visibility + rail.timeout <= NOW
    if found.step is Step.WAIT:
        assert found.until is not None
        assert found.until > NOW
    if found.step in {Step.SEND, Step.LOOK_UP}:
        assert about.lease_until is None or about.lease_until <= NOW
        assert about.state in {AttemptState.SENDING, AttemptState.UNKNOWN}


@given(RAILS, st.lists(st.integers(1, 3), max_size=3))
def test_a_look_up_proves_absence_only_where_the_rail_says_so(rail: Capabilities, amounts: list[int]) -> None:
    receipts = [Receipt(f"tr_{number}", Money(amount, "USD")) for number, amount in enumerate(amounts)]
    finding = judge(receipts, Money(1, "USD"), rail)
    if not amounts:
        assert finding is (Finding.ABSENT if rail.lookup_authoritative else Finding.PEOPLE)
    else:
        assert finding is (Finding.ACCEPTED if amounts == [1] else Finding.CONTRADICTION)


def test_an_attempt_never_goes_from_unknown_back_to_sending() -> None:
    assert AttemptState.SENDING not in {after for steps in NEXT_ATTEMPT.values() for after in steps}
    assert NEXT_ATTEMPT[AttemptState.ACCEPTED] == NEXT_ATTEMPT[AttemptState.FAILED] == frozenset()


@given(st.uuids(), st.integers(1, 9999))
def test_references_fit_every_rail_and_name_one_attempt(payout_id: object, no: int) -> None:
    made = reference(payout_id, no)  # type: ignore[arg-type]
    assert len(made) <= REFERENCE_CHARACTERS_MAX
    assert made.replace("-", "").isalnum()
    assert made != reference(payout_id, no + 1)  # type: ignore[arg-type]
    assert made != reference(new_id(), no)


def test_a_limit_says_what_would_pass_it() -> None:
    usage = Usage(RuleKind.DAY_MAX, "all payouts of a day", Money(1000, "USD"), Money(600, "USD"), Money(400, "USD"))
    usage.require()
    over = Usage(RuleKind.DAY_MAX, "all payouts of a day", Money(1000, "USD"), Money(600, "USD"), Money(401, "USD"))
    with pytest.raises(LimitReached, match=r"a day is 10\.00 USD; this would be 4\.01 USD on top of 6\.00"):
        over.require()


@given(st.timedeltas(timedelta(0), timedelta(minutes=5)))
def test_a_send_starts_only_if_it_ends_inside_the_lease(late: timedelta) -> None:
    lease_until = NOW + RULES.lease
    assert RULES.in_time(lease_until, KEYED, NOW + late) is (late + KEYED.timeout < RULES.lease)


@given(st.lists(st.integers(1, 10_000), max_size=30), st.sampled_from([1, 100, 1_000]))
def test_whole_units_lose_nothing_and_never_pay_in_advance(owed: list[int], unit: int) -> None:
    kept = sent = 0
    for amount in owed:
        leaves = leaving(amount, kept, unit)
        kept += amount - leaves
        sent += leaves
        assert leaves % unit == 0
        assert 0 <= kept < unit
    assert sent + kept == sum(owed)


@given(st.integers(-5_000, -1), st.integers(1, 10_000), st.sampled_from([1, 100]))
def test_what_was_had_in_advance_makes_the_next_payment_smaller(kept: int, owed: int, unit: int) -> None:
    leaves = leaving(owed, kept, unit)
    assert owed + kept - unit < leaves <= owed + kept
