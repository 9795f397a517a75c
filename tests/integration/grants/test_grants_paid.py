"""An instalment is paid, comes back and is paid again: through payouts' own engine, on a rail that is a real HTTP server."""

from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

import grants.tasks
from core import ledger
from core.identity.models import Person
from core.money import Money
from core.tasks import TaskRow
from grants.models import Grant, GrantStatus, Instalment, InstalmentStatus, Round
from grants.services import grants as grant_services
from grants.services import instalments
from payouts.models import Payout, PayoutStatus
from payouts.policies import Rules
from payouts.rails.base import Rail
from payouts.rails.fake import FakeRail
from payouts.services import PayoutChanged, recipients, resolutions
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.rail_server import payments, serving
from tests.in_transaction import RunInTransaction
from tests.integration.grants import builders
from tests.integration.grants.builders import Funder, accepted, offer, usd


def deliver_news(session: Session) -> list[str]:
    """Hand every `payouts.changed` that waits to its handler, twice, as a worker that died after the first time would."""
    session.expire_all()
    rows = session.scalars(select(TaskRow).where(TaskRow.kind == PayoutChanged.kind).order_by(TaskRow.id)).all()
    for row in rows:
        news = PayoutChanged(UUID(row.arguments["payout_id"]), row.arguments["obligation"], row.arguments["status"])
        for _ in range(2):
            grants.tasks.follow_payout(news, RunInTransaction(session))
    session.expire_all()
    return [row.arguments["status"] for row in rows]


def pay(
    session: Session, grant: Grant, people: world.Cast, rails: dict[str, Rail], clock: world.Clock, officer: Person
) -> Payout:
    part = instalments.approve(session, grant.instalments[0].id, officer=officer, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    connection = session.connection()
    payout = session.get_one(Payout, part.payout_id)
    Engine(rails=rails, rules=Rules(), sessions=world.Sessions(connection), clock=clock).drive(payout.id)
    session.expire_all()
    return payout


def test_paid_returned_and_paid_again(
    session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime, tmp_path: Path
) -> None:
    people, clock = world.cast(session, now), world.Clock(now)
    terms = offer(usd(1_000))
    grant = accepted(session, builders.offered(session, open_round, funder, maintainer, now, terms), maintainer, now)
    assert grant.recipient_id is not None
    with serving(tmp_path / "rail.sqlite") as server:
        rails: dict[str, Rail] = {"fake": FakeRail(lambda: server.url, timeout=timedelta(seconds=5))}
        place = recipients.set_destination(
            session, grant.recipient_id, rail=rails["fake"], currency="USD", details={"account": "acct_mia"},
            actor=people.finance, now=now,
        )  # fmt: skip
        world.compared(session, place, now=now)
        first = pay(session, grant, people, rails, clock, funder.officer)
        assert first.status is PayoutStatus.PAID
        assert "paid" in deliver_news(session)
        part: Instalment = grant.instalments[0]
        assert (part.status, ledger.balance(session, grant.account).posted) == (InstalmentStatus.PAID, 0)
        grant.ends_on = now.date()
        assert grant_services.complete_finished(session, now=now) == [grant]

        resolutions.came_back(session, first, PayoutStatus.RETURNED, now=now)
        assert "returned" in deliver_news(session)
        assert part.status is InstalmentStatus.RETURNED
        assert ledger.balance(session, grant.account).available == 100_000
        instalments.reopen(session, part.id, officer=funder.officer, reason="New bank details", now=now)
        assert grant.status is GrantStatus.ACTIVE

        second = pay(session, grant, people, rails, clock, funder.officer)
        deliver_news(session)  # the old news lies before the new one
        assert (second.round, second.status, part.status) == (2, PayoutStatus.PAID, InstalmentStatus.PAID)
        assert [amount for _, amount in payments(server)] == [100_000, 100_000]
        assert ledger.balance(session, grant.account).posted == 0
        assert Money(ledger.balance(session, "assets:bank:usd").posted, "USD") == usd(0)
