"""How values look in templates. English for now; Babel's CLDR data makes another language a parameter."""

from datetime import UTC, date, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from babel import Locale
from babel.numbers import format_currency, format_decimal
from flask import Flask, request
from markupsafe import Markup, escape

from core.clock import utc_now
from core.money import Money, exponent
from core.units import format_gpu_hours, format_seconds

LOCALE = "en_US"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

TONES: dict[str, str] = {
    # Word → tone. A domain's own words can be added with `tone()`; unknown words are neutral.
    **dict.fromkeys(("active", "accepted", "approved", "met", "paid", "settled", "completed", "succeeded", "done", "open",
                     "verified", "current", "healthy", "eligible", "published", "confirmed"), "good"),
    **dict.fromkeys(("due", "due_soon", "awaiting_payment", "waiting", "queued", "held", "low", "short", "unknown",
                     "human", "suspended", "parked", "paid_unsettled", "conditional", "disputed", "expiring"), "warn"),
    **dict.fromkeys(("failed", "overdue", "lapsed", "rejected", "declined", "returned", "reversed", "lost", "timed_out",
                     "exhausted", "terminated", "refused", "evicted", "ineligible", "revoked"), "bad"),
    **dict.fromkeys(("submitted", "screened", "in_review", "shortlisted", "offered", "processing", "sending", "reserved",
                     "running", "starting", "ready", "released", "in_payout", "checked", "applied", "paperwork"), "info"),
}  # fmt: skip


def tone(word: str, name: str) -> None:
    """Say how a domain's own status word looks: good, warn, bad, info or neutral. A word looks the same on all pages."""
    assert name in {"good", "warn", "bad", "info", "neutral"}, name
    assert TONES.get(word, name) == name, f"“{word}” looks {TONES[word]} elsewhere; give status_tag() a tone where it should not"
    TONES[word] = name


@lru_cache(maxsize=20_000)
def money(value: Money | None, *, plus: bool = False) -> str:
    """`$28,000.00`, `¥1,500`, with the ISO number of digits; `plus` shows the sign of positive amounts too."""
    if value is None:
        return "–"
    digits = exponent(value.currency)
    pattern = "¤#,##0" + ("." + "0" * digits if digits else "")
    text = format_currency(value.decimal, value.currency, format=pattern, locale=LOCALE, currency_digits=False)
    text = text.replace("-", "\N{MINUS SIGN}")
    return f"+{text}" if plus and value.amount_minor > 0 else text


def number(value: int | float | Fraction | None) -> str:
    """Grouped thousands; fractions with at most two digits."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return str(format_decimal(round(float(value), 2), locale=LOCALE))


def day(value: date | datetime | None) -> Markup:
    """`2 Nov 2026`, readable by programs too."""
    if value is None:
        return Markup("–")
    plain = value.astimezone(UTC).date() if isinstance(value, datetime) else value
    return Markup('<time datetime="{}">{} {} {}</time>').format(plain.isoformat(), plain.day, MONTHS[plain.month - 1], plain.year)


def when(value: datetime | None) -> Markup:
    """`2 Nov 2026, 09:30 UTC`."""
    if value is None:
        return Markup("–")
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{} {} {}, {:%H:%M} UTC</time>').format(
        utc.isoformat(timespec="seconds"), utc.day, MONTHS[utc.month - 1], utc.year, utc
    )


def ago(value: datetime | None) -> Markup:
    """`3 h 20 min ago` or `in 2 d`, with the moment itself as a tooltip."""
    if value is None:
        return Markup("–")
    seconds = (utc_now() - value).total_seconds()
    distance = format_seconds(abs(seconds)) or "0 s"
    words = f"{distance} ago" if seconds >= 0 else f"in {distance}"
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}" title="{:%Y-%m-%d %H:%M:%S} UTC">{}</time>').format(
        utc.isoformat(timespec="seconds"), utc, words
    )


def words(value: object) -> str:
    """A state or role in plain words: `awaiting_payment` → `Awaiting payment`."""
    text = str(value).replace("_", " ").replace("-", " ")
    return text[:1].upper() + text[1:]


def status_tone(value: object) -> str:
    """The tone of a status word."""
    return TONES.get(str(value), "neutral")


def percent(part: int | Fraction, whole: int | Fraction) -> str:
    """`37 %`; under one in a hundred but not nothing is `< 1 %`."""
    if not whole:
        return "–"
    share = Fraction(part) / Fraction(whole) * 100
    return "< 1 %" if 0 < share < 1 else f"{int(share)} %"


def paragraphs(text: str | None) -> Markup:
    """Plain text somebody typed, as paragraphs and line breaks."""
    blocks = [block for block in (text or "").replace("\r\n", "\n").split("\n\n") if block.strip()]
    return Markup("\n").join(Markup("<p>{}</p>").format(Markup("<br>").join(escape(line) for line in block.split("\n")))
                             for block in blocks)  # fmt: skip


def link(url: str) -> Markup:
    """A link to another site, shown without its scheme; only http and https become links at all."""
    if not url.startswith(("https://", "http://")):
        return escape(url)
    shown = url.split("://", 1)[1].rstrip("/")
    return Markup('<a class="break" href="{}" rel="nofollow noopener">{}</a>').format(url, shown)


def browser(user_agent: str) -> str:
    """`Firefox on Linux`, as well as a user agent tells."""
    names = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari", "curl/": "curl"}
    systems = {
        "Android": "Android",
        "iPhone": "iPhone",
        "iPad": "iPad",
        "Windows": "Windows",
        "Mac OS": "macOS",
        "Linux": "Linux",
    }
    name = next((words for mark, words in names.items() if mark in user_agent), "Unknown browser")
    system = next((words for mark, words in systems.items() if mark in user_agent), None)
    return f"{name} on {system}" if system else name


def country(code: str) -> str:
    """`Germany` for DE."""
    return str(Locale.parse(LOCALE).territories.get(code, code))


def with_query(path: str | None = None, /, **changes: str | None) -> str:
    """This page's address with some parameters changed; none removes one. `path`: where it is read, if not where it is."""
    kept = {name: value for name, value in request.args.items() if name not in changes}
    query = urlencode(kept | {name: value for name, value in changes.items() if value is not None})
    path = path or request.path
    return f"{path}?{query}" if query else path


def register(app: Flask) -> None:
    """Make them available in every template."""
    filters: dict[str, Any] = {
        "ago": ago,
        "browser": browser,
        "country": country,
        "day": day,
        "duration": format_seconds,
        "gpu_hours": format_gpu_hours,
        "link": link,
        "money": money,
        "number": number,
        "paragraphs": paragraphs,
        "status_tone": status_tone,
        "when": when,
        "words": words,
    }
    app.jinja_env.filters.update(filters)
    app.jinja_env.globals.update(percent=percent, with_query=with_query)
