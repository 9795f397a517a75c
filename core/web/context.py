"""The session of one request: opened when first used, committed after the view, rolled back on any error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from apiflask import APIFlask
from flask import current_app, g
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from core.db import engine


def db() -> Session:
    """The request's database session. A page that needs no data never opens one."""
    if "session" not in g:
        app = cast("Application", current_app)
        g.session = Session(app.bind or engine(), expire_on_commit=False, join_transaction_mode="create_savepoint")
    session: Session = g.session
    return session


@contextmanager
def transactions() -> Iterator[Session]:
    """The request's session, committed at the end of each use: nothing is open while others are asked over the network."""
    yield db()
    db().commit()


def roll_back() -> None:
    """Undo what this request did so far; nothing to do where it never used the database."""
    if "session" in g:
        g.session.rollback()


def close(_error: BaseException | None = None) -> None:
    """Give the connection back at the end of the request, whatever happened."""
    if "session" in g:
        g.pop("session").close()


class Application(APIFlask):
    """A Flask application whose views are units of work."""

    bind: Engine | Connection | None = None
    """A database other than the process's own: tests put the connection here that they roll back."""
    before_commit: Callable[[ResponseReturnValue], ResponseReturnValue] = staticmethod(lambda answer: answer)
    """What still belongs to the view's transaction when its answer is known (core.web.api keeps answers to repeated POSTs)."""

    def dispatch_request(self) -> ResponseReturnValue:
        """Run the view, then commit. A commit that fails is handled like an error of the view itself."""
        answer = self.before_commit(super().dispatch_request())
        if "session" in g:
            g.session.commit()
        return answer
