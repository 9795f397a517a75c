"""Screening, conflicts, reviews and decisions."""

import random
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core import ledger
from core.errors import IllegalTransition, InvalidInput, NotAllowed
from core.identity.models import Person, Role
from grants import policies, queries
from grants.models import (
    Application,
    ApplicationOutcome,
    ApplicationStatus,
    ConflictOutcome,
    Grant,
    GrantStatus,
    InterestKind,
    LinkKind,
    Recommendation,
    ReviewStatus,
    Round,
    Schedule,
    Vote,
)
from grants.policies import caps
from grants.services import conflicts, decisions, postings, reviews, screening
from tests.integration.grants import builders
from tests.integration.grants.builders import Funder, offer, usd

# Screening


def test_one_failed_check_ends_the_application_with_its_reason(
    session: Session, submitted: Application, funder: Funder, now: datetime
) -> None:
    first, second = submitted.programme.checks
    answers = {first.id: screening.Answer(passed=True), second.id: screening.Answer(passed=False)}
    with pytest.raises(InvalidInput, match="Say why"):
        screening.screen(session, submitted.id, answers=answers, officer=funder.officer, now=now)
    session.rollback()


def test_a_screened_out_application_names_the_check(
    session: Session, submitted: Application, funder: Funder, now: datetime
) -> None:
    first, second = submitted.programme.checks
    answers = {first.id: screening.Answer(passed=True), second.id: screening.Answer(passed=False, reason="Nobody uses it.")}
    screening.screen(session, submitted.id, answers=answers, officer=funder.officer, now=now)
    assert (submitted.status, submitted.outcome) == (ApplicationStatus.DECIDED, ApplicationOutcome.SCREENED_OUT)
    assert [answer.reason for answer in submitted.screening if not answer.passed] == ["Nobody uses it."]


def test_only_the_programmes_officers_screen(session: Session, submitted: Application, maintainer: Person, now: datetime) -> None:
    with pytest.raises(NotAllowed):
        screening.screen(session, submitted.id, answers={}, officer=maintainer, now=now)


# Conflicts


def test_three_overlaps_are_flagged_without_anybody_typing_them(session: Session, now: datetime) -> None:
    sequoia = builders.funder(session, "Sequoia Capital")
    fellowship = builders.programme(session, sequoia, name="Open Source Fellowship")
    round_ = builders.round_of(session, fellowship)
    vllm, arena, fastapi, pydantic = (builders.project(session, n) for n in ("vLLM", "Chatbot Arena", "FastAPI", "Pydantic"))
    replicate, factory, services = (builders.organisation(session, n) for n in ("Replicate", "Factory", "Pydantic Services"))
    stranger = builders.organisation(session, "Nobody's holding")
    act = {"from_on": date(2024, 1, 1), "actor": sequoia.officer, "now": now}
    for body in (replicate, factory, services):
        conflicts.record_interest(session, holder=sequoia.organisation, kind=InterestKind.HOLDING, subject=body, **act)
    for project, kind, other in (
        (vllm, LinkKind.USED_BY, replicate), (vllm, LinkKind.USED_BY, stranger), (arena, LinkKind.USED_BY, factory),
        (fastapi, LinkKind.DEPENDS_ON, pydantic), (pydantic, LinkKind.OWNED_BY, services),
    ):  # fmt: skip
        conflicts.record_link(session, project=project, kind=kind, other=other, **act)
    found = []
    for project in (vllm, arena, fastapi):
        applicant = builders.person(session, f"Maintainer of {project.name}")
        builders.member(session, applicant, Role.MAINTAINER, project_id=project.id)
        application = builders.submit(session, round_, applicant, now, of=project)
        builders.screened(session, application, sequoia, now)
        builders.assigned(session, application, sequoia, now)
        found.append(application)
    assert [[flag.sentence for flag in queries.flags_on(session, application.id)] for application in found] == [
        ["Sequoia Capital holds a stake in Replicate, which uses vLLM."],
        ["Sequoia Capital holds a stake in Factory, which uses Chatbot Arena."],
        ["Sequoia Capital holds a stake in Pydantic Services, which owns Pydantic, on which FastAPI depends."],
    ]
    for application in found:  # raised once, however often one looks; and they block nothing
        assert conflicts.raise_flags(session, application, now=now) == []
        for review in queries.reviews_of(session, application.id):
            builders.scored(session, review, now)
    builders.money_in(session, fellowship, usd(300_000), now)
    for application in found:
        decision = builders.decided(session, application, sequoia, now, offer(usd(100_000)))
        assert decision.awarded


