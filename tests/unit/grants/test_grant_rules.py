"""The pure rules of granting: requests, caps, scores, instalments, hosts, overlaps; and the graphs of states."""

import csv
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import IllegalTransition, InvalidInput
from core.money import Money
from grants import models, policies
from grants.models import InterestKind, LinkKind, Programme, Schedule
from grants.models import applications as applications_models
from grants.models import grants as grants_models
from grants.models import programmes as programmes_models
from grants.models import reviews as reviews_models
from grants.policies import caps
from grants.policies.conflicts import Held, Tie, overlaps
from grants.policies.schedule import ends_on, months_later

FLOSS = Programme(
    name="FLOSS/fund",
    currency="USD",
    annual_cap_minor=100_000_000,
    award_cap_minor=10_000_000,
    request_min_minor=1_000_000,
    request_step_minor=2_500_000,
    request_max_minor=10_000_000,
)
amounts = st.integers(1, 10**12)
percents = st.decimals(0, Decimal("99.999999"), places=6)


def usd(amount: int) -> Money:
    return Money(amount * 100, "USD")


@pytest.mark.parametrize(
    ("amount", "fits"),
    [(10_000, True), (25_000, True), (50_000, True), (100_000, True), (15_000, False), (30_000, False), (60_000, False),
     (5_000, False), (125_000, False)],
)  # fmt: skip
def test_the_floss_fund_rule_takes_the_minimum_or_multiples_of_the_step(amount: int, fits: bool) -> None:
    assert policies.fits_request_rule(usd(amount), FLOSS) is fits


def test_the_rule_reads_as_a_phrase() -> None:
    assert policies.request_rule_in_words(FLOSS) == "10,000.00 USD, or a multiple of 25,000.00 USD up to 100,000.00 USD"
    assert policies.request_rule_in_words(Programme(currency="USD")) == "any amount"


def test_six_of_the_39_published_grants_need_a_reason(shared: Path) -> None:
    with (shared / "data" / "floss_grants.csv").open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            fits = policies.fits_request_rule(usd(int(row["usd"])), FLOSS)
            assert fits == (row["fits_request_rule"] == "yes"), row["name"]
            if fits:
                assert policies.require_rule_or_reason(FLOSS, usd(int(row["usd"])), "unneeded") is None
                continue
            with pytest.raises(caps.OverrideNeeded):
                policies.require_rule_or_reason(FLOSS, usd(int(row["usd"])), "  ")
            assert policies.require_rule_or_reason(FLOSS, usd(int(row["usd"])), " Because. ") == "Because."


def standing(committed: int, places_taken: int, programme: Programme) -> policies.Standing:
    return policies.Standing(2026, usd(committed), places_taken, programme.annual_cap, programme.places_per_year)


def test_the_tenth_award_of_the_year_is_refused_whatever_the_calendar() -> None:
    bloomberg = Programme(name="FOSS fund", currency="USD", annual_cap_minor=9_000_000, award_cap_minor=1_000_000)
    for made in range(9):
        policies.require_within_caps(
            bloomberg, usd(10_000), standing(made * 10_000, made, bloomberg), round_grants=0, round_max=3
        )
    with pytest.raises(caps.AnnualCapExceeded, match=r"90,000.00 USD are committed, so 0.00 USD are left"):
        policies.require_within_caps(bloomberg, usd(10_000), standing(90_000, 9, bloomberg), round_grants=0, round_max=3)
    with pytest.raises(caps.AwardCapExceeded):
        policies.require_within_caps(bloomberg, usd(10_001), standing(0, 0, bloomberg))
    with pytest.raises(caps.RoundFull):
        policies.require_within_caps(bloomberg, usd(10_000), standing(30_000, 3, bloomberg), round_grants=3, round_max=3)


def test_a_fourth_fellow_is_refused_and_one_place_is_left_after_two() -> None:
    sequoia = Programme(name="Fellowship", currency="USD", places_per_year=3)
    assert standing(200_000, 2, sequoia).places_left == 1
    with pytest.raises(caps.NoPlaceLeft):
        policies.require_within_caps(sequoia, usd(100_000), standing(300_000, 3, sequoia))


@pytest.mark.parametrize(("first_month", "day", "year"), [(1, date(2026, 1, 1), 2026), (10, date(2026, 9, 30), 2025),
                                                         (10, date(2026, 10, 1), 2026)])  # fmt: skip
