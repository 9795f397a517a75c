"""Web addresses, taken apart once and strictly, so that two of them can be compared and one can be fetched.

Comparing addresses as text is how `..`, `%2e%2e`, an upper-case host or a port slips past a rule. Everything that
compares or fetches addresses from outside goes through `parse`.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import SplitResult, quote, urlsplit

import idna

from core.errors import InvalidInput

DEFAULT_PORTS = {"http": 80, "https": 443}

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# A slash or backslash in disguise, or a dot segment with parameters: some servers walk upwards on them.
_AMBIGUOUS = re.compile(r"%2F|%5C|^\.{1,2};")


class BadAddress(InvalidInput):
    """Text that is no http(s) address we would follow."""

    code: ClassVar[str] = "bad_address"


@dataclass(frozen=True, slots=True)
class Address:
    """One http(s) address in its normal form (RFC 3986 section 6.2): lower-case ASCII host, explicit port, no dot segments."""

    scheme: str
    host: str
    port: int
    segments: tuple[str, ...]
    """The path's parts, percent-encoding normalised, without a trailing empty one."""
    trailing_slash: bool
    query: str

    @property
    def is_ambiguous(self) -> bool:
        """Servers disagree on what such a path means; never conclude anything from it."""
        return any(_AMBIGUOUS.search(segment) for segment in self.segments)

    @property
    def path(self) -> str:
        slash = "/" if self.trailing_slash else ""
        return "/" + "/".join(self.segments) + slash

    @property
    def target(self) -> str:
        """Path and query, as a request line has them."""
        return self.path + (f"?{self.query}" if self.query else "")

    @property
    def authority(self) -> str:
        """Host and, unless it is the scheme's own, port: the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def same_site(self, other: "Address") -> bool:
        """One host and one port. http and https on their own ports are one site: the name's owner holds both."""
        return self.host == other.host and self._site_port == other._site_port

    @property
    def _site_port(self) -> int | None:
        return None if self.port == DEFAULT_PORTS[self.scheme] else self.port

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse(text: str) -> Address:
    """Take an http(s) address apart. The fragment is dropped.

    Raises:
        BadAddress: not http(s), no host, with a user name, or with characters that programs read in different ways.
    """
    parts = _split(text)
    segments = _segments(parts.path, text)
    return Address(
        scheme=parts.scheme,
        host=_host(parts, text),
        port=_port(parts, text),
        segments=segments,
        trailing_slash=bool(segments) and _normal(parts.path, text).endswith(("/", "/.", "/..")),
        query=_normal(parts.query, text),
    )


def shown(text: str, length_max: int = 80) -> str:
    """Somebody else's text, short enough and printable enough for one of our sentences."""
    safe = "".join(c if c.isprintable() else "\ufffd" for c in text[: length_max + 1])
    return safe[:length_max] + ("…" if len(safe) > length_max else "")


def _split(text: str) -> SplitResult:
    if found := _FORBIDDEN.search(text):
        raise BadAddress(
            f"“{shown(text)}” has the character U+{ord(found[0]):04X}, which addresses can't have; write it percent-encoded."
        )
    try:
        parts = urlsplit(text)
    except ValueError:
        raise BadAddress(f"“{shown(text)}” is not a web address; write it like https://example.org/project.") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.netloc:
        raise BadAddress(f"“{shown(text)}” is not a web address; it has to start with https:// or http:// and name a host.")
    if "@" in parts.netloc:
        raise BadAddress(f"“{shown(text)}” has a user name in front of the host; leave that out.")
    return parts


def _host(parts: SplitResult, text: str) -> str:
    name = (parts.hostname or "").removesuffix(".")
    if parts.netloc.startswith("["):
        try:
            return ipaddress.IPv6Address(name).compressed
        except ValueError:
            raise BadAddress(f"“{shown(text)}” has an IPv6 address that can't be read.") from None
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True, transitional=False).decode("ascii")
        except idna.IDNAError:
            raise BadAddress(f"“{shown(text)}” has a host name that the rules of international names refuse.") from None
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise BadAddress(f"“{shown(text)}” names no host that could exist.")
    return name


def _port(parts: SplitResult, text: str) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise BadAddress(f"“{shown(text)}” has a port that can't exist.")
    return port or DEFAULT_PORTS[parts.scheme]


def _segments(path: str, text: str) -> tuple[str, ...]:
    kept: list[str] = []
    parts = _normal(path, text).split("/")[1:]
    for i, part in enumerate(parts):
        if part == "..":
            del kept[-1:]
        elif part != "." and (part or i < len(parts) - 1):
            kept.append(part)
    return tuple(kept)


def _normal(text: str, whole: str) -> str:
    """One way to write each character: unreserved ones plain, others percent-encoded with upper-case digits."""
    if _BROKEN_ESCAPE.search(text):
        raise BadAddress(f"“{shown(whole)}” has a % without two hexadecimal digits after it; write %25 for the sign itself.")
    try:
        ascii_only = quote(text, safe="%!$&'()*+,;=:@/?[]-._~")
    except UnicodeEncodeError:
        raise BadAddress(f"“{shown(whole)}” has half a character (a lone surrogate).") from None
    return _ESCAPE.sub(_plain_if_unreserved, ascii_only)


def _plain_if_unreserved(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()
