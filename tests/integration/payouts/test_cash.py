"""A payment makes less what its rail pays from: the bank, our balance at Stripe, the financial account there, a fund."""

import io
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

import app as application
from core import files, ledger
from core.books import balances, held, movements, reconciliation
from core.books import tasks as books
from core.books.feeds import Seen
from core.books.models import OutsideMovement, ProviderBalance
from core.db import new_id
from core.identity.models import Membership, Role
from core.money import Money
from payouts.models import Alarm, Outcome, Payout, PayoutStatus, Resolution
from payouts.rails.base import Rail
from payouts.rails.global_payouts import GlobalPayoutsRail
from payouts.rails.movements import StripeFinancialMovements, StripeMovements
from payouts.rails.stripe_connect import StripeConnectRail
from payouts.services import previews, resolutions, returns
from payouts.services.engine import Engine
from payouts.services.movements import PayoutMovements
from tests.fakes import payouts_world as world
from tests.fakes.stripe import StripeServer, connect, global_payouts, serving
from tests.fakes.stripe.global_payouts import FINANCIAL_ACCOUNT
from tests.fakes.stripe.server import KEY

assert application.main, "importing the application registers who knows which movements"

ADA, BRUNA = "acct_1Ada000000000001", "acct_1Bruna0000000001"
GIVEN = 10_000_000


@pytest.fixture
def server() -> Iterator[StripeServer]:
    with serving() as made:
        connect.connected_account(made.world, account_id=ADA)
        global_payouts.financial_account(made.world, 0)
        global_payouts.recipient(made.world, account_id=BRUNA)
        made.world.swift = True
        yield made


@pytest.fixture
def rails(server: StripeServer) -> Mapping[str, Rail]:
    short = timedelta(seconds=9)
    made: list[Rail] = [
        StripeConnectRail(KEY, api_base=server.url, timeout=short),
        GlobalPayoutsRail(KEY, FINANCIAL_ACCOUNT, api_base=server.url, timeout=short),
    ]
    return {rail.name: rail for rail in made}


@pytest.fixture
def people(session: Session, now: datetime) -> world.Cast:
    cast = world.cast(session, now)
    session.add(Membership(person_id=cast.finance.id, role=Role.FINANCE, from_on=now.date() - timedelta(days=1)))
    session.flush()
    return cast


@pytest.fixture
def ada(session: Session, people: world.Cast, rails: Mapping[str, Rail], funded: None, now: datetime) -> Payout:
    """$2,500 owed to Ada by Stripe Connect, while all money is at the bank."""
    rail = rails["stripe_connect"]
    who = world.recipient(session, "Ada", rail=rail, by=people.finance, now=now, details={"account": ADA})
    return world.owed(session, who, 250_000, by=people.officer, now=now)


@pytest.fixture
def bruna(session: Session, people: world.Cast, rails: Mapping[str, Rail], funded: None, now: datetime) -> Payout:
    rail = rails["global_payouts"]
    who = world.recipient(session, "Bruna", rail=rail, by=people.finance, now=now, details={"account": BRUNA})
    return world.owed(session, who, 100_000, by=people.officer, now=now)


def posted(session: Session, code: str) -> int:
    return ledger.balance(session, code).posted


def read(session: Session, server: StripeServer, now: datetime) -> None:
    """What the hourly task does, in the test's transaction."""
    for feed in (
        StripeMovements(KEY, api_base=server.url),
        StripeFinancialMovements(KEY, FINANCIAL_ACCOUNT, api_base=server.url),
    ):
        books.keep(session, feed.name, feed.read(reconciliation.since(session, feed.name)), now=now)


def listed(session: Session, kind: str) -> OutsideMovement:
    return session.query(OutsideMovement).filter_by(kind=kind, entry_id=None).one()


