"""The inbox of Stripe's notices: signed, kept once, handled once, whatever comes twice, late, forged or in disorder."""

import random
import time
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core.config import settings
from core.tasks import TaskRow, TaskStatus
from pledge import tasks
from pledge.models import PayIn, PayInMovement, PayInStatus, Pledge, PledgeInstalment, StripeEvent
from pledge.providers.stripe_signature import notice
from pledge.services import inbox
from pledge.services.pay_in_postings import Accounts
from pledge.services.pay_ins import LookAt
from tests.fakes.pay_ins import Till
from tests.fakes.stripe import Fault, checkout, refunds
from tests.fakes.stripe.webhooks import Delivery, delivery
from tests.integration.pledge.pay_in_fixtures import ROTATED
from tests.integration.pledge.test_pay_ins import agree

DOOR = "/api/v1/webhooks/stripe"


def post(client: Any, made: Delivery | None = None, *, body: bytes = b"", signature: str | None = None) -> Any:
    sent = made.signature if made and signature is None else signature
    return client.flask.post(
        DOOR,
        data=made.body if made else body,
        headers={"Stripe-Signature": sent} if sent is not None else {},
        content_type="application/json",
    )


def kept(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(StripeEvent)) or 0


# ------------------------------------------------------------------------------------------------ the door


def test_a_signed_notice_is_kept_with_its_task_and_taken_once(client: Any, wall: Till, running: PledgeInstalment) -> None:
    wall.choose(wall.open(running), "card")
    event = wall.world.events[-1]
    assert [post(client, delivery(event)).status_code for _ in range(3)] == [200, 200, 200]
    assert post(client, delivery(event, ROTATED)).status_code == 200
    assert kept(wall.session) == 1
    row = wall.session.get(StripeEvent, event["id"])
    assert row is not None
    assert (row.type, row.api_version, row.handled_at) == (event["type"], "2026-10-28.endive", None)
    waiting = select(func.count()).where(TaskRow.kind == inbox.HandleNotice.kind)
    assert wall.session.scalar(waiting) == 1


def test_what_is_not_signed_or_too_old_or_too_large_is_refused_and_nothing_kept(
    client: Any, wall: Till, running: PledgeInstalment
) -> None:
    wall.choose(wall.open(running), "card")
    event = wall.world.events[-1]
    good, stamp = delivery(event), int(time.time())
    refused = {
        "no header": post(client, good, signature=""),
        "forged": post(client, delivery(event, "whsec_of_somebody_else")),
        "another body": post(client, body=good.body + b" ", signature=good.signature),
        "old": post(client, delivery(event, at=stamp - 301)),
        "of the future": post(client, delivery(event, at=stamp + 400)),
        "not ascii": post(client, good, signature=f"t={stamp},v1=\xe9"),
        "not utf-8": post(client, body=b"\xff\xfe", signature=good.signature),
        "live": post(client, delivery(event | {"livemode": True})),
    }
    assert {name: answer.status_code for name, answer in refused.items()} == dict.fromkeys(refused, 400)
    assert all(answer.mimetype == "application/problem+json" for answer in refused.values())
    assert post(client, body=b"x" * 1_000_001, signature=good.signature).status_code == 413
    assert kept(wall.session) == 0


