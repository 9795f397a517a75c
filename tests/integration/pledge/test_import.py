"""Member files in and out of the database, and the known answers of the published ones."""

import json
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.audit import Event
from core.errors import NotAllowed
from core.identity.models import Person
from core.money import Money
from pledge import demo, queries
from pledge.member_file import Form, RefusedFile, read
from pledge.models import AnnualReport, MembershipStatus, Pledge, PledgeMember
from pledge.policies.totals import Order
from pledge.public import Figures, Population, figures, leaderboard, totals_json
from pledge.services import files, membership, reports
from pledge.services.files import ForeignFile, Outcome, RefusedFiles, ReportDiffers

ON = date(2026, 8, 15)
THEN = datetime(2026, 8, 15, 12, tzinfo=UTC)


def member_file(**changes: object) -> str:
    document = {
        "id": "acme-corp",
        "role": "Member",
        "active": True,
        "name": "Acme Corp",
        "x-unknown": {"kept": [1, 2.50]},
        "description": "",
        "shortDescription": "",
        "url": "https://acme.example/",
        "joinDate": "2025-01-01",
        "annualReports": [
            {"url": "https://acme.example/2024", "year": "2024", "reportDate": "2025-01-01",
             "averageNumberOfDevs": 14, "usdAmountPaid": 28000},
        ],
    }  # fmt: skip
    return json.dumps(document | changes, indent=2, ensure_ascii=False) + "\n"


def take(session: Session, text: str, now: datetime) -> tuple[PledgeMember, Outcome]:
    return files.import_member(session, read(text, name="acme-corp.json"), now=now)


@pytest.fixture
def published(session: Session) -> Figures:
    """Everything the Open Source Pledge had published on 2026-08-15, from the demo's table."""
    demo.load_public_reports(session, now=THEN)
    return figures(session, on=ON)


@pytest.fixture
def published_files(session: Session, shared: Path) -> Figures:
    """The same from the register's own files and the table of all reports."""
    found, skipped = files.read_paths([shared / "data" / "osp-members", shared / "data" / "osp_reports.csv"])
    assert skipped == []
    result = files.import_all(session, found, now=THEN)
    assert result.members == Counter({Outcome.NEW: 41})
    return figures(session, on=ON)


def test_the_published_totals_are_the_known_ones(published: Figures) -> None:
    found = totals_json(published)
    renewal, years = found.pop("renewal"), found.pop("per_year")
    assert found == {
        "on": "2026-08-15",
        "members": 41,
        "active": 37,
        "reports": 79,
        "meeting_minimum": 79,
        "usd_all_time": {"all": "7270139.34", "active": "7164231.34"},
        "usd_rolling_year": {"active": "3698830.00"},
        "developers_rolling_year": {"active": 812},
    }
    assert Counter(entry["state"] for entry in renewal.values()) == {"current": 26, "due_soon": 8, "lapsed": 3}
    assert {name for name, entry in renewal.items() if entry["state"] == "lapsed"} == {"speakeasy", "bolt", "ag-grid"}
    assert renewal["sentry"] == {"state": "current", "due_on": "2027-01-06"}
    table = {
        year: (e["reports"], e["reports_active"], e["usd"]["all"], e["usd"]["active"], e["developers"], e["usd_per_developer"])
        for year, e in years.items()
    }
    assert table == {
        "2021": (2, 2, "160452.00", "160452.00", 76, "2111.21"),
        "2022": (3, 3, "273461.00", "273461.00", 132, "2071.67"),
        "2023": (6, 5, "576015.00", "560035.00", 147, "3918.47"),
        "2024": (32, 28, "2628657.34", "2538729.34", 618, "4253.49"),
        "2025": (33, 33, "3518604.00", "3518604.00", 761, "4623.66"),
        "2026": (3, 3, "112950.00", "112950.00", 29, "3894.83"),
    }


def test_the_published_leaderboard_is_headed_by_posit_and_coderabbit_pays_most_per_developer(published: Figures) -> None:
    active = leaderboard(published, order=Order.DEVELOPERS_DOWN, population=Population.ACTIVE)
    assert [(e.member.member_id, e.standing.developers) for e in active[:2]] == [("posit", 160), ("sentry", 132)]
    assert len(active) == 37
    richest = sorted(active, key=lambda entry: -(entry.standing.per_developer or 0))[:3]
    assert [(e.member.member_id, str(e.standing.per_developer_exact)) for e in richest] == [
        ("coderabbit", "12,000.00 USD"),
        ("frontend-masters", "10,000.00 USD"),
        ("zerodha", "9,796.39 USD"),
    ]
    former = leaderboard(published, order=Order.JOINED_OLD, population=Population.FORMER)
    assert {entry.member.member_id for entry in former} == {"browserbase", "laravel", "pixee", "rector"}


