"""Setting up programmes and rounds, and putting money into them."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, ledger
from core.errors import DomainError, InvalidInput, NotAllowed
from core.identity.access import require_role
from core.identity.models import Organisation, Person, Role
from core.money import Money, exponent
from grants import queries
from grants.models import (
    OPERATED_KINDS,
    ApplicationQuestion,
    Criterion,
    PaperworkTemplate,
    Programme,
    ProgrammeKind,
    ProgrammeStatus,
    ScreeningCheck,
)
from pledge.models import MembershipStatus
from pledge.queries import member_of_organisation

RESERVED = frozenset({"mine", "new"})
"""Addresses under /programmes that are pages of their own."""


class KindNotOperated(DomainError):
    """Programmes of this kind are known, but can't be run from application to grant here."""

    code = "kind_not_operated"


class SlugTaken(DomainError):
    code = "slug_taken"


class RubricInUse(DomainError):
    """Reviews were already written against this rubric."""

    code = "rubric_in_use"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Everything about a programme that its officers can set."""

    name: str
    kind: ProgrammeKind
    summary: str
    currency: str
    terms: str = ""
    annual_cap: Money | None = None
    award_cap: Money | None = None
    places_per_year: int | None = None
    year_first_month: int = 1
    request_min: Money | None = None
    request_step: Money | None = None
    request_max: Money | None = None
    reviews_min: int = 2
    quorum: int = 2
    overlap_depth: int = 2
    offer_days: int = 60
    source_url: str | None = None


@dataclass(frozen=True)
class RubricLine:
    """A criterion to be."""

    name: str
    weight: int
    points_max: int = 5
    guidance: str = ""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What a programme asks and wants: knock-out checks, rubric, questions and paperwork, in order."""

    checks: tuple[tuple[str, str], ...] = ()
    rubric: tuple[RubricLine, ...] = ()
    questions: tuple[ApplicationQuestion, ...] = field(default=())
    paperwork: tuple[tuple[str, str, int], ...] = ()
    """(name, guidance, days expected)"""


def create(
    session: Session, *, slug: str, organisation: Organisation, rules: Rules, actor: Person, now: datetime, is_demo: bool = False
) -> Programme:
    """Begin a programme as a draft only its officers see.

    Raises:
        NotAllowed: not an officer of the organisation, or the organisation was let in by nobody yet.
        KindNotOperated: programmes of this kind can't be run here yet.
        SlugTaken: another programme has this address.
        InvalidInput: a rule that can't be.
    """
    require_role(session, actor, Role.PROGRAMME_OFFICER, organisation_id=organisation.id, on=now.date())
    member = member_of_organisation(session, organisation.id)
    if member is not None and member.status is MembershipStatus.APPLIED:
        raise NotAllowed(f"{organisation.name} asked to join and nobody has looked at it yet; programmes come after that.")
    if rules.kind not in OPERATED_KINDS:
        kinds = " and ".join(sorted(kind.replace("_", " ") for kind in OPERATED_KINDS))
        raise KindNotOperated(f"A {rules.kind.replace('_', ' ')} can't be run here; {kinds} can.")
    if slug in RESERVED or session.scalar(select(Programme.id).where(Programme.slug == slug)):
        raise SlugTaken(f"There is already a programme “{slug}”; choose another address.", field="slug")
    programme = Programme(slug=slug, organisation_id=organisation.id, is_demo=is_demo, created_at=now)
    _write(programme, rules)
    session.add(programme)
    session.flush()
    ledger.ensure_account(
        session, programme.account, programme.currency, normal=ledger.Side.CREDIT, guard=ledger.Guard.CREDIT, name=programme.name
    )
    audit.record(session, "programme.created", programme, actor=actor, at=now)
    return programme


def change(session: Session, programme_id: UUID, *, rules: Rules, actor: Person, now: datetime, reason: str) -> Programme:
    """Change a programme's rules. Grants made keep theirs.

    Raises:
        NotAllowed: not the programme's officer.
        InvalidInput: no reason, another currency, or a rule that can't be.
    """
    programme = queries.locked_programme(session, programme_id)
    queries.require_officer(session, programme, actor, on=now.date())
    if not reason.strip():
        raise InvalidInput("Say why the rules change; it is kept with the change.", field="reason")
    if rules.currency != programme.currency:
        raise InvalidInput(f"{programme.name} is kept in {programme.currency}; that can't change.", field="currency")
    before = {name: getattr(programme, name) for name in _COMPARED}
    _write(programme, rules)
    changed = {name: [before[name], getattr(programme, name)] for name in _COMPARED if before[name] != getattr(programme, name)}
    session.flush()
    audit.record(session, "programme.changed", programme, actor=actor, at=now, reason=reason.strip(), **changed)
    return programme


