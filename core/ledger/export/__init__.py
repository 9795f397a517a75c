"""The ledger outside: JSON that can be verified without us, beancount and hledger for anybody's own tools."""

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from core.ledger.export import beancount, hledger, json_export


class Format(enum.StrEnum):
    """What the ledger can be written as."""

    BEANCOUNT = "beancount"
    HLEDGER = "hledger"
    JSON = "json"


MEDIA_TYPES = {
    Format.BEANCOUNT: ("text/plain; charset=utf-8", "ledger.beancount"),
    Format.HLEDGER: ("text/plain; charset=utf-8", "ledger.journal"),
    Format.JSON: ("application/json", "ledger.json"),
}
"""The media type and the file name of each format."""

_WRITERS = {Format.BEANCOUNT: beancount.write, Format.HLEDGER: hledger.write, Format.JSON: json_export.write}


def export(session: Session, form: Format, *, now: datetime) -> Iterator[str]:
    """The whole ledger, in pieces. Give it a `snapshot`, so that balances and entries are of one moment."""
    return _WRITERS[form](session, now=now)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Session]:
    """A session that sees the ledger as it is at its first question, and nothing that is committed later."""
    frozen = engine.execution_options(isolation_level="REPEATABLE READ")
    with Session(frozen) as session, session.begin():
        yield session
