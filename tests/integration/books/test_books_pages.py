"""The pages of the books: empty, with lines of every kind, and refused."""

import io
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy.orm import Session
from web_client import Client, Page

from core.books import (
    assignments,
    bookings,
    explanations,
    feeds,
    months,
    outgoing,
    proposals,
    queries,
    reconciliation,
    statements,
    tasks,
)
from core.books.bank_csv import Columns
from core.books.feeds import Seen
from core.books.models import BankAccount, BankLine, ClosedMonth, OutsideMovement, Subject
from core.books.views import reconciliation as reconciliation_views
from core.books.views import statements as statement_views
from core.clock import utc_now
from core.db import new_id
from core.identity.models import Person
from core.money import Money
from core.web import db
from pledge.models import InstalmentStatus, PledgeInstalment
from pledge.services import instalments
from tests.fakes.bank_statements import Ntry, camt

PAGES = ["/books", "/books/accounts", "/books/set-aside", "/books/reconciliation", "/books/months"]
Make = Callable[..., PledgeInstalment]
Read = Callable[..., Sequence[BankLine]]


@pytest.fixture
def now() -> datetime:
    """Pages read the wall clock."""
    return utc_now()


def upload(client: Client, content: bytes, name: str = "2026-44.xml", **values: str) -> Page:
    return client.submit(client.get("/books"), "Read statement", file=(io.BytesIO(content), name), **values)


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_page_says_what_will_be_there(client: Client, finance: Person, path: str) -> None:
    client.sign_in(finance)
    assert client.get(path).status == 200


@pytest.mark.parametrize("path", PAGES)
def test_only_finance_sees_the_books(client: Client, editor: Person, path: str) -> None:
    client.sign_in(editor)
    assert client.get(path).status == 403


def test_a_statement_is_read_and_a_line_confirmed(
    client: Client, session: Session, account: BankAccount, said: Make, finance: Person
) -> None:
    row = said()
    client.sign_in(finance, fresh_factor=True)
    entries = [Ntry("5000.00", f"Pledge {row.reference}"), Ntry("3.00", "pending", status="PDNG")]
    assert upload(client, camt(entries)).location.endswith("/books")
    page = client.get("/books")
    assert "1 new line, 1 not booked yet and left out" in page.words
    assert f"Acme, {row.reference}. Confirm that it arrived." in page.words
    page = client.submit(page, "Confirm", follow=True)
    assert "Dealt with" in page.words
    session.refresh(row)
    assert row.status is InstalmentStatus.SETTLED
    assert upload(client, camt(entries)).status == 303
    assert "nothing new, 1 known before" in client.get("/books").text


def test_a_refused_file_says_why_beside_its_field(client: Client, account: BankAccount, finance: Person) -> None:
    client.sign_in(finance)
    page = upload(client, b"<!DOCTYPE x><x/>")
    assert (page.status, page.problems) == (422, ["The file has a document type (DOCTYPE), which no bank's statement has."])
    page = upload(client, b"Date,Amount\n")
    assert "choose the account" in page.problems[0]


def test_a_statement_that_may_be_there_is_asked_about(
    client: Client, session: Session, account: BankAccount, finance: Person
) -> None:
    """Two transfers of one day can be equal, and a statement issued again is equal too: a person tells which it is."""
    client.sign_in(finance)
    entries = [Ntry("5.00", "no reference"), Ntry("6.00", "has one", reference="B-1")]
    upload(client, camt(entries))
    page = upload(client, camt(entries, name="2026-44a"))
    assert page.status == 422
    assert "equals one of “2026-44”" in page.words
    assert len(queries.open_lines(session)) == 2
    assert upload(client, camt([Ntry("7.00", "another")], name="2026-45")).status == 303
    entries = [Ntry("5.00", "no reference")]
    again = io.BytesIO(camt(entries, name="2026-46")), "46.xml"
    page = client.submit(page, "Read statement", file=again, are_others="y")
    assert (page.status, len(queries.open_lines(session))) == (303, 4)


