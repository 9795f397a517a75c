"""Instalments paid through us: two people, evidence, and the ledger."""

from collections.abc import Callable
from datetime import date, datetime

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import ledger
from core.errors import IllegalTransition, InvalidInput, NotAllowed
from core.identity.models import Person, Role
from core.money import Money
from pledge import queries
from pledge.models import (
    NEXT_INSTALMENT,
    InstalmentStatus,
    PaymentChannel,
    Pledge,
    PledgeInstalment,
)
from pledge.policies.payments import Promised
from pledge.services import instalments, payments
from pledge.services.instalments import SelfConfirmation
from pledge.services.payments import EvidenceNeeded

FUND = "liabilities:fund:open-pledge:usd"


@pytest.fixture
def sent(session: Session, pledge: Pledge, editor: Person, now: datetime) -> PledgeInstalment:
    """$5,000 that the editor says was sent."""
    row = instalments.announce(session, pledge, money=Money.parse("5000", "USD"), actor=editor, now=now)
    return instalments.say_sent(
        session, row.id, sent_on=date(2026, 10, 30), evidence_url="https://bank.example/1", actor=editor, now=now
    )


def confirm(session: Session, row: PledgeInstalment, actor: Person, now: datetime) -> PledgeInstalment:
    return instalments.confirm(
        session, row.id, received_on=date(2026, 11, 1), bank_reference="Statement 44, line 3", actor=actor, now=now
    )


def test_confirming_settles_it_in_the_ledger_and_counts_it(
    session: Session, sent: PledgeInstalment, finance: Person, now: datetime
) -> None:
    confirm(session, sent, finance, now)
    assert sent.status is InstalmentStatus.SETTLED
    assert ledger.balance(session, "assets:bank:usd").posted == 5_000_00
    assert ledger.balance(session, FUND).available == 5_000_00
    (entry,) = ledger.entries_for(session, ref=("pledge_instalment", str(sent.id)))
    assert entry.kind == "pledge.pay_in"
    (payment,) = queries.payments_of(session, sent.pledge)
    assert (payment.channel, payment.eligible, payment.paid_on) == (PaymentChannel.PLEDGEWORKS, True, date(2026, 10, 30))
    assert queries.year_figures(session, sent.pledge).standing.paid == Money(5_000_00, "USD")


def test_who_says_it_was_sent_does_not_confirm_it(
    session: Session,
    sent: PledgeInstalment,
    editor: Person,
    give_role: Callable[[Person, Role], None],
    now: datetime,
) -> None:
    give_role(editor, Role.FINANCE)
    with pytest.raises(SelfConfirmation, match="somebody else in finance"):
        confirm(session, sent, editor, now)
    assert sent.status is InstalmentStatus.PROCESSING


def test_the_database_refuses_self_confirmation_too(session: Session, sent: PledgeInstalment) -> None:
    session.flush()
    with pytest.raises(IntegrityError, match="four_eyes"):
        session.execute(update(PledgeInstalment).values(confirmed_by_id=PledgeInstalment.entered_by_id))


def test_the_database_wants_somebody_behind_settled_money(session: Session, sent: PledgeInstalment) -> None:
    session.flush()
    with pytest.raises(IntegrityError, match="confirmed_by_somebody"):
        session.execute(update(PledgeInstalment).values(status="settled"))


def test_confirming_needs_finance(session: Session, sent: PledgeInstalment, officer: Person, now: datetime) -> None:
    with pytest.raises(NotAllowed, match="finance"):
        confirm(session, sent, officer, now)


def test_a_second_confirmation_is_refused_and_posts_nothing(
    session: Session, sent: PledgeInstalment, finance: Person, now: datetime
) -> None:
    confirm(session, sent, finance, now)
    with pytest.raises(IllegalTransition, match="is settled"):
        confirm(session, sent, finance, now)
    assert ledger.balance(session, FUND).available == 5_000_00


def test_nothing_is_sent_without_evidence_or_in_the_future(
    session: Session, pledge: Pledge, editor: Person, now: datetime
) -> None:
    row = instalments.announce(session, pledge, money=Money.parse("5000", "USD"), actor=editor, now=now)
    with pytest.raises(EvidenceNeeded):
        instalments.say_sent(session, row.id, sent_on=date(2026, 10, 30), actor=editor, now=now)
    with pytest.raises(Promised):
        instalments.say_sent(
            session, row.id, sent_on=date(2026, 12, 1), evidence_url="https://bank.example/1", actor=editor, now=now
        )
    assert row.status is InstalmentStatus.AWAITING_PAYMENT


def test_money_that_did_not_come_fails_with_a_reason_and_can_be_sent_again(
    session: Session, sent: PledgeInstalment, finance: Person, editor: Person, now: datetime
) -> None:
    with pytest.raises(InvalidInput, match="Say what is wrong"):
        instalments.fail(session, sent.id, reason="", actor=finance, now=now)
    instalments.fail(session, sent.id, reason="Not on the statement of 1 November.", actor=finance, now=now)
    assert sent.status is InstalmentStatus.FAILED
    instalments.try_again(session, sent.id, actor=editor, now=now)
    assert (sent.status, sent.evidence_url) == (InstalmentStatus.AWAITING_PAYMENT, None)


def test_an_instalment_s_payment_is_not_the_company_s_to_change(
    session: Session, sent: PledgeInstalment, finance: Person, editor: Person, now: datetime
) -> None:
    confirm(session, sent, finance, now)
    (payment,) = queries.payments_of(session, sent.pledge)
    with pytest.raises(InvalidInput, match="finance corrects it"):
        payments.strike_out(session, sent.pledge, payment.id, why="Oops.", actor=editor, now=now)


def test_only_money_that_came_is_settled_and_by_hand_only_what_finance_found() -> None:
    before = {s for s, following in NEXT_INSTALMENT.items() if InstalmentStatus.SETTLED in following}
    came = {InstalmentStatus.PAID, InstalmentStatus.DISPUTED, InstalmentStatus.LOST}
    assert before == came | {InstalmentStatus.REFUNDED_PART, InstalmentStatus.REFUNDED_FULL}
