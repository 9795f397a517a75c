"""Reads of the pledge: one member, its year, and the lists behind the dashboard."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, selectinload

from core.audit import Event
from core.db import Base
from core.errors import NotFound
from core.identity.models import Organisation, Person
from core.money import Money
from pledge.models import (
    PAYABLE_INVOICES,
    UNENDED_INVOICES,
    AnnualReport,
    CardLimit,
    InKindHelp,
    InstalmentStatus,
    InstalmentWay,
    PayIn,
    PayInInvoice,
    PayInRefund,
    PayInStatus,
    Pledge,
    PledgeInstalment,
    PledgeMember,
    PledgeMinimum,
    PledgePayment,
    RefundStatus,
    Reminder,
    RenewalRule,
    StripeCustomer,
    StripeEvent,
)
from pledge.policies.membership import Renewal, renewal, rule_on
from pledge.policies.standing import Concentration, Standing, concentration


def minimums(session: Session) -> Sequence[PledgeMinimum]:
    """The dated table of minimums, oldest first."""
    return session.scalars(select(PledgeMinimum).order_by(PledgeMinimum.currency, PledgeMinimum.valid_from)).all()


def renewal_rules(session: Session) -> Sequence[RenewalRule]:
    """The dated renewal rules, oldest first."""
    return session.scalars(select(RenewalRule).order_by(RenewalRule.valid_from)).all()


def member_by_slug(session: Session, slug: str) -> PledgeMember:
    """The member whose organisation has this slug.

    Raises:
        NotFound: no such organisation, or it never pledged.
    """
    found = session.scalars(select(PledgeMember).join(PledgeMember.organisation).where(Organisation.slug == slug)).first()
    if found is None:
        raise NotFound(f"There is no company “{slug}” in the pledge; /pledges lists those there are.")
    return found


def member_of_organisation(session: Session, organisation_id: UUID) -> PledgeMember | None:
    """The membership of an organisation, if it ever pledged."""
    return session.scalars(select(PledgeMember).where(PledgeMember.organisation_id == organisation_id)).first()


def locked_member(session: Session, member_id: UUID) -> PledgeMember:
    """The member, locked until the end of the transaction: everything that moves its state goes through here.

    Raises:
        NotFound: no such member.
    """
    found = session.get(PledgeMember, member_id, with_for_update={"of": PledgeMember}, populate_existing=True)
    if found is None:
        raise NotFound("There is no such member.")
    return found


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


def reports_of(session: Session, member: PledgeMember) -> Sequence[AnnualReport]:
    """The reports of a member that stand, newest first."""
    return session.scalars(
        select(AnnualReport)
        .where(AnnualReport.member_id == member.id, AnnualReport.superseded_at.is_(None))
        .order_by(AnnualReport.report_on.desc(), AnnualReport.year.desc())
    ).all()


def latest_report_of(session: Session, members: Sequence[PledgeMember]) -> dict[UUID, AnnualReport]:
    """The latest report of each of these members that has one."""
    rows = session.scalars(
        select(AnnualReport)
        .where(AnnualReport.member_id.in_([member.id for member in members]), AnnualReport.superseded_at.is_(None))
        .ext(distinct_on(AnnualReport.member_id))
        .order_by(AnnualReport.member_id, AnnualReport.report_on.desc(), AnnualReport.year.desc())
    )
    return {report.member_id: report for report in rows}


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


def renewal_of(session: Session, member: PledgeMember, *, on: date) -> Renewal | None:
    """The renewal dates of a member as of a day, with its exception for the coming due day; none without a report."""
    latest = session.scalar(
        select(func.max(AnnualReport.report_on)).where(
            AnnualReport.member_id == member.id, AnnualReport.superseded_at.is_(None), AnnualReport.report_on <= on
        )
    )
    return renewal_from(member, latest, renewal_rules(session)) if latest else None


def renewal_from(member: PledgeMember, latest: date, rules: Sequence[RenewalRule]) -> Renewal:
    """The renewal dates that follow from a latest report, exceptions considered."""
    rule = rule_on(rules, latest)
    plain = renewal(latest, rule)
    until = max((row.until_on for row in member.exceptions if row.due_on == plain.due_on), default=None)
    return renewal(latest, rule, exception_until=until) if until else plain


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


def instalments_of(session: Session, pledge: Pledge) -> Sequence[PledgeInstalment]:
    """The instalments of a period, newest first."""
    return session.scalars(
        select(PledgeInstalment).where(PledgeInstalment.pledge_id == pledge.id).order_by(PledgeInstalment.entered_at.desc())
    ).all()


def pay_ins(session: Session, *statuses: InstalmentStatus, limit: int | None = 100) -> Sequence[PledgeInstalment]:
    """Instalments in these states that come by transfer, or still may; longest waiting first."""
    unpaid = PledgeInstalment.status == InstalmentStatus.AWAITING_PAYMENT
    return session.scalars(
        select(PledgeInstalment)
        .where(PledgeInstalment.status.in_(statuses), or_(PledgeInstalment.way == InstalmentWay.TRANSFER, unpaid))
        .order_by(PledgeInstalment.entered_at)
        .limit(limit)
    ).all()


def settled_instalments(session: Session, *, limit: int = 50) -> Sequence[PledgeInstalment]:
    """What finance has dealt with, newest first."""
    done = (InstalmentStatus.SETTLED, InstalmentStatus.FAILED)
    return session.scalars(
        select(PledgeInstalment)
        .where(PledgeInstalment.status.in_(done), PledgeInstalment.way == InstalmentWay.TRANSFER)
        .order_by(func.coalesce(PledgeInstalment.confirmed_at, PledgeInstalment.entered_at).desc())
        .limit(limit)
    ).all()


def names_of_confirmers(session: Session) -> dict[UUID, str]:
    """The names behind confirmed_by_id and entered_by_id of instalments."""
    ids = select(PledgeInstalment.confirmed_by_id).union(select(PledgeInstalment.entered_by_id))
    return {row[0]: row[1] for row in session.execute(select(Person.id, Person.name).where(Person.id.in_(ids))).all()}


def names_of(session: Session, people: Collection[UUID]) -> dict[UUID, str]:
    """The names of these people."""
    return {row[0]: row[1] for row in session.execute(select(Person.id, Person.name).where(Person.id.in_(people))).all()}


def instalment(session: Session, instalment_id: UUID) -> PledgeInstalment:
    """One instalment, to look at.

    Raises:
        NotFound: no such instalment.
    """
    found = session.get(PledgeInstalment, instalment_id)
    if found is None:
        raise NotFound("There is no such instalment.")
    return found


def instalment_by_reference(session: Session, reference: str) -> PledgeInstalment:
    """The instalment that a company writes this reference on.

    Raises:
        NotFound: no such instalment.
    """
    found = session.scalars(select(PledgeInstalment).where(PledgeInstalment.reference == reference.strip().upper())).first()
    if found is None:
        raise NotFound(f"There is no instalment with the reference {reference[:40]}.")
    return found


def locked_instalment(session: Session, instalment_id: UUID) -> PledgeInstalment:
    """The instalment, locked: it is confirmed once. Its pay-ins are read again too: what it counts for depends on all of them.

    Raises:
        NotFound: no such instalment.
    """
    found = session.get(
        PledgeInstalment,
        instalment_id,
        options=[selectinload(PledgeInstalment.pay_ins).selectinload(PayIn.movements)],
        with_for_update={"of": PledgeInstalment},
        populate_existing=True,
    )
    if found is None:
        raise NotFound("There is no such instalment.")
    return found


def pay_in(session: Session, pay_in_id: UUID) -> PayIn:
    """One pay-in, to look at.

    Raises:
        NotFound: no such pay-in.
    """
    found = session.get(PayIn, pay_in_id)
    if found is None:
        raise NotFound("There is no such pay-in.")
    return found


def locked_pay_in(session: Session, pay_in_id: UUID) -> PayIn:
    """The pay-in, locked: what the provider says is applied one answer at a time.

    Raises:
        NotFound: no such pay-in.
    """
    found = session.get(PayIn, pay_in_id, with_for_update={"of": PayIn}, populate_existing=True)
    if found is None:
        raise NotFound("There is no such pay-in.")
    return found


def latest_customer(session: Session, organisation_id: UUID) -> StripeCustomer | None:
    """The company as the provider knew it last."""
    newest = (StripeCustomer.created_at.desc(), StripeCustomer.customer_id.desc())
    return session.scalars(
        select(StripeCustomer).where(StripeCustomer.organisation_id == organisation_id).order_by(*newest).limit(1)
    ).first()


def customers_of(session: Session, organisation_id: UUID) -> set[str]:
    """Every id of a company at the provider."""
    found = select(StripeCustomer.customer_id).where(StripeCustomer.organisation_id == organisation_id)
    return set(session.scalars(found))


def existing_pay_in(session: Session, pay_in_id: UUID) -> UUID | None:
    """The id, if a pay-in has it: metadata at the provider may name one of another installation."""
    return session.scalar(select(PayIn.id).where(PayIn.id == pay_in_id))


def refund(session: Session, refund_id: UUID) -> PayInRefund:
    """One refund, to look at.

    Raises:
        NotFound: no such refund.
    """
    found = session.get(PayInRefund, refund_id)
    if found is None:
        raise NotFound("There is no such refund.")
    return found


def locked_refund(session: Session, refund_id: UUID) -> PayInRefund:
    """The refund, locked: it is approved and sent once.

    Raises:
        NotFound: no such refund.
    """
    found = session.get(PayInRefund, refund_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound("There is no such refund.")
    return found


def refunds_to_approve(session: Session, person: Person) -> int:
    """How many refunds wait for somebody who did not ask for them."""
    waiting = select(func.count()).where(PayInRefund.status == RefundStatus.ASKED, PayInRefund.asked_by_id != person.id)
    return session.scalar(waiting) or 0


def disputed_pay_ins(session: Session) -> int:
    """How many pay-ins a bank wants back."""
    return session.scalar(select(func.count()).where(PayIn.status == PayInStatus.DISPUTED)) or 0


def pay_in_by_object(session: Session, object_id: str) -> PayIn | None:
    """The pay-in whose session, invoice or payment at the provider this is."""
    places = (PayIn.session_id == object_id, PayIn.payment_id == object_id, PayInInvoice.invoice_id == object_id)
    return session.scalars(select(PayIn).outerjoin(PayIn.invoice).where(or_(*places))).first()


def unfinished_pay_ins(session: Session) -> Sequence[UUID]:
    """Pay-ins that may still change by themselves, the oldest first: with a page, or with an invoice that has not ended."""
    unfinished = PayIn.status.in_((PayInStatus.OPEN, PayInStatus.PROCESSING, PayInStatus.PAID))
    by_page = and_(unfinished, PayIn.session_id.is_not(None))
    by_invoice = and_(PayInInvoice.pay_in_id.is_not(None), or_(unfinished, PayInInvoice.standing.in_(UNENDED_INVOICES)))
    query = select(PayIn.id).outerjoin(PayIn.invoice).where(or_(by_page, by_invoice))
    return session.scalars(query.order_by(PayIn.started_at)).all()


def overdue_invoices(session: Session, *, on: date) -> Sequence[PayIn]:
    """Invoices that should have been paid by now, the longest overdue first."""
    late = (PayInInvoice.standing.in_(PAYABLE_INVOICES), PayInInvoice.due_on < on)
    return session.scalars(select(PayIn).join(PayIn.invoice).where(*late).order_by(PayInInvoice.due_on, PayIn.id)).all()


def latest_invoice_of(session: Session, organisation_id: UUID) -> PayInInvoice | None:
    """The invoice that a company asked for last: whom it names is likely right for the next one, too."""
    mine = select(PayInInvoice).join(PayInInvoice.pay_in).join(PayIn.instalment).join(PledgeInstalment.pledge).join(Pledge.member)
    newest = mine.where(PledgeMember.organisation_id == organisation_id).order_by(PayIn.started_at.desc())
    return session.scalars(newest.limit(1)).first()


def recent_pay_ins(session: Session, *, limit: int = 100) -> Sequence[PayIn]:
    """Pay-ins through the provider, those that need eyes first, then the newest."""
    trouble = PayIn.status.in_((PayInStatus.DISPUTED, PayInStatus.LOST, PayInStatus.FAILED))
    return session.scalars(select(PayIn).order_by(trouble.desc(), PayIn.started_at.desc()).limit(limit)).all()


def payment_of_instalment(session: Session, instalment: PledgeInstalment) -> PledgePayment | None:
    """What an instalment counts for now."""
    return session.scalars(
        select(PledgePayment).where(PledgePayment.instalment_id == instalment.id, PledgePayment.superseded_at.is_(None))
    ).first()


def instalments_with_receipts(session: Session, pledge: Pledge) -> set[UUID]:
    """The instalments of a period of which money settled and stayed."""
    found = session.scalars(
        select(PledgePayment.instalment_id).where(
            PledgePayment.pledge_id == pledge.id, PledgePayment.superseded_at.is_(None), PledgePayment.instalment_id.is_not(None)
        )
    )
    return {each for each in found if each is not None}


def card_limits(session: Session) -> Sequence[CardLimit]:
    """The dated table of card limits, oldest first."""
    return session.scalars(select(CardLimit).order_by(CardLimit.currency, CardLimit.valid_from)).all()


def waiting_events(session: Session, *, before: datetime | None = None, limit: int = 1000) -> Sequence[StripeEvent]:
    """Notices nobody has handled, of those that came before a moment if it is given; the longest waiting first."""
    query = select(StripeEvent).where(StripeEvent.handled_at.is_(None))
    if before is not None:
        query = query.where(StripeEvent.received_at < before)
    return session.scalars(query.order_by(StripeEvent.received_at).limit(limit)).all()


def latest_event_at(session: Session) -> datetime | None:
    """By the provider's clock, the newest notice known here."""
    return session.scalar(select(func.max(StripeEvent.created_at)))


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


def open_reminders(session: Session, member: PledgeMember) -> Sequence[Reminder]:
    """Notices nobody has set aside, newest first."""
    return session.scalars(
        select(Reminder)
        .where(Reminder.member_id == member.id, Reminder.dismissed_at.is_(None))
        .order_by(Reminder.created_at.desc())
    ).all()


def members_by_status(session: Session, *conditions: ColumnElement[bool]) -> Sequence[PledgeMember]:
    """Members under some condition, in the order in which they came."""
    return session.scalars(select(PledgeMember).where(*conditions).order_by(PledgeMember.created_at, PledgeMember.id)).all()


def latest_reports(session: Session, *, on: date) -> dict[UUID, date]:
    """Every member's latest report day, as of a day."""
    rows = session.execute(
        select(AnnualReport.member_id, func.max(AnnualReport.report_on))
        .where(AnnualReport.superseded_at.is_(None), AnnualReport.report_on <= on)
        .group_by(AnnualReport.member_id)
    ).all()
    return {row[0]: row[1] for row in rows}
