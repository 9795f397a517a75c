"""Test reports to counts and names."""

import pytest

from compute.policies.junit import NotJUnit, summarise

REPORT = b"""<?xml version="1.0"?><testsuites><testsuite name="s" tests="4">
<testcase classname="a" name="ok"/>
<testcase classname="a" name="bad"><failure>no</failure></testcase>
<testcase classname="a" name="broken"><failure/><error/></testcase>
<testcase classname="a" name="later"><skipped/></testcase>
</testsuite></testsuites>"""


def test_cases_are_counted_and_failed_ones_named() -> None:
    assert summarise(REPORT).to_json() == {
        "tests": 4,
        "passed": 1,
        "failures": 1,
        "errors": 1,
        "skipped": 1,
        "failed": ["a::bad", "a::broken"],
    }


@pytest.mark.parametrize(
    "content",
    [
        b"not xml",
        b"<html/>",
        b"",
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><testsuites>&a;</testsuites>',
        b"<testsuites>" + b"<testsuite>" * 30,
    ],
)
def test_other_files_are_refused_with_a_reason(content: bytes) -> None:
    with pytest.raises(NotJUnit):
        summarise(content)
