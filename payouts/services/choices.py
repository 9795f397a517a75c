"""Which rail pays whom: what is known of payees, payouts and rails, handed to the rules; and a person's word against them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.config import settings
from core.db import among
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Person
from core.money import Money
from payouts import queries, terms
from payouts.models import Destination, Payout, PayoutStatus, RailSwitch, Recipient, Standing
from payouts.policies.ways import NEVER, Asked, Candidate, Choice, Place, Way, Wish, choose, ways
from payouts.rails.base import OnboardingRail, Rail
from payouts.services import documents, fitting

NONE_CHOSEN: Mapping[str, Payout] = {}


class RailImpossible(DomainError):
    """The rail can't pay this payout, whoever says so."""

    code = "rail_impossible"


class RailDecided(DomainError):
    """The payout is a line of a run, and with it its rail was approved or will be."""

    code = "rail_decided"


@dataclass(frozen=True)
class Outlook:
    """All that is known for paying some payouts now, read at once."""

    session: Session
    rails: Mapping[str, Rail]
    lacks: Mapping[str, Sequence[str]]
    """Rails this installation could have, and the settings each lacks."""
    now: datetime
    places: Mapping[tuple[UUID, str, str], Destination]
    """By recipient, currency and rail."""
    known: Mapping[tuple[UUID, str], set[str]]
    """The rails on which a recipient has a destination, by recipient and currency."""
    standings: Mapping[UUID, Standing]
    switches: Mapping[str, RailSwitch]
    kept: Mapping[UUID, int]
    files: documents.Files
    home: str = field(default_factory=lambda: settings().pledgeworks_country)

    def asked(self, who: Recipient, owed: Money, *, kept: int = 0, beside: int = 0) -> Asked:
        return Asked(
            owed=owed,
            kept=kept,
            payee=who.name,
            country=who.country,
            payer_country=self.home,
            now=self.now,
            preferred=who.preferred_rail,
            held=who.held_reason,
            tax=self.files.facts(who, owed.currency, beside=beside),
        )

    def ways(self, payout: Payout, *, chosen: Mapping[str, Payout] = NONE_CHOSEN, beside: int = 0) -> list[Way]:
        """Every way to pay this, the best first.

        `chosen` are those of the same run by the fingerprint of their place, `beside` is what those of them to the same payee
        come to, in minor units.
        """
        who = payout.recipient
        taken: dict[str, str | None] = {}
        for name, rail in self.rails.items():
            place = self.place(who, payout.currency, name)
            if place is not None:
                taken[name] = fitting.why_taken(self.session, payout, place, rail, chosen=chosen, now=self.now)
        return ways(self._asked_of(payout, beside), self._candidates(who, payout.currency, taken))

    def way(self, payout: Payout, rail: str, *, beside: int = 0) -> Way | None:
        """One rail as a way to pay this."""
        who, here = payout.recipient, self.rails.get(rail)
        place = self.place(who, payout.currency, rail)
        if here is None and place is None and rail not in self.lacks:
            return None
        taken = None
        if here is not None and place is not None:
            taken = fitting.why_taken(self.session, payout, place, here, chosen=NONE_CHOSEN, now=self.now)
        (found,) = ways(self._asked_of(payout, beside), [self._candidate(rail, place, taken)])
        return found

    def ways_of(self, who: Recipient, money: Money) -> list[Way]:
        """Every way a recipient could be paid this much."""
        return ways(self.asked(who, money), self._candidates(who, money.currency, {}))

    def choice(self, payout: Payout, *, chosen: Mapping[str, Payout] = NONE_CHOSEN, beside: int = 0) -> Choice:
        """The rail this goes by, if it can go."""
        found = self.ways(payout, chosen=chosen, beside=beside)
        return choose(found, self._asked_of(payout, beside), self._wish(payout))

    def place(self, who: Recipient, currency: str, rail: str) -> Destination | None:
        return self.places.get((who.id, currency, rail))

    def _asked_of(self, payout: Payout, beside: int) -> Asked:
        return self.asked(payout.recipient, payout.money, kept=self.kept.get(payout.id, 0), beside=beside)

    def _wish(self, payout: Payout) -> Wish | None:
        if payout.wish_rail is None or payout.wish_by is None:
            return None
        return Wish(payout.wish_rail, payout.wish_by.name, payout.wish_reason or "")

    def _candidates(self, who: Recipient, currency: str, taken: Mapping[str, str | None]) -> list[Candidate]:
        here = self.rails.keys() | self.lacks.keys()
        names = sorted(here | self.known.get((who.id, currency), set()))
        return [self._candidate(name, self.place(who, currency, name), taken.get(name)) for name in names]

    def _candidate(self, name: str, place: Destination | None, taken: str | None) -> Candidate:
        rail, known, switch = self.rails.get(name), terms.in_force(name, self.now.date()), self.switches.get(name)
        return Candidate(
            rail=name,
            title=rail.title if rail else known.title if known else name,
            capabilities=rail.capabilities if rail else None,
            terms=known,
            place=self._place(place),
            stopped=switch.reason if switch and switch.stopped else None,
            lacks=self.lacks.get(name, ()),
            asks_for=", ".join(each.label for each in rail.destination_fields if each.required) if rail else "",
            has_accounts=isinstance(rail, OnboardingRail),
            taken=taken,
        )

    def problem(self, place: Destination) -> str | None:
        """What the rail said last that it still wants from the payee there."""
        standing = self.standings.get(place.id)
        return standing.problem if standing else None

    def _place(self, place: Destination | None) -> Place | None:
        if place is None:
            return None
        return Place(place.label, place.usable_from, looked_at=place.look is not None, problem=self.problem(place))