def test_members_from_the_past_are_judged_by_what_was_known_then(session: Session, published: Figures) -> None:
    then = figures(session, on=date(2024, 12, 31))
    assert then.totals.members < 41
    assert then.renewals["sentry"].due_on == date(2025, 11, 12)


@pytest.mark.needs_shared
def test_the_demo_s_table_is_what_was_published(session: Session, published_files: Figures) -> None:
    before = totals_json(published_files)
    demo.load_public_reports(session, now=THEN)
    assert totals_json(figures(session, on=ON)) == before


@pytest.mark.needs_shared
def test_importing_again_changes_nothing(session: Session, published_files: Figures, shared: Path) -> None:
    before = session.scalar(select(func.count()).select_from(Event))
    found, _ = files.read_paths([shared / "data" / "osp-members", shared / "data" / "osp_reports.csv"])
    result = files.import_all(session, found, now=THEN)
    assert result.members == Counter({Outcome.UNCHANGED: 41})
    assert session.scalar(select(func.count()).select_from(Event)) == before


@pytest.mark.needs_shared
def test_the_published_files_come_out_as_they_went_in(session: Session, published_files: Figures, shared: Path) -> None:
    for path in sorted((shared / "data" / "osp-members").glob("*.json")):
        exported = files.export(session, queries.member_by_slug(session, path.stem))
        assert exported == path.read_text(encoding="utf-8").rstrip() + "\n"


@pytest.mark.needs_shared
def test_importing_the_past_form_of_the_published_files_changes_no_figure(
    session: Session, published_files: Figures, shared: Path
) -> None:
    before = totals_json(figures(session, on=ON))
    for path in sorted((shared / "data" / "osp-members").glob("*.json")):
        member = queries.member_by_slug(session, path.stem)
        present, past = files.export(session, member), files.export(session, member, form=Form.PAST)
        files.import_member(session, read(past, name=path.name), now=THEN)
        assert files.export(session, member, form=Form.PAST) == past
        assert files.export(session, member) == present
    assert totals_json(figures(session, on=ON)) == before


def test_the_day_s_figures_are_not_judged_by_later_days(session: Session, published: Figures) -> None:
    membership.run_clock(session, on=date(2027, 6, 1), now=datetime(2027, 6, 1, tzinfo=UTC))
    later = figures(session, on=date(2027, 6, 1))
    assert Counter(entry.state for entry in later.renewals.values()) == {"current": 26, "due_soon": 8, "lapsed": 3}


@pytest.mark.needs_shared
def test_a_table_alone_names_members_by_their_ids(session: Session, shared: Path) -> None:
    found, _ = files.read_paths([shared / "data" / "osp_reports.csv"])
    files.import_all(session, found, now=THEN)
    assert queries.member_by_slug(session, "private-packagist").name == "Private Packagist"
    assert totals_json(figures(session, on=ON))["usd_all_time"]["all"] == "7270139.34"


def test_a_changed_report_supersedes_the_old_one(session: Session, now: datetime) -> None:
    member, outcome = take(session, member_file(), now)
    assert outcome is Outcome.NEW
    changed = json.loads(member_file())
    changed["annualReports"][0]["usdAmountPaid"] = 154999.89
    _, outcome = take(session, json.dumps(changed), now)
    assert outcome is Outcome.CHANGED
    (report,) = queries.reports_of(session, member)
    assert report.declared == Money(154_999_89, "USD")
    old, new = sorted(
        session.scalars(select(AnnualReport).where(AnnualReport.member_id == member.id)), key=lambda r: r.superseded_at is None
    )
    assert old.superseded_reason == "The member file was corrected."
    assert '"usdAmountPaid": 154999.89' in files.export(session, member)
    assert '"kept": [\n      1,\n      2.50' in files.export(session, member).replace("2.5\n", "2.50\n")
    assert new.id == report.id


def test_a_report_that_is_gone_from_the_file_stands_no_more(session: Session, now: datetime) -> None:
    two = json.loads(member_file())
    two["annualReports"].append({**two["annualReports"][0], "year": "2025", "reportDate": "2026-01-05"})
    member, _ = take(session, json.dumps(two), now)
    assert member.due_on == date(2027, 1, 5)
    take(session, member_file(), now)
    assert [report.year for report in queries.reports_of(session, member)] == ["2024"]
    assert (member.due_on, member.status) == (date(2026, 1, 1), MembershipStatus.LAPSED)


