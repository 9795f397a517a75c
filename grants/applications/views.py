"""The maintainer's pages: start, write, attach, check and submit, follow, withdraw."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from core import audit, files
from core.clock import today, utc_now
from core.errors import DomainError, NotFound
from core.identity.models import Person, Role
from core.web import current_person, db, flash, hooks, navigation, page, refused, signed_in
from core.web.context import roll_back
from core.web.forms import choices
from grants import policies, queries
from grants.applications import reading
from grants.applications.forms import PAYEES, AttachmentForm, DraftForm, ManifestForm, StartForm, WithdrawForm, draft_form
from grants.manifests.report import Report, as_json, examine
from grants.manifests.summary import Summary, summarise
from grants.models import Application, ApplicationStatus, ManifestOrigin, ManifestReading, Programme, Round
from grants.services import applications, manifests

bp = Blueprint("applications", __name__)
navigation.add("My applications", "/applications", roles=(Role.MAINTAINER,), everyone=True, order=20)

STEPS = ("Start", "Write", "Add files", "Check and submit")
OPEN_WAY = (
    ApplicationStatus.SUBMITTED,
    ApplicationStatus.SCREENED,
    ApplicationStatus.IN_REVIEW,
    ApplicationStatus.SHORTLISTED,
    ApplicationStatus.DECIDED,
)
# What of its history an applicant reads, in words. The rest is the committee's own work.
TOLD = {
    "application.started": "Draft started",
    "application.manifest_read": "Manifest read",
    "application.submitted": "Submitted",
    "application.exception_allowed": "Request outside the rule allowed",
    "application.screened": "First checks answered",
    "application.screened_out": "Did not pass the first checks",
    "application.in_review": "In review",
    "application.shortlisted": "Shortlisted",
    "application.decided": "Decided",
    "application.withdrawn": "Withdrawn",
}


@dataclass(frozen=True, slots=True)
class Told:
    """One line of an applicant's timeline. The programme's people act in its name."""

    at: datetime
    verb: str
    actor_name: str
    reason: str | None


@hooks.to_do(order=20)
def drafts(session: Session, person: Person) -> Iterable[hooks.ToDo]:
    """Drafts that can still be handed in."""
    for application in queries.own_applications(session, person, on=today()):
        if application.status is ApplicationStatus.DRAFT and application.round.takes_applications(today()):
            closes = application.round.closes_on
            yield hooks.ToDo(
                f"Finish the application of {application.title}",
                url_for("grants.applications.edit", application_id=application.id),
                due=f"{application.programme.name} takes applications until {closes:%-d %b %Y}" if closes else None,
            )


@bp.route("/programmes/<slug>/apply", methods=["GET", "POST"])
@signed_in
def start(slug: str) -> ResponseReturnValue:
    """Begin an application: with a funding.json, or with an empty form."""
    person, programme = current_person(), queries.programme(db(), slug)
    rounds = [round_ for round_ in programme.rounds if round_.takes_applications(today())]
    if not rounds:
        return page("grants/applications/closed.html", programme=programme, upcoming=_upcoming(programme))
    form = StartForm()
    mine = queries.projects_maintained_by(db(), person, on=today())
    form.project_id.choices = choices(mine, label=lambda project: project.name, empty="A project that is not here yet")
    report: Report | None = None
    if form.validate_on_submit():
        try:
            source = report = summary = None
            if request.form.get("start") != "empty":
                source, report = _read(form, person)
                manifests.require_valid(report)
                assert report.document is not None
                summary = summarise(report.document)
            application = _begin(form, rounds[0], person, summary)
            if source and report:
                manifests.keep(db(), application.id, person=person, source=source, report=report, now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            if summary:
                flash("We filled in what the funding.json says. Check it, and add the rest.")
            return redirect(url_for(".edit", application_id=application.id), code=303)
    begun = [each for each in queries.own_applications(db(), person, on=today()) if _is_open_draft(each, programme)]
    return page(
        "grants/applications/start.html",
        form=form,
        programme=programme,
        round=rounds[0],
        rule=policies.request_rule_in_words(programme),
        report=_found(report),
        begun=begun,
        steps=STEPS,
    )


@bp.get("/applications")
@signed_in
def index() -> ResponseReturnValue:
    """Every application of the person's own, newest first."""
    return page(
        "grants/applications/index.html",
        applications=queries.own_applications(db(), current_person(), on=today()),
        rounds=queries.open_rounds(db(), on=today()),
    )


