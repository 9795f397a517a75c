"""Runs: look at every line, approve with four eyes, send, follow."""

import csv
import io
from collections.abc import Mapping
from uuid import UUID

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core import audit
from core.clock import utc_now
from core.errors import DomainError, NotFound
from core.identity.models import Role
from core.spreadsheet import harmless
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires, transactions
from core.web.pagination import paginate
from payouts import queries, rails
from payouts.forms import ApprovalForm, ReasonForm
from payouts.models import Run
from payouts.services import previews, runs, sending
from payouts.services.comparisons import Comparison, compare_with_rails
from payouts.services.previews import DryLine
from payouts.views import CONSOLE, bp

STATEMENT_COLUMNS = ("payout", "obligation", "recipient", "amount", "currency", "rail", "destination", "status", "reference",
                     "remote_id", "paid_at")  # fmt: skip


@bp.get("/runs")
@requires(*CONSOLE)
def list_runs() -> ResponseReturnValue:
    """Every run, newest first."""
    listed = paginate(db(), queries.runs(), by=[Run.number], cursor=request.args.get("cursor"))
    totals = {run.id: queries.run_totals(db(), run) for run in listed.items}
    return page("payouts/runs.html", listed=listed, totals=totals)


@bp.get("/runs/<uuid:run_id>")
@requires(*CONSOLE)
def show_run(run_id: UUID) -> ResponseReturnValue:
    """One run: before it is sent what it would do, afterwards what became of it."""
    return _show(run_id, ApprovalForm())


@bp.get("/runs/<uuid:run_id>/progress")
@requires(*CONSOLE)
def show_progress(run_id: UUID) -> ResponseReturnValue:
    """The part of the page that changes while a run is on its way."""
    run = db().get(Run, run_id)
    if run is None:
        raise NotFound("There is no such run.")
    return render_template("payouts/_progress.html", run=run, totals=queries.run_totals(db(), run))


