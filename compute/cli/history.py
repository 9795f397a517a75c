"""`pledgeworks job export-history`: our own past as a trace that `pledgeworks simulate` reads."""

import csv
import gzip
import io
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from compute.queries import history
from compute.queries.history import Ran
from core import audit
from core.clock import utc_now
from core.db import session_scope
from core.errors import DomainError, InvalidInput, NotAllowed
from core.identity import people
from core.identity.models import Person
from core.spreadsheet import harmless

COLUMNS = (
    "job_id", "project", "user", "flavor", "submit_time_s", "gpus", "duration_s", "declared_walltime_s", "start_time_s",
)  # fmt: skip


class NoHistory(DomainError):
    """Nothing ran in the days asked for."""

    code = "no_history"


@click.command("export-history")
@click.option("--from", "since", type=click.DateTime(["%Y-%m-%d"]), required=True, help="First day of submission, UTC.")
@click.option("--to", "until", type=click.DateTime(["%Y-%m-%d"]), help="The day after the last one; without: until now.")
@click.option("--flavor", help="Only jobs on this kind of accelerator, such as h100.")
@click.option("--out", type=click.Path(path_type=Path), help="Write this file, gzipped if it ends in .gz; without: print.")
@click.option("--emails", is_flag=True, help="Submitters by e-mail address instead of by number; for administrators.")
@click.option("--as", "email", metavar="EMAIL", help="Act as this person.")
def export_history(
    since: datetime, until: datetime | None, flavor: str | None, out: Path | None, email: str | None, *, emails: bool
) -> None:
    """Export finished jobs as CSV, in the form that `pledgeworks simulate` reads.

    Commands, variables and names of jobs stay here; submitters are numbers.
    """
    begin = since.replace(tzinfo=UTC)
    end = until.replace(tzinfo=UTC) if until else utc_now()
    if end <= begin:
        raise InvalidInput(f"--to {end:%Y-%m-%d} is not after --from {begin:%Y-%m-%d}.", field="to")
    with session_scope() as session:
        administrator = _administrator(session, email) if emails else None
        rows = history.ran(session, since=begin, until=end, flavor=flavor)
        users = _emails(session, rows) if administrator else history.numbered(rows)
        if administrator and rows:
            days = f"{begin:%Y-%m-%d} to {end:%Y-%m-%d}"
            audit.record(session, "history.emails_exported", administrator, actor=administrator, at=utc_now(), days=days)
    if not rows:
        on = f" on {flavor}" if flavor else ""
        raise NoHistory(f"No job submitted from {begin:%Y-%m-%d} until {end:%Y-%m-%d %H:%M} UTC has run{on}; choose other days.")
    text = as_csv(rows, users)
    if out is None:
        sys.stdout.write(text)
        return
    # No time of writing inside: the same days give the same file, byte for byte.
    out.write_bytes(gzip.compress(text.encode(), mtime=0) if out.name.endswith(".gz") else text.encode())
    click.echo(f"{len(rows):,} runs are written to {out}.", err=True)


def as_csv(rows: Sequence[Ran], users: Mapping[UUID, str]) -> str:
    """The trace, one line for each attempt."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(COLUMNS)
    for row in rows:
        user = harmless(users[row.submitter_id]) if row.submitter_id else ""
        lines.writerow(
            [row.id, row.project, user, row.flavor, row.submitted_at, row.gpus, row.run_seconds, row.wall_seconds, row.started_at]
        )
    return out.getvalue()


def _administrator(session: Session, email: str | None) -> Person:
    if email is None:
        raise InvalidInput("Name yourself with --as EMAIL: submitters' addresses are for administrators.", field="emails")
    person = people.acting_person(session, email)
    if not person.is_admin:
        raise NotAllowed(f"{email} is no administrator; without --emails, submitters are numbers.")
    return person


def _emails(session: Session, rows: Sequence[Ran]) -> dict[UUID, str]:
    wanted = {row.submitter_id for row in rows if row.submitter_id is not None}
    return {person.id: person.email for person in session.scalars(select(Person).where(Person.id.in_(wanted)))}
