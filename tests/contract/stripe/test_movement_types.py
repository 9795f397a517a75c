"""Every kind of movement that the pinned library names has a meaning here, and nothing else has."""

import typing

import stripe

from pledge.providers.stripe_types import ELSEWHERE, KINDS, NOT_BOOKED, meaning


def test_every_kind_the_library_names_is_booked_left_to_a_person_or_nothing_of_ours() -> None:
    note = stripe.BalanceTransaction.__annotations__["type"]
    named = {word for each in typing.get_args(note) for word in typing.get_args(each)}
    booked = frozenset().union(*KINDS.values())
    assert len(named) > 50
    assert booked | NOT_BOOKED.keys() | ELSEWHERE == named
    assert not booked & NOT_BOOKED.keys()
    assert not ELSEWHERE & (booked | NOT_BOOKED.keys())


def test_a_kind_of_a_later_version_is_not_guessed_at() -> None:
    assert meaning("payment_moved_to_mars") == "of a kind that nobody here knows"
