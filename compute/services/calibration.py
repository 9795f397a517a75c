"""Exchange rates from benchmarks: a proposal that one person makes, and another accepts or declines. Nothing applies itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from compute.models import Flavor, ProposalStatus, RateProposal, RateProposalLine
from compute.policies import calibration
from compute.policies.calibration import Benchmark, Price
from compute.queries import benchmarks, budget
from compute.queries.benchmarks import Measured
from compute.services import catalogue
from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.identity.models import Person


class NothingMeasured(DomainError):
    """No benchmark ran often enough on the reference flavor and on another."""

    code = "nothing_measured"


class RateOutOfRange(DomainError):
    """What the benchmarks say of a flavor is no rate that anybody could mean."""

    code = "rate_out_of_range"


class OwnProposal(DomainError):
    """Whoever made a proposal of rates does not decide it."""

    code = "own_proposal"


class RatesMoved(DomainError):
    """A rate changed since the proposal was made."""

    code = "rates_moved"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The rate of one flavor as benchmarks suggest it."""

    flavor: Flavor
    current: Fraction | None
    rate: Fraction
    price: Price
    """In present reference GPU-hours per GPU-hour, not rounded."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Rates that the benchmarks of this moment suggest, and why."""

    reference: Flavor
    suggestions: Sequence[Suggestion]
    benchmarks: Sequence[Measured]
    gpus: Mapping[UUID, Fraction]
    weights: Mapping[str, Fraction]
    """Of each benchmark's key."""
    fair: float

    @property
    def rates(self) -> dict[UUID, Fraction]:
        return {each.flavor.id: each.rate for each in self.suggestions}


def calibrate(session: Session, *, now: datetime) -> Calibration:
    """Work out rates from what was measured. Writes nothing.

    The reference flavor keeps its rate: the one at rate 1 that most benchmarks ran on, else the one that most ran on.

    Raises:
        NothingMeasured: there are no two flavors in open pools on which one benchmark ran often enough.
        PricesNotFound, RateOutOfRange: what was measured gives no rates, or none that make sense.
    """
    there, present = benchmarks.gpus(session), budget.rates_at(session, now)
    found = benchmarks.measured(session, now=now)
    reference = _reference(session, found, there, present)
    usable = [each for each in found if reference.id in each.runs and len(each.runs.keys() & there.keys()) > 1]
    kinds = {kind for each in usable for kind in each.runs if kind in there}
    flavors = {flavor.id: flavor for flavor in session.scalars(select(Flavor).where(Flavor.id.in_(kinds)))}
    gpus = {flavor_id: there[flavor_id] for flavor_id in flavors}
    shares = {project: sum(each.project.id == project for each in usable) for project in {each.project.id for each in usable}}
    weights = {each.key: Fraction(1, shares[each.project.id]) for each in usable}
    solved = calibration.prices(
        [
            Benchmark(
                each.key,
                weights[each.key],
                {flavors[kind].slug: float(each.median(kind)) for kind in each.runs if kind in flavors},
            )
            for each in usable
        ],
        {flavors[kind].slug: number for kind, number in gpus.items()},
        reference.slug,
    )
    base = present.get(reference.id, Fraction(1))
    suggestions = []
    for flavor in sorted(flavors.values(), key=lambda flavor: flavor.name):
        price = _scaled(solved.flavors[flavor.slug], base)
        _require_possible(price, flavor, reference)
        rate = base if flavor.id == reference.id else calibration.rounded(price.middle)
        suggestions.append(Suggestion(flavor, present.get(flavor.id), rate, price))
    return Calibration(reference, suggestions, usable, gpus, weights, solved.fair)


def propose(session: Session, *, author: Person, now: datetime) -> RateProposal:
    """Keep the rates that benchmarks suggest now, with their evidence, for somebody else to decide.

    Raises:
        NothingMeasured, PricesNotFound, RateOutOfRange: as for `calibrate`.
    """
    found = calibrate(session, now=now)
    proposal = RateProposal(
        id=new_id(),
        reference_id=found.reference.id,
        reference=found.reference,
        evidence=_evidence(found),
        status_at=now,
        made_by_id=author.id,
        made_at=now,
        lines=[
            RateProposalLine(
                id=new_id(),
                flavor_id=each.flavor.id,
                flavor=each.flavor,
                current_numerator=each.current.numerator if each.current else None,
                current_denominator=each.current.denominator if each.current else None,
                numerator=each.rate.numerator,
                denominator=each.rate.denominator,
                low=f"{each.price.low:.4f}",
                high=f"{each.price.high:.4f}",
            )
            for each in found.suggestions
        ],
    )
    session.add(proposal)
    session.flush()
    audit.record(session, "rate_proposal.made", proposal, actor=author, at=now)
    return proposal