def test_an_interest_that_is_over_raises_no_flag(
    session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime
) -> None:
    mine = builders.project(session, "Gadget", maintainer)
    conflicts.record_interest(
        session, holder=funder.reviewers[0], kind=InterestKind.FAMILY, subject=mine, from_on=date(2020, 1, 1),
        until_on=date(2026, 1, 1), actor=funder.officer, now=now,
    )  # fmt: skip
    application = builders.submit(session, open_round, maintainer, now, of=mine)
    assert conflicts.raise_flags(session, application, now=now) == []


def test_an_interest_entered_later_is_matched_with_what_is_undecided(
    session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime
) -> None:
    mine = builders.project(session, "Gadget", maintainer)
    application = builders.submit(session, open_round, maintainer, now, of=mine)
    reviewer = funder.reviewers[0]
    conflicts.record_interest(
        session, holder=reviewer, kind=InterestKind.FAMILY, subject=mine, from_on=date(2020, 1, 1), actor=reviewer, now=now
    )
    assert [flag.sentence for flag in queries.flags_on(session, application.id)] == [
        "A committee member has family ties to Gadget."
    ]


def test_conflicts_come_before_the_review(session: Session, submitted: Application, funder: Funder, now: datetime) -> None:
    builders.screened(session, submitted, funder, now)
    review, _ = builders.assigned(session, submitted, funder, now)
    with pytest.raises(reviews.DeclareFirst):
        reviews.open_review(session, review.id, reviewer=review.reviewer)
    conflicts.declare(
        session, submitted.id, person=review.reviewer, outcome=ConflictOutcome.DISCLOSE, reason="I use it.", now=now
    )
    assert reviews.open_review(session, review.id, reviewer=review.reviewer).status is ReviewStatus.DECLARED


def test_a_yearly_declaration_opens_reviews_unless_a_flag_touches_the_member(
    session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime
) -> None:
    mine = builders.project(session, "Gadget", maintainer)
    clear, tied = funder.reviewers[:2]
    for reviewer in (clear, tied):
        conflicts.declare_year(session, open_round.programme, person=reviewer, outcome=ConflictOutcome.NONE, reason="", now=now)
    conflicts.record_interest(
        session, holder=tied, kind=InterestKind.HOLDING, subject=mine, from_on=date(2020, 1, 1), actor=tied, now=now
    )
    application = builders.screened(session, builders.submit(session, open_round, maintainer, now, of=mine), funder, now)
    states = {review.reviewer_id: review.status for review in builders.assigned(session, application, funder, now)}
    assert states == {clear.id: ReviewStatus.DECLARED, tied.id: ReviewStatus.ASSIGNED}


def test_a_recused_member_is_closed_out_until_the_decision(
    session: Session, submitted: Application, funder: Funder, now: datetime
) -> None:
    builders.screened(session, submitted, funder, now)
    first, second, third = builders.assigned(session, submitted, funder, now, count=3)
    builders.scored(session, first, now, points=1)
    builders.scored(session, second, now, points=5)
    before = queries.application_score(session, submitted)
    conflicts.declare(
        session, submitted.id, person=third.reviewer, outcome=ConflictOutcome.RECUSE, reason="My cousin's project.", now=now
    )
    on = now.date()
    assert not queries.may_read_reviews(session, submitted, third.reviewer, on=on)
    assert queries.may_read_reviews(session, submitted, first.reviewer, on=on)
    with pytest.raises(NotAllowed):
        reviews.open_review(session, third.id, reviewer=third.reviewer)
    with pytest.raises(conflicts.AlreadyDecided):
        conflicts.declare(session, submitted.id, person=third.reviewer, outcome=ConflictOutcome.NONE, reason="", now=now)
    assert queries.application_score(session, submitted) == before
    builders.decided(session, submitted, funder, now, None)
    assert queries.may_read_reviews(session, submitted, third.reviewer, on=on)


@pytest.mark.parametrize("seed", range(8))
def test_a_score_of_a_recused_member_changes_nothing(
    session: Session, submitted: Application, funder: Funder, now: datetime, seed: int
) -> None:
    rng = random.Random(seed)
    builders.screened(session, submitted, funder, now)
    made = builders.assigned(session, submitted, funder, now, count=3)
    kept = []
    stepping_back = rng.choice(made)
    for review in made:
        builders.scored(session, review, now, points=rng.randint(0, 5))
        if review is not stepping_back:
            kept.append(policies.review_score((s.criterion.weight, s.points, s.points_max) for s in review.scores))
    conflicts.declare(
        session, submitted.id, person=stepping_back.reviewer, outcome=ConflictOutcome.RECUSE, reason="Found out late.", now=now
    )
    assert queries.application_score(session, submitted) == policies.mean_score(kept)
    assert len(queries.counting_reviews(session, submitted)) == 2


