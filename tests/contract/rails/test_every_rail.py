"""What every rail must keep to, the trial rail first: a payout goes once, a refusal frees it, silence concludes nothing.

How a payment comes about differs (a call, a file, a person); a `Way` per rail plays the world outside.
"""

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import pytest
from sqlalchemy.orm import Session

from core import files, ledger
from core.errors import InvalidInput
from core.money import Money
from payouts.models import AttemptState, Outcome, Payout, PayoutStatus
from payouts.rails.base import Instruction, NetworkRail, NotNow, Rail, RailError, UnreferencedRail
from payouts.rails.fake_server import Behaviour, FakeRailServer, Fault
from payouts.rails.github_sponsors import GitHubSponsorsRail
from payouts.rails.github_sponsors_api import GitHubSponsorsApiRail
from payouts.services import bank_files, controls, resolutions, sponsor_files, withdrawals
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.github_sponsors import GitHubSponsors, Maintainer
from tests.fakes.graphql_server import GraphqlFault
from tests.fakes.opencollective import OpenCollectiveServer
from tests.fakes.stripe import StripeServer

pytestmark = pytest.mark.usefixtures("funded")
GOOD: Mapping[str, dict[str, str]] = {
    "fake": {"account": "acct_1"},
    "plain": {"account": "acct_1"},
    "bank_file": {"iban": "DE89370400440532013000"},
    "github_sponsors": {"login": "ada-1"},
    "github_sponsors_api": {"login": "ada-1"},
    "manual": {"holder": "Ada", "bank": "Sparkasse", "account": "123456789"},
    "opencollective": {"collective": "apex-2"},
    "opencollective_expense": {"profile": "bob-2"},
    "stripe_connect": {"account": "acct_1Ada000000000001"},
    "global_payouts": {"account": "acct_1Bruna0000000001"},
}
PUBLIC = {"github_sponsors", "opencollective", "opencollective_expense"}
"""Their destinations are public names, and are shown whole so that people can compare them."""
BY_API = "github_sponsors_api"
"""The same rail by the same name, where machines press the button."""
ALL = list(GOOD)
Server = FakeRailServer | OpenCollectiveServer | StripeServer


@dataclass
class Stage:
    session: Session
    people: world.Cast
    engine: Engine
    server: Server
    github: Callable[[], GitHubSponsors]
    clock: world.Clock

    def drive(self, payout: Payout) -> None:
        """As far as machines go, waiting as long as it takes."""
        self.session.commit()
        outcome = self.engine.drive(payout.id)
        for _ in range(30):
            if outcome.until is None:
                break
            self.clock.now = max(self.clock.now, outcome.until)
            outcome = self.engine.drive(payout.id)
        self.session.expire_all()

    def evidence(self, text: str) -> files.StoredFile:
        stored = files.store(
            self.session, io.BytesIO(text.encode()), name="evidence.csv", uploaded_by_id=self.people.finance.id, now=self.clock()
        )
        self.session.flush()
        return stored

    def two_people(self, payout: Payout, outcome: Outcome, remote_id: str | None = None) -> None:
        proof = self.evidence("statement")
        finding = resolutions.propose(
            self.session, payout.attempts[-1].id, outcome=outcome, remote_id=remote_id, evidence=proof,
            note="Seen", actor=self.people.finance, now=self.clock(),
        )  # fmt: skip
        resolutions.decide(self.session, finding.id, confirm=True, actor=self.people.approver, now=self.clock())


class Way(Protocol):
    """How the world outside pays, refuses or stays silent on a rail."""

    def pay(self, stage: Stage, payout: Payout) -> None: ...
    def refuse(self, stage: Stage, payout: Payout) -> None: ...
    def silence(self, stage: Stage, payout: Payout) -> None: ...


class ByMachine:
    def pay(self, stage: Stage, payout: Payout) -> None:
        stage.drive(payout)

    def refuse(self, stage: Stage, payout: Payout) -> None:
        stage.server.misbehave(Behaviour([Fault("401", times=1)]))
        stage.drive(payout)

    def silence(self, stage: Stage, payout: Payout) -> None:
        stage.server.misbehave(Behaviour([Fault("cut_after", times=1)]))
        stage.session.commit()
        stage.engine.drive(payout.id)
        stage.session.expire_all()


