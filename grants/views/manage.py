"""The officer's desk: applications of a programme, screening, reviewers, shortlist; and the running grants."""

from collections.abc import Callable, Iterable
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from core import audit
from core.clock import today, utc_now
from core.errors import DomainError, NotAllowed, NotFound
from core.identity import access
from core.identity.models import Person, Role
from core.money import Money
from core.web import current_person, db, flash, hooks, page, refused, signed_in
from core.web.filters import money
from core.web.forms import Form
from grants import policies, queries
from grants.applications.forms import PAYEES
from grants.forms import AssignForm, ExceptionForm, PaperForm, screening_form
from grants.models import ApplicationStatus, Grant, GrantStatus, InstalmentStatus, ReportStatus, ReviewStatus
from grants.services import applications, grants, instalments, manifests, paperwork, reports, reviews, screening
from grants.views.recipients import send
from grants.views.setup import officers_programme

bp = Blueprint("manage", __name__)


@hooks.to_do(order=30)
def officers_to_do(session: Session, person: Person) -> Iterable[hooks.ToDo]:
    """What waits for an officer, programme by programme."""
    if not queries.is_any_officer(session, person, on=today()):
        return
    for programme in queries.programmes_run_by(session, person, on=today()):
        waiting = queries.waiting_for_officer(session, programme.id)
        for label, count in waiting.items():
            if count:
                where = url_for("grants.manage.show", slug=programme.slug)
                yield hooks.ToDo(f"{programme.name}: {label}", where, count)


@bp.get("/programmes/<slug>/manage")
@signed_in
def show(slug: str) -> ResponseReturnValue:
    """Rounds, applications with states and scores, grants, money."""
    programme = officers_programme(slug)
    found = queries.submitted_applications(db(), programme.id)
    hidden = {one.id for one in found if not queries.may_read_scores(db(), one, current_person(), on=today())}
    scores = {one.id: queries.application_score(db(), one) for one in found if one.id not in hidden}
    return page(
        "grants/programmes/manage.html",
        programme=programme,
        overview=queries.overview(db(), programme, on=today()),
        available=queries.available(db(), programme),
        applications=found,
        scores={key: policies.shown_score(score) for key, score in scores.items()},
        reviews={one.id: len(queries.counting_reviews(db(), one)) for one in found},
        grants=queries.grants_of_programme(db(), programme.id),
        may_fund=access.has_role(db(), current_person(), Role.FINANCE, on=today()),
        events=audit.history(db(), programme, limit=12),
    )


@bp.get("/review/applications/<uuid:application_id>")
@signed_in
def application(application_id: UUID) -> ResponseReturnValue:
    """An application as officers and committee see it."""
    return _application_page(application_id)


@bp.get("/review/applications/<uuid:application_id>/files/<uuid:attachment_id>")
@signed_in
def attachment(application_id: UUID, attachment_id: UUID) -> ResponseReturnValue:
    """A file of an application, for whoever reviews and decides."""
    found = queries.application(db(), application_id)
    if not queries.may_work_on(db(), found, current_person(), on=today()):
        raise NotFound("There is no such file for you.")
    for one in found.attachments:
        if one.id == attachment_id:
            return send(one.file)
    raise NotFound("This application has no such file.")


@bp.post("/review/applications/<uuid:application_id>/screening")
@signed_in
def screen(application_id: UUID) -> ResponseReturnValue:
    """Answer the knock-out checks."""
    found = queries.application(db(), application_id)
    form = screening_form(found.programme.checks)

    def act() -> None:
        answers = form.answers(found.programme.checks)
        screening.screen(db(), application_id, answers=answers, officer=current_person(), now=utc_now())

    return _done(application_id, form, act, "The application is screened.", screening=form)


@bp.post("/review/applications/<uuid:application_id>/reviewers")
@signed_in
def assign(application_id: UUID) -> ResponseReturnValue:
    """Ask people for reviews."""
    found = queries.application(db(), application_id)
    form = _assign_form(found.programme.id)

    def act() -> None:
        ids = [UUID(value) for value in form.reviewers.data]
        reviews.assign(db(), application_id, reviewer_ids=ids, officer=current_person(), now=utc_now())

    return _done(application_id, form, act, "The reviewers are asked.", assign=form)


@bp.post("/review/<uuid:review_id>/removal")
@signed_in
def remove_reviewer(review_id: UUID) -> ResponseReturnValue:
    """Take a reviewer off who has not handed in."""
    removed = reviews.remove(db(), review_id, officer=current_person(), now=utc_now())
    flash(f"{removed.reviewer.name} is taken off.")
    return redirect(url_for(".application", application_id=removed.application_id), code=303)


@bp.post("/review/applications/<uuid:application_id>/shortlisting")
@signed_in
def shortlist(application_id: UUID) -> ResponseReturnValue:
    """Put the application before the committee."""
    reviews.shortlist(db(), application_id, officer=current_person(), now=utc_now())
    flash("The application is before the committee.")
    return redirect(url_for(".application", application_id=application_id), code=303)


