"""Reads of reviews, declarations and the register of interests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import InstrumentedAttribute

from core.errors import NotAllowed, NotFound
from core.identity.access import is_current
from core.identity.models import Membership, Organisation, Person, Project, Role
from grants.models import (
    Application,
    ApplicationStatus,
    ConflictDeclaration,
    ConflictFlag,
    ConflictOutcome,
    Interest,
    LinkKind,
    Programme,
    ProjectLink,
    Review,
    ReviewStatus,
)
from grants.policies import mean_score, review_score
from grants.policies.conflicts import Tie
from grants.queries.roles import committee, is_member, may_look, require_officer, writes_application


@dataclass(frozen=True)
class Scored:
    """A submitted review with its exact score."""

    review: Review
    score: Fraction


def review_of(session: Session, application_id: UUID, reviewer_id: UUID) -> Review | None:
    """One person's review of one application."""
    return session.scalars(
        select(Review).where(Review.application_id == application_id, Review.reviewer_id == reviewer_id)
    ).first()


def locked_review(session: Session, review_id: UUID) -> Review:
    """A review with its row locked.

    Raises:
        NotFound: none of this id.
    """
    found = session.scalars(
        select(Review).where(Review.id == review_id).with_for_update(of=Review).execution_options(populate_existing=True)
    ).first()
    if found is None:
        raise NotFound("There is no such review.")
    return found


def reviews_of(session: Session, application_id: UUID) -> list[Review]:
    """Every review of an application, in the order they were asked for, those taken off left out."""
    return list(
        session.scalars(
            select(Review)
            .where(Review.application_id == application_id, Review.status != ReviewStatus.REMOVED)
            .order_by(Review.assigned_at, Review.id)
        ).unique()
    )


def desk(session: Session, reviewer: Person) -> list[Review]:
    """Everything a person was asked to review, what waits first, then the newest."""
    waiting = {ReviewStatus.ASSIGNED, ReviewStatus.DECLARED}
    rows = session.scalars(
        select(Review).where(Review.reviewer_id == reviewer.id, Review.status != ReviewStatus.REMOVED)
    ).unique()
    return sorted(
        rows,
        key=lambda r: (
            not (r.status in waiting and r.application.status is ApplicationStatus.IN_REVIEW),
            -r.assigned_at.timestamp(),
        ),
    )


def counting_reviews(session: Session, application: Application) -> list[Scored]:
    """The submitted reviews of members who did not step back, with their exact scores."""
    recused = recused_ids(session, application)
    return [
        Scored(review, review_score((s.criterion.weight, s.points, s.points_max) for s in review.scores))
        for review in reviews_of(session, application.id)
        if review.status is ReviewStatus.SUBMITTED and review.reviewer_id not in recused
    ]


def application_score(session: Session, application: Application) -> Fraction | None:
    """The exact mean of the reviews that count."""
    return mean_score(scored.score for scored in counting_reviews(session, application))


def recused_ids(session: Session, application: Application) -> set[UUID]:
    """The members who stepped back from an application."""
    return set(
        session.scalars(
            select(ConflictDeclaration.person_id).where(
                ConflictDeclaration.application_id == application.id,
                ConflictDeclaration.outcome == ConflictOutcome.RECUSE,
            )
        )
    )


def has_recused(session: Session, application: Application, person: Person) -> bool:
    return person.id in recused_ids(session, application)


def may_read_reviews(session: Session, application: Application, person: Person, *, on: date) -> bool:
    """Whether a person may read what others wrote.

    Who stepped back, not before the decision. A reviewer, after handing in an own review. Officers and the other members of
    the committee, when the reviews are in; officers before that too.
    """
    if writes_application(session, application, person, on=on):
        return False
    decided = application.status is ApplicationStatus.DECIDED
    officer = may_look(session, application.programme, person, on=on)
    if not officer and not is_member(session, application.programme, person, on=on):
        return False
    if decided:
        return True
    if has_recused(session, application, person):
        return False
    own = review_of(session, application.id, person.id)
    if own is not None and own.status is not ReviewStatus.REMOVED:
        return own.status is ReviewStatus.SUBMITTED
    return officer or application.status is ApplicationStatus.SHORTLISTED


def may_read_scores(session: Session, application: Application, person: Person, *, on: date) -> bool:
    """Whether an officer's list shows the score: not to who stepped back, before the decision, and not to who applied."""
    if writes_application(session, application, person, on=on):
        return False
    return application.outcome is not None or not has_recused(session, application, person)


