"""What needs no database: names, legs, hashes, reading an export in pieces."""

import io
import json
import re
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import ROOT
from core.errors import InvalidInput
from core.ledger import reader
from core.ledger.entries import Balance, Leg, canonical, parts_of, request_hash, transfer_id
from core.ledger.errors import BadEntry
from core.ledger.models import Side
from core.ledger.reader import NotAnExport, read
from core.ledger.units import amount_in_words, gpu_commodity


@pytest.mark.parametrize(
    ("flavor", "code"),
    [("h100", "GPU.H100"), ("nvidia_a100 40GB", "GPU.NVIDIA-A100-40GB"), ("mi300x", "GPU.MI300X"), ("1g.10gb", "GPU.1G.10GB")],
)
def test_flavors_become_commodities(flavor: str, code: str) -> None:
    assert gpu_commodity(flavor) == code


@pytest.mark.parametrize("flavor", ["", "---", "x" * 21])
def test_what_can_be_no_commodity_is_refused(flavor: str) -> None:
    with pytest.raises(InvalidInput, match="can't name a flavor"):
        gpu_commodity(flavor)


def test_amounts_are_written_for_people() -> None:
    assert amount_in_words(123_456, "USD") == "1,234.56 USD"
    assert amount_in_words(840 * 3600 * 3 // 2, "GPU.H100") == "1.50 GPU.H100 hours"


@pytest.mark.parametrize("amount", [0, -1, 2**63])
def test_a_leg_moves_one_unit_or_more(amount: int) -> None:
    with pytest.raises(BadEntry):
        Leg("assets:a", "assets:b", amount)


@pytest.mark.parametrize("amount", [1.5, True, "1"])
def test_a_leg_takes_whole_numbers_only(amount: Any) -> None:
    with pytest.raises(TypeError):
        Leg("assets:a", "assets:b", amount)


def test_a_leg_joins_two_accounts() -> None:
    with pytest.raises(BadEntry, match="both sides"):
        Leg("assets:a", "assets:a", 1)


def test_available_is_what_is_posted_less_what_is_held() -> None:
    fund = Balance("f", "USD", Side.CREDIT, debits_posted=300, debits_pending=50, credits_posted=1_000, credits_pending=7)
    assert (fund.posted, fund.pending_out, fund.pending_in, fund.available) == (700, 50, 7, 650)
    bank = Balance("b", "USD", Side.DEBIT, debits_posted=1_000, debits_pending=7, credits_posted=300, credits_pending=50)
    assert (bank.posted, bank.pending_out, bank.pending_in, bank.available) == (700, 50, 7, 650)


def test_transfers_of_an_entry_have_ids_of_their_own() -> None:
    entry = uuid4()
    ids = {transfer_id(entry, leg) for leg in range(1_000)}
    assert len(ids) == 1_000
    assert entry not in ids


@given(st.lists(st.none() | st.text(max_size=5), max_size=4), st.lists(st.none() | st.text(max_size=5), max_size=4))
def test_two_requests_have_one_hash_only_if_they_are_one(one: list[str | None], other: list[str | None]) -> None:
    assert (request_hash(*one) == request_hash(*other)) == (one == other)


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=4)), st.dictionaries(st.text(max_size=4), st.text(max_size=4)))
def test_references_are_told_apart(one: dict[str, str], other: dict[str, str]) -> None:
    assert (parts_of(one) == parts_of(other)) == (one == other)


def test_the_canonical_form_does_not_depend_on_order() -> None:
    assert canonical({"b": 1, "a": "é"}) == canonical({"a": "é", "b": 1}) == '{"a":"é","b":1}'.encode()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    document=st.dictionaries(st.text(min_size=1, max_size=4), VALUES | st.lists(VALUES, max_size=5), max_size=5),
    piece=st.integers(1, 40),
    indent=st.none() | st.integers(0, 3),
)
def test_an_export_read_in_pieces_is_what_json_says(document: dict[str, Any], piece: int, indent: int | None) -> None:
    expected = [(name, item) for name, value in document.items() for item in (value if isinstance(value, list) else [value])]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reader, "PIECE_CHARACTERS", piece)
        assert list(read(io.StringIO(json.dumps(document, indent=indent)))) == expected


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_as_no_export(text: str) -> None:
    with suppress(NotAnExport):
        list(read(io.StringIO(text)))


@pytest.mark.parametrize("text", ["{} {}", "{}]", '{"a": 1}x'])
def test_nothing_follows_the_export(text: str) -> None:
    with pytest.raises(NotAnExport, match="the end of the file should stand"):
        list(read(io.StringIO(text)))


def test_every_finding_is_explained_in_the_reference() -> None:
    source = (ROOT / "core" / "ledger" / "verify.py").read_text(encoding="utf-8")
    reference = (ROOT / "docs" / "reference" / "ledger.md").read_text(encoding="utf-8")
    codes = set(re.findall(r'_found\(\s*"(\w+)"', source))
    assert len(codes) > 15
    assert [code for code in sorted(codes) if f"`{code}`" not in reference] == []
