"""The payout console, page by page: prepare, approve, send, follow; unknown outcomes, switches, recipients, bank files."""

import io
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from web_client import Client, Page

from core.clock import utc_now
from core.config import settings
from core.identity.models import Membership, Role
from core.money import Money
from payouts import rails as known_rails
from payouts.models import Alarm, AttemptState, Payout, PayoutRule, PayoutStatus, Recipient, Run
from payouts.rails.base import Rail
from payouts.rails.fake import address_file
from payouts.rails.fake_server import Behaviour, FakeRailServer, Fault
from payouts.services import controls, holds, runs
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world

PAGES = ["", "/runs", "/unknown", "/bank", "/recipients", "/rails", "/limits"]


@pytest.fixture
def now() -> datetime:
    """Pages read the wall clock."""
    return utc_now()


@pytest.fixture
def people(session: Session, now: datetime) -> world.Cast:
    cast = world.cast(session, now)
    roles = {cast.officer: Role.PROGRAMME_OFFICER, cast.finance: Role.FINANCE}
    for person, role in {**roles, cast.approver: Role.PAYOUT_APPROVER, cast.second: Role.PAYOUT_APPROVER}.items():
        session.add(Membership(person_id=person.id, role=role, from_on=now.date() - timedelta(days=1)))
    session.flush()
    return cast


@pytest.fixture
def rails(server: FakeRailServer) -> Mapping[str, Rail]:
    """Those of the installation, with the trial service running."""
    settings().data_folder.mkdir(parents=True, exist_ok=True)
    address_file(settings().data_folder).write_text(server.url)
    return known_rails.configured()


@pytest.fixture
def owe(session: Session, people: world.Cast, rails: Mapping[str, Rail], now: datetime) -> Callable[..., Payout]:
    world.fund(session, Money(10_000_000, "USD"), now=now)

    def make(name: str = "Ada", cents: int = 2_500_000, rail: str = "fake", details: Mapping[str, str] | None = None) -> Payout:
        who = world.recipient(session, name, rail=rails[rail], by=people.finance, now=now, details=details)
        return world.owed(session, who, cents, by=people.officer, now=now)

    return make


@pytest.fixture
def drive(session: Session, rails: Mapping[str, Rail]) -> Callable[[Payout], None]:
    engine = Engine(rails=rails, sessions=world.Sessions(session.connection()))

    def go(payout: Payout) -> None:
        session.commit()
        engine.drive(payout.id)
        session.expire_all()

    return go


def sent(session: Session, people: world.Cast, rails: Mapping[str, Rail], now: datetime) -> Run:
    return world.sent_run(session, people, rails=rails, now=now)


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_console_says_what_will_be_there(client: Client, people: world.Cast, path: str) -> None:
    client.sign_in(people.finance)
    assert client.get(f"/payouts{path}").status == 200


@pytest.mark.parametrize("path", PAGES)
def test_only_its_people_see_the_console(client: Client, people: world.Cast, path: str) -> None:
    client.sign_in(people.officer)
    assert client.get(f"/payouts{path}").status == 403
    client.sign_out()
    assert client.get(f"/payouts{path}").status == 303


def test_finance_prepares_a_second_person_approves_and_it_settles(
    client: Client, session: Session, people: world.Cast, owe: Callable[..., Payout], drive: Callable[[Payout], None]
) -> None:
    payout = owe()
    client.sign_in(people.finance, fresh_factor=True)
    page = client.get("/payouts")
    assert "$25,000.00" in page.words
    page = client.submit(page, "Prepare run", follow=True)
    assert page.h1.startswith("Run ")
    assert "another person approves it" in page.words
    assert "First payment here" in page.words
    assert not [button for button in page.all("button") if "Approve run" in "".join(button.itertext())]
    run = session.scalars(select(Run)).one()

    client.sign_in(people.approver, fresh_factor=True)
    page = client.get(f"/payouts/runs/{run.id}")
    page = client.submit(page, "Try without sending")
    assert "All 1 payouts could be reserved now" in page.words
    page = client.submit(page, "Approve run", follow=True)
    assert "It can be sent" in page.text
    page = client.submit(page, "Send run", follow=True)
    assert "It is on its way" in page.words
    assert "$0.00 of $25,000.00" in client.flask.get(f"/payouts/runs/{run.id}/progress").get_data(as_text=True)

    drive(payout)
    page = client.get(f"/payouts/runs/{run.id}")
    assert "Done" in page.words
    page = client.submit(page, "Compare with the rails")
    assert "Rail and ledger agree" in page.words
    address = address_file(settings().data_folder)
    url = address.read_text()
    address.unlink()
    page = client.submit(page, "Compare with the rails")
    assert (page.status, page.h1) == (200, run.name)
    assert "1 line could not be looked up" in page.words
    assert "could not be looked up: The trial payment service is not running" in page.words
    assert not session.scalars(select(Alarm)).all()
    address.write_text(url)
    page = client.get(f"/payouts/{payout.id}")
    assert "It is paid, and the ledger is settled" in page.words
    assert page.words.count("assets:bank:usd") == 2


