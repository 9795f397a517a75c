"""One line that pays many: a batch, an invoice for many payments, several pay-ins at once."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from web_client import Client

from core import ledger
from core.books import bookings, months, proposals, reconciliation, several
from core.books.meeting import DoesNotMeet, InClosedMonth, LineTaken
from core.books.models import BankLine, BankLinePart, Match, Proposal
from core.books.proposals import OwnProposal
from core.clock import utc_now
from core.db import new_id
from core.errors import InvalidInput
from core.identity.models import Person, Role
from core.ledger import Guard, Leg
from pledge.models import InstalmentStatus, PledgeInstalment
from pledge.services.instalments import SelfConfirmation
from tests.fakes.bank_statements import Ntry

BANK, FEES = "assets:bank:usd", "expenses:fees:bank:usd"
Make = Callable[..., PledgeInstalment]
Read = Callable[..., Sequence[BankLine]]


@pytest.fixture
def paid(session: Session, now: datetime) -> Callable[..., ledger.Entry]:
    """Payments as GitHub Sponsors' are posted: each out of the bank, one by one."""
    ledger.ensure_account(session, BANK, "USD", normal=ledger.Side.DEBIT, guard=Guard.DEBIT)
    ledger.ensure_account(session, "equity:test", "USD", normal=ledger.Side.DEBIT)
    ledger.post(session, key="cash", kind="test", legs=[Leg(debit=BANK, credit="equity:test", amount=9_000_00)], at=now)

    def make(cents: int, key: str, *, at: datetime = now, memo: str = "GitHub Sponsors") -> ledger.Entry:
        leg = Leg(debit="equity:test", credit=BANK, amount=cents)
        return ledger.post(session, key=key, kind="test", legs=[leg], at=at, memo=memo)

    return make


def keys(*entries: ledger.Entry) -> list[str]:
    return [f"entry:{each.id}" for each in entries]


def posted(session: Session, code: str) -> int:
    return sum(each.posted for each in ledger.balances(session, code))


def test_an_invoice_for_many_payments_meets_them_and_its_fee_is_booked(
    session: Session, paid: Callable[..., ledger.Entry], read: Read, finance: Person, second: Person, now: datetime
) -> None:
    ada, grace, other = paid(100_00, "ada"), paid(200_00, "grace"), paid(300_00, "other")
    (line,) = read(Ntry("309.00", "GITHUB INVOICE 4711", sign="DBIT"))
    known = {each.key for each in several.candidates(session, line)}
    assert known == set(keys(ada, grace, other))
    proposal = several.propose(session, line.id, keys(ada, grace), note="Invoice 4711", actor=finance, now=now)
    assert (line.match, posted(session, FEES)) == (None, 0)
    with pytest.raises(OwnProposal):
        proposals.confirm(session, proposal.id, actor=finance, now=now)
    proposals.confirm(session, proposal.id, actor=second, now=now)
    assert (line.match, line.entry_id, len(line.parts), posted(session, FEES)) == (Match.SEVERAL, None, 3, 9_00)
    left = [(each.subject_id, each.money.amount_minor) for each in reconciliation.differences(session)]
    assert left == [(each, cents) for each, cents in left if cents in {9_000_00, -300_00}], "only the cash and the third payment"
    with pytest.raises(LineTaken, match="Something was posted"):
        bookings.unlink(session, line.id, reason="It was others.", actor=finance, now=now)


def test_a_sum_without_a_fee_posts_nothing_and_can_be_taken_back(
    session: Session, paid: Callable[..., ledger.Entry], read: Read, finance: Person, second: Person, now: datetime
) -> None:
    one, two = paid(100_00, "1"), paid(200_00, "2")
    line, twin = read(Ntry("300.00", "batch", sign="DBIT"), Ntry("100.00", "1", sign="DBIT"))
    proposal = several.propose(session, line.id, keys(one, two), note="Batch 7", actor=finance, now=now)
    proposals.confirm(session, proposal.id, actor=second, now=now)
    with pytest.raises(DoesNotMeet):
        bookings.link(session, twin.id, one.id, actor=finance, now=now)
    bookings.unlink(session, line.id, reason="It was another batch.", actor=finance, now=now)
    assert (line.match, session.query(BankLinePart).count()) == (None, 0)
    bookings.link(session, twin.id, one.id, actor=finance, now=now)
    again = several.propose
    with pytest.raises(DoesNotMeet, match="1 of what was chosen met another line"):
        again(session, line.id, keys(one, two), note="Batch 7", actor=finance, now=now)


def test_what_does_not_come_to_the_line_is_refused(
    session: Session, paid: Callable[..., ledger.Entry], read: Read, finance: Person, second: Person, now: datetime
) -> None:
    one, two = paid(100_00, "1"), paid(200_00, "2")
    (line, single) = read(Ntry("299.99", "batch", sign="DBIT"), Ntry("100.00", "one", sign="DBIT"))

    def propose(line: BankLine, chosen: Sequence[str], note: str = "n") -> Proposal:
        return several.propose(session, line.id, chosen, note=note, actor=finance, now=now)

    with pytest.raises(DoesNotMeet, match=r"They come to 300\.00 USD, more than the 299\.99 USD"):
        propose(line, keys(one, two))
    with pytest.raises(InvalidInput, match="Choose what the line is the sum of"):
        propose(line, [])
    with pytest.raises(InvalidInput, match="number of the invoice"):
        propose(line, keys(one), note=" ")
    with pytest.raises(DoesNotMeet, match="confirm it, or link it"):
        propose(single, keys(one))
    with pytest.raises(DoesNotMeet):
        propose(line, [f"entry:{new_id()}"])
    waits = propose(line, keys(one))
    bookings.link(session, single.id, one.id, actor=finance, now=now)
    with pytest.raises(DoesNotMeet, match="Decline the booking"):
        proposals.confirm(session, waits.id, actor=second, now=now)


