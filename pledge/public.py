"""The public figures: totals and leaderboard, as of a day, each with its population."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from pledge import queries
from pledge.models import AnnualReport, MembershipStatus, PledgeMember
from pledge.policies.membership import RenewalState
from pledge.policies.standing import Standing
from pledge.policies.totals import Order, Place, ReportFigure, Totals, amount, latest_of, plain, sort_key, totals

CURRENCY = "USD"


class Population(enum.StrEnum):
    """Which members a list shows and a total counts."""

    ACTIVE = "active"
    FORMER = "former"
    ALL = "all"

    @property
    def words(self) -> str:
        return {
            Population.ACTIVE: "members whose member file says active",
            Population.FORMER: "members whose member file says inactive",
            Population.ALL: "all members, active and inactive",
        }[self]

    def counts(self, active: bool) -> bool:
        return self is Population.ALL or active == (self is Population.ACTIVE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the leaderboard: a member and its latest report."""

    member: PledgeMember
    report: ReportFigure
    renewal: RenewalState

    @property
    def standing(self) -> Standing:
        return self.report.standing


@dataclass(frozen=True, slots=True)
class Renewed:
    """What the dates say of a member, and when its next report is due."""

    state: RenewalState
    due_on: date
    figures_on: date | None
    """For figures that describe a day: the last day that judges them."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything public about the pledge on one day."""

    totals: Totals
    entries: list[Entry]
    renewals: dict[str, Renewed]
    """Of the members whose file says active."""


def figures(session: Session, *, on: date) -> Figures:
    """Compute the public figures as of a day: members who had joined, reports published until then.

    Companies that were made up for a demo are listed, marked, and counted in no total.
    """
    members = session.scalars(
        select(PledgeMember).where(
            PledgeMember.joined_on <= on,
            # An application is not yet a membership.
            PledgeMember.status.not_in([MembershipStatus.APPLIED, MembershipStatus.CHECKED]),
        )
    ).all()
    by_id = {member.member_id: member for member in members}
    counted = {member.member_id: member.listed for member in members if not member.is_fictional}
    reports = [figure(report) for report in standing_reports(session, on=on)]
    rules = queries.renewal_rules(session)
    entries, renewals = [], {}
    for report in latest_of(report for report in reports if report.member_id in by_id):
        member = by_id[report.member_id]
        dates = queries.renewal_from(member, report.report_on, rules)
        state = dates.state(min(on, member.figures_on or on))
        entries.append(Entry(member, report, state))
        if counted.get(member.member_id):
            renewals[member.member_id] = Renewed(state, dates.due_on, member.figures_on)
    summed = totals(counted.items(), reports, currency=CURRENCY, on=on)
    return Figures(summed, entries, dict(sorted(renewals.items())))


def standing_reports(session: Session, *, on: date) -> Sequence[AnnualReport]:
    """Every report in the public currency that stands and was published by a day, with its member."""
    return (
        session.scalars(
            select(AnnualReport)
            .join(AnnualReport.member)
            .options(contains_eager(AnnualReport.member))
            .where(AnnualReport.superseded_at.is_(None), AnnualReport.report_on <= on, AnnualReport.currency == CURRENCY)
        )
        .unique()
        .all()
    )


def figure(report: AnnualReport) -> ReportFigure:
    """What totals read of a report: the declared sum is what the member stands for."""
    return ReportFigure(
        member_id=report.member.member_id,
        active=report.member.listed,
        year=report.year,
        report_on=report.report_on,
        standing=Standing(report.developers, report.minimum, report.declared),
    )


def leaderboard(found: Figures, *, order: Order, population: Population) -> list[Entry]:
    """The entries of a population in an order."""
    chosen = [entry for entry in found.entries if population.counts(entry.member.listed)]
    return sorted(
        chosen,
        key=lambda entry: sort_key(order, Place(entry.member.name, entry.member.joined_on, entry.standing)),
    )


def totals_json(found: Figures) -> dict[str, Any]:
    """The totals for programs. Each pair says whom it counts; docs/reference/pledge-totals.md describes every field."""
    summed = found.totals
    return {
        "on": summed.on.isoformat(),
        "members": summed.members,
        "active": summed.active,
        "reports": summed.reports,
        "meeting_minimum": summed.meeting_minimum,
        "usd_all_time": {"all": amount(summed.all_time_all), "active": amount(summed.all_time_active)},
        "usd_rolling_year": {"active": amount(summed.rolling_year_active)},
        "developers_rolling_year": {"active": plain(summed.rolling_developers_active)},
        "per_year": {
            year: {
                "reports": entry.reports,
                "reports_active": entry.reports_active,
                "usd": {"all": amount(entry.paid_all), "active": amount(entry.paid_active)},
                "developers": plain(entry.developers),
                "usd_per_developer": amount(entry.per_developer) if entry.per_developer is not None else None,
            }
            for year, entry in summed.per_year.items()
        },
        "renewal": {
            member_id: {"state": str(entry.state), "due_on": entry.due_on.isoformat()}
            | ({"as_of": entry.figures_on.isoformat()} if entry.figures_on and entry.figures_on < summed.on else {})
            for member_id, entry in found.renewals.items()
        },
    }