# Reviews


def test_others_reviews_open_after_ones_own(session: Session, submitted: Application, funder: Funder, now: datetime) -> None:
    builders.screened(session, submitted, funder, now)
    first, second = builders.assigned(session, submitted, funder, now)
    builders.scored(session, first, now)
    assert not queries.may_read_reviews(session, submitted, second.reviewer, on=now.date())
    builders.scored(session, second, now)
    assert queries.may_read_reviews(session, submitted, second.reviewer, on=now.date())
    assert not queries.may_read_reviews(session, submitted, funder.reviewers[2], on=now.date())


def test_points_stay_within_the_rubric(session: Session, submitted: Application, funder: Funder, now: datetime) -> None:
    builders.screened(session, submitted, funder, now)
    review, _ = builders.assigned(session, submitted, funder, now)
    conflicts.declare(session, submitted.id, person=review.reviewer, outcome=ConflictOutcome.NONE, reason="", now=now)
    with pytest.raises(InvalidInput, match="0 to 5 points"):
        reviews.submit(
            session, review.id, reviewer=review.reviewer, points={c.id: 6 for c in submitted.programme.criteria},
            recommendation=Recommendation.FUND, comment="Great", now=now,
        )  # fmt: skip


def test_the_database_bounds_points_too(session: Session, submitted: Application, funder: Funder, now: datetime) -> None:
    builders.screened(session, submitted, funder, now)
    review, _ = builders.assigned(session, submitted, funder, now)
    builders.scored(session, review, now)
    for column in ("points = 6", "points = 6, points_max = 10"):
        with pytest.raises(DBAPIError), session.begin_nested():
            session.execute(text(f"UPDATE review_score SET {column} WHERE review_id = :id"), {"id": review.id})


def test_who_applied_does_not_review(session: Session, funder: Funder, open_round: Round, now: datetime) -> None:
    own = funder.reviewers[0]
    application = builders.screened(session, builders.submit(session, open_round, own, now), funder, now)
    with pytest.raises(reviews.NotAReviewer):
        reviews.assign(session, application.id, reviewer_ids=[own.id], officer=funder.officer, now=now)


def test_two_reviews_at_least(session: Session, submitted: Application, funder: Funder, now: datetime) -> None:
    builders.screened(session, submitted, funder, now)
    first, second = builders.assigned(session, submitted, funder, now)
    builders.scored(session, first, now)
    with pytest.raises(reviews.NotEnoughReviews):
        reviews.shortlist(session, submitted.id, officer=funder.officer, now=now)
    builders.scored(session, second, now)
    assert reviews.shortlist(session, submitted.id, officer=funder.officer, now=now).status is ApplicationStatus.SHORTLISTED


# Decisions


@pytest.fixture
def shortlisted(session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime) -> Application:
    builders.money_in(session, open_round.programme, usd(50_000), now)
    return builders.shortlisted(session, open_round, funder, maintainer, now)


def test_an_award_makes_an_offer_and_holds_its_amount(
    session: Session, shortlisted: Application, funder: Funder, now: datetime
) -> None:
    builders.decided(session, shortlisted, funder, now, offer(usd(20_000), schedule=Schedule.MONTHLY, count=3))
    grant = queries.grant_of_application(session, shortlisted.id)
    assert grant is not None
    assert (grant.status, grant.money, shortlisted.outcome) == (GrantStatus.OFFERED, usd(20_000), ApplicationOutcome.AWARDED)
    assert [str(part.money) for part in grant.instalments] == ["6,666.67 USD", "6,666.67 USD", "6,666.66 USD"]
    balance = ledger.balance(session, shortlisted.programme.account)
    assert (balance.posted, balance.available) == (5_000_000, 3_000_000)
    session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))


def test_more_than_there_is_can_not_be_offered(session: Session, shortlisted: Application, funder: Funder, now: datetime) -> None:
    with pytest.raises(postings.NotFunded, match=r"50,000.00 USD to give"):
        builders.decided(session, shortlisted, funder, now, offer(usd(50_001)))


