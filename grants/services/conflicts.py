"""Conflicts of interest: the register, the flags it raises by itself, and what members declare.

Flags and disclosures inform; only a recusal changes anything: the member is closed out of the reviews until the decision, and
neither score nor vote counts.
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.errors import DomainError, InvalidInput, NotAllowed
from core.identity.models import Organisation, Person, Project
from grants import policies, queries
from grants.models import (
    UNDECIDED,
    Application,
    ConflictDeclaration,
    ConflictFlag,
    ConflictOutcome,
    Grant,
    Interest,
    InterestKind,
    LinkKind,
    Programme,
    ProjectLink,
    ReviewStatus,
)
from grants.policies.conflicts import Held, Overlap, Tie, overlaps

HOLDS = {
    InterestKind.HOLDING: "holds a stake in",
    InterestKind.EMPLOYMENT: "employs people of",
    InterestKind.BOARD: "has a seat on the board of",
    InterestKind.FAMILY: "has family ties to",
}
HOLDS_PERSON = HOLDS | {InterestKind.EMPLOYMENT: "is employed by"}


class AlreadyDecided(DomainError):
    """A declaration comes before the decision it could have changed."""

    code = "already_decided"


def record_interest(
    session: Session,
    *,
    holder: Person | Organisation,
    kind: InterestKind,
    subject: Organisation | Project,
    from_on: date,
    actor: Person,
    now: datetime,
    until_on: date | None = None,
    detail: str = "",
    source_url: str | None = None,
) -> Interest:
    """Enter an interest into the register. Undecided applications are looked at again at once.

    Raises:
        NotAllowed: neither one's own interest nor an officer.
        InvalidInput: dates out of order.
    """
    own = isinstance(holder, Person) and holder.id == actor.id
    if not own and not queries.is_any_officer(session, actor, on=now.date()):
        raise NotAllowed("You can enter your own interests; those of others are entered by programme officers.")
    if until_on is not None and until_on <= from_on:
        raise InvalidInput("An interest ends after it begins.", field="until_on")
    interest = Interest(
        holder_person_id=holder.id if isinstance(holder, Person) else None,
        holder_organisation_id=holder.id if isinstance(holder, Organisation) else None,
        kind=kind,
        organisation_id=subject.id if isinstance(subject, Organisation) else None,
        project_id=subject.id if isinstance(subject, Project) else None,
        detail=detail.strip(),
        source_url=source_url,
        from_on=from_on,
        until_on=until_on,
        recorded_at=now,
    )
    session.add(interest)
    session.flush()
    audit.record(session, "interest.recorded", interest, actor=actor, at=now)
    _look_again(session, now)
    return interest


def record_link(
    session: Session,
    *,
    project: Project,
    kind: LinkKind,
    other: Organisation | Project,
    from_on: date,
    actor: Person,
    now: datetime,
    source_url: str | None = None,
) -> ProjectLink:
    """Enter that an organisation uses or owns a project, or that it depends on another one.

    Raises:
        NotAllowed: not an officer.
        InvalidInput: the kind of link does not fit what it points to.
    """
    if not queries.is_any_officer(session, actor, on=now.date()):
        raise NotAllowed("Links between projects and organisations are entered by programme officers.")
    if isinstance(other, Project) != (kind is LinkKind.DEPENDS_ON):
        raise InvalidInput("A project depends on a project; it is used or owned by an organisation.", field="kind")
    link = ProjectLink(
        project_id=project.id,
        kind=kind,
        organisation_id=other.id if isinstance(other, Organisation) else None,
        other_project_id=other.id if isinstance(other, Project) else None,
        source_url=source_url,
        from_on=from_on,
        recorded_at=now,
    )
    session.add(link)
    session.flush()
    audit.record(session, "project_link.recorded", link, actor=actor, at=now)
    _look_again(session, now)
    return link


def raise_flags(session: Session, application: Application, *, now: datetime) -> list[ConflictFlag]:
    """Match the register with what hangs on the application's project, and keep every overlap found. Returns the new ones.

    Whose interests count: the programme's organisation, the organisations its reviewers and officers belong to, and those
    people themselves.
    """
    assert application.project is not None, "a submitted application has its project"
    known = set(session.scalars(select(ConflictFlag.interest_id).where(ConflictFlag.application_id == application.id)))
    flags = [
        ConflictFlag(application_id=application.id, interest_id=interest_id, sentence=sentence, raised_at=now)
        for interest_id, sentence in _found(session, application.programme, application.project, on=now.date())
        if interest_id not in known
    ]
    session.add_all(flags)
    session.flush()
    for flag in flags:
        audit.record(session, "application.overlap_flagged", application, actor=None, at=now, sentence=flag.sentence)
    return flags


def raise_flags_on_grant(session: Session, grant: Grant, *, now: datetime) -> list[ConflictFlag]:
    """The overlaps of a grant made elsewhere, by the register's facts of the day it was awarded."""
    flags = [
        ConflictFlag(grant_id=grant.id, interest_id=interest_id, sentence=sentence, raised_at=now)
        for interest_id, sentence in _found(session, grant.programme, grant.project, on=grant.awarded_on)
    ]
    session.add_all(flags)
    session.flush()
    return flags


