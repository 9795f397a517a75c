"""Payees' documents: what is on file, what a year's payments want, and no payment without what the rules hold it for.

One payee may be several recipients (another name, another country): its papers and its year's sum count together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from core import audit
from core.config import settings
from core.db import among, new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Person
from core.money import Money
from payouts import tax
from payouts.models import PayeeDocument, Payout, PayoutStatus, Recipient
from payouts.policies.papers import Demand, Item, Paper, TaxFacts, checklist, demands
from payouts.rails.base import Rail
from payouts.services.holds import SameEyes
from payouts.tax import Effect

Payee = tuple[str, UUID]


class DocumentWanted(DomainError):
    """The rules pay nothing more to this recipient without a document."""

    code = "document_wanted"


@dataclass(frozen=True)
class Files:
    """Papers and sums of some recipients, read at once."""

    papers: Mapping[Payee, Sequence[Paper]]
    paid: Mapping[tuple[Payee, str], int]
    on: date
    home: str
    book: tax.Book = field(default_factory=tax.book)
    rules: dict[tuple[str, str], Sequence[tax.Rule]] = field(default_factory=dict)
    """Those for payees of a country and kind, once somebody asked."""

    def facts(self, recipient: Recipient, currency: str, *, beside: int = 0) -> TaxFacts:
        """What the rules look at; `beside` is what payouts to the same payee that go with the one at hand come to."""
        who, kind = payee_of(recipient), (recipient.country, recipient.kind.value)
        if kind not in self.rules:
            self.rules[kind] = self.book.for_payee(self.home, *kind, self.on)
        return TaxFacts(
            rules=self.rules[kind],
            papers=self.papers.get(who, ()),
            paid=Money(self.paid.get((who, currency), 0) + beside, currency),
            on=self.on,
            remind_days=self.book.remind_days,
        )


def payee_of(recipient: Recipient) -> Payee:
    """Who is behind a recipient: the same person or organisation may be several."""
    if recipient.person_id is not None:
        return "person", recipient.person_id
    if recipient.organisation_id is not None:
        return "organisation", recipient.organisation_id
    return "recipient", recipient.id


def files(session: Session, recipients: Sequence[Recipient], *, now: datetime) -> Files:
    """What is known of these recipients, in as many queries for one as for a thousand."""
    people = {each.person_id for each in recipients if each.person_id is not None}
    firms = {each.organisation_id for each in recipients if each.organisation_id is not None}
    alike = session.scalars(
        select(Recipient).where(
            or_(
                among(Recipient.id, [each.id for each in recipients]),
                among(Recipient.person_id, people),
                among(Recipient.organisation_id, firms),
            )
        )
    ).all()
    payees = {each.id: payee_of(each) for each in alike}
    papers: dict[Payee, list[Paper]] = {}
    for row in session.scalars(
        select(PayeeDocument).where(among(PayeeDocument.recipient_id, payees), PayeeDocument.ended_at.is_(None))
    ):
        papers.setdefault(payees[row.recipient_id], []).append(Paper(row.document, row.signed_on, row.valid_until))
    january = now.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    counted = or_(and_(Payout.status == PayoutStatus.PAID, Payout.paid_at >= january), Payout.status == PayoutStatus.RESERVED)
    paid: dict[tuple[Payee, str], int] = {}
    for recipient_id, currency, total in session.execute(
        select(Payout.recipient_id, Payout.currency, func.sum(Payout.amount_minor - Payout.carried_minor))
        .where(among(Payout.recipient_id, payees), counted)
        .group_by(Payout.recipient_id, Payout.currency)
    ):
        key = (payees[recipient_id], currency)
        paid[key] = paid.get(key, 0) + int(total)
    return Files(papers, paid, now.date(), settings().pledgeworks_country)


def checklist_of(session: Session, recipient: Recipient, *, now: datetime) -> list[Item]:
    """Every document that may be asked of a recipient, and where it stands. What is owed and waits counts as if it were paid."""
    known = files(session, [recipient], now=now)
    owed = session.scalars(
        select(Payout).where(Payout.recipient_id == recipient.id, Payout.status.in_([PayoutStatus.DRAFT, PayoutStatus.APPROVED]))
    ).all()
    who = payee_of(recipient)
    more: dict[str, int] = {}
    for payout in owed:
        more[payout.currency] = more.get(payout.currency, 0) + payout.amount_minor
    used = {currency for (payee, currency) in known.paid if payee == who} | more.keys()
    found = []
    for rule in known.facts(recipient, "USD").rules:
        asked = rule.starts or sorted(used) or ["USD"]
        facts = [known.facts(recipient, currency, beside=more.get(currency, 0)) for currency in asked]
        items = [item for each in facts for item in checklist(each) if item.rule is rule]
        found.append(next((item for item in items if item.wanted), items[0]))
    return found


def require(session: Session, payout: Payout, rail: Rail, *, now: datetime) -> None:
    """Called when money is reserved, under the lock of the limits: what was reserved a moment ago counts.

    Raises:
        DocumentWanted: the rules hold this payment until the document is there.
    """
    if all(rule.effect(rail.name) is not Effect.HOLD for rule in _rules(payout.recipient, now.date())):
        return
    facts = files(session, [payout.recipient], now=now).facts(payout.recipient, payout.currency)
    lacking: list[Demand] = demands(facts, payout.money, rail.name, payout.recipient.name)
    for demand in lacking:
        if demand.effect is Effect.HOLD:
            raise DocumentWanted(demand.words)


def record(
    session: Session, recipient_id: UUID, *, document: str, signed_on: date, kept_at: str, actor: Person, now: datetime
) -> PayeeDocument:
    """Note that a document of a recipient is on file. The document itself is not kept here.

    Raises:
        NotFound: there is no such recipient.
        InvalidInput: no rule asks this recipient for it, it was signed in the future, or nobody says where it is.
        SameEyes: the recipient would note its own.
    """
    recipient = session.get(Recipient, recipient_id)
    if recipient is None:
        raise NotFound("There is no such recipient.")
    if recipient.person_id == actor.id:
        raise SameEyes("This document is yours; somebody else notes that it is there.")
    if not kept_at.strip():
        raise InvalidInput("Say where the document is kept, so that it can be found.", field="kept_at")
    if signed_on > now.date():
        raise InvalidInput("A document was signed today or before.", field="signed_on")
    asked = [rule for rule in _rules(recipient, now.date()) if rule.document == document]
    if not asked:
        raise InvalidInput(f"No rule asks {recipient.name} for “{document}”.", field="document")
    then = [rule for rule in _rules(recipient, signed_on) if rule.document == document] or asked
    made = PayeeDocument(
        id=new_id(), recipient_id=recipient.id, document=document, signed_on=signed_on,
        valid_until=then[0].valid_until(signed_on), kept_at=kept_at.strip(), recorded_by_id=actor.id, recorded_at=now,
    )  # fmt: skip
    session.add(made)
    session.flush()
    audit.record(
        session, "recipient.document_noted", recipient, actor=actor, at=now, document=document, signed_on=signed_on.isoformat()
    )
    return made


def end(session: Session, document_id: UUID, *, reason: str, actor: Person, now: datetime) -> PayeeDocument:
    """A noted document counts no more.

    Raises:
        NotFound: there is no such document that counts.
        InvalidInput: without a reason.
    """
    if not reason.strip():
        raise InvalidInput("Say why it counts no more.", field="reason")
    row = session.scalars(
        select(PayeeDocument).where(PayeeDocument.id == document_id, PayeeDocument.ended_at.is_(None)).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such document that counts.")
    row.ended_at, row.ended_by_id, row.ended_reason = now, actor.id, reason.strip()
    session.flush()
    audit.record(
        session, "recipient.document_ended", row.recipient, actor=actor, at=now, reason=reason.strip(), document=row.document
    )
    return row


def _rules(recipient: Recipient, on: date) -> list[tax.Rule]:
    return tax.book().for_payee(settings().pledgeworks_country, recipient.country, recipient.kind.value, on)