def test_approving_wants_a_fresh_second_factor(
    client: Client, session: Session, people: world.Cast, owe: Callable[..., Payout], rails: Mapping[str, Rail], now: datetime
) -> None:
    owe()
    run, _ = runs.prepare(session, currency="USD", due_by=now.date(), preparer=people.finance, rails=rails, now=now)
    client.sign_in(people.approver)
    page = client.submit(client.get(f"/payouts/runs/{run.id}"), "Approve run")
    assert page.status == 403
    assert run.status == "draft"


def test_an_approval_of_changed_content_is_refused_on_the_same_page(
    client: Client, session: Session, people: world.Cast, owe: Callable[..., Payout], rails: Mapping[str, Rail], now: datetime
) -> None:
    first = owe()
    owe("Bob")
    run, _ = runs.prepare(session, currency="USD", due_by=now.date(), preparer=people.finance, rails=rails, now=now)
    client.sign_in(people.approver, fresh_factor=True)
    seen = client.get(f"/payouts/runs/{run.id}")
    runs.remove_line(session, run.id, first.id, actor=people.finance, now=now)
    session.commit()
    page = client.submit(seen, "Approve run")
    assert (page.status, page.problems) == (
        409,
        [f"Run {run.number} is not what you looked at any more; look again before you approve."],
    )


def test_finance_cannot_approve_by_address_either(
    client: Client, session: Session, people: world.Cast, owe: Callable[..., Payout], rails: Mapping[str, Rail], now: datetime
) -> None:
    owe()
    run, _ = runs.prepare(session, currency="USD", due_by=now.date(), preparer=people.finance, rails=rails, now=now)
    client.sign_in(people.finance, fresh_factor=True)
    assert client.post(f"/payouts/runs/{run.id}/approval", {"content_hash": run.content_hash}).status == 403


def test_nothing_due_is_said_beside_what_was_typed(client: Client, people: world.Cast) -> None:
    client.sign_in(people.finance)
    page = client.submit(client.get("/payouts"), "Prepare run", currency="EUR", due_by="2026-01-31")
    assert page.status == 409
    assert page.problems == ["No payout in EUR that is due by 2026-01-31 can be paid now."]
    assert page.one("input", id="due_by").get("value") == "2026-01-31"


def test_an_unknown_outcome_is_shown_and_handed_to_two_people(
    client: Client,
    session: Session,
    people: world.Cast,
    owe: Callable[..., Payout],
    rails: Mapping[str, Rail],
    drive: Callable[[Payout], None],
    server: FakeRailServer,
    now: datetime,
) -> None:
    payout = owe(rail="manual", details={"holder": "Ada", "bank": "Sparkasse", "account": "DE89370400440532013000"})
    sent(session, people, rails, now)
    drive(payout)
    assert payout.attempts[0].state is AttemptState.HUMAN
    client.sign_in(people.finance, fresh_factor=True)
    page = client.get("/payouts/unknown")
    assert "Pay it by hand, then bring the evidence" in page.words
    page = client.get(f"/payouts/{payout.id}")
    assert payout.attempts[0].idem_key in page.words
    assert "DE89370400440532013000" in page.words

    refused = client.submit(page, "Propose finding", outcome="accepted", remote_id="BANK-77", note="Statement line 4")
    assert refused.problems == ["Attach a file that shows it, such as the bank's confirmation."]
    proposed = propose(client, payout, outcome="accepted", remote_id="BANK-77", note="Statement line 4")
    assert proposed.status == 303
    page = client.get(f"/payouts/{payout.id}")
    assert "another person confirms it" in page.words
    finding = payout.attempts[0].resolutions[0]
    assert client.post(f"/payouts/findings/{finding.id}/confirmation").status == 409

    client.sign_in(people.approver, fresh_factor=True)
    evidence = client.get(f"/payouts/evidence/{finding.evidence_id}")
    assert (evidence.text, evidence.headers["Content-Disposition"]) == ("paid", 'attachment; filename="statement.txt"')
    page = client.submit(client.get(f"/payouts/{payout.id}"), "Confirm finding", follow=True)
    assert "BANK-77" in page.words
    assert payout.status is PayoutStatus.PAID

    # Weeks later the bank sends it back; two people again.
    assert propose(client, payout, outcome="returned", note="Returned: account closed").status == 303
    assert "Findings about returned money" in client.get("/payouts/unknown").words
    client.sign_in(people.finance, fresh_factor=True)
    page = client.submit(client.get(f"/payouts/{payout.id}"), "Confirm finding", follow=True)
    assert "The money is back in its fund" in page.words
    assert payout.status is PayoutStatus.RETURNED


