"""The scheduler's figures by one command: ours, each peer that runs here, the bound, the ratio, and what is to be reached.

python -m bench.figures [--only PART ...] [--repeats N] [--json]

Prints a Markdown table (or JSON) on standard output and progress on standard error: `python -m bench.figures > figures.md`. The
traces are read from the folder that PLEDGEWORKS_SHARED names; --help says which parts need none. Where time is measured or
something is drawn, each row is of five runs. A replay of a trace is the same each time, so one run says it all: its bound, all
policies and the ideal of fairness come from that run. docs/reference/scheduler-figures.md explains each row.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import kueue, placement, reservations, scheduling, scheduling_quality
from bench._figure import Figure, cells, markdown
from compute import compiling

REPEATS = 5


@dataclass(frozen=True)
class Part:
    """A benchmark that gives some of the rows."""

    what: str
    minutes: int
    """That it takes on a slow machine with two cores."""
    rows: Callable[[Path, int], Iterator[Figure]]
    """From the folder of the traces and the number of repeats."""
    needs_traces: bool = True


def _untraced(rows: Callable[[int], Iterator[Figure]]) -> Callable[[Path, int], Iterator[Figure]]:
    return lambda _, repeats: rows(repeats)


def _replays(chosen: scheduling_quality.Set) -> Callable[[Path, int], Iterator[Figure]]:
    return lambda folder, _: scheduling_quality.rows(chosen, folder)


PARTS: dict[str, Part] = {
    "speed": Part(
        "starts decided and made durable, and the time of one event", 12, _untraced(scheduling.rows), needs_traces=False
    ),
    "reservations": Part("the waiting line planned ahead", 1, _untraced(reservations.rows), needs_traces=False),
    "kueue": Part("Kueue's own performance test", 1, _untraced(kueue.rows), needs_traces=False),
    "placement": Part("GPUs that nobody gets because of where jobs were put", 4, placement.rows),
    **{each.name: Part(f"{each.file} replayed", each.minutes, _replays(each)) for each in scheduling_quality.SETS},
}


def main() -> None:
    """Measure part after part, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.figures",
        description=__doc__.partition("\n")[0],
        epilog="parts: " + "; ".join(f"{name} ({_about(part)}): {part.what}" for name, part in PARTS.items()),
    )
    parser.add_argument("--only", nargs="+", choices=[*PARTS], metavar="PART", help="some parts only, of: " + ", ".join(PARTS))
    parser.add_argument(
        "--repeats", type=int, default=REPEATS, help=f"where time is measured or something drawn (default {REPEATS})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    wanted = parser.parse_args()
    chosen = {name: part for name, part in PARTS.items() if not wanted.only or name in wanted.only}
    figures = list(measured(chosen, _folder(chosen), wanted.repeats))
    if wanted.json:
        print(
            json.dumps(
                {"machine": machine(), "repeats": wanted.repeats, "figures": [each.document() for each in figures]}, indent=2
            )
        )
    else:
        print(
            "\n".join(
                [
                    f"Measured on {machine()}; {wanted.repeats} runs where time is measured or something is drawn.",
                    "",
                    *markdown(figures),
                ]
            )
        )


def _about(part: Part) -> str:
    return f"about {part.minutes} min" + ("" if part.needs_traces else ", needs no traces")


def _folder(chosen: Mapping[str, Part]) -> Path:
    """Where the traces are; a sentence and an end without them, unless nobody needs any."""
    shared = Path(os.environ.get("PLEDGEWORKS_SHARED") or "")
    if any(part.needs_traces for part in chosen.values()) and not (shared / "data").is_dir():
        without = " ".join(name for name, part in PARTS.items() if not part.needs_traces)
        sys.exit(
            "The traces are not at hand: PLEDGEWORKS_SHARED must name the folder with data/."
            f" What needs none: python -m bench.figures --only {without}"
        )
    return shared / "data"


def measured(chosen: Mapping[str, Part], folder: Path, repeats: int) -> Iterator[Figure]:
    """The rows of these parts, and a word before each on what takes how long."""
    left = sum(part.minutes for part in chosen.values())
    for place, (name, part) in enumerate(chosen.items(), 1):
        _say(f"[{place}/{len(chosen)}] {name}: {part.what}; about {part.minutes} min, {left} with all that follow")
        begun = time.monotonic()
        for figure in part.rows(folder, repeats):
            _say("    " + " | ".join(cell for cell in cells(figure) if cell))
            yield figure
        _say(f"    took {(time.monotonic() - begun) / 60:.1f} min")
        left -= part.minutes


def machine() -> str:
    """What it was measured on, as far as it can be told without naming anything."""
    core = "could not be compiled" if (missing := compiling.what_is_missing()) else "compiled"
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, the scheduler's core path {core}" + (
        f" ({missing})" if missing else ""
    )


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