def outlook(
    session: Session,
    payouts: Sequence[Payout],
    *,
    rails: Mapping[str, Rail],
    now: datetime,
    lacks: Mapping[str, Sequence[str]] | None = None,
    recipient: Recipient | None = None,
) -> Outlook:
    """Read what is known for these payouts, or for a recipient, in as many queries for one as for a thousand."""
    people = {payout.recipient_id: payout.recipient for payout in payouts}
    if recipient is not None:
        people[recipient.id] = recipient
    places = queries.places(session, set(people))
    known: dict[tuple[UUID, str], set[str]] = {}
    for place in places:
        known.setdefault((place.recipient_id, place.currency), set()).add(place.rail)
    rows = session.scalars(select(Standing).where(among(Standing.destination_id, [place.id for place in places])))
    return Outlook(
        session=session,
        rails=rails,
        lacks=lacks or {},
        now=now,
        places={(place.recipient_id, place.currency, place.rail): place for place in places},
        known=known,
        standings={row.destination_id: row for row in rows},
        switches=queries.switches(session),
        kept=fitting.kept(session, payouts),
        files=documents.files(session, list(people.values()), now=now),
    )


def wish(
    session: Session, payout_id: UUID, *, rail: str, reason: str, rails: Mapping[str, Rail], actor: Person, now: datetime
) -> Payout:
    """A person's word that a payout goes by a rail. It waits until that rail can pay it.

    Raises:
        RailDecided: it is in a run, on its way or ended.
        RailImpossible: the rail does not serve this payee, currency or amount, whatever is still brought.
        InvalidInput: without a reason.
    """
    if not reason.strip():
        raise InvalidInput("Say why this rail and not the one the platform would choose.", field="reason")
    payout = _undecided(session, payout_id)
    way = next((way for way in outlook(session, [payout], rails=rails, now=now).ways(payout) if way.rail == rail), None)
    if way is None:
        raise RailImpossible(f"There is no rail “{rail}” in this installation.")
    if way.never:
        said = " ".join(need.words for need in way.needs if need.kind in NEVER)
        raise RailImpossible(said, rail=rail)
    payout.wish_rail, payout.wish_reason, payout.wish_by = rail, reason.strip(), actor
    session.flush()
    audit.record(session, "payout.rail_chosen", payout, actor=actor, at=now, reason=reason.strip(), rail=rail)
    return payout


def unwish(session: Session, payout_id: UUID, *, reason: str, actor: Person, now: datetime) -> Payout:
    """Leave the rail to the platform again.

    Raises:
        RailDecided: it is in a run, on its way or ended.
        InvalidInput: without a reason, or nobody had chosen.
    """
    if not reason.strip():
        raise InvalidInput("Say why the choice is taken back.", field="reason")
    payout = _undecided(session, payout_id)
    if payout.wish_rail is None:
        raise InvalidInput("Nobody chose a rail for this payout; the platform does.")
    before = payout.wish_rail
    payout.wish_rail = payout.wish_reason = payout.wish_by = None
    session.flush()
    audit.record(session, "payout.rail_left_to_platform", payout, actor=actor, at=now, reason=reason.strip(), rail=before)
    return payout


def _undecided(session: Session, payout_id: UUID) -> Payout:
    payout = session.scalars(
        select(Payout).where(Payout.id == payout_id).with_for_update(of=Payout).execution_options(populate_existing=True)
    ).one_or_none()
    if payout is None:
        raise NotFound("There is no such payout.")
    if payout.status is not PayoutStatus.DRAFT or payout.run_id is not None:
        raise RailDecided("Its rail is part of a run; take the payout out of the run first.")
    return payout
