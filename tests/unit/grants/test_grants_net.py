"""`pledgeworks grants net`: no database, exact to the cent."""

import json

import pytest
from click.testing import CliRunner

from grants.cli import grants


def net(*arguments: str) -> dict:  # type: ignore[type-arg]
    result = CliRunner().invoke(grants, ["net", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    answer: dict = json.loads(result.stdout)  # type: ignore[type-arg]
    return answer


def test_direct_and_hosted_side_by_side() -> None:
    answer = net("100000", "--host-fee", "10", "--instalments", "4", "--platform-share", "15")
    assert answer["direct"] == {"net": "100000.00", "instalments": ["25000.00"] * 4}
    assert (answer["host"]["net"], answer["host"]["fee"]) == ("90000.00", "10000.00")
    assert (answer["host"]["host_keeps"], answer["host"]["platform"]) == ("8500.00", "1500.00")
    assert answer["host"]["instalments"][0] == {
        "gross": "25000.00", "fee": "2500.00", "host_keeps": "2125.00", "platform": "375.00", "net": "22500.00",
    }  # fmt: skip


def test_odd_cents_and_half_cents() -> None:
    answer = net("100000", "--host-fee", "6", "--instalments", "12")
    assert [part["gross"] for part in answer["host"]["instalments"]] == ["8333.34"] * 4 + ["8333.33"] * 8
    assert {part["fee"] for part in answer["host"]["instalments"]} == {"500.00"}
    assert net("0.05", "--host-fee", "10")["host"]["fee"] == "0.01"  # half a cent, rounded up


def test_currencies_without_cents() -> None:
    assert net("1005", "--host-fee", "10", "--currency", "jpy")["host"]["net"] == "904"


@pytest.mark.parametrize("arguments", [["100", "--host-fee", "100"], ["100", "--host-fee", "ten"], ["0.01", "--host-fee", "1",
                                       "--instalments", "2"], ["1.001", "--host-fee", "1"]])  # fmt: skip
def test_impossible_wishes_are_refused_with_a_sentence(arguments: list[str]) -> None:
    result = CliRunner().invoke(grants, ["net", *arguments])
    assert result.exit_code == 2
    assert result.stderr.strip().endswith(".")


def test_the_table_names_both_ways() -> None:
    result = CliRunner().invoke(grants, ["net", "100000", "--host-fee", "10", "--instalments", "2"])
    assert "Directly 100,000.00 USD; through a host with 10 % 90,000.00 USD, which is 10,000.00 USD less." in result.stdout
