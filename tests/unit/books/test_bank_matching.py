"""What a line probably is. Never one line for two things, never one thing for two lines."""

from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.books.matching import Kind, Line, Movement, suggest
from core.books.models import Direction
from core.books.sources import Expected
from core.money import Money

DAY = date(2026, 11, 1)


def line(number: int, cents: int, *texts: str, direction: Direction = Direction.IN, day: int = 0) -> Line:
    return Line(UUID(int=number), DAY + timedelta(days=day), direction, Money(cents, "USD"), texts, number)


def awaited(number: int, cents: int, reference: str, *, direction: Direction = Direction.IN, is_said: bool = True) -> Expected:
    money = Money(cents, "USD")
    return Expected("pledge", UUID(int=number), direction, reference, money, f"Company {number}", "/", is_said=is_said)


def moved(number: int, cents: int, *references: str, direction: Direction = Direction.IN) -> Movement:
    return Movement(UUID(int=number), DAY, direction, Money(cents, "USD"), references, "somebody", "/")


ONE = awaited(1, 500_00, "PW-1A2B3C4D5E")


@pytest.mark.parametrize(
    "text",
    [
        "PW-1A2B3C4D5E",
        "pledge pw-1a2b3c4d5e thanks",
        "PW 1A2B3C4D5E",
        "PW-1A2B3\n C4D5E",
        "RE PW1A2B3C4D5E.",
        "(PW-1A2B-3C4D-5E)",
    ],
)
def test_a_reference_is_found_however_the_bank_breaks_it(text: str) -> None:
    assert suggest([line(1, 500_00, text)], [ONE], [])[UUID(int=1)].kind is Kind.EXACT


def test_a_reference_is_not_the_beginning_of_another() -> None:
    first, tenth = (awaited(n, 500_00, f"PW-ABCDEF-{n}", direction=Direction.OUT) for n in (1, 10))
    found = suggest([line(1, 500_00, "PW-ABCDEF-10", direction=Direction.OUT)], [first, tenth], [])
    assert found[UUID(int=1)].expected is tenth


@pytest.mark.parametrize(
    ("cents", "text", "kind"),
    [
        (300_00, "PW-1A2B3C4D5E", Kind.PARTIAL),
        (600_00, "PW-1A2B3C4D5E", Kind.TOO_MUCH),
        (500_00, "a gift", Kind.SAME_AMOUNT),
        (499_00, "a gift", Kind.UNKNOWN),
    ],
)
def test_what_does_not_fit_is_named(cents: int, text: str, kind: Kind) -> None:
    assert suggest([line(1, cents, text)], [ONE], [])[UUID(int=1)].kind is kind


def test_what_nobody_said_was_sent_is_not_confirmed() -> None:
    found = suggest([line(1, 500_00, "PW-1A2B3C4D5E")], [awaited(1, 500_00, "PW-1A2B3C4D5E", is_said=False)], [])
    assert found[UUID(int=1)].kind is Kind.NOT_SAID


def test_the_second_payment_under_a_reference_came_twice() -> None:
    found = suggest([line(2, 500_00, "PW-1A2B3C4D5E", day=1), line(1, 500_00, "PW-1A2B3C4D5E")], [ONE], [])
    assert [found[UUID(int=n)].kind for n in (1, 2)] == [Kind.EXACT, Kind.TWICE]


def test_a_part_that_came_first_does_not_take_what_the_whole_came_for() -> None:
    found = suggest([line(1, 300_00, "PW-1A2B3C4D5E"), line(2, 500_00, "PW-1A2B3C4D5E", day=1)], [ONE], [])
    assert [found[UUID(int=n)].kind for n in (1, 2)] == [Kind.TWICE, Kind.EXACT]


def test_a_line_that_names_two_is_for_people() -> None:
    both = [ONE, awaited(2, 200_00, "PW-FFFFFFFFFF")]
    found = suggest([line(1, 700_00, "PW-1A2B3C4D5E and PW-FFFFFFFFFF")], both, [])[UUID(int=1)]
    assert (found.kind, set(found.others)) == (Kind.SEVERAL, set(both))


