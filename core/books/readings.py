"""When outside was read last: each provider's list, and the statements of each bank account."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.books import feeds
from core.books.models import BankAccount, BankStatement, FeedReading


def note_feed(session: Session, provider: str, *, at: datetime) -> None:
    """A provider's list was read to its end; `at` is when the reading began."""
    made = insert(FeedReading).values(provider=provider, read_at=at)
    session.execute(
        made.on_conflict_do_update(
            index_elements=["provider"], set_={"read_at": func.greatest(FeedReading.read_at, made.excluded.read_at)}
        )
    )


def note_account(session: Session, account: BankAccount, *, until: date, at: datetime) -> None:
    """A file of this account was read, up to a day. One that is older than another says nothing about the days since."""
    newest = session.scalar(select(func.max(BankStatement.until_on)).where(BankStatement.account_id == account.id))
    if newest is None or until >= newest:
        account.read_at = at if account.read_at is None else max(account.read_at, at)


def unread(session: Session, *, since: date) -> Sequence[str]:
    """What was not read on or after this day, each as a sentence with what to do."""
    start = datetime.combine(since, time.min, tzinfo=UTC)
    read = {row.provider: row.read_at for row in session.scalars(select(FeedReading))}
    sentences = [
        f"{feed.title} was {_last(read.get(feed.name))}: ask the providers now, under Reconciliation."
        for feed in feeds.all_feeds()
        if (at := read.get(feed.name)) is None or at < start
    ]
    has_statements = select(BankStatement.id).where(BankStatement.account_id == BankAccount.id)
    accounts = session.scalars(select(BankAccount).where(has_statements.exists()).order_by(BankAccount.name, BankAccount.id))
    return sentences + [
        f"The statements of “{account.name}” were {_last(account.read_at)}: read the newest one."
        for account in accounts
        if account.read_at is None or account.read_at < start
    ]


def _last(at: datetime | None) -> str:
    return f"last read on {at.astimezone(UTC):%-d %b %Y}" if at is not None else "never read"
