"""Banks' CSV files: each writes days and amounts its own way, and none may be guessed."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.books.bank_csv import Columns, read_csv
from core.books.models import Direction
from core.books.parsed import ParsedStatement, StatementUnreadable, identities
from core.errors import InvalidInput
from core.money import Money

PLAIN = Columns.checked({"booked_on": "Date", "amount": "Amount", "texts": "Text", "counterparty": "Name"})
GERMAN = Columns.checked({
    "booked_on": "Buchungstag", "value_on": "Valuta", "amount": "Betrag", "currency": "Währung",
    "texts": "Verwendungszweck|Buchungstext", "counterparty": "Beguenstigter", "delimiter": "semicolon",
    "date_format": "22.11.2026", "decimal_mark": ",",
})  # fmt: skip
TWO = Columns.checked(
    {"booked_on": "Date", "credit": "Paid in", "debit": "Paid out", "texts": "Text", "date_format": "22/11/2026"}
)


def read(text: str | bytes, columns: Columns = PLAIN, currency: str = "USD") -> ParsedStatement:
    content = text if isinstance(text, bytes) else text.encode()
    return read_csv(content, columns, account="1234", currency=currency, name="november.csv")


def test_a_plain_file() -> None:
    statement = read('Date,Name,Text,Amount\n2026-11-01,Acme,"Pledge, PW-1A2B3C4D5E","5,000.00"\n2026-11-02,Bank,Fee,-12.50\n')
    first, fee = statement.lines
    assert (first.direction, first.money, first.text) == (Direction.IN, Money(5_000_00, "USD"), "Pledge, PW-1A2B3C4D5E")
    assert (fee.direction, fee.money, fee.position) == (Direction.OUT, Money(12_50, "USD"), 3)
    assert (statement.from_on, statement.until_on) == (date(2026, 11, 1), date(2026, 11, 2))


def test_a_german_file_with_lines_above_the_heading() -> None:
    content = (
        "Kontoauszug;DE89\n\nBuchungstag;Valuta;Buchungstext;Beguenstigter;Verwendungszweck;Betrag;Währung\n"
        "01.11.2026;02.11.2026;GUTSCHRIFT;Müller & Söhne;PW-1A2B;1.234,56;EUR\n"
    ).encode("cp1252")
    (line,) = read(content, GERMAN, "EUR").lines
    assert (line.money, line.value_on) == (Money(1_234_56, "EUR"), date(2026, 11, 2))
    assert (line.counterparty, line.text) == ("Müller & Söhne", "PW-1A2B GUTSCHRIFT")


def test_money_in_and_out_in_two_columns() -> None:
    lines = read("Date,Text,Paid in,Paid out\n01/11/2026,a,5.00,\n02/11/2026,b,,7.00\n03/11/2026,c,,-8.00\n", TWO).lines
    assert [(line.direction, line.money.amount_minor) for line in lines] == [
        (Direction.IN, 5_00), (Direction.OUT, 7_00), (Direction.OUT, 8_00),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "cents"),
    [("1,234.56", 1_234_56), ("-1,234.56", -1_234_56), ("1234.5-", -1_234_50), ("(12.00)", -12_00), ("+5", 5_00),
     ("USD 5.00", 5_00), ("1'234.56", 1_234_56), ("\N{MINUS SIGN}3.10", -3_10), ("1 234.00", 1_234_00)],
)  # fmt: skip
def test_amounts_as_banks_write_them(text: str, cents: int) -> None:
    (line,) = read(f'Date,Name,Text,Amount\n2026-11-01,a,b,"{text}"\n').lines
    assert (line.money.amount_minor if line.direction is Direction.IN else -line.money.amount_minor) == cents


@pytest.mark.parametrize("text", ["1.234,56", "12,34", "1,23.00", "abc", "", "1e5", "0x10", "5.001", "٥"])
def test_an_amount_that_could_be_two_things_is_refused(text: str) -> None:
    with pytest.raises(StatementUnreadable, match="Line 2, Amount"):
        read(f'Date,Name,Text,Amount\n2026-11-01,a,b,"{text}"\n')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "missing are Date"),
        ("Date,Name\n", "missing are Amount, Text"),
        ("Date,Name,Text,Amount\n", "no movement"),
        ("Date,Name,Text,Amount\n01.11.2026,a,b,5\n", "Line 2, Date: “01.11.2026” is not a date like 2026-11-22"),
        ("Date,Name,Text,Amount\n2026-11-01,a\n", "Line 2 ends before the column"),
        ('Date,Name,Text,Amount\n2026-11-01,"a"b,c,5\n', "Line 2"),
        (b"Date,Name,Text,Amount\n2026-11-01,\x81,c,5\n", "neither UTF-8 nor Windows-1252"),
    ],
)
def test_a_refusal_names_line_and_column(text: str | bytes, says: str) -> None:
    with pytest.raises(StatementUnreadable, match=says):
        read(text)


def test_another_currency_is_refused() -> None:
    with pytest.raises(StatementUnreadable, match="“USD” is not EUR"):
        read(
            "Buchungstag;Valuta;Buchungstext;Beguenstigter;Verwendungszweck;Betrag;Währung\n01.11.2026;;x;y;z;5,00;USD\n",
            GERMAN, "EUR",
        )  # fmt: skip


def test_files_that_overlap_share_their_lines() -> None:
    head = "Date,Name,Text,Amount\n"
    day1, day2 = "2026-11-01,a,b,5\n2026-11-01,a,b,5\n", "2026-11-02,a,b,5\n"
    first, both = set(identities(read(head + day1))), set(identities(read(head + day1 + day2)))
    assert (len(first), len(both)) == (2, 3)
    assert first < both


@pytest.mark.parametrize(
    ("given_columns", "says"),
    [
        ({"amount": "Amount"}, "day of booking"),
        ({"booked_on": "Date"}, "either one column"),
        ({"booked_on": "Date", "amount": "A", "credit": "B", "debit": "C"}, "either one column"),
        ({"booked_on": "Date", "credit": "B"}, "both columns"),
        ({"booked_on": "Date", "amount": "date"}, "name the same"),
        ({"booked_on": "Date", "amount": "A", "delimiter": "dash"}, "Choose one of"),
    ],
)
def test_a_mapping_that_can_not_be_used_is_refused(given_columns: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        Columns.checked(given_columns)


@given(st.text(max_size=200), st.sampled_from([PLAIN, GERMAN, TWO]))
@settings(max_examples=150, deadline=None)
def test_no_text_makes_it_crash(text: str, columns: Columns) -> None:
    heading = {"comma": ",", "semicolon": ";"}[columns.delimiter].join(columns.headings)
    for content in (text, f"{heading}\n{text}", f"{heading}\n2026-11-01,a,{text},5"):
        try:
            statement = read(content.encode("utf-8", "surrogatepass"), columns)
        except StatementUnreadable:
            continue  # with a sentence, as it must
        assert all(line.money.amount_minor > 0 for line in statement.lines)