@bp.get("/applications/<uuid:application_id>")
@signed_in
def show(application_id: UUID) -> ResponseReturnValue:
    """One application: what was asked for, where it stands, what happened."""
    application = _own(application_id)
    return _shown(application, WithdrawForm(formdata=None) if _can_withdraw(application) else None)


@bp.route("/applications/<uuid:application_id>/edit", methods=["GET", "POST"])
@signed_in
def edit(application_id: UUID) -> ResponseReturnValue:
    """Write a draft. Whatever is there is saved; it need not be complete."""
    application = _own_draft(application_id)
    form = draft_form(application)
    if form.validate_on_submit():
        try:
            _save(application, form)
        except DomainError as error:
            refused(form, error)
            form.seen_at.data = application.updated_at.isoformat()  # told once; whoever saves again means it
        else:
            if request.form.get("then") == "stay":
                flash("The draft is saved.")
                return redirect(url_for(".edit", application_id=application.id), code=303)
            return redirect(url_for(".attachments", application_id=application.id), code=303)
    newest = manifests.newest(db(), application.id)
    return page(
        "grants/applications/edit.html",
        form=form,
        application=application,
        rule=policies.request_rule_in_words(application.programme),
        reading=newest,
        summary=_summary(newest),
        steps=STEPS,
    )


@bp.post("/applications/<uuid:application_id>/autosave")
@signed_in
def autosave(application_id: UUID) -> ResponseReturnValue:
    """Save what was typed so far, and say so in one line. A mistake is named when the person saves."""
    application = _own_draft(application_id)
    form = draft_form(application)
    problem: str | None = None
    if form.validate_on_submit():
        try:
            _save(application, form)
        except DomainError as error:
            refused(form, error)
    if form.problems:
        problem = form.problems[0][0]
    return render_template("grants/applications/_saved.html", application=application, problem=problem)


@bp.post("/applications/<uuid:application_id>/manifest-project")
@signed_in
def choose_project(application_id: UUID) -> ResponseReturnValue:
    """Fill in another project of the manifest."""
    application = _own_draft(application_id)
    summary = _summary(manifests.newest(db(), application.id))
    if summary is None:
        raise NotFound("This application was not started from a funding.json.")
    project = summary.project(request.form.get("guid"))
    draft = manifests.about_project(applications.draft_of(application), project)
    applications.save_draft(db(), application.id, person=current_person(), draft=draft, now=utc_now())
    flash(f"The form is about {project.name} now.")
    return redirect(url_for(".edit", application_id=application.id), code=303)