def test_every_kind_of_line_says_what_to_do(
    client: Client, session: Session, said: Make, announced: Make, read: Read, finance: Person, now: datetime
) -> None:
    exact, part, more, awaited, posted = said("1000"), said("2000"), said("3000"), announced("4000"), said("5000")
    instalments.confirm(session, posted.id, received_on=now.date(), bank_reference="by hand", actor=finance, now=now)
    lines = read(
        Ntry("1000.00", exact.reference), Ntry("1000.00", exact.reference), Ntry("1500.00", part.reference),
        Ntry("3500.00", more.reference), Ntry("4000.00", awaited.reference), Ntry("5000.00", posted.reference),
        Ntry("77.00", f"{part.reference} and {more.reference}"), Ntry("2000.00", "without"), Ntry("9.99", "a gift"),
        Ntry("12.50", "Monthly fee", sign="DBIT"),
    )  # fmt: skip
    client.sign_in(finance)
    said_there = client.get("/books").words
    for words in (
        "As expected", "Came twice", "Too little", "Too much", "Announced, not said to be sent", "In the ledger already",
        "Names several", "Same amount, no reference", "Unknown",
    ):  # fmt: skip
        assert words in said_there
    for line in lines:
        assert client.get(f"/books/lines/{line.id}").status == 200
    assert client.get(f"/books/statements/{lines[0].statement_id}").status == 200
    file = client.get(f"/books/statements/{lines[0].statement_id}/file")
    assert file.headers["Content-Disposition"].startswith("attachment")
    assert file.response.mimetype == "application/octet-stream"


def test_a_line_is_set_aside_and_assigned_on_its_pages(
    client: Client, session: Session, said: Make, read: Read, finance: Person, second: Person
) -> None:
    row = said()
    (line, fee) = read(Ntry("5500.00", row.reference), Ntry("500.00", "Back", sign="DBIT", who="Acme"))
    client.sign_in(finance)
    page = client.submit(client.get(f"/books/lines/{line.id}"), "Set aside", note="")
    assert page.problems == ["Say what is known and who is being asked."]
    page = client.submit(client.get(f"/books/lines/{line.id}"), "Set aside", note="Asked Acme.", follow=True)
    assert "It was set aside by Fatima" in page.words
    page = client.get("/books/set-aside")
    assert "$5,500.00" in page.words
    assert "alone you assign $100.00 of it at most. Somebody of finance who did neither assigns what is more." in page.words
    client.sign_in(second, fresh_factor=True)
    client.submit(client.get("/books/set-aside"), "Assign and confirm")
    session.refresh(row)
    assert row.status is InstalmentStatus.SETTLED
    assert "$500.00" in client.get("/books/set-aside").words
    page = client.submit(client.get(f"/books/lines/{fee.id}"), "Book as sent back", note="Acme asked for it.", follow=True)
    assert "Farid proposed" in page.words
    client.sign_in(finance, fresh_factor=True)
    page = client.submit(client.get(f"/books/lines/{fee.id}"), "Confirm booking", follow=True)
    assert "It was booked as sent back" in page.words
    assert "Nothing is set aside" in client.get("/books/set-aside").words


def test_a_large_fee_waits_for_a_second_person_and_says_for_whom(
    client: Client, session: Session, said: Make, read: Read, finance: Person, second: Person
) -> None:
    row = said()
    came, fee = read(Ntry("5000.00", row.reference), Ntry("500.00", "charges", sign="DBIT"))
    client.sign_in(finance, fresh_factor=True)
    client.submit(client.get(f"/books/lines/{came.id}"), "Confirm as")
    page = client.submit(client.get(f"/books/lines/{fee.id}"), "Book as a fee", note="Charges of October.", follow=True)
    assert "One person alone books at most 100.00 USD in 30 days." in page.words
    assert "Take the booking back" in page.words
    assert "Confirm booking" not in page.words
    assert client.post(f"/books/lines/{fee.id}/bookings/{proposals.waiting(session)[0].id}/confirmation").status == 409
    assert "another person of finance" in client.get("/books").words
    client.sign_in(second)
    assert "Bookings of bank lines to confirm" in client.get("/work").words
    assert "you, or another person of finance" in client.get("/books").words
    page = client.submit(client.get(f"/books/lines/{fee.id}"), "Decline booking", reason="")
    assert page.problems == ["Say why, so that Fatima knows what to do with the line."]
    page = client.submit(page, "Decline booking", reason="It was a payment.", follow=True)
    assert "What it probably is" in page.words
    assert "It was a payment." in page.words
    client.submit(page, "Book as a fee", note="No, a fee.")
    client.sign_in(finance, fresh_factor=True)
    page = client.submit(client.get(f"/books/lines/{fee.id}"), "Confirm booking", follow=True)
    assert "It was booked as a fee of the bank by Fatima" in page.words