@bp.get("/grants/<uuid:grant_id>/manage")
@signed_in
def grant(grant_id: UUID) -> ResponseReturnValue:
    """A grant's instalments, gates, paperwork and reports, with what can be done about each."""
    return _grant_page(_officers_grant(grant_id))


@bp.post("/grants/<uuid:grant_id>/instalments/<uuid:instalment_id>/<step>")
@signed_in
def instalment(grant_id: UUID, instalment_id: UUID, step: str) -> ResponseReturnValue:
    """One step of an instalment: due, release, approval or reopening."""
    officer, now = current_person(), utc_now()
    form, reason = Form(), request.form.get("reason", "")
    steps: dict[str, tuple[Callable[[], object], str]] = {
        "due": (lambda: instalments.reach(db(), instalment_id, officer=officer, now=now), "The milestone is reached."),
        "release": (
            lambda: instalments.release(db(), instalment_id, officer=officer, now=now, waiver=reason),
            "The instalment is released.",
        ),
        "approval": (
            lambda: instalments.approve(db(), instalment_id, officer=officer, now=now),
            "The instalment is approved and with payouts now.",
        ),
        "reopening": (
            lambda: instalments.reopen(db(), instalment_id, officer=officer, reason=reason, now=now),
            "The instalment can be paid again.",
        ),
    }
    return _grant_step(grant_id, form, steps, step)


@bp.post("/grants/<uuid:grant_id>/status/<step>")
@signed_in
def grant_status(grant_id: UUID, step: str) -> ResponseReturnValue:
    """Suspend, resume or terminate a grant."""
    officer, now = current_person(), utc_now()
    form, reason = Form(), request.form.get("reason", "")
    steps: dict[str, tuple[Callable[[], object], str]] = {
        "suspension": (
            lambda: grants.suspend(db(), grant_id, officer=officer, reason=reason, now=now), "The grant is suspended.",
        ),
        "resumption": (lambda: grants.resume(db(), grant_id, officer=officer, reason=reason, now=now), "The grant runs again."),
        "termination": (
            lambda: grants.terminate(db(), grant_id, officer=officer, reason=reason, now=now),
            "The grant is ended; what was not paid is the programme's again.",
        ),
    }  # fmt: skip
    return _grant_step(grant_id, form, steps, step)


@bp.post("/grants/<uuid:grant_id>/paperwork/<uuid:item_id>/<step>")
@signed_in
def paperwork_step(grant_id: UUID, item_id: UUID, step: str) -> ResponseReturnValue:
    """One step of a document: checked, waived or asked for again."""
    officer, now = current_person(), utc_now()
    form, reason = Form(), request.form.get("reason", "")
    steps: dict[str, tuple[Callable[[], object], str]] = {
        "check": (lambda: paperwork.check(db(), item_id, officer=officer, now=now), "The document is in order."),
        "waiver": (lambda: paperwork.waive(db(), item_id, officer=officer, reason=reason, now=now), "The document is waived."),
        "question": (
            lambda: paperwork.ask_again(db(), item_id, officer=officer, reason=reason, now=now), "The recipient is asked again.",
        ),
    }  # fmt: skip
    return _grant_step(grant_id, form, steps, step)


@bp.post("/grants/<uuid:grant_id>/paperwork")
@signed_in
def add_paperwork(grant_id: UUID) -> ResponseReturnValue:
    """Ask for one more document."""
    form = PaperForm()
    if form.validate_on_submit():
        try:
            paperwork.add(
                db(), grant_id, name=form.name.data, guidance=form.guidance.data or "",
                days_expected=form.days_expected.data, officer=current_person(), now=utc_now(),
            )  # fmt: skip
        except DomainError as error:
            refused(form, error)
        else:
            flash("The document is on the list.")
            return redirect(url_for(".grant", grant_id=grant_id), code=303)
    return _grant_page(_officers_grant(grant_id), form=form, paper=form)


@bp.post("/grants/<uuid:grant_id>/reports/<uuid:report_id>/<step>")
@signed_in
def report_step(grant_id: UUID, report_id: UUID, step: str) -> ResponseReturnValue:
    """Accept a report or send it back."""
    officer, now = current_person(), utc_now()
    form, note = Form(), request.form.get("reason", "")
    steps: dict[str, tuple[Callable[[], object], str]] = {
        "acceptance": (lambda: reports.accept(db(), report_id, officer=officer, note=note, now=now), "The report is accepted."),
        "return": (
            lambda: reports.send_back(db(), report_id, officer=officer, note=note, now=now), "The report is sent back.",
        ),
    }  # fmt: skip
    return _grant_step(grant_id, form, steps, step)