def two_people_say(session: Session, people: world.Cast, payout: Payout, outcome: Outcome, now: datetime) -> None:
    evidence = files.store(session, io.BytesIO(b"x"), name="x.txt", uploaded_by_id=None, now=now)
    session.flush()
    found = resolutions.propose(
        session, payout.attempts[-1].id, outcome=outcome, remote_id=None, evidence=evidence, note="It says so.",
        actor=people.finance, now=now,
    )  # fmt: skip
    resolutions.decide(session, found.id, confirm=True, actor=people.approver, now=now)


def test_a_shortfall_says_which_balance_lacks_how_much_and_a_top_up_lets_it_go(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], server: StripeServer, ada: Payout,
    engine_of_payouts: Engine, clock: world.Clock,
) -> None:  # fmt: skip
    run = world.approved_run(session, people, rails=rails, now=clock())
    (cover,) = previews.preview(session, run.id, rails=rails, now=clock()).cash
    assert (cover.title, cover.short_by) == ("Our balance at Stripe", Money(250_000, "USD"))
    (dry,) = previews.dry_run(session, run.id, rails=rails, now=clock())
    assert dry.refusal is not None
    assert "Our balance at Stripe has 0.00 USD free in the ledger, 2,500.00 USD less than the 2,500.00 USD" in dry.refusal
    world.sending.send(session, run.id, sender=people.finance, rails=rails, now=clock())
    session.commit()
    engine_of_payouts.drive(ada.id)
    session.expire_all()
    assert (ada.status, ada.attempts) == (PayoutStatus.APPROVED, [])
    assert "docs/how-to/fund-the-rails.md" in (ada.blocked_reason or "")

    server.world.top_up(300_000)
    read(session, server, clock())
    movements.book(session, listed(session, "topup").id, actor=people.finance, now=clock())
    assert (posted(session, world.BANK), posted(session, world.STRIPE)) == (GIVEN - 300_000, 300_000)
    session.commit()
    engine_of_payouts.drive(ada.id)
    session.expire_all()
    assert (ada.status, ada.cash_account) == (PayoutStatus.PAID, world.STRIPE)
    assert (posted(session, world.BANK), posted(session, world.STRIPE)) == (GIVEN - 300_000, 50_000)
    assert server.world.available("usd") == posted(session, world.STRIPE), "the ledger says what Stripe says"
    read(session, server, clock())
    open_ones = [(each.side, each.where) for each in reconciliation.differences(session)]
    assert (reconciliation.Side.MISSING_HERE, "stripe") not in open_ones
    assert (reconciliation.Side.MISSING_THERE, "provider stripe") not in open_ones


def test_money_comes_back_to_where_it_was_paid_from(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], server: StripeServer, ada: Payout,
    engine_of_payouts: Engine, clock: world.Clock,
) -> None:  # fmt: skip
    server.world.top_up(300_000)
    world.fund(session, Money(300_000, "USD"), now=clock(), cash=world.STRIPE)
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    engine_of_payouts.drive(ada.id)
    session.expire_all()
    assert posted(session, world.STRIPE) == 50_000
    two_people_say(session, people, ada, Outcome.REVERSED, clock())
    assert (posted(session, world.STRIPE), posted(session, world.BANK)) == (300_000, GIVEN)