def test_whoever_read_a_csv_file_is_told_that_somebody_else_confirms(
    client: Client, session: Session, said: Make, account: BankAccount, finance: Person, second: Person, now: datetime
) -> None:
    row = said()
    columns = Columns.checked({"booked_on": "Date", "amount": "Amount", "texts": "Text"})
    statements.map_columns(session, account.id, columns, actor=finance, now=now)
    client.sign_in(finance, fresh_factor=True)
    upload(client, f"Date,Text,Amount\n2026-11-05,{row.reference},5000.00\n".encode(), "11.csv", account=str(account.id))
    (line,) = queries.open_lines(session)
    for path in ("/books", f"/books/lines/{line.id}"):
        page = client.get(path)
        assert "You read the CSV file that it is from" in page.words
        assert not [button for button in page.all("button") if "".join(button.itertext()).strip().startswith("Confirm")]
    client.sign_in(second, fresh_factor=True)
    assert "Dealt with" in client.submit(client.get("/books"), "Confirm", follow=True).words


def test_who_said_it_was_sent_reads_that_somebody_else_confirms(
    client: Client, session: Session, announced: Make, read: Read, finance: Person, now: datetime
) -> None:
    row = announced()
    (line,) = read(Ntry("5000.00", row.reference))
    client.sign_in(finance, fresh_factor=True)
    page = client.submit(client.get(f"/books/lines/{line.id}"), "Take this line for evidence", follow=True)
    assert "somebody else in finance confirms that it arrived" in page.words
    assert not [form for form in page.all("button") if "Confirm as" in "".join(form.itertext())]
    assert client.post(f"/books/lines/{line.id}/confirmation", {"expected": f"pledge:{row.id}"}).status == 409


def test_a_wrong_link_is_taken_back(
    client: Client, session: Session, said: Make, read: Read, finance: Person, now: datetime
) -> None:
    row = said()
    instalments.confirm(session, row.id, received_on=now.date(), bank_reference="by hand", actor=finance, now=now)
    (line,) = read(Ntry("5000.00", "nothing"))
    client.sign_in(finance)
    page = client.submit(client.get(f"/books/lines/{line.id}"), "Link", follow=True)
    assert "It was linked" in page.words
    page = client.submit(page, "Take the link back", reason="It was another.", follow=True)
    assert "What it probably is" in page.words


def test_an_account_is_entered_and_its_columns_mapped(client: Client, session: Session, finance: Person, now: datetime) -> None:
    client.sign_in(finance)
    page = client.submit(client.get("/books/accounts"), "Enter account", name="Giro", number="!!", currency="EUR")
    assert "4 to 34 letters and digits" in page.problems[0]
    client.submit(client.get("/books/accounts"), "Enter account", name="Giro", number="DE89 3704", currency="EUR")
    page = client.get("/books/accounts")
    (path,) = [a.get("href", "") for a in page.all("a") if "Say what the columns mean" in "".join(a.itertext())]
    page = client.submit(client.get(path), "Save columns", booked_on="Date")
    assert "either one column" in page.problems[0]
    page = client.submit(client.get(path), "Save columns", booked_on="Date", amount="Amount", texts="Text", follow=True)
    assert "can be read now" in page.text
    account_id = path.split("/")[-2]
    page = upload(client, b"Date,Text,Amount\n2026-11-05,Hello,5.00\n", "november.csv", account=account_id)
    assert page.status == 303
    assert "november.csv" in client.get("/books").text


def test_what_waits_is_on_the_page_of_finance(
    client: Client, read: Read, finance: Person, session: Session, now: datetime
) -> None:
    (line, _) = read(Ntry("5.00", "x"), Ntry("6.00", "y"))
    bookings.set_aside(session, line.id, note="n", actor=finance, now=now)
    client.sign_in(finance)
    assert "Lines of bank statements to be dealt with" in client.get("/work").words