def accept(session: Session, proposal_id: UUID, *, note: str, decided_by: Person, now: datetime) -> RateProposal:
    """Put a proposal's rates into the exchange table, from now on. Jobs that have started keep theirs.

    Raises:
        OwnProposal: the decider made it.
        RatesMoved: a rate is no longer the one the proposal was compared with.
        IllegalTransition: it is decided already.
    """
    proposal = _for_decision(session, proposal_id, decided_by)
    # As in `set_rate`: a rate that somebody sets meanwhile is seen here, and not overwritten.
    catalogue.lock_flavors(session, [line.flavor_id for line in proposal.lines])
    present = budget.rates_at(session, now)
    for line in proposal.lines:
        if present.get(line.flavor_id) != line.current:
            raise RatesMoved(
                f"The rate of {line.flavor.name} changed after this proposal was made; decline it and make a new one.",
                flavor=line.flavor.slug,
            )
    _decide(proposal, ProposalStatus.ACCEPTED, note, decided_by, now)
    session.flush()
    counted = len(proposal.evidence["benchmarks"])
    for line in proposal.lines:
        if line.rate != line.current:
            source = f"Calibration from {counted} benchmarks, made {proposal.made_at:%Y-%m-%d} (proposal {proposal.id})"
            catalogue.set_rate(
                session, line.flavor, line.rate, valid_from=now, source=source, author=decided_by, now=now, proposal=proposal
            )
    audit.record(session, "rate_proposal.accepted", proposal, actor=decided_by, at=now, reason=proposal.note)
    return proposal


def decline(session: Session, proposal_id: UUID, *, note: str, decided_by: Person, now: datetime) -> RateProposal:
    """Leave the rates as they are, and say why.

    Raises:
        OwnProposal: the decider made it.
        InvalidInput: no note.
        IllegalTransition: it is decided already.
    """
    if not note.strip():
        raise InvalidInput("Say why the rates stay as they are.", field="note")
    proposal = _for_decision(session, proposal_id, decided_by)
    _decide(proposal, ProposalStatus.DECLINED, note, decided_by, now)
    session.flush()
    audit.record(session, "rate_proposal.declined", proposal, actor=decided_by, at=now, reason=proposal.note)
    return proposal


def _reference(
    session: Session, found: Sequence[Measured], there: Mapping[UUID, Fraction], present: Mapping[UUID, Fraction]
) -> Flavor:
    ran_on: dict[UUID, int] = {}
    for each in found:
        kinds = [kind for kind in each.runs if kind in there]
        for kind in kinds if len(kinds) > 1 else ():
            ran_on[kind] = ran_on.get(kind, 0) + 1
    if not ran_on:
        raise NothingMeasured(
            f"No benchmark has succeeded {benchmarks.RUNS_MIN} times on each of two kinds of accelerators in open pools within "
            f"{benchmarks.LOOKED_BACK.days} days. Run the same benchmark job (command, commit, number of devices) on both."
        )
    flavors = session.scalars(select(Flavor).where(Flavor.id.in_(ran_on))).all()
    return min(flavors, key=lambda flavor: (present.get(flavor.id) != 1, -ran_on[flavor.id], flavor.slug))


def _scaled(price: Price, base: Fraction) -> Price:
    return Price(price.middle * float(base), price.low * float(base), price.high * float(base))


def _require_possible(price: Price, flavor: Flavor, reference: Flavor) -> None:
    least, most = calibration.LEAST, calibration.MOST
    if flavor != reference and not least <= price.middle <= most:
        raise RateOutOfRange(
            f"By these benchmarks {flavor.name} would have a rate of {price.middle:.3g} beside {reference.name}; rates go from "
            f"{least} to {most}. Look for a benchmark that does something else on one of them, and run it again.",
            flavor=flavor.slug,
        )


def _evidence(found: Calibration) -> dict[str, Any]:
    """JSON enough to work the rates out again."""
    slugs = {each.flavor.id: each.flavor.slug for each in found.suggestions}
    return {
        "gpus": {slugs[kind]: str(number) for kind, number in found.gpus.items()},
        "fair": round(found.fair, 6),
        "benchmarks": [
            {
                "project": each.project.name,
                "name": each.name,
                "key": each.key,
                "weight": str(found.weights[each.key]),
                "gpu_seconds": {slugs[kind]: str(each.median(kind)) for kind in each.runs if kind in slugs},
                "runs": {slugs[kind]: len(runs) for kind, runs in each.runs.items() if kind in slugs},
            }
            for each in found.benchmarks
        ],
    }


def _for_decision(session: Session, proposal_id: UUID, person: Person) -> RateProposal:
    proposal = benchmarks.proposal(session, proposal_id, locked=True)
    if proposal.made_by_id == person.id:
        raise OwnProposal("You made this proposal; somebody else has to decide it.")
    return proposal


def _decide(proposal: RateProposal, to: ProposalStatus, note: str, person: Person, now: datetime) -> None:
    proposal.advance(to, now)
    proposal.decided_by_id, proposal.decided_at, proposal.note = person.id, now, note.strip() or None
