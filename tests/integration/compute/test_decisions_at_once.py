"""Donor, desk and clock decide about the same thing at the same moment: one of them wins, and the other is told."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from compute.models import (
    ComputeGrant,
    ComputeOffer,
    GrantStatus,
    OfferKind,
    OfferStatus,
    Pool,
    RateProposal,
    RateProposalLine,
    SourceKind,
)
from compute.queries import overview
from compute.services import calibration, catalogue, compute_grants, lifecycle, offers
from compute.services.calibration import RatesMoved
from compute.services.offers import NewOffer
from core import ledger
from core.clock import utc_now
from core.db import new_id
from core.errors import DomainError, IllegalTransition
from core.identity.models import Person
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World

NOW = utc_now()
MINUTE = timedelta(minutes=1)
OPENS_AT, LATER, CLOSES_AT = NOW + HOUR, NOW + 2 * HOUR, NOW + 48 * HOUR


@dataclass
class Desk:
    """What there is to decide, each by its id: every session loads its own, as every request does."""

    engine: Engine
    proposed: UUID
    accepted: UUID
    reviewed: UUID
    pool: UUID
    officers: tuple[UUID, UUID]

    def both(self, *acts: Callable[[Session, int], object]) -> list[DomainError | None]:
        """Do two things in two sessions. Both have read before either writes."""
        have_read = Barrier(len(acts), timeout=20)

        def one(number: int) -> DomainError | None:
            with Session(self.engine) as session:
                overview.offer(session, self.proposed)
                overview.offer(session, self.accepted)
                overview.grant(session, self.reviewed)
                have_read.wait()
                try:
                    acts[number](session, number)
                    session.commit()
                except DomainError as refusal:
                    return refusal
                return None

        with ThreadPoolExecutor(len(acts)) as threads:
            return list(threads.map(one, range(len(acts))))

    def officer(self, session: Session, number: int) -> Person:
        return session.get_one(Person, self.officers[number])

    def accept(self, session: Session, number: int) -> None:
        pool = session.get_one(Pool, self.pool)
        offers.accept(session, overview.offer(session, self.proposed), pool, actor=self.officer(session, number), now=NOW)

    def decline(self, session: Session, number: int) -> None:
        offer = overview.offer(session, self.proposed)
        offers.decline(session, offer, actor=self.officer(session, number), reason="No room.", now=NOW)

    def withdraw(self, session: Session, number: int) -> None:
        offer = overview.offer(session, self.proposed)
        offers.take_back(session, offer, at=NOW, actor=self.officer(session, number), now=NOW)

    def grant_hours(self, hours: int) -> Callable[[Session, int], None]:
        def approve(session: Session, number: int) -> None:
            compute_grants.approve(
                session,
                overview.grant(session, self.reviewed),
                ticks=hours * TICKS_PER_GPU_HOUR,
                note=f"{hours} hours do.",
                decided_by=self.officer(session, number),
                now=NOW,
            )

        return approve

    def refuse(self, session: Session, number: int) -> None:
        grant = overview.grant(session, self.reviewed)
        compute_grants.decline(session, grant, note="Not now.", decided_by=self.officer(session, number), now=NOW)


@pytest.fixture
def desk(fresh_database: str) -> Iterator[Desk]:
    engine = create_engine(fresh_database)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        flavor = catalogue.add_flavor(session, slug="h100", name="H100", vendor="NVIDIA", author=None, now=NOW)
        catalogue.set_rate(session, flavor, Fraction(1), valid_from=NOW, source="test", author=None, now=NOW)
        pool = catalogue.add_pool(
            session, slug="p", name="P", flavor=flavor, executor="scripted", devices=8, runs=[SourceKind.COMMAND],
            author=None, now=NOW,
        )  # fmt: skip
        world = World(session, NOW, flavor, pool)
        gift = NewOffer("Gift", OfferKind.CAPACITY, flavor, devices=8, opens_at=OPENS_AT, closes_at=CLOSES_AT)
        proposed = offers.propose(session, world.organisation("aws"), gift, actor=None, now=NOW)
        accepted = offers.propose(session, world.organisation("nvidia"), gift, actor=None, now=NOW)
        offers.accept(session, accepted, pool, actor=None, now=NOW)
        first, second = world.person("Ada"), world.person("Bo")
        grant = compute_grants.request(
            session, world.project("vllm"), title="CI", purpose="CI", ticks=10 * TICKS_PER_GPU_HOUR, starts_at=NOW,
            expires_at=NOW + timedelta(days=30), requested_by=None, now=NOW,
        )  # fmt: skip
        compute_grants.review(session, grant, note="Sound.", reviewer=first, now=NOW)
    yield Desk(engine, proposed.id, accepted.id, grant.id, pool.id, (first.id, second.id))
    engine.dispose()


def test_an_offer_is_decided_once(desk: Desk) -> None:
    refusals = desk.both(desk.accept, desk.decline)
    assert [type(refusal) for refusal in refusals if refusal] == [IllegalTransition], "both said yes, or both said no"
    with Session(desk.engine) as session:
        offer = session.get_one(ComputeOffer, desk.proposed)
        assert offer.status is (OfferStatus.DECLINED if refusals[0] else OfferStatus.ACCEPTED)


def test_an_offer_withdrawn_while_it_is_declined_ends_once(desk: Desk) -> None:
    refusals = desk.both(desk.decline, desk.withdraw)
    assert [type(refusal) for refusal in refusals if refusal] == [IllegalTransition]


def test_a_grant_approved_while_it_is_declined_leaves_no_promise_behind_a_refusal(desk: Desk) -> None:
    refusals = desk.both(desk.grant_hours(10), desk.refuse)
    assert [type(refusal) for refusal in refusals if refusal] == [IllegalTransition]
    with Session(desk.engine) as session:
        grant = session.get_one(ComputeGrant, desk.reviewed)
        assert grant.status is (GrantStatus.DECLINED if refusals[0] else GrantStatus.ACTIVE)
        assert bool(ledger.balances(session, grant.ledger_account)) is (grant.status is GrantStatus.ACTIVE)


def test_of_two_approvals_with_different_hours_one_is_refused(desk: Desk) -> None:
    refusals = desk.both(desk.grant_hours(4), desk.grant_hours(6))
    assert [type(refusal) for refusal in refusals if refusal] == [IllegalTransition]
    with Session(desk.engine) as session:
        grant = session.get_one(ComputeGrant, desk.reviewed)
        assert grant.granted_ticks == (6 if refusals[0] else 4) * TICKS_PER_GPU_HOUR
        assert ledger.balance(session, grant.ledger_account).posted == grant.granted_ticks


def test_an_offer_withdrawn_while_the_clock_opens_it_gives_its_gift_back(desk: Desk) -> None:
    with Session(desk.engine) as donor, Session(desk.engine) as clock:
        offer = overview.offer(donor, desk.accepted)
        assert offer.status is OfferStatus.ACCEPTED
        with clock.begin():
            lifecycle.pass_offers(clock, now=LATER)
        offers.take_back(donor, offer, at=LATER, actor=None, now=LATER)
        donor.commit()
        assert offer.status is OfferStatus.DRAINING, "it had opened: its gift is in the ledger and must leave it again"
        with clock.begin():
            lifecycle.pass_offers(clock, now=LATER)
        donor.refresh(offer)
        assert offer.status is OfferStatus.CLOSED
        assert ledger.balance(donor, offer.ledger_account).posted == 0


def test_a_rate_set_while_a_proposal_is_accepted_is_not_overwritten(desk: Desk) -> None:
    with Session(desk.engine) as session, session.begin():
        flavor = session.get_one(Pool, desk.pool).flavor
        line = RateProposalLine(
            id=new_id(), flavor_id=flavor.id, current_numerator=1, current_denominator=1, numerator=4, denominator=5,
            low="0.8", high="0.8",
        )  # fmt: skip
        made = RateProposal(
            id=new_id(), reference_id=flavor.id, evidence={"benchmarks": []}, status_at=NOW, made_by_id=desk.officers[0],
            made_at=NOW, lines=[line],
        )  # fmt: skip
        session.add(made)
        proposal_id = made.id

    def accept() -> None:
        with Session(desk.engine) as session, session.begin():
            calibration.accept(session, proposal_id, note="", decided_by=desk.officer(session, 1), now=NOW + 2 * MINUTE)

    with ThreadPoolExecutor(1) as thread, Session(desk.engine) as session:
        flavor = session.get_one(Pool, desk.pool).flavor
        catalogue.set_rate(session, flavor, Fraction(3, 5), valid_from=NOW + MINUTE, source="test", author=None, now=NOW + MINUTE)
        accepting = thread.submit(accept)
        with pytest.raises(TimeoutError):
            accepting.result(timeout=1.5)  # it waits for the flavor
        session.commit()
        with pytest.raises(RatesMoved):
            accepting.result(timeout=20)
