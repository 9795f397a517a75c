"""GitHub Sponsors by its API: paid once or left to people, and maintainers compared by month."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.config import settings
from core.identity.models import Membership, Role
from core.money import Money
from payouts import rails as installed
from payouts import tasks
from payouts.models import Alarm, AttemptState, Payout, PayoutStatus, RailSwitch
from payouts.rails.base import Rail
from payouts.rails.fake_server import Behaviour
from payouts.rails.github_sponsors_api import GitHubSponsorsApiRail
from payouts.services import sponsor_months
from payouts.services.comparisons import compare_with_rails
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.github_sponsors import OUTSIDER, TOKEN, GitHubSponsors, Maintainer
from tests.fakes.graphql_server import GraphqlFault

pytestmark = pytest.mark.usefixtures("funded")
LATER = timedelta(minutes=20)


@pytest.fixture
def rails(server: Any, github: GitHubSponsors, clock: world.Clock) -> Mapping[str, Rail]:
    github.add(Maintainer("ada"), Maintainer("grace"), Maintainer("linus", minimum=50), Maintainer("quiet", is_public=False))
    return {"github_sponsors": GitHubSponsorsApiRail("acme", TOKEN, address=lambda: github.url, clock=clock)}


@pytest.fixture
def pay(session: Session, people: world.Cast, engine_of_payouts: Engine, clock: world.Clock) -> Callable[[str, int], Payout]:
    """Owe it, run it, and drive it once."""

    def paid(login: str, cents: int) -> Payout:
        rail = engine_of_payouts.rails["github_sponsors"]
        who = world.recipient(session, login, rail=rail, by=people.finance, now=clock(), details={"login": login})
        payout = world.owed(session, who, cents, by=people.officer, now=clock())
        world.sent_run(session, people, rails=engine_of_payouts.rails, now=clock())
        session.commit()
        engine_of_payouts.drive(payout.id)
        session.expire_all()
        return payout

    return paid


@pytest.fixture
def drive(session: Session, engine_of_payouts: Engine, clock: world.Clock) -> Callable[[Payout], Payout]:
    def later(payout: Payout) -> Payout:
        clock.go(LATER)
        engine_of_payouts.drive(payout.id)
        session.expire_all()
        return payout

    return later


def test_it_is_paid_at_once_where_the_totals_show_it(
    session: Session, github: GitHubSponsors, pay: Callable[..., Payout], engine_of_payouts: Engine, clock: world.Clock
) -> None:
    payout = pay("ada", 12_345)
    assert (payout.status, payout.leaving.amount_minor) == (PayoutStatus.PAID, 12_300)
    assert [each.dollars for each in github.payments] == [123]
    assert all(call.operation != "CreateSponsorship" for call in github.calls), "that one does not work"
    clock.now = datetime.fromisoformat("2027-03-02T09:00:00+00:00")
    github.sponsor_one("ada", 40, is_bulk=True)
    assert payout.run_id is not None
    compared = compare_with_rails(engine_of_payouts.sessions, payout.run_id, rails=engine_of_payouts.rails, now=clock())
    assert (compared.differences, compared.not_looked_up) == ([], []), "what was paid in later months is not of it"


@pytest.mark.parametrize("kind", ["cut_after", "500_after", "200_errors_after"])
def test_a_lost_answer_is_looked_up_and_not_sent_again(
    github: GitHubSponsors, pay: Callable[..., Payout], drive: Callable[[Payout], Payout], kind: str
) -> None:
    github.misbehave(Behaviour([GraphqlFault(kind, operation="SponsorOnce", times=1)]))
    payout = pay("ada", 12_300)
    assert payout.attempts[0].state is AttemptState.UNKNOWN
    assert drive(payout).status is PayoutStatus.PAID
    assert len(github.payments) == 1


@pytest.mark.parametrize(("login", "kind"), [("ada", "cut_before"), ("ada", "500_before"), ("linus", "")])
def test_nothing_shown_is_no_proof_so_people_decide(
    github: GitHubSponsors, pay: Callable[..., Payout], drive: Callable[[Payout], Payout], login: str, kind: str
) -> None:
    """@linus takes $50 at least, and GitHub leaves smaller amounts out without a word."""
    github.misbehave(Behaviour([GraphqlFault(kind, operation="SponsorOnce", times=1)] if kind else []))
    payout = drive(pay(login, 1_200))
    assert payout.attempts[0].state is AttemptState.HUMAN
    assert drive(payout).attempts[0].state is AttemptState.HUMAN
    assert [call.operation for call in github.calls].count("SponsorOnce") == 1


def test_what_shows_late_is_taken_by_the_hourly_look(
    session: Session, github: GitHubSponsors, pay: Callable[..., Payout], drive: Callable[[Payout], Payout],
    engine_of_payouts: Engine, rails: Mapping[str, Rail], monkeypatch: pytest.MonkeyPatch, clock: world.Clock,
) -> None:  # fmt: skip
    github.visible_after = timedelta(hours=1)
    payout = drive(pay("ada", 12_300))
    assert payout.attempts[0].state is AttemptState.HUMAN
    clock.go(timedelta(hours=2))
    monkeypatch.setattr(tasks, "session_scope", engine_of_payouts.sessions)
    monkeypatch.setattr(tasks.rails, "github", lambda: rails["github_sponsors"])
    tasks.compare_with_github(clock())
    session.expire_all()
    assert payout.status is PayoutStatus.PAID


def test_who_was_paid_this_month_already_is_refused_before_anything(
    github: GitHubSponsors, pay: Callable[..., Payout], clock: world.Clock
) -> None:
    github.sponsor_one("ada", 5)
    clock.go(timedelta(seconds=5))
    payout = pay("ada", 12_300)
    assert payout.attempts[0].state is AttemptState.FAILED
    assert "could not be told from the first" in (payout.attempts[0].detail or "")
    assert len(github.payments) == 1


def test_two_payments_at_once_are_an_alarm(
    session: Session, github: GitHubSponsors, pay: Callable[..., Payout], drive: Callable[[Payout], Payout]
) -> None:
    github.misbehave(Behaviour([GraphqlFault("cut_after", operation="SponsorOnce", times=1)]))
    payout = pay("ada", 12_300)
    github.sponsor_one("ada", 123)
    assert drive(payout).attempts[0].state is AttemptState.HUMAN
    assert len(session.scalars(select(Alarm)).all()) == 1


def test_a_monthly_sponsorship_is_nobodys_payment(
    github: GitHubSponsors, pay: Callable[..., Payout], drive: Callable[[Payout], Payout]
) -> None:
    github.misbehave(Behaviour([GraphqlFault("cut_before", operation="SponsorOnce", times=1)]))
    payout = pay("ada", 12_300)
    github.sponsor_one("ada", 123, is_one_time=False)
    attempt = drive(payout).attempts[0]
    assert attempt.state is AttemptState.UNKNOWN
    assert "monthly" in (attempt.detail or "")


def test_a_token_that_may_not_stops_the_rail_before_anything(
    session: Session,
    github: GitHubSponsors,
    rails: dict[str, Rail],
    pay: Callable[..., Payout],
    clock: world.Clock,
) -> None:
    rails["github_sponsors"] = GitHubSponsorsApiRail("acme", OUTSIDER, address=lambda: github.url, clock=clock)
    payout = pay("ada", 12_300)
    assert payout.attempts[0].state is AttemptState.FAILED
    assert session.scalars(select(RailSwitch).where(RailSwitch.stopped)).all()
    assert not github.payments


def test_limits_are_not_now(github: GitHubSponsors, pay: Callable[..., Payout], drive: Callable[[Payout], Payout]) -> None:
    github.misbehave(Behaviour([GraphqlFault("429", operation="SponsorOnce", times=1, seconds=1)]))
    payout = pay("ada", 12_300)
    assert payout.attempts[0].declined == 1
    assert drive(payout).status is PayoutStatus.PAID
    assert len(github.payments) == 1


def test_a_question_that_takes_too_long_leaves_no_time_for_the_payment(
    github: GitHubSponsors, rails: dict[str, Rail], pay: Callable[..., Payout], clock: world.Clock
) -> None:
    """A payment that began when its lease was nearly over could be made after people had looked for it in vain."""
    hurried = timedelta(seconds=1.8)
    rails["github_sponsors"] = GitHubSponsorsApiRail("acme", TOKEN, address=lambda: github.url, clock=clock, timeout=hurried)
    github.misbehave(Behaviour([GraphqlFault("slow", operation="Totals", times=1, seconds=1.5)]))
    payout = pay("ada", 12_300)
    assert (payout.attempts[0].state, payout.attempts[0].declined) == (AttemptState.SENDING, 1)
    assert not github.payments


@pytest.mark.parametrize("kind", ["429", "401", "cut_before"])
def test_a_question_that_fails_after_the_payment_says_nothing_against_it(
    session: Session, github: GitHubSponsors, pay: Callable[..., Payout], drive: Callable[[Payout], Payout], kind: str
) -> None:
    github.misbehave(Behaviour([GraphqlFault(kind, operation="Activities", times=1)]))
    payout = pay("ada", 12_300)
    assert (payout.attempts[0].state, payout.attempts[0].declined) == (AttemptState.UNKNOWN, 0)
    assert drive(payout).status is PayoutStatus.PAID
    assert (len(github.payments), session.scalars(select(RailSwitch).where(RailSwitch.stopped)).all()) == (1, [])


@pytest.mark.parametrize(("begun", "sent"), [("11-30T10:00", "12-05T10:00"), ("11-28T10:00", "11-30T23:55")])
def test_what_began_in_another_month_is_refused_before_anything(
    github: GitHubSponsors, pay: Callable[..., Payout], engine_of_payouts: Engine, clock: world.Clock, session: Session,
    begun: str, sent: str,
) -> None:  # fmt: skip
    """It was looked for until that month's end only: paid on 5 December, it read as never paid, and could be paid again."""
    clock.now = datetime.fromisoformat(f"2026-{begun}:00+00:00")
    github.misbehave(Behaviour([GraphqlFault("429", operation="SponsorOnce", times=1, seconds=1)]))
    payout = pay("ada", 12_300)
    assert payout.attempts[0].declined == 1
    clock.now = datetime.fromisoformat(f"2026-{sent}:00+00:00")
    engine_of_payouts.drive(payout.id)
    session.expire_all()
    assert payout.attempts[0].state is AttemptState.FAILED
    assert "looked for in that month only" in (payout.attempts[0].detail or "")
    assert not github.payments


