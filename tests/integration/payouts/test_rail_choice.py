"""Which rail a payout goes by, on the database: chosen when a run is prepared, overruled by a person, priced before and after."""

from collections.abc import Mapping
from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import audit
from core.errors import InvalidInput
from core.money import Money
from payouts import queries, terms
from payouts.models import Payout, PayoutStatus, Recipient, Run
from payouts.rails.base import Rail, Standing
from payouts.services import choices, fitting, onboarding, previews, recipients, runs
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world

pytestmark = pytest.mark.usefixtures("funded")
DAY = timedelta(days=1)


class Desk:
    """Ada's payouts, and what finance does about them."""

    def __init__(self, session: Session, people: world.Cast, rails: Mapping[str, Rail], clock: world.Clock) -> None:
        self.session, self.people, self.rails, self.clock = session, people, rails, clock

    def add(self, who: Recipient, rail: str, currency: str = "USD", **details: str) -> None:
        """One more destination, and the time it cools off."""
        place = recipients.set_destination(
            self.session, who.id, rail=self.rails[rail], currency=currency, details=details or {"account": f"acct_{who.name}"},
            actor=self.people.finance, now=self.clock(),
        )  # fmt: skip
        world.compared(self.session, place, now=self.clock())
        self.session.expire_all()
        self.clock.go(4 * DAY)

    def prepare(self) -> Run:
        run, _ = runs.prepare(
            self.session, currency="USD", due_by=self.clock().date(), preparer=self.people.finance, rails=self.rails,
            now=self.clock(),
        )  # fmt: skip
        return run

    def wish(self, payout: Payout, rail: str, reason: str = "Ada's host asked for it") -> Payout:
        return choices.wish(
            self.session, payout.id, rail=rail, reason=reason, rails=self.rails, actor=self.people.finance, now=self.clock()
        )


@pytest.fixture
def desk(session: Session, people: world.Cast, rails: Mapping[str, Rail], clock: world.Clock) -> Desk:
    return Desk(session, people, rails, clock)


@pytest.fixture
def payout(desk: Desk, ada: Recipient) -> Payout:
    """Ada is paid on the trial rail, whose price is known, and on another whose price is not."""
    desk.add(ada, "plain")
    return world.owed(desk.session, ada, 250_000, by=desk.people.officer, now=desk.clock())


def test_a_run_takes_the_best_rail_and_keeps_why(desk: Desk, payout: Payout) -> None:
    run = desk.prepare()
    assert (payout.rail, payout.destination and payout.destination.rail) == ("fake", "fake")
    assert payout.rail_reason == "It leaves Ada most, as far as is known: 2,500.00 USD of 2,500.00 USD."
    assert (payout.expected_fee, payout.expected_cost) == (Money(0, "USD"), Money(0, "USD"))
    seen = previews.preview(desk.session, run.id, rails=desk.rails, now=desk.clock())
    assert (seen.net, seen.net_unknown, seen.cost, seen.problems) == (Money(250_000, "USD"), 0, Money(0, "USD"), [])
    runs.cancel(desk.session, run.id, actor=desk.people.finance, now=desk.clock())
    assert (payout.rail, payout.rail_reason, payout.expected_fee) == (None, None, None)


def test_every_rail_is_shown_with_what_it_needs(desk: Desk, payout: Payout) -> None:
    lacks = {"stripe_connect": ["PLEDGEWORKS_STRIPE_KEY"]}
    known = choices.outlook(desk.session, [payout], rails=desk.rails, lacks=lacks, now=desk.clock())
    said = {way.rail: [need.kind.value for need in way.needs] for way in known.ways(payout)}
    assert said == {
        "fake": [], "plain": [], "bank_file": ["destination"], "github_sponsors": ["destination"], "manual": ["destination"],
        "stripe_connect": ["settings"],
    }  # fmt: skip


def test_the_payees_wish_decides_among_what_is_possible(desk: Desk, payout: Payout, ada: Recipient) -> None:
    recipients.prefer_rail(desk.session, ada.id, "plain", actor=desk.people.finance, now=desk.clock())
    desk.prepare()
    assert (payout.rail, payout.rail_reason) == ("plain", "Ada asked for it.")
    with pytest.raises(InvalidInput, match="no destination on that rail"):
        recipients.prefer_rail(desk.session, ada.id, "manual", actor=desk.people.finance, now=desk.clock())


