"""From draft to submitted application, and back."""

import dataclasses
import io
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.errors import IllegalTransition, InvalidInput, NotAllowed, NotFound
from core.identity.models import Membership, Person, Role
from grants.models import Application, ApplicationStatus, Round, RoundStatus
from grants.services import applications
from tests.integration.grants.builders import COMPLETE, Funder, person, programme, project, round_of, submit, usd


def test_a_draft_may_be_incomplete_and_only_its_applicant_sees_it(
    session: Session, open_round: Round, maintainer: Person, now: datetime
) -> None:
    draft = applications.start_draft(session, round_id=open_round.id, applicant=maintainer, now=now)
    saved = applications.save_draft(
        session, draft.id, person=maintainer, draft=applications.Draft(project_name="Half", project_url="htt"), now=now
    )
    assert (saved.project_name, saved.project_url, saved.status) == ("Half", "htt", ApplicationStatus.DRAFT)
    with pytest.raises(NotFound):
        applications.save_draft(session, draft.id, person=person(session, "Eve"), draft=COMPLETE, now=now)


def test_submitting_names_everything_that_is_missing(
    session: Session, open_round: Round, maintainer: Person, now: datetime
) -> None:
    draft = applications.start_draft(session, round_id=open_round.id, applicant=maintainer, now=now)
    with pytest.raises(applications.IncompleteApplication) as refused:
        applications.submit(session, draft.id, person=maintainer, now=now)
    assert set(refused.value.details["fields"]) == {
        "project_name", "project_url", "summary", "use_of_funds", "plan", "team", "payee", "payee_name", "conflicts",
        "requested",
    }  # fmt: skip
    assert draft.status is ApplicationStatus.DRAFT


def test_submitting_registers_a_new_project_with_its_maintainer(
    session: Session, submitted: Application, maintainer: Person
) -> None:
    assert submitted.status is ApplicationStatus.SUBMITTED
    assert submitted.project is not None
    assert submitted.project.slug == "widget"
    membership = session.scalars(select(Membership).where(Membership.project_id == submitted.project_id)).one()
    assert (membership.person_id, membership.role) == (maintainer.id, Role.MAINTAINER)
    assert next(event.verb for event in audit.history(session, submitted)) == "application.submitted"


def test_a_known_slug_is_never_taken_over(session: Session, open_round: Round, submitted: Application, now: datetime) -> None:
    other = submit(session, open_round, person(session, "Somebody Else"), now)
    assert other.project is not None
    assert other.project.slug == "widget-2"
    assert other.project_id != submitted.project_id


def test_a_maintained_project_fills_the_draft(session: Session, open_round: Round, maintainer: Person, now: datetime) -> None:
    mine = project(session, "Gadget", maintainer)
    draft = applications.start_draft(session, round_id=open_round.id, applicant=maintainer, project_id=mine.id, now=now)
    assert (draft.project_name, draft.licences, draft.project_id) == ("Gadget", ["Apache-2.0"], mine.id)
    theirs = project(session, "Gizmo", person(session, "Another"))
    with pytest.raises(NotFound):
        applications.start_draft(session, round_id=open_round.id, applicant=maintainer, project_id=theirs.id, now=now)


def test_a_project_has_one_undecided_request_per_round(
    session: Session, open_round: Round, maintainer: Person, submitted: Application, now: datetime
) -> None:
    second = applications.start_draft(
        session, round_id=open_round.id, applicant=maintainer, project_id=submitted.project_id, draft=COMPLETE, now=now
    )
    with pytest.raises(applications.AlreadyApplied):
        applications.submit(session, second.id, person=maintainer, now=now)
    applications.withdraw(session, submitted.id, person=maintainer, now=now)
    applications.submit(session, second.id, person=maintainer, now=now)


