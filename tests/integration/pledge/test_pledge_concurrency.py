"""What two people do at the same moment."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from threading import Barrier

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from core import ledger
from core.clock import utc_now
from core.db import new_id
from core.errors import DomainError
from core.identity.models import Membership, Organisation, Person, Role
from core.money import Money
from pledge import queries
from pledge.models import InstalmentStatus, MemberOrigin, MembershipStatus
from pledge.services import instalments, membership, payments, periods

Rush = Callable[[Callable[[Session, int], object]], list[object]]


@pytest.fixture
def engine_of_its_own(fresh_database: str) -> Iterator[Engine]:
    engine = create_engine(fresh_database, pool_size=8)
    yield engine
    engine.dispose()


@pytest.fixture
def rush(engine_of_its_own: Engine) -> Rush:
    """Do the same thing in eight connections at once; the answers, refusals among them."""

    def at_once(deed: Callable[[Session, int], object]) -> list[object]:
        start = Barrier(8)

        def one(number: int) -> object:
            with Session(engine_of_its_own) as session:
                start.wait()
                try:
                    with session.begin():
                        return deed(session, number)
                except DomainError as refusal:
                    return refusal

        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(one, range(8)))

    return at_once


def test_a_pay_in_confirmed_eight_times_at_once_settles_once(engine_of_its_own: Engine, rush: Rush) -> None:
    now = utc_now()
    year = now.year
    with Session(engine_of_its_own, expire_on_commit=False) as session, session.begin():
        editor, *finance = [Person(id=new_id(), email=f"p{i}@example.org", name=f"P{i}", created_at=now) for i in range(9)]
        organisation = Organisation(id=new_id(), slug="acme", name="Acme", created_at=now)
        session.add_all([editor, *finance, organisation])
        session.flush()
        session.add(Membership(person_id=editor.id, organisation_id=organisation.id, role=Role.OWNER, from_on=date(2020, 1, 1)))
        session.add_all(Membership(person_id=p.id, role=Role.FINANCE, from_on=date(2020, 1, 1)) for p in finance)
        member = membership.new_member(organisation, status=MembershipStatus.CHECKED, origin=MemberOrigin.HERE, now=now)
        session.add(member)
        session.flush()
        pledge = periods.open_period(
            session, member, label=str(year), starts_on=date(year, 1, 1), ends_on=date(year, 12, 31),
            developers=Decimal(1), actor=editor, now=now,
        )  # fmt: skip
        row = instalments.announce(session, pledge, money=Money(2_000_00, "USD"), actor=editor, now=now)
        instalments.say_sent(session, row.id, sent_on=now.date(), evidence_url="https://b.example", actor=editor, now=now)

    def confirm(session: Session, number: int) -> InstalmentStatus:
        actor = session.get_one(Person, finance[number].id)
        return instalments.confirm(
            session, row.id, received_on=now.date(), bank_reference="Line 3", actor=actor, now=utc_now()
        ).status

    answers = rush(confirm)
    assert answers.count(InstalmentStatus.SETTLED) == 1
    assert sum(isinstance(answer, DomainError) for answer in answers) == 7
    with Session(engine_of_its_own) as session:
        assert ledger.balance(session, "liabilities:fund:open-pledge:usd").available == 2_000_00
        assert len(queries.payments_of(session, pledge)) == 1
        assert queries.year_figures(session, pledge).standing.met


def test_a_payment_corrected_eight_times_at_once_is_corrected_once(
    engine_of_its_own: Engine, rush: Rush, given: Callable[..., payments.PaymentInput]
) -> None:
    now = utc_now()
    year = now.year
    entered = given("2000", paid_on=date(year, 1, 1))
    with Session(engine_of_its_own, expire_on_commit=False) as session, session.begin():
        editor = Person(id=new_id(), email="e@example.org", name="E", created_at=now)
        organisation = Organisation(id=new_id(), slug="acme", name="Acme", created_at=now)
        session.add_all([editor, organisation])
        session.flush()
        session.add(Membership(person_id=editor.id, organisation_id=organisation.id, role=Role.OWNER, from_on=date(2020, 1, 1)))
        member = membership.new_member(organisation, status=MembershipStatus.CHECKED, origin=MemberOrigin.HERE, now=now)
        session.add(member)
        session.flush()
        pledge = periods.open_period(
            session, member, label=str(year), starts_on=date(year, 1, 1), ends_on=date(year, 12, 31),
            developers=Decimal(1), actor=editor, now=now,
        )  # fmt: skip
        old = payments.record(session, pledge, entered, actor=editor, now=now)

    def correct(session: Session, number: int) -> Money:
        actor = session.get_one(Person, editor.id)
        changed = given(str(1000 + number), paid_on=date(year, 1, 1))
        mine = queries.pledge_by_label(session, queries.member_by_slug(session, "acme"), str(year))
        return payments.correct(session, mine, old.id, changed, why="A slip.", actor=actor, now=utc_now()).money

    answers = rush(correct)
    winners = [answer for answer in answers if isinstance(answer, Money)]
    assert len(winners) == 1
    with Session(engine_of_its_own) as session:
        assert queries.year_figures(session, pledge).standing.paid == winners[0]