def set_paper(session: Session, programme_id: UUID, *, paper: Paper, actor: Person, now: datetime) -> Programme:
    """Set the checks, rubric, questions and paperwork of a programme that has not been applied to yet.

    Raises:
        NotAllowed: not the programme's officer.
        RubricInUse: somebody applied or reviewed under the present ones.
        InvalidInput: no rubric.
    """
    programme = queries.locked_programme(session, programme_id)
    queries.require_officer(session, programme, actor, on=now.date())
    if queries.is_applied_to(session, programme.id):
        raise RubricInUse(f"{programme.name} has applications under its present questions and rubric; they stay as they are.")
    if not paper.rubric:
        raise InvalidInput("A rubric has at least one criterion.", field="rubric")
    for rows in (programme.checks, programme.criteria, programme.questions, programme.paperwork):
        for row in list(rows):
            session.delete(row)
    session.flush()
    programme.checks = [
        ScreeningCheck(position=i, label=label, guidance=guidance) for i, (label, guidance) in enumerate(paper.checks, 1)
    ]
    programme.criteria = [
        Criterion(position=i, name=line.name, guidance=line.guidance, weight=line.weight, points_max=line.points_max)
        for i, line in enumerate(paper.rubric, 1)
    ]
    programme.questions = list(paper.questions)
    programme.paperwork = [
        PaperworkTemplate(position=i, name=name, guidance=guidance, days_expected=days)
        for i, (name, guidance, days) in enumerate(paper.paperwork, 1)
    ]
    session.flush()
    audit.record(session, "programme.paper_set", programme, actor=actor, at=now)
    return programme


def publish(session: Session, programme_id: UUID, *, actor: Person, now: datetime) -> Programme:
    """Show a programme to the public.

    Raises:
        NotAllowed: not the programme's officer.
        InvalidInput: it has no rubric to review by.
    """
    programme = queries.locked_programme(session, programme_id)
    queries.require_officer(session, programme, actor, on=now.date())
    if not programme.criteria:
        raise InvalidInput("Set a rubric before publishing: reviewers score by it.", field="rubric")
    programme.advance(ProgrammeStatus.RUNNING)
    audit.record(session, "programme.published", programme, actor=actor, at=now)
    session.flush()
    return programme


def close(session: Session, programme_id: UUID, *, actor: Person, now: datetime, reason: str) -> Programme:
    """End a programme: no more rounds. Its grants run on.

    Raises:
        NotAllowed: not the programme's officer.
        IllegalTransition: it isn't running.
    """
    programme = queries.locked_programme(session, programme_id)
    queries.require_officer(session, programme, actor, on=now.date())
    programme.advance(ProgrammeStatus.CLOSED)
    audit.record(session, "programme.closed", programme, actor=actor, at=now, reason=reason.strip() or None)
    session.flush()
    return programme


_COMPARED = (
    "name", "summary", "terms", "annual_cap_minor", "award_cap_minor", "places_per_year", "year_first_month",
    "request_min_minor", "request_step_minor", "request_max_minor", "reviews_min", "quorum", "overlap_depth", "offer_days",
)  # fmt: skip


def _write(programme: Programme, rules: Rules) -> None:
    exponent(rules.currency)
    for amount in (rules.annual_cap, rules.award_cap, rules.request_min, rules.request_step, rules.request_max):
        if amount is not None and (amount.currency != rules.currency or amount.amount_minor <= 0):
            raise InvalidInput(f"Every limit is an amount above zero in {rules.currency}.", field="annual_cap")
    if rules.request_min and rules.request_max and rules.request_max < rules.request_min:
        raise InvalidInput("The largest request can't be below the smallest.", field="request_max")
    if rules.reviews_min < 2:
        raise InvalidInput("An application is reviewed at least twice.", field="reviews_min")
    if rules.quorum < 1:
        raise InvalidInput("At least one member must be present.", field="quorum")
    if rules.places_per_year is not None and rules.places_per_year < 1:
        raise InvalidInput("Leave the places empty for no limit, or enter at least one.", field="places_per_year")
    if not 1 <= rules.year_first_month <= 12:
        raise InvalidInput("A programme year begins with a month from 1 to 12.", field="year_first_month")
    programme.name, programme.kind, programme.summary, programme.terms = rules.name, rules.kind, rules.summary, rules.terms
    programme.currency = rules.currency
    for name in ("annual_cap", "award_cap", "request_min", "request_step", "request_max"):
        amount = getattr(rules, name)
        setattr(programme, f"{name}_minor", amount.amount_minor if amount else None)
    for name in ("places_per_year", "year_first_month", "reviews_min", "quorum", "overlap_depth", "offer_days", "source_url"):
        setattr(programme, name, getattr(rules, name))