class ByFile:
    def pay(self, stage: Stage, payout: Payout) -> None:
        self.silence(stage, payout)
        self._answer(stage, payout, "paid", "B-1")

    def refuse(self, stage: Stage, payout: Payout) -> None:
        self.silence(stage, payout)
        self._answer(stage, payout, "rejected", "")
        finding = payout.attempts[-1].resolutions[-1]
        resolutions.decide(stage.session, finding.id, confirm=True, actor=stage.people.approver, now=stage.clock())

    def silence(self, stage: Stage, payout: Payout) -> None:
        stage.drive(payout)
        if payout.attempts[-1].bank_file_id is None:
            bank_files.export(stage.session, currency="USD", actor=stage.people.finance, now=stage.clock())

    def _answer(self, stage: Stage, payout: Payout, status: str, bank_reference: str) -> None:
        key, amount = payout.attempts[-1].idem_key, payout.money.decimal
        heading = "reference,status,bank_reference,amount,currency,booked_on,reason"
        stored = stage.evidence(f"{heading}\n{key},{status},{bank_reference},{amount},USD,2026-11-02,\n")
        bank_files.import_answers(stage.session, stored, actor=stage.people.finance, now=stage.clock())
        stage.session.flush()


class ByUpload:
    """A file that a person uploads at GitHub, whose totals are read."""

    def pay(self, stage: Stage, payout: Payout) -> None:
        self.silence(stage, payout)
        attempt = payout.attempts[-1]
        assert attempt.bank_file is not None
        github, rail = stage.github(), stage.engine.rails[attempt.rail]
        assert isinstance(rail, GitHubSponsorsRail)
        github.add(Maintainer("Ada-1"))
        github.upload(files.read(attempt.bank_file.file))
        seen = rail.seen(["ada-1"], since=attempt.bank_file.created_at)
        sponsor_files.take(stage.session, attempt.bank_file.id, seen, actor=stage.people.finance, now=stage.clock())

    def refuse(self, stage: Stage, payout: Payout) -> None:
        self.silence(stage, payout)
        file_id = payout.attempts[-1].bank_file_id
        assert file_id is not None
        proof, finance, now = stage.evidence("list of sponsorships"), stage.people.finance, stage.clock()
        sponsor_files.propose(
            stage.session, file_id, [payout.attempts[-1].id], outcome=Outcome.FAILED, receipt="", evidence=proof,
            note="Below the minimum", actor=finance, now=now,
        )  # fmt: skip
        sponsor_files.confirm(stage.session, file_id, actor=stage.people.approver, now=stage.clock())

    def silence(self, stage: Stage, payout: Payout) -> None:
        stage.drive(payout)
        if payout.attempts[-1].bank_file_id is None:
            finance, now = stage.people.finance, stage.clock()
            bank_files.export(stage.session, currency="USD", actor=finance, now=now, rail="github_sponsors")


class ByBulkMutation(ByMachine):
    """Nothing but GitHub's totals shows that it happened."""

    def pay(self, stage: Stage, payout: Payout) -> None:
        stage.github().add(Maintainer("Ada-1"))
        super().pay(stage, payout)

    def refuse(self, stage: Stage, payout: Payout) -> None:
        self._misbehave(stage, "401")
        stage.drive(payout)

    def silence(self, stage: Stage, payout: Payout) -> None:
        self._misbehave(stage, "cut_after")
        stage.session.commit()
        stage.engine.drive(payout.id)
        stage.session.expire_all()

    def _misbehave(self, stage: Stage, kind: str) -> None:
        stage.github().add(Maintainer("Ada-1"))
        stage.github().misbehave(Behaviour([GraphqlFault(kind, operation="SponsorOnce", times=1)]))


class ByHand:
    def pay(self, stage: Stage, payout: Payout) -> None:
        stage.drive(payout)
        stage.two_people(payout, Outcome.ACCEPTED, "BANK-1")

    def refuse(self, stage: Stage, payout: Payout) -> None:
        stage.drive(payout)
        stage.two_people(payout, Outcome.FAILED)

    def silence(self, stage: Stage, payout: Payout) -> None:
        stage.drive(payout)


WAYS: Mapping[str, Way] = {
    "fake": ByMachine(),
    "plain": ByMachine(),
    "bank_file": ByFile(),
    "github_sponsors": ByUpload(),
    BY_API: ByBulkMutation(),
    "manual": ByHand(),
    "opencollective": ByMachine(),
    "opencollective_expense": ByMachine(),
    "stripe_connect": ByMachine(),
    "global_payouts": ByMachine(),
}


def way(rail: Rail) -> Way:
    """How the world outside deals with this rail."""
    return WAYS[BY_API if isinstance(rail, GitHubSponsorsApiRail) else rail.name]


@pytest.fixture
def stage(
    session: Session,
    people: world.Cast,
    engine_of_payouts: Engine,
    server: Server,
    clock: world.Clock,
    request: pytest.FixtureRequest,
) -> Stage:
    return Stage(session, people, engine_of_payouts, server, lambda: request.getfixturevalue("github"), clock)


