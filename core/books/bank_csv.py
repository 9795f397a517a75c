"""A bank's CSV export, read by a mapping of its columns that finance enters once per account."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Self

from core.books.models import Direction, StatementFormat
from core.books.parsed import LINES_MAX, ParsedLine, ParsedStatement, StatementUnreadable, one_line, reference
from core.errors import InvalidInput
from core.money import Money

DELIMITERS: Mapping[str, str] = {"comma": ",", "semicolon": ";", "tab": "\t"}
DATE_FORMATS: Mapping[str, str] = {
    "2026-11-22": "%Y-%m-%d",
    "22.11.2026": "%d.%m.%Y",
    "22.11.26": "%d.%m.%y",
    "22/11/2026": "%d/%m/%Y",
    "11/22/2026": "%m/%d/%Y",
    "20261122": "%Y%m%d",
}
DECIMAL_MARKS = (".", ",")
CELL_MAX = 100_000
SPACES = re.compile("[\\s'\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{RIGHT SINGLE QUOTATION MARK}]")


@dataclass(frozen=True, slots=True)
class Columns:
    """The headings of a bank's file, and how it writes days and amounts. Amounts are signed, or in two columns."""

    booked_on: str
    amount: str = ""
    credit: str = ""
    debit: str = ""
    texts: str = ""
    """Headings separated by “|”; their cells are read as one text."""
    value_on: str = ""
    currency: str = ""
    counterparty: str = ""
    counterparty_account: str = ""
    end_to_end: str = ""
    bank_reference: str = ""
    delimiter: str = "comma"
    date_format: str = "2026-11-22"
    decimal_mark: str = "."

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Self:
        """A mapping that can be used.

        Raises:
            InvalidInput: says what is missing or can't go together.
        """
        known = {field.name for field in fields(cls)}
        made = cls(**{"booked_on": "", **{name: str(value or "").strip() for name, value in given.items() if name in known}})
        if not made.booked_on:
            raise InvalidInput("Name the column with the day of booking.", field="booked_on")
        if bool(made.amount) == bool(made.credit or made.debit):
            raise InvalidInput("Name either one column with signed amounts, or those for money in and money out.", field="amount")
        if bool(made.credit) != bool(made.debit):
            raise InvalidInput("Name both columns, for money in and for money out.", field="credit")
        for name, choices in (("delimiter", DELIMITERS), ("date_format", DATE_FORMATS), ("decimal_mark", DECIMAL_MARKS)):
            if getattr(made, name) not in choices:
                raise InvalidInput(f"Choose one of {', '.join(choices)}.", field=name)
        headings = made.headings
        if len({heading.casefold() for heading in headings}) != len(headings):
            raise InvalidInput("A column can say only one thing; two of these name the same.", field="booked_on")
        return made

    def as_json(self) -> dict[str, object]:
        return dict(asdict(self))

    @property
    def text_headings(self) -> list[str]:
        return [heading.strip() for heading in self.texts.split("|") if heading.strip()]

    @property
    def headings(self) -> list[str]:
        """Every column that must be there."""
        single = ("booked_on", "amount", "credit", "debit", "value_on", "currency", "counterparty", "counterparty_account")
        names = [getattr(self, name) for name in (*single, "end_to_end", "bank_reference")]
        return [*(name for name in names if name), *self.text_headings]


def read_csv(content: bytes, columns: Columns, *, account: str, currency: str, name: str) -> ParsedStatement:
    """The file as a statement of this account: all of it, or nothing. Lines before the heading are passed over.

    Raises:
        StatementUnreadable: names line and column of the first thing that can't be read.
    """
    rows = csv.reader(io.StringIO(_text(content), newline=""), delimiter=DELIMITERS[columns.delimiter], strict=True)
    try:
        places = _heading(rows, columns)
        lines = [line for row in rows if any(cell.strip() for cell in row)
                 if (line := _line(rows.line_num, row, places, columns, currency)) is not None]  # fmt: skip
    except csv.Error as error:
        raise StatementUnreadable(f"Line {rows.line_num}: {error}.", field="file") from None
    if not lines:
        raise StatementUnreadable("The file has a heading and no movement.", field="file")
    if len(lines) > LINES_MAX:
        raise StatementUnreadable(f"The file holds more than {LINES_MAX:,} lines; split it by month.", field="file")
    days = [line.booked_on for line in lines]
    return ParsedStatement(
        format=StatementFormat.CSV, account=account, currency=currency, name=one_line(name, 140) or "file.csv", lines=lines,
        from_on=min(days), until_on=max(days),
    )  # fmt: skip