@bp.route("/applications/<uuid:application_id>/files", methods=["GET", "POST"])
@signed_in
def attachments(application_id: UUID) -> ResponseReturnValue:
    """The files of a draft."""
    application = _own_draft(application_id)
    form = AttachmentForm()
    if form.validate_on_submit():
        upload = form.file.data
        try:
            applications.attach(
                db(), application.id, person=current_person(), stream=upload.stream, name=upload.filename or "", now=utc_now()
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{files.clean_name(upload.filename or '')} is attached.")
            return redirect(url_for(".attachments", application_id=application.id), code=303)
    return page(
        "grants/applications/files.html",
        form=form,
        application=application,
        files_max=applications.ATTACHMENTS_MAX,
        size_max=files.SIZE_MAX_BYTES,
        steps=STEPS,
    )


@bp.get("/applications/<uuid:application_id>/files/<uuid:attachment_id>")
@signed_in
def download(application_id: UUID, attachment_id: UUID) -> ResponseReturnValue:
    """One file, always as a download: nothing that was uploaded runs in our pages."""
    application = _own(application_id)
    attachment = next((each for each in application.attachments if each.id == attachment_id), None)
    if attachment is None:
        raise NotFound("This application has no such file.")
    response = Response(files.read(attachment.file), mimetype=attachment.file.media_type)
    response.headers["Content-Disposition"] = files.as_download(attachment.file.name)
    return response


@bp.post("/applications/<uuid:application_id>/files/<uuid:attachment_id>/removal")
@signed_in
def remove_attachment(application_id: UUID, attachment_id: UUID) -> ResponseReturnValue:
    """Take a file off the draft."""
    applications.detach(db(), application_id, attachment_id, person=current_person(), now=utc_now())
    flash("The file is removed.")
    return redirect(url_for(".attachments", application_id=application_id), code=303)


@bp.route("/applications/<uuid:application_id>/submission", methods=["GET", "POST"])
@signed_in
def submission(application_id: UUID) -> ResponseReturnValue:
    """Everything on one page before it is handed in, with what is still missing."""
    application = _own_draft(application_id)
    problem: DomainError | None = None
    if request.method == "POST":
        try:
            applications.submit(db(), application.id, person=current_person(), now=utc_now())
        except DomainError as error:
            roll_back()
            problem = error
        else:
            flash(f"Your application to {application.programme.name} is submitted. Nothing else is needed for now.")
            return redirect(url_for(".show", application_id=application.id), code=303)
    missing = (problem.details.get("fields") if problem else None) or policies.missing_for_submission(
        application, application.programme.questions
    )
    return page(
        "grants/applications/submission.html",
        status=problem.status if problem else None,
        application=application,
        missing=missing,
        problem=problem if problem and not problem.details.get("fields") else None,
        refused=problem is not None,
        payees=PAYEES,
        reading=manifests.newest(db(), application.id),
        steps=STEPS,
    )


@bp.post("/applications/<uuid:application_id>/withdrawal")
@signed_in
def withdrawal(application_id: UUID) -> ResponseReturnValue:
    """Take an application back."""
    form = WithdrawForm()
    application = _own(application_id)
    if form.validate_on_submit():
        applications.withdraw(db(), application.id, person=current_person(), reason=form.reason.data or "", now=utc_now())
        flash(f"The application of {application.title} is withdrawn.")
        return redirect(url_for(".show", application_id=application.id), code=303)
    return _shown(application, form, status=422)


@bp.route("/applications/<uuid:application_id>/manifest", methods=["GET", "POST"])
@signed_in
def manifest(application_id: UUID) -> ResponseReturnValue:
    """The funding.json of an application: findings, provenance and what to publish; POST reads another text of it."""
    application = _own(application_id)
    newest = manifests.newest(db(), application.id)
    form = ManifestForm(data={"manifest_url": newest.url if newest else ""})
    report: Report | None = None
    if form.validate_on_submit():
        try:
            source, report = _read(form, current_person())
            manifests.keep(db(), application.id, person=current_person(), source=source, report=report, now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The funding.json is read. What you wrote in the form stays as it is.")
            return redirect(url_for(".manifest", application_id=application.id), code=303)
    return page("grants/applications/manifest.html", form=form, application=application, reading=newest, report=_found(report))


@bp.post("/applications/<uuid:application_id>/manifest-readings")
@signed_in
def read_again(application_id: UUID) -> ResponseReturnValue:
    """Look again: at the manifest where it is published, or, for a pasted one that is not there yet, at its lists only."""
    person, application = current_person(), _own(application_id)
    newest = manifests.newest(db(), application.id)
    if newest is None:
        raise NotFound("This application was not started from a funding.json.")
    reading.count(db(), person, now=utc_now())
    db().commit()  # nothing is open while other people's servers are asked
    source = manifests.ManifestText(newest.text.encode(), newest.url, newest.origin)
    form = ManifestForm(formdata=None, data={"manifest_url": newest.url})
    report: Report | None = None
    try:
        if newest.origin is ManifestOrigin.ADDRESS or request.form.get("from") == "address":
            source = reading.fetched(newest.url)
        report = reading.look(source)
        manifests.keep(db(), application.id, person=person, source=source, report=report, now=utc_now())
    except DomainError as error:
        refused(form, error)
        return page(
            "grants/applications/manifest.html", form=form, application=application, reading=newest, report=_found(report)
        )
    unproven = len(report.unproven)
    flash(
        f"Read again: {unproven} of {len(report.provenance)} addresses are not proven yet."
        if unproven
        else "Read again: every address is proven.",
        "info" if unproven else "success",
    )
    return redirect(url_for(".manifest", application_id=application.id), code=303)


def _shown(application: Application, withdraw_form: WithdrawForm | None, *, status: int = 200) -> ResponseReturnValue:
    return page(
        "grants/applications/show.html",
        status=status,
        application=application,
        events=_told(application),
        reading=manifests.newest(db(), application.id),
        grant=queries.grant_of_application(db(), application.id),
        reasons=[answer for answer in application.screening if application.outcome and not answer.passed],
        withdraw_form=withdraw_form,
        way=OPEN_WAY,
        payees=PAYEES,
    )


def _read(form: StartForm | ManifestForm, person: Person) -> tuple[manifests.ManifestText, Report]:
    """The manifest a form brings, and what it is worth."""
    reading.count(db(), person, now=utc_now())
    db().commit()  # nothing is open while other people's servers are asked
    source = reading.brought(form)
    return source, reading.look(source)


def _begin(form: StartForm, round_: Round, person: Person, summary: Summary | None) -> Application:
    draft = manifests.draft_from(summary, guid=None, currency=round_.programme.currency) if summary else None
    return applications.start_draft(
        db(),
        round_id=round_.id,
        applicant=person,
        now=utc_now(),
        project_id=UUID(form.project_id.data) if form.project_id.data else None,
        draft=draft,
    )


def _save(application: Application, form: DraftForm) -> None:
    """Save the draft, unless another window or another maintainer saved it since this form was opened."""
    applications.save_draft(db(), application.id, person=current_person(), draft=form.as_draft(), now=utc_now(), form=form.opened)


def _own(application_id: UUID) -> Application:
    return queries.own_application(db(), application_id, current_person(), on=today())


def _own_draft(application_id: UUID) -> Application:
    """The person's own application, still to be written.

    Raises:
        NotFound, NotADraft: it is somebody else's, or with the programme, where it stays as it was read.
    """
    application = _own(application_id)
    applications.require_draft(application)
    return application


def _is_open_draft(application: Application, programme: Programme) -> bool:
    return application.programme_id == programme.id and application.status is ApplicationStatus.DRAFT


def _upcoming(programme: Programme) -> Round | None:
    planned = [round_ for round_ in programme.rounds if round_.opens_on > today()]
    return min(planned, key=lambda round_: round_.opens_on, default=None)


def _can_withdraw(application: Application) -> bool:
    return application.status not in {ApplicationStatus.DECIDED, ApplicationStatus.WITHDRAWN}


def _summary(newest: ManifestReading | None) -> Summary | None:
    if newest is None:
        return None
    document = examine(newest.text.encode(), newest.url).document
    return summarise(document) if document is not None else None


def _found(report: Report | None) -> dict[str, Any] | None:
    return as_json(report) if report else None


def _told(application: Application) -> Sequence[Told]:
    return [
        Told(
            at=event.at,
            verb=TOLD[event.verb],
            actor_name=event.actor_name if event.actor_id == application.applicant_id else application.programme.name,
            reason=event.reason,
        )
        for event in audit.history(db(), application)
        if event.verb in TOLD
    ]