def test_a_programme_year_is_named_for_the_year_it_begins_in(first_month: int, day: date, year: int) -> None:
    assert policies.programme_year(first_month, day) == year


# Instalments


def test_a_stipend_of_twelve_months_carries_the_odd_cents_first() -> None:
    parts = policies.plan(usd(100_000), Schedule.MONTHLY, starts_on=date(2024, 1, 31), count=12)
    assert [str(part.money) for part in parts] == ["8,333.34 USD"] * 4 + ["8,333.33 USD"] * 8
    assert [part.due_on for part in parts[:3]] == [date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31)]
    assert ends_on(Schedule.MONTHLY, parts, starts_on=date(2024, 1, 31), months=None) == date(2025, 1, 31)
    assert not any(part.gated for part in parts)


def test_with_a_gate_all_but_the_first_instalment_wait_for_reports() -> None:
    parts = policies.plan(usd(100_000), Schedule.QUARTERLY, starts_on=date(2026, 1, 1), count=4, report_gate=True)
    assert [part.gated for part in parts] == [False, True, True, True]
    assert parts[3].due_on == date(2026, 10, 1)


@given(amounts, st.sampled_from([Schedule.UPFRONT, Schedule.MONTHLY, Schedule.QUARTERLY]), st.integers(1, 60), st.booleans())
def test_instalments_sum_to_the_grant(amount: int, schedule: Schedule, count: int, gate: bool) -> None:
    whole = Money(max(amount, count), "USD")
    parts = policies.plan(whole, schedule, starts_on=date(2026, 1, 31), count=count, report_gate=gate)
    assert sum(part.money.amount_minor for part in parts) == whole.amount_minor
    assert max(p.money.amount_minor for p in parts) - min(p.money.amount_minor for p in parts) <= 1
    assert [p.due_on for p in parts] == sorted(p.due_on for p in parts if p.due_on)


@given(st.lists(amounts, min_size=1, max_size=60))
def test_milestones_keep_their_own_sums(sums: list[int]) -> None:
    milestones = [policies.Milestone(f"Step {i}", Money(part, "EUR")) for i, part in enumerate(sums)]
    parts = policies.plan(
        Money(sum(sums), "EUR"), Schedule.MILESTONES, starts_on=date(2026, 1, 1), milestones=milestones, report_gate=True
    )
    assert [part.money.amount_minor for part in parts] == sums
    assert all(part.gated and part.due_on is None for part in parts)


@pytest.mark.parametrize(
    "milestones",
    [[], [policies.Milestone("One", usd(9))], [policies.Milestone(" ", usd(10))],
     [policies.Milestone("One", usd(11)), policies.Milestone("Two", usd(-1))], [policies.Milestone("One", Money(1000, "EUR"))]],
)  # fmt: skip
def test_milestones_that_do_not_make_the_grant_are_refused(milestones: list[policies.Milestone]) -> None:
    with pytest.raises(InvalidInput):
        policies.plan(usd(10), Schedule.MILESTONES, starts_on=date(2026, 1, 1), milestones=milestones)


def test_more_instalments_than_cents_are_refused() -> None:
    with pytest.raises(InvalidInput):
        policies.plan(Money(3, "USD"), Schedule.MONTHLY, starts_on=date(2026, 1, 1), count=4)


