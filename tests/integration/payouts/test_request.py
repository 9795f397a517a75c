"""An obligation is written down once, whoever asks how often."""

from datetime import date, datetime
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from core.db import new_id
from core.errors import InvalidInput, NotFound
from core.identity.models import Person
from core.money import Money
from payouts import services
from payouts.models import Payout, PayoutStatus, Recipient


@pytest.fixture
def wish(ada: Recipient, officer: Person, now: datetime) -> dict[str, Any]:
    return {
        "obligation": "grant-instalment:1",
        "recipient_id": ada.id,
        "money": Money(2_500_000, "USD"),
        "fund_account": "liabilities:grant:1:usd",
        "memo": "Fellowship, first quarter",
        "prepared_by": officer,
        "due_on": date(2026, 11, 30),
        "now": now,
    }


def test_asking_twice_gives_the_same_payout(session: Session, wish: dict[str, Any]) -> None:
    first = services.request(session, **wish)
    assert first.status is PayoutStatus.DRAFT
    assert services.request(session, **wish) is first
    assert session.scalars(select(Payout)).all() == [first]


def test_the_same_reason_with_another_amount_is_refused(session: Session, wish: dict[str, Any]) -> None:
    services.request(session, **wish)
    with pytest.raises(services.NotSameRequest, match=r"already owed as 25,000\.00 USD"):
        services.request(session, **wish | {"money": Money(2_500_001, "USD")})


def test_after_a_cancellation_the_next_round_opens(session: Session, wish: dict[str, Any]) -> None:
    first = services.request(session, **wish)
    session.execute(update(Payout).values(status=PayoutStatus.CANCELLED))
    session.expire_all()
    second = services.request(session, **wish)
    assert (second.id != first.id, second.round) == (True, 2)


def test_nothing_and_nobody_are_refused(session: Session, wish: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="more than nothing"):
        services.request(session, **wish | {"money": Money(0, "USD")})
    with pytest.raises(NotFound, match="no such recipient"):
        services.request(session, **wish | {"recipient_id": new_id()})


def test_the_database_refuses_a_second_open_payout_too(session: Session, wish: dict[str, Any]) -> None:
    services.request(session, **wish)
    with pytest.raises(Exception, match="uq_payout_open_obligation"):
        session.execute(
            text(
                "INSERT INTO payout SELECT (jsonb_populate_record(payout, "
                "jsonb_build_object('id', gen_random_uuid(), 'round', 2))).* FROM payout"
            )
        )