def test_a_persons_choice_is_kept_with_its_reason_and_approved_by_another(desk: Desk, payout: Payout) -> None:
    desk.wish(payout, "plain")
    assert next((event.verb, event.reason) for event in audit.history(desk.session, payout)) == (
        "payout.rail_chosen", "Ada's host asked for it",
    )  # fmt: skip
    run = desk.prepare()
    assert (payout.rail, payout.rail_reason) == ("plain", "Finn chose it: Ada's host asked for it")
    with pytest.raises(choices.RailDecided):
        desk.wish(payout, "fake")
    payout.wish_by_id = desk.people.approver.id
    with pytest.raises(runs.SelfApproval, match="You chose the rail"):
        runs.approve(desk.session, run.id, approver=desk.people.approver, seen_hash=run.content_hash, now=desk.clock())


def test_a_choice_can_be_taken_back(desk: Desk, payout: Payout) -> None:
    desk.wish(payout, "plain")
    choices.unwish(desk.session, payout.id, reason="A slip", actor=desk.people.finance, now=desk.clock())
    desk.prepare()
    assert (payout.rail, payout.wish_rail, payout.wish_by) == ("fake", None, None)


def test_nobody_can_choose_a_rail_that_is_impossible(desk: Desk, payout: Payout, ada: Recipient) -> None:
    large = world.owed(desk.session, ada, 1_200_100, by=desk.people.officer, now=desk.clock())
    with pytest.raises(choices.RailImpossible, match="at most 12,000"):
        desk.wish(large, "github_sponsors")
    with pytest.raises(choices.RailImpossible, match="no rail"):
        desk.wish(payout, "stripe_connect")
    with pytest.raises(InvalidInput, match="Say why"):
        desk.wish(payout, "plain", reason=" ")
    # What Ada can still bring may be waited for, and nothing goes elsewhere meanwhile.
    desk.wish(payout, "github_sponsors")
    assert desk.prepare().payouts == [large]
    with pytest.raises(runs.NothingToPay, match="Finn chose GitHub Sponsors for this payout, and it can't go by it now"):
        desk.prepare()


def test_the_database_keeps_a_choice_whole(desk: Desk, payout: Payout) -> None:
    with pytest.raises(IntegrityError, match="ck_payout_wish"):
        desk.session.execute(text("UPDATE payout SET wish_rail = 'plain'"))


def test_what_a_rail_said_of_an_account_keeps_its_payee_out_of_a_run(desk: Desk, payout: Payout, ada: Recipient) -> None:
    for place in ada.destinations:
        onboarding.remember(desk.session, place, Standing("Stripe wants a passport."), now=desk.clock())
    with pytest.raises(runs.NothingToPay, match="a passport"):
        desk.prepare()
    (left_out,) = previews.not_ready(desk.session, due_by=desk.clock().date(), rails=desk.rails, now=desk.clock())
    assert (left_out.payout.id, "a passport" in left_out.why) == (payout.id, True)
    onboarding.remember(desk.session, ada.destinations[0], Standing(None), now=desk.clock())
    assert desk.prepare().payouts == [payout]


@pytest.mark.parametrize("currency", ["USD", "EUR"])
def test_one_more_destination_cools_off_and_is_told_like_a_changed_one(desk: Desk, ada: Recipient, currency: str) -> None:
    """The control: the first one of all was usable at once."""
    (first,) = ada.destinations
    assert first.usable_from == first.created_at
    more = recipients.set_destination(
        desk.session, ada.id, rail=desk.rails["plain"], currency=currency, details={"account": "acct_thief"},
        actor=desk.people.finance, now=desk.clock(),
    )  # fmt: skip
    assert more.usable_from == desk.clock() + timedelta(hours=72)
    assert first.retired_at is None
    (notice,) = queries.notices(desk.session)
    assert f"The {currency} payment details of Ada were given one more destination" in notice.message
    world.owed(desk.session, ada, 100, by=desk.people.officer, now=desk.clock())
    recipients.prefer_rail(desk.session, ada.id, "plain", actor=desk.people.finance, now=desk.clock())
    assert [line.rail for line in desk.prepare().payouts] == ["fake"], "the proven one goes on being used meanwhile"


