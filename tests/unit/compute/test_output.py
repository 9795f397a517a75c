"""A job's output as text that is safe to show."""

from hypothesis import given
from hypothesis import strategies as st

from compute.policies.output import plain, window


def test_colours_titles_and_overdrawn_lines_become_plain_text() -> None:
    raw = b"\x1b[32mpassed\x1b[0m\r\n\x1b]0;title\x07 10%\r 100%\ndone \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\x00"
    assert plain(raw) == "passed\n 100%\ndone link"


def test_text_that_changes_direction_is_unmasked() -> None:
    assert plain("a\u202eb".encode()) == "ab"


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert plain(b"caf\xe9") == "caf\ufffd"


@given(st.binary(max_size=300))
def test_nothing_a_terminal_obeys_is_left(raw: bytes) -> None:
    assert not set(plain(raw)) & (set(map(chr, range(32))) - {"\n", "\t"})


def test_an_unfinished_line_waits_for_its_end() -> None:
    seen = window(b"one\ntw", offset=0, total_bytes=6, ended=False)
    assert (seen.text, seen.next_offset, seen.complete) == ("one\n", 4, False)
    rest = window(b"two", offset=4, total_bytes=7, ended=True)
    assert (rest.text, rest.next_offset, rest.complete) == ("two", 7, True)


@given(raw=st.binary(max_size=200), limit=st.integers(5, 50))
def test_windows_follow_each_other_without_gap(raw: bytes, limit: int) -> None:
    offset, rounds = 0, 0
    while not (seen := window(raw[offset : offset + limit], offset=offset, total_bytes=len(raw), ended=True)).complete:
        assert seen.next_offset > offset or limit < 4096
        offset = seen.next_offset if seen.next_offset > offset else offset + limit
        rounds += 1
        assert rounds < 500
    assert seen.next_offset == len(raw)
