"""Entering payments, and correcting them without losing what stood before."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit
from core.db import new_id
from core.errors import InvalidInput, NotFound
from core.files import StoredFile
from core.identity import access
from core.identity.models import Person, Role
from core.money import Money
from pledge import queries
from pledge.models import InKindHelp, InKindKind, PaymentChannel, Pledge, PledgePayment, PledgeRule
from pledge.policies.payments import RULES, counted, require_paid, require_plausible


class EvidenceNeeded(InvalidInput):
    """A payment that counts can be looked up by somebody else."""

    code = "evidence_needed"


@dataclass(frozen=True, slots=True)
class PaymentInput:
    """A payment as somebody enters it."""

    payee: str
    project: str
    money: Money
    paid_on: date
    channel: PaymentChannel
    rule: PledgeRule
    reason: str = ""
    """In the company's words; left empty, the rule's own sentence stands."""
    evidence_url: str | None = None
    evidence_file: StoredFile | None = None
    rate: Decimal | None = None
    rate_source: str | None = None


def record(session: Session, pledge: Pledge, given: PaymentInput, *, actor: Person, now: datetime) -> PledgePayment:
    """Enter a payment.

    Raises:
        Promised: it lies in the future.
        EvidenceNeeded: neither a link nor a file shows it.
        InvalidInput: outside of the period, nothing paid, or a currency without its rate.
    """
    _require_editor(session, pledge, actor, now)
    pledge = queries.locked_pledge(session, pledge.id)
    payment = make(pledge, given, entered_by_id=actor.id, now=now)
    session.add(payment)
    session.flush()
    audit.record(session, "payment.recorded", payment, actor=actor, at=now, amount=str(payment.money), eligible=payment.eligible)
    return payment


def correct(
    session: Session, pledge: Pledge, payment_id: UUID, given: PaymentInput, *, why: str, actor: Person, now: datetime
) -> PledgePayment:
    """Put a corrected row in the place of a payment; the old one stays, marked as superseded with the reason.

    Evidence that is not given anew is taken over.

    Raises:
        InvalidInput: as in `record`, or no reason, or the payment came in through us and is not the company's to change.
        NotFound: the payment is not there, or somebody corrected it meanwhile.
    """
    _require_editor(session, pledge, actor, now)
    pledge = queries.locked_pledge(session, pledge.id)
    old = _correctable(session, pledge, payment_id, why)
    if given.evidence_url is None and given.evidence_file is None:
        given = PaymentInput(
            **{field: getattr(given, field) for field in PaymentInput.__slots__ if not field.startswith("evidence")},
            evidence_url=old.evidence_url,
            evidence_file=old.evidence_file,
        )
    new = make(pledge, given, entered_by_id=actor.id, now=now)
    session.add(new)
    session.flush()
    old.superseded_at, old.superseded_reason, old.superseded_by_id = now, why.strip(), new.id
    audit.record(
        session, "payment.corrected", new, actor=actor, at=now, reason=why.strip(), before=str(old.money), after=str(new.money)
    )
    return new


def strike_out(session: Session, pledge: Pledge, payment_id: UUID, *, why: str, actor: Person, now: datetime) -> PledgePayment:
    """Take a payment out of the period; the row stays, with the reason.

    Raises:
        InvalidInput: no reason, or the payment came in through us.
        NotFound: the payment is not there, or somebody corrected it meanwhile.
    """
    _require_editor(session, pledge, actor, now)
    pledge = queries.locked_pledge(session, pledge.id)
    old = _correctable(session, pledge, payment_id, why)
    old.superseded_at, old.superseded_reason = now, why.strip()
    audit.record(session, "payment.struck_out", old, actor=actor, at=now, reason=why.strip(), amount=str(old.money))
    return old


def make(
    pledge: Pledge, given: PaymentInput, *, entered_by_id: UUID | None, now: datetime, instalment_id: UUID | None = None
) -> PledgePayment:
    """A payment row that keeps every rule; the caller adds it."""
    for name in ("payee", "project"):
        if not getattr(given, name).strip():
            raise InvalidInput("Name who received it." if name == "payee" else "Name the project it was for.", field=name)
    if given.money.amount_minor <= 0:
        raise InvalidInput("Enter an amount above zero; a payment that came back is struck out instead.", field="amount")
    require_plausible(given.money, field="amount")
    require_paid(given.paid_on, on=now.date())
    if not pledge.starts_on <= given.paid_on <= pledge.ends_on:
        raise InvalidInput(
            f"{given.paid_on:%-d %b %Y} lies outside of the period {pledge.label} "
            f"({pledge.starts_on:%-d %b %Y} to {pledge.ends_on:%-d %b %Y}); "
            "enter the payment in the period it was made in.",
            field="paid_on",
        )
    if not given.evidence_url and given.evidence_file is None:
        raise EvidenceNeeded(
            "Give a link or a file that shows the payment: a receipt, an invoice, a public page.", field="evidence_url"
        )
    if given.rate is not None and not (given.rate_source or "").strip():
        raise InvalidInput("Say where the rate comes from, such as “ECB, 2026-11-02”.", field="rate_source")
    verdict = RULES[given.rule]
    worth = counted(given.money, currency=pledge.currency, rate=given.rate, eligible=verdict.counts)
    return PledgePayment(
        id=new_id(),
        pledge=pledge,
        payee=" ".join(given.payee.split()),
        project=" ".join(given.project.split()),
        amount_minor=given.money.amount_minor,
        currency=given.money.currency,
        paid_on=given.paid_on,
        channel=given.channel,
        evidence_url=given.evidence_url,
        evidence_file=given.evidence_file,
        rule=given.rule,
        eligible=verdict.counts,
        reason=given.reason.strip() or verdict.because,
        rate=given.rate,
        rate_source=given.rate_source,
        counted_minor=worth.amount_minor,
        instalment_id=instalment_id,
        entered_by_id=entered_by_id,
        entered_at=now,
    )


def record_in_kind(
    session: Session,
    pledge: Pledge,
    *,
    kind: InKindKind,
    description: str,
    value: Money | None,
    actor: Person,
    now: datetime,
) -> InKindHelp:
    """Enter help in kind: it is shown beside the payments, and counts towards nothing.

    Raises:
        InvalidInput: nothing says what it was.
    """
    _require_editor(session, pledge, actor, now)
    if not description.strip():
        raise InvalidInput("Say what the help was, such as “240 hours of maintenance on urllib3”.", field="description")
    if value is not None:
        require_plausible(value, field="value")
    row = InKindHelp(
        id=new_id(),
        member_id=pledge.member_id,
        year=pledge.label,
        kind=kind,
        description=description.strip(),
        value_minor=value.amount_minor if value else None,
        currency=value.currency if value else pledge.currency,
        entered_by_id=actor.id,
        entered_at=now,
    )
    session.add(row)
    session.flush()
    audit.record(session, "in_kind.recorded", row, actor=actor, at=now, kind=str(kind))
    return row


def strike_out_in_kind(
    session: Session, pledge: Pledge, in_kind_id: UUID, *, why: str, actor: Person, now: datetime
) -> InKindHelp:
    """Take help in kind out of the period; the row stays, with the reason.

    Raises:
        NotFound: it is not there any more.
        InvalidInput: no reason.
    """
    _require_editor(session, pledge, actor, now)
    _require_why(why)
    row = session.get(InKindHelp, in_kind_id, with_for_update=True)
    if row is None or row.member_id != pledge.member_id or row.superseded_at is not None:
        raise NotFound("This entry is not there any more: somebody struck it out. Open the year again.")
    row.superseded_at, row.superseded_reason = now, why.strip()
    audit.record(session, "in_kind.struck_out", row, actor=actor, at=now, reason=why.strip())
    return row


def _correctable(session: Session, pledge: Pledge, payment_id: UUID, why: str) -> PledgePayment:
    _require_why(why)
    old = queries.payment(session, pledge, payment_id)
    if old.instalment_id is not None:
        raise InvalidInput(
            "This payment came in through us and is in the ledger; finance corrects it there, with a refund.", field="reason"
        )
    return old


def _require_why(why: str) -> None:
    if not why.strip():
        raise InvalidInput("Say why it changes; the old row stays with this reason.", field="why")


def _require_editor(session: Session, pledge: Pledge, actor: Person, now: datetime) -> None:
    access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=pledge.member.organisation_id, on=now.date())
