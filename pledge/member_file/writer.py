"""Writing a member file, in the present form or in that of 2024."""

import enum
from collections.abc import Mapping, Sequence
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

# What the past form called the same things. Everything else has one name in both.
PAST_MEMBER = {"urlLearnMore": "url"}
PAST_REPORT = {"dateYearEnding": "reportDate", "payments": "usdAmountPaid"}


class Form(enum.StrEnum):
    """Which of its two forms a member file has."""

    PRESENT = "present"
    PAST = "past"


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


def write(member: WrittenMember, *, document: str | None, form: Form = Form.PRESENT) -> str:
    """The member file. Of `document`, the file once read, it keeps key order, unknown members and unchanged numbers.

    A file without `document` has the keys in the order of the published files. What the past form has no word for stands
    in it under its present name, unless a reader would take the same from its absence: so nothing is lost either way.
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
    before = parse(document, name=member.member_id) if document else {}
    old = _renamed(before, _names(PAST_MEMBER, form))
    if form is Form.PAST:
        assumed = {"role": str(MemberRole.MEMBER), "active": True, "description": "", "shortDescription": "",
                   "joinDate": min(report.report_on for report in member.reports).isoformat()}  # fmt: skip
        if "urlLearnMore" in before:
            assumed["id"] = member.member_id  # it was named by its file, and still is
        known = _said(_renamed(known, _names(PAST_MEMBER, form)), assumed, old)
    order = tuple(_renamed(dict.fromkeys(MEMBER_ORDER), _names(PAST_MEMBER, form)))
    merged = _merge(old, known, order)
    reports = _reports(old.get("annualReports") or [], member.reports, form)
    return text_of(_merge(merged, {"annualReports": reports}, order))


def _reports(old: list[dict[str, Any]], reports: Sequence[WrittenReport], form: Form) -> list[dict[str, Any]]:
    """The old reports in their old order, as far as they still stand; new ones where the order says newer ones go."""
    names = _names(PAST_REPORT, form)
    order, day = tuple(_renamed(dict.fromkeys(REPORT_ORDER), names)), names.get("reportDate", "reportDate")
    wanted = {(report.year, report.report_on.isoformat()): report for report in reports}
    kept, days = [], []
    for entry in (_renamed(entry, names) for entry in old):
        report = wanted.pop((entry.get("year") or entry[day][:4], entry[day]), None)
        if report is not None:
            kept.append(_merge(entry, _report_members(report, entry, form), order))
            days.append(entry[day])
    fresh = sorted(wanted.values(), key=lambda report: (report.report_on, report.year))
    added = [_merge({}, _report_members(report, {}, form), order) for report in fresh]
    oldest_first = len(days) > 1 and days == sorted(days)
    return [*kept, *added] if oldest_first else [*reversed(added), *kept]


def _report_members(report: WrittenReport, old: Mapping[str, Any], form: Form) -> dict[str, Any]:
    known = {
        "url": report.url,
        "year": report.year,
        "reportDate": report.report_on.isoformat(),
        "averageNumberOfDevs": _number(report.developers),
        "usdAmountPaid": _number(report.paid.decimal),
    }
    if form is Form.PRESENT:
        return known
    return _said(_renamed(known, _names(PAST_REPORT, form)), {"year": str(report.report_on.year)}, old)


def _number(value: Decimal) -> JsonNumber:
    """Plain digits without trailing zeros: 30000, 25569.34."""
    plain = f"{value:f}"
    return JsonNumber(plain.rstrip("0").rstrip(".") if "." in plain else plain)


def _names(past: Mapping[str, str], form: Form) -> Mapping[str, str]:
    """What is called otherwise in this form, under its name in the other one."""
    return past if form is Form.PRESENT else {present: name for name, present in past.items()}


def _renamed(entry: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The same object with these names replaced, in place."""
    return {(names[key] if key in names and names[key] not in entry else key): value for key, value in entry.items()}


def _said(known: Mapping[str, Any], assumed: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is understood when it is missing, unless it was said before."""
    return {key: value for key, value in known.items() if key in old or key not in assumed or assumed[key] != value}


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