def propose(client: Client, payout: Payout, **fields: str) -> Page:
    attempt_id = payout.attempts[0].id
    data = {**fields, "evidence": [(io.BytesIO(b"paid"), "statement.txt")]}
    return client.post(f"/payouts/attempts/{attempt_id}/finding", data, content_type="multipart/form-data")


def test_a_refused_payout_offers_its_three_ways_on(
    client: Client,
    session: Session,
    people: world.Cast,
    owe: Callable[..., Payout],
    rails: Mapping[str, Rail],
    drive: Callable[[Payout], None],
    now: datetime,
) -> None:
    payout = owe(details={"account": "closed_1"})
    sent(session, people, rails, now)
    drive(payout)
    client.sign_in(people.finance)
    assert "Attempts that failed for certain" in client.get("/payouts/unknown").words
    page = client.get(f"/payouts/{payout.id}")
    assert "The payee's account is closed" in page.words
    empty = client.submit(page, "Try again", reason=" ")
    assert empty.problems == ["Say why; the reason stays in the history."]
    page = client.submit(page, "Try again", reason="The bank says it is open again", follow=True)
    drive(payout)
    assert len(payout.attempts) == 2
    page = client.submit(client.get(f"/payouts/{payout.id}"), "Take back", reason="Other account", follow=True)
    assert payout.status is PayoutStatus.DRAFT
    page = client.submit(page, "Cancel payout", reason="Grant ended", follow=True)
    assert "It is not owed any more" in page.words


def test_the_kill_switch_wants_a_reason_and_an_approver_to_undo_it(
    client: Client, session: Session, people: world.Cast, rails: Mapping[str, Rail]
) -> None:
    client.sign_in(people.finance, fresh_factor=True)
    assert client.post("/payouts/rails/manual/stop", {"reason": ""}).problems
    client.post("/payouts/rails/manual/stop", {"reason": "Strange statement"})
    page = client.get("/payouts/rails")
    assert "Strange statement" in page.words
    assert "A rail is stopped" in client.get("/payouts").words
    assert client.post("/payouts/rails/manual/start", {"reason": "Explained"}).status == 403
    client.sign_in(people.approver, fresh_factor=True)
    assert client.post("/payouts/rails/manual/start", {"reason": "Explained"}).status == 303
    assert "A rail is stopped" not in client.get("/payouts").words


def test_an_alarm_stays_until_somebody_says_what_it_was(
    client: Client, session: Session, people: world.Cast, owe: Callable[..., Payout], now: datetime
) -> None:
    payout = owe()
    controls.raise_alarm(session, payout, "It may be paid twice.", now=now)
    client.sign_in(people.finance)
    assert "It may be paid twice. Stop its rail under Rails" in client.get(f"/payouts/{payout.id}").words
    assert "This must not happen" not in client.get(f"/payouts/{owe().id}").words
    page = client.get("/payouts")
    assert "This must not happen" in page.words
    page = client.submit(page, "Close alarm", reason="A test of ours", follow=True)
    assert "This must not happen" not in page.words
    assert session.scalars(select(Alarm)).one().closing_note == "A test of ours"


def test_a_limit_is_set_with_a_date_and_a_reason(client: Client, session: Session, people: world.Cast) -> None:
    client.sign_in(people.approver, fresh_factor=True)
    page = client.get("/payouts/limits")
    refused = client.submit(page, "Set limit", kind="payout_max", amount="", reason="Budget")
    assert refused.problems == ["Enter the number."]
    page = client.submit(page, "Set limit", kind="payout_max", amount="1000", currency="USD", reason="Budget", follow=True)
    assert "$1,000.00" in page.words
    page = client.submit(page, "Set limit", kind="cool_off_hours", hours="24", reason="Faster", follow=True)
    assert "24 h" in page.words
    assert session.scalars(select(PayoutRule).where(PayoutRule.reason == "Faster")).one().value == 24