def test_what_was_reserved_on_the_bank_before_stays_there(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], server: StripeServer, ada: Payout,
    engine_of_payouts: Engine, clock: world.Clock, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A payout from before the rail's own balance was known: paid, met by Stripe's movement, and returned, all at the bank."""
    server.world.top_up(300_000)
    connect_rail = rails["stripe_connect"]
    known = connect_rail.capabilities
    monkeypatch.setattr(connect_rail, "capabilities", type(known)(**{**vars(known), "cash": type(known)().cash}))
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    engine_of_payouts.drive(ada.id)
    monkeypatch.setattr(connect_rail, "capabilities", known)
    session.expire_all()
    assert (ada.cash_account, posted(session, world.BANK)) == (world.BANK, GIVEN - 250_000)
    read(session, server, clock())
    assert session.query(OutsideMovement).filter_by(kind="transfer").one().entry_id is not None
    assert not [each for each in reconciliation.differences(session) if each.money.amount_minor == -250_000]
    two_people_say(session, people, ada, Outcome.RETURNED, clock())
    assert posted(session, world.BANK) == GIVEN


def test_the_database_keeps_where_the_money_of_a_payout_lies(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], ada: Payout, engine_of_payouts: Engine, clock: world.Clock
) -> None:
    world.fund(session, Money(300_000, "USD"), now=clock(), cash=world.STRIPE)
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    engine_of_payouts.drive(ada.id)
    change = text("UPDATE payout SET cash_account = :code WHERE id = :id")
    with pytest.raises(DBAPIError, match=r"where the money of a \w+ payout lies never changes"), session.begin_nested():
        session.execute(change, {"code": world.BANK, "id": ada.id})
    with pytest.raises(DBAPIError), session.begin_nested():
        session.execute(change, {"code": None, "id": ada.id})


def test_the_financial_account_is_filled_from_the_balance_and_pays(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], server: StripeServer, bruna: Payout,
    engine_of_payouts: Engine, clock: world.Clock,
) -> None:  # fmt: skip
    """Bank to balance, balance to financial account, and from there to the payee: every step is told and booked, none in SQL."""
    server.world.top_up(400_000)
    global_payouts.from_balance(server.world, 150_000)
    read(session, server, clock())
    assert session.query(OutsideMovement).filter_by(kind="payout").one().entry_id is None, "the balance is not booked yet"
    movements.book(session, listed(session, "topup").id, actor=people.finance, now=clock())
    read(session, server, clock())
    payout, credit = (session.query(OutsideMovement).filter_by(kind=kind).one() for kind in ("payout", "received_credit"))
    assert payout.entry_id is not None
    assert payout.entry_id == credit.entry_id
    assert (posted(session, world.STRIPE), posted(session, world.FINANCIAL)) == (250_000, 150_000)
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    engine_of_payouts.drive(bruna.id)
    session.expire_all()
    assert (bruna.status, posted(session, world.FINANCIAL)) == (PayoutStatus.PAID, 50_000)
    assert server.world.objects[FINANCIAL_ACCOUNT]["balance"]["available"]["usd"]["value"] == 50_000
    read(session, server, clock())
    elsewhere = [each for each in reconciliation.differences(session) if not each.where.startswith("assets:bank")]
    assert elsewhere == []


def test_a_payment_that_came_back_to_the_financial_account_meets_its_reversal(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], server: StripeServer, bruna: Payout,
    engine_of_payouts: Engine, clock: world.Clock,
) -> None:  # fmt: skip
    global_payouts.arrive(server.world, 150_000)
    read(session, server, clock())
    movements.book(session, listed(session, "received_credit").id, actor=people.finance, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    engine_of_payouts.drive(bruna.id)
    session.expire_all()
    remote_id = bruna.attempts[0].remote_id
    assert remote_id is not None
    global_payouts.settle(server.world, remote_id, "returned", "payout_method_closed")
    two_people_say(session, people, bruna, Outcome.RETURNED, clock())
    read(session, server, clock())
    assert posted(session, world.FINANCIAL) == 150_000
    elsewhere = [each for each in reconciliation.differences(session) if not each.where.startswith("assets:bank")]
    assert elsewhere == []


def paid_bruna(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], server: StripeServer, bruna: Payout, engine: Engine
) -> str:
    """Paid from the financial account, and what Stripe calls the payment."""
    now = engine.clock()
    global_payouts.arrive(server.world, 150_000)
    read(session, server, now)
    movements.book(session, listed(session, "received_credit").id, actor=people.finance, now=now)
    world.sent_run(session, people, rails=rails, now=now)
    session.commit()
    engine.drive(bruna.id)
    session.expire_all()
    assert bruna.status is PayoutStatus.PAID
    read(session, server, now)
    assert returns.find(session, now=now) == 0, "nothing came back yet"
    return str(bruna.attempts[0].remote_id)


def test_a_payment_that_is_returned_after_it_was_paid_is_found_and_one_person_books_it(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], server: StripeServer, bruna: Payout,
    engine_of_payouts: Engine, clock: world.Clock,
) -> None:  # fmt: skip
    payment = paid_bruna(session, people, rails, server, bruna, engine_of_payouts)
    global_payouts.settle(server.world, payment, "returned", "payout_method_closed")
    read(session, server, clock())
    assert returns.find(session, now=clock()) == 1
    assert returns.find(session, now=clock()) == 0
    session.expire_all()
    finding = bruna.attempts[0].proposal
    assert finding is not None
    assert (finding.said_by, finding.outcome) == ("The provider", Outcome.RETURNED)
    assert payment in files.read(finding.evidence).decode()
    assert bruna.status is PayoutStatus.PAID, "nothing moves before a person looked"
    resolutions.decide(session, finding.id, confirm=True, actor=people.approver, now=clock())
    read(session, server, clock())
    assert (bruna.status, posted(session, world.FINANCIAL)) == (PayoutStatus.RETURNED, 150_000)
    elsewhere = [each for each in reconciliation.differences(session) if not each.where.startswith("assets:bank")]
    assert elsewhere == []


def test_only_the_whole_payment_that_came_back_is_the_return(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], server: StripeServer, bruna: Payout,
    engine_of_payouts: Engine, clock: world.Clock,
) -> None:  # fmt: skip
    """A fee given back, a part, and what is only contained in a word of the finding's note are something else."""
    payment = paid_bruna(session, people, rails, server, bruna, engine_of_payouts)
    account, now = "stripe_financial", clock()
    for name, kind, cents, about in (
        ("fee", "network_cost", 100_000, payment), ("part", "outbound_payment_return", 99_999, payment),
        ("word", "outbound_payment_return", 100_000, "says"), ("in", "outbound_payment_return", 100_000, "ay"),
    ):  # fmt: skip
        books.keep(session, account, [Seen(name, kind, now, Money(cents, "USD"), about)], now=now)
    assert returns.find(session, now=now) == 0, "a fee given back is not the payment"
    two_people_say(session, people, bruna, Outcome.RETURNED, now)
    rows = session.query(OutsideMovement).filter_by(provider=account).filter(OutsideMovement.entry_id.is_(None)).all()
    claimed = PayoutMovements().claims(session, account, rows)
    assert [row.remote_id for row in rows if row.id in claimed] == ["word"], "which the finding names"
    books.keep(session, account, [Seen("whole", "outbound_payment_return", now, Money(100_000, "USD"), payment)], now=now)
    met = {row.remote_id for row in session.query(OutsideMovement) if row.entry_id is not None}
    assert {"whole", "word", "fee", "part", "in"} & met == {"whole"}, "its own name goes first"


