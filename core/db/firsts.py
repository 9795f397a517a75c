"""Rows of which there is one, written by whoever comes first."""

from psycopg.errors import UniqueViolation
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import DomainError


class MadeMeanwhile(DomainError):
    """Somebody else made the same thing at the same moment."""

    code = "made_meanwhile"


def add_first(session: Session, row: object, what: str) -> None:
    """Insert what nobody had made when one looked. What was written before stays written.

    Raises:
        MadeMeanwhile: somebody made it since. Nothing of theirs is changed.
    """
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError as error:
        if not isinstance(error.orig, UniqueViolation):
            raise
        raise MadeMeanwhile(f"Somebody else set {what} a moment ago. Look at it, and set it again to change it.") from None
