"""A donor's month to take away: JSON for programs, CSV and PDF for books. The same figures give the same bytes."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel

from compute.queries.statement_entries import Moved
from compute.queries.statements import FlavorTotal, OfferLine, ProjectLine, Statement
from compute.schemas import hours
from core.config import settings
from core.paper import Paper, PaperForm
from core.spreadsheet import as_csv
from core.units import TICKS_PER_GPU_SECOND, format_gpu_hours

AMOUNTS = ("carried", "given", "held", "used", "returned", "lost", "lapsed", "idle", "ahead", "in_flight")
"""What a statement counts, in the order of its columns."""

PRODUCED = ("jobs", "succeeded", "failed", "tests_passed", "artefacts")
Row = Sequence[str | int | Decimal]
MADE_UP = "Demo data: the hours are made up."


class StatementOut(BaseModel):
    """A donor's month, in GPU-hours of each flavor."""

    donor: str
    month: str
    until: datetime
    proved: bool
    flavors: list[dict[str, Any]]
    offers: list[dict[str, Any]]
    projects: list[dict[str, Any]]

    @classmethod
    def of(cls, found: Statement) -> Self:
        return cls(
            donor=found.donor.slug,
            month=found.month,
            until=found.until,
            proved=found.proved,
            flavors=[{"flavor": total.flavor.slug, **in_hours(amounts(total))} for total in found.flavors],
            offers=[
                {"offer": line.offer.id, "name": line.offer.name, "flavor": line.offer.flavor.slug, **in_hours(amounts(line))}
                for line in found.offers
            ],
            projects=[
                {
                    "project": line.project.slug,
                    "flavor": line.flavor.slug,
                    **in_hours(amounts(line)),
                    **{name: getattr(line, name) for name in PRODUCED},
                }
                for line in found.projects
            ],
        )


def amounts(line: FlavorTotal | OfferLine | ProjectLine) -> dict[str, int]:
    """The ticks of a line by their names; a project's line has only what jobs do."""
    if isinstance(line, OfferLine):
        own = {"held": line.ledger.held, "returned": line.ledger.returned}
        return {name: own[name] if name in own else getattr(line, name) for name in AMOUNTS}
    return {name: getattr(line, name) for name in AMOUNTS if hasattr(line, name)}


def in_hours(ticks: dict[str, int]) -> dict[str, Decimal]:
    """GPU-hours with six places."""
    return {name: hours(amount) for name, amount in ticks.items()}


def gpu_seconds(ticks: int) -> Decimal:
    """GPU-seconds with six places; whole for whole GPUs."""
    return (Decimal(ticks) / TICKS_PER_GPU_SECOND).quantize(Decimal("0.000001"))


def draw_statement(found: Statement, form: PaperForm) -> bytes:
    """The statement as a file."""
    return _statement_csv(found) if form is PaperForm.CSV else _statement_pdf(found)


def draw_entries(found: Statement) -> bytes:
    """Every ledger entry of the month on the donor's offers as CSV: exact ticks of 1/840 GPU-second, and its public address."""
    kinds = ("given", "held", "used", "returned", "lost", "written_off", "other")
    heading: Row = ("at", "offer", "flavor", "what", *(f"{kind}_ticks" for kind in kinds), "memo", "entry")
    rows = [
        (
            line.at.isoformat(), line.offer.name, line.offer.flavor.slug, line.what,
            *(getattr(line.moved, kind) for kind in kinds), line.memo, f"{settings().base_url}/ledger/entries/{line.entry_id}",
        )
        for line in found.entries
    ]  # fmt: skip
    return as_csv([heading, *rows])


def _statement_csv(found: Statement) -> bytes:
    """A row per offer, then a row per project: hours, then GPU-seconds."""
    heading: Row = ("donor", "month", "row", "name", "flavor", *AMOUNTS, *(f"{name}_gpu_seconds" for name in AMOUNTS), *PRODUCED)
    nothing = [""] * len(PRODUCED)
    return as_csv(
        [
            heading,
            *(_csv_row(found, "offer", line.offer.name, line.offer.flavor.slug, line, nothing) for line in found.offers),
            *(
                _csv_row(found, "project", line.project.slug, line.flavor.slug, line, [getattr(line, name) for name in PRODUCED])
                for line in found.projects
            ),
        ]
    )


