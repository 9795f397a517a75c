"""Reading a member file of either form into one shape."""

import re
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import PurePath
from typing import Any, NoReturn
from urllib.parse import urlsplit

from core.errors import InvalidInput
from core.money import Money
from pledge.member_file.json_text import JsonNumber, RefusedFile, join, parse, refuse_at, text_of
from pledge.models import MemberRole
from pledge.policies.payments import require_plausible
from pledge.policies.standing import checked_developers

__all__ = ["FileReport", "MemberFile", "RefusedFile", "read"]

CURRENCY = "USD"
TEXT_MAX = 5_000
NAME_MAX = 250
URL_MAX = 2_000
REPORTS_MAX = 200
FIRST_DAY, LAST_DAY = date(1990, 1, 1), date(2100, 12, 31)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class FileReport:
    """One annual report of a member file."""

    year: str
    report_on: date
    url: str
    developers: Decimal
    paid: Money
    in_kind: dict[str, Money] = field(default_factory=dict)
    """The past form's value of time and materials. Shown apart, never counted."""


@dataclass(frozen=True, slots=True)
class MemberFile:
    """What a member file says, whichever form it has."""

    source: str
    """The file's name, for messages."""
    member_id: str
    active: bool
    name: str
    joined_on: date
    reports: tuple[FileReport, ...]
    role: MemberRole = MemberRole.MEMBER
    description: str = ""
    short_description: str = ""
    url: str | None = None
    jobs_url: str | None = None
    blog_profile_slug: str | None = None
    document: str | None = None
    """The file itself in canonical text; none for rows of a table, which say nothing about the member but its reports."""


def read(content: bytes | str, *, name: str) -> MemberFile:
    """Read a member file. The past form (2024) is known by `urlLearnMore`.

    A member without an `id` is named by its file; one without `active` was published, which was the membership then.

    Raises:
        RefusedFile: the sentence names line and column, or the path, and what to do.
    """
    document = parse(content, name=name)
    if not isinstance(document, dict):
        refuse_at(name, "", "a member file is one JSON object, in braces; this is something else.")
    values = _Values(name, document)
    past = "urlLearnMore" in document
    reports = tuple(_report(entry, past=past) for entry in values.objects("annualReports"))
    _refuse_twins(name, reports)
    member_id = values.text("id", optional=True, max_length=100) or PurePath(name).stem
    if not _ID.fullmatch(member_id):
        refuse_at(name, "id", f"is “{member_id}”; use up to 100 letters, digits, dots and dashes, such as “example-corp”.")
    earliest = min(report.report_on for report in reports)
    return MemberFile(
        source=name,
        member_id=member_id,
        active=values.flag("active", default=True),
        role=values.role("role"),
        name=values.text("name", max_length=NAME_MAX) or "",
        description=values.text("description", optional=True) or "",
        short_description=values.text("shortDescription", optional=True) or "",
        url=values.url("urlLearnMore" if past else "url"),
        jobs_url=values.url("jobsUrl", optional=True),
        blog_profile_slug=values.text("blogProfileSlug", optional=True, max_length=NAME_MAX),
        joined_on=values.day("joinDate", optional=True) or earliest,
        reports=reports,
        document=text_of(document),
    )


def _report(values: "_Values", *, past: bool) -> FileReport:
    day = values.required_day("dateYearEnding" if past else "reportDate")
    return FileReport(
        # The past form has no label but the year that ended; a file written here says it where it is another.
        year=values.text("year", optional=past, max_length=40) or str(day.year),
        report_on=day,
        url=values.url("url") or "",
        developers=values.developers("averageNumberOfDevs"),
        paid=values.money("payments" if past else "usdAmountPaid"),
        in_kind={
            kind: value
            for kind, key in (("time", "monetaryValueOfTime"), ("materials", "monetaryValueOfMaterials"))
            if key in values.members and (value := values.money(key))
        },
    )


def _refuse_twins(name: str, reports: tuple[FileReport, ...]) -> None:
    seen: dict[tuple[str, date], int] = {}
    for index, report in enumerate(reports):
        first = seen.setdefault((report.year, report.report_on), index)
        if first != index:
            refuse_at(
                name,
                f"annualReports[{index}]",
                f"has the same year and date as annualReports[{first}] ({report.year}, {report.report_on}); keep one of them.",
            )


