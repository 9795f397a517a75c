"""Money over GitHub Sponsors: whole dollars with the rest carried, once a month, and nothing concluded from silence."""

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from web_client import Client

from core import files, ledger
from core.clock import utc_now
from core.config import settings
from core.errors import InvalidInput
from core.identity.models import Membership, Role
from payouts import tasks
from payouts.models import AttemptState, BankFile, Outcome, Payout, PayoutStatus
from payouts.rails.base import NotNow, Rail, RailError, Refused
from payouts.rails.fake_server import Behaviour
from payouts.rails.github_sponsors import GitHubSponsorsRail
from payouts.services import bank_files, fitting, recipients, resolutions, runs, sponsor_files
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.github_sponsors import OUTSIDER, TOKEN, GitHubSponsors, Maintainer
from tests.fakes.graphql_server import GraphqlFault

pytestmark = pytest.mark.usefixtures("funded")
NAME = "github_sponsors"
FUNDED = 10_000_000


class Desk:
    """What people do with this rail, in short words."""

    def __init__(self, session: Session, people: world.Cast, engine: Engine, github: GitHubSponsors, clock: world.Clock) -> None:
        self.session, self.people, self.engine, self.github, self.clock = session, people, engine, github, clock
        found = engine.rails[NAME]
        assert isinstance(found, GitHubSponsorsRail)
        self.rail = found

    def owed(self, login: str, cents: int) -> Payout:
        who = world.recipient(
            self.session, login, rail=self.rail, by=self.people.finance, now=self.clock(), details={"login": login}
        )
        return world.owed(self.session, who, cents, by=self.people.officer, now=self.clock())

    def owed_again(self, payout: Payout, cents: int) -> Payout:
        return world.owed(self.session, payout.recipient, cents, by=self.people.officer, now=self.clock())

    def send(self, *payouts: Payout) -> None:
        world.sent_run(self.session, self.people, rails=self.engine.rails, now=self.clock())
        self.session.commit()
        for payout in payouts:
            self.engine.drive(payout.id)
        self.session.expire_all()

    def export(self) -> BankFile:
        return bank_files.export(self.session, currency="USD", actor=self.people.finance, now=self.clock(), rail=NAME)

    def compare(self, made: BankFile) -> Mapping[str, int]:
        logins = list(sponsor_files.open_logins(self.session, made.id))
        seen = self.rail.seen(logins, since=made.created_at)
        counts = sponsor_files.take(self.session, made.id, seen, actor=self.people.finance, now=self.clock())
        self.session.flush()
        return counts

    def pay(self, payout: Payout) -> None:
        self.send(payout)
        made = self.export()
        self.clock.go(timedelta(minutes=20))
        self.github.upload(files.read(made.file))
        assert self.compare(made) == {"paid": 1}

    def evidence(self) -> files.StoredFile:
        stored = files.store(
            self.session, io.BytesIO(b"receipt"), name="receipt.txt", uploaded_by_id=self.people.finance.id, now=self.clock()
        )
        self.session.flush()
        return stored

    def carried(self, payout: Payout) -> int:
        return ledger.balance(self.session, fitting.carried_account(payout)).posted


@pytest.fixture
def people(session: Session, now: datetime) -> world.Cast:
    """With the roles the console wants."""
    cast = world.cast(session, now)
    for person, role in ((cast.finance, Role.FINANCE), (cast.approver, Role.PAYOUT_APPROVER)):
        session.add(Membership(person_id=person.id, role=role, from_on=date(2026, 1, 1)))
    session.flush()
    return cast


@pytest.fixture
def desk(session: Session, people: world.Cast, engine_of_payouts: Engine, github: GitHubSponsors, clock: world.Clock) -> Desk:
    github.add(Maintainer("Ada"), Maintainer("grace"), Maintainer("linus", minimum=50), Maintainer("quiet", is_public=False))
    return Desk(session, people, engine_of_payouts, github, clock)


# ------------------------------------------------------------------------------------------------ whole dollars