def test_differences_are_explained_by_two_and_the_month_closed(
    client: Client, session: Session, read: Read, finance: Person, second: Person
) -> None:
    day = (utc_now().date().replace(day=1) - timedelta(days=1)).isoformat()
    read(Ntry("12.34", "a gift", day=day))
    client.sign_in(finance, fresh_factor=True)
    page = client.get("/books/reconciliation")
    assert "Missing here" in page.words
    assert "$12.34" in page.words
    assert "1 difference stands in the way" in client.get("/books/months").words
    assert "Deal with it, or explain it." in client.get("/books/months").words
    refused_page = client.submit(client.get("/books/months"), "Close month")
    assert refused_page.status == 409
    assert "must meet, or be explained" in refused_page.problems[0]
    page = client.submit(page, "Explain", text="")
    assert page.status == 422
    page = client.submit(page, "Explain", text="Sent back next month.", follow=True)
    assert "Waits for a second person" in page.words
    assert not [b for b in page.all("button") if "".join(b.itertext()).strip().startswith("Confirm")]
    client.sign_in(second, fresh_factor=True)
    assert "Explanations in the books to confirm" in client.get("/work").words
    page = client.submit(client.get("/books/reconciliation"), "Confirm", follow=True)
    assert "confirmed by Farid" in page.words
    page = client.submit(client.get("/books/months"), "Close month", follow=True)
    assert "Nothing is posted into it or before it any more" in page.words
    page = client.submit(page, "Ask", reason="A correction.", follow=True)
    assert "Another person of finance opens it" in page.words
    client.sign_in(finance, fresh_factor=True)
    page = client.submit(client.get("/books/months"), "Open ", follow=True)
    assert "is open again" in page.words


