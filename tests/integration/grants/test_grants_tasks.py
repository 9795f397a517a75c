"""What the worker does for grants: follow payouts, keep the calendar."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

import grants.tasks
from core.identity.models import Person
from grants.models import GrantStatus, InstalmentStatus, Round, Schedule
from grants.services import instalments
from payouts.models import PayoutStatus
from payouts.services import PayoutChanged, request
from tests.in_transaction import RunInTransaction
from tests.integration.grants import builders
from tests.integration.grants.builders import Funder, accepted, offer, usd


@pytest.fixture
def one_transaction(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants.tasks, "session_scope", RunInTransaction(session).session)


def test_news_of_others_payouts_is_ignored(
    session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime
) -> None:
    grant = accepted(session, builders.offered(session, open_round, funder, maintainer, now, offer(usd(100))), maintainer, now)
    assert grant.recipient_id is not None
    stranger = request(
        session, obligation="something-else:1", recipient_id=grant.recipient_id, money=usd(1), fund_account=grant.account,
        memo="Not ours", prepared_by=funder.officer, due_on=now.date(), now=now,
    )  # fmt: skip
    grants.tasks.follow_payout(PayoutChanged(stranger.id, stranger.obligation, "paid"), RunInTransaction(session))
    assert grant.instalments[0].status is InstalmentStatus.RELEASED


def test_a_withdrawn_payout_opens_its_instalment_again(
    session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime
) -> None:
    grant = accepted(session, builders.offered(session, open_round, funder, maintainer, now, offer(usd(100))), maintainer, now)
    part = instalments.approve(session, grant.instalments[0].id, officer=funder.officer, now=now)
    assert part.payout is not None
    news = PayoutChanged(part.payout.id, part.obligation, "cancelled")
    part.payout.advance(PayoutStatus.CANCELLED)
    for _ in range(2):
        grants.tasks.follow_payout(news, RunInTransaction(session))
        assert part.status is InstalmentStatus.RELEASED


@pytest.mark.usefixtures("one_transaction")
def test_a_day_passes(session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime) -> None:
    terms = offer(usd(600), schedule=Schedule.MONTHLY, count=6, starts_on=now.date())
    running = accepted(session, builders.offered(session, open_round, funder, maintainer, now, terms), maintainer, now)
    waiting = builders.offered(session, open_round, funder, builders.person(session, "Silent"), now, offer(usd(50)))
    for _ in range(2):
        grants.tasks.keep_the_calendar(now + timedelta(days=62))
    assert [part.status for part in running.instalments[:4]] == [InstalmentStatus.RELEASED] * 3 + [InstalmentStatus.PLANNED]
    assert waiting.status is GrantStatus.TERMINATED
    assert open_round.status == "closed"
