"""Who is asking: the person behind the session cookie, found with one query per request."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import g, request
from sqlalchemy import func, select, update
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


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person with what it came by (a session of a browser, or an API token) and, in a browser, every role it holds today."""

    person: Person
    session: SignInSession | None
    roles: frozenset[Role]
    token: ApiToken | None = None

    def any_role(self, *roles: Role) -> bool:
        """For navigation: does any of these roles apply anywhere? Services check the scope."""
        return bool(self.roles.intersection(roles))


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
    if found is None or found.session is None:
        raise SignInNeeded("Sign in to see this page.")
    return found.session


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
    roles = (
        select(func.array_agg(aggregate_order_by(Membership.role, Membership.role), type_=ARRAY(Text())))
        .where(Membership.person_id == SignInSession.person_id, is_current(now.date()))
        .scalar_subquery()
    )
    row = (
        db()
        .execute(
            select(SignInSession, roles)
            .join(SignInSession.person)
            .where(
                SignInSession.token_hash == hash_token(token),
                SignInSession.revoked_at.is_(None),
                SignInSession.expires_at > now,
                SignInSession.seen_at > now - IDLE,
                Person.disabled_at.is_(None),
            )
        )
        .first()
    )
    if row is None:
        return None
    session: SignInSession = row[0]
    if now - session.seen_at > SEEN_EVERY:
        _mark_seen(session, now)
    return Visitor(session.person, session, frozenset(Role(role) for role in row[1] or ()))


def _mark_seen(session: SignInSession, now: datetime) -> None:
    # In a transaction of its own: in the request's, it would keep the row locked against the person's other tabs.
    with apart(db()) as connection:
        connection.execute(
            update(SignInSession)
            .where(SignInSession.id == session.id, SignInSession.seen_at < now - SEEN_EVERY)
            .values(seen_at=now)
        )
