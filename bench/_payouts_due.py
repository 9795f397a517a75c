"""What bench/payouts pays: people, recipients on the trial rail, grants with money of their own, and instalments with payouts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from core import ledger
from core.clock import utc_now
from core.db import new_id
from core.identity.models import Membership, Organisation, Person, Project, Role
from core.identity.passwords import hash_password
from core.ledger import Guard, Leg, NewEntry, Side
from grants.models import Grant, GrantStatus, Instalment, InstalmentStatus, Programme, ProgrammeKind, ProgrammeStatus, Schedule
from payouts.models import RecipientKind, RuleKind
from payouts.rails.fake import FakeRail
from payouts.services import controls, holds, recipients

PASSWORD = "a benchmark in a folder of its own"
RECIPIENTS = 1_000
CURRENCY = "USD"
BANK = "assets:bank:usd"
DUE = text(r"""
INSERT INTO payout (id, obligation, round, recipient_id, amount_minor, currency, fund_account, memo, due_on, status,
                    prepared_by_id, created_at, is_canary, attempts_allowed, holds, carried_minor, expected_at_most, is_demo)
SELECT gen_random_uuid(), 'grant-instalment:' || part.id, 1, award.recipient_id, part.amount_minor, part.currency,
       'liabilities:grant:' || award.id || '\:usd', 'Benchmark, ' || award.recipient_name || ', ' || part.name,
       CAST(:day AS date), 'draft', :officer, :now, FALSE, 0, 0, 0, FALSE, FALSE
FROM instalment AS part JOIN "grant" AS award ON award.id = part.grant_id
WHERE part.payout_id IS NULL
""")
"""The payouts as grants asks for them, all at once: an officer approves instalments one by one, which is not measured here."""
WITH_PAYOUT = text("""
UPDATE instalment AS part SET status = 'in_payout', payout_id = payout.id
FROM payout WHERE payout.obligation = 'grant-instalment:' || part.id AND part.payout_id IS NULL
""")


@dataclass(frozen=True)
class Cast:
    """Who acts, and what is paid from."""

    officer_id: UUID
    finance_id: UUID
    finance_email: str
    approver_ids: Sequence[UUID]
    programme_id: UUID
    project_id: UUID


def cast(engine: Engine) -> Cast:
    """People with their roles, a programme, and limits that a large foundation would set."""
    now = utc_now()
    with Session(engine) as session, session.begin():
        funder = Organisation(slug="bench", name="Benchmark", created_at=now)
        project = Project(slug="bench", name="Benchmark", created_at=now)
        people = [Person(email=f"{name}@example.org", name=name.title(), created_at=now, password_hash=hash_password(PASSWORD))
                  for name in ("officer", "finance", "first", "second")]  # fmt: skip
        session.add_all([funder, project, *people])
        session.flush()
        officer, finance, *approvers = people
        roles = [(finance, Role.FINANCE), *[(each, Role.PAYOUT_APPROVER) for each in approvers]]
        session.add_all([Membership(person_id=who.id, role=role, from_on=now.date() - timedelta(days=1)) for who, role in roles])
        programme = Programme(
            slug="bench", name="Benchmark", kind=next(iter(ProgrammeKind)), status=ProgrammeStatus.RUNNING,
            organisation_id=funder.id, summary="Measured", currency=CURRENCY, created_at=now,
        )  # fmt: skip
        session.add(programme)
        session.flush()
        for kind in (RuleKind.RUN_MAX, RuleKind.DAY_MAX):
            controls.set_rule(
                session, kind=kind, value=10**12, currency=CURRENCY, rail=None, valid_from=now, reason="Benchmark",
                actor=approvers[0], now=now,
            )  # fmt: skip
        ledger.ensure_account(session, BANK, CURRENCY, normal=Side.DEBIT, guard=Guard.DEBIT)
        return Cast(officer.id, finance.id, finance.email, [each.id for each in approvers], programme.id, project.id)


def make_due(engine: Engine, people: Cast, *, count: int, batch: int) -> None:
    """New recipients, each with a grant of as many instalments as it takes, all due today and with payouts."""
    many = min(RECIPIENTS, count)
    with Session(engine) as session, session.begin():
        for number in range(many):
            recipient_id = _recipient(session, people, f"Recipient {batch}-{number}")
            _grant(session, people, recipient_id, parts=len(range(number, count, many)), number=number)
        session.flush()
        now = utc_now()
        session.execute(DUE, {"day": now.date(), "officer": people.officer_id, "now": now})
        session.execute(WITH_PAYOUT)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM (ANALYZE)"))


def _recipient(session: Session, people: Cast, name: str) -> UUID:
    """On the trial rail, compared by a second person."""
    now = utc_now()
    officer, finance = session.get_one(Person, people.officer_id), session.get_one(Person, people.finance_id)
    made = recipients.add_recipient(
        session, name=name, kind=RecipientKind.PERSON, country="DE", email=None, actor=officer, now=now
    )  # fmt: skip
    details = {"account": f"acct_{name.replace(' ', '_')}"}
    found = recipients.set_destination(
        session, made.id, rail=FakeRail(lambda: None), currency=CURRENCY, details=details, actor=officer, now=now
    )  # fmt: skip
    holds.look(session, found.id, note="Benchmark", actor=finance, now=now)
    return made.id


def _grant(session: Session, people: Cast, recipient_id: UUID, *, parts: int, number: int) -> None:
    """Active and paid in, with released instalments of amounts that differ."""
    now = utc_now()
    amounts = [1_000 + number + 1_000 * part for part in range(parts)]
    award = Grant(
        id=new_id(), programme_id=people.programme_id, project_id=people.project_id, status=GrantStatus.ACTIVE,
        recipient_name=f"Recipient {number}", amount_minor=sum(amounts), currency=CURRENCY, awarded_on=now.date(), year=now.year,
        recipient_id=recipient_id, schedule=Schedule.MONTHLY, offered_at=now, accepted_at=now, active_at=now,
        source_url="https://example.org/bench", source_title="Benchmark",
    )  # fmt: skip
    session.add(award)
    session.add_all(
        [
            Instalment(
                id=new_id(), grant_id=award.id, number=part, name=f"Month {part}", amount_minor=amount, currency=CURRENCY,
                due_on=now.date(), status=InstalmentStatus.RELEASED,
            )
            for part, amount in enumerate(amounts, 1)
        ]
    )  # fmt: skip
    ledger.ensure_account(session, award.account, CURRENCY, normal=Side.CREDIT, guard=Guard.CREDIT)
    legs = [Leg(BANK, award.account, sum(amounts))]
    ledger.post_many(session, [NewEntry(f"bench:{award.id}", "pay-in", legs, now)])
