"""The pledge in JSON: what /api/v1 gives out. Amounts are decimal strings, each next to its currency."""

from datetime import date
from typing import Any

from pydantic import BaseModel, Field

from pledge.models import AnnualReport, PledgeMember
from pledge.policies.standing import Standing
from pledge.policies.totals import amount, plain


class ReportOut(BaseModel):
    """One annual report that stands."""

    year: str = Field(description="The member's own label; text, whatever it looks like.")
    published_on: date
    url: str
    developers: int | str = Field(description="Whole, or a decimal string.")
    currency: str
    declared: str
    itemised: str | None = Field(description="What was itemised here at publication; null for imported reports.")
    required: str
    met: bool = Field(description="declared ≥ minimum × developers, in minor units.")
    short_by: str
    per_developer: str | None = Field(description="Half up to the minor unit, for display; null without developers.")
    rules_version: str

    @classmethod
    def of(cls, report: AnnualReport) -> "ReportOut":
        standing = Standing(report.developers, report.minimum, report.declared)
        return cls(
            year=report.year,
            published_on=report.report_on,
            url=report.url,
            developers=plain(report.developers),
            currency=report.currency,
            declared=amount(report.declared),
            itemised=amount(report.itemised) if report.itemised is not None else None,
            required=amount(standing.required),
            met=standing.met,
            short_by=amount(standing.short_by),
            per_developer=amount(standing.per_developer_exact) if standing.per_developer_exact is not None else None,
            rules_version=report.rules_version,
        )


class MemberOut(BaseModel):
    """A member of the pledge."""

    id: str
    slug: str
    name: str
    role: str
    active: bool = Field(description="What the member file says.")
    status: str = Field(description="Where the membership stands by its dates.")
    status_since: date
    joined_on: date
    due_on: date | None
    figures_on: date | None = Field(description="For imported figures: the day they describe.")
    is_demo: bool
    latest_report: ReportOut | None

    @classmethod
    def of(cls, member: PledgeMember, latest: AnnualReport | None) -> "MemberOut":
        return cls(**_facts(member), latest_report=ReportOut.of(latest) if latest else None)


class PledgeOut(BaseModel):
    """A member with everything it published."""

    id: str
    slug: str
    name: str
    role: str
    active: bool
    status: str
    status_since: date
    status_reason: str | None
    joined_on: date
    due_on: date | None
    figures_on: date | None
    is_demo: bool
    member_file: str = Field(description="Path of the member file in the Open Source Pledge's form.")
    reports: list[ReportOut]


class PledgesOut(BaseModel):
    """One page of members, and the totals over all of them."""

    totals: dict[str, Any] = Field(description="As `pledgeworks pledge totals`; docs/reference/pledge-totals.md.")
    items: list[MemberOut]
    next_cursor: str | None


def pledge_out(member: PledgeMember, reports: list[AnnualReport], *, member_file: str) -> PledgeOut:
    """A member with its reports."""
    return PledgeOut(
        **_facts(member),
        status_reason=member.status_reason,
        member_file=member_file,
        reports=[ReportOut.of(report) for report in reports],
    )


def _facts(member: PledgeMember) -> dict[str, Any]:
    return {
        "id": member.member_id,
        "slug": member.slug,
        "name": member.name,
        "role": str(member.role),
        "active": member.listed,
        "status": str(member.status),
        "status_since": member.status_since,
        "joined_on": member.joined_on,
        "due_on": member.due_on,
        "figures_on": member.figures_on,
        "is_demo": member.organisation.is_demo,
    }