def test_what_the_file_says_about_activity_is_followed(session: Session, now: datetime) -> None:
    fresh = json.loads(member_file())
    fresh["annualReports"][0]["reportDate"] = "2026-10-01"
    member, _ = take(session, json.dumps(fresh), now)
    assert member.status is MembershipStatus.ACTIVE
    take(session, json.dumps(fresh | {"active": False}), now)
    assert (member.status, member.listed, member.status_reason) == (
        MembershipStatus.LAPSED, False, "Its member file says inactive.",
    )  # fmt: skip
    take(session, json.dumps(fresh), now)
    assert (member.status, member.listed) == (MembershipStatus.ACTIVE, True)


def test_the_past_form_s_help_in_kind_is_kept_apart(session: Session, now: datetime) -> None:
    past = {
        "name": "Old Corp",
        "urlLearnMore": "https://old.example/",
        "annualReports": [
            {"url": "https://old.example/2023", "dateYearEnding": "2023-12-31", "averageNumberOfDevs": 10,
             "payments": 20000, "monetaryValueOfTime": 50000},
        ],
    }  # fmt: skip
    member, _ = files.import_member(session, read(json.dumps(past), name="old-corp.json"), now=now)
    (help_in_kind,) = queries.in_kind_of(session, member, "2023")
    assert help_in_kind.value == Money(50_000_00, "USD")
    assert figures(session, on=now.date()).totals.all_time_all == Money(20_000_00, "USD")
    exported = files.export(session, member)
    again, outcome = files.import_member(session, read(exported, name="old-corp.json"), now=now)
    assert files.export(session, again) == exported
    assert len(queries.in_kind_of(session, member, "2023")) == 1
    assert outcome is Outcome.CHANGED  # the document now has the present form
    assert files.import_member(session, read(exported, name="x.json"), now=now)[1] is Outcome.UNCHANGED


def test_one_refused_file_refuses_all(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(member_file())
    (tmp_path / "bad.json").write_text('{\n "id": nope}')
    (tmp_path / "readme.md").write_text("x")
    with pytest.raises(RefusedFile, match=r"bad.json: line 2, column 8"):
        files.read_paths([tmp_path])
    (tmp_path / "worse.json").write_text("[]")
    with pytest.raises(RefusedFiles, match="2 files were refused, so nothing was imported") as refusal:
        files.read_paths([tmp_path])
    assert len(refusal.value.details["refusals"]) == 2


def test_two_files_of_one_member_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(member_file())
    (tmp_path / "b.json").write_text(member_file())
    with pytest.raises(RefusedFile, match="is the id of"):
        files.read_paths([tmp_path])


def test_a_company_imports_only_its_own_file(
    session: Session, member: PledgeMember, editor: Person, stranger: Person, now: datetime
) -> None:
    with pytest.raises(ForeignFile, match="is of “acme-corp”, not of “acme”"):
        files.import_own(session, member, read(member_file(), name="f.json"), actor=editor, now=now)
    with pytest.raises(NotAllowed):
        files.import_own(session, member, read(member_file(id="acme"), name="f.json"), actor=stranger, now=now)
    files.import_own(session, member, read(member_file(id="acme"), name="f.json"), actor=editor, now=now)
    assert member.status is MembershipStatus.LAPSED
    assert member.name == "Acme Corp"


def test_a_file_can_not_contradict_what_was_published_here(
    session: Session, member: PledgeMember, pledge: Pledge, editor: Person, now: datetime
) -> None:
    reports.publish(
        session, pledge, url="https://acme.example/2026", declared=Money.parse("30000", "USD"),
        report_on=date(2026, 10, 1), actor=editor, now=now,
    )  # fmt: skip
    exported = files.export(session, member)
    assert files.import_own(session, member, read(exported, name="f.json"), actor=editor, now=now) is Outcome.CHANGED
    assert files.import_own(session, member, read(exported, name="f.json"), actor=editor, now=now) is Outcome.UNCHANGED
    other = exported.replace("30000", "40000")
    with pytest.raises(ReportDiffers, match=r"annualReports\[0\] differs"):
        files.import_own(session, member, read(other, name="f.json"), actor=editor, now=now)
    assert member.listed
