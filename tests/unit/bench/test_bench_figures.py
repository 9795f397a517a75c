"""The command of the scheduler's figures: what a row says of met and missed, and that it asks for the traces."""

import json

import pytest

from bench import figures
from bench._figure import Figure, cells, markdown
from bench._report import Runs


def test_a_rate_is_reached_from_below_and_everything_else_from_above():
    assert Figure("starts", "starts/s", Runs("ours", [15_000, 16_000, 90_000]), 20_000).missed_by_percent == pytest.approx(20)
    assert Figure("starts", "starts/s", Runs("ours", [20_000]), 20_000).missed_by_percent == 0
    assert Figure("event", "ms", Runs("ours", [1.5]), 1).missed_by_percent == pytest.approx(50)
    assert Figure("event", "ms", Runs("ours", [1.0]), 1).missed_by_percent == 0


def test_a_reach_may_be_a_multiple_of_the_bound():
    figure = Figure("mean", "s", Runs("ours", [150]), 1.2, bound=Runs("certified", [100]), reach_is_ratio=True)
    assert figure.ratio == 1.5
    assert figure.missed_by_percent == pytest.approx(25)


def test_a_row_has_the_spread_every_peer_the_bound_and_the_ratio():
    peers = [Runs("easy", [418]), Runs("sjf", [1.234])]
    figure = Figure("mean", "s", Runs("ours", [150, 130, 120]), 1.45, peers, Runs("certified", [100]), reach_is_ratio=True)
    assert cells(figure) == (
        "mean",
        "130 (120 to 150) s",
        "easy 418 (4.180) · sjf 1.23 (0.012)",
        "certified 100",
        "1.300",
        "≤ 1.45 × bound",
        "met",
    )
    assert [line.count("|") for line in markdown([figure])] == [8, 8, 8]


def test_without_the_traces_it_ends_with_a_sentence_and_says_what_needs_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PLEDGEWORKS_SHARED", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["figures"])
    with pytest.raises(SystemExit) as ended:
        figures.main()
    assert str(ended.value).startswith("The traces are not at hand: PLEDGEWORKS_SHARED must name the folder with data/.")
    assert str(ended.value).endswith("--only speed reservations kueue")


def test_it_measures_the_chosen_parts_and_prints_them_for_programs_too(monkeypatch, capsys):
    def rows(folder, repeats):
        yield Figure("mine", "starts/s", Runs("ours", [float(repeats)]), 4, [Runs("Slurm", [1])])

    monkeypatch.setattr(figures, "PARTS", {"mine": figures.Part("what", 1, rows, needs_traces=False)})
    monkeypatch.delenv("PLEDGEWORKS_SHARED", raising=False)
    monkeypatch.setattr("sys.argv", ["figures", "--only", "mine", "--repeats", "3", "--json"])
    figures.main()
    printed = capsys.readouterr()
    (row,) = json.loads(printed.out)["figures"]
    assert (row["ours"], row["peers"], row["met"], row["missed_by_percent"]) == ([3.0], {"Slurm": 1}, False, 25.0)
    assert "[1/1] mine: what; about 1 min" in printed.err