def test_cents_are_carried_to_the_next_payment_and_nothing_is_lost(desk: Desk) -> None:
    first = desk.owed("ada", 1_234)
    desk.pay(first)
    assert (first.status, first.leaving.amount_minor, first.carried_minor) == (PayoutStatus.PAID, 1_200, 34)
    assert desk.carried(first) == 34
    assert ledger.balance(desk.session, world.FUND).posted == FUNDED - 1_234
    desk.clock.now = datetime.fromisoformat("2026-12-02T09:00:00+00:00")
    second = desk.owed_again(first, 1_070)
    desk.pay(second)
    assert (second.leaving.amount_minor, second.carried_minor, desk.carried(second)) == (1_100, -30, 4)
    assert ledger.balance(desk.session, world.BANK).posted == FUNDED - 2_300
    assert [each.dollars for each in desk.github.payments] == [12, 11]


def test_carried_cents_leave_with_a_payment_on_another_rail_too(desk: Desk, rails: Mapping[str, Rail]) -> None:
    first = desk.owed("ada", 1_234)
    desk.pay(first)
    place = recipients.set_destination(
        desk.session, first.recipient_id, rail=rails["fake"], currency="USD", details={"account": "acct_1"},
        actor=desk.people.finance, now=desk.clock(),
    )  # fmt: skip
    world.compared(desk.session, place, now=desk.clock())
    desk.clock.go(timedelta(days=4))
    second = desk.owed_again(first, 1_000)
    desk.send(second)
    assert (second.status, second.attempts[0].money.amount_minor, desk.carried(second)) == (PayoutStatus.PAID, 1_034, 0)


def test_money_that_comes_back_takes_its_cents_back_even_if_they_left_since(desk: Desk) -> None:
    first = desk.owed("ada", 1_234)
    desk.pay(first)
    desk.clock.now = datetime.fromisoformat("2026-12-02T09:00:00+00:00")
    second = desk.owed_again(first, 1_070)
    desk.pay(second)
    finding = resolutions.propose(
        desk.session, first.attempts[0].id, outcome=Outcome.RETURNED, remote_id=None, evidence=desk.evidence(), note="Refund",
        actor=desk.people.finance, now=desk.clock(),
    )  # fmt: skip
    resolutions.decide(desk.session, finding.id, confirm=True, actor=desk.people.approver, now=desk.clock())
    assert ledger.balance(desk.session, world.FUND).posted == FUNDED - 1_070
    assert ledger.balance(desk.session, world.BANK).posted == FUNDED - 1_100
    assert desk.carried(first) == -30, "30 cents more left than is owed; the next payout is smaller by as much"


@pytest.mark.parametrize(("cents", "why"), [(99, "makes none"), (1_200_100, "at most 12,000.00 USD")])
def test_what_github_cannot_pay_is_left_out_of_the_run(desk: Desk, cents: int, why: str) -> None:
    desk.owed("ada", cents)
    with pytest.raises(runs.NothingToPay, match=why):
        desk.send()


def test_how_it_was_divided_is_frozen_in_the_database_too(desk: Desk) -> None:
    payout = desk.owed("ada", 1_234)
    desk.send(payout)
    with pytest.raises(DBAPIError, match="what is carried of a reserved payout is frozen"), desk.session.begin_nested():
        desk.session.execute(text("UPDATE payout SET carried_minor = 0 WHERE id = :id"), {"id": payout.id})


# ------------------------------------------------------------------------------------------------ once a month


def test_a_second_payment_to_one_maintainer_waits_for_the_next_month(desk: Desk) -> None:
    first, second = desk.owed("ada", 1_000), desk.owed("@Ada", 1_000)
    run, unready = runs.prepare(
        desk.session, currency="USD", due_by=desk.clock().date(), preparer=desk.people.finance, rails=desk.engine.rails,
        now=desk.clock(),
    )  # fmt: skip
    assert (len(run.payouts), len(unready)) == (1, 1)
    assert "pays one place once a month" in unready[0].reason
    runs.cancel(desk.session, run.id, actor=desk.people.finance, now=desk.clock())
    paid = first if unready[0].payout is second else second
    desk.pay(paid)
    with pytest.raises(runs.NothingToPay, match="once a month"):
        desk.send()
    desk.clock.now = datetime.fromisoformat("2026-12-01T00:00:00+00:00")
    desk.send()


