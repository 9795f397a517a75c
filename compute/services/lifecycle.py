"""What the clock does to offers and grants: open, run low, remind, end. Expiry acts on the scheduler, not only on the label."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from compute.executors.base import Stop
from compute.models import ComputeGrant, ComputeOffer, ExpiryReminder, GrantStatus, Job, JobStatus, OfferStatus
from compute.policies.forecast import due_mark
from compute.queries import attempts, budget
from compute.queries.budget import Budget
from compute.services import books, compute_grants
from compute.services.attempts import ask_to_stop
from core import audit
from core.db import new_id

OPEN_GRANTS = (GrantStatus.APPROVED, GrantStatus.ACTIVE, GrantStatus.LOW, GrantStatus.EXHAUSTED, GrantStatus.EXPIRED)
OPEN_OFFERS = (OfferStatus.ACCEPTED, OfferStatus.ACTIVE, OfferStatus.DRAINING, OfferStatus.EXPIRED)


def pass_offers(session: Session, *, now: datetime) -> None:
    """Bring every offer to where the moment says it is. Doing it twice, or late, ends in the same place."""
    for offer in session.scalars(
        select(ComputeOffer)
        .where(ComputeOffer.status.in_(OPEN_OFFERS))
        .order_by(ComputeOffer.id)
        .with_for_update(of=ComputeOffer)
    ):
        _pass_offer(session, offer, now=now)


def pass_grants(session: Session, *, now: datetime) -> None:
    """The same for compute grants."""
    for grant in session.scalars(
        select(ComputeGrant)
        .where(ComputeGrant.status.in_(OPEN_GRANTS))
        .order_by(ComputeGrant.id)
        .with_for_update(of=ComputeGrant)
    ):
        _pass_grant(session, grant, now=now)


def drain(session: Session, *, now: datetime) -> None:
    """Ask what still runs past the end of its grant's or an offer's window to stop; it is credited back in full."""
    for attempt in attempts.past_their_window(session, now):
        reason = f"The window of its grant or offers closed at {attempt.ends_before:%Y-%m-%d %H:%M} UTC."
        ask_to_stop(session, attempts.locked(session, attempt.id), Stop.EVICTED, reason, now=now)


def remind(session: Session, *, now: datetime) -> int:
    """Write the reminders that are due, 30, 14 and 7 days before an end unless the row says otherwise; tell how many."""
    written = 0
    for grant in session.scalars(select(ComputeGrant).where(ComputeGrant.status.in_([GrantStatus.ACTIVE, GrantStatus.LOW]))):
        if days := due_mark(grant.remind_days, grant.expires_at, now):
            written += _remember(session, grant, grant_id=grant.id, days=days, ends_at=grant.expires_at, now=now)
    for offer in session.scalars(select(ComputeOffer).where(ComputeOffer.status == OfferStatus.ACTIVE)):
        if days := due_mark(offer.remind_days, offer.closes_at, now):
            written += _remember(session, offer, offer_id=offer.id, days=days, ends_at=offer.closes_at, now=now)
    return written


def _pass_offer(session: Session, offer: ComputeOffer, *, now: datetime) -> None:
    if offer.status is OfferStatus.ACCEPTED and offer.opens_at <= now < offer.closes_at:
        offer.advance(OfferStatus.ACTIVE, now)
        books.record_gift(session, offer, at=now)
        audit.record(session, "compute_offer.opened", offer, actor=None, at=now)
    if offer.status in {OfferStatus.ACCEPTED, OfferStatus.ACTIVE, OfferStatus.DRAINING} and offer.closes_at <= now:
        offer.advance(OfferStatus.EXPIRED, now)
        audit.record(session, "compute_offer.expired", offer, actor=None, at=now)
    if offer.status is OfferStatus.EXPIRED:
        rest = budget.of_offer(session, offer)
        if rest.held == 0:  # what still runs is being drained; its settlement comes first
            if rest.left:
                books.write_off_offer(session, offer, rest.left, at=now)
            offer.advance(OfferStatus.CLOSED, now)
            offer.closed_at = now
            audit.record(session, "compute_offer.closed", offer, actor=None, at=now)


def _pass_grant(session: Session, grant: ComputeGrant, *, now: datetime) -> None:
    if grant.status is GrantStatus.APPROVED and grant.starts_at <= now < grant.expires_at:
        compute_grants.activate(session, grant, now=now)
    if grant.expires_at <= now and grant.status in {GrantStatus.APPROVED, GrantStatus.ACTIVE, GrantStatus.LOW}:
        _move(session, grant, GrantStatus.EXPIRED, now=now)
    rest = budget.of_grant(session, grant)
    if grant.drawable:
        _pass_amount(session, grant, rest, now=now)
    if grant.status is GrantStatus.EXHAUSTED or (grant.status is GrantStatus.EXPIRED and rest.held == 0):
        if rest.left:
            books.return_promise(session, grant, rest.left, at=now)
        _move(session, grant, GrantStatus.CLOSED, now=now)
    if grant.status in {GrantStatus.EXPIRED, GrantStatus.CLOSED}:
        _cancel_queued(session, grant, now=now)


def _pass_amount(session: Session, grant: ComputeGrant, rest: Budget, *, now: datetime) -> None:
    if rest.unsettled == 0:
        _move(session, grant, GrantStatus.EXHAUSTED, now=now)
    elif rest.left_percent < grant.low_below_percent and grant.status is GrantStatus.ACTIVE:
        _move(session, grant, GrantStatus.LOW, now=now)
    elif rest.left_percent >= grant.low_below_percent and grant.status is GrantStatus.LOW:
        _move(session, grant, GrantStatus.ACTIVE, now=now)


def _move(session: Session, grant: ComputeGrant, to: GrantStatus, *, now: datetime) -> None:
    grant.advance(to, now)
    audit.record(session, f"compute_grant.{to}", grant, actor=None, at=now)


def _cancel_queued(session: Session, grant: ComputeGrant, *, now: datetime) -> None:
    """What waits for a grant that is over would wait for ever."""
    for job in session.scalars(
        select(Job).where(Job.grant_id == grant.id, Job.status == JobStatus.QUEUED).with_for_update(of=Job, skip_locked=True)
    ):
        job.advance(JobStatus.CANCELLED, now)
        job.finished_at = now
        job.wait_no_more()
        audit.record(
            session, "job.cancelled", job, actor=None, at=now, reason=f"Its compute grant “{grant.title}” is {grant.status}."
        )


def _remember(
    session: Session,
    subject: ComputeGrant | ComputeOffer,
    *,
    days: int,
    ends_at: datetime,
    now: datetime,
    grant_id: object = None,
    offer_id: object = None,
) -> int:
    made = session.scalars(
        insert(ExpiryReminder)
        .values(id=new_id(), grant_id=grant_id, offer_id=offer_id, days_before=days, ends_at=ends_at, at=now)
        .on_conflict_do_nothing()
        .returning(ExpiryReminder.id)
    ).first()
    if made is None:
        return 0
    audit.record(session, f"{subject.__tablename__}.expiry_reminder", subject, actor=None, at=now, days=days)
    return 1
