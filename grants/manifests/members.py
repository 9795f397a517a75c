"""Reading the members of one object by their rules. Every fault becomes a finding at its path; nothing is raised.

Lengths are counted in characters. An optional member may be absent, null or an empty text, as generators write it.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core.errors import InvalidInput
from core.urls import parse, shown
from grants.manifests.findings import Findings, item, member
from grants.manifests.reading import Members, Unreadable, kind_of

GUID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
"""Lower-case letters and digits, single dashes between them: guids and tags."""
URL_MIN, URL_MAX = 10, 250


@dataclass(frozen=True, slots=True)
class Reader:
    """One object of the document and its path."""

    members: Members
    path: str
    findings: Findings

    def at(self, name: str) -> str:
        return member(self.path, name)

    def text(self, name: str, low: int, high: int, *, required: bool = True) -> str | None:
        """A text of `low` to `high` characters."""
        value = self._value(name, f"a text of {low} to {high} characters", required=required)
        if value is None:
            return None
        if not isinstance(value, str):
            self.findings.error(self.at(name), f"This has to be a text, in double quotes, not {kind_of(value)}.")
            return None
        return value if self.fits(value, low, high, self.at(name)) else None

    def fits(self, value: str, low: int, high: int, path: str) -> bool:
        """Whether a text has the right length; if not, the finding says so."""
        if low <= len(value) <= high and (value.strip() or low == 0):
            return True
        long = f"has {len(value)} characters" if value.strip() or not value else "is blank"
        wanted = f"at most {high}" if low == 0 else f"{low} to {high}"
        self.findings.error(path, f"The text {long}; use {wanted}.")
        return False

    def choice(self, name: str, options: tuple[str, ...]) -> str | None:
        """One of a few words."""
        value = self._value(name, f"one of {', '.join(options)}")
        if value is None:
            return None
        if value not in options:
            got = f"“{shown(value, 40)}”" if isinstance(value, str) else kind_of(value)
            self.findings.error(self.at(name), f"This is {got}; it has to be one of {', '.join(options)}.")
            return None
        return str(value)

    def guid(self, name: str, taken: dict[str, str]) -> None:
        """An identifier of 3 to 32 characters, different from those in `taken`, which it joins with its object's path."""
        value = self.text(name, 3, 32)
        if value is None:
            return
        if not GUID.fullmatch(value):
            self.findings.error(
                self.at(name), f"“{shown(value)}” may have lower-case letters, digits and single dashes between them only."
            )
        elif value in taken:
            self.findings.error(self.at(name), f"“{value}” is already the guid of {taken[value]}; give each its own.")
        # A misspelt one joins too: what refers to it is not to blame.
        taken.setdefault(value, self.path)

    def url(self, name: str) -> tuple[str, str | None] | None:
        """An object of an address and, optionally, the address of its well-known list."""
        inner = self.object(name, "an object with a url")
        if inner is None:
            return None
        url = inner.address("url")
        return None if url is None else (url, inner.address("wellKnown", required=False))

    def address(self, name: str, *, required: bool = True) -> str | None:
        """An http(s) address of 10 to 250 characters."""
        value = self.text(name, URL_MIN, URL_MAX, required=required)
        if value is None:
            return None
        try:
            parse(value)
        except InvalidInput as error:
            self.findings.error(self.at(name), error.message)
            return None
        return value

    def number(self, name: str, low: int, high: int, *, required: bool, whole: bool = False) -> Decimal | None:
        """A number between two bounds, both included."""
        value = self._value(name, f"a number from {low:,} to {high:,}", required=required)
        if value is None or isinstance(value, Unreadable):
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            hint = " without quotes" if isinstance(value, str) else ""
            self.findings.error(self.at(name), f"This has to be a number{hint}, not {kind_of(value)}.")
            return None
        if whole and not isinstance(value, int):
            self.findings.error(self.at(name), f"{value} has to be a whole number.")
            return None
        if not low <= value <= high:
            self.findings.error(self.at(name), f"{value} is out of range; use {low} to {high}.")
            return None
        return Decimal(value)

    def object(self, name: str, wanted: str) -> "Reader | None":
        """An object, to be read by its own rules."""
        value = self._value(name, wanted)
        if value is None:
            return None
        if not isinstance(value, Members):
            hint = ' Write it as {"url": "https://…"}.' if isinstance(value, str) and wanted.endswith("url") else ""
            self.findings.error(self.at(name), f"This has to be an object, {{…}}, not {kind_of(value)}.{hint}")
            return None
        return Reader(value, self.at(name), self.findings)

    def objects(self, name: str, low: int, high: int) -> Iterator["Reader"]:
        """A list of `low` to `high` objects. Too many are counted, and the first `high` of them read."""
        for path, value in self._items(name, low, high, "objects"):
            if isinstance(value, Members):
                yield Reader(value, path, self.findings)
            else:
                self.findings.error(path, f"This has to be an object, {{…}}, not {kind_of(value)}.")

    def texts(self, name: str, low: int, high: int) -> Iterator[tuple[str, str]]:
        """A list of `low` to `high` texts, each with its path."""
        for path, value in self._items(name, low, high, "texts"):
            if isinstance(value, str):
                yield path, value
            else:
                self.findings.error(path, f"This has to be a text, in double quotes, not {kind_of(value)}.")

    def _items(self, name: str, low: int, high: int, what: str) -> Iterator[tuple[str, Any]]:
        value = self._value(name, f"a list of {low} to {high} {what}", required=low > 0)
        if value is None:
            return
        path = self.at(name)
        if not isinstance(value, list):
            self.findings.error(path, f"This has to be a list, […], not {kind_of(value)}.")
            return
        if not low <= len(value) <= high:
            wanted = f"at most {high}" if low == 0 else f"{low} to {high}"
            self.findings.error(path, f"The list has {len(value)} {what}; use {wanted}.")
        for i, inner in enumerate(value[:high]):
            yield item(path, i), inner

    def _value(self, name: str, wanted: str, *, required: bool = True) -> Any:
        """The member's value; none if it is absent, after a finding if it is required."""
        value = self.members.get(name)
        if not required and value in (None, ""):
            return None
        if value is None:
            state = "is null" if name in self.members else "is missing"
            self.findings.error(self.at(name), f"This member {state}; it has to be {wanted}.")
        return value


def one_of(words: Collection[str]) -> str:
    """Words to choose from, quoted, the first few of them."""
    some = [f"“{shown(word, 32)}”" for word in list(words)[:5]]
    return ", ".join(some) + (" …" if len(words) > 5 else "")