def _csv_row(found: Statement, row: str, name: str, flavor: str, line: OfferLine | ProjectLine, produced: Row) -> Row:
    ticks = amounts(line)
    in_seconds = {known: gpu_seconds(amount) for known, amount in ticks.items()}
    cells = [shown.get(known, "") for shown in (in_hours(ticks), in_seconds) for known in AMOUNTS]
    return (found.donor.slug, found.month, row, name, flavor, *cells, *produced)


def _statement_pdf(found: Statement) -> bytes:
    paper = Paper(
        f"GPU time given by {found.donor.name}, {found.title}", subject="What the donated GPU time became", issued=found.until
    )
    paper.facts([
        ("Donor", found.donor.name),
        ("Month", found.title),
        ("As of", f"{found.until:%-d %b %Y, %H:%M} UTC"),
        ("Unit", "GPU-hours of each accelerator; different kinds are never added up"),
        ("Ledger", "agrees with every line" if found.proved else "does not agree with every line: ask the platform"),
    ])  # fmt: skip
    for total in found.flavors:
        paper.heading(total.flavor.name)
        paper.table(
            [("", False), ("GPU-hours", True), ("GPU-seconds", True)],
            [(WORDS[name], _hours(ticks), f"{gpu_seconds(ticks):,.3f}") for name, ticks in amounts(total).items()],
            widths=(8, 4, 4),
        )
    _pdf_projects(paper, found)
    _pdf_offers(paper, found)
    paper.heading("In the public ledger")
    paper.text(
        f"{len(found.entries)} entries of the month moved these offers' hours. Each with its address: "
        f"{settings().base_url}/compute/donors/{found.donor.slug}/statements/{found.month}/entries.csv"
    )
    paper.text(_sums(found), small=True)
    if found.donor.is_demo:
        paper.text(MADE_UP, small=True)
    return paper.content()


WORDS = {
    "carried": "Carried over from earlier months",
    "given": "Given: the month's share of the windows",
    "held": "Held for jobs that started",
    "used": "Used by projects",
    "returned": "Held and given back: jobs needed less",
    "lost": "Refunded to projects after failures, lost to the donor",
    "lapsed": "Lapsed: not used when a window closed",
    "idle": "Idle: can still be used",
    "ahead": "Drawn ahead of later days",
    "in_flight": "In flight at the end",
}
assert tuple(WORDS) == AMOUNTS


def _pdf_projects(paper: Paper, found: Statement) -> None:
    paper.heading("By project")
    if not found.projects:
        paper.text("No project used any of it.")
        return
    paper.table(
        [("Project", False), ("Accelerator", False), ("Held", True), ("Used", True), ("Given back", True), ("Lost", True),
         ("Jobs", True)],
        [
            (line.project.name, line.flavor.name, _hours(line.held), _hours(line.used), _hours(line.returned),
             _hours(line.lost), f"{line.jobs:,}")
            for line in found.projects
        ],
        widths=(5, 5, 3, 3, 3, 3, 2),
    )  # fmt: skip


def _pdf_offers(paper: Paper, found: Statement) -> None:
    paper.heading("By offer")
    if not found.offers:
        paper.text("No offer was open.")
        return
    paper.table(
        [("Offer", False), ("Carried", True), ("Given", True), ("Used", True), ("Lost", True), ("Lapsed", True), ("Idle", True),
         ("Ahead", True)],
        [
            (line.offer.name, *(_hours(ticks) for ticks in (line.carried, line.given, line.used, line.lost, line.lapsed,
                                                            line.idle, line.ahead)))
            for line in found.offers
        ],
        widths=(6, 3, 3, 3, 2, 3, 3, 2),
    )  # fmt: skip
    paper.text("Carried over + given = used + lost + lapsed + idle - drawn ahead.", small=True)


def _sums(found: Statement) -> str:
    """The entries' sums, apart from the lines above, which come from the metered usage."""
    sums: dict[str, Moved] = {}
    for line in found.entries:
        sums.setdefault(line.offer.flavor.name, Moved()).add(line.moved)
    return " ".join(
        f"{flavor}: held {_hours(moved.held)}, used {_hours(moved.used)}, given back {_hours(moved.returned)}, "
        f"lost {_hours(moved.lost)}, written off {_hours(moved.written_off)}, new gifts {_hours(moved.given)}"
        f"{f', other {_hours(moved.other)} by entries of a kind that no statement explains' if moved.other else ''} GPU-hours."
        for flavor, moved in sorted(sums.items())
    )


def _hours(ticks: int) -> str:
    return format_gpu_hours(ticks)
