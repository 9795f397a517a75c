"""Documents on paper: PDF with a title, a language, headings, facts and tables. Equal content gives equal bytes.

The typeface is Source Sans (SIL Open Font License; core/data/fonts), which has Latin, Greek, Cyrillic and Vietnamese. Other
scripts have no shapes in it: their characters are written as Unicode numbers, [U+65E5], and a note says so. A typeface with
Chinese, Japanese and Korean weighs more than the whole platform; the CSV beside each document has every name as it is.
"""

import enum
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path

from fontTools.ttLib import TTFont
from fpdf import FPDF, ViewerPreferences
from fpdf.enums import TableBordersLayout, XPos, YPos

FAMILY = "Source Sans"
NOTE = (
    "Some characters have no shape in this document's typeface and are written as their Unicode numbers, such as [U+65E5]. "
    "The CSV has them as they are."
)


class PaperForm(enum.StrEnum):
    """What a document can be had as."""

    PDF = "pdf"
    CSV = "csv"


MEDIA_TYPES = {PaperForm.PDF: "application/pdf", PaperForm.CSV: "text/csv; charset=utf-8"}


class Paper:
    """A document that is written from top to bottom, then taken as bytes."""

    def __init__(self, title: str, *, subject: str, issued: datetime) -> None:
        self._pdf = _Pdf(format="A4")
        self._has_numbers = False
        fonts = Path(str(files("core") / "data" / "fonts"))
        self._pdf.add_font(FAMILY, "", fonts / "SourceSansPro-Regular.ttf")
        self._pdf.add_font(FAMILY, "B", fonts / "SourceSansPro-Semibold.ttf")
        self._pdf.set_margin(20)
        self._pdf.set_auto_page_break(True, margin=22)
        self._pdf.set_title(title)
        self._pdf.set_subject(subject)
        self._pdf.set_author("Pledgeworks")
        self._pdf.set_creator("Pledgeworks")
        self._pdf.set_lang("en")
        self._pdf.set_creation_date(issued)
        self._pdf.viewer_preferences = ViewerPreferences(display_doc_title=True)
        self._pdf.set_line_width(0.1)
        self._pdf.set_draw_color(160)
        self._pdf.footing = self._shown(title)
        self._pdf.add_page()
        self._line(title, size=20, bold=True, after=2)

    def heading(self, text: str) -> None:
        """A heading inside the document."""
        self._pdf.ln(4)
        self._line(text, size=13, bold=True, after=1)

    def text(self, text: str, *, small: bool = False) -> None:
        """A paragraph."""
        self._line(text, size=9 if small else 11, after=2)

    def facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Labels and what they are, one below the other."""
        self._table([("", False), ("", False)], rows, widths=(5, 11), heading=False)

    def table(
        self,
        columns: Sequence[tuple[str, bool]],
        rows: Sequence[Sequence[str]],
        *,
        widths: Sequence[int],
        total: Sequence[str] = (),
    ) -> None:
        """A table whose heading is on every page. `columns`: headings, and whether they hold amounts. `total`: the last row."""
        self._table(columns, rows, widths=widths, heading=True, total=total)

    def content(self) -> bytes:
        """The finished document."""
        if self._has_numbers:
            self._pdf.ln(2)
            self.text(NOTE, small=True)
        return bytes(self._pdf.output())

    def _line(self, text: str, *, size: int, bold: bool = False, after: float = 0) -> None:
        self._pdf.set_font(FAMILY, "B" if bold else "", size)
        self._pdf.multi_cell(0, size * 0.5, self._shown(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")
        self._pdf.ln(after)

    def _table(
        self,
        columns: Sequence[tuple[str, bool]],
        rows: Sequence[Sequence[str]],
        *,
        widths: Sequence[int],
        heading: bool,
        total: Sequence[str] = (),
    ) -> None:
        self._pdf.set_font(FAMILY, "", 10)
        with self._pdf.table(
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            col_widths=tuple(widths),
            first_row_as_headings=heading,
            line_height=5,
            padding=1,
            text_align=tuple("RIGHT" if is_amount else "LEFT" for _, is_amount in columns),
        ) as table:
            if heading:
                table.row([self._shown(label) for label, _ in columns])
            for cells in rows:
                table.row([self._shown(cell) for cell in cells])
            if total:
                self._pdf.set_font(FAMILY, "B", 10)
                table.row([self._shown(cell) for cell in total])
        self._pdf.ln(2)

    def _shown(self, text: str) -> str:
        """The text as the typeface can show it."""
        known = _characters()
        one_line = " ".join(unicodedata.normalize("NFC", text).split())
        shown = "".join(each if ord(each) in known else f"[U+{ord(each):04X}]" for each in one_line)
        self._has_numbers = self._has_numbers or shown != one_line
        return shown


class _Pdf(FPDF):
    """Every page says which document it is of, and which page it is."""

    footing = ""

    def footer(self) -> None:
        self.set_y(-15)
        self.set_font(FAMILY, "", 8)
        self.cell(0, 5, f"{self.footing}, page {self.page_no()} of {{nb}}", align="L")


@cache
def _characters() -> frozenset[int]:
    with TTFont(str(files("core") / "data" / "fonts" / "SourceSansPro-Regular.ttf"), lazy=True) as font:
        return frozenset(font.getBestCmap())
