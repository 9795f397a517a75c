"""What a donor does with an offer: propose it, have it accepted, take it back."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from compute import policies
from compute.models import ComputeOffer, Flavor, OfferKind, OfferStatus, Pool
from compute.policies import OfferPolicy
from compute.queries import attempts, overview
from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.identity.models import Organisation, Person
from core.units import TICKS_PER_GPU_HOUR


class WrongPool(DomainError):
    """The pool's hardware is of another kind than the offer."""

    code = "wrong_pool"


@dataclass(frozen=True, slots=True)
class NewOffer:
    """What a donor fills in."""

    name: str
    kind: OfferKind
    flavor: Flavor
    devices: int
    opens_at: datetime
    closes_at: datetime
    region: str = ""
    given_ticks: int | None = None
    """None: all devices for the whole window."""
    policy: OfferPolicy = field(default_factory=OfferPolicy)
    source: str | None = None
    price_note: str | None = None
    is_demo: bool = False


def propose(session: Session, donor: Organisation, new: NewOffer, *, actor: Person | None, now: datetime) -> ComputeOffer:
    """Enter an offer. Nothing can be drawn before it is accepted and its window opens.

    Raises:
        InvalidInput: the window is empty, over or years ahead, no devices, or more hours than the devices have in the window.
    """
    if new.devices < 1:
        raise InvalidInput("Offer at least one GPU or slice.", field="devices")
    if new.closes_at <= new.opens_at:
        raise InvalidInput("The window must close after it opens.", field="closes_at")
    if new.closes_at <= now:
        raise InvalidInput("The window is over already.", field="closes_at")
    if new.closes_at > now + policies.AHEAD_MAX:
        raise InvalidInput("The window must close within ten years.", field="closes_at")
    if new.opens_at < now - policies.AHEAD_MAX:
        raise InvalidInput("The window opened more than ten years ago; say from when they can be used.", field="opens_at")
    whole = policies.device_ticks(new.devices, new.flavor.slices_per_gpu, int((new.closes_at - new.opens_at).total_seconds()))
    given = whole if new.given_ticks is None else new.given_ticks
    if given <= 0:
        raise InvalidInput("Offer more than zero GPU-hours.", field="gpu_hours")
    if given > whole:
        raise InvalidInput(
            f"{policies.say_gpu_time(given)} are more than {new.devices} × {new.flavor.name} have in this window "
            f"({policies.say_gpu_time(whole)}); give more devices, a longer window or fewer hours.",
            field="gpu_hours",
        )
    offer = ComputeOffer(
        id=new_id(),
        donor_id=donor.id,
        donor=donor,
        name=new.name,
        kind=new.kind,
        flavor_id=new.flavor.id,
        flavor=new.flavor,
        devices=new.devices,
        given_ticks=given,
        region=new.region,
        opens_at=new.opens_at,
        closes_at=new.closes_at,
        declared_closes_at=new.closes_at,
        policy=new.policy.to_json(),
        source=new.source,
        price_note=new.price_note,
        status_at=now,
        proposed_by_id=actor.id if actor else None,
        is_demo=new.is_demo,
        created_at=now,
    )
    session.add(offer)
    session.flush()
    audit.record(session, "compute_offer.proposed", offer, actor=actor, at=now, gpu_hours=str(given / TICKS_PER_GPU_HOUR))
    return offer


def accept(session: Session, offer: ComputeOffer, pool: Pool, *, actor: Person | None, now: datetime) -> ComputeOffer:
    """Take the offer and tie it to the pool its hardware is behind. The clock opens it when its window begins.

    Raises:
        WrongPool: the pool is of another flavor.
        IllegalTransition: the offer was decided or withdrawn meanwhile.
    """
    offer = overview.locked_offer(session, offer.id)
    if pool.flavor_id != offer.flavor_id:
        raise WrongPool(f"{pool.name} has {pool.flavor.name}, the offer is for {offer.flavor.name}.", field="pool")
    offer.advance(OfferStatus.ACCEPTED, now)
    offer.pool_id, offer.pool = pool.id, pool
    offer.decided_by_id = actor.id if actor else None
    session.flush()
    audit.record(session, "compute_offer.accepted", offer, actor=actor, at=now, pool=pool.slug)
    return offer


def decline(session: Session, offer: ComputeOffer, *, actor: Person, reason: str, now: datetime) -> ComputeOffer:
    """Don't take the offer, and say why.

    Raises:
        InvalidInput: no reason.
        IllegalTransition: the offer was decided or withdrawn meanwhile.
    """
    offer = overview.locked_offer(session, offer.id)
    if not reason.strip():
        raise InvalidInput("Tell the donor why.", field="reason")
    offer.advance(OfferStatus.DECLINED, now)
    offer.decided_by_id = actor.id
    audit.record(session, "compute_offer.declined", offer, actor=actor, at=now, reason=reason.strip())
    return offer


def take_back(session: Session, offer: ComputeOffer, *, at: datetime, actor: Person | None, now: datetime) -> ComputeOffer:
    """End an offer early. Nothing new is drawn from now on; what runs on it has until `at`, then it is evicted.

    An offer that has not opened is simply withdrawn.

    Raises:
        InvalidInput: `at` lies in the past or after the window's end.
        IllegalTransition: the offer was declined or has ended meanwhile.
    """
    offer = overview.locked_offer(session, offer.id)
    if offer.status in {OfferStatus.PROPOSED, OfferStatus.ACCEPTED}:
        offer.advance(OfferStatus.WITHDRAWN, now)
        audit.record(session, "compute_offer.withdrawn", offer, actor=actor, at=now)
        return offer
    if not now <= at <= offer.closes_at:
        raise InvalidInput("Name a moment between now and the end of the window.", field="at")
    offer.advance(OfferStatus.DRAINING, now)
    audit.record(session, "compute_offer.draining", offer, actor=actor, at=now, until=at.isoformat())
    offer.closes_at = at
    for attempt in attempts.open_on_offer(session, offer):
        attempt.ends_before = min(attempt.ends_before, at)
    return offer
