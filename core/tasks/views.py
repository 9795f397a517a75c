"""The page of background work: what gave up and waits for a person, what is due, and another try."""

from collections.abc import Iterable
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from core import audit, tasks
from core.clock import utc_now
from core.errors import InvalidInput, NotAllowed, NotFound
from core.identity.models import Person
from core.tasks import clock
from core.tasks.models import TaskRow, TaskStatus
from core.web import current_person, db, flash, hooks, navigation, page, signed_in
from core.web.pagination import paginate

bp = Blueprint("tasks", __name__, url_prefix="/admin/tasks")
navigation.add("Background work", "/admin/tasks", order=95)


@hooks.to_do(order=90)
def parked(session: Session, person: Person) -> Iterable[hooks.ToDo]:
    """Parked tasks wait for whoever runs the installation."""
    if person.is_admin and (count := session.scalar(_count(TaskStatus.PARKED))):
        yield hooks.ToDo("Background work that gave up", url_for("tasks.index"), count, "look at the error, then try again")


@hooks.to_do(order=91)
def failing(session: Session, person: Person) -> Iterable[hooks.ToDo]:
    """So does recurring work that fails, such as the comparison of the ledger's balances, or the look at open pay-ins."""
    if person.is_admin and (count := len(clock.failing(session))):
        yield hooks.ToDo(
            "Recurring work that fails", url_for("tasks.index"), count, "look at the error; it is tried again anyway"
        )


@bp.get("")
@signed_in
def index() -> ResponseReturnValue:
    """Tasks of one status, newest first; parked ones unless asked otherwise."""
    _require_admin()
    try:
        status = TaskStatus(request.args.get("status", TaskStatus.PARKED))
    except ValueError:
        raise InvalidInput(f"“{request.args['status'][:40]}” is no state of a task.", field="status") from None
    counts = {state: db().scalar(_count(state)) or 0 for state in TaskStatus}
    shown = paginate(
        db(),
        select(TaskRow).where(TaskRow.status == status),
        by=[TaskRow.created_at, TaskRow.id],
        cursor=request.args.get("cursor"),
    )
    return page(
        "tasks/index.html", shown_state=status, counts=counts, tasks=shown, states=list(TaskStatus), failing=clock.failing(db())
    )


@bp.get("/<uuid:task_id>")
@signed_in
def show(task_id: UUID) -> ResponseReturnValue:
    """One task with its arguments and its last error."""
    _require_admin()
    task = db().get(TaskRow, task_id)
    if task is None:
        raise NotFound("There is no such task; tasks that are done are kept for thirty days.")
    return page("tasks/show.html", task=task, events=audit.history(db(), task))


@bp.post("/<uuid:task_id>/retry")
@signed_in
def create_retry(task_id: UUID) -> ResponseReturnValue:
    """Give a parked task all its tries again."""
    _require_admin()
    task = tasks.retry(db(), task_id, now=utc_now())
    audit.record(db(), "task.retried", task, actor=current_person(), at=utc_now())
    flash("The task will run again in a moment.")
    return redirect(url_for(".show", task_id=task_id), code=303)


def _require_admin() -> None:
    if not current_person().is_admin:
        raise NotAllowed("Background work is for administrators: its errors can name things that others may not see.")


def _count(status: TaskStatus) -> Select[int]:
    return select(func.count()).select_from(TaskRow).where(TaskRow.status == status)