def require_uninvolved_officer(session: Session, application: Application, officer: Person, *, on: date) -> None:
    """Refuse to let anybody lead an application through the committee who applied, or who stepped back from it.

    Raises:
        NotAllowed: no officer of the programme, or one with a part in the application.
    """
    require_officer(session, application.programme, officer, on=on)
    if writes_application(session, application, officer, on=on):
        raise NotAllowed("This is your own application, or of a project you maintain; another officer deals with it.")
    if has_recused(session, application, officer):
        raise NotAllowed("You stepped back from this application; another officer deals with it.")


def has_yearly_declaration(session: Session, programme: Programme, person: Person, year: int) -> bool:
    return (
        session.scalars(
            select(ConflictDeclaration.id)
            .where(
                ConflictDeclaration.programme_id == programme.id,
                ConflictDeclaration.person_id == person.id,
                ConflictDeclaration.year == year,
            )
            .limit(1)
        ).first()
        is not None
    )


def declarations_on(session: Session, application: Application) -> list[ConflictDeclaration]:
    """What members declared about one application, in order."""
    return list(
        session.scalars(
            select(ConflictDeclaration)
            .where(ConflictDeclaration.application_id == application.id)
            .order_by(ConflictDeclaration.declared_at, ConflictDeclaration.id)
        ).unique()
    )


def flags_on(session: Session, application_id: UUID) -> list[ConflictFlag]:
    """The overlaps found for an application, in order."""
    return list(
        session.scalars(
            select(ConflictFlag)
            .where(ConflictFlag.application_id == application_id)
            .order_by(ConflictFlag.raised_at, ConflictFlag.sentence)
        ).unique()
    )


def flags_touching(session: Session, application: Application, person: Person, *, on: date) -> list[ConflictFlag]:
    """The flags of an application that rest on an interest of the person's own, or of an organisation the person is in."""
    organisations = set(
        session.scalars(
            select(Membership.organisation_id).where(
                Membership.person_id == person.id, Membership.organisation_id.is_not(None), is_current(on)
            )
        )
    )
    return [
        flag
        for flag in flags_on(session, application.id)
        if flag.interest.holder_person_id == person.id or flag.interest.holder_organisation_id in organisations
    ]


def links(session: Session, *, on: date) -> list[ProjectLink]:
    """Every link in force on a day."""
    return list(session.scalars(select(ProjectLink).where(_in_force(ProjectLink.from_on, ProjectLink.until_on, on))))


def parent_ties(session: Session) -> list[Tie]:
    """A project's parent organisation owns it."""
    rows = session.execute(select(Project.id, Project.parent_id).where(Project.parent_id.is_not(None)))
    return [Tie(project_id, LinkKind.OWNED_BY, parent_id) for project_id, parent_id in rows if parent_id]


def interests_around(session: Session, programme: Programme, *, on: date) -> list[Interest]:
    """The interests that matter to a programme: its organisation's, its committee's, and those of the organisations the
    committee's members belong to."""
    people = {person.id for person in committee(session, programme, on=on)}
    organisations = {programme.organisation_id} | set(
        session.scalars(
            select(Membership.organisation_id).where(
                Membership.person_id.in_(people), Membership.organisation_id.is_not(None), is_current(on)
            )
        )
    )
    return list(
        session.scalars(
            select(Interest)
            .where(
                _in_force(Interest.from_on, Interest.until_on, on),
                or_(Interest.holder_person_id.in_(people), Interest.holder_organisation_id.in_(organisations)),
            )
            .order_by(Interest.recorded_at, Interest.id)
        )
    )


def names(session: Session) -> dict[UUID, str]:
    """Names of organisations and projects by id, for sentences about them."""
    found = {row.id: row.name for row in session.execute(select(Organisation.id, Organisation.name))}
    return found | {row.id: row.name for row in session.execute(select(Project.id, Project.name))}


def register(session: Session) -> Sequence[Interest]:
    """The whole register of interests, newest first."""
    return session.scalars(select(Interest).order_by(Interest.recorded_at.desc(), Interest.id)).all()


def committees_of(session: Session, person: Person, *, on: date) -> list[Programme]:
    """The programmes a person reviews for, by an own row of the organisation or of the platform, by name."""
    mine = set(
        session.scalars(
            select(Membership.organisation_id).where(
                Membership.person_id == person.id,
                Membership.project_id.is_(None),
                Membership.role.in_({Role.REVIEWER, Role.PROGRAMME_OFFICER, Role.OWNER}),
                is_current(on),
            )
        )
    )
    programmes = session.scalars(select(Programme).order_by(Programme.name)).unique()
    return [programme for programme in programmes if None in mine or programme.organisation_id in mine]


def _in_force(
    from_on: InstrumentedAttribute[date], until_on: InstrumentedAttribute[date | None], on: date
) -> ColumnElement[bool]:
    return and_(from_on <= on, or_(until_on.is_(None), until_on > on))