@given(st.dates(date(2000, 1, 1), date(2100, 12, 31)), st.integers(0, 120))
def test_months_later_never_leaves_the_month_meant(day: date, months: int) -> None:
    later = months_later(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day <= day.day


# Hosts


def test_a_gift_of_1000_at_a_host_with_ten_percent() -> None:
    hosted = policies.through_host([usd(1000)], fee_percent=Decimal(10), platform_share_percent=Decimal(15))
    assert (hosted.net, hosted.host_keeps, hosted.platform) == (usd(900), usd(85), usd(15))


def test_a_hundred_thousand_directly_or_through_a_host() -> None:
    whole = usd(100_000)
    hosted = policies.through_host(whole.split([1] * 4).parts, fee_percent=Decimal(10))
    assert (hosted.gross, hosted.net) == (whole, usd(90_000))


@given(amounts, st.integers(1, 60), percents, st.decimals(0, 100, places=6))
def test_net_and_fees_are_the_gross_to_the_cent(amount: int, count: int, fee: Decimal, share: Decimal) -> None:
    parts = Money(amount, "USD").split([1] * count).parts
    hosted = policies.through_host(parts, fee_percent=fee, platform_share_percent=share)
    for part in hosted.parts:
        assert part.net + part.host_keeps + part.platform == part.gross
        assert abs(Fraction(part.fee.amount_minor) - part.gross.amount_minor * Fraction(fee) / 100) <= Fraction(1, 2)
        assert min(part.net.amount_minor, part.host_keeps.amount_minor, part.platform.amount_minor) >= 0
    assert hosted.net + hosted.fee == hosted.gross == Money(amount, "USD")


@pytest.mark.parametrize(("fee", "share"), [("100", "0"), ("-1", "0"), ("10", "101"), ("10", "-0.1")])
def test_impossible_fees_are_refused(fee: str, share: str) -> None:
    with pytest.raises(InvalidInput):
        policies.through_host([usd(1)], fee_percent=Decimal(fee), platform_share_percent=Decimal(share))


# Scores


def test_nlnets_weights_give_an_exact_mean() -> None:
    first = policies.review_score([(30, 5, 5), (40, 3, 5), (30, 4, 5)])
    second = policies.review_score([(30, 2, 5), (40, 4, 5), (30, 1, 3)])
    assert (first, second) == (Fraction(78), Fraction(54))
    assert policies.mean_score([first, second, Fraction(100, 3)]) == Fraction(496, 9)
    assert policies.shown_score(Fraction(496, 9)) == "55.1"
    assert policies.shown_score(Fraction(5505, 100)) == "55.1"
    assert (policies.mean_score([]), policies.shown_score(None)) == (None, "–")


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 10), st.just(10)), min_size=1, max_size=12))
def test_scores_stay_between_nothing_and_everything(points: list[tuple[int, int, int]]) -> None:
    score = policies.review_score(points)
    assert 0 <= score <= 100
    assert policies.review_score([(weight * 7, given_, most) for weight, given_, most in reversed(points)]) == score


# Overlaps

PROJECT, LIBRARY, COMPANY, OWNER = (UUID(int=i) for i in range(1, 5))
TIES = [
    Tie(PROJECT, LinkKind.USED_BY, COMPANY),
    Tie(PROJECT, LinkKind.DEPENDS_ON, LIBRARY),
    Tie(LIBRARY, LinkKind.OWNED_BY, OWNER),
]


@pytest.mark.parametrize(
    ("subject", "depth", "steps"),
    [(PROJECT, 0, 0), (COMPANY, 0, None), (COMPANY, 1, 1), (LIBRARY, 1, 1), (OWNER, 1, 2), (OWNER, 0, None)],
)
def test_interests_are_found_within_the_set_depth(subject: UUID, depth: int, steps: int | None) -> None:
    held = Held(uuid4(), InterestKind.HOLDING, subject)
    found = overlaps(PROJECT, TIES, [held], depth=depth)
    assert [len(overlap.path) for overlap in found] == ([] if steps is None else [steps])


def test_a_circle_of_dependencies_ends() -> None:
    circle = [*TIES, Tie(LIBRARY, LinkKind.DEPENDS_ON, PROJECT)]
    assert len(overlaps(PROJECT, circle, [Held(uuid4(), InterestKind.BOARD, OWNER)], depth=5)) == 1


# States

GRAPHS = [
    (programmes_models.PROGRAMME_NEXT, models.Programme),
    (programmes_models.ROUND_NEXT, models.Round),
    (applications_models.NEXT, models.Application),
    (reviews_models.REVIEW_NEXT, models.Review),
    (grants_models.GRANT_NEXT, models.Grant),
    (grants_models.INSTALMENT_NEXT, models.Instalment),
    (grants_models.PAPERWORK_NEXT, models.PaperworkItem),
    (grants_models.REPORT_NEXT, models.Report),
]


@pytest.mark.parametrize(("graph", "model"), GRAPHS, ids=[model.__name__ for _, model in GRAPHS])
def test_every_state_is_known_reachable_and_left_only_by_its_steps(graph: dict, model: type) -> None:  # type: ignore[type-arg]
    first = next(iter(graph))
    assert graph.keys() == set(type(first))
    reached, waiting = {first}, [first]
    while waiting:
        for state in graph[waiting.pop()] - reached:
            reached.add(state)
            waiting.append(state)
    assert reached == set(graph), "every state can be reached from the first"
    for before, steps in graph.items():
        for after in graph:
            row = model(status=before)
            if after in steps:
                row.advance(after)
                assert row.status is after
            else:
                with pytest.raises(IllegalTransition):
                    row.advance(after)
                assert row.status is before