def test_a_recipient_gets_a_destination_and_is_told_of_a_change(
    client: Client, session: Session, people: world.Cast, rails: Mapping[str, Rail]
) -> None:
    client.sign_in(people.finance, fresh_factor=True)
    page = client.submit(client.get("/payouts/recipients/new"), "Add recipient", name="Nora", country="d")
    assert page.problems == ["A country is two letters, such as DE or US (ISO 3166)."]
    page = client.submit(page, "Add recipient", name="Nora", country="de", email="nora@example.org", follow=True)
    nora = session.scalars(select(Recipient)).one()
    path = f"/payouts/recipients/{nora.id}/destinations/bank_file"
    page = client.submit(client.get(path), "Save destination", currency="EUR", iban="DE89370400440532013001")
    assert page.problems == ["This IBAN's check digits don't fit; one of its characters is mistyped."]
    page = client.submit(page, "Save destination", iban="DE89 3704 0044 0532 0130 00", follow=True)
    assert "IBAN DE …3000" in page.words
    client.submit(client.get(path), "Save destination", currency="EUR", iban="NL91ABNA0417164300", follow=True)
    page = client.get(f"/payouts/recipients/{nora.id}")
    assert "Cools off" in page.words
    assert "Tell nora@example.org" in page.words
    page = client.submit(page, "I told them", follow=True)
    assert "Tell nora@example.org" not in page.words
    assert "Nora" in client.get("/payouts/recipients?q=nor").words
    assert "Nobody by that name" in client.get("/payouts/recipients?q=zzz").words


def test_the_console_says_not_to_pay_a_payee_on_hold(
    client: Client,
    session: Session,
    people: world.Cast,
    owe: Callable[..., Payout],
    rails: Mapping[str, Rail],
    drive: Callable[[Payout], None],
    now: datetime,
) -> None:
    by_hand = owe(rail="manual", details={"holder": "Ada", "bank": "Sparkasse", "account": "DE89370400440532013000"})
    in_file = owe("Bea", rail="bank_file", details={"iban": "DE89370400440532013000"})
    sent(session, people, rails, now)
    for payout in (by_hand, in_file):
        drive(payout)
        holds.hold(session, payout.recipient, reason="Called: not her account.", actor=people.approver, now=now)
    client.sign_in(people.finance)
    assert "Don’t pay it. Nothing is paid to Ada for now: Called: not her account." in client.get("/payouts/unknown").words
    assert "Don’t pay it by hand." in client.get(f"/payouts/{by_hand.id}").words
    assert "No file takes it along." in client.get(f"/payouts/{in_file.id}").words
    page = client.get("/payouts/bank")
    assert "No payment waits." in page.words
    assert "Nothing is paid to Bea for now" in page.words


def test_a_bank_file_goes_out_and_the_answer_comes_in(
    client: Client,
    session: Session,
    people: world.Cast,
    owe: Callable[..., Payout],
    rails: Mapping[str, Rail],
    drive: Callable[[Payout], None],
    now: datetime,
) -> None:
    payout = owe("=Evil()", rail="bank_file", details={"iban": "DE89370400440532013000"})
    sent(session, people, rails, now)
    drive(payout)
    client.sign_in(people.finance)
    page = client.get("/payouts/bank")
    assert "$25,000.00 in 1 payment" in page.words
    page = client.submit(page, "Make bank file", follow=True)
    link = next(a.get("href") for a in page.all("a") if (a.get("href") or "").endswith(".csv"))
    assert link is not None
    first, again = client.get(link), client.get(link)
    assert first.text == again.text
    assert "'=Evil()" in first.text
    key = payout.attempts[0].idem_key
    head = "reference,status,bank_reference,amount,currency,booked_on,reason\n"
    wrong = answer(client, f"{head}{key},paid,B-1,25000.01,USD,2026-11-22,\n")
    assert wrong.problems == ["Line 2, amount: the bank says 25,000.01 USD, we sent 25,000.00 USD."]
    taken = answer(client, f"{head}{key},paid,B-1,25000.00,USD,2026-11-22,\nother,paid,X,1,USD,2026-11-22,\n")
    assert taken.status == 303
    assert "1 paid, 1 not ours" in client.get("/payouts/bank").words
    assert payout.status is PayoutStatus.PAID
    answer(client, f"{head}{key},paid,B-1,25000.00,USD,2026-11-22,\n")
    assert "1 known before" in client.get("/payouts/bank").words