@pytest.fixture
def payout(stage: Stage, rail: Rail, rails: Mapping[str, Rail]) -> Payout:
    """On its way on this rail."""
    who = world.recipient(stage.session, "Ada", rail=rail, by=stage.people.finance, now=stage.clock(), details=GOOD[rail.name])
    made = world.owed(stage.session, who, 1_000_000, by=stage.people.officer, now=stage.clock())
    world.sent_run(stage.session, stage.people, rails=rails, now=stage.clock())
    return made


@pytest.fixture(params=ALL)
def rail(request: pytest.FixtureRequest, rails: Mapping[str, Rail]) -> Rail:
    return rails["github_sponsors" if request.param == BY_API else request.param]


def test_it_says_what_it_can(rail: Rail) -> None:
    able = rail.capabilities
    assert rail.name
    assert rail.name == rail.name.lower()
    assert rail.title
    assert rail.health().message
    assert isinstance(rail, NetworkRail) is not able.needs_person
    by_people = able.needs_person or isinstance(rail, UnreferencedRail)
    assert by_people or able.lookup_authoritative or able.idempotent, "nothing could ever end a silence"
    assert able.timeout > timedelta(0)
    assert bool(able.key_window) is able.idempotent


def test_it_takes_good_destinations_masks_them_and_names_bad_ones(rail: Rail) -> None:
    good = rail.check_destination(GOOD[rail.name], "USD")
    assert rail.check_destination(dict(good.details), "USD") == good
    account = next(value for value in good.details.values() if any(character.isdigit() for character in value))
    assert (account in good.label) is (rail.name in PUBLIC)
    for missing in (each.name for each in rail.destination_fields if each.required):
        with pytest.raises(InvalidInput) as refused:
            rail.check_destination({name: value for name, value in GOOD[rail.name].items() if name != missing}, "USD")
        assert refused.value.field == missing
    with pytest.raises(InvalidInput):
        rail.check_destination({**GOOD[rail.name], "surprise": "1"}, "USD")


def test_a_payout_goes_once(stage: Stage, rail: Rail, payout: Payout) -> None:
    way(rail).pay(stage, payout)
    stage.session.flush()
    assert (payout.status, payout.attempts[-1].state) == (PayoutStatus.PAID, AttemptState.ACCEPTED)
    assert payout.attempts[-1].remote_id
    assert ledger.balance(stage.session, world.FUND).posted == 10_000_000 - 1_000_000
    for _ in range(3):
        stage.drive(payout)
    assert len(payout.attempts) == 1
    assert ledger.balance(stage.session, world.FUND).available == 10_000_000 - 1_000_000


def test_a_refusal_keeps_the_money_until_a_person_decides(stage: Stage, rail: Rail, payout: Payout) -> None:
    way(rail).refuse(stage, payout)
    stage.session.flush()
    assert (payout.status, payout.attempts[-1].state) == (PayoutStatus.RESERVED, AttemptState.FAILED)
    stage.drive(payout)
    assert len(payout.attempts) == 1, "nothing is tried again by itself after a refusal"
    withdrawals.take_back(stage.session, payout.id, actor=stage.people.finance, reason="Other account", now=stage.clock())
    assert ledger.balance(stage.session, world.FUND).available == 10_000_000


def test_after_a_refusal_another_try_has_a_new_key(stage: Stage, rail: Rail, payout: Payout) -> None:
    way(rail).refuse(stage, payout)
    controls.start_rail(stage.session, rail.name, reason="Looked at", actor=stage.people.approver, now=stage.clock())
    withdrawals.try_again(stage.session, payout.id, actor=stage.people.finance, reason="Put right", now=stage.clock())
    way(rail).pay(stage, payout)
    stage.session.flush()
    assert payout.status is PayoutStatus.PAID
    assert len({attempt.idem_key for attempt in payout.attempts}) == 2


def test_silence_concludes_nothing(stage: Stage, rail: Rail, payout: Payout) -> None:
    way(rail).silence(stage, payout)
    stage.session.flush()
    assert payout.status is PayoutStatus.RESERVED
    assert payout.attempts[-1].state in {AttemptState.UNKNOWN, AttemptState.HUMAN}
    for undo in (withdrawals.cancel, withdrawals.take_back):
        with pytest.raises(withdrawals.MayStillBePaid):
            undo(stage.session, payout.id, actor=stage.people.finance, reason="Impatience", now=stage.clock())
    stage.clock.go(timedelta(hours=1))
    stage.drive(payout)
    assert len(payout.attempts) == 1
    expected = PayoutStatus.PAID if isinstance(rail, NetworkRail) else PayoutStatus.RESERVED
    assert payout.status is expected


def test_a_stopped_rail_reserves_nothing(stage: Stage, rail: Rail, payout: Payout) -> None:
    controls.stop_rail(stage.session, rail.name, reason="Stopped", actor=stage.people.approver, now=stage.clock())
    stage.session.commit()
    assert "is stopped" in stage.engine.drive(payout.id).reason
    stage.session.expire_all()
    assert (payout.status, payout.attempts) == (PayoutStatus.APPROVED, [])


