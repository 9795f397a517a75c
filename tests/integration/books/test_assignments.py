"""Set-aside money that nobody may assign alone is assigned by two people, also by the two who set it aside."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from web_client import Client

from core.books import assignments, bookings, queries, second_looks, statements
from core.books.assignments import ProposedAlready
from core.books.bank_csv import Columns
from core.books.meeting import NotSetAside
from core.books.models import BankAccount, BankLine
from core.books.proposals import OwnProposal
from core.books.second_looks import SecondPersonNeeded
from core.errors import InvalidInput, NotAllowed, NotFound
from core.identity.models import Person
from core.money import Money
from pledge.models import InstalmentStatus, PledgeInstalment
from tests.fakes.bank_statements import Ntry

Halves = tuple[PledgeInstalment, str]


@pytest.fixture
def halves(
    session: Session, said: Callable[..., PledgeInstalment], read: Callable[..., Sequence[BankLine]], finance: Person,
    second: Person, now: datetime,
) -> Halves:  # fmt: skip
    """$1,000 that came in two parts, each set aside by another of the two people of finance that there are."""
    row = said("1000")
    for each, line in zip((finance, second), read(Ntry("500.00", "one"), Ntry("500.00", "two")), strict=True):
        bookings.set_aside(session, line.id, note="A part.", expected_key=f"pledge:{row.id}", actor=each, now=now)
    return row, queries.set_aside(session)[0].code


def test_two_who_each_set_a_half_aside_assign_it_together(
    session: Session, halves: Halves, finance: Person, second: Person, now: datetime
) -> None:
    row, code = halves
    for each in (finance, second):
        with pytest.raises(SecondPersonNeeded, match="or confirms it when you propose it"):
            bookings.assign(session, code, f"pledge:{row.id}", actor=each, now=now)
    made = assignments.propose(session, code, f"pledge:{row.id}", actor=finance, now=now)
    assert row.status is InstalmentStatus.PROCESSING, "nothing is posted before"
    with pytest.raises(OwnProposal):
        assignments.confirm(session, made.id, actor=finance, now=now)
    assignments.confirm(session, made.id, actor=second, now=now)
    assert (row.status, row.confirmed_by_id, queries.set_aside(session)) == (InstalmentStatus.SETTLED, second.id, [])
    for each in (finance, second):
        assert second_looks.booked_alone(session, each, "USD", now=now) == Money(0, "USD"), "nobody did it alone"
    with pytest.raises(NotFound):
        assignments.confirm(session, made.id, actor=second, now=now)


def test_a_proposal_that_is_turned_down_makes_room_for_another(
    session: Session, halves: Halves, finance: Person, second: Person, editor: Person, now: datetime
) -> None:
    row, code = halves
    made = assignments.propose(session, code, f"pledge:{row.id}", actor=finance, now=now)
    with pytest.raises(ProposedAlready, match="Fatima proposed money"):
        assignments.propose(session, code, f"pledge:{row.id}", actor=second, now=now)
    with pytest.raises(InvalidInput, match="Say why"):
        assignments.decline(session, made.id, reason=" ", actor=second, now=now)
    with pytest.raises(NotAllowed):
        assignments.decline(session, made.id, reason="No.", actor=editor, now=now)
    assignments.decline(session, made.id, reason="", actor=finance, now=now)
    assert assignments.waiting(session) == []
    assignments.propose(session, code, f"pledge:{row.id}", actor=second, now=now)
    assert (assignments.count_for(session, finance), assignments.count_for(session, second)) == (1, 0)


def test_what_is_gone_meanwhile_is_not_assigned(
    session: Session, said: Callable[..., PledgeInstalment], halves: Halves, finance: Person, second: Person, now: datetime
) -> None:
    row, code = halves
    other = said("550")
    made = assignments.propose(session, code, f"pledge:{row.id}", actor=finance, now=now)
    later = now + timedelta(minutes=1)
    bookings.assign(session, code, f"pledge:{other.id}", actor=second, now=later)
    with pytest.raises(NotSetAside, match=r"450\.00 USD are set aside there"):
        assignments.confirm(session, made.id, actor=second, now=later)
    assert (made.decided_at, row.status) == (None, InstalmentStatus.PROCESSING)


@pytest.mark.parametrize("by_file", [False, True])
def test_a_proposal_is_of_the_money_that_its_author_saw(
    session: Session, said: Callable[..., PledgeInstalment], read: Callable[..., Sequence[BankLine]], account: BankAccount,
    halves: Halves, finance: Person, second: Person, now: datetime, by_file: bool,
) -> None:  # fmt: skip
    """Fatima proposes; the money leaves; Farid puts his own in its place, and would confirm it with her old word."""
    row, code = halves
    made = assignments.propose(session, code, f"pledge:{row.id}", actor=finance, now=now)
    later = now + timedelta(minutes=1)
    bookings.give(session, code, queries.expected_by_key(session, f"pledge:{said('550').id}"), actor=second, now=later)
    if by_file:
        columns = Columns.checked({"booked_on": "Date", "amount": "Amount", "texts": "Text"})
        statements.map_columns(session, account.id, columns, actor=second, now=later)
        content = b"Date,Text,Amount\n2026-11-02,typed,550.00\n"
        (taken,) = statements.take(session, content, name="11.csv", account_id=account.id, actor=second, now=later)
        assert taken.statement is not None
        (line,) = queries.lines_of(session, taken.statement.id)
    else:
        (line,) = read(Ntry("550.00", "three"), name="2026-45")
    bookings.set_aside(session, line.id, note="A part.", expected_key=f"pledge:{row.id}", actor=second, now=later)
    with pytest.raises(SecondPersonNeeded, match="set aside after Fatima proposed it"):
        assignments.confirm(session, made.id, actor=second, now=later)
    assert (made.decided_at, row.status) == (None, InstalmentStatus.PROCESSING)
    assignments.decline(session, made.id, reason="Other money by now.", actor=second, now=later)
    anew = assignments.propose(session, code, f"pledge:{row.id}", actor=finance, now=later + timedelta(minutes=1))
    assignments.confirm(session, anew.id, actor=second, now=later + timedelta(minutes=2))
    assert row.status is InstalmentStatus.SETTLED


def test_the_database_wants_two_people(session: Session, halves: Halves, finance: Person, now: datetime) -> None:
    made = assignments.propose(session, halves[1], f"pledge:{halves[0].id}", actor=finance, now=now)
    made.decided_by_id, made.decided_at, made.confirmed = finance.id, now, True
    with pytest.raises(IntegrityError, match="two_people"):
        session.flush()


def test_the_page_says_why_and_who_and_leads_both_through_it(
    client: Client, session: Session, halves: Halves, finance: Person, second: Person
) -> None:
    row, _ = halves
    client.sign_in(finance, fresh_factor=True)
    page = client.get("/books/set-aside")
    assert "alone you assign $100.00 of it at most" in page.words
    page = client.submit(page, "Propose", follow=True)
    assert f"Waits for a second person: $1,000.00 for {row.reference}, proposed by Fatima" in page.words
    assert "Take the proposal back" in page.words
    client.sign_in(second, fresh_factor=True)
    assert "Assignments of set-aside money to confirm" in client.get("/work").words
    page = client.get("/books/set-aside")
    refused = client.submit(page, "Decline proposal", reason="")
    assert (refused.status, refused.problems) == (422, ["Say why, so that Fatima knows what to do with the money."])
    page = client.submit(page, "Confirm assignment", follow=True)
    assert "You confirmed it: $1,000.00 are assigned" in page.words
    session.refresh(row)
    assert (row.status, "Nothing is set aside" in page.words) == (InstalmentStatus.SETTLED, True)
