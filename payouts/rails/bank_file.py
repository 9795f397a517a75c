"""A file of payments for the bank, and the bank's answer as a file. Plain CSV, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from core.errors import InvalidInput
from core.money import Money
from core.spreadsheet import as_csv
from payouts.rails.base import Capabilities, CheckedDestination, DestinationField, Health, Instruction, masked, required
from payouts.rails.iban import checked_bic, checked_iban

COLUMNS = ("reference", "amount", "currency", "recipient", "country", "iban", "bic", "memo")
ANSWER_COLUMNS = ("reference", "status", "bank_reference", "amount", "currency", "booked_on", "reason")
ROWS_MAX = 50_000


class BankFileRail:
    """Attempts wait for the next file, leave with it, and end with the bank's answer."""

    name = "bank_file"
    title = "Bank file"
    capabilities = Capabilities(needs_person=True, in_files=True)
    destination_fields: Sequence[DestinationField] = (
        DestinationField("iban", "IBAN"),
        DestinationField("bic", "BIC", "Needed outside the euro area", required=False),
    )

    def check_destination(self, details: Mapping[str, str], currency: str) -> CheckedDestination:
        known = required(self.destination_fields, details)
        known["iban"] = checked_iban(known["iban"], field="iban")
        if "bic" in known:
            known["bic"] = checked_bic(known["bic"], field="bic")
        return CheckedDestination(known, f"IBAN {known['iban'][:2]} {masked(known['iban'])}")

    def health(self) -> Health:
        return Health(True, "Waits for people, not for a machine.")


def write(instructions: Iterable[Instruction]) -> bytes:
    """The payments as CSV (RFC 4180, UTF-8), in order of their references, so that equal content gives equal bytes."""
    lines = (
        (
            each.reference, str(each.money.decimal), each.money.currency, each.recipient, each.country,
            each.destination["iban"], each.destination.get("bic", ""), each.memo,
        )
        for each in sorted(instructions, key=lambda instruction: instruction.reference)
    )  # fmt: skip
    return as_csv([COLUMNS, *lines])


class Answer(StrEnum):
    """What a bank says about a payment."""

    PAID = "paid"
    REJECTED = "rejected"  # never carried out
    RETURNED = "returned"  # carried out, and the money came back


@dataclass(frozen=True)
class AnswerLine:
    """One line of the bank's answer."""

    line: int
    reference: str
    answer: Answer
    bank_reference: str
    money: Money
    booked_on: date
    reason: str


def read_answers(content: bytes) -> list[AnswerLine]:
    """Read the bank's answer: all of it, or nothing.

    Raises:
        InvalidInput: names line and column of the first thing that can't be read.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"The file is not UTF-8 text (byte {error.start + 1}); export it as CSV UTF-8.", field="file"
        ) from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        heading = next(rows, None)
        if heading is None or [cell.strip().lower() for cell in heading] != list(ANSWER_COLUMNS):
            raise InvalidInput(f"Line 1: the columns are {', '.join(ANSWER_COLUMNS)}, in this order.", field="file")
        answers = [_answer(rows.line_num, row) for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InvalidInput(f"Line {rows.line_num}: {error}.", field="file") from None
    if not answers:
        raise InvalidInput("The file holds no answers, only a heading.", field="file")
    if len(answers) > ROWS_MAX:
        raise InvalidInput(f"The file holds more than {ROWS_MAX:,} lines; split it.", field="file")
    return answers


def _answer(line: int, row: list[str]) -> AnswerLine:
    if len(row) != len(ANSWER_COLUMNS):
        raise InvalidInput(f"Line {line}: {len(row)} columns instead of {len(ANSWER_COLUMNS)}.", field="file", line=line)
    cells = {name: cell.strip().removeprefix("'") for name, cell in zip(ANSWER_COLUMNS, row, strict=True)}

    def wrong(column: str, sentence: str) -> InvalidInput:
        return InvalidInput(f"Line {line}, {column}: {sentence}", field="file", line=line, column=column)

    if not cells["reference"]:
        raise wrong("reference", "is empty.")
    try:
        answer = Answer(cells["status"].lower())
    except ValueError:
        raise wrong("status", f"“{cells['status']}” is none of {', '.join(Answer)}.") from None
    if answer is Answer.PAID and not cells["bank_reference"]:
        raise wrong("bank_reference", "is empty; a payment that was made has one.")
    try:
        money = Money.parse(cells["amount"], cells["currency"].upper())
    except InvalidInput as error:
        raise wrong(error.field or "amount", error.message) from None
    try:
        booked_on = date.fromisoformat(cells["booked_on"])
    except ValueError:
        raise wrong("booked_on", f"“{cells['booked_on']}” is not a date like 2026-11-22.") from None
    return AnswerLine(line, cells["reference"], answer, cells["bank_reference"], money, booked_on, cells["reason"])