@pytest.mark.parametrize(
    ("votes", "awarded", "error"),
    [
        ([Vote.FOR], True, decisions.NoQuorum),
        ([Vote.FOR, Vote.AGAINST], True, decisions.VotesSayOtherwise),
        ([Vote.ABSTAINED, Vote.ABSTAINED], True, decisions.VotesSayOtherwise),
        ([Vote.FOR, Vote.FOR], False, decisions.VotesSayOtherwise),
        ([Vote.FOR, Vote.RECUSED], True, decisions.RecusedMemberVoted),
    ],
)
def test_the_outcome_is_what_a_quorum_voted(
    session: Session, shortlisted: Application, funder: Funder, now: datetime, votes: list[Vote], awarded: bool, error: type
) -> None:
    given = {reviewer.id: vote for reviewer, vote in zip(funder.reviewers, votes, strict=False)}
    with pytest.raises(error):
        builders.decided(session, shortlisted, funder, now, offer(usd(10_000)) if awarded else None, votes=given)


def test_recused_members_make_no_quorum_and_have_no_vote(
    session: Session, shortlisted: Application, funder: Funder, now: datetime
) -> None:
    first, _, third = funder.reviewers
    conflicts.declare(session, shortlisted.id, person=third, outcome=ConflictOutcome.RECUSE, reason="Board seat", now=now)
    with pytest.raises(decisions.NoQuorum):
        builders.decided(session, shortlisted, funder, now, offer(usd(1)), votes={first.id: Vote.FOR, third.id: Vote.RECUSED})
    session.expire_all()


def test_the_database_refuses_a_recused_members_vote_too(
    session: Session, shortlisted: Application, funder: Funder, now: datetime
) -> None:
    first, second, third = funder.reviewers
    conflicts.declare(session, shortlisted.id, person=third, outcome=ConflictOutcome.RECUSE, reason="Board seat", now=now)
    votes = {first.id: Vote.FOR, second.id: Vote.FOR, third.id: Vote.RECUSED}
    decision = builders.decided(session, shortlisted, funder, now, offer(usd(10_000)), votes=votes)
    copy = (
        "INSERT INTO decision_vote (id, decision_id, person_id, vote) "
        "VALUES (gen_random_uuid(), :decision, :person, 'for') ON CONFLICT DO NOTHING"
    )
    with pytest.raises(DBAPIError, match="a recused member does not vote"), session.begin_nested():
        session.execute(text(copy), {"decision": decision.id, "person": third.id})
    session.execute(text(copy), {"decision": decision.id, "person": funder.officer.id})  # anybody else's would go in


@pytest.mark.parametrize("table", ["decision", "decision_vote", "conflict_declaration"])
def test_what_was_decided_and_declared_is_never_rewritten(session: Session, table: str) -> None:
    for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(DBAPIError, match="append-only"), session.begin_nested():
            session.execute(text(statement))


def test_a_stranger_has_no_vote(session: Session, shortlisted: Application, funder: Funder, now: datetime) -> None:
    votes = {funder.reviewers[0].id: Vote.FOR, builders.person(session, "Passer-by").id: Vote.FOR}
    with pytest.raises(decisions.NotAMember):
        builders.decided(session, shortlisted, funder, now, offer(usd(1)), votes=votes)


def test_what_is_decided_stays_decided(session: Session, shortlisted: Application, funder: Funder, now: datetime) -> None:
    builders.decided(session, shortlisted, funder, now, None)
    assert shortlisted.outcome is ApplicationOutcome.DECLINED
    with pytest.raises(IllegalTransition):
        builders.decided(session, shortlisted, funder, now, offer(usd(1)))


# Limits, through the services


def test_bloombergs_tenth_award_is_refused(session: Session, now: datetime) -> None:
    body = builders.funder(session, "Bloomberg")
    fund = builders.programme(session, body, annual_cap_minor=9_000_000, award_cap_minor=1_000_000)
    builders.money_in(session, fund, usd(120_000), now)
    for number in range(4):
        round_ = builders.round_of(session, fund, grants_max=3)
        for place in range(3):
            applicant = builders.person(session, f"Maintainer {number} {place}")
            application = builders.shortlisted(session, round_, body, applicant, now)
            if number < 3:
                builders.decided(session, application, body, now, offer(usd(10_000)))
            else:
                with pytest.raises(caps.AnnualCapExceeded), session.begin_nested():
                    builders.decided(session, application, body, now, offer(usd(10_000)))
    assert queries.standing(session, fund, on=now.date()).committed == usd(90_000)
    assert queries.standing(session, fund, on=date(2027, 1, 1)).committed == usd(0)


