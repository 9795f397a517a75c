"""Bank statements as XML: several versions, collective bookings, and files that want to do harm."""

import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.books.camt import read_camt
from core.books.models import Direction
from core.books.parsed import StatementUnreadable, identities
from core.books.xml import DEPTH_MAX, SIZE_MAX_BYTES, read_xml
from core.money import Money
from tests.fakes.bank_statements import IBAN, Ntry, camt


@pytest.mark.parametrize("version", ["02", "04", "08", "10", "13"])
def test_every_version_says_the_same(version: str) -> None:
    content = camt(
        [Ntry("5000.00", "Pledge PW-1A2B3C4D5E", reference="BANK-1"), Ntry("12.5", "Fee", sign="DBIT")], version=version
    )
    (statement,) = read_camt(content)
    assert (statement.account, statement.currency, statement.name) == (IBAN, "USD", "2026-44")
    assert (statement.opening, statement.closing) == (Money(0, "USD"), Money(4_987_50, "USD"))
    first, fee = statement.lines
    assert (first.direction, first.money, first.booked_on) == (Direction.IN, Money(5_000_00, "USD"), date(2026, 11, 1))
    assert (first.counterparty, first.text, first.bank_reference) == ("Acme Inc.", "Pledge PW-1A2B3C4D5E", "BANK-1")
    assert first.end_to_end is None, "NOTPROVIDED is no reference"
    assert (fee.direction, fee.money, fee.position) == (Direction.OUT, Money(12_50, "USD"), 2)


def test_what_is_not_booked_yet_is_left_out_and_counted() -> None:
    (statement,) = read_camt(camt([Ntry("5.00"), Ntry("7.00", status="PDNG"), Ntry("9.00", status="INFO")]))
    assert (len(statement.lines), statement.not_booked) == (1, 2)


PART = (
    "<TxDtls><Refs><EndToEndId>{0}</EndToEndId></Refs><Amt Ccy='USD'>{1}</Amt><CdtDbtInd>DBIT</CdtDbtInd>"
    "<RltdPties><Cdtr><Pty><Nm>{2}</Nm></Pty></Cdtr></RltdPties></TxDtls>"
)


def test_a_collective_booking_becomes_its_payments() -> None:
    details = PART.format("PW-A-1", "60.00", "Ada") + PART.format("PW-B-1", "40.00", "Bo")
    (statement,) = read_camt(camt([Ntry("100.00", sign="DBIT", details=details, reference="FILE-7")], opening="100.00"))
    assert [(line.money.amount_minor, line.end_to_end, line.counterparty) for line in statement.lines] == [
        (60_00, "PW-A-1", "Ada"),
        (40_00, "PW-B-1", "Bo"),
    ]
    assert len(set(identities(statement))) == 2


def test_a_collective_booking_whose_parts_do_not_add_up_stays_one_line() -> None:
    details = PART.format("PW-A-1", "60.00", "Ada") + PART.format("PW-B-1", "39.00", "Bo")
    (statement,) = read_camt(camt([Ntry("100.00", sign="DBIT", details=details)], opening="100.00"))
    assert [line.money.amount_minor for line in statement.lines] == [100_00]


def test_a_statement_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(StatementUnreadable, match=r"does not add up: it opens with 10\.00 USD, its lines come to 5\.00 USD"):
        read_camt(camt([Ntry("5.00")], opening="10.00", closing="16.00"))


def test_the_same_line_is_the_same_in_another_statement_if_the_bank_names_it() -> None:
    def marks(name: str, reference: str) -> list[str]:
        return identities(read_camt(camt([Ntry("5.00", "x", reference=reference)], name=name))[0])

    assert marks("day 1", "REF-1") == marks("month 11", "REF-1")
    assert marks("day 1", "") != marks("day 2", ""), "without a reference nothing says that they are one"
    assert marks("day 1", "") == marks("day 1", "")


def test_two_equal_lines_of_a_statement_are_two() -> None:
    marks = identities(read_camt(camt([Ntry("5.00", "x"), Ntry("5.00", "x")]))[0])
    assert len(set(marks)) == 2


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><Document>&c;</Document>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Document>&x;</Document>"""


@pytest.mark.parametrize("content", [BOMB, OUTSIDE, b"<!DOCTYPE html><html/>"], ids=["expansion", "outside", "html"])
def test_a_document_type_is_refused_before_anything_is_expanded(content: bytes) -> None:
    with pytest.raises(StatementUnreadable, match="document type"):
        read_camt(content)


def test_depth_and_size_are_bounded() -> None:
    with pytest.raises(StatementUnreadable, match="nests more than"):
        read_xml(b"<a>" * (DEPTH_MAX + 1) + b"</a>" * (DEPTH_MAX + 1))
    with pytest.raises(StatementUnreadable, match="larger than"):
        read_xml(b"<a>" + b" " * SIZE_MAX_BYTES + b"</a>")


def test_a_long_statement_is_read_quickly() -> None:
    content = camt([Ntry("1.00", f"line {number}", reference=f"R{number}") for number in range(5_000)])
    started = time.perf_counter()
    (statement,) = read_camt(content)
    assert len(set(identities(statement))) == 5_000
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<Document/>", "no camt.053 statement"),
        (camt([Ntry("5.00")]).replace(b"camt.053", b"camt.054"), "camt.054 are other messages"),
        (camt([Ntry("1e9")], opening=None), "is not an amount"),
        (camt([Ntry("-5.00")], opening=None), "is not an amount"),
        (camt([Ntry("5.001")], opening=None), "too fine"),
        (camt([Ntry("999999999999999999.00")], opening=None), "larger than"),
        (camt([Ntry("5.00", currency="EUR")], opening=None), "is not an amount in USD"),
        (camt([Ntry("5.00", sign="XXXX")], opening=None), "neither CRDT nor DBIT"),
        (camt([Ntry("5.00", day="2026-13-01")], opening=None), "is not a date"),
        (camt([Ntry("5.00")], currency="ZZZ"), "is not a currency"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "can't be read|no XML"),
        (b"<a><b></a>", "Line 1, column"),
    ],
)
def test_a_refusal_says_where_and_what(content: bytes, says: str) -> None:
    with pytest.raises(StatementUnreadable, match=says):
        read_camt(content)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_damaged_statement_does_anything_but_read_or_be_refused(data: st.DataObject) -> None:
    content = bytearray(camt([Ntry("5.00", "PW-1"), Ntry("7.00", sign="DBIT")]))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["byte", "cut", "double", "insert"]))
        if kind == "byte":
            content[place] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[place : place + data.draw(st.integers(1, 40))]
        elif kind == "double":
            content[place:place] = content[place : place + 60]
        else:
            content[place:place] = data.draw(st.sampled_from([b"<Amt>", b"&lt;", b"&x;", b"\0", "日".encode(), b"</Ntry>"]))
        if not content:
            break
    _reads_or_is_refused(bytes(content))


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_no_bytes_at_all_make_it_crash(content: bytes) -> None:
    _reads_or_is_refused(content)
    _reads_or_is_refused(b"<?xml version='1.0'?>" + content)


def _reads_or_is_refused(content: bytes) -> None:
    try:
        statements = read_camt(content)
    except StatementUnreadable:
        return  # with a sentence, as it must
    assert all(line.money.amount_minor > 0 for statement in statements for line in statement.lines)