def test_what_was_turned_down_is_not_proposed_again(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], server: StripeServer, bruna: Payout,
    engine_of_payouts: Engine, clock: world.Clock,
) -> None:  # fmt: skip
    payment = paid_bruna(session, people, rails, server, bruna, engine_of_payouts)
    global_payouts.settle(server.world, payment, "returned")
    read(session, server, clock())
    returns.find(session, now=clock())
    session.expire_all()
    finding = bruna.attempts[0].proposal
    assert finding is not None
    resolutions.decide(session, finding.id, confirm=False, actor=people.approver, now=clock())
    session.expire_all()
    assert returns.find(session, now=clock()) == 0


def test_a_transfer_reversed_at_stripe_is_found_and_part_of_one_is_an_alarm(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], server: StripeServer, ada: Payout,
    engine_of_payouts: Engine, clock: world.Clock,
) -> None:  # fmt: skip
    server.world.top_up(300_000)
    world.fund(session, Money(300_000, "USD"), now=clock(), cash=world.STRIPE)
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    engine_of_payouts.drive(ada.id)
    session.expire_all()
    transfer = str(ada.attempts[0].remote_id)
    read(session, server, clock())
    with server.world.lock:
        connect.create_reversal(server.world, {"amount": 1_000}, base="", id=transfer)
    read(session, server, clock())
    assert returns.find(session, now=clock()) == 0
    (alarm,) = session.query(Alarm).all()
    assert "10.00 USD of this payment of 2,500.00 USD came back" in alarm.message
    session.query(OutsideMovement).filter_by(kind="transfer_refund").delete()
    with server.world.lock:
        server.world.objects[transfer].update(amount_reversed=0, reversed=False)
        server.world.held[ADA, "usd"] = 250_000
        connect.create_reversal(server.world, {}, base="", id=transfer)
    whole = [each for each in StripeMovements(KEY, api_base=server.url).read(None) if each.money.amount_minor == 250_000]
    books.keep(session, "stripe", whole, now=clock())
    assert returns.find(session, now=clock()) == 1
    session.expire_all()
    assert ada.attempts[0].proposal is not None
    assert ada.attempts[0].proposal.outcome is Outcome.REVERSED


