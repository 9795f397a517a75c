"""Assigning reviewers, scoring by the rubric, and the shortlist."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit
from core.errors import DomainError, InvalidInput, NotAllowed, NotFound
from core.identity.models import Person, Role
from grants import queries
from grants.models import Application, ApplicationStatus, Recommendation, Review, ReviewScore, ReviewStatus
from grants.services import conflicts

COMMENT_CHARACTERS_MAX = 8000


class NotAReviewer(DomainError):
    """Only reviewers of the programme's organisation can be assigned."""

    code = "not_a_reviewer"


class DeclareFirst(DomainError):
    """Conflicts come before reading: the review form opens after the declaration."""

    code = "declare_first"


class NotEnoughReviews(DomainError):
    """Too few reviews that count have been submitted."""

    code = "not_enough_reviews"


def assign(
    session: Session, application_id: UUID, *, reviewer_ids: Sequence[UUID], officer: Person, now: datetime
) -> list[Review]:
    """Ask people to review an application. Whose yearly declaration suffices can begin at once.

    Raises:
        NotAllowed: not the programme's officer.
        NotAReviewer: somebody lacks the reviewer role, wrote the application, or maintains its project.
        IllegalTransition: the application isn't screened, or past its reviews.
    """
    application = queries.locked_application(session, application_id)
    queries.require_uninvolved_officer(session, application, officer, on=now.date())
    if application.status is not ApplicationStatus.IN_REVIEW:
        application.advance(ApplicationStatus.IN_REVIEW)
    conflicts.raise_flags(session, application, now=now)
    made = []
    for reviewer_id in dict.fromkeys(reviewer_ids):
        reviewer = session.get(Person, reviewer_id)
        if reviewer is None or not queries.has_programme_role(
            session, application.programme, reviewer, Role.REVIEWER, on=now.date()
        ):
            raise NotAReviewer("Choose reviewers of this programme; an owner of the organisation can give that role.")
        if queries.writes_application(session, application, reviewer, on=now.date()):
            raise NotAReviewer(f"{reviewer.name} applied or maintains the project, and so can't review it.")
        made.append(_assigned(session, application, reviewer, officer, now))
    application.updated_at = now
    session.flush()
    for review in made:
        audit.record(session, "review.assigned", review, actor=officer, at=now)
    return made


def remove(session: Session, review_id: UUID, *, officer: Person, now: datetime) -> Review:
    """Take a reviewer off an application who has not submitted.

    Raises:
        NotFound, NotAllowed: no such review, or not the programme's officer.
        IllegalTransition: the review is submitted or recused.
    """
    review = queries.locked_review(session, review_id)
    queries.require_uninvolved_officer(session, review.application, officer, on=now.date())
    review.advance(ReviewStatus.REMOVED)
    audit.record(session, "review.removed", review, actor=officer, at=now)
    session.flush()
    return review


def open_review(session: Session, review_id: UUID, *, reviewer: Person) -> Review:
    """The review, for its own reviewer, once the conflict question is answered.

    Raises:
        NotFound: no such review of this person.
        DeclareFirst: conflicts are not declared yet.
        NotAllowed: recused or taken off.
    """
    review = session.get(Review, review_id)
    if review is None or review.reviewer_id != reviewer.id:
        raise NotFound("There is no such review of yours.")
    if review.status is ReviewStatus.ASSIGNED:
        raise DeclareFirst("Say first whether anything stands between you and this application.")
    if review.status in {ReviewStatus.RECUSED, ReviewStatus.REMOVED}:
        word = "stepped back from" if review.status is ReviewStatus.RECUSED else "were taken off"
        raise NotAllowed(f"You {word} this application.")
    return review


def submit(
    session: Session,
    review_id: UUID,
    *,
    reviewer: Person,
    points: Mapping[UUID, int],
    recommendation: Recommendation,
    comment: str,
    now: datetime,
) -> Review:
    """Hand in a review: points for every criterion, a recommendation, and what the others should know. Final.

    Raises:
        NotFound, DeclareFirst, NotAllowed: as `open_review`.
        InvalidInput: a criterion without points or outside its bounds, or no comment.
        IllegalTransition: submitted before, or the application is past its reviews.
    """
    review = open_review(session, review_id, reviewer=reviewer)
    application = queries.locked_application(session, review.application_id)
    review = queries.locked_review(session, review_id)
    if application.status is not ApplicationStatus.IN_REVIEW:
        raise NotAllowed(f"This application is {application.status.replace('_', ' ')}; its reviews are closed.")
    if not comment.strip():
        raise InvalidInput("Write what the committee should know; points alone explain nothing.", field="comment")
    if len(comment) > COMMENT_CHARACTERS_MAX:
        raise InvalidInput(f"At most {COMMENT_CHARACTERS_MAX:,} characters.", field="comment")
    criteria = list(application.programme.criteria)
    for criterion in criteria:
        given = points.get(criterion.id)
        if given is None or not 0 <= given <= criterion.points_max:
            raise InvalidInput(f"Give “{criterion.name}” 0 to {criterion.points_max} points.", field=f"points_{criterion.id.hex}")
    review.advance(ReviewStatus.SUBMITTED)
    review.recommendation, review.comment, review.submitted_at = recommendation, comment.strip(), now
    review.scores.extend(
        ReviewScore(criterion_id=criterion.id, points=points[criterion.id], points_max=criterion.points_max)
        for criterion in criteria
    )
    application.updated_at = now
    session.flush()
    audit.record(session, "review.submitted", review, actor=reviewer, at=now)
    return review


def shortlist(session: Session, application_id: UUID, *, officer: Person, now: datetime) -> Application:
    """Put a reviewed application before the committee.

    Raises:
        NotAllowed: not the programme's officer.
        NotEnoughReviews: fewer reviews that count than the programme wants.
        IllegalTransition: the application is not in review.
    """
    application = queries.locked_application(session, application_id)
    queries.require_uninvolved_officer(session, application, officer, on=now.date())
    require_reviews(session, application)
    application.advance(ApplicationStatus.SHORTLISTED)
    application.updated_at = now
    audit.record(session, "application.shortlisted", application, actor=officer, at=now)
    session.flush()
    return application


def require_reviews(session: Session, application: Application) -> None:
    """Refuse to go on with fewer submitted reviews than the programme wants; recused ones don't count.

    Raises:
        NotEnoughReviews
    """
    have, want = len(queries.counting_reviews(session, application)), application.programme.reviews_min
    if have < want:
        raise NotEnoughReviews(
            f"{application.title} has {have} of the {want} reviews it needs; reviews of recused members don't count.",
            have=have,
            want=want,
        )


def _assigned(session: Session, application: Application, reviewer: Person, officer: Person, now: datetime) -> Review:
    review = queries.review_of(session, application.id, reviewer.id)
    if review is None:
        review = Review(
            application_id=application.id, reviewer_id=reviewer.id, assigned_by_id=officer.id, assigned_at=now,
            status=ReviewStatus.ASSIGNED,
        )  # fmt: skip
        session.add(review)
        session.flush()
    elif review.status is ReviewStatus.REMOVED:
        review.advance(ReviewStatus.ASSIGNED)
    if review.status is ReviewStatus.ASSIGNED:
        if queries.has_recused(session, application, reviewer):
            review.advance(ReviewStatus.RECUSED)
        elif conflicts.covered_by_year(session, application, reviewer, on=now.date()):
            review.advance(ReviewStatus.DECLARED)
    return review
