"""Runs: look at every line, approve with four eyes, send, follow."""

import csv
import io
from collections.abc import Mapping
from uuid import UUID

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core import audit
from core.clock import utc_now
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Role
from core.spreadsheet import harmless
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires, transactions
from core.web.forms import choices
from core.web.pagination import SIZE, Page, paginate
from payouts import queries, rails
from payouts.forms import NOTICE_WORDS, ApprovalForm, LinesForm, ReasonForm
from payouts.models import Run
from payouts.services import previews, runs, sending
from payouts.services.comparisons import Comparison, compare_with_rails
from payouts.services.previews import DryLine, Line, Notice, Preview
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
    tried = {line.payout.id: line.refusal for line in dry} if dry is not None else None
    said = _by_line(compared) if compared is not None else {}
    choose, listed, chosen = _listed(seen, troubled={**said, **{each: why for each, why in (tried or {}).items() if why}})
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
        choose=choose,
        notice_words=NOTICE_WORDS,
        listed=listed,
        chosen=chosen,
        dry=tried,
        compared=compared,
        compared_lines=said,
        events=audit.history(session, run),
    )


def _listed(seen: Preview, *, troubled: Mapping[UUID, str]) -> tuple[LinesForm, Page[Line], int]:
    """The lines somebody chose, a page of them and how many they are. What stands out most comes first, whatever the page."""
    form = LinesForm(request.args)
    titles = {name: rail.title for name, rail in rails.configured().items()}
    form.rail.choices = choices(sorted(seen.by_rail), label=lambda name: titles.get(name, name), empty="Every rail")
    form.status.choices = choices(
        sorted({line.payout.status for line in seen.lines}), label=lambda each: each.value.capitalize(), empty="Every state"
    )

    def stands_out(line: Line) -> list[Notice]:
        return line.notices if line.payout.id not in troubled else [Notice.TROUBLE, *line.notices]

    wanted = [
        line
        for line in seen.lines
        if form.rail.data in {None, "", line.payout.rail}
        and form.status.data in {None, "", line.payout.status}
        and (not form.notice.data or form.notice.data in stands_out(line))
    ]
    order = {notice: place for place, notice in enumerate(Notice)}
    wanted.sort(key=lambda line: min((order[each] for each in stands_out(line)), default=len(order)))
    start = _start(request.args.get("cursor"))
    more = str(start + SIZE) if start + SIZE < len(wanted) else None
    return form, Page(wanted[start : start + SIZE], more, is_first=start == 0), len(wanted)


def _start(cursor: str | None) -> int:
    """Lines don't move while they are looked at, so that their place is a number."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 8):
        raise InvalidInput("This is not a place in this list; start from its first page.", field="cursor")
    return int(cursor or 0)


def _by_line(compared: Comparison) -> Mapping[UUID, str]:
    """What the comparison says of each line; a line may have several attempts."""
    said: dict[UUID, str] = {}
    for note in [*compared.differences, *compared.not_looked_up]:
        said[note.payout_id] = f"{said[note.payout_id]} {note.message}" if note.payout_id in said else note.message
    return said