def test_only_money_that_came_back_is_a_providers_word(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], server: StripeServer, bruna: Payout,
    engine_of_payouts: Engine, clock: world.Clock,
) -> None:  # fmt: skip
    paid_bruna(session, people, rails, server, bruna, engine_of_payouts)
    evidence = files.store(session, io.BytesIO(b"x"), name="x.txt", uploaded_by_id=None, now=clock())
    session.flush()
    alone = insert(Resolution).values(
        id=new_id(), attempt_id=bruna.attempts[0].id, outcome="failed", evidence_id=evidence.id, note="x", proposed_at=clock()
    )
    with pytest.raises(IntegrityError, match="proposed_by"), session.begin_nested():
        session.execute(alone)


def compared(session: Session, server: StripeServer, now: datetime) -> dict[str, tuple[int, int, int, int]]:
    """Of each place: what is there, what the ledger has, what the lists explain, and what nothing explains, in dollar cents."""
    read(session, server, now)
    for feed in (
        StripeMovements(KEY, api_base=server.url),
        StripeFinancialMovements(KEY, FINANCIAL_ACCOUNT, api_base=server.url),
    ):
        balances.keep(session, feed.name, feed.holds(), now=now)
    return {
        each.provider: (each.there_minor, each.ledger_minor, each.lists_minor, each.unexplained.amount_minor)
        for each in held.latest(session)
    }


def test_what_stripe_holds_is_compared_with_the_ledger_every_time_it_is_read(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], server: StripeServer, bruna: Payout,
    engine_of_payouts: Engine, clock: world.Clock,
) -> None:  # fmt: skip
    """Also while a payment is on its way; and money that no list tells of stands out."""
    server.world.swift = False
    server.world.top_up(400_000)
    global_payouts.arrive(server.world, 150_000)
    assert compared(session, server, clock()) == {
        "stripe": (400_000, 0, 400_000, 0), "stripe_financial": (150_000, 0, 150_000, 0),
    }  # fmt: skip
    for kind in ("topup", "received_credit"):
        movements.book(session, listed(session, kind).id, actor=people.finance, now=clock())
    assert compared(session, server, clock())["stripe"] == (400_000, 400_000, 0, 0)
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    engine_of_payouts.drive(bruna.id)
    assert compared(session, server, clock())["stripe_financial"] == (150_000, 150_000, 0, 0), "on its way"
    world.fund(session, Money(1_00, "USD"), now=clock(), cash=world.STRIPE)
    assert compared(session, server, clock())["stripe"] == (400_000, 400_100, -100, 0), "the ledger alone says it"
    server.world.move("adjustment", -7, "usd", source=None)
    told = StripeMovements(KEY, api_base=server.url).holds()
    balances.keep(session, "stripe", told, now=clock() + timedelta(days=1))
    (row,) = [each for each in held.latest(session) if each.provider == "stripe"]
    assert (row.unexplained, row.on) == (Money(-7, "USD"), (clock() + timedelta(days=1)).date())
    assert session.query(ProviderBalance).filter_by(provider="stripe").count() == 2, "a row per day"