def test_without_secrets_there_is_no_door(client: Any, wall: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLEDGEWORKS_STRIPE_WEBHOOK_SECRETS")
    settings.cache_clear()
    answer = post(client, body=b"{}", signature="t=1,v1=a")
    assert (answer.status_code, answer.json["code"]) == (404, "notices_not_taken")


def test_the_database_keeps_notices_as_they_came(wall: Till, running: PledgeInstalment) -> None:
    wall.choose(wall.open(running), "card")
    wall.deliver(wall.world.events[-1])
    wall.session.commit()
    for statement in (
        "UPDATE stripe_event SET type = 'x'",
        "UPDATE stripe_event SET outcome = 'something else'",
        "DELETE FROM stripe_event",
    ):
        with pytest.raises(DBAPIError, match="notices are kept as they came"), wall.session.begin_nested():
            wall.session.execute(text(statement))


# ------------------------------------------------------------------------------------------------ what becomes of them


def test_a_storm_of_notices_doubled_and_shuffled_books_everything_once(
    session: Session, till: Till, pledge: Pledge, codes: Accounts
) -> None:
    rng = random.Random(7)
    rows: list[PayIn] = []
    for number in range(6):
        row = till.open(till.announce(pledge, str(1000 + number)))
        payment = till.choose(row, ("card", "us_bank_account", "customer_balance")[number % 3])
        if number % 3:
            checkout.arrive(till.world, payment)
        rows.append(row)
    storm = [event for event in till.world.events for _ in range(3)]
    rng.shuffle(storm)
    for event in storm:
        till.deliver(event)
    assert kept(session) == len(till.world.events)
    assert all(row.status is PayInStatus.PAID or row.method == "customer_balance" for row in rows)
    assert session.scalars(select(StripeEvent).where(StripeEvent.handled_at.is_(None))).all() == []
    till.clock.pass_(days=5)
    for row in rows:
        till.run(LookAt(row.id))
    assert {row.status for row in rows} == {PayInStatus.SETTLED}
    assert session.scalar(select(func.count()).select_from(PayInMovement)) == 6
    agree(till, codes)


def test_a_notice_is_not_believed(session: Session, till: Till, instalment: PledgeInstalment) -> None:
    row = till.open(instalment)
    payment = till.choose(row, "us_bank_account")
    lie = till.world.events[-1] | {"type": "payment_intent.succeeded"}
    lie["data"] = {"object": till.world.objects[payment] | {"status": "succeeded", "amount_received": 5_000_00}}
    till.deliver(lie)
    assert (row.status, row.movements) == (PayInStatus.PROCESSING, [])


@pytest.mark.parametrize("kind", ["checkout.session", "payment_intent", "charge"])
def test_any_object_leads_to_its_pay_in_even_if_it_was_never_heard_of(
    till: Till, instalment: PledgeInstalment, kind: str
) -> None:
    row = till.open(instalment)
    till.choose(row, "card")
    till.deliver(next(each for each in till.world.events if each["data"]["object"]["object"] == kind))
    assert row.status is PayInStatus.PAID


def test_notices_about_nothing_of_ours_are_set_aside(session: Session, till: Till) -> None:
    customer = till.provider.create_customer(name="Somebody", metadata={}, key="k1")
    events = [
        till.world.notify("balance.available", {"object": "balance"}),
        till.world.notify("customer.created", till.world.objects[customer]),
        till.world.notify("charge.succeeded", {"object": "charge", "id": "ch_of_nobody"}),
    ]
    for event in events:
        till.deliver(event)
    outcomes = session.scalars(select(StripeEvent.outcome)).all()
    assert set(outcomes) == {inbox.NOT_OURS}


def test_an_answer_that_does_not_come_leaves_the_notice_waiting(
    session: Session, till: Till, instalment: PledgeInstalment
) -> None:
    row = till.open(instalment)
    till.choose(row, "card")
    till.server.faults = [Fault("500_before", times=1, on="GET /v1/checkout/sessions")]
    event = till.world.events[-1]
    with pytest.raises(Exception, match="No clear answer"):
        till.deliver(event)
    waiting = session.get(StripeEvent, event["id"])
    assert waiting is not None
    assert waiting.handled_at is None
    till.run(inbox.HandleNotice(event["id"]))
    assert (row.status, waiting.outcome) == (PayInStatus.PAID, f"looked at pay-in {row.id}")


def test_the_hourly_look_finds_what_was_never_delivered(
    session: Session, till: Till, instalment: PledgeInstalment, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = till.open(instalment)
    till.choose(row, "card")
    monkeypatch.setattr(tasks, "session_scope", till.sessions)
    for _ in range(2):
        tasks.look_around(till.clock())
    assert kept(session) == len(till.world.events)
    assert all(session.scalars(select(StripeEvent.polled)))
    waiting = session.scalars(select(TaskRow).where(TaskRow.kind.in_([LookAt.kind, inbox.HandleNotice.kind]))).all()
    looks = [each for each in waiting if each.kind == LookAt.kind and each.run_at <= till.clock()]
    assert [each.arguments for each in looks] == [{"pay_in_id": str(row.id)}]
    assert len(waiting) - len(looks) == len(till.world.events) + 1, "and one look when the page ends"


def test_a_notice_whose_task_gave_up_gets_another_within_the_hour(
    session: Session, till: Till, instalment: PledgeInstalment, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = till.paid(instalment)
    refunds.dispute(till.world, row.payment_id or "")
    event = till.world.events[-1]
    inbox.take_in(session, notice(event), polled=False, now=till.clock())
    session.execute(update(TaskRow).where(TaskRow.kind == inbox.HandleNotice.kind).values(status=TaskStatus.PARKED))
    till.clock.pass_(hours=2)
    monkeypatch.setattr(tasks, "session_scope", till.sessions)
    tasks.look_around(till.clock())
    again = select(TaskRow).where(TaskRow.kind == inbox.HandleNotice.kind, TaskRow.status == TaskStatus.READY)
    assert event["id"] in {each.arguments["event_id"] for each in session.scalars(again)}
    till.run(inbox.HandleNotice(event["id"]))
    assert row.status is PayInStatus.DISPUTED
