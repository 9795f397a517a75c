"""What rails make of what people type, and the bank's files to the letter."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.money import Money
from core.spreadsheet import harmless
from payouts.rails.bank_file import Answer, AnswerLine, BankFileRail, read_answers, write
from payouts.rails.base import Instruction, fingerprint
from payouts.rails.fake import FakeRail
from payouts.rails.iban import checked_iban
from payouts.rails.manual import ManualRail

HEAD = "reference,status,bank_reference,amount,currency,booked_on,reason\n"


@pytest.mark.parametrize("iban", ["DE89 3704 0044 0532 0130 00", "nl91abna0417164300", "GB82-WEST-1234-5698-7654-32"])
def test_ibans_are_taken_as_people_write_them(iban: str) -> None:
    assert checked_iban(iban, field="iban").isalnum()


@pytest.mark.parametrize(
    ("iban", "sentence"),
    [
        ("DE89370400440532013001", "check digits don't fit"),
        ("DE8937040044053201300", "has 22 characters, this one 21"),
        ("US89370400440532013000", "no IBANs in “US”"),
        ("hello", "starts with two letters and two digits"),
    ],
)
def test_mistyped_ibans_are_named(iban: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        checked_iban(iban, field="iban")


def test_destinations_are_canonical_and_masked() -> None:
    spaced = BankFileRail().check_destination({"iban": "DE89 3704 0044 0532 0130 00", "bic": "cobadeffxxx"}, "EUR")
    plain = BankFileRail().check_destination({"iban": "DE89370400440532013000", "bic": "COBADEFFXXX"}, "EUR")
    assert spaced == plain
    assert fingerprint("bank_file", "EUR", spaced.details) == fingerprint("bank_file", "EUR", plain.details)
    assert "370400440532" not in spaced.label


@pytest.mark.parametrize(
    ("rail", "details", "field"),
    [
        (BankFileRail(), {}, "iban"),
        (BankFileRail(), {"iban": "DE89370400440532013000", "bic": "1"}, "bic"),
        (ManualRail(), {"holder": "A", "bank": "B"}, "account"),
        (ManualRail(), {"holder": "A", "bank": "B", "account": "1" * 61}, "account"),
        (FakeRail(lambda: None), {"account": "no spaces"}, "account"),
        (FakeRail(lambda: None), {"account": "a", "colour": "red"}, "colour"),
    ],
)
def test_what_a_rail_cannot_use_is_named(rail: BankFileRail | ManualRail | FakeRail, details: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        rail.check_destination(details, "USD")
    assert refused.value.field == field


def instruction(reference: str, recipient: str = "Ada") -> Instruction:
    return Instruction(reference, Money(2_500_000, "EUR"), recipient, "DE", {"iban": "DE89370400440532013000"}, "First quarter")


def test_a_bank_file_is_the_same_in_any_order() -> None:
    lines = [instruction("pw-b-1"), instruction("pw-a-1")]
    assert write(lines) == write(reversed(lines))
    assert write(lines).decode().splitlines() == [
        "reference,amount,currency,recipient,country,iban,bic,memo",
        "pw-a-1,25000.00,EUR,Ada,DE,DE89370400440532013000,,First quarter",
        "pw-b-1,25000.00,EUR,Ada,DE,DE89370400440532013000,,First quarter",
    ]


@given(st.text(max_size=40))
def test_no_cell_starts_a_formula_or_breaks_its_line(text: str) -> None:
    cell = harmless(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert len(cell.splitlines()) <= 1
    assert len(write([instruction("pw-a-1", recipient=text)]).decode().splitlines()) == 2


def test_answers_are_read_with_their_lines() -> None:
    (line,) = read_answers((HEAD + 'pw-a-1,PAID,B-1,"25,000.00",eur,2026-11-22,\n\n').encode())
    assert line == AnswerLine(2, "pw-a-1", Answer.PAID, "B-1", Money(2_500_000, "EUR"), date(2026, 11, 22), "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Line 1: the columns are"),
        ("a,b\n", "Line 1: the columns are"),
        (HEAD, "holds no answers"),
        (HEAD + "pw-a-1,paid,B-1,1.00,EUR\n", "Line 2: 5 columns instead of 7"),
        (HEAD + ",paid,B-1,1.00,EUR,2026-11-22,\n", "Line 2, reference: is empty"),
        (HEAD + "pw-a-1,perhaps,B-1,1.00,EUR,2026-11-22,\n", "Line 2, status: “perhaps” is none of"),
        (HEAD + "pw-a-1,paid,,1.00,EUR,2026-11-22,\n", "Line 2, bank_reference: is empty"),
        (HEAD + "pw-a-1,paid,B-1,1.005,EUR,2026-11-22,\n", "Line 2, amount: 1.005 EUR is too fine"),
        (HEAD + "pw-a-1,paid,B-1,1.00,XXX,2026-11-22,\n", "Line 2, currency: “XXX” is not a currency"),
        (HEAD + "pw-a-1,paid,B-1,1.00,EUR,22.11.2026,\n", "Line 2, booked_on: “22.11.2026” is not a date"),
        (HEAD + 'pw-a-1,paid,"B-1,1.00,EUR,2026-11-22,\n', "Line 2: unexpected end of data"),
    ],
)
def test_a_refused_answer_names_line_and_column(text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence.replace("(", r"\(")):
        read_answers(text.encode())


def test_a_file_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not UTF-8 text"):
        read_answers(b"\xff\xfe\x00")
