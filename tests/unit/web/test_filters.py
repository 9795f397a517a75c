"""How values look."""

from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from core.money import Money
from core.web import filters


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Money(2_800_000, "USD"), "$28,000.00"),
        (Money(-5, "USD"), "−$0.05"),
        (Money(1_500, "JPY"), "¥1,500"),
        (Money(1_234, "KWD"), "KWD1.234"),
        (Money(0, "EUR"), "€0.00"),
        (None, "–"),
    ],
)
def test_money_has_its_currencys_digits(value: Money | None, shown: str) -> None:
    assert filters.money(value).replace("\N{NO-BREAK SPACE}", "") == shown


def test_a_gain_can_show_its_sign() -> None:
    assert filters.money(Money(5, "USD"), plus=True) == "+$0.05"


def test_days_and_moments_are_readable_by_programs_too() -> None:
    moment = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    assert str(filters.day(date(2026, 11, 2))) == '<time datetime="2026-11-02">2 Nov 2026</time>'
    assert str(filters.when(moment)) == '<time datetime="2026-11-02T09:30:00+00:00">2 Nov 2026, 09:30 UTC</time>'


@pytest.mark.parametrize(
    ("part", "whole", "shown"), [(37, 100, "37 %"), (1, 1000, "< 1 %"), (0, 5, "0 %"), (1, 0, "–"), (Fraction(1, 3), 1, "33 %")]
)
def test_percentages_never_round_something_to_nothing(part: int | Fraction, whole: int, shown: str) -> None:
    assert filters.percent(part, whole) == shown


def test_text_somebody_typed_is_escaped() -> None:
    assert str(filters.paragraphs("a <b>\nc\n\nd")) == "<p>a &lt;b&gt;<br>c</p>\n<p>d</p>"


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "ftp://x"])
def test_only_web_addresses_become_links(address: str) -> None:
    assert "href" not in str(filters.link(address))


def test_links_show_where_they_lead() -> None:
    assert 'href="https://vllm.ai/"' in str(filters.link("https://vllm.ai/"))
    assert ">vllm.ai<" in str(filters.link("https://vllm.ai/"))


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit Version/18.0 Mobile Safari/604.1",
            "Safari on iPhone",
        ),
        ("curl/8.0", "curl"),
        ("", "Unknown browser"),
    ],
)
def test_browsers_are_named(agent: str, shown: str) -> None:
    assert filters.browser(agent) == shown
