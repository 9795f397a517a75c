"""Badges as SVG: drawn without a browser, so text is measured with the widths of Helvetica and fitted to them.

No script, no outside font or picture: a badge can be embedded anywhere, and what it says is also in its title.
"""

import enum
import unicodedata
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from xml.sax.saxutils import escape, quoteattr

FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
PROGRAMME = "Open Source Pledge"


class Shape(enum.StrEnum):
    """Where a badge goes."""

    HORIZONTAL = "horizontal"  # a line of a README
    VERTICAL = "vertical"  # a footer
    SOCIAL = "social"  # a preview picture, 1200 × 630


class Tone(enum.StrEnum):
    """In colour, or in one ink for print and dark footers."""

    COLOUR = "colour"
    MONO = "mono"


@dataclass(frozen=True, slots=True)
class Face:
    """What a badge says."""

    name: str
    standing: str
    """`Member` or `Former member`."""
    figure: str
    """`$5,682 per developer`, `no developers on staff`, or nothing yet."""
    year: str


@dataclass(frozen=True, slots=True)
class _Ink:
    ground: str
    on_ground: str
    accent: str
    on_accent: str
    line: str


INKS = {
    Tone.COLOUR: _Ink(ground="#ffffff", on_ground="#14312b", accent="#0f5c4a", on_accent="#ffffff", line="#0f5c4a"),
    Tone.MONO: _Ink(ground="#ffffff", on_ground="#000000", accent="#000000", on_accent="#ffffff", line="#000000"),
}

# Advance widths of Helvetica in thousandths of the font size (Adobe's published metrics), by width.
_WIDTHS = {
    width: set(characters)
    for width, characters in {
        191: "'", 222: "ijl‘’", 260: "|", 278: " !,./:;I[\\]ft", 333: "()-r`“”", 334: "{}", 355: '"', 389: "*", 469: "^",
        500: "Jcksvxyz", 556: "#$0123456789?L_abdeghnopqu–€£", 584: "+<=>~", 611: "FTZ", 667: "&ABEKPSVXY",
        722: "CDHNRUw", 778: "GOQ", 833: "Mm", 889: "%", 944: "W", 1000: "—…", 1015: "@",
    }.items()
}  # fmt: skip
_WIDTH_OF = {character: width for width, characters in _WIDTHS.items() for character in characters}
_OTHER, _WIDE, _BOLD = 600, 1000, Decimal("1.07")


def badge(face: Face, shape: Shape, tone: Tone) -> str:
    """The badge as an SVG document."""
    draw = {Shape.HORIZONTAL: _horizontal, Shape.VERTICAL: _vertical, Shape.SOCIAL: _social}[shape]
    return draw(Face(*(clean(value) for value in (face.name, face.standing, face.figure, face.year))), INKS[tone])


def text_width(text: str, size: Decimal | int, *, bold: bool = False) -> Decimal:
    """How wide a line of text is, in the unit of `size`, to a tenth."""
    units = sum(_character_width(character) for character in text)
    width = Decimal(units) * size / 1000 * (_BOLD if bold else 1)
    return width.quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)


def clean(text: str) -> str:
    """Text that may stand in XML: no control characters, spaces in a row as one."""
    kept = (
        character for character in text if unicodedata.category(character) not in {"Cc", "Cs", "Cn", "Co"} or character in "\t\n"
    )
    return " ".join("".join(kept).split())


def shorten(text: str, size: Decimal | int, width_max: Decimal | int, *, bold: bool = False) -> str:
    """The text, or as much of it as fits with an ellipsis."""
    if text_width(text, size, bold=bold) <= width_max:
        return text
    while text and text_width(text + "…", size, bold=bold) > width_max:
        text = text[:-1]
    return text.rstrip() + "…"


def lines(text: str, size: Decimal | int, width_max: Decimal | int, count: int, *, bold: bool = False) -> list[str]:
    """The text broken at spaces into at most `count` lines; the last one is shortened if it must be."""
    made: list[str] = []
    rest = text.split()
    while rest and len(made) < count - 1:
        line = rest.pop(0)
        while rest and text_width(f"{line} {rest[0]}", size, bold=bold) <= width_max:
            line = f"{line} {rest.pop(0)}"
        made.append(shorten(line, size, width_max, bold=bold))
    return [*made, shorten(" ".join(rest), size, width_max, bold=bold)] if rest else made


def _character_width(character: str) -> int:
    known = _WIDTH_OF.get(character)
    if known is not None:
        return known
    if unicodedata.combining(character):
        return 0
    if unicodedata.east_asian_width(character) in "WF":
        return _WIDE
    base = unicodedata.normalize("NFD", character)[0]
    return _WIDTH_OF.get(base, _OTHER)


