"""Accounts: making them, the first administrator, invitations, passwords, closing them."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import exists, func, or_, select, text, update
from sqlalchemy.orm import Session

from core import audit
from core.config import settings
from core.errors import DomainError, InvalidInput, NotAllowed, NotFound
from core.identity import limits, passwords, sign_in
from core.identity.models import ApiToken, Person

INVITATION_LIFETIME = timedelta(days=7)
PASSWORD_LIMIT = limits.Limit(count=8, per=timedelta(minutes=10))
FIRST_RUN_LOCK = 0x504C4601


class EmailTaken(DomainError):
    """Another account has this e-mail address."""

    code = "email_taken"
    field = "email"


class AlreadySetUp(NotFound):
    """The installation has its people; the first-run page is closed for good."""

    code = "already_set_up"


class BadInvitation(DomainError):
    """The invitation was used, replaced, or is older than a week."""

    code = "bad_invitation"
    status = 410


class AccountClosed(NotAllowed):
    """The account is closed: nobody signs in or acts with it."""

    code = "account_closed"


class LastAdministrator(DomainError):
    """An installation keeps at least one administrator who can sign in."""

    code = "last_administrator"


def create(
    session: Session,
    *,
    email: str,
    name: str,
    password: str | None = None,
    is_admin: bool = False,
    actor: Person | None,
    now: datetime,
) -> Person:
    """A new account. Without a password it is signed in to by invitation (`invitation_token`).

    Raises:
        InvalidInput: the address or the password can't be used.
        EmailTaken: another account has the address.
    """
    address = clean_email(email)
    label = clean_name(name)
    if session.scalar(select(exists().where(Person.email == address))):
        raise EmailTaken(f"There is an account for {address} already.")
    if password is not None:
        passwords.check_quality(password, email=address, name=label)
    person = Person(
        email=address,
        name=label,
        password_hash=passwords.hash_password(password) if password is not None else None,
        totp_secret=None,
        totp_last_step=None,
        is_admin=is_admin,
        created_at=now,
        disabled_at=None,
    )
    session.add(person)
    session.flush()
    audit.record(session, "person.created", person, actor=actor, at=now, is_admin=is_admin)
    return person


def anybody(session: Session) -> bool:
    """Is there any person at all? Before that, only the first-run page answers."""
    return bool(session.scalar(select(exists().where(Person.id.is_not(None)))))


def setup_token() -> str:
    """What the first administrator must show: printed where the installation was started, so that nobody on the network can."""
    return hashlib.sha256(b"first run:" + settings().secret("setup")).hexdigest()[:32]


def first_run_path() -> str:
    """Where the first administrator is made, with the code filled in."""
    return f"/first-run?code={setup_token()}"


def create_first_admin(session: Session, *, token: str, email: str, name: str, password: str, now: datetime) -> Person:
    """The first account, an administrator's.

    Raises:
        AlreadySetUp: there are people.
        NotAllowed: the token is not the one that was printed.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": FIRST_RUN_LOCK})
    if anybody(session):
        raise AlreadySetUp("This installation has its people already; sign in.")
    if not hmac.compare_digest(token.encode(), setup_token().encode()):
        raise NotAllowed("The set-up code is not the one printed where Pledgeworks was started.")
    return create(session, email=email, name=name, password=password, is_admin=True, actor=None, now=now)


def change_password(
    session: Session, person: Person, *, current: str, new: str, keep_session: UUID | None, now: datetime
) -> None:
    """Set a new password and end the person's other sessions.

    Raises:
        InvalidInput: the current one is wrong, or the new one can't be used.
        TooMany: somebody at an open browser guesses the current one.
    """
    sentence = "Too many tries. Wait {minutes}, then try again."
    limits.require(session, f"password:{person.id}", PASSWORD_LIMIT, sentence=sentence, now=now)
    if not passwords.verify(current, person.password_hash):
        raise InvalidInput("That is not your current password.", field="current")
    _set_password(session, person, new, now=now)
    sign_in.revoke_others(session, person, keep=keep_session, now=now)


def rename(session: Session, person: Person, name: str, *, now: datetime) -> None:
    """Change the name shown everywhere."""
    person.name = clean_name(name)
    audit.record(session, "person.renamed", person, actor=person, at=now)