def test_nothing_goes_to_a_destination_that_was_removed(desk: Desk, payout: Payout, ada: Recipient) -> None:
    recipients.prefer_rail(desk.session, ada.id, "fake", actor=desk.people.finance, now=desk.clock())
    place = recipients.current_destination(desk.session, ada.id, "USD", "fake")
    assert place is not None
    run = desk.prepare()
    recipients.remove_destination(desk.session, place.id, reason="Account closed", actor=desk.people.finance, now=desk.clock())
    assert ada.preferred_rail is None
    assert "changed its payment details" in previews.preview(desk.session, run.id, rails=desk.rails, now=desk.clock()).problems[0]
    runs.cancel(desk.session, run.id, actor=desk.people.finance, now=desk.clock())
    desk.session.flush()
    desk.session.expire_all()
    assert [line.rail for line in desk.prepare().payouts] == ["plain"]


def test_the_price_is_shown_before_and_as_the_rail_told_it_after(desk: Desk, payout: Payout, engine_of_payouts: Engine) -> None:
    world.sent_run(desk.session, desk.people, rails=desk.rails, now=desk.clock())
    desk.session.commit()
    before = previews.price(payout)
    assert (before.net, before.reported) == (Money(250_000, "USD"), False)
    engine_of_payouts.drive(payout.id)
    desk.session.expire_all()
    after = previews.price(payout)
    assert (payout.status, payout.attempts[0].fee_minor, payout.attempts[0].cost_minor) == (PayoutStatus.PAID, 0, 0)
    assert (after.net, after.fee, after.cost, after.reported) == (Money(250_000, "USD"), Money(0, "USD"), Money(0, "USD"), True)


def test_githubs_fee_on_top_is_told_before(desk: Desk, ada: Recipient) -> None:
    world.owed(desk.session, ada, 1_234, by=desk.people.officer, now=desk.clock())
    place = recipients.current_destination(desk.session, ada.id, "USD", "fake")
    assert place is not None
    desk.add(ada, "github_sponsors", login="ada")
    recipients.prefer_rail(desk.session, ada.id, "github_sponsors", actor=desk.people.finance, now=desk.clock())
    run = desk.prepare()
    seen = previews.preview(desk.session, run.id, rails=desk.rails, now=desk.clock())
    assert (seen.net, seen.cost, seen.cost_at_most) == (Money(1_200, "USD"), Money(72, "USD"), True)
    assert seen.lines[0].leaving == Money(1_200, "USD")


def test_who_said_by_which_rail_a_payee_is_paid_does_not_approve_it(desk: Desk, payout: Payout, ada: Recipient) -> None:
    """Nor who took the preference back again: the run may have been prepared under it."""
    approver = desk.people.approver
    for rail in ("plain", None):
        recipients.prefer_rail(desk.session, ada.id, rail, actor=approver, now=desk.clock())
        run = desk.prepare()
        with pytest.raises(runs.SelfApproval, match="You said by which rail Ada"):
            runs.approve(desk.session, run.id, approver=approver, seen_hash=run.content_hash, now=desk.clock())
        runs.cancel(desk.session, run.id, actor=desk.people.finance, now=desk.clock())
    run = desk.prepare()
    runs.approve(desk.session, run.id, approver=desk.people.second, seen_hash=run.content_hash, now=desk.clock())
    assert run.status == "approved"


def test_a_rail_without_terms_in_force_pays_nothing(desk: Desk, payout: Payout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its largest payment is not known. A run that was prepared before the terms ended is refused when its turn comes."""
    run = desk.prepare()
    assert previews.preview(desk.session, run.id, rails=desk.rails, now=desk.clock()).problems == []
    shipped = terms.book()
    begins = {"fake": desk.clock().date() + DAY}

    def from_tomorrow(rail: str, on: date) -> terms.Terms | None:
        return shipped.in_force(rail, on) if on >= begins.get(rail, on) else None

    monkeypatch.setattr(terms, "in_force", from_tomorrow)
    monkeypatch.setattr(fitting, "in_force", from_tomorrow)
    (said,) = previews.preview(desk.session, run.id, rails=desk.rails, now=desk.clock()).problems
    assert "Trial rail (no real money) has no terms in force" in said
    (dry,) = previews.dry_run(desk.session, run.id, rails=desk.rails, now=desk.clock())
    assert dry.refusal == said
    desk.clock.go(DAY)
    (dry,) = previews.dry_run(desk.session, run.id, rails=desk.rails, now=desk.clock())
    assert dry.refusal is None