@bp.route("/programmes/<slug>/exceptions", methods=["GET", "POST"])
@signed_in
def exceptions(slug: str) -> ResponseReturnValue:
    """Let a draft ask for an amount outside the request rule; its applicant tells its address."""
    programme = officers_programme(slug)
    form = ExceptionForm()
    if form.validate_on_submit():
        try:
            applications.allow_exception(
                db(), form.application_id(), officer=current_person(), reason=form.reason.data or "", now=utc_now()
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("That request may be outside the rule now.")
            return redirect(url_for(".show", slug=slug), code=303)
    return page(
        "grants/programmes/exception.html", form=form, programme=programme, rule=policies.request_rule_in_words(programme, money)
    )


def _grant_step(grant_id: UUID, form: Form, steps: dict[str, tuple[Callable[[], object], str]], step: str) -> ResponseReturnValue:
    """Do one named step and say so; a refusal is shown above the grant."""
    _officers_grant(grant_id)
    act, done = steps.get(step, (None, ""))
    if act is None:
        return redirect(url_for(".grant", grant_id=grant_id), code=303)
    if form.validate_on_submit():
        try:
            act()
        except DomainError as error:
            refused(form, error)
        else:
            flash(done)
            return redirect(url_for(".grant", grant_id=grant_id), code=303)
    return _grant_page(_officers_grant(grant_id), form=form)


def _officers_grant(grant_id: UUID) -> Grant:
    found = queries.grant(db(), grant_id)
    reading = request.method == "GET"
    access.require_role(
        db(),
        current_person(),
        Role.PROGRAMME_OFFICER,
        organisation_id=found.programme.organisation_id,
        on=today(),
        reading=reading,
    )
    return found


def _grant_page(found: Grant, *, form: Form | None = None, paper: PaperForm | None = None) -> ResponseReturnValue:
    running = found.status in {GrantStatus.ACTIVE, GrantStatus.SUSPENDED}
    return page(
        "grants/grants/manage.html",
        grant=found,
        form=form,
        paper=paper or PaperForm(formdata=None),
        now=utc_now(),
        waiting_reports=[report for report in found.reports if report.status is ReportStatus.SUBMITTED],
        accepted={r.instalment_id for r in found.reports if r.status is ReportStatus.ACCEPTED},
        running=running,
        over=found.status in {GrantStatus.COMPLETED, GrantStatus.TERMINATED},
        paid=Money(sum(part.amount_minor for part in found.instalments if part.status is InstalmentStatus.PAID), found.currency),
        events=queries.grant_history(db(), found),
    )


def _done(application_id: UUID, form: Form, act: Callable[[], None], done: str, **forms: Form) -> ResponseReturnValue:
    """Validate, act and say so; a refusal is shown on the application's page."""
    if form.validate_on_submit():
        try:
            act()
        except DomainError as error:
            refused(form, error)
        else:
            flash(done)
            return redirect(url_for(".application", application_id=application_id), code=303)
    return _application_page(application_id, form=form, **forms)


def _application_page(application_id: UUID, *, form: Form | None = None, **forms: Form) -> ResponseReturnValue:
    person, on = current_person(), today()
    found = queries.application(db(), application_id)
    if not queries.may_work_on(db(), found, person, on=on):
        raise NotAllowed(f"This page is for officers and reviewers of {found.programme.organisation.name}.")
    own = queries.review_of(db(), found.id, person.id)
    if own is not None and own.status is ReviewStatus.ASSIGNED:
        return redirect(url_for("grants.committee.declare", application_id=application_id), code=303)
    officer = queries.is_officer(db(), found.programme, person, on=on)
    readable = queries.may_read_reviews(db(), found, person, on=on)
    score = queries.application_score(db(), found) if readable else None
    return page(
        "grants/reviews/application.html",
        form=form,
        application=found,
        grant=queries.grant_of_application(db(), found.id),
        officer=officer,
        readable=readable,
        own=own,
        recused=queries.has_recused(db(), found, person),
        reviews=queries.reviews_of(db(), found.id),
        counting={scored.review.id: policies.shown_score(scored.score) for scored in queries.counting_reviews(db(), found)}
        if readable
        else {},
        score=policies.shown_score(score),
        enough=len(queries.counting_reviews(db(), found)) >= found.programme.reviews_min,
        flags=queries.flags_on(db(), found.id),
        declarations=queries.declarations_on(db(), found),
        payees=PAYEES,
        reading=manifests.newest(db(), found.id),
        screening=forms.get("screening")
        or (screening_form(found.programme.checks) if found.status is ApplicationStatus.SUBMITTED else None),
        assign=forms.get("assign")
        or (
            _assign_form(found.programme_id)
            if found.status in {ApplicationStatus.SCREENED, ApplicationStatus.IN_REVIEW}
            else None
        ),
        events=audit.history(db(), found),
    )


def _assign_form(programme_id: UUID) -> AssignForm:
    form = AssignForm()
    programme = queries.programme_by_id(db(), programme_id)
    people = queries.reviewers(db(), programme, on=today())
    form.reviewers.choices = [(str(person.id), person.name) for person in people]
    return form
