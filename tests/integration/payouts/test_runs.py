"""Four eyes on exactly what is sent: preparing, approving, voiding, and the limits on the way."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import ledger
from core.errors import DomainError
from core.money import Money
from payouts import queries
from payouts.models import PayoutStatus, Recipient, RuleKind, Run, RunStatus
from payouts.policies import LimitReached, content_hash
from payouts.rails.base import Rail
from payouts.services import controls, notices, previews, recipients, runs, sending, withdrawals
from tests.fakes import payouts_world as world

pytestmark = pytest.mark.usefixtures("funded")


@pytest.fixture
def draft(
    session: Session, people: world.Cast, ada: Recipient, bob: Recipient, rails: Mapping[str, Rail], clock: world.Clock
) -> Run:
    """Three lines on two rails, prepared by finance."""
    for who, cents in ((ada, 100_000), (ada, 200_000), (bob, 300_000)):
        world.owed(session, who, cents, by=people.officer, now=clock())
    run, unready = runs.prepare(session, currency="USD", due_by=clock().date(), preparer=people.finance, rails=rails, now=clock())
    assert unready == []
    return run


def test_a_run_takes_what_is_due_and_ready_and_says_what_is_not(
    session: Session, people: world.Cast, ada: Recipient, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    nowhere = recipients.add_recipient(
        session, name="Nora", kind=ada.kind, country="US", email=None, actor=people.finance, now=clock()
    )
    ready = world.owed(session, ada, 100, by=people.officer, now=clock())
    world.owed(session, nowhere, 100, by=people.officer, now=clock())
    run, unready = runs.prepare(session, currency="USD", due_by=clock().date(), preparer=people.finance, rails=rails, now=clock())
    assert [line.id for line in run.payouts] == [ready.id]
    assert [each.reason for each in unready] == ["Nora has no destination for USD; add one under Payouts → Recipients."]
    with pytest.raises(runs.NothingToPay, match="Nora has no destination"):
        runs.prepare(session, currency="USD", due_by=clock().date(), preparer=people.finance, rails=rails, now=clock())


def test_the_preparer_cannot_approve(session: Session, people: world.Cast, draft: Run, clock: world.Clock) -> None:
    with pytest.raises(runs.SelfApproval, match="You prepared"):
        runs.approve(session, draft.id, approver=people.finance, seen_hash=draft.content_hash, now=clock())


def test_who_asked_for_a_payout_cannot_approve_it(session: Session, people: world.Cast, draft: Run, clock: world.Clock) -> None:
    with pytest.raises(runs.SelfApproval, match="You asked for the payout to"):
        runs.approve(session, draft.id, approver=people.officer, seen_hash=draft.content_hash, now=clock())


def test_the_database_refuses_self_approval_too(session: Session, people: world.Cast, draft: Run, clock: world.Clock) -> None:
    runs.approve(session, draft.id, approver=people.approver, seen_hash=draft.content_hash, now=clock())
    with pytest.raises(IntegrityError, match="ck_payout_run_approval_four_eyes"), session.begin_nested():
        session.execute(text("UPDATE payout_run_approval SET approver_id = prepared_by_id"))
    with pytest.raises(IntegrityError, match="fk_payout_run_approval_preparer"), session.begin_nested():
        session.execute(text("UPDATE payout_run_approval SET prepared_by_id = :id"), {"id": people.second.id})
    with pytest.raises(IntegrityError, match="frozen"), session.begin_nested():
        session.execute(text("UPDATE payout SET approved_by_id = prepared_by_id"))
    with pytest.raises(IntegrityError, match="ck_payout_four_eyes"), session.begin_nested():
        session.execute(text("UPDATE payout SET status = 'draft', approved_by_id = prepared_by_id"))


def test_an_approval_is_of_what_was_seen(session: Session, people: world.Cast, draft: Run, clock: world.Clock) -> None:
    seen = draft.content_hash
    runs.remove_line(session, draft.id, draft.payouts[0].id, actor=people.finance, now=clock())
    with pytest.raises(runs.ContentChanged):
        runs.approve(session, draft.id, approver=people.approver, seen_hash=seen, now=clock())
    approved = runs.approve(session, draft.id, approver=people.approver, seen_hash=draft.content_hash, now=clock())
    assert approved.status is RunStatus.APPROVED


def test_an_edit_voids_the_approval(session: Session, people: world.Cast, draft: Run, clock: world.Clock) -> None:
    runs.approve(session, draft.id, approver=people.approver, seen_hash=draft.content_hash, now=clock())
    runs.remove_line(session, draft.id, draft.payouts[0].id, actor=people.finance, now=clock())
    session.flush()
    assert (draft.status, len(draft.payouts), runs.current_approvals(draft)) == (RunStatus.DRAFT, 2, [])
    assert {line.status for line in draft.payouts} == {PayoutStatus.DRAFT}
    with pytest.raises(DomainError, match="can't become sending"):
        sending.send(session, draft.id, sender=people.finance, rails={}, now=clock())


def test_a_large_run_needs_two_approvers(session: Session, people: world.Cast, draft: Run, clock: world.Clock) -> None:
    set_rule(session, people, RuleKind.SECOND_APPROVER_FROM, 600_000, clock)
    first = runs.approve(session, draft.id, approver=people.approver, seen_hash=draft.content_hash, now=clock())
    assert first.status is RunStatus.DRAFT
    with pytest.raises(runs.AlreadyApproved):
        runs.approve(session, draft.id, approver=people.approver, seen_hash=draft.content_hash, now=clock())
    second = runs.approve(session, draft.id, approver=people.second, seen_hash=draft.content_hash, now=clock())
    assert second.status is RunStatus.APPROVED


def test_the_hash_names_the_lines_in_any_order_and_nothing_else(session: Session, draft: Run, ada: Recipient) -> None:
    before = content_hash(draft.payouts)
    assert content_hash(list(reversed(draft.payouts))) == before
    assert content_hash(draft.payouts[1:]) != before
    for change in ("amount_minor", "rail", "memo", "fund_account", "obligation"):
        line = draft.payouts[0]
        old = getattr(line, change)
        setattr(line, change, 1 if change == "amount_minor" else "x")
        assert content_hash(draft.payouts) != before, change
        setattr(line, change, old)
    assert content_hash(draft.payouts) == before
    ada.name = "Somebody else"
    assert content_hash(draft.payouts) != before


def set_rule(
    session: Session, people: world.Cast, kind: RuleKind, cents: int, clock: world.Clock, rail: str | None = None
) -> None:
    controls.set_rule(
        session, kind=kind, value=cents, currency=None if kind is RuleKind.COOL_OFF_HOURS else "USD", rail=rail,
        valid_from=clock(), reason="Test", actor=people.approver, now=clock(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "cents", "rail", "refused"),
    [
        (RuleKind.PAYOUT_MAX, 199_999, None, {200_000, 300_000}),
        (RuleKind.PAYOUT_MAX, 300_000, None, set()),
        (RuleKind.RECIPIENT_MONTH_MAX, 300_001, None, set()),
        (RuleKind.RECIPIENT_MONTH_MAX, 250_000, None, {200_000, 300_000}),
        (RuleKind.RUN_MAX, 599_999, None, {100_000, 200_000, 300_000}),
        (RuleKind.RUN_MAX, 600_000, None, set()),
        (RuleKind.DAY_MAX, 599_999, None, {300_000}),
        (RuleKind.DAY_MAX, 600_000, None, set()),
        (RuleKind.RAIL_DAY_MAX, 299_999, "fake", {200_000}),
        (RuleKind.RAIL_DAY_MAX, 300_000, "fake", set()),
    ],
)
def test_every_limit_is_checked_when_money_is_reserved(
    session: Session,
    people: world.Cast,
    draft: Run,
    rails: Mapping[str, Rail],
    clock: world.Clock,
    kind: RuleKind,
    cents: int,
    rail: str | None,
    refused: set[int],
) -> None:
    clock.go(timedelta(minutes=1))
    set_rule(session, people, kind, cents, clock, rail)
    found = previews.dry_run(session, draft.id, rails=rails, now=clock())
    said_no = [line for line in found if line.refusal]
    if kind in {RuleKind.PAYOUT_MAX, RuleKind.RUN_MAX}:
        assert {line.payout.amount_minor for line in said_no} == refused
    else:  # which of several lines finds no room depends on their order; that exactly one does not
        assert len(said_no) == len(refused)
    assert all("The limit for" in (line.refusal or "") for line in said_no)


@pytest.mark.parametrize("same_person", [True, False])
def test_the_limit_of_a_payee_counts_it_under_all_its_names(
    session: Session,
    people: world.Cast,
    ada: Recipient,
    bob: Recipient,
    rails: Mapping[str, Rail],
    clock: world.Clock,
    same_person: bool,
) -> None:
    """The control: two people have a limit each."""
    ada.person_id = people.officer.id
    bob.person_id = people.officer.id if same_person else people.second.id
    for who in (ada, bob):
        world.owed(session, who, 100_000, by=people.finance, now=clock())
    set_rule(session, people, RuleKind.RECIPIENT_MONTH_MAX, 199_999, clock)
    run, _ = runs.prepare(session, currency="USD", due_by=clock().date(), preparer=people.finance, rails=rails, now=clock())
    refused = [line for line in previews.dry_run(session, run.id, rails=rails, now=clock()) if line.refusal]
    assert len(refused) == (1 if same_person else 0)


def test_a_dry_run_leaves_no_trace(session: Session, draft: Run, rails: Mapping[str, Rail], clock: world.Clock) -> None:
    before = ledger.balance(session, world.FUND)
    found = previews.dry_run(session, draft.id, rails=rails, now=clock())
    assert [line.refusal for line in found] == [None, None, None]
    assert ledger.balance(session, world.FUND) == before
    assert all(line.attempts == [] and line.holds == 0 for line in queries.run(session, draft.id).payouts)


def test_the_preview_names_shortfalls_and_first_destinations(
    session: Session, people: world.Cast, draft: Run, bob: Recipient, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    seen = previews.preview(session, draft.id, rails=rails, now=clock())
    assert (seen.total, seen.problems, seen.content_hash) == (Money(600_000, "USD"), [], draft.content_hash)
    assert all(line.first_time and not line.changed for line in seen.lines)
    big = world.owed(session, bob, 20_000_000, by=people.officer, now=clock())
    second, _ = runs.prepare(session, currency="USD", due_by=clock().date(), preparer=people.finance, rails=rails, now=clock())
    short = previews.preview(session, second.id, rails=rails, now=clock())
    assert [line.payout.id for line in short.lines] == [big.id]
    lack = "lacks 100,000.00 USD"
    top_up = "for these lines; top it up first (docs/how-to/fund-the-rails.md)."
    assert short.problems == [f"{world.FUND} {lack}.", f"Our bank account {lack} {top_up}"]


def test_a_changed_destination_cools_off_and_somebody_is_to_be_told(
    session: Session, people: world.Cast, ada: Recipient, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    world.owed(session, ada, 100, by=people.officer, now=clock())
    changed = recipients.set_destination(
        session, ada.id, rail=rails["fake"], currency="USD", details={"account": "acct_new"}, actor=people.finance, now=clock()
    )
    assert changed.usable_from == clock() + timedelta(hours=72)
    world.compared(session, changed, now=clock())
    notice = queries.notices(session)[0]
    assert (notice.address, "acct" in notice.message) == ("ada@example.org", False)
    with pytest.raises(runs.NothingToPay, match="cool off until"):
        runs.prepare(session, currency="USD", due_by=clock().date(), preparer=people.finance, rails=rails, now=clock())
    notices.told(session, notice.id, actor=people.finance, now=clock())
    assert queries.notices(session) == []
    clock.go(timedelta(hours=72))
    run, _ = runs.prepare(session, currency="USD", due_by=clock().date(), preparer=people.finance, rails=rails, now=clock())
    assert [line.changed for line in previews.preview(session, run.id, rails=rails, now=clock()).lines] == [True]


def test_the_same_destination_again_changes_nothing(
    session: Session, people: world.Cast, ada: Recipient, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    before = recipients.current_destination(session, ada.id, "USD", "fake")
    same = recipients.set_destination(
        session, ada.id, rail=rails["fake"], currency="USD", details={"account": " acct_Ada "}, actor=people.finance, now=clock()
    )
    assert same is before


def test_a_destination_is_never_edited(session: Session, ada: Recipient) -> None:
    with pytest.raises(IntegrityError, match="never edited"):
        session.execute(text('UPDATE destination SET details = \'{"account": "acct_thief"}\''))


def test_a_run_given_up_frees_its_payouts(session: Session, people: world.Cast, draft: Run, clock: world.Clock) -> None:
    runs.approve(session, draft.id, approver=people.approver, seen_hash=draft.content_hash, now=clock())
    lines = list(draft.payouts)
    runs.cancel(session, draft.id, actor=people.finance, now=clock(), reason="Wrong month")
    session.flush()
    assert draft.status is RunStatus.CANCELLED
    assert {(line.status, line.run_id) for line in lines} == {(PayoutStatus.DRAFT, None)}


def test_cancelling_a_line_tells_and_leaves_the_run(session: Session, people: world.Cast, draft: Run, clock: world.Clock) -> None:
    runs.approve(session, draft.id, approver=people.approver, seen_hash=draft.content_hash, now=clock())
    line = draft.payouts[0]
    withdrawals.cancel(session, line.id, actor=people.finance, reason="Grant ended", now=clock())
    session.flush()
    session.expire_all()
    assert (line.status, line.run_id) == (PayoutStatus.CANCELLED, None)
    assert (draft.status, len(draft.payouts)) == (RunStatus.DRAFT, 2)


def test_no_currency_is_paid_without_a_limit(
    session: Session, people: world.Cast, ada: Recipient, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    yen = world.owed(session, ada, 100, by=people.officer, now=clock())
    yen_like = controls.Limits({})
    with pytest.raises(controls.NoLimitSet, match="No limit is set for payouts in USD"):
        controls.usages(session, yen, now=clock(), known=yen_like)


def test_a_run_that_is_not_what_was_prepared_is_never_approved(
    session: Session, people: world.Cast, draft: Run, clock: world.Clock
) -> None:
    prepared, draft.content_hash = draft.content_hash, "0" * 64
    for seen in (prepared, draft.content_hash):
        with pytest.raises(runs.ContentChanged, match="give it up and prepare it again"):
            runs.approve(session, draft.id, approver=people.approver, seen_hash=seen, now=clock())
    assert (draft.status, draft.content_hash) == (RunStatus.DRAFT, "0" * 64)


def test_a_run_above_the_limit_is_not_approved(session: Session, people: world.Cast, draft: Run, clock: world.Clock) -> None:
    clock.go(timedelta(minutes=1))
    set_rule(session, people, RuleKind.RUN_MAX, 599_999, clock)
    with pytest.raises(LimitReached, match=r"limit for one run is 5,999\.99 USD"):
        runs.approve(session, draft.id, approver=people.approver, seen_hash=draft.content_hash, now=clock())


def test_nobody_approves_money_to_an_account_they_entered(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], clock: world.Clock
) -> None:
    cem = world.recipient(session, "Cem", rail=rails["fake"], by=people.approver, now=clock())
    world.owed(session, cem, 100_000, by=people.officer, now=clock())
    run, _ = runs.prepare(session, currency="USD", due_by=clock().date(), preparer=people.finance, rails=rails, now=clock())
    with pytest.raises(runs.SelfApproval, match="You entered where the money of Cem"):
        runs.approve(session, run.id, approver=people.approver, seen_hash=run.content_hash, now=clock())
    approved = runs.approve(session, run.id, approver=people.second, seen_hash=run.content_hash, now=clock())
    assert approved.status is RunStatus.APPROVED


def test_nobody_approves_money_to_themselves(
    session: Session, people: world.Cast, draft: Run, bob: Recipient, clock: world.Clock
) -> None:
    bob.person_id = people.approver.id
    with pytest.raises(runs.SelfApproval, match="pays you"):
        runs.approve(session, draft.id, approver=people.approver, seen_hash=draft.content_hash, now=clock())
