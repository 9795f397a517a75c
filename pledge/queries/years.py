"""Reads of one year of a member: its figures, payments, help in kind, reports, and what was done to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select, tuple_
from sqlalchemy.orm import Session

from core.audit import Event
from core.db import Base
from core.errors import NotFound
from core.money import Money
from pledge.models import (
    AnnualReport,
    InKindHelp,
    PayIn,
    PayInRefund,
    Pledge,
    PledgeInstalment,
    PledgeMember,
    PledgePayment,
)
from pledge.policies.standing import Concentration, Standing, concentration


def locked_pledge(session: Session, pledge_id: UUID) -> Pledge:
    """The pledge, locked: its payments and its report change one at a time.

    Raises:
        NotFound: no such pledge.
    """
    found = session.get(Pledge, pledge_id, with_for_update={"of": Pledge}, populate_existing=True)
    if found is None:
        raise NotFound("There is no such period.")
    return found


def pledges_of(session: Session, member: PledgeMember) -> Sequence[Pledge]:
    """The periods of a member, newest first."""
    return session.scalars(
        select(Pledge).where(Pledge.member_id == member.id).order_by(Pledge.ends_on.desc(), Pledge.id.desc())
    ).all()


def pledge_by_label(session: Session, member: PledgeMember, label: str) -> Pledge:
    """A member's period by its label.

    Raises:
        NotFound: the member has no such period.
    """
    found = session.scalars(select(Pledge).where(Pledge.member_id == member.id, Pledge.label == label)).first()
    if found is None:
        raise NotFound(f"{member.name} has entered no period “{label}”.")
    return found


def reports_of_year(session: Session, member: PledgeMember, year: str) -> Sequence[AnnualReport]:
    """The reports under one year's label, newest first, corrected ones included; the first that stands is the one to show.

    Raises:
        NotFound: nothing was published under this label.
    """
    found = session.scalars(
        select(AnnualReport)
        .where(AnnualReport.member_id == member.id, AnnualReport.year == year)
        .order_by(AnnualReport.superseded_at.is_not(None), AnnualReport.report_on.desc(), AnnualReport.published_at.desc())
    ).all()
    if not found:
        raise NotFound(f"{member.name} has published no report for {year}.")
    return found


def report_of_pledge(session: Session, pledge: Pledge) -> AnnualReport | None:
    """The report that stands for a period."""
    return session.scalars(
        select(AnnualReport).where(AnnualReport.pledge_id == pledge.id, AnnualReport.superseded_at.is_(None))
    ).first()


@dataclass(frozen=True, slots=True)
class YearFigures:
    """What a period amounts to."""

    standing: Standing
    not_counted: Money
    """Payments that were entered and don't count, in the pledge's currency where they had a rate."""
    payments: int
    counting: int
    concentration: Concentration | None


def year_figures(session: Session, pledge: Pledge) -> YearFigures:
    """The sums of a period from its payments that stand."""
    stands = (PledgePayment.pledge_id == pledge.id, PledgePayment.superseded_at.is_(None))
    by_payee = session.execute(
        select(PledgePayment.payee, func.sum(PledgePayment.counted_minor))
        .where(*stands, PledgePayment.eligible)
        .group_by(PledgePayment.payee)
        .order_by(PledgePayment.payee)
    ).all()
    rest, count, counting = session.execute(
        select(
            func.coalesce(
                func.sum(PledgePayment.amount_minor).filter(~PledgePayment.eligible, PledgePayment.currency == pledge.currency),
                0,
            ),
            func.count(),
            func.count().filter(PledgePayment.eligible),
        ).where(*stands)
    ).one()
    paid = Money(sum(int(amount) for _, amount in by_payee), pledge.currency)
    return YearFigures(
        standing=Standing(pledge.developers, pledge.minimum, paid),
        not_counted=Money(int(rest), pledge.currency),
        payments=count,
        counting=counting,
        concentration=concentration((payee, Money(int(amount), pledge.currency)) for payee, amount in by_payee),
    )


def payments_of(
    session: Session, pledge: Pledge, *, after: tuple[date, UUID] | None = None, limit: int | None = 50
) -> Sequence[PledgePayment]:
    """The payments of a period that stand, newest first, `limit` (none: all) after the key of the last one shown."""
    query = select(PledgePayment).where(PledgePayment.pledge_id == pledge.id, PledgePayment.superseded_at.is_(None))
    if after is not None:
        query = query.where(tuple_(PledgePayment.paid_on, PledgePayment.id) < tuple_(*after))
    return session.scalars(query.order_by(PledgePayment.paid_on.desc(), PledgePayment.id.desc()).limit(limit)).all()


def superseded_payments(session: Session, pledge: Pledge, *, limit: int = 50) -> Sequence[PledgePayment]:
    """Payments that were corrected or struck out, newest first."""
    return session.scalars(
        select(PledgePayment)
        .where(PledgePayment.pledge_id == pledge.id, PledgePayment.superseded_at.is_not(None))
        .order_by(PledgePayment.superseded_at.desc())
        .limit(limit)
    ).all()


def payment(session: Session, pledge: Pledge, payment_id: UUID) -> PledgePayment:
    """One payment of a period that stands.

    Raises:
        NotFound: no such payment, or it was corrected meanwhile.
    """
    found = session.get(PledgePayment, payment_id)
    if found is None or found.pledge_id != pledge.id or found.superseded_at is not None:
        raise NotFound("This payment is not there any more: somebody corrected it. Open the year again.")
    return found


def in_kind_of(session: Session, member: PledgeMember, year: str) -> Sequence[InKindHelp]:
    """The help in kind of a year that stands, in the order it was entered."""
    return session.scalars(
        select(InKindHelp)
        .where(InKindHelp.member_id == member.id, InKindHelp.year == year, InKindHelp.superseded_at.is_(None))
        .order_by(InKindHelp.entered_at, InKindHelp.id)
    ).all()


def events_of(session: Session, pledge: Pledge, *, limit: int = 30) -> Sequence[Event]:
    """What was done to a period: to itself, its payments, instalments, help in kind and reports; newest first."""
    in_kind = (InKindHelp.member_id == pledge.member_id, InKindHelp.year == pledge.label)
    things: dict[type[Base], Select[UUID]] = {
        Pledge: select(Pledge.id).where(Pledge.id == pledge.id),
        PledgePayment: select(PledgePayment.id).where(PledgePayment.pledge_id == pledge.id),
        PledgeInstalment: select(PledgeInstalment.id).where(PledgeInstalment.pledge_id == pledge.id),
        PayIn: select(PayIn.id).join(PayIn.instalment).where(PledgeInstalment.pledge_id == pledge.id),
        PayInRefund: select(PayInRefund.id)
        .join(PayInRefund.pay_in)
        .join(PayIn.instalment)
        .where(PledgeInstalment.pledge_id == pledge.id),
        AnnualReport: select(AnnualReport.id).where(AnnualReport.pledge_id == pledge.id),
        InKindHelp: select(InKindHelp.id).where(*in_kind),
    }
    whose = [and_(Event.object_type == kind.__tablename__, Event.object_id.in_(ids)) for kind, ids in things.items()]
    return session.scalars(select(Event).where(or_(*whose)).order_by(Event.at.desc(), Event.id.desc()).limit(limit)).all()