def test_one_transfer_for_two_pay_ins_settles_both_and_the_bank_kept_its_fee(
    session: Session, said: Make, read: Read, finance: Person, second: Person, editor: Person,
    give_role: Callable[[Person, Role], None], now: datetime,
) -> None:  # fmt: skip
    one, two = said("1000"), said("2000")
    (line,) = read(Ntry("2985.00", f"{one.reference} {two.reference}"))
    chosen = [f"pledge:{row.id}" for row in (one, two)]
    proposal = several.propose(session, line.id, chosen, note="The text names both.", actor=finance, now=now)
    give_role(editor, Role.FINANCE)
    with pytest.raises(SelfConfirmation), session.begin_nested():
        proposals.confirm(session, proposal.id, actor=editor, now=now)
    proposals.confirm(session, proposal.id, actor=second, now=now)
    assert {one.status, two.status} == {InstalmentStatus.SETTLED}
    assert (posted(session, BANK), posted(session, FEES)) == (2_985_00, 15_00)
    assert reconciliation.differences(session) == []


def test_the_database_gives_an_entry_to_one_line_alone_or_as_a_part(
    session: Session, paid: Callable[..., ledger.Entry], read: Read, finance: Person, second: Person, now: datetime
) -> None:
    one, two = paid(100_00, "1"), paid(200_00, "2")
    line, twin, third = read(*[Ntry(f"{cents}.00", "batch", sign="DBIT") for cents in (301, 100, 200)])
    proposal = several.propose(session, line.id, keys(one, two), note="Batch 7", actor=finance, now=now)
    proposals.confirm(session, proposal.id, actor=second, now=now)
    met = {"match": Match.LINKED, "matched_by_id": finance.id, "matched_at": now}
    with pytest.raises(IntegrityError, match="is a part of another line"), session.begin_nested():
        session.execute(update(BankLine).where(BankLine.id == twin.id).values(entry_id=one.id, **met))
    with pytest.raises(IntegrityError, match="uq_bank_line_part"), session.begin_nested():
        session.execute(
            text("INSERT INTO bank_line_part VALUES (:line, :entry, 'USD', false)"), {"line": twin.id, "entry": one.id}
        )
    values = {**met, "match": Match.SEVERAL}
    with pytest.raises(IntegrityError, match="takes two people"), session.begin_nested():
        session.execute(update(BankLine).where(BankLine.id == third.id).values(values))
    none = {"match": None, "matched_by_id": None, "matched_at": None}
    for statement in (
        text("DELETE FROM bank_line_part"),
        text("UPDATE bank_line_part SET posted = false"),
        text("TRUNCATE bank_line_part"),
        update(BankLine).where(BankLine.id == line.id).values(none),
    ):
        with pytest.raises(IntegrityError, match=r"stays? with it"), session.begin_nested():
            session.execute(statement)


def test_what_a_month_was_closed_with_is_no_part_of_a_sum(
    session: Session, paid: Callable[..., ledger.Entry], read: Read, finance: Person, second: Person, now: datetime
) -> None:
    october = datetime(2026, 10, 30, tzinfo=now.tzinfo)
    one, two = paid(100_00, "1", at=october), paid(200_00, "2", at=october)
    (line,) = read(Ntry("300.00", "batch", sign="DBIT", day="2026-10-31"))
    proposal = several.propose(session, line.id, keys(one, two), note="Batch 7", actor=finance, now=now)
    proposals.confirm(session, proposal.id, actor=second, now=now)
    months.close(session, date(2026, 10, 1), actor=finance, now=now)
    with pytest.raises(InClosedMonth):
        bookings.unlink(session, line.id, reason="It was another batch.", actor=finance, now=now + timedelta(minutes=1))
    assert line.match is Match.SEVERAL


def test_a_person_chooses_on_the_page_and_another_reads_what_was_chosen(
    client: Client, session: Session, paid: Callable[..., ledger.Entry], read: Read, finance: Person, second: Person
) -> None:
    now = utc_now()
    ada, grace = (paid(cents, name, at=now, memo=f"GitHub {name}") for cents, name in ((100_00, "ada"), (200_00, "grace")))
    paid(300_00, "bank", at=now, memo="By bank file")
    (line,) = read(Ntry("309.00", "GITHUB INVOICE 4711", sign="DBIT"))
    client.sign_in(finance)
    (link,) = [each for each in client.get(f"/books/lines/{line.id}").all("a") if "several at once" in "".join(each.itertext())]
    page = client.get(link.get("href", ""))
    assert "By bank file" in page.words
    page = client.get(f"/books/lines/{line.id}/sum?containing=github")
    assert "By bank file" not in page.words
    assert "2 are listed, together $300.00. The line is $309.00: $9.00 more, which would be booked as a fee." in page.words
    assert client.get(f"/books/lines/{line.id}/sum?containing=nobody&from_on=nonsense").status == 200
    refused = client.submit(page, "Propose", note="")
    assert refused.status == 422
    assert client.submit(page, "Propose", note="Invoice 4711", are_all="y").location.endswith(str(line.id))
    page = client.get(f"/books/lines/{line.id}")
    assert "GitHub ada" in page.words
    assert "Fee, booked with it$9.00" in page.words
    assert session.query(Proposal).one().chosen == sorted(keys(ada, grace))
    client.sign_in(second, fresh_factor=True)
    assert "The sum of several: Invoice 4711" in client.get("/books").words
    page = client.submit(client.get(f"/books/lines/{line.id}"), "Confirm booking", follow=True)
    assert "It was met by several entries together" in page.words
    assert "GitHub grace" in page.words
    assert posted(session, FEES) == 9_00
