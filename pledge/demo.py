"""The demo's pledges: the public reports of the Open Source Pledge, and one made-up company with a living dashboard."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib.resources import files as package_files
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import new_id
from core.identity.models import Membership, Organisation, Person, Role
from core.money import Money
from pledge.member_file import read_rows
from pledge.models import InKindKind, MemberOrigin, MembershipStatus, PaymentChannel, Pledge, PledgeMember, PledgeRule
from pledge.services import files, instalments, membership, payments, periods, reports
from pledge.services.payments import PaymentInput

FIGURES_ON = date(2026, 8, 15)
"""The day the public figures were read."""
SOURCE = "https://github.com/opensourcepledge/opensourcepledge.com"
COMPANY, SITE = "Example Robotics GmbH", "https://example.com/robotics"


def load(session: Session, *, now: datetime, people: Mapping[str, Person]) -> PledgeMember:
    """Load the public reports and the made-up company; loading again changes nothing. Returns the made-up company.

    `people` are those of core.identity.demo: `company` keeps the pledge, `officer` accepts it, `finance` confirms pay-ins.
    """
    load_public_reports(session, now=now)
    known = session.scalars(select(PledgeMember).where(PledgeMember.member_id == "example-robotics")).first()
    return known or _made_up_company(session, now=now, people=people)


def load_public_reports(session: Session, *, now: datetime) -> None:
    """Every report of the Open Source Pledge until FIGURES_ON, marked as demo data."""
    table = package_files("pledge") / "data" / "open_source_pledge_reports.csv"
    rows = read_rows(table.read_bytes(), name=table.name)
    files.import_all(session, rows, now=now, is_demo=True, figures_on=FIGURES_ON)


def _made_up_company(session: Session, *, now: datetime, people: Mapping[str, Person]) -> PledgeMember:
    """Two published years, and a third that is nearly met: one instalment settled, one waiting for finance."""
    clara, officer, finance = people["company"], people["officer"], people["finance"]
    year = now.year
    joined = date(year - 1, 1, 10)
    member = _join(session, joined_on=joined, editor=clara, now=now)
    membership.check(
        session, member, reason="Its announcement names year, developers and payees.", actor=officer, now=_at(joined, now)
    )
    for past, developers, paid, declared, published in (
        (year - 2, "31.5", 64_000, None, date(year - 1, 1, 20)),
        (year - 1, "38", 79_500, 80_000, date(year, 1, 15)),
    ):
        moment = _at(published, now)
        pledge = _open(session, member, past, developers, clara, moment)
        _pay(
            session, pledge, "libexample", paid - 20_000, date(past, 3, 15), clara, moment, channel=PaymentChannel.GITHUB_SPONSORS
        )
        _pay(
            session, pledge, "Example Foundation for Open Robotics", 20_000, date(past, 9, 30), clara, moment,
            channel=PaymentChannel.FOUNDATION, rule=PledgeRule.FOUNDATION,
        )  # fmt: skip
        reports.publish(
            session,
            pledge,
            url=f"{SITE}/open-source-{past}",
            declared=Money(declared * 100, "USD") if declared else None,
            report_on=moment.date(),
            actor=clara,
            now=moment,
        )
    _this_year(session, member, now=now, clara=clara, finance=finance)
    membership.run_clock(session, on=now.date(), now=now)
    return member


def _this_year(session: Session, member: PledgeMember, *, now: datetime, clara: Person, finance: Person) -> None:
    """42 developers need $84,000: payments of every kind, a correction, help in kind, two instalments."""
    year = now.year
    first = date(year, 1, 1)
    elapsed = (now.date() - first).days
    days = [first + timedelta(days=elapsed * part // 10) for part in range(10)]
    pledge = _open(session, member, year, "42", clara, _at(days[0], now))

    def pay(payee: str, amount: int, part: int, **other: Any) -> UUID:
        return _pay(session, pledge, payee, amount, days[part], clara, _at(days[part], now), **other)

    pay("libexample", 12_000, 1, channel=PaymentChannel.GITHUB_SPONSORS)
    pay("J. Doe", 6_000, 2, project="example-motion", channel=PaymentChannel.GITHUB_SPONSORS, rule=PledgeRule.MAINTAINER)
    pay(
        "Example Foundation for Open Robotics", 15_000, 3,
        project="Its general fund", channel=PaymentChannel.FOUNDATION, rule=PledgeRule.FOUNDATION,
    )  # fmt: skip
    pay("thanks.dev", 7_200, 4, project="143 dependencies, to three levels", channel=PaymentChannel.THANKS_DEV)
    pay(
        "Sample Numerics Collective", 9_500, 5,
        currency="EUR", rate=Decimal("1.0842"), rate_source=f"ECB reference rate, {days[5]}",
        project="sample-numerics", channel=PaymentChannel.OPEN_COLLECTIVE,
    )  # fmt: skip
    pay(
        "Robotics Days e. V.", 8_000, 6, project="Conference", rule=PledgeRule.BENEFIT_IN_RETURN, reason="Booth and four tickets."
    )
    pay("Example Robotics Arm SDK", 5_000, 6, project="robotics-arm-sdk", rule=PledgeRule.OWN_PROJECT)
    slip = pay("libmotionplanning", 3_000, 7)
    payments.correct(
        session, pledge, slip,
        _payment("libmotionplanning", 2_500, days[7], project="libmotionplanning"),
        why="The bank kept nothing; the amount was a slip.", actor=clara, now=_at(days[8], now),
    )  # fmt: skip
    payments.record_in_kind(
        session, pledge, kind=InKindKind.TIME, description="240 hours of maintenance on libexample",
        value=Money(24_000_00, "USD"), actor=clara, now=_at(days[8], now),
    )  # fmt: skip
    payments.record_in_kind(
        session, pledge, kind=InKindKind.CREDITS, description="Cloud credits for the CI of sample-numerics",
        value=None, actor=clara, now=_at(days[8], now),
    )  # fmt: skip
    settled = _instalment(session, pledge, 18_000, sent_on=days[8], actor=clara, now=_at(days[8], now))
    instalments.confirm(
        session, settled, received_on=days[9], bank_reference="Statement 38, line 4", actor=finance, now=_at(days[9], now)
    )
    _instalment(session, pledge, 16_000, sent_on=days[9], actor=clara, now=now)
    instalments.announce(session, pledge, money=Money(5_000_00, "USD"), actor=clara, now=now)


def _join(session: Session, *, joined_on: date, editor: Person, now: datetime) -> PledgeMember:
    moment = _at(joined_on, now)
    organisation = Organisation(
        id=new_id(), slug="example-robotics", name=COMPANY, url=SITE, country="DE", is_demo=True, created_at=moment
    )
    session.add(organisation)
    session.flush()
    membership.add_company_role(session, organisation, on=joined_on)
    session.add(Membership(id=new_id(), person_id=editor.id, organisation_id=organisation.id, role=Role.OWNER, from_on=joined_on))
    member = membership.new_member(organisation, status=MembershipStatus.APPLIED, origin=MemberOrigin.HERE, now=moment)
    member.url = f"{SITE}/open-source"
    member.short_description = "Made up for the demo: robot arms for laboratories, built on open source."
    member.description = (
        "Example Robotics does not exist. It shows what a company's open-source office does here: enter a year, see what is "
        "missing to the cent, pay an instalment, publish.\n\nIts payees are made up too."
    )
    session.add(member)
    session.flush()
    return member


def _open(session: Session, member: PledgeMember, year: int, developers: str, actor: Person, now: datetime) -> Pledge:
    return periods.open_period(
        session,
        member,
        label=str(year),
        starts_on=date(year, 1, 1),
        ends_on=date(year, 12, 31),
        developers=Decimal(developers),
        actor=actor,
        now=now,
    )


def _pay(
    session: Session, pledge: Pledge, payee: str, amount: int, paid_on: date, actor: Person, now: datetime, **other: Any
) -> UUID:
    return payments.record(session, pledge, _payment(payee, amount, paid_on, **other), actor=actor, now=now).id


def _payment(payee: str, amount: int, paid_on: date, *, currency: str = "USD", **other: Any) -> PaymentInput:
    values: dict[str, Any] = {
        "payee": payee,
        "project": payee,
        "money": Money(amount * 100, currency),
        "paid_on": paid_on,
        "channel": PaymentChannel.DIRECT,
        "rule": PledgeRule.OPEN_SOURCE_PROJECT,
        "evidence_url": f"{SITE}/receipts/{paid_on}",
    }
    return PaymentInput(**(values | other))


def _instalment(session: Session, pledge: Pledge, amount: int, *, sent_on: date, actor: Person, now: datetime) -> UUID:
    row = instalments.announce(session, pledge, money=Money(amount * 100, "USD"), actor=actor, now=now)
    instalments.say_sent(session, row.id, sent_on=sent_on, evidence_url=f"{SITE}/bank/{sent_on}", actor=actor, now=now)
    return row.id


def _at(day: date, now: datetime) -> datetime:
    """The morning of a day, never after now."""
    return min(datetime.combine(day, time(9), UTC), now)
