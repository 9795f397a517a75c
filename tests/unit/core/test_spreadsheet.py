"""Cells that no spreadsheet takes for a formula."""

import pytest

from core.spreadsheet import harmless


@pytest.mark.parametrize("before", ["", " ", "\0", "\ufeff", "\u200b", "\u2060\u200b ", "\x1f", "\t"])
@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff20", "\uff0d"])
def test_what_looks_like_a_formula_is_text(before: str, sign: str) -> None:
    assert harmless(f"{before}{sign}1+1").startswith("'")


@pytest.mark.parametrize("text", ["vLLM", "a=b", "Ｆｕｌｌ width", ""])
def test_other_words_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text
