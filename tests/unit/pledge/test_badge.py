"""Badges: well-formed, escaped, accessible, and as wide as their text."""

import re
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pledge.badge import Face, Shape, Tone, badge, lines, shorten, text_width

SVG = "{http://www.w3.org/2000/svg}"
FACE = Face("Acme", "Member", "$5,682 per developer", "2025")
LONG = "Verein zur Förderung quelloffener Wettervorhersage-Infrastruktur im Alpenraum und angrenzenden Gebieten e. V."


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("tone", Tone)
@pytest.mark.parametrize(
    "name", ["Acme", '<script>alert("1")</script> & Söhne', LONG, "日本語の会社株式会社", "A" * 300, "\x00\x1bX", "🙂 Smile"]
)
def test_every_badge_says_what_it_shows_and_nothing_escapes(shape: Shape, tone: Tone, name: str) -> None:
    root = ET.fromstring(badge(Face(name, "Member", "$2,000 per developer", "2025"), shape, tone))  # noqa: S314 - our own
    assert root.get("role") == "img"
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.text == root.get("aria-label")
    assert "Member of the Open Source Pledge, $2,000 per developer in 2025" in (title.text or "")
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {"svg", "title", "rect", "path", "text", "g"}
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on") or "href" in key]


@given(name=st.text(max_size=60), figure=st.text(max_size=40), shape=st.sampled_from(Shape))
def test_any_text_makes_well_formed_xml_and_lines_stay_inside(name: str, figure: str, shape: Shape) -> None:
    root = ET.fromstring(badge(Face(name, "Member", figure, "2025"), shape, Tone.COLOUR))  # noqa: S314 - our own
    width = Decimal(root.get("width") or "0")
    for text in root.iter(f"{SVG}text"):
        length, x = Decimal(text.get("textLength") or "0"), Decimal(text.get("x") or "0")
        left = x - length / 2 if text.get("text-anchor") == "middle" else x
        assert left >= 0
        assert left + length <= width


def test_mono_has_one_ink() -> None:
    for shape in Shape:
        colours = set(re.findall(r"#[0-9a-f]{6}", badge(FACE, shape, Tone.MONO)))
        assert colours == {"#000000", "#ffffff"}


def test_widths_are_those_of_the_font() -> None:
    assert text_width("$5,682 per developer", 1000) == Decimal("9450.0")
    assert text_width("é", 1000) == text_width("e", 1000)
    assert text_width("日本", 10) == 20
    assert text_width("Acme", 12, bold=True) > text_width("Acme", 12)


def test_long_text_is_shortened_to_what_fits() -> None:
    short = shorten(LONG, 13, 220, bold=True)
    assert short.endswith("…")
    assert text_width(short, 13, bold=True) <= 220
    assert all(text_width(line, 54, bold=True) <= 1040 for line in lines(LONG, 54, 1040, 2, bold=True))
    assert shorten("Acme", 13, 220) == "Acme"