def _text(text: str, x: Decimal | int, y: int, size: int, fill: str, *, bold: bool = False, anchor: str = "start") -> str:
    weight = ' font-weight="700"' if bold else ""
    # textLength makes every font as wide as the box was drawn for.
    width = text_width(text, size, bold=bold)
    return (
        f'<text x="{x}" y="{y}" font-size="{size}"{weight} fill="{fill}" text-anchor="{anchor}"'
        f' textLength="{width}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
    )


def _document(width: Decimal | int, height: int, face: Face, body: str) -> str:
    says = f"{face.name}: {face.standing} of the {PROGRAMME}"
    if face.figure:
        says += f", {face.figure}" + (f" in {face.year}" if face.year else "")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' role="img" aria-label={quoteattr(says)} font-family="{FONT}"><title>{escape(says)}</title>{body}</svg>\n'
    )


def _mark(x: int, y: int, size: int, colour: str, on_colour: str) -> str:
    """Two hands of a scale in balance: paid on one side, owed on the other."""
    scale = Decimal(size) / 24
    return (
        f'<g transform="translate({x} {y}) scale({scale.normalize():f})" aria-hidden="true">'
        f'<rect width="24" height="24" rx="6" fill="{colour}"/>'
        f'<path d="M6 8h12M6 16h12M9 8v8M15 8v8" stroke="{on_colour}" stroke-width="2.4" stroke-linecap="round" fill="none"/></g>'
    )


def _horizontal(face: Face, ink: _Ink) -> str:
    value = face.figure or face.standing
    label_width, value_width = text_width(PROGRAMME, 12), text_width(value, 12, bold=True)
    split = 30 + label_width + 9
    width = split + 10 + value_width + 10
    body = (
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="27" rx="4.5" fill="{ink.ground}" stroke="{ink.line}"/>'
        f'<path d="M{split} 0h{width - split - 5}a5 5 0 0 1 5 5v18a5 5 0 0 1 -5 5h-{width - split - 5}z" fill="{ink.accent}"/>'
        + _mark(7, 6, 16, ink.accent, ink.on_accent)
        + _text(PROGRAMME, 30, 18, 12, ink.on_ground)
        + _text(value, split + 10, 18, 12, ink.on_accent, bold=True)
    )
    return _document(width, 28, face, body)


def _vertical(face: Face, ink: _Ink) -> str:
    rows = [(PROGRAMME, 14, True), (face.standing + (f" · {face.year}" if face.year else ""), 12, False)]
    name = shorten(face.name, 13, 220, bold=True)
    widest = max(text_width(name, 13, bold=True), *(text_width(text, size, bold=bold) for text, size, bold in rows))
    figure = face.figure
    width = max(widest, text_width(figure, 12, bold=True) + 8, Decimal(120)) + 32
    middle = width / 2
    height = 142 if figure else 118
    band = (
        f'<path d="M0 {height - 30}h{width}v25a5 5 0 0 1 -5 5h-{width - 10}a5 5 0 0 1 -5 -5z" fill="{ink.accent}"/>'
        + _text(figure, middle, height - 11, 12, ink.on_accent, bold=True, anchor="middle")
        if figure
        else ""
    )
    body = (
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="5" fill="{ink.ground}" stroke="{ink.line}"/>'
        + _mark(int(middle) - 14, 12, 28, ink.accent, ink.on_accent)
        + _text(name, middle, 61, 13, ink.on_ground, bold=True, anchor="middle")
        + _text(rows[0][0], middle, 81, 14, ink.accent, bold=True, anchor="middle")
        + _text(rows[1][0], middle, 100, 12, ink.on_ground, anchor="middle")
        + band
    )
    return _document(width, height, face, body)


def _social(face: Face, ink: _Ink) -> str:
    size = next((size for size in (92, 76, 62) if text_width(face.name, size, bold=True) <= 1040), 54)
    name = lines(face.name, size, 1040, 2, bold=True)
    top = 250 if len(name) == 1 else 225
    body = (
        f'<rect width="1200" height="630" fill="{ink.ground}"/><rect width="1200" height="14" fill="{ink.accent}"/>'
        + _mark(80, 74, 64, ink.accent, ink.on_accent)
        + _text(PROGRAMME, 164, 118, 36, ink.accent, bold=True)
        + "".join(_text(line, 80, top + i * (size + 10), size, ink.on_ground, bold=True) for i, line in enumerate(name))
        + _text(face.standing, 80, 385, 40, ink.on_ground)
        + f'<rect x="80" y="440" width="1040" height="2" fill="{ink.line}"/>'
        + _text(shorten(face.figure or "First report to come", 60, 1040, bold=True), 80, 525, 60, ink.accent, bold=True)
        + (_text(f"Report {face.year}", 80, 575, 30, ink.on_ground) if face.year else "")
    )
    return _document(1200, 630, face, body)
