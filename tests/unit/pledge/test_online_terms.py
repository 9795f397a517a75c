"""Ways, prices and days of paying online: what the file may say, and what follows for an amount."""

from datetime import date

import pytest

from core.errors import InvalidInput
from core.money import Money
from pledge import terms
from pledge.policies import online_ways

TODAY = date(2026, 11, 22)
ENTRY = """
[[terms]]
currency = "USD"
since = 2026-01-01
source = "Board"
page = ["us_bank_account"]
invoice = []
due_days = 30
fees = [{ method = "us_bank_account", percent = "0.8", at_most = "5.00" }]
"""


def usd(amount: str) -> Money:
    return Money.parse(amount, "USD")


@pytest.mark.parametrize(
    ("method", "amount", "fee"),
    [
        ("us_bank_account", "100", "0.80"), ("us_bank_account", "270000", "5.00"), ("card", "270000", "7830.30"),
        ("invoicing", "270000", "1080.00"), ("card", "0.50", "0.31"), ("customer_balance", "270000", None), ("cash", "1", None),
    ],
)  # fmt: skip
def test_a_fee_is_known_beforehand_or_said_to_be_unknown(method: str, amount: str, fee: str | None) -> None:
    known = terms.book().on("USD", TODAY)
    assert known is not None
    assert known.fee(method, usd(amount)) == (usd(fee) if fee else None)


def test_the_newest_entry_that_is_in_force_counts() -> None:
    book = terms.read(ENTRY + ENTRY.replace("2026-01-01", "2027-01-01").replace("30\n", "14\n"))
    found = [book.on("USD", day) for day in (date(2025, 12, 31), date(2026, 1, 1), date(2027, 1, 1))]
    assert [each.due_days if each else None for each in found] == [None, 30, 14]
    assert book.on("CHF", TODAY) is None


def test_a_card_comes_on_top_up_to_its_limit_and_where_nothing_is_left_the_reason_is_said() -> None:
    known = terms.book().on("EUR", TODAY)
    euros, francs = Money.parse("5000", "EUR"), Money.parse("5000", "CHF")
    assert online_ways.methods(known, euros, euros) == ("sepa_debit", "customer_balance", "card")
    assert online_ways.methods(known, Money(0, "EUR"), euros) == ("sepa_debit", "customer_balance")
    assert online_ways.methods(None, Money.parse("4999", "CHF"), francs) == ()
    assert "only cards are taken here, up to 4,999.00 CHF" in online_ways.why_none(Money.parse("4999", "CHF"), francs)
    assert "CHF can't be paid online here" in online_ways.why_none(Money(0, "CHF"), francs)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("due_days = 30", "due_days = 400", "between 1 and 365"), ("due_days = 30", "", "“due_days” is missing"),
        ("2026-01-01", '"soon"', "not a day"), ('source = "Board"', 'source = "Board"\nrate = 1', "“rate” is not known"),
        ('["us_bank_account"]', '["us_bank_account", "card"]', "“card” has no fee"), ('"0.8"', '"a bit"', "can't be read"),
        ('["us_bank_account"]', '["customer_balance"]', "“transfer” does not say"), ("[[terms]]", "[[terms", "no TOML"),
        ('percent = "0.8"', 'percents = "0.8"', "and nothing else"),
    ],
)  # fmt: skip
def test_a_file_that_can_not_be_used_says_where(before: str, after: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        terms.read(ENTRY.replace(before, after))


def test_a_currency_is_named_once_for_a_day() -> None:
    with pytest.raises(InvalidInput, match="twice for the same day"):
        terms.read(ENTRY + ENTRY)
