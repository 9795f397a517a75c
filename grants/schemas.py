"""What the public API of programmes and grants gives."""

from datetime import date
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from core.money import Money
from core.web.api import Paging
from grants.applications.schemas import MoneyOut
from grants.models import Grant, GrantStatus, Payee, ProgrammeKind, ProgrammeStatus, Round, RoundStatus
from grants.queries import Notes, Overview, Total


def amount(money: Money) -> MoneyOut:
    """An amount as the API writes it."""
    return MoneyOut(amount=str(money.decimal), currency=money.currency)


def money_out(money: Money | None) -> MoneyOut | None:
    """An amount, or none."""
    return None if money is None else amount(money)


class RoundOut(BaseModel):
    """One call of a programme."""

    id: UUID
    name: str
    theme: str
    status: RoundStatus
    opens_on: date
    closes_on: date | None = Field(description="The last day; none for a rolling round.")
    decides_on: date | None

    @classmethod
    def of(cls, round_: Round) -> Self:
        return cls(
            id=round_.id,
            name=round_.name,
            theme=round_.theme,
            status=round_.status,
            opens_on=round_.opens_on,
            closes_on=round_.closes_on,
            decides_on=round_.decides_on,
        )


class ProgrammeOut(BaseModel):
    """One public programme, its rules, and what is left of its year."""

    slug: str
    name: str
    kind: ProgrammeKind
    status: ProgrammeStatus
    funder: str
    summary: str
    currency: str
    annual_cap: MoneyOut | None
    award_cap: MoneyOut | None
    request_min: MoneyOut | None
    request_step: MoneyOut | None
    request_max: MoneyOut | None
    places_per_year: int | None
    year: int = Field(description="The programme year the next three figures are about.")
    committed: MoneyOut = Field(description="Granted or offered in that year, less what was returned.")
    remaining: MoneyOut | None = Field(description="What the annual cap leaves; none without a cap.")
    places_left: int | None
    grants_made: int
    rounds: list[RoundOut]
    is_demo: bool

    @classmethod
    def of(cls, overview: Overview) -> Self:
        programme, standing = overview.programme, overview.standing
        return cls(
            slug=programme.slug,
            name=programme.name,
            kind=programme.kind,
            status=programme.status,
            funder=programme.organisation.name,
            summary=programme.summary,
            currency=programme.currency,
            annual_cap=money_out(programme.annual_cap),
            award_cap=money_out(programme.award_cap),
            request_min=money_out(programme.request_min),
            request_step=money_out(programme.request_step),
            request_max=money_out(programme.request_max),
            places_per_year=programme.places_per_year,
            year=standing.year,
            committed=amount(standing.committed),
            remaining=money_out(standing.remaining),
            places_left=standing.places_left,
            grants_made=overview.grants,
            rounds=[RoundOut.of(round_) for round_ in programme.rounds],
            is_demo=programme.is_demo,
        )


class ProgrammesOut(BaseModel):
    """Every public programme."""

    items: list[ProgrammeOut]


class GrantOut(BaseModel):
    """One grant of the public register."""

    id: UUID
    programme: str = Field(description="The programme's slug.")
    project: str = Field(description="The project's slug.")
    recipient: str
    status: GrantStatus
    awarded_on: date
    amount: MoneyOut | None = Field(description="None where the amount is undisclosed.")
    returned: MoneyOut | None = Field(description="What went back to the programme; none where the amount is undisclosed.")
    payee: Payee | None
    override_reason: str | None
    overlaps: list[str]
    disclosed: list[str]
    recused: list[str]
    source_url: str | None
    is_demo: bool

    @classmethod
    def of(cls, grant: Grant, notes: Notes) -> Self:
        hidden = grant.amount_undisclosed
        return cls(
            id=grant.id,
            programme=grant.programme.slug,
            project=grant.project.slug,
            recipient=grant.recipient_name,
            status=grant.status,
            awarded_on=grant.awarded_on,
            amount=None if hidden else money_out(grant.money),
            returned=None if hidden else money_out(grant.returned),
            payee=grant.payee,
            override_reason=grant.override_reason,
            overlaps=notes.overlaps,
            disclosed=notes.disclosed,
            recused=notes.recused,
            source_url=grant.source_url,
            is_demo=grant.is_demo,
        )


class GrantsIn(Paging):
    """Which part of the register."""

    programme: str | None = Field(default=None, description="Only grants of the programme with this slug.")
    year: int | None = Field(default=None, ge=1970, le=2200, description="Only grants awarded in this calendar year.")


class TotalOut(BaseModel):
    """A sum over the whole selection, not only over this page."""

    granted: MoneyOut
    paid: MoneyOut
    grants: int
    undisclosed: int = Field(description="Grants whose amounts are in neither sum: if not 0, the sums are “at least”.")

    @classmethod
    def of(cls, total: Total) -> Self:
        return cls(granted=amount(total.money), paid=amount(total.paid), grants=total.grants, undisclosed=total.undisclosed)


class GrantsOut(BaseModel):
    """A page of the register, newest first."""

    items: list[GrantOut]
    totals: list[TotalOut]
    next_cursor: str | None
