"""Who is asking: the person behind the session cookie, found with one query per request."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import cast
from uuid import UUID

from flask import g, request
from sqlalchemy import Date, Select, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.types import Text

from core.clock import utc_now
from core.config import settings
from core.errors import DomainError
from core.identity.access import is_current
from core.identity.limits import apart
from core.identity.models import ApiToken, Membership, Person, Role, SignInSession
from core.identity.sign_in import hash_token
from core.web.context import db

IDLE = timedelta(hours=12)
"""A session unused for this long is over, although its absolute end may be later."""
SEEN_EVERY = timedelta(minutes=1)


class SignInNeeded(DomainError):
    """The page is for signed-in people; browsers are led to the sign-in page and back."""

    code = "sign_in_needed"
    status = 401


@dataclass(frozen=True)
class Visitor:
    """Who asks, as far as every page needs it: one narrow query. The rows behind it are loaded when somebody uses them."""

    person_id: UUID
    name: str
    email: str
    is_admin: bool
    roles: frozenset[Role]
    """Every role held today, in whatever scope: for navigation. Services check the scope."""
    session_id: UUID | None = None
    """The browser's session; none for a program with a token."""
    token: ApiToken | None = None

    @property
    def person(self) -> Person:
        """The person itself."""
        found = db().get(Person, self.person_id)
        assert found is not None, "people are closed, never deleted"
        return found

    @property
    def session(self) -> SignInSession | None:
        """The row of the browser's session."""
        return db().get(SignInSession, self.session_id) if self.session_id else None

    def any_role(self, *roles: Role) -> bool:
        """Does any of these roles apply anywhere?"""
        return not self.roles.isdisjoint(roles)


def current_person() -> Person:
    """The signed-in person.

    Raises:
        SignInNeeded: nobody is signed in.
    """
    found = visitor()
    if found is None:
        raise SignInNeeded("Sign in to see this page.")
    return found.person


def current_session() -> SignInSession:
    """The session of the signed-in browser.

    Raises:
        SignInNeeded: nobody is signed in.
    """
    found = visitor()
    session = found.session if found is not None else None
    if session is None:
        raise SignInNeeded("Sign in to see this page.")
    return session


def visitor() -> Visitor | None:
    """The signed-in visitor of this request, or none. The API never looks at cookies, so no other site can use it."""
    if "visitor" not in g:
        token = None if request.path.startswith("/api/") else request.cookies.get(cookie_name())
        g.visitor = _find(token) if token else None
    found: Visitor | None = g.visitor
    return found


def cookie_name() -> str:
    """`__Host-` binds the cookie to this host and to https, where there is https."""
    return "__Host-pledgeworks" if settings().base_url.startswith("https://") else "pledgeworks"


def _find(token: str) -> Visitor | None:
    now = utc_now()
    parameters = {"token_hash": hash_token(token), "now": now, "idle_from": now - IDLE, "today": now.date()}
    row = db().connection().execute(_LOOK_UP, parameters).first()  # plain columns: the session would add nothing but time
    if row is None:
        return None
    session_id, seen_at, person_id, name, email, is_admin, roles = row
    if now - seen_at > SEEN_EVERY:
        _mark_seen(session_id, now)
    return Visitor(person_id, name, email, is_admin, frozenset(Role(role) for role in roles or ()), session_id)


def _look_up() -> Select[UUID, datetime, UUID, str, str, bool, list[str] | None]:
    """Built once: on a page that only reads, building a query costs more than running it."""
    held = (
        select(func.array_agg(aggregate_order_by(Membership.role, Membership.role), type_=ARRAY(Text())))
        .where(Membership.person_id == SignInSession.person_id, is_current(cast("date", bindparam("today", type_=Date()))))
        .scalar_subquery()
    )
    return (
        select(SignInSession.id, SignInSession.seen_at, Person.id, Person.name, Person.email, Person.is_admin, held)
        .join(Person, Person.id == SignInSession.person_id)
        .where(
            SignInSession.token_hash == bindparam("token_hash"),
            SignInSession.revoked_at.is_(None),
            SignInSession.expires_at > bindparam("now"),
            SignInSession.seen_at > bindparam("idle_from"),
            Person.disabled_at.is_(None),
        )
    )


_LOOK_UP = _look_up()


def _mark_seen(session_id: UUID, now: datetime) -> None:
    # In a transaction of its own: in the request's, it would keep the row locked against the person's other tabs.
    with apart(db()) as connection:
        connection.execute(
            update(SignInSession)
            .where(SignInSession.id == session_id, SignInSession.seen_at < now - SEEN_EVERY)
            .values(seen_at=now)
        )
