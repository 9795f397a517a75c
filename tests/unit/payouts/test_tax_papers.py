"""Which document a payment wants: from the sum on that the data names, of nobody whom it does not concern."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import Money
from payouts import tax
from payouts.policies.papers import Demand, Paper, PaperState, TaxFacts, checklist, demands
from payouts.tax import Effect

TODAY = date(2026, 11, 22)
BOOK = tax.book()


def facts(
    paid: int = 0, *papers: Paper, payee: str = "DE", kind: str = "person", on: date = TODAY, payer: str = "US"
) -> TaxFacts:
    return TaxFacts(BOOK.for_payee(payer, payee, kind, on), papers, Money(paid, "USD"), on, BOOK.remind_days)


def asked(about: TaxFacts, cents: int, rail: str = "bank_file") -> list[Demand]:
    return demands(about, Money(cents, "USD"), rail, "Ada")


@pytest.mark.parametrize(
    ("on", "cents", "held"),
    [
        (date(2025, 12, 31), 59_999, False),
        (date(2025, 12, 31), 60_000, True),
        (date(2026, 1, 1), 60_000, False),
        (date(2026, 1, 1), 199_999, False),
        (date(2026, 1, 1), 200_000, True),
    ],
)
def test_the_sum_from_which_it_counts_is_dated_and_reached_counts(on: date, cents: int, held: bool) -> None:
    for payee in ("US", "DE"):
        assert [each.effect for each in asked(facts(payee=payee, on=on), cents)] == ([Effect.HOLD] if held else [])


def test_what_was_paid_before_in_the_year_counts_with_it() -> None:
    assert asked(facts(199_900), 99) == []
    (demand,) = asked(facts(199_900), 100)
    assert demand.words == (
        "With this payment Ada is paid 2,000.00 USD this year, and from 2,000.00 USD on a valid W-8BEN is wanted; "
        "nothing is paid without it. Finance notes it under Payouts → Recipients."
    )


@pytest.mark.parametrize(
    ("payee", "kind", "document"),
    [("US", "person", "W-9"), ("US", "organisation", "W-9"), ("BR", "person", "W-8BEN"), ("BR", "fiscal_host", "W-8BEN-E")],
)
def test_each_payee_is_asked_for_its_own_document(payee: str, kind: str, document: str) -> None:
    assert [item.rule.document for item in checklist(facts(payee=payee, kind=kind))] == [document]


def test_another_payer_asks_for_other_documents() -> None:
    assert checklist(facts(payer="DE")) == []
    (demand,) = asked(facts(payer="IN"), 1)
    assert "a valid Tax residency certificate is wanted" in demand.words


@pytest.mark.parametrize(
    ("rail", "effect"), [("stripe_connect", "hold"), ("manual", "hold"), ("github_sponsors", "warn"), ("opencollective", "warn")]
)
def test_the_data_says_what_happens_on_each_rail(rail: str, effect: str) -> None:
    assert [each.effect.value for each in asked(facts(), 200_000, rail)] == [effect]


def test_the_trial_rail_pays_no_money_and_asks_for_nothing() -> None:
    assert asked(facts(), 10_000_000, "fake") == []


def test_a_form_holds_three_years_less_a_day() -> None:
    rule = facts().rules[0]
    assert rule.valid_until(date(2024, 3, 1)) == date(2027, 2, 28)
    assert rule.valid_until(date(2024, 2, 29)) == date(2027, 2, 28)


@pytest.mark.parametrize(
    ("until", "paid", "state"),
    [
        (TODAY + timedelta(days=61), 0, PaperState.VALID),
        (TODAY + timedelta(days=60), 0, PaperState.EXPIRING),
        (TODAY, 0, PaperState.EXPIRING),
        (TODAY - timedelta(days=1), 300_000, PaperState.EXPIRED),
        (None, 0, PaperState.NOT_YET),
        (None, 200_000, PaperState.MISSING),
    ],
)
def test_the_checklist_says_where_a_document_stands(until: date | None, paid: int, state: PaperState) -> None:
    papers = [Paper("W-8BEN", date(2023, 1, 1), until)] if until else []
    (item,) = checklist(facts(paid, *papers))
    assert item.state is state
    assert bool(asked(facts(paid, *papers), 200_000)) is (state in {PaperState.EXPIRED, PaperState.NOT_YET, PaperState.MISSING})


SUMS = st.integers(1, 500_000)
PAPERS = st.lists(
    st.builds(
        Paper,
        st.sampled_from(["W-9", "W-8BEN", "W-8BEN-E"]),
        st.dates(date(2020, 1, 1), date(2027, 1, 1)),
        st.none() | st.dates(date(2025, 1, 1), date(2030, 1, 1)),
    ),
    max_size=3,
)
PAYEES = st.sampled_from(["US", "DE"])
RAILS = st.sampled_from(["bank_file", "github_sponsors", "fake", "another"])


@given(SUMS, SUMS, SUMS, PAPERS, PAYEES, RAILS)
def test_a_larger_sum_never_wants_less_and_a_paper_never_more(
    paid: int, cents: int, more: int, papers: list[Paper], payee: str, rail: str
) -> None:
    about = facts(paid, *papers, payee=payee)
    now = asked(about, cents, rail)
    assert len(asked(about.and_also(Money(more, "USD")), cents, rail)) >= len(now)
    assert len(asked(replace(about, papers=[*papers, Paper("W-9", TODAY, None)]), cents, rail)) <= len(now)
    if paid + cents < 200_000:
        assert now == []
    for demand in now:
        assert demand.effect is facts(payee=payee).rules[0].effect(rail)
        assert not any(paper.valid(TODAY) and paper.document == ("W-9" if payee == "US" else "W-8BEN") for paper in papers)


@given(SUMS, RAILS)
def test_sums_of_another_currency_are_not_compared(cents: int, rail: str) -> None:
    about = replace(facts(), paid=Money(10_000_000, "EUR"))
    assert demands(about, Money(cents, "EUR"), rail, "Ada") == []


RULE = """
remind_days = 30
[[rules]]
name = "a"
document = "A"
since = 2026-01-01
payer = ["US"]
effect = { default = "hold" }
why = "w"
source = "s"
"""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("[[rules", "no TOML"),
        (RULE.replace("30", '"x"'), "remind_days"),
        (RULE + RULE.partition("\n")[2].partition("\n")[2], "twice for the same day"),
        (RULE.replace("why", "wy"), "“why” is missing"),
        (RULE + "sum = 3", "“sum” is not known"),
        (RULE.replace("2026-01-01", '"soon"'), "not a day"),
        (RULE.replace('"hold"', '"perhaps"'), "perhaps"),
        (RULE.replace("default", "bank_file"), "the rails it does not name"),
        (RULE.replace('"US"', '"Utopia"'), "no country of two capitals"),
        (RULE + "valid_years = 0", "valid_years"),
        (RULE + 'from = { USD = "x" }', "not an amount"),
    ],
)
def test_a_file_that_can_not_be_used_says_where(wrong: str, words: str) -> None:
    with pytest.raises(tax.InvalidInput, match=words):
        tax.read(wrong)