def answer(client: Client, text: str) -> Page:
    upload = {"answers": [(io.BytesIO(text.encode()), "answer.csv")]}
    return client.post("/payouts/bank/answers", upload, content_type="multipart/form-data")


def test_filters_and_pages_of_many_payouts(
    client: Client, session: Session, people: world.Cast, rails: Mapping[str, Rail], now: datetime
) -> None:
    who = world.recipient(session, "Ada", rail=rails["fake"], by=people.finance, now=now)
    for number in range(55):
        world.owed(session, who, 100 + number, by=people.officer, now=now)
    client.sign_in(people.finance)
    page = client.get("/payouts")
    assert "More payouts" in page.words
    assert len(page.all("tr")) == 51
    page = client.get(next(a.get("href") or "" for a in page.all("a") if "cursor=" in (a.get("href") or "")))
    assert len(page.all("tr")) == 6
    assert "Nothing like that" in client.get("/payouts?status=paid").words
    assert "Nothing like that" in client.get(f"/payouts?due_by={date(2020, 1, 1)}").words


def test_a_line_is_taken_out_and_a_run_given_up(
    client: Client, session: Session, people: world.Cast, owe: Callable[..., Payout], rails: Mapping[str, Rail], now: datetime
) -> None:
    owe()
    owe("Bob")
    run, _ = runs.prepare(session, currency="USD", due_by=now.date(), preparer=people.finance, rails=rails, now=now)
    client.sign_in(people.finance)
    statement = client.get(f"/payouts/runs/{run.id}/statement.csv")
    assert statement.text.count("\n") == 3
    client.post(f"/payouts/runs/{run.id}/lines/{run.payouts[0].id}/removal")
    page = client.get(f"/payouts/runs/{run.id}")
    assert "1 payout" in page.words
    page = client.submit(page, "Give run up", reason="Wrong month", follow=True)
    assert "Cancelled" in page.words
    assert run.payouts == []


def test_what_waits_is_on_the_work_page(
    client: Client, session: Session, people: world.Cast, owe: Callable[..., Payout], rails: Mapping[str, Rail], now: datetime
) -> None:
    owe()
    client.sign_in(people.finance)
    assert "Payouts are due" in client.get("/work").words
    runs.prepare(session, currency="USD", due_by=now.date(), preparer=people.finance, rails=rails, now=now)
    client.sign_in(people.approver)
    assert "Payout runs to approve" in client.get("/work").words


def test_an_unknown_attempt_can_be_handed_to_people_when_nobody_answers_any_more(
    client: Client,
    session: Session,
    people: world.Cast,
    owe: Callable[..., Payout],
    rails: Mapping[str, Rail],
    drive: Callable[[Payout], None],
    server: FakeRailServer,
    now: datetime,
) -> None:
    server.misbehave(Behaviour([Fault("cut_before")]))
    payout = owe()
    sent(session, people, rails, now)
    drive(payout)
    client.sign_in(people.finance)
    page = client.get(f"/payouts/{payout.id}")
    assert "The rail gave no clear answer" in page.words
    early = client.submit(page, "Hand to people", reason="They went out of business")
    assert early.status == 409
    assert "The rail may still answer" in early.problems[0]
    payout.attempts[0].sent_at = now - timedelta(hours=1)
    session.commit()
    client.submit(page, "Hand to people", reason="They went out of business")
    assert payout.attempts[0].state is AttemptState.HUMAN


def test_a_first_payout_that_was_refused_is_named_where_the_others_wait(
    client: Client, session: Session, people: world.Cast, rails: Mapping[str, Rail], owe: Callable[..., Payout], now: datetime
) -> None:
    refused, waiting = owe("Closed", 1_000, details={"account": "closed_1"}), owe("Open", 2_000, details={"account": "acct_2"})
    run = world.sent_run(session, people, rails=rails, now=now)
    session.commit()
    Engine(rails=rails, sessions=world.Sessions(session.connection())).drive(refused.id)
    client.sign_in(people.finance)
    words = client.get(f"/payouts/runs/{run.id}").words
    assert "The rail said no: somebody decides" in words
    assert "Waits for the first payout on this rail, Closed" in words
    words = client.get(f"/payouts/{waiting.id}").words
    assert "It waits until the first payout of its run on this rail, to Closed, is accepted. The last attempt moved no" in words
