"""From the offer to the end of a grant: accept, decline, paperwork done, suspend, resume, terminate, complete."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Person
from core.money import Money
from grants import queries
from grants.models import (
    FiscalHost,
    Grant,
    GrantStatus,
    InstalmentStatus,
    PaperworkItem,
    PaperworkStatus,
    Payee,
)
from grants.services import instalments, postings
from payouts.models import Recipient, RecipientKind
from payouts.services.recipients import add_recipient


class OfferLapsed(DomainError):
    """The offer's last day is over."""

    code = "offer_lapsed"


class InPayout(DomainError):
    """A payment is under way; the grant can't end around it."""

    code = "instalment_in_payout"


@dataclass(frozen=True, kw_only=True)
class PayeeChoice:
    """How the recipient wants to be paid."""

    payee: Payee
    fiscal_host_id: UUID | None = None
    legal_name: str = ""
    country: str = ""
    """For a direct payment: the name as the bank knows it, and ISO 3166-1 alpha-2."""


def accept(session: Session, grant_id: UUID, *, person: Person, choice: PayeeChoice, now: datetime) -> Grant:
    """Take an offer, choosing who receives the money. The held amount is committed to the grant in the ledger.

    Raises:
        NotFound: no offer of this id to this person.
        OfferLapsed: the offer's last day is over.
        InvalidInput: no host chosen, or no name or country for a direct payment.
        IllegalTransition: answered before.
    """
    grant = queries.own_grant(session, grant_id, person, on=now.date(), lock=True)
    if grant.status is GrantStatus.OFFERED and grant.offer_expires_on and now.date() > grant.offer_expires_on:
        raise OfferLapsed(f"This offer stood until {grant.offer_expires_on:%-d %b %Y}; ask the programme to offer it again.")
    grant.advance(GrantStatus.ACCEPTED)
    grant.accepted_at, grant.accepted_by_id = now, person.id
    if choice.payee is Payee.FISCAL_HOST:
        host = _host(session, choice, now)
        recipient = _recipient_of_host(session, host, person, now)
        grant.payee, grant.fiscal_host, grant.host_fee_percent = choice.payee, host, host.fee_percent
    else:
        recipient = _direct_recipient(session, grant, choice, person, now)
        grant.payee = choice.payee
    grant.recipient = recipient
    postings.commit(session, grant, now=now)
    audit.record(session, "grant.accepted", grant, actor=person, at=now, payee=str(choice.payee))
    _begin_paperwork(session, grant, now)
    session.flush()
    return grant


def decline(session: Session, grant_id: UUID, *, person: Person, reason: str, now: datetime) -> Grant:
    """Turn an offer down; its amount is free for others again.

    Raises:
        NotFound: no offer of this id to this person.
        IllegalTransition: answered before.
    """
    grant = queries.own_grant(session, grant_id, person, on=now.date(), lock=True)
    if grant.status is not GrantStatus.OFFERED:
        raise NotFound("There is no open offer here to turn down.")
    _release_offer(session, grant, f"Declined: {reason.strip() or 'no reason given'}", now)
    audit.record(session, "grant.declined", grant, actor=person, at=now, reason=reason.strip() or None)
    session.flush()
    return grant


def lapse_offers(session: Session, *, now: datetime) -> list[Grant]:
    """End the offers nobody answered in time. For the clock."""
    lapsed = []
    for grant_id in queries.lapsed_offers(session, on=now.date()):
        grant = queries.locked_grant(session, grant_id)
        if grant.status is not GrantStatus.OFFERED:
            continue  # answered between the list and the lock
        _release_offer(session, grant, f"The offer stood until {grant.offer_expires_on:%-d %b %Y} and was not answered.", now)
        audit.record(session, "grant.lapsed", grant, actor=None, at=now)
        lapsed.append(grant)
    session.flush()
    return lapsed


def activate_if_complete(session: Session, grant: Grant, *, actor: Person | None, now: datetime) -> bool:
    """Begin to pay once no paperwork is missing any more. Returns whether that was now."""
    if grant.status is not GrantStatus.PAPERWORK:
        return False
    if any(item.status in {PaperworkStatus.OPEN, PaperworkStatus.RECEIVED} for item in grant.paperwork):
        return False
    _activate(session, grant, actor, now)
    return True


def suspend(session: Session, grant_id: UUID, *, officer: Person, reason: str, now: datetime) -> Grant:
    """Stop releasing money until resumed. What is already in a payout is payouts' to stop.

    Raises:
        NotAllowed: not the programme's officer.
        InvalidInput: no reason.
        IllegalTransition: the grant isn't active.
    """
    grant = _for_officer(session, grant_id, officer, now)
    _require_reason(reason, "Say why; the recipient reads it.")
    grant.advance(GrantStatus.SUSPENDED)
    audit.record(session, "grant.suspended", grant, actor=officer, at=now, reason=reason.strip())
    session.flush()
    return grant


def resume(session: Session, grant_id: UUID, *, officer: Person, reason: str, now: datetime) -> Grant:
    """Go on after a suspension, catching up with what came due meanwhile.

    Raises:
        NotAllowed: not the programme's officer.
        IllegalTransition: the grant isn't suspended.
    """
    grant = _for_officer(session, grant_id, officer, now)
    if grant.status is not GrantStatus.SUSPENDED:
        grant.advance(GrantStatus.SUSPENDED)  # says what it is instead
    grant.advance(GrantStatus.ACTIVE)
    audit.record(session, "grant.resumed", grant, actor=officer, at=now, reason=reason.strip() or None)
    instalments.bring_up_to_date(session, grant, now=now)
    session.flush()
    return grant


