"""Writing a member file in the present form."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from core.money import Money
from pledge.member_file.json_text import JsonNumber, parse, text_of
from pledge.models import MemberRole

MEMBER_ORDER = (
    "id", "role", "active", "name", "description", "shortDescription", "url", "jobsUrl", "blogProfileSlug",
    "joinDate", "annualReports",
)  # fmt: skip
REPORT_ORDER = ("url", "year", "reportDate", "averageNumberOfDevs", "usdAmountPaid")

# What the past form called the same things. Everything else of a past file is kept under its old name.
PAST_MEMBER = {"urlLearnMore": "url"}
PAST_REPORT = {"dateYearEnding": "reportDate", "payments": "usdAmountPaid"}


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report as it is to stand in the file."""

    url: str
    year: str
    report_on: date
    developers: Decimal
    paid: Money


@dataclass(frozen=True, slots=True)
class WrittenMember:
    """A member as it is to stand in the file; reports newest first."""

    member_id: str
    role: MemberRole
    active: bool
    name: str
    description: str
    short_description: str
    url: str | None
    jobs_url: str | None
    blog_profile_slug: str | None
    joined_on: date
    reports: Sequence[WrittenReport]


def write(member: WrittenMember, *, document: str | None) -> str:
    """The member file. Of `document`, the file once read, it keeps key order, unknown members and unchanged numbers.

    A file without `document` has the keys in the order of the published files.
    """
    known: dict[str, Any] = {
        "id": member.member_id,
        "role": str(member.role),
        "active": member.active,
        "name": member.name,
        "description": member.description,
        "shortDescription": member.short_description,
        "url": member.url,
        "jobsUrl": member.jobs_url,
        "blogProfileSlug": member.blog_profile_slug,
        "joinDate": member.joined_on.isoformat(),
    }
    old = _present(parse(document, name=member.member_id), PAST_MEMBER) if document else {}
    merged = _merge(old, known, MEMBER_ORDER)
    reports = _reports(old.get("annualReports") or [], member.reports)
    return text_of(_merge(merged, {"annualReports": reports}, MEMBER_ORDER))


def _reports(old: list[dict[str, Any]], reports: Sequence[WrittenReport]) -> list[dict[str, Any]]:
    """The old reports in their old order, as far as they still stand; new ones where the order says newer ones go."""
    entries = [_present(entry, PAST_REPORT) for entry in old]
    wanted = {(report.year, report.report_on.isoformat()): report for report in reports}
    kept, days = [], []
    for entry in entries:
        report = wanted.pop((entry.get("year") or entry["reportDate"][:4], entry["reportDate"]), None)
        if report is not None:
            kept.append(_merge(entry, _report_members(report), REPORT_ORDER))
            days.append(entry["reportDate"])
    fresh = sorted(wanted.values(), key=lambda report: (report.report_on, report.year))
    added = [_merge({}, _report_members(report), REPORT_ORDER) for report in fresh]
    oldest_first = len(days) > 1 and days == sorted(days)
    return [*kept, *added] if oldest_first else [*reversed(added), *kept]


def _report_members(report: WrittenReport) -> dict[str, Any]:
    return {
        "url": report.url,
        "year": report.year,
        "reportDate": report.report_on.isoformat(),
        "averageNumberOfDevs": _number(report.developers),
        "usdAmountPaid": _number(report.paid.decimal),
    }


def _number(value: Decimal) -> JsonNumber:
    """Plain digits without trailing zeros: 30000, 25569.34."""
    plain = f"{value:f}"
    return JsonNumber(plain.rstrip("0").rstrip(".") if "." in plain else plain)


def _present(entry: dict[str, Any], past: dict[str, str]) -> dict[str, Any]:
    """The same object with the past form's names replaced, in place."""
    return {(past[key] if key in past and past[key] not in entry else key): value for key, value in entry.items()}


def _merge(old: dict[str, Any], known: dict[str, Any], order: tuple[str, ...]) -> dict[str, Any]:
    """Set the known members where they stand; what is missing goes behind its neighbour in the published order."""
    keys = list(old)
    for key in order:
        if key in known and key not in old and known[key] is not None:
            before = [keys.index(other) for other in order[: order.index(key)] if other in keys]
            keys.insert(max(before, default=-1) + 1, key)
    cleared = {key for key in keys if key in known and known[key] is None and old[key] is not None}
    return {key: _unless_equal(old.get(key), known[key]) if key in known else old[key] for key in keys if key not in cleared}


def _unless_equal(old: Any, new: Any) -> Any:
    """Keep the digits of a number that says the same."""
    if isinstance(old, JsonNumber) and isinstance(new, JsonNumber):
        return old if old.decimal == new.decimal else new
    return new
