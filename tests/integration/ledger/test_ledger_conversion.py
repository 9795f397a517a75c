"""Foreign exchange and GPU time through trading accounts."""

from datetime import date
from fractions import Fraction

import pytest
from ledger_book import BANK, FUND, Book

from core import ledger
from core.errors import InvalidInput
from core.ledger import Guard, Rate, Rounding, Side
from core.units import ticks_from_gpu_hours

BANK_EUR, FUND_EUR = "assets:bank:eur", "liabilities:fund:open-pledge:eur"
BETWEEN = [(FUND, FUND_EUR), (BANK_EUR, BANK)]


def euros(value: str) -> Rate:
    return Rate(of="USD", into="EUR", value=Fraction(value), source="European Central Bank", on=date(2026, 11, 2))


@pytest.fixture
def exchange(book: Book) -> Book:
    ledger.ensure_account(book.session, BANK_EUR, "EUR", normal=Side.DEBIT, guard=Guard.DEBIT)
    ledger.ensure_account(book.session, FUND_EUR, "EUR", normal=Side.CREDIT, guard=Guard.CREDIT)
    return book


def convert(book: Book, amount: int, rate: Rate, **more: object) -> ledger.Entry:
    return ledger.convert(
        book.session, key="fx:1", kind="exchange", amount=amount, rate=rate, between=BETWEEN, at=book.now, **more
    )


def test_dollars_become_euros_in_the_fund_and_in_the_bank(exchange: Book) -> None:
    entry = convert(exchange, 50_000, euros("0.92"))
    posted = {code: ledger.balance(exchange.session, code).posted for code in (BANK, FUND, BANK_EUR, FUND_EUR)}
    assert posted == {BANK: 50_000, FUND: 50_000, BANK_EUR: 46_000, FUND_EUR: 46_000}
    assert {transfer.commodity for transfer in entry.transfers} == {"USD", "EUR"}
    assert [ledger.balance(exchange.session, f"equity:trading:{c}").posted for c in ("usd", "eur")] == [0, 0]


def test_the_entry_keeps_the_rate_its_source_and_its_date(exchange: Book) -> None:
    refs = convert(exchange, 50_000, euros("0.92")).refs
    assert refs["rate"] == "23/25"
    assert refs["rate_source"] == "European Central Bank"
    assert refs["rate_on"] == "2026-11-02"


def test_a_rate_that_gives_no_whole_cents_is_refused_unless_told_how_to_round(exchange: Book) -> None:
    with pytest.raises(ledger.RateNeedsRounding, match=r"100\.01 USD"):
        convert(exchange, 10_001, euros("0.9217"))
    entry = convert(exchange, 10_001, euros("0.9217"), rounding=Rounding.HALF_EVEN)
    assert [t.amount for t in entry.transfers if t.commodity == "EUR"] == [9_218, 9_218]
    assert entry.refs["rounding"] == "half_even"


def test_currencies_with_other_exponents(book: Book) -> None:
    ledger.ensure_account(book.session, "liabilities:fund:open-pledge:jpy", "JPY", normal=Side.CREDIT)
    rate = Rate(of="USD", into="JPY", value=Fraction(150), source="test", on=date(2026, 11, 2))
    made = ledger.conversion(book.session, amount=1_00, rate=rate, between=[(FUND, "liabilities:fund:open-pledge:jpy")])
    assert made.received == 150


def test_gpu_time_of_a_flavor_becomes_reference_time(book: Book) -> None:
    commodity = ledger.ensure_gpu_commodity(book.session, "h100")
    offer = ledger.ensure_account(book.session, "assets:gpu:offer:1", commodity, normal=Side.DEBIT)
    grant = ledger.ensure_account(book.session, "liabilities:gpu:grant:1", "GPU.REF", normal=Side.CREDIT)
    rate = Rate(of=commodity, into="GPU.REF", value=Fraction(5, 2), source="exchange table", on=date(2026, 11, 2))
    ledger.convert(
        book.session,
        key="gpu",
        kind="compute",
        amount=ticks_from_gpu_hours(4),
        rate=rate,
        between=[(offer.code, grant.code)],
        at=book.now,
    )
    assert ledger.balance(book.session, grant.code).posted == ticks_from_gpu_hours(10)
    assert ledger.balance(book.session, "equity:trading:gpu:h100").posted == ticks_from_gpu_hours(4)


def test_a_pair_must_stand_on_both_sides_of_the_rate(exchange: Book) -> None:
    with pytest.raises(ledger.MixedCommodities):
        ledger.conversion(exchange.session, amount=100, rate=euros("0.92"), between=[(FUND, BANK)])


def test_cash_never_becomes_gpu_time() -> None:
    with pytest.raises(InvalidInput, match="never converted"):
        Rate(of="USD", into="GPU.REF", value=Fraction(1), source="x", on=date(2026, 11, 2))
