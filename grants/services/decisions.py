"""The committee decides: who was there, how they voted, why, and what is offered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit
from core.errors import DomainError, InvalidInput
from core.identity.models import Person
from core.money import Money
from grants import policies, queries
from grants.models import (
    Application,
    ApplicationOutcome,
    Decision,
    DecisionVote,
    Grant,
    GrantStatus,
    Instalment,
    InstalmentStatus,
    Programme,
    Schedule,
    Vote,
)
from grants.policies.schedule import Milestone, Part, ends_on, plan
from grants.services import conflicts, postings, reviews
from grants.services.applications import close_undecided


class NoQuorum(DomainError):
    """Too few members were present, recused ones not counted."""

    code = "no_quorum"


class RecusedMemberVoted(DomainError):
    """Whoever stepped back has no vote."""

    code = "recused_member_voted"


class NotAMember(DomainError):
    """Somebody among the present is neither reviewer nor officer of the programme."""

    code = "not_a_member"


class VotesSayOtherwise(DomainError):
    """The outcome recorded is not what was voted."""

    code = "votes_say_otherwise"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What an awarded application is offered."""

    amount: Money
    schedule: Schedule
    starts_on: date
    count: int = 1
    milestones: Sequence[Milestone] = ()
    report_gate: bool = False
    months: int | None = None
    override_reason: str | None = None
    undisclosed: bool = False
    recipient_name: str | None = None
    """Named in the register; the project's name unless given."""

    def parts(self) -> list[Part]:
        return plan(
            self.amount,
            self.schedule,
            starts_on=self.starts_on,
            count=self.count,
            milestones=self.milestones,
            report_gate=self.report_gate,
        )


def decide(
    session: Session,
    application_id: UUID,
    *,
    officer: Person,
    votes: Mapping[UUID, Vote],
    minute: str,
    offer: Offer | None,
    decided_on: date,
    now: datetime,
) -> Decision:
    """Record the committee's decision; with an offer, the grant is made and its amount held in the programme's account.

    Takes the programme's row as its lock first, so that two rooms deciding at once can't both take the last place.

    Raises:
        NotAllowed: not the programme's officer.
        NotEnoughReviews, NoQuorum, NotAMember, RecusedMemberVoted, VotesSayOtherwise: the committee could not decide so.
        AwardCapExceeded, AnnualCapExceeded, NoPlaceLeft, RoundFull, OverrideNeeded, WrongCurrency: the programme's limits.
        NotFunded: there is less money in the programme than this grant.
        IllegalTransition: the application is not under review.
    """
    programme = queries.locked_programme_of(session, application_id)
    application = queries.locked_application(session, application_id)
    queries.require_uninvolved_officer(session, application, officer, on=now.date())
    awarded = offer is not None
    close_undecided(application, ApplicationOutcome.AWARDED if awarded else ApplicationOutcome.DECLINED, now)
    if not minute.strip():
        raise InvalidInput("Write the minute: what was weighed, and why it was decided so.", field="minute")
    if decided_on > now.date():
        raise InvalidInput("A decision can't be in the future.", field="decided_on")
    reviews.require_reviews(session, application)
    _require_valid_votes(session, application, votes, awarded=awarded, on=decided_on)
    conflicts.raise_flags(session, application, now=now)
    reason = _require_within_limits(session, application, offer, decided_on) if offer else None
    decision = Decision(
        application_id=application.id,
        programme_id=programme.id,
        awarded=awarded,
        amount_minor=offer.amount.amount_minor if offer else None,
        currency=programme.currency,
        override_reason=reason,
        minute=minute.strip(),
        quorum=programme.quorum,
        decided_on=decided_on,
        recorded_by_id=officer.id,
        recorded_at=now,
    )
    session.add(decision)
    session.flush()
    decision.votes.extend(DecisionVote(person_id=person_id, vote=vote) for person_id, vote in votes.items())
    session.flush()
    audit.record(session, "application.decided", application, actor=officer, at=now, outcome=str(application.outcome))
    if offer:
        grant = _offered_grant(application, decision, offer, reason, now)
        make(session, grant, offer.parts(), actor=officer, now=now)
    return decision


