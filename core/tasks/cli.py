"""`pledgeworks worker` and `pledgeworks task`."""

from uuid import UUID

import click
from sqlalchemy import select

from core.cli import Commands, json_option, print_json, print_table
from core.clock import utc_now
from core.db import engine, session_scope
from core.tasks import TaskRow, TaskStatus, retry
from core.tasks.worker import THREADS_MAX, run_worker

STATUSES = [*(status.value for status in TaskStatus), "all"]


@click.command()
@click.option("--threads", type=click.IntRange(1, THREADS_MAX), default=2, show_default=True, help="Tasks done at the same time.")
@click.option("--clock/--no-clock", default=True, show_default=True, help="Offer to hold the clock for dated work.")
def worker(threads: int, clock: bool) -> None:
    """Run background work until stopped; start as many workers as you like."""
    run_worker(engine(), threads=threads, with_clock=clock)


@click.group(cls=Commands)
def task() -> None:
    """Background tasks: see what waits or gave up, and try again."""


@task.command("list")
@click.option("--status", type=click.Choice(STATUSES), default="parked", show_default=True)
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@json_option
def list_tasks(status: str, limit: int, as_json: bool) -> None:
    """List tasks, by default those that gave up and wait for a person."""
    query = select(TaskRow).order_by(TaskRow.created_at.desc()).limit(limit)
    if status != "all":
        query = query.where(TaskRow.status == TaskStatus(status))
    with session_scope() as session:
        rows = [
            {
                "id": row.id,
                "kind": row.kind,
                "status": row.status,
                "tries": row.tries,
                "created_at": row.created_at,
                "run_at": row.run_at,
                "arguments": row.arguments,
                "last_error": row.last_error,
            }
            for row in session.scalars(query)
        ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        row["error"] = str(row["last_error"] or "").strip().rsplit("\n", 1)[-1][:80]
    columns = {"id": "Id", "kind": "Kind", "status": "Status", "tries": "Tries", "run_at": "Next run (UTC)", "error": "Error"}
    print_table(rows, columns, empty="No such task.")


@task.command("retry")
@click.argument("task_id", type=click.UUID)
def retry_task(task_id: UUID) -> None:
    """Give the parked task TASK_ID all its tries again."""
    with session_scope() as session:
        row = retry(session, task_id, now=utc_now())
    click.echo(f"{row.kind} {row.id} will run again.")


commands: list[click.Command] = [worker, task]