@pytest.mark.parametrize("once", [True, False])
def test_the_engine_itself_holds_a_second_payment_back(desk: Desk, monkeypatch: pytest.MonkeyPatch, once: bool) -> None:
    """Even if both got into a run; without the rule (the control) both would be handed over, and could not be told apart."""
    monkeypatch.setattr(fitting, "why_taken", lambda *_, **__: None)
    monkeypatch.setattr(desk.rail, "capabilities", replace(desk.rail.capabilities, once_a_month=once))
    payouts = [desk.owed("ada", 1_000), desk.owed("@Ada", 1_000)]
    desk.send(*payouts)
    states = sorted(payout.status.value for payout in payouts)
    assert states == (["approved", "reserved"] if once else ["reserved", "reserved"])
    if once:
        held = next(payout for payout in payouts if payout.status is PayoutStatus.APPROVED)
        assert "once a month" in (held.blocked_reason or "")


# ------------------------------------------------------------------------------------------------ files and findings


def test_a_file_is_what_github_wants_and_is_made_once(desk: Desk) -> None:
    payouts = [desk.owed("grace", 1_000_00), desk.owed("ada", 12_34)]
    desk.send(*payouts)
    made = desk.export()
    assert files.read(made.file) == b"Maintainer username,Sponsorship amount in USD\r\nada,12\r\ngrace,1000\r\n"
    assert made.total.amount_minor == 1_012_00
    assert {payout.attempts[0].state for payout in payouts} == {AttemptState.UNKNOWN}
    with pytest.raises(bank_files.NothingToExport):
        desk.export()


def test_below_the_minimum_nothing_is_paid_or_said_and_two_people_find_out(desk: Desk) -> None:
    small, good = desk.owed("linus", 1_000), desk.owed("ada", 1_000)
    desk.send(small, good)
    made = desk.export()
    desk.github.upload(files.read(made.file))
    assert desk.compare(made) == {"paid": 1, "open": 1}
    assert (good.status, good.attempts[0].remote_id) == (PayoutStatus.PAID, "SA_1")
    attempt = small.attempts[0]
    assert attempt.state is AttemptState.UNKNOWN
    assert "below the maintainer's minimum" in (attempt.detail or "")
    for _ in range(3):
        desk.clock.go(timedelta(days=2))
        assert desk.compare(made) == {"open": 1}, "no time that passes makes silence an answer"
    with pytest.raises(sponsor_files.NothingSelected):
        propose(desk, made, good)
    propose(desk, made, small)
    with pytest.raises(sponsor_files.NothingToConfirm, match="another person"):
        sponsor_files.confirm(desk.session, made.id, actor=desk.people.finance, now=desk.clock())
    assert sponsor_files.confirm(desk.session, made.id, actor=desk.people.approver, now=desk.clock()) == 1
    assert (small.status, attempt.state) == (PayoutStatus.RESERVED, AttemptState.FAILED)
    assert ledger.balance(desk.session, world.FUND).available == FUNDED - 2_000


def propose(desk: Desk, made: BankFile, payout: Payout, outcome: Outcome = Outcome.FAILED, receipt: str = "") -> None:
    sponsor_files.propose(
        desk.session, made.id, [payout.attempts[0].id], outcome=outcome, receipt=receipt, evidence=desk.evidence(),
        note="GitHub's list", actor=desk.people.finance, now=desk.clock(),
    )  # fmt: skip


def test_people_say_paid_with_the_receipt_and_the_maintainer(desk: Desk) -> None:
    payout = desk.owed("ada", 1_000)
    desk.send(payout)
    made = desk.export()
    with pytest.raises(InvalidInput, match="receipt"):
        propose(desk, made, payout, Outcome.ACCEPTED)
    propose(desk, made, payout, Outcome.ACCEPTED, "GH-77")
    sponsor_files.confirm(desk.session, made.id, actor=desk.people.approver, now=desk.clock())
    assert (payout.status, payout.attempts[0].remote_id) == (PayoutStatus.PAID, "GH-77:ada")


