"""Each rule of the format at both of its edges, and that findings name the place."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_samples import HOME, perfect, places, report_on

from grants.manifests.findings import FINDINGS_MAX
from grants.manifests.reading import DEPTH_MAX, SIZE_MAX_BYTES
from grants.manifests.report import examine


def spoilt(*path: str | int, value: Any = ...) -> dict[str, Any]:
    """The perfect manifest with one value replaced, or removed."""
    manifest: Any = perfect()
    inner = manifest
    for step in path[:-1]:
        inner = inner[step]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return manifest  # type: ignore[no-any-return]


def test_the_perfect_manifest_has_no_findings() -> None:
    report = report_on(perfect())
    assert report.findings == ()
    assert report.is_valid
    assert {each.outcome for each in report.provenance} == {"not_required"}


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        (
            ("entity", "type"),
            ["individual", "group", "organisation", "other"],
            ["person", "organization", "", None, 3, ["group"]],
        ),
        (("entity", "role"), ["owner", "steward", "maintainer", "contributor", "other"], ["Owner", "", {}]),
        (("entity", "name"), ["ab", "x" * 250, "李小"], ["a", "x" * 251, "", "  ", None, 7]),
        (
            ("entity", "email"),
            ["a@b", "jo@bücher.example", "x" * 60 + "@example.org"],
            ["a@", "jo", "Jo <jo@x.org>", "jo@x y", None],
        ),
        (("entity", "phone"), ["", None, "1", "+1-2-3", "9" * 32], ["+", "+49 30", "1--2", "-1", "1-", "9" * 33, "٣"]),
        (("entity", "description"), ["abcde", "x" * 2000, "ü" * 2000], ["abcd", "x" * 2001, None]),
        (
            ("projects", 0, "guid"),
            ["abc", "a-b", "x" * 32, "123"],
            ["ab", "x" * 33, "A-b", "a--b", "-ab", "ab-", "a[b", "a_b", "äbc"],
        ),
        (("projects", 0, "name"), ["P", "x" * 250], ["", "x" * 251, None]),
        (("projects", 0, "description"), ["abcde", "x" * 2000], ["abcd", "x" * 2001]),
        (
            ("projects", 0, "licenses"),
            [["spdx:MIT"], ["spdx:MIT"] * 5],
            [[], ["spdx:MIT"] * 6, ["x"], ["x" * 65], "spdx:MIT", [None]],
        ),
        (("projects", 0, "tags"), [["ab"], ["ab"] * 10], [[], ["ab"] * 11, ["x" * 33], ["Ab"], "ab", [1], None]),
        (("funding", "channels", 0, "type"), ["bank", "payment-provider", "cheque", "cash", "other"], ["check", None]),
        (("funding", "channels", 0, "address"), ["", "x" * 250, None], ["x" * 251, 5]),
        (("funding", "channels", 0, "description"), ["", "x" * 500], ["x" * 501]),
        (("funding", "plans", 0, "status"), ["active", "inactive"], ["paused", True]),
        (("funding", "plans", 0, "name"), ["abc", "x" * 250], ["ab", "x" * 251]),
        (("funding", "plans", 0, "description"), ["", "x" * 500], ["x" * 501]),
        (("funding", "plans", 0, "amount"), [0, 0.01, 10**9], [-1, 10**9 + 1, 10**9 + 0.5, "100", None, True, 10**40]),
        (("funding", "plans", 0, "currency"), ["USD", "EUR", "JPY"], ["usd", "US", "XYZ", "", None, 840]),
        (
            ("funding", "plans", 0, "frequency"),
            ["one-time", "weekly", "fortnightly", "monthly", "yearly", "other"],
            ["annually", "once", None],
        ),
        (("funding", "plans", 0, "channels"), [["bank"]], [["cash"], [], "bank", None, [7]]),
        (("funding", "history"), [[], None], [{}, ["x"]]),
        (("funding", "history", 0, "year"), [1970, 2075], [1969, 2076, 2024.5, "2024", None]),
        (("funding", "history", 0, "income"), [None, 0, 10**9], [-1, 10**9 + 1, "5"]),
        (("funding", "history", 0, "expenses"), [None, 0, 10**9], [-1, 10**9 + 1]),
        (("funding", "history", 0, "taxes"), [None, 0, 12.5], [-1, "5"]),
        (("funding", "history", 0, "currency"), ["USD"], ["usd", None]),
        (("funding", "history", 0, "description"), [None, "", "x" * 500], ["x" * 501]),
        (
            ("entity", "webpageUrl", "url"),
            ["https://example.org/" + "x" * 230, "http://e.io"],
            ["http://e.i", "example.org/a", None][1:],
        ),
    ],
)
def test_each_rule_at_its_edges(path: tuple[str | int, ...], good: list[Any], bad: list[Any]) -> None:
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    for value in good:
        report = report_on(spoilt(*path, value=value))
        assert report.errors == (), value
    for value in bad:
        report = report_on(spoilt(*path, value=value))
        assert report.errors, value
        assert all(finding.path.startswith(where) for finding in report.errors), (value, report.errors)


@pytest.mark.parametrize(
    "url",
    [
        "https://e.x",  # 11 characters are enough, 9 are not: see below
        "http://a.b",
        "https://EXAMPLE.org:8443/a?b=c#d",
        "https://bücher.example/",
        "https://[2001:db8::1]/",
        "https://example.org/100%25",
    ],
)
def test_addresses_that_are_taken(url: str) -> None:
    assert report_on(spoilt("entity", "webpageUrl", "url", value=url)).errors == ()


@pytest.mark.parametrize(
    "url",
    [
        "http://a.",
        "ftp://example.org/x",
        "//example.org/x/y",
        "https:///path/only",
        "https://user@example.org/",
        "https://user:secret@example.org/",
        "https://exa mple.org/",
        "https://example.org/a b",
        "https://example.org\\@evil.org/",
        "https://example.org/%zz",
        "https://example.org:0/",
        "https://example.org:99999/",
        "https://..........",
        "https://-example-.org/",
        "https://[::1/",
        "https://example.org/\u2028",
        "javascript:alert(1)",
        "https://example.org/" + "x" * 231,
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    [finding] = report_on(spoilt("entity", "webpageUrl", "url", value=url)).errors
    assert finding.path == "entity.webpageUrl.url"


@pytest.mark.parametrize("name", ["entity", "projects", "funding"])
def test_a_missing_part_is_named(name: str) -> None:
    [finding] = report_on(spoilt(name)).errors
    assert finding.path == name
    assert "missing" in finding.message


def test_an_address_as_a_bare_text_gets_the_right_form_shown() -> None:
    [finding] = report_on(spoilt("entity", "webpageUrl", value="https://example.org")).errors
    assert finding.path == "entity.webpageUrl"
    assert '{"url": "https://…"}' in finding.message


def test_lengths_are_counted_in_characters() -> None:
    # 250 characters, 750 bytes.
    assert report_on(spoilt("entity", "name", value="漢" * 250)).is_valid


def test_all_faults_are_reported_at_once_in_the_order_of_the_file() -> None:
    manifest = perfect()
    manifest["entity"]["type"] = "person"
    manifest["projects"][0]["tags"] = ["OK"]
    manifest["funding"]["plans"][0]["channels"] = ["bank", "paypal", "bank"]
    assert places(report_on(manifest)) == [
        ("error", "entity.type"),
        ("error", "projects[0].tags[0]"),
        ("error", "funding.plans[0].channels[1]"),
        ("warning", "funding.plans[0].channels[2]"),
    ]


@pytest.mark.parametrize("version", [..., "1.0.0", "v2.0.0", "", 1, "draft", None])
def test_no_version_refuses_a_manifest(version: Any) -> None:
    report = report_on(spoilt("version", value=version))
    assert report.is_valid
    assert places(report) == [("warning", "version")]


def test_unknown_members_are_kept_and_not_refused() -> None:
    manifest = perfect()
    manifest["x-own"] = {"deep": [1, 2.5, None]}
    manifest["projects"][0]["stars"] = 5
    report = report_on(manifest)
    assert report.findings == ()
    assert report.document == manifest


@pytest.mark.parametrize(
    ("licence", "severity", "says"),
    [
        ("spdx:MIT", None, ""),
        ("spdx:GPL-3.0", None, ""),
        ("spdx:mit", "error", "spdx:MIT"),
        ("spdx:MIT OR Apache-2.0", "error", "SPDX"),
        ("spdx:", "error", "SPDX"),
        ("spdx:CC-BY-NC-4.0", "warning", "OSI"),
        ("mit", "warning", "spdx:MIT"),
        ("Own Licence", "warning", "OSI"),
    ],
)
def test_licences(licence: str, severity: str | None, says: str) -> None:
    findings = report_on(spoilt("projects", 0, "licenses", value=[licence])).findings
    if severity is None:
        assert findings == ()
    else:
        [finding] = findings
        assert (finding.severity, finding.path) == (severity, "projects[0].licenses[0]")
        assert says in finding.message


def test_a_currency_only_the_directory_knows_is_accepted_with_a_remark() -> None:
    report = report_on(spoilt("funding", "history", 0, "currency", value="HRK"))
    assert report.is_valid
    assert places(report) == [("warning", "funding.history[0].currency")]


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ('{\n  "entity": {},\n}', "line 3, column 1", "comma before this"),
        ('{\n  // no\n  "entity": {}}', "line 2, column 3", "no comments"),
        ("{'entity': 1}", "line 1, column 2", "straight double quotes"),
        ('{"entity": {', "line 1, column 13", "ends in the middle"),
        ("", "line 1, column 1", "empty"),
        ('{"a": 1} x', "line 1, column 10", "no JSON"),
        ('{"a" 1}', "line 1, column 6", "no JSON"),
        ('{"ä": "\n"}', "line 1, column 8", "no JSON"),
    ],
)
def test_broken_json_is_placed_by_line_and_column(text: str, place: str, says: str) -> None:
    report = examine(text.encode(), HOME)
    [finding] = report.findings
    assert (finding.severity, finding.place) == ("error", place)
    assert says in finding.message
    assert report.document is None


@pytest.mark.parametrize("content", [b"[]", b"3", b'"x"', b"null", b"true"])
def test_a_manifest_is_an_object(content: bytes) -> None:
    [finding] = examine(content, HOME).findings
    assert finding.path == ""
    assert "JSON object" in finding.message


def test_bytes_that_are_no_utf8_are_placed() -> None:
    [finding] = examine(b'{\n"a": "\xe4"}', HOME).findings
    assert finding.place == "line 2, column 7"


def test_utf16_and_a_byte_order_mark_are_named() -> None:
    assert "UTF-16" in examine(json.dumps(perfect()).encode("utf-16"), HOME).findings[0].message
    report = examine(json.dumps(perfect()).encode("utf-8-sig"), HOME)
    assert report.is_valid
    assert places(report) == [("warning", "")]


def test_the_size_is_bounded() -> None:
    padded = {**perfect(), "pad": ""}
    padded["pad"] = "x" * (SIZE_MAX_BYTES - len(json.dumps(padded)))
    assert len(json.dumps(padded)) == SIZE_MAX_BYTES
    assert report_on(padded).is_valid
    padded["pad"] += "x"
    [finding] = report_on(padded).findings
    assert "320,001 bytes" in finding.message


def test_the_depth_is_bounded_before_anything_recurses() -> None:
    content = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    [finding] = examine(content, HOME).findings
    assert finding.place == f"line 1, column {5 + DEPTH_MAX}"
    assert not examine(b'{"a": "' + b"[" * 100_000 + b'"}', HOME).findings[0].message.startswith("Objects")


def test_an_open_string_full_of_quotes_is_read_in_linear_time() -> None:
    # Quadratic reading would take minutes here.
    assert examine(b'{"a": "' + b'\\"[' * 100_000, HOME).document is None


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1" * 31, "1e400", "1e-400", "0." + "1" * 40])
def test_numbers_json_does_not_have_and_numbers_without_end_are_refused(number: str) -> None:
    text = json.dumps(perfect()).replace("25000", number)
    [finding] = examine(text.encode(), HOME).errors
    assert finding.path == "funding.plans[0].amount"


def test_a_member_given_twice_is_a_finding() -> None:
    text = json.dumps(perfect()).replace('"amount": 25000', '"amount": 1, "amount": 25000')
    [finding] = examine(text.encode(), HOME).findings
    assert (finding.severity, finding.path) == ("error", "funding.plans[0].amount")
    assert "more than once" in finding.message


@pytest.mark.parametrize("bad", ["\\u0000", "\\ud800", "\\u001b"])
def test_characters_no_database_could_keep_are_refused_everywhere(bad: str) -> None:
    text = json.dumps(perfect())[:-1] + f', "own": {{"x{bad}": "y{bad}"}}}}'
    report = examine(text.encode(), HOME)
    assert len(report.errors) == 2
    json.dumps([finding.path + finding.message for finding in report.findings]).encode()
    "".join(finding.path + finding.message for finding in report.findings).encode()


def test_findings_have_an_end() -> None:
    manifest = perfect()
    manifest["own"] = ["\x01"] * 1000
    assert len(report_on(manifest).findings) == FINDINGS_MAX + 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=20,
)


@settings(deadline=None)  # the machine may be busy
@given(json_values)
def test_the_validator_answers_to_any_json(value: Any) -> None:
    report_on(value)


@settings(deadline=None)  # the machine may be busy
@given(st.data())
def test_the_validator_answers_to_any_value_anywhere(data: st.DataObject) -> None:
    """A perfect manifest with something else in one of its places: a report, whose valid ones have a document to store."""
    manifest: Any = perfect()
    inner: Any = manifest
    while True:
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        if not isinstance(inner[key], dict | list) or not inner[key] or data.draw(st.booleans()):
            break
        inner = inner[key]
    inner[key] = data.draw(json_values)
    report = report_on(manifest)
    assert report.is_valid == (not report.errors)
    if report.is_valid:
        stored = json.dumps(report.document, allow_nan=False)
        assert "\\u0000" not in stored


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=200))
def test_the_validator_answers_to_any_bytes(content: bytes) -> None:
    examine(content, HOME)
