"""The ledger's side of compute: which accounts there are, and the five entries that move GPU time.

A donor's gift lands in the offer's account, in its flavor. A compute grant is a promise in reference time. What a job uses
leaves both at once: flavor time goes from the offer into the flavor's trading account, reference time comes out of the
reference trading account and redeems the promise. The two trading accounts together show the exchange, at its dated rate.

    gift       assets:gpu:offer:<id>        <- income:gpu:given:<donor>:<flavor>       GPU.<FLAVOR>
    promise    equity:gpu:promised          <- liabilities:gpu:grant:<id>              GPU.REF
    use        liabilities:gpu:grant:<id>   <- equity:trading:gpu:ref                  GPU.REF       (held, then settled)
               equity:trading:gpu:<flavor>  <- assets:gpu:offer:<id>                   GPU.<FLAVOR>  (held, then settled)
               expenses:gpu:used:<project>  <- equity:gpu:promised                     GPU.REF
    loss       expenses:gpu:lost:<flavor>   <- assets:gpu:offer:<id>                   GPU.<FLAVOR>
    unused     expenses:gpu:unused:<flavor> <- assets:gpu:offer:<id>                   GPU.<FLAVOR>
               liabilities:gpu:grant:<id>   <- equity:gpu:promised                     GPU.REF
(left: debited, right: credited)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from compute.models import ComputeGrant, ComputeOffer, Flavor, JobAttempt
from core import ledger
from core.ledger import Guard, Leg, NewEntry, Side

REFERENCE = ledger.GPU_REFERENCE
PROMISED = "equity:gpu:promised"
TRADING_REFERENCE = ledger.trading_account(REFERENCE)


def record_gift(session: Session, offer: ComputeOffer, *, at: datetime) -> None:
    """The offer's window opened: its hours are there to be drawn."""
    commodity = ledger.ensure_gpu_commodity(session, offer.flavor.slug)
    given = f"income:gpu:given:{offer.donor.slug}:{offer.flavor.slug}"
    ledger.ensure_account(session, offer.ledger_account, commodity, normal=Side.DEBIT, guard=Guard.DEBIT, name=offer.name)
    ledger.ensure_account(session, given, commodity, normal=Side.CREDIT, name=f"{offer.flavor.name} given by {offer.donor.name}")
    ledger.ensure_account(session, _trading(offer.flavor), commodity, normal=Side.CREDIT, name=f"Trading {commodity}")
    for code, name in ((_lost(offer.flavor), "lost by failures"), (_unused(offer.flavor), "unused when its offer ended")):
        ledger.ensure_account(session, code, commodity, normal=Side.DEBIT, name=f"{offer.flavor.name} time {name}")
    ledger.post(
        session,
        key=f"compute.gift:{offer.id}",
        kind="gpu.gift",
        legs=[Leg(debit=offer.ledger_account, credit=given, amount=offer.given_ticks)],
        at=at,
        memo=f"{offer.donor.name} gives {offer.name}",
        refs={"offer": str(offer.id), "donor": str(offer.donor_id)},
    )


def record_promise(session: Session, grant: ComputeGrant, *, at: datetime) -> None:
    """The grant is active: jobs may draw on it."""
    assert grant.granted_ticks is not None
    ledger.ensure_account(session, PROMISED, REFERENCE, normal=Side.DEBIT, name="GPU time promised to projects and not yet used")
    ledger.ensure_account(session, TRADING_REFERENCE, REFERENCE, normal=Side.CREDIT, name=f"Trading {REFERENCE}")
    ledger.ensure_account(session, grant.ledger_account, REFERENCE, normal=Side.CREDIT, guard=Guard.CREDIT, name=grant.title)
    ledger.ensure_account(
        session, _used(grant), REFERENCE, normal=Side.DEBIT, name=f"Reference GPU time used by {grant.project.name}"
    )
    ledger.post(
        session,
        key=f"compute.promise:{grant.id}",
        kind="gpu.promise",
        legs=[Leg(debit=PROMISED, credit=grant.ledger_account, amount=grant.granted_ticks)],
        at=at,
        memo=f"{grant.title} for {grant.project.name}",
        refs={"compute_grant": str(grant.id), "project": str(grant.project_id)},
    )


@dataclass(frozen=True, slots=True)
class Reserved:
    """What an attempt may use at most."""

    attempt: JobAttempt
    grant: ComputeGrant
    draws: Sequence[tuple[ComputeOffer, int]]
    refs: Mapping[str, str]


