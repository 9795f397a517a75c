"""Signing in with a password, and the sessions that come of it.

Guessing is slowed, never answered with a locked account: attempts count per address, per account from browsers that never
signed in to it, and per known browser (a signed device cookie, OWASP's “device cookies”). Whoever hammers an account from
elsewhere fills the account's bucket for strangers; the person's own browser has its own and still gets in, and every bucket
is empty again after its window.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import audit
from core.errors import DomainError, NotFound
from core.identity import limits, passwords
from core.identity.limits import Limit
from core.identity.models import Person, SignInSession

LIFETIME = timedelta(days=14)
"""The absolute end of a session; unused, it ends much earlier (core.web.visitor.IDLE)."""
PER_ADDRESS = Limit(count=30, per=timedelta(minutes=10))
PER_ACCOUNT_FROM_STRANGERS = Limit(count=10, per=timedelta(minutes=10))
PER_KNOWN_BROWSER = Limit(count=10, per=timedelta(minutes=10))


class WrongCredentials(DomainError):
    """No such account, a wrong password, or a closed account: one sentence for all three."""

    code = "wrong_credentials"
    status = 422


@dataclass(frozen=True, slots=True)
class Opened:
    """A session just opened and the token for its cookie, which is kept nowhere."""

    session: SignInSession
    token: str


def check_password(
    session: Session, email: str, password: str, *, address: str, known_browser: str | None, now: datetime
) -> Person:
    """The person of this address and password. `known_browser` is the device id of a browser that signed in to it before.

    Raises:
        WrongCredentials: they don't fit.
        TooMany: too many attempts; the sentence says how long to wait.
    """
    account = email.strip().lower()
    keys = [_address_key(address), _account_key(account, known_browser)]
    _count(session, keys[0], PER_ADDRESS, now=now)
    _count(session, keys[1], PER_KNOWN_BROWSER if known_browser else PER_ACCOUNT_FROM_STRANGERS, now=now)

    person = session.scalars(select(Person).where(Person.email == account)).first()
    matches = passwords.verify(password, person.password_hash if person else None)
    if person is None or not matches or person.disabled_at is not None:
        raise WrongCredentials("The e-mail address or the password is wrong.")
    if person.password_hash and passwords.needs_rehash(person.password_hash):
        person.password_hash = passwords.hash_password(password)
    limits.forget(session, keys[1])
    limits.give_back(session, keys[0])  # its own attempt only: an account of one's own is no way to go on guessing at others
    return person


def open_session(
    session: Session, person: Person, *, user_agent: str, address: str, second_factor: bool, now: datetime
) -> Opened:
    """A new session with a new token: never an old one with more rights, so a planted cookie gains nothing."""
    token = secrets.token_urlsafe(32)
    row = SignInSession(
        person=person,
        token_hash=hash_token(token),
        created_at=now,
        seen_at=now,
        expires_at=now + LIFETIME,
        second_factor_at=now if second_factor else None,
        revoked_at=None,
        user_agent=user_agent[:250],
        address=address[:250],
    )
    session.add(row)
    session.flush()
    audit.record(session, "person.signed_in", person, actor=person, at=now)
    return Opened(row, token)


def revoke(session: Session, person: Person, session_id: UUID, *, now: datetime) -> SignInSession:
    """End one of the person's own sessions.

    Raises:
        NotFound: the person has no such open session.
    """
    row = session.get(SignInSession, session_id)
    if row is None or row.person_id != person.id or row.revoked_at is not None:
        raise NotFound("You have no such open session; it may have ended already.")
    row.revoked_at = now
    audit.record(session, "session.revoked", row, actor=person, at=now)
    return row


def revoke_others(session: Session, person: Person, *, keep: UUID | None, now: datetime) -> None:
    """End every session of the person but one: after a new password, or when something looks wrong."""
    session.execute(
        update(SignInSession)
        .where(SignInSession.person_id == person.id, SignInSession.id != keep, SignInSession.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    audit.record(session, "session.others_revoked", person, actor=person, at=now)


def hash_token(token: str) -> bytes:
    """What the database keeps of a token. Tokens are 32 random bytes, so a plain SHA-256 can't be guessed backwards."""
    return hashlib.sha256(token.encode()).digest()


def _count(session: Session, key: str, limit: Limit, *, now: datetime) -> None:
    # Counted before the password is looked at: a burst of parallel guesses is counted as what it is.
    sentence = "Too many attempts to sign in. Wait {minutes}, then try again; your account is not locked."
    limits.require(session, key, limit, sentence=sentence, now=now)


def _address_key(address: str) -> str:
    return f"sign-in:address:{address}"


def _account_key(account: str, known_browser: str | None) -> str:
    digest = hashlib.sha256(account.encode()).hexdigest()[:32]
    return f"sign-in:account:{digest}:{known_browser or 'strangers'}"
