"""Traces are read as they are, and what can't be read is refused with its line."""

import gzip
from pathlib import Path

import pytest

from compute.simulation import UnreadableTrace, read_trace

HEADING = "job_id,project,user,submit_time_s,gpus,duration_s,declared_walltime_s\n"
SWF = """; UnixStartTime: 0
1 100 5 60 4 -1 -1 8 3600 -1 1 7 3 -1 1 -1 -1 -1
2 50 0 30 2 -1 -1 -1 -1 -1 1 7 3 -1 1 -1 -1 -1
3 60 0 -1 2 -1 -1 2 600 -1 0 7 3 -1 1 -1 -1 -1
"""


def test_csv_jobs_come_in_the_order_of_their_submission_and_stop_at_their_declared_time(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(HEADING + "a,p,u,20,8,500,100\nb,p,v,10,1,50,100\n")
    first, second = read_trace(file).jobs
    assert (first.id, first.ask.submitted_at, first.run_seconds, first.ask.wall_seconds) == ("b", 10, 50, 100)
    assert (second.id, second.ask.gpus, second.run_seconds) == ("a", 8, 100)


def test_gzip_and_swf_are_read_and_jobs_that_never_ran_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "t.swf.gz"
    file.write_bytes(gzip.compress(SWF.encode()))
    trace = read_trace(file)
    assert [(job.id, job.ask.gpus, job.ask.project, job.ask.submitter) for job in trace.jobs] == [
        ("2", 2, "g3", "u7"),
        ("1", 8, "g3", "u7"),
    ]
    assert trace.left_out == 1


def test_a_job_without_declared_time_counts_as_declared_as_long_as_the_longest(tmp_path: Path) -> None:
    file = tmp_path / "t.swf"
    file.write_text(SWF)
    assert [job.ask.wall_seconds for job in read_trace(file).jobs] == [3600, 3600]


def test_users_can_stand_for_projects(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(HEADING + "a,p,u,20,8,500,100\n")
    assert read_trace(file, user_as_project=True).projects == ["u"]


def test_of_several_flavors_one_is_replayed(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("job_id,submit_time_s,gpus,duration_s,flavor\na,0,1,5,h100\nb,1,7,5,h200-7th\n")
    assert [job.id for job in read_trace(file, flavor="h200-7th").jobs] == ["b"]
    with pytest.raises(UnreadableTrace, match="has jobs on h100, h200-7th; choose one with --flavor"):
        read_trace(file)
    with pytest.raises(UnreadableTrace, match="has no job on a100; it has h100, h200-7th"):
        read_trace(file, flavor="a100")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.csv", HEADING + "a,p,u,20,0.46,5,9\n", "t.csv, line 2: gpus is “0.46”, not a whole number."),
        ("t.csv", HEADING + "a,p,u,,1,5,9\n", "t.csv, line 2: submit_time_s is “”, not a whole number."),
        ("t.csv", "job_id,gpus\n", "t.csv lacks the column submit_time_s"),
        ("t.swf", "; head\n1 2 3\n", "t.swf, line 2: 3 fields where the format has 18."),
        ("t.swf", "1 x" + " 1" * 16 + "\n", "t.swf, line 1: a field is not a number."),
        ("t.txt", "", "t.txt is no trace that can be read"),
        ("t.csv.gz", "no gzip", "t.csv.gz can't be read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path, name: str, text: str, words: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(UnreadableTrace, match=words.replace("(", r"\(")):
        read_trace(file)
