"""Member files: read and written in both forms, losing nothing."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import Money
from pledge.member_file import Form, MemberFile, RefusedFile, WrittenMember, WrittenReport, read, read_rows, write
from pledge.models import MemberRole

PRESENT = {
    "id": "acme",
    "role": "Innovator",
    "active": True,
    "name": "Acme",
    "description": "We build things.",
    "shortDescription": "Things.",
    "url": "https://acme.example/pledge",
    "joinDate": "2024-10-01",
    "annualReports": [
        {
            "url": "https://acme.example/2025",
            "year": "2025",
            "reportDate": "2025-10-01",
            "averageNumberOfDevs": 12.5,
            "usdAmountPaid": 154999.89,
        },
        {
            "url": "https://acme.example/2024",
            "year": "2024",
            "reportDate": "2024-10-01",
            "averageNumberOfDevs": 10,
            "usdAmountPaid": 20000,
        },
    ],
}
PAST = {
    "name": "Acme",
    "urlSquareLogoWithBackground": "https://acme.example/logo.png",
    "urlLearnMore": "https://acme.example/pledge",
    "annualReports": [
        {
            "url": "https://acme.example/2023",
            "dateYearEnding": "2023-12-31",
            "averageNumberOfDevs": 10,
            "payments": 21000.5,
            "monetaryValueOfTime": 5000,
            "monetaryValueOfMaterials": 0,
        }
    ],
}


def text(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def written(file: MemberFile) -> WrittenMember:
    """A member exactly as its file says."""
    return WrittenMember(
        member_id=file.member_id,
        role=file.role,
        active=file.active,
        name=file.name,
        description=file.description,
        short_description=file.short_description,
        url=file.url,
        jobs_url=file.jobs_url,
        blog_profile_slug=file.blog_profile_slug,
        joined_on=file.joined_on,
        reports=[WrittenReport(r.url, r.year, r.report_on, r.developers, r.paid) for r in file.reports],
    )


def export(file: MemberFile, form: Form = Form.PRESENT) -> str:
    return write(written(file), document=file.document, form=form)


def test_the_present_form_is_read_to_the_cent() -> None:
    found = read(text(PRESENT), name="acme.json")
    assert (found.member_id, found.role, found.active) == ("acme", MemberRole.INNOVATOR, True)
    assert found.reports[0].paid == Money(154_999_89, "USD")
    assert found.reports[0].developers == Decimal("12.5")
    assert found.reports[0].year == "2025"
    assert found.joined_on == date(2024, 10, 1)


def test_the_past_form_is_read_and_its_help_in_kind_kept_apart() -> None:
    found = read(text(PAST), name="/somewhere/acme.json")
    assert (found.member_id, found.active, found.url) == ("acme", True, "https://acme.example/pledge")
    (report,) = found.reports
    assert (report.year, report.report_on, report.paid) == ("2023", date(2023, 12, 31), Money(21_000_50, "USD"))
    assert report.in_kind == {"time": Money(5_000_00, "USD")}


def test_the_past_form_is_written_as_the_present_one_with_everything_it_had() -> None:
    exported = json.loads(export(read(text(PAST), name="acme.json")))
    assert list(exported)[:3] == ["id", "role", "active"]
    assert exported["url"] == "https://acme.example/pledge"
    assert exported["urlSquareLogoWithBackground"] == "https://acme.example/logo.png"
    assert exported["annualReports"] == [
        {
            "url": "https://acme.example/2023",
            "year": "2023",
            "reportDate": "2023-12-31",
            "averageNumberOfDevs": 10,
            "usdAmountPaid": 21000.5,
            "monetaryValueOfTime": 5000,
            "monetaryValueOfMaterials": 0,
        }
    ]
    again = read(text(exported), name="acme.json")
    assert export(again) == text(exported)


def test_a_file_of_the_past_form_comes_out_of_it_as_it_went_in() -> None:
    assert export(read(text(PAST), name="acme.json"), Form.PAST) == text(PAST)
    taken_over = read(export(read(text(PAST), name="acme.json")), name="acme.json")
    again = read(export(taken_over, Form.PAST), name="acme.json")
    assert replace(again, document=None) == replace(taken_over, document=None)


def test_the_past_form_says_what_it_has_no_word_for_under_its_present_name() -> None:
    source = read(text(PRESENT | {"active": False, "annualReports": PRESENT["annualReports"][:1]}), name="x.json")
    bare = json.loads(write(written(source), document=None, form=Form.PAST))
    assert bare == {
        "id": "acme", "role": "Innovator", "active": False, "name": "Acme", "description": "We build things.",
        "shortDescription": "Things.", "urlLearnMore": "https://acme.example/pledge", "joinDate": "2024-10-01",
        "annualReports": [{"url": "https://acme.example/2025", "dateYearEnding": "2025-10-01", "averageNumberOfDevs": 12.5,
                           "payments": 154999.89}],
    }  # fmt: skip
    report = replace(written(source).reports[0], year="2024/25")
    other = json.loads(write(replace(written(source), reports=[report]), document=None, form=Form.PAST))
    assert other["annualReports"][0]["year"] == "2024/25"
    assert read(text(other), name="y.json").reports[0].year == "2024/25"


def test_a_new_report_of_a_past_file_stands_in_the_past_form() -> None:
    file = read(text(PAST), name="acme.json")
    new = WrittenReport("https://acme.example/2024", "2024", date(2024, 12, 31), Decimal(13), Money(30_000_00, "USD"))
    exported = json.loads(
        write(replace(written(file), reports=[new, *written(file).reports]), document=file.document, form=Form.PAST)
    )
    assert exported["annualReports"] == [
        {"url": "https://acme.example/2024", "dateYearEnding": "2024-12-31", "averageNumberOfDevs": 13, "payments": 30000},
        *PAST["annualReports"],
    ]
    assert "id" not in exported


@pytest.mark.needs_shared
def test_the_published_files_survive_the_past_form(shared: Path) -> None:
    for path in sorted((shared / "data" / "osp-members").glob("*.json")):
        source = path.read_text(encoding="utf-8")
        present = read(source, name=path.name)
        past = export(present, Form.PAST)
        assert {"usdAmountPaid", "reportDate"}.isdisjoint(past.split('"'))
        found = read(past, name=path.name)
        assert replace(found, document=None) == replace(present, document=None)
        assert export(found, Form.PAST) == past
        assert export(found) == source.rstrip() + "\n"


@pytest.mark.needs_shared
def test_the_published_files_come_out_as_they_went_in(shared: Path) -> None:
    for path in sorted((shared / "data" / "osp-members").glob("*.json")):
        source = path.read_text(encoding="utf-8")
        assert export(read(source, name=path.name)) == source.rstrip() + "\n"


def test_only_what_changed_is_written_anew() -> None:
    source = text(PRESENT).replace('"joinDate"', '"x-note": {"b": 1.50, "a": [1e2, null]},\n  "joinDate"')
    file = read(source, name="acme.json")
    member = written(file)
    new = WrittenReport("https://acme.example/2026", "2026", date(2026, 10, 1), Decimal(13), Money(30_000_00, "USD"))
    exported = write(replace(member, description="New words.", reports=[new, *member.reports]), document=file.document)
    for kept in ('"b": 1.50', "1e2", '"usdAmountPaid": 154999.89', '"averageNumberOfDevs": 12.5'):
        assert kept in exported
    reports = json.loads(exported)["annualReports"]
    assert [report["year"] for report in reports] == ["2026", "2025", "2024"]
    assert reports[0]["usdAmountPaid"] == 30000


def test_a_file_that_runs_oldest_first_gets_its_new_report_at_the_end() -> None:
    file = read(text(PRESENT | {"annualReports": PRESENT["annualReports"][::-1]}), name="acme.json")
    new = WrittenReport("https://acme.example/2026", "2026", date(2026, 10, 1), Decimal(13), Money(30_000_00, "USD"))
    exported = write(replace(written(file), reports=[*written(file).reports, new]), document=file.document)
    assert [report["year"] for report in json.loads(exported)["annualReports"]] == ["2024", "2025", "2026"]


def test_a_cleared_optional_member_leaves_the_file() -> None:
    file = read(text(PRESENT | {"jobsUrl": "https://acme.example/jobs"}), name="acme.json")
    assert "jobsUrl" in export(file)
    assert "jobsUrl" not in write(replace(written(file), jobs_url=None), document=file.document)


JSON_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
UNKNOWN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | JSON_TEXT,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(JSON_TEXT, children, max_size=3),
    max_leaves=6,
)
KNOWN = set(PRESENT) | {"jobsUrl", "blogProfileSlug", "urlLearnMore"}
KNOWN_IN_REPORT = {"url", "year", "reportDate", "averageNumberOfDevs", "usdAmountPaid", "monetaryValueOfTime",
                   "monetaryValueOfMaterials", "dateYearEnding", "payments"}  # fmt: skip
REPORTS = st.lists(
    st.builds(
        lambda year, day, devs, cents, more: {
            "url": "https://acme.example/post",
            "year": str(year),
            "reportDate": day.isoformat(),
            "averageNumberOfDevs": devs,
            "usdAmountPaid": cents / 100,
            **more,
        },
        st.integers(1990, 2100),
        st.dates(date(1990, 1, 1), date(2100, 1, 1)),
        st.integers(0, 10_000) | st.integers(0, 40_000).map(lambda quarters: quarters / 4),
        st.integers(0, 10**10),
        st.dictionaries(JSON_TEXT.filter(lambda key: key not in KNOWN_IN_REPORT), UNKNOWN, max_size=3),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda report: (report["year"], report["reportDate"]),
)


@given(
    reports=REPORTS,
    unknown=st.dictionaries(JSON_TEXT.filter(lambda key: key not in KNOWN), UNKNOWN, max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_what_was_read_and_not_changed_is_written_as_it_was(
    reports: list[dict[str, Any]], unknown: dict[str, Any], order: Any
) -> None:
    members = [*(PRESENT | {"annualReports": reports}).items(), *unknown.items()]
    order.shuffle(members)
    source = json.dumps(dict(members), ensure_ascii=False)
    exported = export(read(source, name="acme.json"))
    assert json.loads(exported) == json.loads(source)
    assert list(json.loads(exported)) == list(json.loads(source))
    past = export(read(source, name="acme.json"), Form.PAST)
    assert export(read(past, name="acme.json")) == exported
    assert export(read(exported, name="acme.json")) == exported


def changed(path: str, value: Any) -> str:
    """The present form with one value changed, or removed where the value is ...."""
    document = json.loads(text(PRESENT))
    *way, last = path.replace("[", ".[").split(".")
    at = document
    for step in way:
        at = at[int(step.strip("[]"))] if step.startswith("[") else at[step]
    key: Any = int(last.strip("[]")) if last.startswith("[") else last
    if value is ...:
        del at[key]
    else:
        at[key] = value
    return text(document)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("name", ..., "name is missing; add it"),
        ("name", "  ", "name is empty"),
        ("name", 7, "name is not text; put it in quotes: “7”"),
        ("id", "a b", "id is “a b”"),
        ("role", "Boss", "role is “Boss”; it is one of Innovator, Member"),
        ("active", "true", "active is not true or false"),
        ("url", "javascript:alert(1)", "web address that starts with https://"),
        ("joinDate", "2024-02-30", "joinDate is “2024-02-30”; write a date like"),
        ("joinDate", "01/02/2024", "write a date like"),
        ("annualReports", [], "annualReports is not a list with at least one report"),
        ("annualReports", [3], r"annualReports\[0\] is not an object"),
        ("annualReports[1].year", 2024, r"annualReports\[1\].year is not text; put it in quotes: “2024”"),
        ("annualReports[0].usdAmountPaid", "5", r"annualReports\[0\].usdAmountPaid is not a number \(without quotes\)"),
        ("annualReports[0].usdAmountPaid", -1, "an amount is zero or more"),
        ("annualReports[0].usdAmountPaid", 1e12, "more than the 100,000,000,000.00 USD we believe"),
        ("annualReports[0].usdAmountPaid", 1.005, "too fine: USD has at most 2 decimals"),
        ("annualReports[0].averageNumberOfDevs", -2, "is not a number of developers"),
        ("annualReports[0].averageNumberOfDevs", None, "averageNumberOfDevs is null; fill it in"),
        ("annualReports[0].reportDate", "9999-12-31", "dates lie between"),
        ("annualReports[1].reportDate", "2025-10-01", ""),
    ],
)
def test_a_wrong_value_is_refused_with_its_path_and_what_to_do(path: str, value: Any, says: str) -> None:
    if not says:
        same = changed(path, value).replace('"2024"', '"2025"')
        with pytest.raises(RefusedFile, match=r"annualReports\[1\] has the same year and date as annualReports\[0\]"):
            read(same, name="acme.json")
        return
    with pytest.raises(RefusedFile, match=says) as refusal:
        read(changed(path, value), name="acme.json")
    assert refusal.value.details["path"].startswith(path)
    assert refusal.value.message.startswith("acme.json: ")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ('{\n  "name": "Acme",\n  "url" "x"\n}', "line 3, column 9"),
        ("", "line 1, column 1"),
        ("[1, 2]", "one JSON object"),
        ('{"a": NaN}', "NaN is not a number in JSON"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "b.c is there twice"),
        ('{"a": 1e999999999}', "a is the number 1e999999999"),
        ('{"a": 0e999999999}', "a is the number"),
        ('{"a": ' + "9" * 5000 + "}", "larger or finer than any real figure"),
        ('{"a": "\\ud800"}', "a has a character that is no text"),
        ('{"a\\u0000": 1}', "no text"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "more than 16 levels deep"),
        ('{"a": "' + "[" * 50 + '"}', "annualReports is missing"),
        ('{"a": "' + "x" * 300_000 + '"}', "more than 256,000 bytes"),
    ],
)
def test_text_that_is_no_bounded_json_is_refused_with_its_place(source: str, says: str) -> None:
    with pytest.raises(RefusedFile, match=says):
        read(source, name="acme.json")


def test_bytes_that_are_no_utf8_are_refused_with_their_place() -> None:
    with pytest.raises(RefusedFile, match="byte 3 is not UTF-8"):
        read(b'{"\xff": 1}', name="acme.json")


HEADER = "member_id,role,active,join_date,year,report_date,devs,usd_paid,usd_per_dev,meets_2000,report_url\n"


def test_rows_become_members_named_by_their_id() -> None:
    table = HEADER + (
        "ag-grid,Member,true,2025-04-15,2024,2025-04-15,14,30000,2142.86,yes,https://blog.example/a\n"
        "scalar,Member,false,2024-09-03,2024,2024-09-03,7,25569.34,3652.76,yes,https://scalar.example/1\n"
        "scalar,Member,false,2024-09-03,2025,2026-04-11,10,21232,2123.20,yes,https://scalar.example/2\n"
    )
    first, second = read_rows(table.encode(), name="reports.csv")
    assert (first.member_id, first.name, first.document) == ("ag-grid", "Ag Grid", None)
    assert not second.active
    assert [report.paid.decimal for report in second.reports] == [Decimal("25569.34"), Decimal("21232.00")]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("a,Member,true,2025-04-15,2024,2025-04-15,14,30 000,,,https://b.example/", "line 2: .*usdAmountPaid is not a number"),
        ("a,Member,maybe,2025-04-15,2024,2025-04-15,14,30000,,,https://b.example/", "line 2: active"),
        ("a,Member,true", "line 2 does not have as many cells"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(row: str, says: str) -> None:
    with pytest.raises(RefusedFile, match=says):
        read_rows((HEADER + row + "\n").encode(), name="reports.csv")


def test_a_table_without_a_column_is_refused_by_the_column_it_misses() -> None:
    with pytest.raises(RefusedFile, match="has no column devs"):
        read_rows(HEADER.replace("devs,", "").encode(), name="reports.csv")