def terminate(session: Session, grant_id: UUID, *, officer: Person, reason: str, now: datetime) -> Grant:
    """End a grant early. What was not paid goes back to the programme, where it counts against no cap any more.

    Raises:
        NotAllowed: not the programme's officer.
        InvalidInput: no reason.
        InPayout: an instalment is being paid; cancel that payout or wait for its end first.
        IllegalTransition: the grant is over.
    """
    grant = _for_officer(session, grant_id, officer, now)
    _require_reason(reason, "Say why the grant ends; it is published in the register.")
    if grant.status is GrantStatus.OFFERED:
        _release_offer(session, grant, reason.strip(), now)
    else:
        busy = [part for part in grant.instalments if part.status in {InstalmentStatus.APPROVED, InstalmentStatus.IN_PAYOUT}]
        if busy and grant.status is not GrantStatus.TERMINATED:
            raise InPayout(
                f"Instalment {busy[0].number} is being paid. Cancel its payout or wait for its end, then terminate the grant.",
                instalment=busy[0].number,
            )
        grant.advance(GrantStatus.TERMINATED)
        grant.ended_at, grant.ended_reason = now, reason.strip()
        unpaid = Money(
            sum(part.amount_minor for part in grant.instalments if part.status is not InstalmentStatus.PAID), grant.currency
        )
        _cancel_unpaid(grant)
        if unpaid:
            postings.give_back(session, grant, unpaid, key="terminated", now=now)
    audit.record(
        session, "grant.terminated", grant, actor=officer, at=now, reason=reason.strip(),
        returned=str(Money(grant.returned_minor, grant.currency)),
    )  # fmt: skip
    session.flush()
    return grant


def complete_finished(session: Session, *, now: datetime) -> list[Grant]:
    """Close the active grants that are paid in full and whose time is over. For the clock."""
    closed = []
    for grant_id in queries.finished_grants(session, on=now.date()):
        grant = queries.locked_grant(session, grant_id)
        if grant.status is not GrantStatus.ACTIVE or any(part.status is not InstalmentStatus.PAID for part in grant.instalments):
            continue  # ended, or money came back, between the list and the lock
        grant.advance(GrantStatus.COMPLETED)
        grant.ended_at = now
        audit.record(session, "grant.completed", grant, actor=None, at=now)
        closed.append(grant)
    session.flush()
    return closed


def _begin_paperwork(session: Session, grant: Grant, now: datetime) -> None:
    templates = grant.programme.paperwork
    if not templates:
        _activate(session, grant, None, now)
        return
    grant.paperwork = [
        PaperworkItem(
            position=template.position,
            name=template.name,
            guidance=template.guidance,
            days_expected=template.days_expected,
            status=PaperworkStatus.OPEN,
            opened_at=now,
        )
        for template in templates
    ]
    grant.advance(GrantStatus.PAPERWORK)
    audit.record(session, "grant.paperwork_begun", grant, actor=None, at=now, items=[item.name for item in grant.paperwork])


def _activate(session: Session, grant: Grant, actor: Person | None, now: datetime) -> None:
    grant.advance(GrantStatus.ACTIVE)
    grant.active_at = now
    audit.record(session, "grant.active", grant, actor=actor, at=now)
    instalments.bring_up_to_date(session, grant, now=now)


def _release_offer(session: Session, grant: Grant, reason: str, now: datetime) -> None:
    grant.advance(GrantStatus.TERMINATED)
    grant.returned_minor, grant.ended_at, grant.ended_reason = grant.amount_minor, now, reason
    postings.release_offer(session, grant, now=now)
    _cancel_unpaid(grant)


def _cancel_unpaid(grant: Grant) -> None:
    for part in grant.instalments:
        if part.status is not InstalmentStatus.PAID:
            part.advance(InstalmentStatus.CANCELLED)


def _for_officer(session: Session, grant_id: UUID, officer: Person, now: datetime) -> Grant:
    grant = queries.locked_grant(session, grant_id)
    queries.require_other_side(session, grant, officer, on=now.date())
    return grant


def _require_reason(reason: str, sentence: str) -> None:
    if not reason.strip():
        raise InvalidInput(sentence, field="reason")


def _host(session: Session, choice: PayeeChoice, now: datetime) -> FiscalHost:
    host = session.get(FiscalHost, choice.fiscal_host_id) if choice.fiscal_host_id else None
    if host is None or host.from_on > now.date() or (host.until_on is not None and host.until_on <= now.date()):
        raise InvalidInput("Choose one of the fiscal hosts listed.", field="fiscal_host_id")
    return host


def _recipient_of_host(session: Session, host: FiscalHost, actor: Person, now: datetime) -> Recipient:
    known = queries.recipient_of_host(session, host.organisation_id)
    if known is not None:
        return known
    assert host.organisation.country is not None, "hosts are registered with their country"
    return add_recipient(
        session,
        name=host.organisation.name,
        kind=RecipientKind.FISCAL_HOST,
        country=host.organisation.country,
        email=None,
        actor=actor,
        now=now,
        organisation_id=host.organisation_id,
        is_demo=host.organisation.is_demo,
    )


def _direct_recipient(session: Session, grant: Grant, choice: PayeeChoice, person: Person, now: datetime) -> Recipient:
    """The person's recipient of this name and country, made on first use."""
    if not choice.legal_name.strip():
        raise InvalidInput("Enter the name the money is paid to, as the bank knows it.", field="legal_name")
    known = queries.recipient_of_person(session, person.id, choice.legal_name.strip(), choice.country.strip().upper())
    if known is not None:
        return known
    return add_recipient(
        session,
        name=choice.legal_name,
        kind=RecipientKind.PERSON,
        country=choice.country,
        email=person.email,
        actor=person,
        now=now,
        person_id=person.id,
        is_demo=grant.is_demo,
    )