def declare(
    session: Session,
    application_id: UUID,
    *,
    person: Person,
    outcome: ConflictOutcome,
    reason: str,
    now: datetime,
) -> ConflictDeclaration:
    """Say how one stands to one application: nothing to declare, an interest to disclose, or stepping back.

    A recusal can't be taken back: whoever steps back has no part in this application any more.

    Raises:
        NotAllowed: not a member of the committee.
        AlreadyDecided: the application has its decision.
        InvalidInput: an interest without its reason.
    """
    application = queries.locked_application(session, application_id)
    if not queries.is_member(session, application.programme, person, on=now.date()):
        raise NotAllowed("Only reviewers and officers of this programme declare conflicts here.")
    if application.status not in UNDECIDED:
        raise AlreadyDecided("This application has its ending; a declaration would change nothing any more.")
    if queries.has_recused(session, application, person):
        raise AlreadyDecided("You stepped back from this application; that stays so.")
    _require_reason(outcome, reason)
    declaration = ConflictDeclaration(
        person_id=person.id,
        programme_id=application.programme_id,
        application_id=application.id,
        outcome=outcome,
        reason=reason.strip(),
        declared_at=now,
    )
    session.add(declaration)
    review = queries.review_of(session, application.id, person.id)
    if review is not None and outcome is ConflictOutcome.RECUSE:
        review.advance(ReviewStatus.RECUSED)
    elif review is not None and review.status is ReviewStatus.ASSIGNED:
        review.advance(ReviewStatus.DECLARED)
    session.flush()
    verb = "application.recused" if outcome is ConflictOutcome.RECUSE else "application.conflict_declared"
    audit.record(session, verb, application, actor=person, at=now, reason=reason.strip() or None, outcome=str(outcome))
    return declaration


def declare_year(
    session: Session, programme: Programme, *, person: Person, outcome: ConflictOutcome, reason: str, now: datetime
) -> ConflictDeclaration:
    """The yearly declaration: it opens the reviews of applications that no flag connects with the member.

    Raises:
        NotAllowed: not a member of the committee.
        InvalidInput: an interest without its reason, or a recusal, which names its application.
    """
    if not queries.is_member(session, programme, person, on=now.date()):
        raise NotAllowed("Only reviewers and officers of this programme declare conflicts here.")
    if outcome is ConflictOutcome.RECUSE:
        raise InvalidInput("A recusal is for one application; declare it there.", field="outcome")
    _require_reason(outcome, reason)
    year = policies.programme_year(programme.year_first_month, now.date())
    declaration = ConflictDeclaration(
        person_id=person.id,
        programme_id=programme.id,
        year=year,
        outcome=outcome,
        reason=reason.strip(),
        declared_at=now,
    )
    session.add(declaration)
    session.flush()
    audit.record(session, "programme.conflicts_declared", programme, actor=person, at=now, year=year, outcome=str(outcome))
    return declaration


def covered_by_year(session: Session, application: Application, person: Person, *, on: date) -> bool:
    """Whether the member's yearly declaration suffices for this application: it exists, and no flag touches the member."""
    year = policies.programme_year(application.programme.year_first_month, on)
    return queries.has_yearly_declaration(session, application.programme, person, year) and not queries.flags_touching(
        session, application, person, on=on
    )


def _found(session: Session, programme: Programme, project: Project, *, on: date) -> list[tuple[UUID, str]]:
    """Every overlap between a programme's committee and a project on a day: the interest, and the whole of it in words."""
    register = queries.interests_around(session, programme, on=on)
    found = overlaps(
        project.id,
        [_tie(link) for link in queries.links(session, on=on)] + queries.parent_ties(session),
        [Held(interest.id, interest.kind, interest.organisation_id or _project_of(interest)) for interest in register],
        depth=programme.overlap_depth,
    )
    by_id = {interest.id: interest for interest in register}
    names = queries.names(session)
    return [(overlap.held.interest_id, _sentence(by_id[overlap.held.interest_id], overlap, project, names)) for overlap in found]


def _require_reason(outcome: ConflictOutcome, reason: str) -> None:
    if outcome is not ConflictOutcome.NONE and not reason.strip():
        raise InvalidInput("Say what the interest is; it is published with the decision, without your name.", field="reason")


def _look_again(session: Session, now: datetime) -> None:
    """The register changed: find what it means for everything still undecided."""
    for application in session.scalars(select(Application).where(Application.status.in_(UNDECIDED))).unique():
        raise_flags(session, application, now=now)


def _tie(link: ProjectLink) -> Tie:
    other = link.organisation_id or link.other_project_id
    assert other is not None, "a CHECK gives every link its other end"
    return Tie(link.project_id, link.kind, other)


def _project_of(interest: Interest) -> UUID:
    assert interest.project_id is not None, "a CHECK gives every interest its subject"
    return interest.project_id


def _sentence(interest: Interest, overlap: Overlap, project: Project, names: dict[UUID, str]) -> str:
    """ "Sequoia Capital holds a stake in Replicate, which uses vLLM." """
    holder_id = interest.holder_person_id or interest.holder_organisation_id
    words = HOLDS_PERSON if interest.holder_person_id else HOLDS
    assert holder_id is not None, "a CHECK gives every interest its holder"
    holder = names[holder_id] if interest.holder_organisation_id else "A committee member"
    subject = names[overlap.held.subject]
    sentence = f"{holder} {words[interest.kind]} {subject}"
    if not overlap.path:
        return f"{sentence}."
    return f"{sentence}{_how(overlap.path, project, names)}."


def _how(path: tuple[Tie, ...], project: Project, names: dict[UUID, str]) -> str:
    """The path read backwards, from the subject of the interest to the project."""
    words = {
        LinkKind.USED_BY: "which uses {}",
        LinkKind.OWNED_BY: "which owns {}",
        LinkKind.DEPENDS_ON: "on which {} depends",
    }
    steps = (words[tie.kind].format(project.name if tie.project == project.id else names[tie.project]) for tie in reversed(path))
    return ", " + ", ".join(steps)