@bp.post("/runs/<uuid:run_id>/approval")
@requires(Role.PAYOUT_APPROVER)
@fresh_second_factor
def create_approval(run_id: UUID) -> ResponseReturnValue:
    """Approve exactly what the page showed."""
    form = ApprovalForm()
    if form.validate_on_submit():
        try:
            run = runs.approve(db(), run_id, approver=current_person(), seen_hash=form.content_hash.data or "", now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            enough = run.status == "approved"
            flash(f"You approved {run.name}. " + ("It can be sent." if enough else "It needs another approver."))
            return redirect(url_for(".show_run", run_id=run_id), code=303)
    return _show(run_id, form)


@bp.post("/runs/<uuid:run_id>/approval/withdrawal")
@requires(*CONSOLE)
def withdraw_approval(run_id: UUID) -> ResponseReturnValue:
    """Void the approvals of a run that is not on its way."""
    form = ReasonForm()
    if form.validate_on_submit():
        try:
            runs.withdraw_approval(db(), run_id, actor=current_person(), now=utc_now(), reason=form.reason.data)
        except DomainError as error:
            refused(form, error)
        else:
            flash("The approvals are void; the run is a draft again.")
            return redirect(url_for(".show_run", run_id=run_id), code=303)
    return _show(run_id, form)


@bp.post("/runs/<uuid:run_id>/sending")
@requires(*CONSOLE)
def create_sending(run_id: UUID) -> ResponseReturnValue:
    """Let an approved run go."""
    form = ApprovalForm()
    if form.validate_on_submit():
        try:
            run = sending.send(db(), run_id, sender=current_person(), rails=rails.configured(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{run.name} is on its way.")
            return redirect(url_for(".show_run", run_id=run_id), code=303)
    return _show(run_id, form)


@bp.post("/runs/<uuid:run_id>/dry-run")
@requires(*CONSOLE)
def dry_run(run_id: UUID) -> ResponseReturnValue:
    """Reserve every line with the engine's own code, and undo it."""
    found = previews.dry_run(db(), run_id, rails=rails.configured(), now=utc_now())
    return _show(run_id, ApprovalForm(), dry=found)


@bp.post("/runs/<uuid:run_id>/lines/<uuid:payout_id>/removal")
@requires(Role.FINANCE)
def remove_line(run_id: UUID, payout_id: UUID) -> ResponseReturnValue:
    """Take a line out; approvals are void."""
    run = runs.remove_line(db(), run_id, payout_id, actor=current_person(), now=utc_now())
    flash("The line is taken out and due again. Approvals given before are void.", "info")
    return redirect(url_for(".show_run", run_id=run.id), code=303)


@bp.post("/runs/<uuid:run_id>/cancellation")
@requires(Role.FINANCE)
def cancel_run(run_id: UUID) -> ResponseReturnValue:
    """Give a run up before it is sent."""
    form = ReasonForm()
    if form.validate_on_submit():
        try:
            runs.cancel(db(), run_id, actor=current_person(), now=utc_now(), reason=form.reason.data)
        except DomainError as error:
            refused(form, error)
        else:
            flash("The run is given up; its payouts are due again.")
            return redirect(url_for(".list_runs"), code=303)
    return _show(run_id, form)


@bp.post("/runs/<uuid:run_id>/comparison")
@requires(*CONSOLE)
def compare_run(run_id: UUID) -> ResponseReturnValue:
    """Look every line up at its rail."""
    found = compare_with_rails(transactions, run_id, rails=rails.configured(), now=utc_now())
    return _show(run_id, ApprovalForm(), compared=found)


@bp.get("/runs/<uuid:run_id>/statement.csv")
@requires(*CONSOLE)
def run_statement(run_id: UUID) -> ResponseReturnValue:
    """The statement of a run for a spreadsheet."""
    run = queries.run(db(), run_id)
    out = io.StringIO(newline="")
    rows = csv.writer(out)
    rows.writerow(STATEMENT_COLUMNS)
    for line in run.payouts:
        last = line.attempts[-1] if line.attempts else None
        cells = (line.id, line.obligation, line.recipient.name, line.money.decimal, line.currency, line.rail,
                 line.destination.label if line.destination else "", line.status, last.idem_key if last else "",
                 (last.remote_id if last else None) or "", line.paid_at.isoformat() if line.paid_at else "")  # fmt: skip
        rows.writerow([harmless(str(cell)) for cell in cells])
    disposition = f'attachment; filename="run-{run.number}.csv"'
    return Response(out.getvalue(), mimetype="text/csv", headers={"Content-Disposition": disposition})


def _show(
    run_id: UUID,
    form: ApprovalForm | ReasonForm,
    *,
    dry: list[DryLine] | None = None,
    compared: Comparison | None = None,
) -> ResponseReturnValue:
    session = db()
    seen = previews.preview(session, run_id, rails=rails.configured(), now=utc_now())
    run = seen.run
    me = current_person()
    given = runs.current_approvals(run)
    own_request = any(payout.prepared_by_id == me.id for payout in run.payouts)
    return page(
        "payouts/run.html",
        form=form,
        run=run,
        seen=seen,
        totals=queries.run_totals(session, run),
        approvals=given,
        mine=run.prepared_by_id == me.id,
        own_request=own_request,
        approved_by_me=any(approval.approver_id == me.id for approval in given),
        reason_form=ReasonForm(formdata=None),
        dry={line.payout.id: line.refusal for line in dry} if dry is not None else None,
        compared=compared,
        compared_lines=_by_line(compared) if compared is not None else {},
        events=audit.history(session, run),
    )


def _by_line(compared: Comparison) -> Mapping[UUID, str]:
    """What the comparison says of each line; a line may have several attempts."""
    said: dict[UUID, str] = {}
    for note in [*compared.differences, *compared.not_looked_up]:
        said[note.payout_id] = f"{said[note.payout_id]} {note.message}" if note.payout_id in said else note.message
    return said
