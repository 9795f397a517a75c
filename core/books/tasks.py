"""The background work of the books: every hour, read what providers list, and let it meet the ledger."""

from collections.abc import Iterable
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from core import tasks
from core.books import balances, between, feeds, meeting, movements, readings, reconciliation
from core.db import session_scope

log = structlog.get_logger()


@tasks.every(seconds=3600)
def read_feeds(now: datetime) -> None:
    """Read every feed. One that is out of reach takes nothing from the others; it is read again the next hour."""
    for feed in feeds.all_feeds():
        try:
            new, met = read(feed, now=now)
        except feeds.FeedUnreachable as error:
            log.warning("books.feed_unreachable", feed=feed.name, error=str(error))
        else:
            log.info("books.feed_read", feed=feed.name, new=new, met=met)


def read(feed: feeds.Feed, *, now: datetime) -> tuple[int, int]:
    """Read one feed: how many movements are new, how many met an entry. No transaction is open while the provider answers.

    Raises:
        FeedUnreachable: the provider gave no list.
    """
    with session_scope() as session:
        since = reconciliation.since(session, feed.name)
    seen = list(feed.read(since))
    held = feed.holds() if isinstance(feed, feeds.HoldingFeed) else None
    with session_scope() as session:
        readings.note_feed(session, feed.name, at=now)
        kept = keep(session, feed.name, seen, now=now)
        for each in balances.keep(session, feed.name, held, now=now) if held is not None else ():
            if each.unexplained:
                log.warning("books.balance_differs", feed=feed.name, unexplained=str(each.unexplained))
        return kept


def keep(session: Session, provider: str, seen: Iterable[feeds.Seen], *, now: datetime) -> tuple[int, int]:
    """Keep what a provider listed, and let it meet the ledger.

    That is what is posted already, what moved between two providers, and the provider's own fees while they are little.
    """
    meeting.lock(session)  # before any row, as whoever gives a bank line its entry does
    new, met = reconciliation.take(session, provider, seen, now=now), reconciliation.meet(session, provider)
    return new, met + between.join(session, now=now) + movements.book_small_fees(session, provider, now=now)
