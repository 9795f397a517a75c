"""The public register: grants that were accepted. An offer is not public before its recipient has answered."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Select, extract, func, or_, select
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.money import Money
from grants.models import (
    ConflictDeclaration,
    ConflictFlag,
    ConflictOutcome,
    Decision,
    Grant,
    Instalment,
    InstalmentStatus,
    Programme,
    Round,
    Vote,
)
from grants.policies import Standing
from grants.queries.programmes import open_rounds, standing


@dataclass(frozen=True)
class Total:
    """A sum over the register in one currency. `at_least`: some amounts are undisclosed and not in it."""

    money: Money
    paid: Money
    grants: int
    undisclosed: int

    @property
    def at_least(self) -> bool:
        return self.undisclosed > 0


@dataclass(frozen=True)
class Overview:
    """A programme as the public sees it."""

    programme: Programme
    standing: Standing
    open_rounds: list[Round]
    grants: int


def public_grants(*, programme_slug: str | None = None, year: int | None = None, project_id: UUID | None = None) -> Select[Grant]:
    """The grants of the register, to be paged by (awarded_on, id)."""
    statement = select(Grant).where(Grant.accepted_at.is_not(None))
    if programme_slug:
        statement = statement.join(Grant.programme).where(Programme.slug == programme_slug)
    if year is not None:
        statement = statement.where(extract("year", Grant.awarded_on) == year)
    if project_id is not None:
        statement = statement.where(Grant.project_id == project_id)
    return statement


def public_grant(session: Session, grant_id: UUID) -> Grant:
    """One grant of the register.

    Raises:
        NotFound: none of this id, or not accepted yet.
    """
    found = session.get(Grant, grant_id)
    if found is None or found.accepted_at is None:
        raise NotFound("There is no such grant in the register.")
    return found


def totals(session: Session, statement: Select[Grant]) -> list[Total]:
    """Sums over a selection of the register, one per currency: what was granted (less what went back) and what was paid."""
    ids = statement.with_only_columns(Grant.id).order_by(None)
    paid: dict[str, int] = {
        currency: int(sum_)
        for currency, sum_ in session.execute(
            select(Grant.currency, func.sum(Instalment.amount_minor))
            .join(Instalment.grant)
            .where(Grant.id.in_(ids), ~Grant.amount_undisclosed, Instalment.status == InstalmentStatus.PAID)
            .group_by(Grant.currency)
        )
    }
    rows = session.execute(
        select(
            Grant.currency,
            func.count(),
            func.count().filter(Grant.amount_undisclosed),
            func.coalesce(func.sum(Grant.amount_minor - Grant.returned_minor).filter(~Grant.amount_undisclosed), 0),
        )
        .where(Grant.id.in_(ids))
        .group_by(Grant.currency)
        .order_by(Grant.currency)
    )
    return [
        Total(Money(int(granted), currency), Money(paid.get(currency, 0), currency), count, undisclosed)
        for currency, count, undisclosed, granted in rows
    ]


def years_of_register(session: Session) -> list[int]:
    """The calendar years with grants in the register, newest first."""
    year = extract("year", Grant.awarded_on)
    return [
        int(one) for one in session.scalars(select(year).where(Grant.accepted_at.is_not(None)).distinct().order_by(year.desc()))
    ]


def overview(session: Session, programme: Programme, *, on: date) -> Overview:
    """A programme with what is left of its year and what can be applied to."""
    return Overview(
        programme=programme,
        standing=standing(session, programme, on=on),
        open_rounds=[round_ for round_ in open_rounds(session, on=on) if round_.programme_id == programme.id],
        grants=session.scalar(select(func.count()).where(Grant.programme_id == programme.id, Grant.accepted_at.is_not(None)))
        or 0,
    )


@dataclass(frozen=True)
class Notes:
    """What the public may know about conflicts around one grant. Members are not named."""

    overlaps: list[str]
    disclosed: list[str]
    recused: list[str]

    @property
    def any(self) -> bool:
        return bool(self.overlaps or self.disclosed or self.recused)


def conflict_notes(session: Session, grants: list[Grant]) -> dict[UUID, Notes]:
    """The conflict notes of grants, by grant: two queries for a whole page."""
    by_application = {grant.application_id: grant.id for grant in grants if grant.application_id}
    notes = {grant.id: Notes([], [], []) for grant in grants}
    for flag in session.scalars(
        select(ConflictFlag)
        .where(or_(ConflictFlag.application_id.in_(by_application), ConflictFlag.grant_id.in_(notes)))
        .order_by(ConflictFlag.raised_at, ConflictFlag.sentence)
    ).unique():
        of = flag.grant_id or by_application[_given(flag.application_id)]
        notes[of].overlaps.append(flag.sentence)
    declarations = session.scalars(
        select(ConflictDeclaration)
        .where(ConflictDeclaration.application_id.in_(by_application), ConflictDeclaration.outcome != ConflictOutcome.NONE)
        .order_by(ConflictDeclaration.declared_at, ConflictDeclaration.id)
    ).unique()
    for declaration in declarations:
        notes_of = notes[by_application[_given(declaration.application_id)]]
        kept = notes_of.recused if declaration.outcome is ConflictOutcome.RECUSE else notes_of.disclosed
        kept.append(declaration.reason)
    return notes


def _given(application_id: UUID | None) -> UUID:
    assert application_id is not None, "only what belongs to an application was asked for"
    return application_id


def vote_counts(decision: Decision) -> dict[Vote, int]:
    """How many voted how; the public reads numbers, not names."""
    return {vote: sum(cast.vote is vote for cast in decision.votes) for vote in Vote}
