"""The reviewer's desk, declarations of conflicts, the review form, and the decision."""

from collections.abc import Iterable
from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from core.clock import today, utc_now
from core.errors import DomainError, NotFound
from core.identity.models import Person
from core.web import current_person, db, flash, hooks, page, refused, signed_in
from core.web.filters import money
from core.web.forms import Form
from grants import policies, queries
from grants.applications.forms import PAYEES
from grants.forms import DeclarationForm, YearForm, decision_form, review_form
from grants.models import ApplicationStatus, ConflictOutcome, Recommendation, Review, ReviewStatus
from grants.services import conflicts, decisions, reviews

bp = Blueprint("committee", __name__)
WAITING = {ReviewStatus.ASSIGNED, ReviewStatus.DECLARED}


@hooks.to_do(order=10)
def reviews_to_do(session: Session, person: Person) -> Iterable[hooks.ToDo]:
    """Reviews somebody waits for."""
    waiting = [review for review in queries.desk(session, person) if _waits(review)]
    if waiting:
        yield hooks.ToDo("Reviews to write", url_for("grants.committee.desk"), len(waiting))


@bp.get("/review")
@signed_in
def desk() -> ResponseReturnValue:
    """Everything one was asked to review, and the yearly declarations."""
    person = current_person()
    found = queries.desk(db(), person)
    years = []
    for programme in queries.committees_of(db(), person, on=today()):
        year = policies.programme_year(programme.year_first_month, today())
        years.append((programme, year, queries.has_yearly_declaration(db(), programme, person, year)))
    return page("grants/reviews/desk.html", waiting=[r for r in found if _waits(r)],
                done=[r for r in found if not _waits(r)], years=years)  # fmt: skip


@bp.route("/programmes/<slug>/declaration", methods=["GET", "POST"])
@signed_in
def declare_year(slug: str) -> ResponseReturnValue:
    """The yearly declaration of a member of the committee."""
    programme = queries.any_programme(db(), slug)
    form = YearForm()
    if form.validate_on_submit():
        try:
            conflicts.declare_year(
                db(), programme, person=current_person(), outcome=ConflictOutcome(form.outcome.data),
                reason=form.reason.data or "", now=utc_now(),
            )  # fmt: skip
        except DomainError as error:
            refused(form, error)
        else:
            flash("Your declaration is kept for this year.")
            return redirect(url_for(".desk"), code=303)
    year = policies.programme_year(programme.year_first_month, today())
    return page("grants/reviews/year.html", form=form, programme=programme, year=year)


@bp.route("/review/applications/<uuid:application_id>/declaration", methods=["GET", "POST"])
@signed_in
def declare(application_id: UUID) -> ResponseReturnValue:
    """How one stands to an application: asked before anything of it can be scored."""
    person = current_person()
    application = queries.application(db(), application_id)
    if not queries.is_member(db(), application.programme, person, on=today()):
        raise NotFound("There is no such application for you to review.")
    form = DeclarationForm()
    if form.validate_on_submit():
        try:
            made = conflicts.declare(
                db(), application_id, person=person, outcome=ConflictOutcome(form.outcome.data),
                reason=form.reason.data or "", now=utc_now(),
            )  # fmt: skip
        except DomainError as error:
            refused(form, error)
        else:
            review = queries.review_of(db(), application_id, person.id)
            if made.outcome is ConflictOutcome.RECUSE:
                flash("You stepped back. The reviews stay closed to you until the decision.")
                return redirect(url_for(".desk"), code=303)
            flash("Thank you. What you declared is kept.")
            if review is not None and _waits(review):
                return redirect(url_for(".review", review_id=review.id), code=303)
            return redirect(url_for("grants.manage.application", application_id=application_id), code=303)
    return page(
        "grants/reviews/declaration.html",
        form=form,
        application=application,
        flags=queries.flags_on(db(), application_id),
        touching={flag.id for flag in queries.flags_touching(db(), application, person, on=today())},
    )


@bp.route("/review/<uuid:review_id>", methods=["GET", "POST"])
@signed_in
def review(review_id: UUID) -> ResponseReturnValue:
    """Write a review; conflicts come first."""
    person = current_person()
    try:
        found = reviews.open_review(db(), review_id, reviewer=person)
    except reviews.DeclareFirst:
        waiting = queries.locked_review(db(), review_id)
        return redirect(url_for(".declare", application_id=waiting.application_id), code=303)
    if not _waits(found):
        return redirect(url_for("grants.manage.application", application_id=found.application_id), code=303)
    criteria = found.application.programme.criteria
    form = review_form(criteria)
    if form.validate_on_submit():
        try:
            reviews.submit(
                db(),
                review_id,
                reviewer=person,
                points=form.points(criteria),
                recommendation=Recommendation(form.recommendation.data),
                comment=form.comment.data or "",
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("Your review is in. You can read the others’ now.")
            return redirect(url_for("grants.manage.application", application_id=found.application_id), code=303)
    application = queries.application(db(), found.application_id)
    return page(
        "grants/reviews/review.html",
        form=form,
        application=application,
        criteria=application.programme.criteria,
        weight_sum=sum(criterion.weight for criterion in application.programme.criteria),
        payees=PAYEES,
    )


@bp.get("/applications/<uuid:application_id>/decision")
@signed_in
def decision_of(application_id: UUID) -> ResponseReturnValue:
    """The decision by the application's own address."""
    return redirect(url_for(".decision", application_id=application_id), code=303)


@bp.route("/review/applications/<uuid:application_id>/decision", methods=["GET", "POST"])
@signed_in
def decision(application_id: UUID) -> ResponseReturnValue:
    """Record the committee's decision with its minute, and offer a grant."""
    officer, on = current_person(), today()
    application = queries.application(db(), application_id)
    queries.require_officer(db(), application.programme, officer, on=on)
    if application.outcome is not None:
        return redirect(url_for("grants.manage.application", application_id=application_id), code=303)
    members = queries.committee(db(), application.programme, on=on)
    form = decision_form(application, members, queries.recused_ids(db(), application))
    if not form.is_submitted():
        form.amount.data, form.months.data, form.decided_on.data = application.requested, application.months, on
    if form.validate_on_submit():
        try:
            made = decisions.decide(
                db(),
                application_id,
                officer=officer,
                votes=form.votes(members),
                minute=form.minute.data or "",
                offer=form.offer(application),
                decided_on=form.decided_on.data,
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The grant is offered; its amount is held." if made.awarded else "The application is declined.")
            return redirect(url_for("grants.manage.application", application_id=application_id), code=303)
    return _decision_page(application_id, form, members)


def _decision_page(application_id: UUID, form: Form, members: list[Person]) -> ResponseReturnValue:
    application = queries.application(db(), application_id)
    readable = queries.may_read_reviews(db(), application, current_person(), on=today())
    programme = application.programme
    return page(
        "grants/decisions/edit.html",
        form=form,
        application=application,
        members=[(member, f"vote_{member.id.hex}") for member in members],
        standing=queries.standing(db(), programme, on=today()),
        available=queries.available(db(), programme),
        rule=policies.request_rule_in_words(programme, money),
        score=policies.shown_score(queries.application_score(db(), application)) if readable else "–",
        counting=len(queries.counting_reviews(db(), application)),
        flags=queries.flags_on(db(), application_id),
        declarations=[d for d in queries.declarations_on(db(), application) if d.outcome is not ConflictOutcome.NONE],
    )


def _waits(review: Review) -> bool:
    return review.status in WAITING and review.application.status is ApplicationStatus.IN_REVIEW
