"""The people's desk: what machines can't know, with evidence and a second person."""

from uuid import UUID

from flask import Response, redirect, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from werkzeug.datastructures import FileStorage

from core import files
from core.clock import utc_now
from core.errors import DomainError, NotFound
from core.files import StoredFile
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires
from payouts import queries, rails
from payouts.forms import FindingForm, ReasonForm
from payouts.models import Outcome, Resolution
from payouts.policies import Rules
from payouts.services import resolutions, sending
from payouts.services.claims import RailMissing
from payouts.views import CONSOLE, bp
from payouts.views.payouts import outcomes_for, show_payout


@bp.get("/unknown")
@requires(*CONSOLE)
def list_unknown() -> ResponseReturnValue:
    """What is not known, and who has to find out."""
    attempts = queries.attempts_for_people(db())
    return page(
        "payouts/unknown.html",
        unknown=[attempt for attempt in attempts if attempt.state == "unknown"],
        desk=[attempt for attempt in attempts if attempt.state == "human"],
        returns=queries.returns_for_people(db()),
        refused=queries.refused(db()),
        me=current_person(),
        reason_form=ReasonForm(formdata=None),
    )


@bp.post("/attempts/<uuid:attempt_id>/people")
@requires(*CONSOLE)
def ask_people(attempt_id: UUID) -> ResponseReturnValue:
    """Hand an unknown attempt to people."""
    attempt = queries.attempt(db(), attempt_id)
    payout_id, form = attempt.payout_id, ReasonForm()
    rail = rails.configured().get(attempt.rail)
    if rail is None:
        raise RailMissing(f"The rail “{attempt.rail}” is not part of this installation.")
    if form.validate_on_submit():
        try:
            resolutions.ask_people(
                db(), attempt_id, rail=rail, rules=Rules(), actor=current_person(), reason=form.reason.data, now=utc_now()
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("It is on the people's desk: one person says what became of it, another confirms.")
            return redirect(url_for(".show", payout_id=payout_id), code=303)
    return show_payout(payout_id, reason=form)


@bp.post("/<uuid:payout_id>/look")
@requires(*CONSOLE)
def look_sooner(payout_id: UUID) -> ResponseReturnValue:
    """Look now at a payment that the rail has and has not made yet."""
    if sending.look_sooner(db(), payout_id=payout_id, now=utc_now()):
        flash("A worker looks at it. Load this page again in a few seconds.")
    else:
        flash("It is being looked at, or there is nothing to look at.", "info")
    return redirect(url_for(".show", payout_id=payout_id), code=303)


@bp.post("/attempts/<uuid:attempt_id>/finding")
@requires(*CONSOLE)
def create_finding(attempt_id: UUID) -> ResponseReturnValue:
    """Propose what became of an attempt, with a file that shows it."""
    attempt = queries.attempt(db(), attempt_id)
    payout_id = attempt.payout_id
    form = FindingForm().offer(outcomes_for(queries.payout(db(), payout_id)) or list(Outcome))
    if form.validate_on_submit():
        try:
            resolutions.propose(
                db(),
                attempt_id,
                outcome=Outcome(form.outcome.data),
                remote_id=form.remote_id.data,
                evidence=_kept(form.evidence.data),
                note=form.note.data,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("Your finding is kept. Nothing moves until another person confirms it.")
            return redirect(url_for(".show", payout_id=payout_id), code=303)
    return show_payout(payout_id, finding=form)


@bp.post("/findings/<uuid:resolution_id>/confirmation")
@requires(*CONSOLE)
@fresh_second_factor
def confirm_finding(resolution_id: UUID) -> ResponseReturnValue:
    """Make a finding so, as the second person."""
    payout = resolutions.decide(db(), resolution_id, confirm=True, actor=current_person(), now=utc_now())
    flash("You confirmed the finding.")
    return redirect(url_for(".show", payout_id=payout.id), code=303)


@bp.post("/findings/<uuid:resolution_id>/rejection")
@requires(*CONSOLE)
def reject_finding(resolution_id: UUID) -> ResponseReturnValue:
    """Turn a finding down, or take back one's own."""
    payout = resolutions.decide(db(), resolution_id, confirm=False, actor=current_person(), now=utc_now())
    flash("The finding is turned down; somebody can propose another.", "info")
    return redirect(url_for(".show", payout_id=payout.id), code=303)


@bp.get("/evidence/<uuid:file_id>")
@requires(*CONSOLE)
def download_evidence(file_id: UUID) -> ResponseReturnValue:
    """A file that somebody brought as evidence."""
    used = db().scalar(select(Resolution.id).where(Resolution.evidence_id == file_id).limit(1))
    stored = db().get(StoredFile, file_id)
    if used is None or stored is None:
        raise NotFound("There is no such file.")
    return attachment(stored)


def attachment(stored: StoredFile) -> Response:
    """A stored file to keep, never to be run by a browser."""
    headers = {"Content-Disposition": files.as_download(stored.name), "X-Content-Type-Options": "nosniff"}
    return Response(files.read(stored), mimetype=stored.media_type, headers=headers)


def _kept(upload: FileStorage) -> StoredFile:
    name = upload.filename or "evidence"
    return files.store(db(), upload.stream, name=name, uploaded_by_id=current_person().id, now=utc_now())
