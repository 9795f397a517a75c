"""Documents on the database: noted by others, counted for one payee under all its names, and wanted before money is reserved."""

from collections.abc import Mapping
from datetime import date, timedelta

import pytest
from sqlalchemy import delete, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from web_client import Client

from core.clock import utc_now
from core.errors import InvalidInput
from core.identity.models import Membership, Role
from core.money import Money
from payouts.models import PayeeDocument, Payout, PayoutStatus, Recipient, Run
from payouts.rails.base import Rail
from payouts.services import documents, holds, previews, recipients, runs
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world

pytestmark = pytest.mark.usefixtures("funded")


@pytest.fixture
def bare(session: Session, people: world.Cast, bob: Recipient) -> Recipient:
    """Bob, paid on a rail that no rule exempts, without the document the others have."""
    session.execute(text("ALTER TABLE payee_document DISABLE TRIGGER USER"))
    session.execute(delete(PayeeDocument).where(PayeeDocument.recipient_id == bob.id))
    session.execute(text("ALTER TABLE payee_document ENABLE TRIGGER USER"))
    session.expire_all()
    return bob


def prepare(session: Session, people: world.Cast, rails: Mapping[str, Rail], clock: world.Clock) -> Run:
    run, _ = runs.prepare(session, currency="USD", due_by=clock().date(), preparer=people.finance, rails=rails, now=clock())
    return run


def note(
    session: Session, who: Recipient, people: world.Cast, clock: world.Clock, signed_on: date | None = None
) -> PayeeDocument:
    return documents.record(
        session, who.id, document="W-8BEN", signed_on=signed_on or clock().date(), kept_at="Folder 12", actor=people.finance,
        now=clock(),
    )  # fmt: skip