def test_money_out_is_never_what_should_come_in() -> None:
    assert suggest([line(1, 500_00, "PW-1A2B3C4D5E", direction=Direction.OUT)], [ONE], [])[UUID(int=1)].kind is Kind.UNKNOWN


def test_another_currency_is_another_thing() -> None:
    euros = Line(UUID(int=1), DAY, Direction.IN, Money(500_00, "EUR"), ("PW-1A2B3C4D5E",))
    assert suggest([euros], [ONE], [])[UUID(int=1)].kind is Kind.UNKNOWN


def test_what_is_in_the_ledger_is_linked_before_anything_is_confirmed_again() -> None:
    found = suggest([line(1, 500_00, "PW-1A2B3C4D5E")], [ONE], [moved(7, 500_00, "PW-1A2B3C4D5E")])[UUID(int=1)]
    assert (found.kind, found.movement and found.movement.entry_id) == (Kind.POSTED, UUID(int=7))


def test_the_same_amount_is_a_hint_only_where_nothing_else_could_be_meant() -> None:
    two = [ONE, awaited(2, 500_00, "PW-FFFFFFFFFF")]
    assert suggest([line(1, 500_00, "a gift")], two, [])[UUID(int=1)].kind is Kind.UNKNOWN
    found = suggest([line(1, 500_00, "a gift"), line(2, 500_00, "another")], [ONE], [])
    assert {each.kind for each in found.values()} == {Kind.UNKNOWN}


REFERENCES = [f"PW-00000000{n}{n}" for n in range(5)]
LINES = st.lists(
    st.tuples(
        st.sampled_from([100, 200, 300]), st.sampled_from(list(Direction)), st.lists(st.sampled_from(REFERENCES), max_size=2),
        st.integers(0, 3),
    ),
    max_size=12,
)  # fmt: skip
EXPECTED = st.lists(
    st.tuples(st.sampled_from([100, 200, 300]), st.sampled_from(list(Direction)), st.sampled_from(REFERENCES), st.booleans()),
    max_size=8, unique_by=lambda each: each[2],
)  # fmt: skip
MOVED = st.lists(
    st.tuples(st.sampled_from([100, 200, 300]), st.sampled_from(list(Direction)), st.sampled_from(REFERENCES)), max_size=6
)
TO_BE_CONFIRMED = {Kind.EXACT, Kind.NOT_SAID, Kind.SAME_AMOUNT}


@given(LINES, EXPECTED, MOVED, st.randoms())
@settings(max_examples=300, deadline=None)
def test_nothing_is_used_twice_and_the_order_given_does_not_matter(lines, expected, movements, random) -> None:  # type: ignore[no-untyped-def]
    given_lines = [line(n, cents, *texts, direction=way, day=day) for n, (cents, way, texts, day) in enumerate(lines, 1)]
    given_expected = [
        awaited(n, cents, ref, direction=way, is_said=said) for n, (cents, way, ref, said) in enumerate(expected, 1)
    ]
    given_moves = [moved(n, cents, ref, direction=way) for n, (cents, way, ref) in enumerate(movements, 1)]
    found = suggest(given_lines, given_expected, given_moves)
    assert found.keys() == {each.id for each in given_lines}
    by_id = {each.id: each for each in given_lines}
    confirmed = [each.expected.key for each in found.values() if each.kind in TO_BE_CONFIRMED and each.expected]
    linked = [each.movement.entry_id for each in found.values() if each.movement]
    assert len(confirmed) == len(set(confirmed))
    assert len(linked) == len(set(linked))
    for line_id, each in found.items():
        same = (by_id[line_id].direction, by_id[line_id].money)
        if each.kind in TO_BE_CONFIRMED:
            assert each.expected is not None
            assert (each.expected.direction, each.expected.money) == same
            assert each.expected.is_said or each.kind is not Kind.EXACT
        if each.movement is not None:
            assert (each.movement.direction, each.movement.money) == same
    shuffled = list(given_lines)
    random.shuffle(shuffled)
    assert suggest(shuffled, given_expected, given_moves) == found