def test_what_begins_in_the_last_minutes_of_a_month_is_paid_and_found(
    github: GitHubSponsors, pay: Callable[..., Payout], drive: Callable[[Payout], Payout], clock: world.Clock
) -> None:
    clock.now = datetime.fromisoformat("2026-11-30T23:58:00+00:00")
    github.misbehave(Behaviour([GraphqlFault("cut_after", operation="SponsorOnce", times=1)]))
    assert drive(pay("ada", 12_300)).status is PayoutStatus.PAID
    assert len(github.payments) == 1


def test_the_switch_is_off_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEDGEWORKS_GITHUB_SPONSOR", "acme")
    monkeypatch.setenv("PLEDGEWORKS_GITHUB_TOKEN", TOKEN)
    settings.cache_clear()
    assert installed.configured()["github_sponsors"].capabilities.needs_person
    monkeypatch.setenv("PLEDGEWORKS_GITHUB_MUTATIONS", "true")
    settings.cache_clear()
    assert not installed.configured()["github_sponsors"].capabilities.needs_person


def test_maintainers_are_compared_by_month(
    client: Any, session: Session, people: world.Cast, github: GitHubSponsors, pay: Callable[..., Payout], clock: world.Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    clock.now = utc_now()
    session.add(Membership(person_id=people.finance.id, role=Role.FINANCE, from_on=date(2026, 1, 1)))
    monkeypatch.setenv("PLEDGEWORKS_GITHUB_SPONSOR", "acme")
    monkeypatch.setenv("PLEDGEWORKS_GITHUB_TOKEN", TOKEN)
    monkeypatch.setenv("PLEDGEWORKS_GITHUB_URL", github.url)
    settings.cache_clear()
    assert pay("ada", 12_300).status is PayoutStatus.PAID
    client.sign_in(people.finance)
    page = client.get("/payouts/github/maintainers")
    assert "@ada $123.00" in page.words
    assert "not asked" in page.words
    page = client.submit(page, "Compare with GitHub")
    assert "Nobody differs." in page.words
    github.sponsor_one("grace", 7)
    clock.go(timedelta(seconds=2))
    page = client.submit(client.get("/payouts/github/maintainers"), "Compare with GitHub")
    assert "One maintainer differs" in page.words
    assert "@grace $0.00 – $7.00 +$7.00" in page.words
    github.limited = "secondary"
    page = client.submit(client.get("/payouts/github/maintainers"), "Compare with GitHub", follow=True)
    assert "Nothing was compared." in page.words


def test_what_is_not_decided_explains_a_difference_of_its_own_size() -> None:
    ours = {"ada": sponsor_months.Ours(undecided=Money(1_200, "USD"))}
    for total, verdict in ((1_200, "undecided"), (0, "undecided"), (1_300, "differs")):
        (row,) = sponsor_months.rows(ours, {"ada": sponsor_months.Theirs(Money(total, "USD"), [])})
        assert row.verdict == verdict, total
