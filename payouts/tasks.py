"""The background work of `payouts`: carry each payout as far as it goes, and look after those nobody looks after."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from core import hints, mail, tasks
from core.clock import utc_now
from core.db import session_scope
from payouts import queries, rails
from payouts.rails.base import OnboardingRail, RailError, UnreferencedRail
from payouts.rails.opencollective_expenses import OpenCollectiveExpenseRail
from payouts.services import notices, onboarding, records, returns, sending, sponsor_files
from payouts.services.engine import Engine
from payouts.services.notices import MailNotice
from payouts.services.sending import SendPayout

log = structlog.get_logger()

SOONEST = timedelta(milliseconds=200)


@tasks.handler(SendPayout)
def send_payout(task: SendPayout, run: tasks.Run) -> None:
    """One step, then the next when it is due. Run twice, it finds that the other run has the lease."""
    outcome = Engine(rails=rails.configured(), sessions=run.session).drive(task.payout_id)
    if outcome.until is not None:
        raise tasks.Postpone(max(outcome.until - utc_now(), SOONEST))


@tasks.handler(MailNotice)
def mail_notice(task: MailNotice, run: tasks.Run) -> None:
    """Run twice, it may be mailed twice under one Message-ID; never lost without a parked task."""
    with run.session() as session:
        letter = notices.letter(session, task.notice_id)
    if letter is None:
        return
    mail.send(letter)
    with run.session() as session:
        notices.mailed(session, task.notice_id, now=utc_now())


@hints.listen("open_collective")
def look_at_expenses(session: Session, now: datetime) -> None:
    """Something happened to our fund there: an expense was submitted, perhaps, or paid."""
    sending.look_sooner(session, rails=[OpenCollectiveExpenseRail.name], now=now)


@tasks.every(seconds=60)
def look_after(now: datetime) -> None:
    """Choose canaries that are missing, and put a task behind every payout on its way that lost its own."""
    configured = rails.configured()
    with session_scope() as session:
        on_their_way = queries.sending_runs(session)
    for run_id in on_their_way:
        with session_scope() as session:
            sending.look_after(session, run_id, rails=configured, now=now)


@tasks.every(seconds=3600)
def ask_about_accounts(now: datetime) -> None:
    """Ask the rails how the accounts of payees who are owed something stand, so that previews need not."""
    configured = rails.configured()
    with session_scope() as session:
        places = onboarding.to_ask(session, configured)
    for place in places:
        rail = configured[place.rail]
        assert isinstance(rail, OnboardingRail), "only their accounts are asked about"
        try:
            standing = rail.standing(place.details)
        except RailError as error:
            log.warning("payouts.account_not_asked", destination=str(place.id), rail=place.rail, error=str(error))
            continue
        with session_scope() as session:
            onboarding.remember(session, place, standing, now=utc_now())


@tasks.every(seconds=600)
def find_returns(now: datetime) -> None:
    """Propose what the providers' lists, read every hour, show to have come back after it was paid."""
    with session_scope() as session:
        found = returns.find(session, now=now)
    if found:
        log.info("payouts.came_back", found=found)


@tasks.every(seconds=3600)
def compare_with_github(now: datetime) -> None:
    """Read GitHub's totals about every file with payments whose fate is not known, and take what they leave no doubt about."""
    rail = rails.github()
    if rail is None:
        return
    with session_scope() as session:
        files = [(each.id, each.created_at, list(sponsor_files.open_logins(session, each.id)))
                 for each in sponsor_files.open_files(session)]  # fmt: skip
    for file_id, since, logins in files:
        try:
            seen = rail.seen(logins, since=since)
        except RailError as error:
            log.warning("payouts.github_not_read", file=str(file_id), error=str(error))
            return
        with session_scope() as session:
            sponsor_files.take(session, file_id, seen, actor=None, now=utc_now())
    if isinstance(rail, UnreferencedRail):
        _find_what_showed_late(rail)


def _find_what_showed_late(rail: UnreferencedRail) -> None:
    """Payments that people are to find out about, because the rail did not show them in time. What is certain is taken."""
    with session_scope() as session:
        open_ones = sponsor_files.with_people(session)
    for attempt_id, instruction in open_ones:
        try:
            found = rail.find(instruction)
        except RailError as error:
            log.warning("payouts.not_found_yet", attempt=str(attempt_id), error=str(error))
            continue
        if len(found) == 1 and found[0].money == instruction.money:
            with session_scope() as session:
                records.accepted(session, attempt_id, found[0], now=utc_now())