def test_money_that_comes_back_opens_the_obligation_again(stage: Stage, rail: Rail, payout: Payout) -> None:
    way(rail).pay(stage, payout)
    stage.session.flush()
    stage.session.expire_all()
    stage.two_people(payout, Outcome.RETURNED)
    assert payout.status is PayoutStatus.RETURNED
    assert ledger.balance(stage.session, world.FUND).available == 10_000_000
    assert ledger.balance(stage.session, rail.capabilities.cash.account("USD")).posted == 10_000_000
    again = world.owed(
        stage.session, payout.recipient, 1_000_000, by=stage.people.officer, now=stage.clock(), obligation=payout.obligation
    )
    assert (again.round, again.status) == (2, PayoutStatus.DRAFT)


# ------------------------------------------------------------------------------------------------ rails we talk to


@pytest.fixture(params=["fake", "plain", "opencollective", "stripe_connect", "global_payouts"])
def network(request: pytest.FixtureRequest, rails: Mapping[str, Rail]) -> NetworkRail:
    found = rails[request.param]
    assert isinstance(found, NetworkRail)
    return found


NEVER: Mapping[str, tuple[dict[str, str], str]] = {
    "fake": ({"account": "closed_1"}, "account is closed"),
    "plain": ({"account": "closed_1"}, "account is closed"),
    "opencollective": ({"collective": "old-lib"}, "is archived"),
    "stripe_connect": ({"account": "acct_1Elsewhere0000001"}, "not connected to ours"),
    "global_payouts": ({"account": "acct_1Elsewhere0000001"}, "No such account"),
}
"""A destination that can't be paid, and what the rail says."""


def instruction(rail: Rail, destination: Mapping[str, str] | None = None) -> Instruction:
    return Instruction("pw-contract-1", Money(100, "USD"), "Ada", "DE", destination or GOOD[rail.name], "Memo")


def test_a_receipt_is_what_a_look_up_finds(network: NetworkRail) -> None:
    receipt = network.send(instruction(network))
    assert receipt.money == Money(100, "USD")
    assert network.look_up("pw-contract-1") == [receipt]
    assert network.look_up("pw-contract-2") == []


def test_sending_again_answers_again_where_keys_are_known(network: NetworkRail) -> None:
    first, second = network.send(instruction(network)), network.send(instruction(network))
    assert (first == second) is network.capabilities.idempotent
    assert len(network.look_up("pw-contract-1")) == (1 if network.capabilities.idempotent else 2)


@pytest.mark.parametrize(
    ("kind", "error", "moved"),
    [
        ("cut_before", "OutcomeUnknown", 0),
        ("cut_after", "OutcomeUnknown", 1),
        ("500_before", "OutcomeUnknown", 0),
        ("500_after", "OutcomeUnknown", 1),
        ("slow", "OutcomeUnknown", 1),
        ("429", "NotNow", 0),
        ("401", "Refused", 0),
    ],
)
def test_every_fault_is_told_apart(network: NetworkRail, server: Server, kind: str, error: str, moved: int) -> None:
    server.misbehave(Behaviour([Fault(kind, times=1, seconds=3 if kind == "slow" else 0.05)]))
    with pytest.raises(RailError) as raised:
        network.send(instruction(network))
    assert type(raised.value).__name__ == error
    assert raised.value.permanent is (error == "Refused")
    if isinstance(raised.value, NotNow):
        time.sleep(raised.value.retry_after.total_seconds())
    for _ in range(100):  # the slow one pays when nobody listens any more
        if len(network.look_up("pw-contract-1")) >= moved:
            break
        time.sleep(0.05)
    assert len(network.look_up("pw-contract-1")) == moved


def test_a_refused_payment_leaves_nothing_behind(network: NetworkRail) -> None:
    destination, reason = NEVER[network.name]
    with pytest.raises(RailError, match=reason) as raised:
        network.send(instruction(network, destination))
    assert raised.value.permanent
    assert network.look_up("pw-contract-1") == []


def test_a_rail_that_is_away_is_unknown_and_its_look_up_says_so(network: NetworkRail, server: Server) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(RailError) as raised:
        network.send(instruction(network))
    assert not raised.value.permanent
    with pytest.raises(RailError, match=r"look-up failed|gave no answer"):
        network.look_up("pw-contract-1")
    assert not network.health().ok


def test_late_visibility_hides_a_payment_for_a_while(network: NetworkRail, server: Server) -> None:
    server.misbehave(Behaviour(visibility_seconds=0.3))
    network.send(instruction(network))
    assert network.look_up("pw-contract-1") == []
    time.sleep(0.35)
    assert len(network.look_up("pw-contract-1")) == 1