@dataclass(frozen=True, slots=True)
class _Values:
    """The members of one object, read with their paths for the messages."""

    file: str
    members: dict[str, Any]
    path: str = ""

    def objects(self, key: str) -> list["_Values"]:
        value = self._get(key, optional=False)
        if not isinstance(value, list) or not value:
            self._refuse(key, "is not a list with at least one report; a member has published one.")
        if len(value) > REPORTS_MAX:
            self._refuse(key, f"has {len(value)} reports, more than {REPORTS_MAX}.")
        for index, entry in enumerate(value):
            if not isinstance(entry, dict):
                self._refuse(f"{key}[{index}]", "is not an object; each report is one, in braces.")
        return [_Values(self.file, entry, join(join(self.path, key), index)) for index, entry in enumerate(value)]

    def text(self, key: str, *, optional: bool = False, max_length: int = TEXT_MAX) -> str | None:
        value = self._get(key, optional=optional)
        if value is None:
            return None
        if not isinstance(value, str) or isinstance(value, JsonNumber):
            self._refuse(key, f"is not text; put it in quotes{f': “{value}”' if isinstance(value, JsonNumber) else ''}.")
        if not optional and not value.strip():
            self._refuse(key, "is empty; fill it in.")
        if len(value) > max_length:
            self._refuse(key, f"has {len(value):,} characters, more than {max_length:,}.")
        return value

    def url(self, key: str, *, optional: bool = False) -> str | None:
        value = self.text(key, optional=optional, max_length=URL_MAX)
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"[\s\"<>]", value)
        except ValueError:
            valid = False
        if not valid:
            self._refuse(key, f"is “{value[:80]}”; give a web address that starts with https:// or http://.")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._get(key, optional=True)
        if value is None:
            return default
        if not isinstance(value, bool):
            self._refuse(key, "is not true or false (without quotes).")
        return value

    def role(self, key: str) -> MemberRole:
        value = self.text(key, optional=True)
        if value is None:
            return MemberRole.MEMBER
        if value not in set(MemberRole):
            self._refuse(key, f"is “{value[:40]}”; it is one of {', '.join(MemberRole)}.")
        return MemberRole(value)

    def day(self, key: str, *, optional: bool = False) -> date | None:
        value = self.text(key, optional=optional)
        if value is None:
            return None
        try:
            day = date.fromisoformat(value) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) else None
        except ValueError:
            day = None
        if day is None:
            self._refuse(key, f"is “{value[:40]}”; write a date like 2026-11-02.")
        if not FIRST_DAY <= day <= LAST_DAY:
            self._refuse(key, f"is {day}; dates lie between {FIRST_DAY} and {LAST_DAY}.")
        return day

    def required_day(self, key: str) -> date:
        day = self.day(key)
        assert day is not None, "a date that is not optional is there or refused"
        return day

    def developers(self, key: str) -> Decimal:
        value = self._number(key)
        try:
            return checked_developers(value.decimal, shown=value)
        except InvalidInput as error:
            self._refuse(key, f"is {value}: {error.message}")

    def money(self, key: str) -> Money:
        value = self._number(key)
        try:
            money = Money.from_decimal(value.decimal, CURRENCY)
            require_plausible(money, field=key)
        except InvalidInput as error:
            self._refuse(key, f"is {value}: {error.message}")
        if money.amount_minor < 0:
            self._refuse(key, f"is {value}; an amount is zero or more.")
        return money

    def _number(self, key: str) -> JsonNumber:
        value = self._get(key, optional=False)
        if not isinstance(value, JsonNumber):
            self._refuse(key, "is not a number (without quotes).")
        return value

    def _get(self, key: str, *, optional: bool) -> Any:
        value = self.members.get(key)
        if value is None and not optional:
            self._refuse(key, "is missing; add it." if key not in self.members else "is null; fill it in.")
        return value

    def _refuse(self, key: str, sentence: str) -> NoReturn:
        refuse_at(self.file, join(self.path, key), sentence)
