"""Documents: what they say can be read out of them again, equal content gives equal bytes, and no name is lost silently."""

import io
from datetime import UTC, datetime

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from core.paper import NOTE, Paper
from core.spreadsheet import as_csv

ISSUED = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def paper(name: str = "Acme Inc.", rows: int = 2) -> bytes:
    made = Paper("Receipt PW-1A2B3C4D5E", subject="A receipt", issued=ISSUED)
    made.facts([("Received from", name), ("Amount", "5,000.00 USD")])
    made.heading("Payments")
    lines = [(f"2 Nov 2026, {number}", name, f"{number:,}.00 USD") for number in range(rows)]
    made.table([("Paid on", False), ("To", False), ("Amount", True)], lines, widths=(4, 6, 4), total=("Together", "", "1.00 USD"))
    return made.content()


def words(content: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages).split())


def test_what_it_says_can_be_read_again() -> None:
    read = PdfReader(io.BytesIO(paper()))
    assert read.metadata is not None
    assert (read.metadata.title, read.metadata.author, read.metadata.creation_date) == (
        "Receipt PW-1A2B3C4D5E", "Pledgeworks", ISSUED,
    )  # fmt: skip
    root = read.trailer["/Root"]
    assert root["/Lang"] == "en"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    for part in ("Receipt PW-1A2B3C4D5E", "Acme Inc.", "5,000.00 USD", "Together", "page 1 of 1"):
        assert part in words(paper())


def test_equal_content_gives_equal_bytes_whenever_it_is_asked_for() -> None:
    first = paper()
    with time_machine.travel(datetime(2031, 5, 6, 7, 8, tzinfo=UTC)):
        assert paper() == first
    assert paper("Other") != first


@pytest.mark.parametrize("name", ["Žižek Łódź GmbH", "Αθήνα Α.Ε.", "Компания", "Công ty Việt", "O’Brien & “Söhne” – €"])
def test_names_in_the_scripts_of_europe_are_written_as_they_are(name: str) -> None:
    text = words(paper(name))
    assert name in text
    assert NOTE.split(",")[0] not in text


def test_a_name_in_another_script_is_given_by_numbers_and_says_so() -> None:
    text = words(paper("日本 KK"))
    assert "[U+65E5][U+672C] KK" in text
    assert "Some characters have no shape in this document's typeface" in text


def test_a_long_table_goes_on_with_its_heading() -> None:
    read = PdfReader(io.BytesIO(paper(rows=200)))
    assert len(read.pages) > 3
    assert all("Paid on" in page.extract_text() for page in read.pages)
    assert f"page 2 of {len(read.pages)}" in words(paper(rows=200))


@given(st.text(max_size=60))
@settings(max_examples=25, deadline=None)
def test_no_name_keeps_a_document_from_being_made(name: str) -> None:
    assert paper(name or "x", rows=1).startswith(b"%PDF-")


@given(st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_no_cell_starts_a_formula(cells: list[str]) -> None:
    first = as_csv([cells]).decode("utf-8", "surrogatepass").lstrip('"')
    assert not first.startswith(("=", "+", "-", "@"))
