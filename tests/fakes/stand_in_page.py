"""The page beside a fake service where somebody does by hand what people at the provider do, and orders faults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from urllib.parse import parse_qs

PATH = "/_stand_in"
FAULTS: Mapping[str, str] = {
    "cut_after": "The next change happens, and its answer gets lost",
    "cut_before": "The connection of the next change is cut before it happens",
    "500_after": "The next change happens, and answers 500",
    "200_errors_after": "The next change happens, and answers with an error",
    "429": "The next change is too many",
    "401": "The next change finds the token revoked",
}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} (stand-in)</title><h1>{title} (stand-in)</h1>
<p>What people there do, by a click. The provider has no such page.</p>
<ul>{things}</ul>
<h2>Faults</h2><form method="post">{faults}</form></html>"""


@dataclass(frozen=True)
class Thing:
    """Something there."""

    name: str
    words: str
    deeds: Mapping[str, str] = field(default_factory=dict)
    """What can be done about it: the deed and its button."""
    takes_text: bool = False


@dataclass(frozen=True)
class Pressed:
    """A button that somebody pressed."""

    deed: str
    name: str
    text: str


def shown(title: str, things: Sequence[Thing]) -> bytes:
    """The page."""
    rows = "".join(_row(each) for each in things) or "<li>Nothing yet.</li>"
    faults = " ".join(f'<button name="do" value="{deed}">{escape(words)}</button>' for deed, words in FAULTS.items())
    return PAGE.format(title=escape(title), things=rows, faults=faults).encode()


def pressed(body: bytes) -> Pressed:
    """What a form of the page sent."""
    given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    return Pressed(given["do"], given.get("name", ""), given.get("text", ""))


def _row(thing: Thing) -> str:
    if not thing.deeds:
        return f"<li>{escape(thing.words)}</li>"
    buttons = " ".join(f'<button name="do" value="{deed}">{escape(words)}</button>' for deed, words in thing.deeds.items())
    text = '<textarea name="text" rows="6" cols="60" aria-label="Content"></textarea><br>' if thing.takes_text else ""
    hidden = f'<input type="hidden" name="name" value="{escape(thing.name)}">'
    return f'<li>{escape(thing.words)}<form method="post">{hidden}{text}{buttons}</form></li>'