@pytest.mark.parametrize(
    ("happened", "said"),
    [
        (lambda github, made: [github.upload(made), github.upload(made)], "total since the file was made is 20.00 USD"),
        (lambda github, made: github.upload(made, is_one_time=False), "monthly sponsorship"),
        (lambda github, made: github.sponsor_one("ada", 3), "total since the file was made is 3.00 USD"),
    ],
)
def test_what_is_not_certain_is_never_taken(desk: Desk, happened: Callable[[GitHubSponsors, bytes], object], said: str) -> None:
    payout = desk.owed("ada", 1_000)
    desk.send(payout)
    made = desk.export()
    happened(desk.github, files.read(made.file))
    assert desk.compare(made) == {"open": 1}
    assert said in (payout.attempts[0].detail or "")


def test_a_payment_that_shows_late_is_taken_late(desk: Desk) -> None:
    desk.github.visible_after = timedelta(days=1)
    payout = desk.owed("ada", 1_000)
    desk.send(payout)
    made = desk.export()
    desk.github.upload(files.read(made.file))
    assert desk.compare(made) == {"open": 1}
    desk.clock.go(timedelta(days=1))
    assert desk.compare(made) == {"paid": 1}
    assert desk.compare(made) == {}


# ------------------------------------------------------------------------------------------------ reading GitHub


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (GraphqlFault("401", operation="Totals"), Refused),
        (GraphqlFault("cut_before", operation="Totals"), RailError),
        (GraphqlFault("500_after", operation="Activities"), RailError),
        (GraphqlFault("200_errors", operation="Activities"), RailError),
        (GraphqlFault("429", operation="Totals"), NotNow),
    ],
)
def test_a_reading_that_fails_says_nothing_and_shows_no_token(desk: Desk, fault: GraphqlFault, error: type[Exception]) -> None:
    desk.github.misbehave(Behaviour([fault]))
    with pytest.raises(error) as raised:
        desk.rail.seen(["ada"], since=desk.clock())
    assert TOKEN not in repr(raised.value)


def test_limits_missing_rights_and_single_sign_on_are_told_apart(desk: Desk) -> None:
    for kind, wait in (("primary", 60), ("secondary", 90)):
        desk.github.limited = kind
        with pytest.raises(NotNow) as raised:
            desk.rail.seen(["ada"], since=desk.clock())
        assert raised.value.retry_after == timedelta(seconds=wait)
    desk.github.limited = ""
    assert desk.rail.health().ok
    outsider = GitHubSponsorsRail("acme", OUTSIDER, address=lambda: desk.github.url)
    assert "owner or billing manager" in outsider.health().message
    with pytest.raises(Refused, match="billing manager"):
        outsider.seen(["ada"], since=desk.clock())
    assert "no organisation “other”" in GitHubSponsorsRail("other", TOKEN, address=lambda: desk.github.url).health().message
    desk.github.demands_saml = True
    with pytest.raises(RailError, match="FORBIDDEN"):
        desk.rail.seen(["ada"], since=desk.clock())


def test_many_maintainers_are_read_in_few_calls(desk: Desk) -> None:
    logins = [f"m-{number}" for number in range(120)]
    desk.github.add(*(Maintainer(login) for login in logins))
    for login in logins:
        desk.github.sponsor_one(login, 7)
    seen = desk.rail.seen(logins, since=desk.clock())
    assert {each.total.amount_minor for each in seen.values()} == {700}
    assert all(len(each.activities) == 1 for each in seen.values())
    assert [call.operation for call in desk.github.calls] == ["Totals"] * 3 + ["Activities"] * 2