@pytest.mark.parametrize("late", [timedelta(days=40), timedelta(days=-60)])
def test_outside_its_dates_a_round_takes_nothing(
    session: Session, open_round: Round, maintainer: Person, now: datetime, late: timedelta
) -> None:
    draft = applications.start_draft(session, round_id=open_round.id, applicant=maintainer, draft=COMPLETE, now=now)
    with pytest.raises(applications.RoundNotOpen):
        applications.submit(session, draft.id, person=maintainer, now=now + late)
    assert draft.status is ApplicationStatus.DRAFT


def test_a_rolling_round_has_no_last_day(session: Session, funder: Funder, maintainer: Person, now: datetime) -> None:
    rolling = round_of(session, programme(session, funder), closes_on=None, decides_on=None)
    assert submit(session, rolling, maintainer, now + timedelta(days=900)).status is ApplicationStatus.SUBMITTED


def test_a_closed_round_takes_nothing_even_before_its_last_day(
    session: Session, funder: Funder, maintainer: Person, now: datetime
) -> None:
    closed = round_of(session, programme(session, funder), status=RoundStatus.CLOSED, closes_on=date(2026, 11, 30))
    with pytest.raises(applications.RoundNotOpen):
        applications.start_draft(session, round_id=closed.id, applicant=maintainer, now=now)


@pytest.mark.parametrize(("amount", "fits"), [(10_000, True), (25_000, True), (100_000, True), (15_000, False), (125_000, False)])
def test_a_request_outside_the_rule_needs_an_officers_exception(
    session: Session, funder: Funder, maintainer: Person, now: datetime, amount: int, fits: bool
) -> None:
    floss = programme(session, funder, request_min_minor=1_000_000, request_step_minor=2_500_000, request_max_minor=10_000_000)
    wish = dataclasses.replace(COMPLETE, requested=usd(amount))
    draft = applications.start_draft(session, round_id=round_of(session, floss).id, applicant=maintainer, draft=wish, now=now)
    if not fits:
        with pytest.raises(applications.IncompleteApplication, match="outside this programme's rule"):
            applications.submit(session, draft.id, person=maintainer, now=now)
        with pytest.raises(NotAllowed):
            applications.allow_exception(session, draft.id, officer=maintainer, reason="I want it", now=now)
        applications.allow_exception(session, draft.id, officer=funder.officer, reason="Split over two years", now=now)
    assert applications.submit(session, draft.id, person=maintainer, now=now).status is ApplicationStatus.SUBMITTED


def test_files_come_and_go_with_the_draft_only(session: Session, open_round: Round, maintainer: Person, now: datetime) -> None:
    draft = applications.start_draft(session, round_id=open_round.id, applicant=maintainer, draft=COMPLETE, now=now)
    kept = applications.attach(session, draft.id, person=maintainer, stream=io.BytesIO(b"budget"), name="budget.csv", now=now)
    dropped = applications.attach(session, draft.id, person=maintainer, stream=io.BytesIO(b"old"), name="old.csv", now=now)
    applications.detach(session, draft.id, dropped.id, person=maintainer, now=now)
    with pytest.raises(InvalidInput):
        applications.attach(session, draft.id, person=maintainer, stream=io.BytesIO(b"MZ\0"), name="x.exe", now=now)
    applications.submit(session, draft.id, person=maintainer, now=now)
    with pytest.raises(applications.NotADraft):
        applications.attach(session, draft.id, person=maintainer, stream=io.BytesIO(b"late"), name="late.csv", now=now)
    session.expire(draft)
    assert [attachment.id for attachment in draft.attachments] == [kept.id]


def test_what_is_withdrawn_stays_withdrawn(session: Session, submitted: Application, maintainer: Person, now: datetime) -> None:
    applications.withdraw(session, submitted.id, person=maintainer, reason="Found a sponsor", now=now)
    assert audit.history(session, submitted)[0].reason == "Found a sponsor"
    with pytest.raises(IllegalTransition):
        applications.withdraw(session, submitted.id, person=maintainer, now=now)
