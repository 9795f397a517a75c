"""What keeps money from a wrong account: a second pair of eyes, the time to notice, a payee who says no, and a hold."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from core.config import settings
from core.errors import InvalidInput, NotFound
from core.identity import memberships, organisations
from core.identity.models import OrganisationRole, Role
from payouts import queries
from payouts.models import Destination, Notice, Payout, PayoutStatus, Recipient, RecipientKind
from payouts.rails.base import Rail
from payouts.rails.fake_server import FakeRailServer
from payouts.services import holds, notices, payees, recipients, runs
from payouts.services.engine import Engine
from payouts.tasks import mail_notice
from tests.fakes import mail_server
from tests.fakes import payouts_world as world
from tests.in_transaction import RunInTransaction

pytestmark = pytest.mark.usefixtures("funded")


@pytest.fixture
def nora(session: Session, people: world.Cast, clock: world.Clock) -> Recipient:
    """Signs in herself: Olga's account, under her name at the bank."""
    return recipients.add_recipient(
        session, name="Nora", kind=RecipientKind.PERSON, country="DE", email="nora@example.org", actor=None, now=clock(),
        person_id=people.officer.id,
    )  # fmt: skip


@pytest.fixture
def place(session: Session, people: world.Cast, nora: Recipient, rails: Mapping[str, Rail], clock: world.Clock) -> Destination:
    """Entered by Nora herself, and seen by nobody else."""
    return entered(session, nora, rails["fake"], people, clock)


def entered(
    session: Session, who: Recipient, rail: Rail, people: world.Cast, clock: world.Clock, account: str = "acct_nora"
) -> Destination:
    made = recipients.set_destination(
        session, who.id, rail=rail, currency="USD", details={"account": account}, actor=people.officer, now=clock()
    )
    session.expire_all()
    return made


def prepare(session: Session, people: world.Cast, rails: Mapping[str, Rail], clock: world.Clock) -> list[Payout]:
    run, _ = runs.prepare(session, currency="USD", due_by=clock().date(), preparer=people.finance, rails=rails, now=clock())
    return run.payouts


