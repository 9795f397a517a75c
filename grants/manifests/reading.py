"""From bytes to a JSON document, within bounds, with line and column where the text is broken.

Python's own parser does the reading. Around it: no more than so many bytes and so deep, no NaN or Infinity (JSON has
none), no number longer than anything real, no member given twice (parsers silently disagree which one counts), and no
characters that PostgreSQL or a page could not hold.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from grants.manifests.findings import Findings, item, member

SIZE_MAX_BYTES = 320_000
DEPTH_MAX = 32
DIGITS_MAX = 30

# The closing quote is optional, so that an open string swallows the rest at once instead of being tried again and again.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_UNKEEPABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Members(dict[str, Any]):
    """A JSON object that remembers which names it was given more than once."""

    repeated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands where a number was that is none; the finding about it was made."""

    text: str


def read(content: bytes, findings: Findings) -> Members | None:
    """The document, or none if it can't be read; every reason is added to `findings`."""
    if len(content) > SIZE_MAX_BYTES:
        findings.error("", f"The file has {len(content):,} bytes; a manifest may have {SIZE_MAX_BYTES:,}. Shorten it.")
        return None
    text = _decoded(content, findings)
    if text is None or _too_deep(text, findings):
        return None
    try:
        document = json.loads(
            text, object_pairs_hook=_members, parse_constant=Unreadable, parse_float=_decimal, parse_int=_integer
        )
    except json.JSONDecodeError as error:
        findings.error("", _syntax_sentence(error), line=error.lineno, column=error.colno)
        return None
    _check_values(document, "", findings)
    if not isinstance(document, Members):
        findings.error("", f"A manifest is a JSON object, {{…}}; this file holds {kind_of(document)}.")
        return None
    return document


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | Decimal() | Unreadable():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
    return "an object"


def plain(value: Any) -> Any:
    """The document as ordinary JSON values, to be stored or handed out. Unknown members stay."""
    match value:
        case dict():
            return {name: plain(inner) for name, inner in value.items()}
        case list():
            return [plain(inner) for inner in value]
        case Decimal():
            return float(value)
        case Unreadable():
            return value.text
    return value


def _decoded(content: bytes, findings: Findings) -> str | None:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        findings.error("", "The file is in UTF-16; JSON is UTF-8. Save it again as UTF-8.")
        return None
    if content.startswith(b"\xef\xbb\xbf"):
        findings.warning("", "The file begins with a byte order mark, which some readers refuse. Save it as UTF-8 without one.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rsplit(b"\n", 1)[-1].decode("utf-8", "replace")) + 1
        findings.error("", "Here are bytes that are no UTF-8. Save the file as UTF-8.", line=line, column=column)
        return None


def _too_deep(text: str, findings: Findings) -> bool:
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                before = text[: token.start()]
                findings.error(
                    "",
                    f"Objects and lists lie more than {DEPTH_MAX} deep in each other; a manifest needs 6.",
                    line=before.count("\n") + 1,
                    column=len(before.rsplit("\n", 1)[-1]) + 1,
                )
                return True
        elif token[0] in "]}":
            depth -= 1
    return False


def _members(pairs: list[tuple[str, Any]]) -> Members:
    found = Members(pairs)
    if len(found) < len(pairs):
        times = Counter(name for name, _ in pairs)
        found.repeated = frozenset(name for name in times if times[name] > 1)
    return found


def _integer(digits: str) -> int | Unreadable:
    return int(digits) if len(digits) <= DIGITS_MAX else Unreadable(digits)


def _decimal(digits: str) -> Decimal | Unreadable:
    number = Decimal(digits) if len(digits) <= DIGITS_MAX else None
    if number is None or abs(number.adjusted()) > DIGITS_MAX:
        return Unreadable(digits)
    return number


def _check_values(value: Any, path: str, findings: Findings) -> None:
    """What the parser lets through and we don't, anywhere in the document, unknown members included."""
    match value:
        case Members():
            for name, inner in value.items():
                here = member(path, name)
                if name in value.repeated:
                    findings.error(here, "This member is given more than once in its object; keep one of them.")
                _check_text(name, here, findings)
                _check_values(inner, here, findings)
        case list():
            for i, inner in enumerate(value):
                _check_values(inner, item(path, i), findings)
        case str():
            _check_text(value, path, findings)
        case Unreadable():
            findings.error(path, _number_sentence(value))


def _check_text(text: str, path: str, findings: Findings) -> None:
    if found := _UNKEEPABLE.search(text):
        what = "half a character (a lone surrogate)" if found[0] >= "\ud800" else "a control character"
        findings.error(path, f"The text holds {what}, U+{ord(found[0]):04X}; remove it.")


def _number_sentence(value: Unreadable) -> str:
    if value.text[-1:].isdigit():
        return f"The number is longer than {DIGITS_MAX} digits; nothing here needs that."
    return f"{value.text} is no number that JSON has; write a plain one such as 1000."


def _syntax_sentence(error: json.JSONDecodeError) -> str:
    """The parser's words, and the three usual causes named."""
    rest, before = error.doc[error.pos :], error.doc[: error.pos].rstrip()
    said = error.msg[:1].lower() + error.msg[1:]
    if not error.doc.strip():
        return "The file is empty."
    if rest.startswith(("//", "/*", "#")):
        return "JSON has no comments; remove this one."
    if before.endswith(",") and rest[:1] in {"}", "]"}:
        return f"There is a comma before this “{rest[0]}”; remove the comma."
    if not rest.strip():
        return f"The file ends in the middle ({said})."
    if rest.startswith(("'", "“", "„")):
        return f'JSON texts stand in straight double quotes ("…"), not in {rest[0]}.'
    return f"This is no JSON: {said}."