def _text(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise StatementUnreadable("The file is neither UTF-8 nor Windows-1252 text; export it as CSV UTF-8.", field="file")


def _heading(rows: Iterator[list[str]], columns: Columns) -> Mapping[str, int]:
    """Where each column of the mapping stands: the first row that has them all is the heading."""
    wanted = {heading.casefold() for heading in columns.headings}
    best: set[str] = set()
    for row in rows:
        cells = [cell.strip().casefold() for cell in row]
        if wanted <= set(cells):
            return {heading: cells.index(heading.casefold()) for heading in columns.headings}
        best = max(best, wanted & set(cells), key=len)
    missing = [heading for heading in columns.headings if heading.casefold() not in best]
    raise StatementUnreadable(
        f"No line of the file has all the columns of this account's mapping; missing are {', '.join(missing)}. "
        "Compare the mapping with the file, and the delimiter.",
        field="file",
    )


def _line(number: int, row: Sequence[str], places: Mapping[str, int], columns: Columns, currency: str) -> ParsedLine | None:
    def cell(heading: str) -> str:
        if not heading:
            return ""
        place = places[heading]
        if place >= len(row):
            raise StatementUnreadable(f"Line {number} ends before the column “{heading}”.", field="file", line=number)
        return row[place].strip()[:CELL_MAX]

    if columns.currency and cell(columns.currency).upper() != currency:
        raise StatementUnreadable(
            f"Line {number}, {columns.currency}: “{cell(columns.currency)[:10]}” is not {currency}, the account's currency.",
            field="file", line=number,
        )  # fmt: skip
    signed = _signed(number, cell, columns, currency)
    if not signed:
        return None
    value_on = cell(columns.value_on)
    texts = [cell(heading) for heading in columns.text_headings]
    return ParsedLine(
        position=number,
        booked_on=_day(number, columns.booked_on, cell(columns.booked_on), columns),
        value_on=_day(number, columns.value_on, value_on, columns) if value_on else None,
        direction=Direction.IN if signed.amount_minor > 0 else Direction.OUT,
        money=signed if signed.amount_minor > 0 else -signed,
        bank_reference=reference(cell(columns.bank_reference)),
        end_to_end=reference(cell(columns.end_to_end)),
        counterparty=one_line(cell(columns.counterparty), 140),
        counterparty_account=re.sub(r"[^A-Z0-9]", "", cell(columns.counterparty_account).upper())[:34] or None,
        text=one_line(" ".join(text for text in texts if text), 1000) or "",
    )


def _signed(number: int, cell: Any, columns: Columns, currency: str) -> Money:
    if columns.amount:
        return _amount(number, columns.amount, cell(columns.amount), columns, currency)
    into, out = cell(columns.credit), cell(columns.debit)
    credit = _amount(number, columns.credit, into, columns, currency) if into else Money(0, currency)
    debit = _amount(number, columns.debit, out, columns, currency) if out else Money(0, currency)
    if credit and debit:
        raise StatementUnreadable(f"Line {number} has money in and money out at once.", field="file", line=number)
    # Some banks write money out with a minus in its own column; which way it went, the column says.
    return credit or (debit if debit.amount_minor < 0 else -debit)


def _amount(number: int, heading: str, text: str, columns: Columns, currency: str) -> Money:
    """`1.234,56`, `-1,234.56`, `1234,56-`, `(12.00)`, `+5`; the groups are checked, so that a wrong mark is noticed."""
    plain = SPACES.sub("", text).removesuffix(currency).removeprefix(currency)
    minus = plain.startswith(("-", "\N{MINUS SIGN}", "(")) or plain.endswith("-")
    plain = plain.strip("+-\N{MINUS SIGN}()")
    mark, group = columns.decimal_mark, "," if columns.decimal_mark == "." else "."
    shape = rf"([0-9]+|[0-9]{{1,3}}({re.escape(group)}[0-9]{{3}})+)({re.escape(mark)}[0-9]{{1,6}})?"
    if len(plain) > 30 or not re.fullmatch(shape, plain):
        raise StatementUnreadable(
            f"Line {number}, {heading}: “{text[:40]}” is not an amount with “{mark}” before the decimals.",
            field="file",
            line=number,
        )
    try:
        money = Money.from_decimal(Decimal(plain.replace(group, "").replace(mark, ".")), currency)
    except InvalidInput as error:
        raise StatementUnreadable(f"Line {number}, {heading}: {error.message}", field="file", line=number) from None
    return -money if minus else money


def _day(number: int, heading: str, text: str, columns: Columns) -> date:
    try:
        return datetime.strptime(text, DATE_FORMATS[columns.date_format]).date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise StatementUnreadable(
            f"Line {number}, {heading}: “{text[:40]}” is not a date like {columns.date_format}.", field="file", line=number
        ) from None