def test_the_fake_pays_twice_under_one_mutation_id_and_one_time_does_not_work(desk: Desk) -> None:
    """Why nothing here sends by mutation."""
    bulk = (
        "mutation M($input: CreateSponsorshipsInput!) "
        "{ createSponsorships(input: $input) { clientMutationId sponsorables { ... on User { login } } } }"
    )
    rows = [{"sponsorableLogin": "ada", "amount": 5}, {"sponsorableLogin": "linus", "amount": 5}]
    asked = {"input": {"sponsorLogin": "acme", "sponsorships": rows, "clientMutationId": "pw-1"}}
    for _ in range(2):
        said = desk.rail._ask("M", bulk, asked)["createSponsorships"]
        assert said["sponsorables"] == [{"login": "Ada"}], "the row below the minimum is only missing"
    assert len(desk.github.payments) == 2
    single = "mutation S($input: CreateSponsorshipInput!) { createSponsorship(input: $input) { clientMutationId } }"
    with pytest.raises(RailError, match="UNPROCESSABLE"):
        desk.rail._ask("S", single, {"input": {"sponsorLogin": "acme", "sponsorableLogin": "ada", "amount": 5}})
    assert len(desk.github.payments) == 2


def test_the_clock_compares_open_files_by_itself(desk: Desk, monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    payout = desk.owed("ada", 1_000)
    desk.send(payout)
    made = desk.export()
    session.commit()
    monkeypatch.setattr(tasks.rails, "github", lambda: desk.rail)
    monkeypatch.setattr(tasks, "session_scope", world.Sessions(session.connection()))
    desk.github.limited = "secondary"
    tasks.compare_with_github(desk.clock())
    desk.github.limited = ""
    desk.github.upload(files.read(made.file))
    tasks.compare_with_github(desk.clock())
    session.expire_all()
    assert payout.status is PayoutStatus.PAID


# ------------------------------------------------------------------------------------------------ destinations


@pytest.mark.parametrize("login", ["", "-ada", "ada-", "a--b", "https://github.com/ada", "a" * 40, "ada_l"])
def test_impossible_usernames_are_refused_without_asking_github(rails: Mapping[str, Rail], login: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        rails[NAME].check_destination({"login": login}, "USD")
    assert raised.value.field == "login"


def test_only_dollars(rails: Mapping[str, Rail]) -> None:
    with pytest.raises(InvalidInput) as raised:
        rails[NAME].check_destination({"login": "ada"}, "EUR")
    assert raised.value.field == "currency"


def test_only_who_can_be_sponsored_becomes_a_destination(desk: Desk) -> None:
    desk.rail.confirm_destination({"login": "ADA"})
    for login, why in (("nobody", "knows nobody"), ("quiet", "no public GitHub Sponsors profile")):
        with pytest.raises(InvalidInput, match=why):
            desk.rail.confirm_destination({"login": login})
    desk.github.limited = "secondary"
    with pytest.raises(InvalidInput, match="is not known: GitHub asks for fewer requests"):
        desk.rail.confirm_destination({"login": "ada"})


def test_the_check_of_the_set_up_names_what_is_missing(desk: Desk) -> None:
    assert [line.ok for line in desk.rail.check_setup({"login": "ada"})] == [True, True, None]
    assert [line.ok for line in desk.rail.check_setup({"login": "quiet"})] == [True, False]
    assert [line.ok for line in GitHubSponsorsRail("acme", OUTSIDER, address=lambda: desk.github.url).check_setup()] == [False]


@pytest.fixture
def set_up(github: GitHubSponsors, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an operator would, by the environment."""
    monkeypatch.setenv("PLEDGEWORKS_GITHUB_URL", github.url)
    monkeypatch.setenv("PLEDGEWORKS_GITHUB_SPONSOR", "acme")
    monkeypatch.setenv("PLEDGEWORKS_GITHUB_TOKEN", TOKEN)
    settings.cache_clear()


def test_from_a_username_to_a_confirmed_payout_on_the_console(client: Client, desk: Desk, set_up: None) -> None:
    session, people = desk.session, desk.people
    # The pages have the time of today, and so has GitHub here.
    desk.clock.now = utc_now() - timedelta(seconds=2)
    desk.github.clock = utc_now
    who = world.recipient(session, "Ada", rail=desk.engine.rails["manual"], by=people.finance, now=desk.clock(),
                          details={"holder": "A", "bank": "B", "account": "1"})  # fmt: skip
    client.sign_in(people.finance, fresh_factor=True)
    path = f"/payouts/recipients/{who.id}/destinations/{NAME}"
    page = client.submit(client.get(path), "Save destination", login="nobody")
    assert page.problems == ["GitHub knows nobody called @nobody."]
    page = client.submit(page, "Save destination", login="@quiet")
    assert "no public GitHub Sponsors profile" in page.problems[0]
    payouts = [desk.owed("Ada", 123_456), desk.owed("linus", 1_000), desk.owed("grace", 2_000)]
    world.approved_run(session, people, rails=desk.engine.rails, now=desk.clock())
    run = payouts[0].run
    assert run is not None
    assert "$1,234.00 leaves" in client.get(f"/payouts/runs/{run.id}").words
    client.submit(client.get(f"/payouts/runs/{run.id}"), "Send run", follow=True)
    session.commit()
    for payout in payouts:
        desk.engine.drive(payout.id)
    session.expire_all()
    assert "It waits for its turn, or where payments leave in" in client.get(f"/payouts/{payouts[0].id}").words

    page = client.get("/payouts/github")
    assert "$1,264.00 in 3 payments" in page.words
    page = client.submit(page, "Make file", follow=True)
    assert "Never upload it twice" in page.words
    made = payouts[0].attempts[0].bank_file
    assert made is not None
    link = next(a.get("href") for a in page.all("a") if (a.get("href") or "").endswith(".csv"))
    desk.github.upload(client.get(link or "").text.encode())
    page = client.submit(page, "Compare with GitHub", follow=True)
    assert "2 newly paid, 1 not certain" in page.text
    assert "below the maintainer's minimum" in page.words
    page = client.submit(page, "Propose finding", outcome="failed", note="Not in the list")
    assert "Choose at least one payment." in page.problems
    told = {"lines": [str(payouts[1].attempts[0].id)], "outcome": "failed", "note": "Not in GitHub's list",
            "evidence": [(io.BytesIO(b"list"), "list.txt")]}  # fmt: skip
    address = f"/payouts/github/files/{made.id}"
    assert client.post(f"{address}/finding", told, content_type="multipart/form-data").status == 303
    assert "Finn says: not paid" in client.get(address).words
    assert client.post(f"{address}/confirmation").status == 409
    client.sign_in(people.approver, fresh_factor=True)
    page = client.submit(client.get(address), "Confirm 1 finding", follow=True)
    assert "what became of every payment is known" in page.words
    session.expire_all()
    assert [payout.status.value for payout in payouts] == ["paid", "reserved", "paid"]
    assert "$0.56 is carried to the recipient’s next payment" in client.get(f"/payouts/{payouts[0].id}").words
    assert "once a calendar month" in client.get("/payouts/rails").words


def test_a_reading_that_fails_is_said_on_the_page(client: Client, desk: Desk, set_up: None) -> None:
    payout = desk.owed("ada", 1_000)
    desk.send(payout)
    made = desk.export()
    client.sign_in(desk.people.finance)
    desk.github.limited = "secondary"
    page = client.submit(client.get(f"/payouts/github/files/{made.id}"), "Compare with GitHub", follow=True)
    assert "GitHub asks for fewer requests" in page.text
    assert "Nothing was changed" in page.text


def test_files_stay_reachable_when_the_rail_is_taken_out_of_the_installation(client: Client, desk: Desk) -> None:
    payout = desk.owed("ada", 1_000)
    desk.send(payout)
    made = desk.export()
    client.sign_in(desk.people.finance)
    assert "not set up here any more" in client.get("/payouts/github").words
    assert "Propose finding" in client.get(f"/payouts/github/files/{made.id}").words
    assert client.post(f"/payouts/github/files/{made.id}/comparison").status == 409


def test_the_token_is_not_in_what_the_settings_print(set_up: None, tmp_path: Path) -> None:
    assert TOKEN not in repr(settings())