def hold_many(session: Session, wanted: Sequence[Reserved], *, at: datetime) -> dict[UUID, list[UUID]]:
    """Reserve whole wall times: each once on its grant, and on every offer it draws; all or none.

    Returns the holds' ids by attempt: the grant's first, then the offers' in their order.

    Raises:
        InsufficientFunds: a grant or an offer has less left than the attempts together may use.
    """
    entries = ledger.hold_many(session, [_reservation(each, at) for each in wanted])
    return {
        each.attempt.id: [ledger.transfer_id(entries[each.attempt.hold_key], leg) for leg in range(1 + len(each.draws))]
        for each in wanted
    }


def _reservation(wanted: Reserved, at: datetime) -> NewEntry:
    attempt = wanted.attempt
    return NewEntry(
        key=attempt.hold_key,
        kind="gpu.hold",
        legs=[
            Leg(debit=wanted.grant.ledger_account, credit=TRADING_REFERENCE, amount=attempt.held_reference_ticks),
            *(Leg(debit=_trading(offer.flavor), credit=offer.ledger_account, amount=ticks) for offer, ticks in wanted.draws),
        ],
        at=at,
        memo=f"Wall time of job {attempt.job_id}, attempt {attempt.number}",
        refs={**wanted.refs, "rate": f"{attempt.rate_numerator}/{attempt.rate_denominator}", "rounding": "up"},
    )


def settle(session: Session, attempt: JobAttempt, *, reference_ticks: int, at: datetime, refs: Mapping[str, str]) -> None:
    """Turn an attempt's holds into what it used (its draws say how much of which offer); the rest is free again."""
    amounts = {attempt.grant_hold_id: reference_ticks} | {draw.hold_id: draw.used_ticks for draw in attempt.draws}
    ledger.settle(session, key=f"compute.settle:{attempt.id}", hold_key=attempt.hold_key, amounts=amounts, at=at)
    ledger.post(
        session,
        key=f"compute.use:{attempt.id}",
        kind="gpu.use",
        legs=[Leg(debit=_used(attempt.job.grant), credit=PROMISED, amount=reference_ticks)],
        at=at,
        memo=f"Used by job {attempt.job_id}, attempt {attempt.number}",
        refs=dict(refs),
    )


def release(session: Session, attempt: JobAttempt, *, at: datetime, refs: Mapping[str, str]) -> None:
    """Give an attempt's holds back whole. What was burnt although nobody is charged (its draws say so) the offers bear."""
    ledger.void(session, key=f"compute.void:{attempt.id}", hold_key=attempt.hold_key, at=at)
    losses = [
        Leg(debit=_lost(draw.offer.flavor), credit=draw.offer.ledger_account, amount=draw.lost_ticks)
        for draw in attempt.draws
        if draw.lost_ticks
    ]
    if losses:
        ledger.post(
            session,
            key=f"compute.loss:{attempt.id}",
            kind="gpu.loss",
            legs=losses,
            at=at,
            memo=f"Lost by job {attempt.job_id}, attempt {attempt.number}",
            refs=dict(refs),
        )


def write_off_offer(session: Session, offer: ComputeOffer, ticks: int, *, at: datetime) -> None:
    """The window closed: what nobody used is no longer there."""
    ledger.post(
        session,
        key=f"compute.unused:{offer.id}",
        kind="gpu.unused",
        legs=[Leg(debit=_unused(offer.flavor), credit=offer.ledger_account, amount=ticks)],
        at=at,
        memo=f"Unused when {offer.name} ended",
        refs={"offer": str(offer.id), "donor": str(offer.donor_id)},
    )


def return_promise(session: Session, grant: ComputeGrant, ticks: int, *, at: datetime) -> None:
    """The grant ended: what it did not use is promised no longer."""
    ledger.post(
        session,
        key=f"compute.returned:{grant.id}",
        kind="gpu.returned",
        legs=[Leg(debit=grant.ledger_account, credit=PROMISED, amount=ticks)],
        at=at,
        memo=f"Unused when {grant.title} ended",
        refs={"compute_grant": str(grant.id), "project": str(grant.project_id)},
    )


def _trading(flavor: Flavor) -> str:
    return ledger.trading_account(ledger.gpu_commodity(flavor.slug))


def _lost(flavor: Flavor) -> str:
    return f"expenses:gpu:lost:{flavor.slug}"


def _unused(flavor: Flavor) -> str:
    return f"expenses:gpu:unused:{flavor.slug}"


def _used(grant: ComputeGrant) -> str:
    return f"expenses:gpu:used:{grant.project.slug}"
