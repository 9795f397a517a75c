"""Reads of programmes, rounds and fiscal hosts, and what a programme year has used of its limits."""

from datetime import date
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from core import ledger
from core.errors import NotFound
from core.identity.access import organisations_with_role
from core.identity.models import Person, Role
from core.money import Money
from grants.models import Application, FiscalHost, Grant, Programme, ProgrammeStatus, Round, RoundStatus
from grants.policies import Standing, programme_year


def programme(session: Session, slug: str) -> Programme:
    """A programme the public may see.

    Raises:
        NotFound: none of this slug, or still being set up.
    """
    found = session.scalars(select(Programme).where(Programme.slug == slug)).first()
    if found is None or found.status is ProgrammeStatus.DRAFT:
        raise NotFound(f"There is no programme “{slug}”.")
    return found


def any_programme(session: Session, slug: str) -> Programme:
    """A programme, even one that is being set up. For its officers' pages.

    Raises:
        NotFound: none of this slug.
    """
    found = session.scalars(select(Programme).where(Programme.slug == slug)).first()
    if found is None:
        raise NotFound(f"There is no programme “{slug}”.")
    return found


def programme_by_id(session: Session, programme_id: UUID) -> Programme:
    """A programme.

    Raises:
        NotFound: none of this id.
    """
    found = session.get(Programme, programme_id)
    if found is None:
        raise NotFound("There is no such programme.")
    return found


def public_programmes(session: Session) -> list[Programme]:
    """Every programme the public may see, running ones first, by name."""
    return sorted(
        session.scalars(select(Programme).where(Programme.status != ProgrammeStatus.DRAFT)).unique(),
        key=lambda p: (p.status is not ProgrammeStatus.RUNNING, p.name),
    )


def programmes_run_by(session: Session, person: Person, *, on: date) -> list[Programme]:
    """The programmes a person is officer or finance of, by name; administrators see all."""
    everything = list(session.scalars(select(Programme).order_by(Programme.name)).unique())
    if person.is_admin:
        return everything
    organisations = {
        organisation.id
        for role in (Role.PROGRAMME_OFFICER, Role.FINANCE, Role.AUDITOR)
        for organisation in organisations_with_role(session, person, role, on=on)
    }
    return [programme for programme in everything if programme.organisation_id in organisations]


def locked_programme(session: Session, programme_id: UUID) -> Programme:
    """A programme with its row locked: the one lock every award takes first.

    Raises:
        NotFound: none of this id.
    """
    found = session.scalars(
        select(Programme)
        .where(Programme.id == programme_id)
        .with_for_update(of=Programme)
        .execution_options(populate_existing=True)
    ).first()
    if found is None:
        raise NotFound("There is no such programme.")
    return found


def locked_programme_of(session: Session, application_id: UUID) -> Programme:
    """The programme an application was made to, locked.

    Raises:
        NotFound: no such application.
    """
    programme_id = session.scalar(select(Application.programme_id).where(Application.id == application_id))
    if programme_id is None:
        raise NotFound("There is no such application.")
    return locked_programme(session, programme_id)


def public_round(session: Session, round_id: UUID) -> Round:
    """A round of a public programme.

    Raises:
        NotFound: none of this id.
    """
    found = session.get(Round, round_id)
    if found is None or found.programme.status is ProgrammeStatus.DRAFT:
        raise NotFound("There is no such round.")
    return found


def locked_round(session: Session, round_id: UUID) -> Round:
    """A round with its row locked.

    Raises:
        NotFound: none of this id.
    """
    found = session.scalars(
        select(Round).where(Round.id == round_id).with_for_update(of=Round).execution_options(populate_existing=True)
    ).first()
    if found is None:
        raise NotFound("There is no such round.")
    return found


def open_rounds(session: Session, *, on: date) -> list[Round]:
    """The rounds one can apply to on a day, soonest closing first, rolling ones last."""
    rounds = session.scalars(
        select(Round).join(Round.programme).where(Programme.status == ProgrammeStatus.RUNNING, Round.status == RoundStatus.OPEN)
    ).unique()
    return sorted(
        (round_ for round_ in rounds if round_.takes_applications(on)),
        key=lambda r: (r.closes_on or date.max, r.programme.name, r.number),
    )


def rounds_to_move(session: Session, *, on: date) -> list[tuple[UUID, RoundStatus, date | None]]:
    """Rounds of running programmes whose first day has come, or whose last day is over."""
    rows = session.execute(
        select(Round.id, Round.status, Round.closes_on)
        .join(Round.programme)
        .where(
            Programme.status == ProgrammeStatus.RUNNING,
            or_(
                and_(Round.status == RoundStatus.PLANNED, Round.opens_on <= on),
                and_(Round.status == RoundStatus.OPEN, Round.closes_on < on),
            ),
        )
        .order_by(Round.id)
    )
    return [(round_id, status, closes_on) for round_id, status, closes_on in rows]


def standing(session: Session, programme: Programme, *, on: date) -> Standing:
    """What the programme year of a day has used of its limits. Exact only under the programme's lock."""
    year = programme_year(programme.year_first_month, on)
    committed, places = session.execute(
        select(
            func.coalesce(func.sum(Grant.amount_minor - Grant.returned_minor), 0),
            func.count().filter(Grant.amount_minor > Grant.returned_minor),
        ).where(Grant.programme_id == programme.id, Grant.year == year)
    ).one()
    return Standing(
        year=year,
        committed=Money(int(committed), programme.currency),
        places_taken=int(places),
        annual_cap=programme.annual_cap,
        places=programme.places_per_year,
    )


def available(session: Session, programme: Programme) -> Money:
    """The money in the programme that is neither committed nor offered, from the ledger."""
    return Money(ledger.balance(session, programme.account).available, programme.currency)


def grants_in_round(session: Session, round_id: UUID) -> int:
    """How many grants a round has made, those given back whole not counted."""
    return session.scalar(select(func.count()).where(Grant.round_id == round_id, Grant.amount_minor > Grant.returned_minor)) or 0


def fiscal_host(session: Session, host_id: UUID) -> FiscalHost:
    """A fiscal host's fee.

    Raises:
        NotFound: none of this id.
    """
    found = session.get(FiscalHost, host_id)
    if found is None:
        raise NotFound("There is no such fiscal host.")
    return found


def fiscal_host_of(session: Session, organisation_id: UUID, *, on: date) -> FiscalHost | None:
    """The fee a host takes on a day."""
    return session.scalars(
        select(FiscalHost)
        .where(FiscalHost.organisation_id == organisation_id, _in_force(on))
        .order_by(FiscalHost.from_on.desc())
        .limit(1)
    ).first()


def fiscal_hosts(session: Session, *, on: date) -> list[FiscalHost]:
    """The hosts one can choose on a day, by name."""
    hosts = session.scalars(select(FiscalHost).where(_in_force(on))).unique()
    return sorted(hosts, key=lambda host: host.organisation.name)


def _in_force(on: date) -> ColumnElement[bool]:
    return and_(FiscalHost.from_on <= on, or_(FiscalHost.until_on.is_(None), FiscalHost.until_on > on))