def test_what_confirms_money_wants_a_fresh_second_factor(
    client: Client, session: Session, said: Make, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    """Whoever finds somebody's screen unlocked confirms nothing. With the factor each of the same requests is let through."""
    row, other, third = said(), said("7000"), said("2000")
    came, aside, fee = read(Ntry("5000.00", "x"), Ntry("9000.00", "y"), Ntry("600.00", "charges", sign="DBIT"))
    bookings.set_aside(session, aside.id, note="n", actor=second, now=now)
    code = queries.set_aside(session)[0].code
    proposed = assignments.propose(session, code, f"pledge:{third.id}", actor=second, now=now)
    proposal = outgoing.book_fee(session, fee.id, note="n", actor=second, now=now)
    assert proposal is not None
    reconciliation.take(session, "stripe", [Seen("txn_fee", "stripe_fee_refund", now, Money(100, "USD"))], now=now)
    reconciliation.take(session, "stripe", [Seen("txn_up", "topup", now, Money(100, "USD"))], now=now)
    gift, up = (session.query(OutsideMovement).filter_by(remote_id=name).one() for name in ("txn_fee", "txn_up"))
    why = explanations.explain(session, Subject.OUTSIDE_MOVEMENT, gift.id, text="t", actor=second, now=now)
    closed = ClosedMonth(id=new_id(), month=date(2020, 1, 1), explained=0, closed_by_id=second.id, closed_at=now)
    session.add(closed)
    session.flush()
    months.ask_reopening(session, closed.id, reason="r", actor=second, now=now)
    session.commit()
    deeds = {
        f"lines/{came.id}/confirmation": {"expected": f"pledge:{row.id}"},
        f"lines/{fee.id}/bookings/{proposal.id}/confirmation": {},
        f"set-aside/proposals/{proposed.id}/confirmation": {},
        "set-aside": {"code": code, "expected": f"pledge:{other.id}"},
        f"reconciliation/explanations/{why.id}/confirmation": {},
        f"reconciliation/movements/{up.id}/booking": {},
        f"months/{closed.id}/opening": {},
        "months": {"month": "2020-02"},
    }
    client.sign_in(finance)
    for place, said_there in deeds.items():
        page = client.post(f"/books/{place}", said_there)
        assert (page.status, "Confirm that it is you" in page.words) == (403, True), place
    session.expire_all()
    assert {row.status, other.status, third.status} == {InstalmentStatus.PROCESSING}
    assert (proposal.confirmed, why.confirmed, up.entry_id, closed.reopened_at) == (None, None, None, None)
    assert months.last_closed(session) == closed
    client.sign_in(finance, fresh_factor=True)
    for place, said_there in deeds.items():
        assert client.post(f"/books/{place}", said_there).status != 403, place
    session.expire_all()
    assert {row.status, other.status, third.status} == {InstalmentStatus.SETTLED}
    assert (proposal.confirmed, why.confirmed, closed.reopened_at is None) == (True, True, False)
    assert up.entry_id is not None


def test_providers_are_asked_with_no_transaction_of_the_page_open(
    client: Client, finance: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that takes its time would keep a connection, and hold back the clean-up of every table."""
    open_meanwhile = []

    def read(_feed: object, *, now: datetime) -> tuple[int, int]:
        open_meanwhile.append(db().in_transaction())
        return 2, 1

    monkeypatch.setattr(tasks, "read", read)
    monkeypatch.setattr(feeds, "all_feeds", lambda: [SimpleNamespace(name="trial", title="The trial rail")])
    client.sign_in(finance)
    page = client.submit(client.get("/books/reconciliation"), "Ask the providers now", follow=True)
    assert "The trial rail: 2 new, 1 met an entry" in page.words
    assert open_meanwhile == [False]


def test_an_empty_reconciliation_and_no_month_say_so(client: Client, finance: Person) -> None:
    client.sign_in(finance, fresh_factor=True)
    assert "Outside and ledger agree" in client.get("/books/reconciliation").words
    page = client.submit(client.get("/books/months"), "Close month", month="nonsense")
    assert page.problems == ["Write a month like 2026-10."]


def test_many_differences_come_in_pages_and_a_deed_returns_to_its_page(
    client: Client, session: Session, finance: Person, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [Seen(f"txn_{number}", "charge", now, Money(100 + number, "USD")) for number in range(30)]
    reconciliation.take(session, "stripe", seen, now=now)
    monkeypatch.setattr(reconciliation_views, "SHOWN", 20)
    client.sign_in(finance)
    page = client.get("/books/reconciliation")
    assert rows(page) == 25
    assert "All 30" in page.words
    page = client.get("/books/reconciliation?list=missing_here")
    assert (rows(page), "No more differences" in page.words) == (20, False)
    (more,) = [a.get("href", "") for a in page.all("a") if "More differences" in "".join(a.itertext())]
    page = client.get(more)
    assert (rows(page), "No more differences" in page.words) == (10, True)
    form = next(each for each in page.all("form") if "explanations" in each.get("action", ""))
    kept = {field.get("name", ""): field.get("value", "") for field in form.iter("input")}
    assert client.post(form.get("action", ""), {**kept, "text": ""}).status == 422
    page = client.post(form.get("action", ""), {**kept, "text": "Ours follows."}, follow=True)
    assert (rows(page), "Waits for a second person" in page.words) == (10, True)
    for odd in ("list=nonsense", "cursor=zzz", "list=missing_here&cursor=zzz", "_external=1&subject_id=2"):
        assert client.get(f"/books/reconciliation?{odd}").status == 200


def test_a_long_statement_comes_in_pages(client: Client, read: Read, finance: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    (line, *_) = read(*[Ntry(f"{number}.00", f"gift {number}") for number in range(1, 6)])
    monkeypatch.setattr(statement_views, "LINES_SHOWN", 3)
    client.sign_in(finance)
    page = client.get(f"/books/statements/{line.statement_id}")
    assert (rows(page), "5 new, 5 to be dealt with" in page.words) == (3, True)
    (more,) = [a.get("href", "") for a in page.all("a") if "More lines" in "".join(a.itertext())]
    page = client.get(more)
    assert (rows(page), "gift 5" in page.words) == (2, True)


def test_after_a_refused_file_the_list_goes_on_where_it_can_be_read(
    client: Client, read: Read, finance: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("2026-43", "2026-44"):
        read(Ntry("5.00", name), name=name)
    monkeypatch.setattr(statement_views, "STATEMENTS_SHOWN", 1)
    client.sign_in(finance)
    page = upload(client, b"no statement")
    assert page.status == 422
    (more,) = [a.get("href", "") for a in page.all("a") if "More statements" in "".join(a.itertext())]
    page = client.get(more)
    assert (page.status, "No more statements" in page.words) == (200, True)


def rows(page: Page) -> int:
    return len(page.all("tr")) - len(page.all("thead"))
