"""API tokens: made once, shown once, kept as SHA-256, limited to scopes and an end."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.errors import InvalidInput, NotFound
from core.identity.models import ApiToken, Person, Project
from core.identity.sign_in import hash_token

PREFIX = "pw_"
"""So that people and secret scanners know one when they see it."""
LIFETIME_MAX = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Issued:
    """A token just made; `secret` is shown once and kept nowhere."""

    token: ApiToken
    secret: str


def issue(
    session: Session,
    person: Person,
    *,
    name: str,
    scopes: Collection[str],
    known_scopes: Collection[str],
    lifetime: timedelta,
    project: Project | None = None,
    now: datetime,
) -> Issued:
    """Make a token that may do no more than its person, and of that only its scopes.

    Raises:
        InvalidInput: no scope, one that does not exist, or a lifetime outside one hour to one year.
    """
    chosen = sorted(set(scopes))
    unknown = [scope for scope in chosen if scope not in known_scopes]
    if not chosen:
        raise InvalidInput("Choose at least one scope.", field="scopes")
    if unknown:
        raise InvalidInput(f"There is no scope “{unknown[0]}”.", field="scopes")
    if not timedelta(hours=1) <= lifetime <= LIFETIME_MAX:
        raise InvalidInput("A token lives between an hour and a year.", field="lifetime")
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        person=person,
        project=project,
        name=name,
        token_hash=hash_token(secret),
        hint=secret[-4:],
        scopes=chosen,
        created_at=now,
        expires_at=now + lifetime,
        used_at=None,
        revoked_at=None,
    )
    session.add(token)
    session.flush()
    audit.record(session, "token.issued", token, actor=person, at=now, scopes=chosen)
    return Issued(token, secret)


def revoke(session: Session, person: Person, token_id: UUID, *, now: datetime) -> ApiToken:
    """End one of the person's own tokens.

    Raises:
        NotFound: the person has no such living token.
    """
    token = session.get(ApiToken, token_id)
    if token is None or token.person_id != person.id or token.revoked_at is not None:
        raise NotFound("You have no such token; it may have been revoked already.")
    token.revoked_at = now
    audit.record(session, "token.revoked", token, actor=person, at=now)
    return token


def find(session: Session, secret: str, *, now: datetime) -> ApiToken | None:
    """The living token of this secret, with its person."""
    token = session.scalars(
        select(ApiToken).where(
            ApiToken.token_hash == hash_token(secret), ApiToken.revoked_at.is_(None), ApiToken.expires_at > now
        )
    ).first()
    return token if token is not None and token.person.disabled_at is None else None


def of_person(session: Session, person: Person) -> Sequence[ApiToken]:
    """The person's tokens, the living ones first, newest first."""
    return session.scalars(
        select(ApiToken)
        .where(ApiToken.person_id == person.id)
        .order_by(ApiToken.revoked_at.is_not(None), ApiToken.created_at.desc())
        .limit(100)
    ).all()