def test_a_first_destination_waits_for_a_second_pair_of_eyes(
    session: Session, people: world.Cast, nora: Recipient, place: Destination, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    owed = world.owed(session, nora, 100, by=people.finance, now=clock())
    assert place.usable_from == clock(), "there was none before that it could be mistaken for"
    with pytest.raises(runs.NothingToPay, match="A second person has not compared the payment details of Nora"):
        prepare(session, people, rails, clock)
    assert queries.to_look_at(session) == [place]
    holds.look(session, place.id, note="Called her", actor=people.approver, now=clock())
    assert queries.to_look_at(session) == []
    assert prepare(session, people, rails, clock) == [owed]


def test_who_entered_it_or_is_paid_there_is_no_second_pair_of_eyes(
    session: Session, people: world.Cast, nora: Recipient, place: Destination, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    with pytest.raises(holds.SameEyes, match="You entered"):
        holds.look(session, place.id, note="It is mine", actor=people.officer, now=clock())
    nora.person_id = people.approver.id
    session.flush()
    with pytest.raises(holds.SameEyes, match="goes to you"):
        holds.look(session, place.id, note="It is mine", actor=people.approver, now=clock())
    with pytest.raises(InvalidInput, match="how you compared"):
        holds.look(session, place.id, note=" ", actor=people.second, now=clock())
    first = holds.look(session, place.id, note="Called her", actor=people.second, now=clock())
    assert holds.look(session, place.id, note="Me too", actor=people.finance, now=clock()) is first


def test_the_database_wants_two_people_and_keeps_what_was_compared(
    session: Session, people: world.Cast, place: Destination, clock: world.Clock
) -> None:
    insert = "INSERT INTO destination_look SELECT gen_random_uuid(), id, {by}, created_by_id, created_at, 'x' FROM destination"
    with pytest.raises(IntegrityError, match="ck_destination_look_four_eyes"), session.begin_nested():
        session.execute(text(insert.format(by="created_by_id")))
    with pytest.raises(IntegrityError, match="fk_destination_look_destination"), session.begin_nested():
        session.execute(text(insert.format(by=f"'{people.finance.id}'")))
    holds.look(session, place.id, note="Called her", actor=people.approver, now=clock())
    with pytest.raises(DBAPIError, match="append-only"), session.begin_nested():
        session.execute(text("DELETE FROM destination_look"))


@pytest.mark.parametrize("guarded", [True, False])
def test_the_engine_pays_no_place_that_nobody_compared(
    session: Session,
    people: world.Cast,
    ada: Recipient,
    rails: Mapping[str, Rail],
    engine_of_payouts: Engine,
    server: FakeRailServer,
    clock: world.Clock,
    guarded: bool,
) -> None:
    """Even if it got into an approved run. The control: with its look the same payout is paid."""
    owed = world.owed(session, ada, 100, by=people.officer, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    if guarded:
        session.execute(text("ALTER TABLE destination_look DISABLE TRIGGER USER"))
        session.execute(text("DELETE FROM destination_look"))
    session.commit()
    session.expire_all()
    said = engine_of_payouts.drive(owed.id).reason
    session.expire_all()
    assert ("has not compared" in said, owed.status) == (guarded, PayoutStatus.APPROVED if guarded else PayoutStatus.PAID)


def test_a_payee_who_did_not_change_anything_stops_it_at_once(
    session: Session,
    people: world.Cast,
    nora: Recipient,
    place: Destination,
    rails: Mapping[str, Rail],
    engine_of_payouts: Engine,
    clock: world.Clock,
) -> None:
    holds.look(session, place.id, note="Called her", actor=people.approver, now=clock())
    on_its_way = world.owed(session, nora, 100, by=people.finance, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    thief = entered(session, nora, rails["plain"], people, clock, "acct_thief")
    (notice,) = queries.notices(session, nora.id)
    assert (notice.destination_id, notice.address) == (thief.id, "nora@example.org")

    notices.answer(session, notice.id, denied=True, payee=people.officer, now=clock())
    session.commit()
    assert (thief.retired_at, notice.denied) == (clock(), True)
    assert nora.held_reason is not None
    with pytest.raises(NotFound):
        notices.answer(session, notice.id, denied=False, payee=people.officer, now=clock())
    assert "Nothing is paid to Nora for now" in engine_of_payouts.drive(on_its_way.id).reason
    world.owed(session, nora, 200, by=people.finance, now=clock())
    with pytest.raises(runs.NothingToPay, match="did not change its payment details"):
        prepare(session, people, rails, clock)

    with pytest.raises(holds.SameEyes):
        holds.lift(session, nora.id, reason="It was me", actor=people.officer, now=clock())
    with pytest.raises(InvalidInput):
        holds.lift(session, nora.id, reason="", actor=people.approver, now=clock())
    holds.lift(session, nora.id, reason="Password changed, old account kept", actor=people.approver, now=clock())
    session.commit()
    engine_of_payouts.drive(on_its_way.id)
    session.expire_all()
    assert on_its_way.status is PayoutStatus.PAID


def test_a_payee_who_knows_of_the_change_changes_nothing(
    session: Session, people: world.Cast, nora: Recipient, place: Destination, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    more = entered(session, nora, rails["plain"], people, clock)
    (notice,) = queries.notices(session, nora.id)
    notices.answer(session, notice.id, denied=False, payee=people.officer, now=clock())
    assert (more.retired_at, nora.held_reason, notice.answered_by_id) == (None, None, people.officer.id)


def test_what_was_confirmed_can_still_be_denied(
    session: Session, people: world.Cast, nora: Recipient, place: Destination, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    theirs = entered(session, nora, rails["plain"], people, clock, "acct_thief")
    (notice,) = queries.notices(session, nora.id)
    notices.answer(session, notice.id, denied=False, payee=people.officer, now=clock())
    assert payees.asked([notice], now=clock()) == [notice], "whoever changed it may have confirmed it"
    assert payees.asked([notice], now=theirs.usable_from) == []
    notices.answer(session, notice.id, denied=True, payee=people.officer, now=clock())
    assert (theirs.retired_at, notice.denied, payees.asked([notice], now=clock())) == (clock(), True, [])
    assert nora.held_reason is not None


def test_an_owner_of_the_organisation_that_is_paid_is_no_second_pair_of_eyes(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    foundation = organisations.create(session, name="Foundation", roles=[OrganisationRole.FOUNDATION], actor=None, now=clock())
    memberships.give(session, people.approver, Role.OWNER, memberships.Scope(organisation=foundation), actor=None, now=clock())
    paid = recipients.add_recipient(
        session, name="Foundation", kind=RecipientKind.ORGANISATION, country="DE", email=None, actor=None, now=clock(),
        organisation_id=foundation.id,
    )  # fmt: skip
    place = entered(session, paid, rails["fake"], people, clock)
    with pytest.raises(holds.SameEyes, match="goes to you"):
        holds.look(session, place.id, note="It is ours", actor=people.approver, now=clock())
    holds.look(session, place.id, note="Called them", actor=people.second, now=clock())

    world.owed(session, paid, 100, by=people.officer, now=clock())
    run, _ = runs.prepare(session, currency="USD", due_by=clock().date(), preparer=people.finance, rails=rails, now=clock())
    with pytest.raises(runs.SelfApproval, match="an organisation of yours"):
        runs.approve(session, run.id, approver=people.approver, seen_hash=run.content_hash, now=clock())

    holds.hold(session, paid, reason="A call", actor=people.finance, now=clock())
    with pytest.raises(holds.SameEyes, match="about you"):
        holds.lift(session, paid.id, reason="All is well", actor=people.approver, now=clock())


def test_a_mailer_takes_each_notice_once(
    session: Session, people: world.Cast, nora: Recipient, place: Destination, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    entered(session, nora, rails["plain"], people, clock)
    assert len(notices.export(session, take=False, now=clock())) == 1
    (taken,) = notices.export(session, take=True, now=clock())
    assert (taken.address, taken.exported_at) == ("nora@example.org", clock())
    assert "acct_nora" not in taken.message
    assert notices.export(session, take=True, now=clock()) == []


def test_without_an_address_who_signs_in_is_still_asked(
    session: Session, people: world.Cast, nora: Recipient, place: Destination, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    session.execute(update(Recipient).values(email=None))
    session.expire_all()
    entered(session, nora, rails["plain"], people, clock)
    assert [each.address for each in queries.notices(session, nora.id)] == [""]
    assert notices.export(session, take=True, now=clock()) == []


def test_an_answer_says_when_and_by_whom(session: Session, nora: Recipient, clock: world.Clock) -> None:
    session.add(Notice(recipient=nora, address="a", message="m", created_at=clock(), denied=True))
    with pytest.raises(IntegrityError, match="ck_payout_notice_denied"):
        session.flush()


def test_a_payee_sees_its_own_and_nobody_elses(
    session: Session, people: world.Cast, nora: Recipient, ada: Recipient, clock: world.Clock
) -> None:
    on = clock().date()
    assert payees.recipients_of(session, people.officer, on=on) == [nora]
    assert payees.own(session, nora.id, people.officer, on=on) is nora
    for who in (people.finance, people.approver):
        with pytest.raises(NotFound):
            payees.own(session, nora.id, who, on=on)
    with pytest.raises(NotFound):
        payees.own(session, ada.id, people.officer, on=on)


def test_where_a_destination_stands_in_the_payees_words(
    session: Session, people: world.Cast, nora: Recipient, place: Destination, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    def state(of: Destination, problem: str | None = None) -> str:
        return payees.standing(of, problem, now=clock()).state

    assert state(place) == "is compared"
    holds.look(session, place.id, note="Called her", actor=people.approver, now=clock())
    assert state(place) == "ready"
    assert state(place, "Stripe wants a passport.") == "not ready"
    later = entered(session, nora, rails["plain"], people, clock)
    assert state(later) == "cools off"
    clock.go(timedelta(hours=72))
    assert state(later) == "is compared"


def test_the_address_known_before_is_mailed_once_whatever_the_payee_answered(
    session: Session, people: world.Cast, nora: Recipient, place: Destination, rails: Mapping[str, Rail], clock: world.Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with mail_server.running() as server:
        monkeypatch.setenv("PLEDGEWORKS_MAIL_URL", f"smtp://127.0.0.1:{server.port}")
        monkeypatch.setenv("PLEDGEWORKS_MAIL_FROM", "payouts@example.com")
        settings.cache_clear()
        entered(session, nora, rails["plain"], people, clock)
        (notice,) = queries.notices(session, nora.id)
        notices.answer(session, notice.id, denied=False, payee=people.officer, now=clock())
        for _ in range(2):
            mail_notice(notices.MailNotice(notice.id), RunInTransaction(session))
    settings.cache_clear()
    assert [each["To"] for each in server.letters] == ["nora@example.org"]
    assert "acct_nora" not in server.letters[0].get_content()
    assert notices.export(session, take=True, now=clock()) == []