def make(session: Session, grant: Grant, parts: Sequence[Part], *, actor: Person, now: datetime) -> Grant:
    """Write a grant with its instalments and hold its amount in the programme's account.

    The caller holds the programme's row and has checked its limits; the database checks them again.

    Raises:
        NotFunded: the programme's available balance is below the amount.
    """
    grant.instalments = [
        Instalment(
            number=number,
            name=part.name,
            amount_minor=part.money.amount_minor,
            currency=part.money.currency,
            due_on=part.due_on,
            gated=part.gated,
            status=InstalmentStatus.PLANNED,
        )
        for number, part in enumerate(parts, start=1)
    ]
    session.add(grant)
    session.flush()
    session.refresh(grant, ["programme", "project"])
    postings.hold_offer(session, grant, now=now)
    audit.record(session, "grant.offered", grant, actor=actor, at=now, reason=grant.override_reason, amount=str(grant.money))
    return grant


def _offered_grant(application: Application, decision: Decision, offer: Offer, reason: str | None, now: datetime) -> Grant:
    programme: Programme = application.programme
    assert application.project_id is not None, "a submitted application has its project"
    return Grant(
        programme_id=programme.id,
        round_id=application.round_id,
        application_id=application.id,
        decision_id=decision.id,
        project_id=application.project_id,
        status=GrantStatus.OFFERED,
        recipient_name=offer.recipient_name or application.project_name,
        amount_minor=offer.amount.amount_minor,
        currency=offer.amount.currency,
        amount_undisclosed=offer.undisclosed,
        awarded_on=decision.decided_on,
        year=policies.programme_year(programme.year_first_month, decision.decided_on),
        override_reason=reason,
        purpose=application.use_of_funds,
        schedule=offer.schedule,
        report_gate=offer.report_gate,
        starts_on=offer.starts_on,
        ends_on=ends_on(offer.schedule, offer.parts(), starts_on=offer.starts_on, months=offer.months),
        offered_at=now,
        offer_expires_on=now.date() + timedelta(days=programme.offer_days),
        is_demo=application.is_demo,
    )


def _require_within_limits(session: Session, application: Application, offer: Offer, on: date) -> str | None:
    """The programme's limits, then its request rule. Returns the override reason to keep."""
    programme, round_ = application.programme, application.round
    policies.require_within_caps(
        programme,
        offer.amount,
        queries.standing(session, programme, on=on),
        round_grants=queries.grants_in_round(session, round_.id),
        round_max=round_.grants_max,
    )
    return policies.require_rule_or_reason(programme, offer.amount, offer.override_reason or application.exception_reason)


def _require_valid_votes(
    session: Session, application: Application, votes: Mapping[UUID, Vote], *, awarded: bool, on: date
) -> None:
    recused = queries.recused_ids(session, application)
    for person_id, vote in votes.items():
        person = session.get(Person, person_id)
        if person is None or not queries.is_member(session, application.programme, person, on=on):
            raise NotAMember("Only reviewers and officers of this programme decide.")
        if vote is not Vote.RECUSED and queries.writes_application(session, application, person, on=on):
            raise RecusedMemberVoted(f"{person.name} applied or maintains the project, and has no vote.")
        if person_id in recused and vote is not Vote.RECUSED:
            raise RecusedMemberVoted(f"{person.name} stepped back from this application and has no vote.")
        if vote is Vote.RECUSED and person_id not in recused:
            raise RecusedMemberVoted(
                f"{person.name} has not declared a recusal; declare it first, with its reason.", field="votes"
            )
    counted = [vote for person_id, vote in votes.items() if person_id not in recused]
    quorum = application.programme.quorum
    if len(counted) < quorum:
        raise NoQuorum(
            f"{len(counted)} members who may decide were present; the quorum is {quorum}, recused members not counted.",
            present=len(counted),
            quorum=quorum,
        )
    in_favour, against = counted.count(Vote.FOR), counted.count(Vote.AGAINST)
    if awarded != (in_favour > against):
        word = "An award needs more votes for than against" if awarded else "More members voted for than against"
        raise VotesSayOtherwise(f"{word}; {in_favour} voted for and {against} against.")