def test_a_fourth_selection_is_refused_until_one_falls_through(session: Session, now: datetime) -> None:
    sequoia = builders.funder(session, "Sequoia Capital")
    fellowship = builders.programme(session, sequoia, places_per_year=3)
    round_ = builders.round_of(session, fellowship, closes_on=None, decides_on=None)
    builders.money_in(session, fellowship, usd(400_000), now)
    made = []
    for number in range(4):
        application = builders.shortlisted(session, round_, sequoia, builders.person(session, f"Fellow {number}"), now)
        if number == 2:
            assert queries.standing(session, fellowship, on=now.date()).places_left == 1
        if number < 3:
            made.append(builders.decided(session, application, sequoia, now, offer(usd(100_000))))
    with pytest.raises(caps.NoPlaceLeft), session.begin_nested():
        builders.decided(session, application, sequoia, now, offer(usd(100_000)))
    from grants.services import grants as grant_services

    grant = session.scalars(select(Grant).where(Grant.decision_id == made[0].id)).unique().one()
    grant_services.decline(session, grant.id, person=grant.application.applicant, reason="Took a job", now=now)  # type: ignore[union-attr]
    session.expire_all()
    assert builders.decided(session, application, sequoia, now, offer(usd(100_000))).awarded


def test_an_award_outside_the_request_rule_keeps_its_reason(
    session: Session, funder: Funder, maintainer: Person, now: datetime
) -> None:
    floss = builders.programme(
        session, funder, request_min_minor=1_000_000, request_step_minor=2_500_000, request_max_minor=10_000_000
    )
    builders.money_in(session, floss, usd(100_000), now)
    application = builders.shortlisted(session, builders.round_of(session, floss), funder, maintainer, now)
    with pytest.raises(caps.OverrideNeeded), session.begin_nested():
        builders.decided(session, application, funder, now, offer(usd(15_000)))
    session.expire_all()
    terms = offer(usd(15_000), override_reason="More than the smallest grant, less than the next step.")
    assert builders.decided(session, application, funder, now, terms).override_reason == terms.override_reason


def test_a_decision_counts_for_the_year_it_was_taken_in(
    session: Session, funder: Funder, maintainer: Person, now: datetime
) -> None:
    programme = builders.programme(session, funder, annual_cap_minor=1_000_000, year_first_month=10)
    builders.money_in(session, programme, usd(20_000), now)
    round_ = builders.round_of(session, programme, opens_on=date(2026, 1, 1))
    first = builders.shortlisted(session, round_, funder, maintainer, now)
    second = builders.shortlisted(session, round_, funder, builders.person(session, "Second"), now)
    builders.decided(session, first, funder, now, offer(usd(10_000)), decided_on=date(2026, 9, 30))
    builders.decided(session, second, funder, now, offer(usd(10_000)), decided_on=date(2026, 10, 1))
    third = builders.shortlisted(session, round_, funder, builders.person(session, "Third"), now)
    with pytest.raises(InvalidInput):
        builders.decided(session, third, funder, now, None, decided_on=now.date() + timedelta(days=1))


def test_officers_have_no_part_in_their_own_applications(
    session: Session, submitted: Application, funder: Funder, maintainer: Person, now: datetime
) -> None:
    builders.member(session, maintainer, Role.PROGRAMME_OFFICER, organisation_id=funder.organisation.id)
    on = now.date()
    assert not queries.may_work_on(session, submitted, maintainer, on=on)
    assert not queries.may_read_reviews(session, submitted, maintainer, on=on)
    assert not queries.may_read_scores(session, submitted, maintainer, on=on)
    with pytest.raises(NotAllowed, match="your own application"):
        screening.screen(session, submitted.id, answers={}, officer=maintainer, now=now)
    builders.screened(session, submitted, funder, now)
    for review in builders.assigned(session, submitted, funder, now):
        builders.scored(session, review, now)
    wish = {"minute": "Good.", "offer": None, "decided_on": on, "now": now}
    with pytest.raises(NotAllowed, match="your own application"):
        decisions.decide(session, submitted.id, officer=maintainer, votes={}, **wish)
    votes = {maintainer.id: Vote.AGAINST, **{one.id: Vote.AGAINST for one in funder.reviewers}}
    with pytest.raises(decisions.RecusedMemberVoted, match="has no vote"):
        decisions.decide(session, submitted.id, officer=funder.officer, votes=votes, **wish)


def test_an_officer_who_stepped_back_leads_nothing(
    session: Session, submitted: Application, funder: Funder, now: datetime
) -> None:
    conflicts.declare(
        session, submitted.id, person=funder.officer, outcome=ConflictOutcome.RECUSE, reason="My cousin's project.", now=now
    )
    with pytest.raises(NotAllowed, match="You stepped back"):
        screening.screen(session, submitted.id, answers={}, officer=funder.officer, now=now)
