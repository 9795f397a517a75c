"""Traces of jobs: the Standard Workload Format (Feitelson's archive) and CSV with a heading, either of them gzipped."""

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from compute.simulation.engine import Ask, TraceJob
from core.errors import InvalidInput

CSV_COLUMNS = ("job_id", "submit_time_s", "gpus", "duration_s")
"""The columns a CSV must have; `project`, `user`, `flavor` and `declared_walltime_s` may be missing or empty."""

SWF_FIELDS = 18
JOB, SUBMIT, RUN, PROCESSORS, PROCESSORS_ASKED, TIME_ASKED, USER, GROUP = 0, 1, 3, 4, 7, 8, 11, 12


class UnreadableTrace(InvalidInput):
    """A trace that can't be read, with the line to blame."""

    code = "unreadable_trace"


@dataclass(frozen=True, slots=True)
class Trace:
    """Jobs by the time of their submission, and how many lines describe no job that ran."""

    jobs: tuple[TraceJob, ...]
    left_out: int

    @property
    def projects(self) -> list[str]:
        """Their names, sorted."""
        return sorted({job.ask.project for job in self.jobs})


def read_trace(path: Path, *, user_as_project: bool = False, flavor: str | None = None) -> Trace:
    """Read a trace by its name: `.swf` or `.csv`, with or without `.gz`; of several flavors, the jobs of one.

    A job that declared no time counts as having declared the longest time of the trace: its own duration would tell the
    policy what it must not know.

    Raises:
        UnreadableTrace: no such file, another kind of file, a line that makes no sense, or several flavors and none chosen.
    """
    name = path.name.removesuffix(".gz")
    reader = _READERS.get(Path(name).suffix)
    if reader is None:
        raise UnreadableTrace(f"{path.name} is no trace that can be read; give an .swf or .csv file, gzipped (.gz) or not.")
    try:
        with _open(path) as text:
            rows = list(reader(text, path.name))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableTrace(f"{path.name} can't be read: {error}.") from error
    rows = _of_one_flavor(rows, flavor, path.name)
    ran = [row for row in rows if row.gpus > 0 and row.run_seconds >= 0]
    longest = max((row.wall_seconds or row.run_seconds for row in ran), default=0)
    ran.sort(key=lambda row: row.submitted_at)  # stable: equal times keep the file's order
    jobs = tuple(_job(index, row, longest, user_as_project) for index, row in enumerate(ran))
    return Trace(jobs, len(rows) - len(ran))


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    project: str
    user: str
    submitted_at: int
    gpus: int
    run_seconds: int
    wall_seconds: int  # 0: not declared
    flavor: str = ""


def _of_one_flavor(rows: list[_Row], flavor: str | None, name: str) -> list[_Row]:
    """GPUs of different kinds are no common stock: a replay is about one."""
    known = sorted({row.flavor for row in rows})
    if flavor is None and len(known) > 1:
        raise UnreadableTrace(
            f"{name} has jobs on {', '.join(each or '(none named)' for each in known)}; choose one with --flavor."
        )
    if flavor is not None and rows and flavor not in known:
        raise UnreadableTrace(f"{name} has no job on {flavor}; it has {', '.join(each or '(none named)' for each in known)}.")
    return [row for row in rows if flavor in {None, row.flavor}]


def _job(index: int, row: _Row, longest: int, user_as_project: bool) -> TraceJob:
    wall = row.wall_seconds or max(longest, 1)
    project = row.user if user_as_project else row.project
    ask = Ask(index, project, row.user, row.submitted_at, row.gpus, wall)
    return TraceJob(row.id, ask, min(row.run_seconds, wall))


def _open(path: Path) -> TextIO:
    return io.TextIOWrapper(gzip.open(path)) if path.name.endswith(".gz") else path.open(encoding="utf-8")


def _read_csv(text: TextIO, name: str) -> Iterator[_Row]:
    rows = csv.DictReader(text)
    missing = [column for column in CSV_COLUMNS if column not in (rows.fieldnames or ())]
    if missing:
        raise UnreadableTrace(f"{name} lacks the column {missing[0]}; its first line must name {', '.join(CSV_COLUMNS)}.")
    for row in rows:
        where = f"{name}, line {rows.line_num}"
        yield _Row(
            id=row["job_id"],
            project=row.get("project") or "",
            user=row.get("user") or "",
            submitted_at=_whole(row, "submit_time_s", where),
            gpus=_whole(row, "gpus", where),
            run_seconds=_whole(row, "duration_s", where),
            wall_seconds=_whole(row, "declared_walltime_s", where) if row.get("declared_walltime_s") else 0,
            flavor=row.get("flavor") or "",
        )


def _whole(row: Mapping[str, str | None], column: str, where: str) -> int:
    try:
        return int(row[column] or "")
    except ValueError:
        raise UnreadableTrace(f"{where}: {column} is “{row[column] or ''}”, not a whole number.") from None


def _read_swf(text: TextIO, name: str) -> Iterator[_Row]:
    for number, line in enumerate(text, 1):
        if not line.strip() or line.startswith(";"):
            continue
        fields = line.split()
        if len(fields) < SWF_FIELDS:
            raise UnreadableTrace(f"{name}, line {number}: {len(fields)} fields where the format has {SWF_FIELDS}.")
        try:
            numbers = [int(float(fields[place])) for place in range(SWF_FIELDS)]
        except ValueError:
            raise UnreadableTrace(f"{name}, line {number}: a field is not a number.") from None
        yield _Row(
            id=fields[JOB],
            project=f"g{numbers[GROUP]}",
            user=f"u{numbers[USER]}",
            submitted_at=numbers[SUBMIT],
            gpus=numbers[PROCESSORS_ASKED] if numbers[PROCESSORS_ASKED] > 0 else numbers[PROCESSORS],
            run_seconds=numbers[RUN],
            wall_seconds=max(0, numbers[TIME_ASKED]),
        )


_READERS: Mapping[str, Callable[[TextIO, str], Iterator[_Row]]] = {".csv": _read_csv, ".swf": _read_swf}