def test_a_payment_that_reaches_the_sum_waits_for_the_document(
    session: Session, people: world.Cast, bare: Recipient, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    owed = world.owed(session, bare, 200_000, by=people.officer, now=clock())
    with pytest.raises(runs.NothingToPay, match="on a valid W-8BEN is wanted; nothing is paid without it"):
        prepare(session, people, rails, clock)
    made = note(session, bare, people, clock)
    assert made.valid_until == date(2029, 11, 1)
    assert prepare(session, people, rails, clock).payouts == [owed]


def test_payments_of_one_run_count_together(
    session: Session, people: world.Cast, bare: Recipient, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    for _ in range(2):
        world.owed(session, bare, 100_000, by=people.officer, now=clock())
    run, unready = runs.prepare(
        session, currency="USD", due_by=clock().date(), preparer=people.finance, rails=rails, now=clock()
    )  # fmt: skip
    assert (len(run.payouts), len(unready)) == (1, 1)
    assert previews.preview(session, run.id, rails=rails, now=clock()).problems == []


@pytest.mark.parametrize("guarded", [True, False])
def test_the_engine_holds_what_reached_the_sum_meanwhile(
    session: Session,
    people: world.Cast,
    bare: Recipient,
    rails: Mapping[str, Rail],
    engine_of_payouts: Engine,
    clock: world.Clock,
    monkeypatch: pytest.MonkeyPatch,
    guarded: bool,
) -> None:
    """An approved run does not carry a payment past the rule; without the check (the control) it would."""
    if not guarded:
        monkeypatch.setattr(documents, "require", lambda *_, **__: None)
    sent = []
    for name in ("first", "second"):  # two runs, each of which is within the rule
        sent.append(world.owed(session, bare, 150_000, by=people.officer, now=clock(), obligation=name))
        run = world.sent_run(session, people, rails=rails, now=clock())
        assert previews.preview(session, run.id, rails=rails, now=clock()).problems == []
    session.commit()
    engine_of_payouts.drive(sent[0].id)
    said = engine_of_payouts.drive(sent[1].id).reason
    session.expire_all()
    assert sent[0].status is PayoutStatus.PAID
    assert ("W-8BEN is wanted" in said, sent[1].status) == (guarded, PayoutStatus.APPROVED if guarded else PayoutStatus.PAID)


def test_one_payee_under_two_names_counts_once(
    session: Session, people: world.Cast, bare: Recipient, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    bare.person_id = people.officer.id
    other = recipients.add_recipient(
        session, name="Bob & Co", kind=bare.kind, country="DE", email=None, actor=None, now=clock(), person_id=people.officer.id
    )
    session.flush()
    note(session, other, people, clock)
    assert [item.state.value for item in documents.checklist_of(session, bare, now=clock())] == ["valid"]
    world.owed(session, bare, 900_000, by=people.finance, now=clock())
    assert len(prepare(session, people, rails, clock).payouts) == 1


def test_a_document_is_noted_by_somebody_else_and_never_edited(
    session: Session, people: world.Cast, bare: Recipient, clock: world.Clock
) -> None:
    with pytest.raises(InvalidInput, match="No rule asks Bob"):
        documents.record(
            session, bare.id, document="W-9", signed_on=clock().date(), kept_at="x", actor=people.finance, now=clock()
        )
    with pytest.raises(InvalidInput, match="today or before"):
        note(session, bare, people, clock, clock().date() + timedelta(days=1))
    bare.person_id = people.finance.id
    session.flush()
    with pytest.raises(holds.SameEyes):
        note(session, bare, people, clock)
    bare.person_id = None
    session.flush()
    made = note(session, bare, people, clock)
    with pytest.raises(IntegrityError, match="never edited"), session.begin_nested():
        session.execute(text("UPDATE payee_document SET valid_until = '2099-01-01'"))
    documents.end(session, made.id, reason="Another Bob's", actor=people.finance, now=clock())
    assert [item.state.value for item in documents.checklist_of(session, bare, now=clock())] == ["not_yet"]


def test_an_old_form_counts_to_its_end_and_not_longer(
    session: Session, people: world.Cast, bare: Recipient, clock: world.Clock
) -> None:
    note(session, bare, people, clock, date(2023, 11, 3))
    assert [item.state.value for item in documents.checklist_of(session, bare, now=clock())] == ["expiring"]
    clock.go(timedelta(days=1))
    assert [item.state.value for item in documents.checklist_of(session, bare, now=clock())] == ["expired"]


def test_finance_notes_it_on_the_page_and_the_payee_sees_it(
    client: Client, session: Session, people: world.Cast, bare: Recipient, clock: world.Clock
) -> None:
    now = utc_now()
    session.add(Membership(person_id=people.finance.id, role=Role.FINANCE, from_on=now.date() - timedelta(days=1)))
    bare.person_id = people.officer.id
    session.flush()
    client.sign_in(people.finance)
    page = client.get(f"/payouts/recipients/{bare.id}")
    assert "Not needed yet" in page.words
    refused = client.submit(page, "Note document", signed_on="2026-11-01", kept_at="")
    assert refused.problems == ["Say where the document is kept."]
    page = client.submit(page, "Note document", signed_on="2026-11-01", kept_at="Folder 12", follow=True)
    assert "W-8BEN, signed 1 Nov 2026: kept at Folder 12" in page.words
    client.sign_in(people.officer)
    mine = client.get(f"/payouts/mine/{bare.id}")
    assert "good until 31 Oct 2029" in mine.words
    assert "Folder 12" not in mine.text
    client.sign_in(people.finance)
    page = client.submit(client.get(f"/payouts/recipients/{bare.id}"), "Count it no more", reason="A mistake", follow=True)
    assert "kept at Folder 12" not in page.words


def test_a_warning_stops_nothing_and_is_shown(
    session: Session, people: world.Cast, bare: Recipient, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    place = recipients.set_destination(
        session,
        bare.id,
        rail=rails["github_sponsors"],
        currency="USD",
        details={"login": "bob"},
        actor=people.finance,
        now=clock(),
    )
    world.compared(session, place, now=clock())
    session.expire_all()
    clock.go(timedelta(days=4))
    owed: Payout = world.owed(session, bare, 300_000, by=people.officer, now=clock())
    run = prepare(session, people, rails, clock)
    assert owed.rail == "github_sponsors", "the other rail is held back by the rule"
    seen = previews.preview(session, run.id, rails=rails, now=clock())
    assert (seen.problems, len(seen.warnings), seen.net) == ([], 1, Money(300_000, "USD"))
    assert "it can be paid all the same" in seen.warnings[0]