def invitation_token(person: Person) -> str:
    """A link for setting a password, good for a week and once: it carries a mark of the password it replaces."""
    return str(_invitations().dumps([str(person.id), _mark(person)]))


def invited(session: Session, token: str) -> Person:
    """Whom an invitation is for.

    Raises:
        BadInvitation: used, too old, or not ours.
    """
    try:
        person_id, mark = _invitations().loads(token, max_age=int(INVITATION_LIFETIME.total_seconds()))
        person = session.get(Person, UUID(person_id))
    except (BadSignature, ValueError, TypeError):
        person, mark = None, ""
    if person is None or person.disabled_at is not None or mark != _mark(person):
        raise BadInvitation("This invitation was used already or is too old; ask whoever sent it for a new one.")
    return person


def accept_invitation(session: Session, token: str, *, password: str, now: datetime) -> Person:
    """Set the password an invitation allows, and end every session there was.

    Raises:
        BadInvitation: see `invited`.
        InvalidInput: the password can't be used.
    """
    person = invited(session, token)
    _set_password(session, person, password, now=now)
    sign_in.revoke_others(session, person, keep=None, now=now)
    return person


def disable(session: Session, person: Person, *, actor: Person, reason: str, now: datetime) -> None:
    """Close an account: nobody signs in with it any more, its sessions and tokens end. What it did stays on record.

    Raises:
        LastAdministrator: it is the last one.
    """
    if person.is_admin and not session.scalar(
        select(exists().where(Person.is_admin, Person.disabled_at.is_(None), Person.id != person.id))
    ):
        raise LastAdministrator("This is the last administrator; make another one first.")
    person.disabled_at = now
    sign_in.revoke_others(session, person, keep=None, now=now)
    session.execute(update(ApiToken).where(ApiToken.person_id == person.id, ApiToken.revoked_at.is_(None)).values(revoked_at=now))
    audit.record(session, "person.disabled", person, actor=actor, at=now, reason=reason)


def enable(session: Session, person: Person, *, actor: Person, now: datetime) -> None:
    """Open a closed account again; its old sessions and tokens stay ended."""
    person.disabled_at = None
    audit.record(session, "person.enabled", person, actor=actor, at=now)


def by_email(session: Session, email: str) -> Person | None:
    """The person of this address."""
    return session.scalars(select(Person).where(Person.email == email.strip().lower())).first()


def acting_person(session: Session, email: str) -> Person:
    """The person a command names as the one who acts. Whoever can't sign in can't act here either.

    Raises:
        NotFound: nobody has this address.
        AccountClosed: the account is closed.
    """
    person = by_email(session, email)
    if person is None:
        raise NotFound(f"There is nobody with the e-mail address {email}; `pledgeworks user add` makes an account.")
    if person.disabled_at is not None:
        raise AccountClosed(f"The account of {person.email} is closed; another person acts, or an administrator opens it again.")
    return person


def search(session: Session, words: str, *, limit: int = 20) -> Sequence[Person]:
    """People whose name or address contains the words, by name."""
    pattern = f"%{words.strip().lower().replace('%', '').replace('_', '')}%"
    return session.scalars(
        select(Person)
        .where(or_(func.lower(Person.name).like(pattern), Person.email.like(pattern)))
        .order_by(Person.name, Person.id)
        .limit(limit)
    ).all()


def clean_email(email: str) -> str:
    """An address in the form it is kept in.

    Raises:
        InvalidInput: not an address.
    """
    try:
        return validate_email(email.strip(), check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError:
        raise InvalidInput(f"“{email[:80]}” is not an e-mail address; write it like name@example.org.", field="email") from None


def clean_name(name: str) -> str:
    """A name for people to read: no control characters, no stray spaces.

    Raises:
        InvalidInput: empty, or longer than 120 characters.
    """
    label = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if not label:
        raise InvalidInput("Enter a name.", field="name")
    if len(label) > 120:
        raise InvalidInput("Use at most 120 characters.", field="name")
    return label


def _set_password(session: Session, person: Person, password: str, *, now: datetime) -> None:
    passwords.check_quality(password, email=person.email, name=person.name)
    person.password_hash = passwords.hash_password(password)
    audit.record(session, "person.password_set", person, actor=person, at=now)


def _mark(person: Person) -> str:
    return hashlib.sha256((person.password_hash or "none yet").encode()).hexdigest()[:16]


def _invitations() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings().secret("web"), salt="invitation")
