"""TOTP (RFC 6238) as second factor: enrolling, codes that work once, recovery codes, and proof that is minutes old."""

import enum
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import pyotp
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from core import audit
from core.config import Environment, settings
from core.errors import DomainError, InvalidInput
from core.identity import limits, passwords
from core.identity.models import Person, RecoveryCode, SignInSession
from core.identity.sealing import seal, unseal

FRESH_FOR = timedelta(minutes=10)
STEP_SECONDS = 30
DRIFT_STEPS = 1
"""A phone's clock may be one step early or late."""
RECOVERY_CODES = 10
CODE_LIMIT = limits.Limit(count=8, per=timedelta(minutes=10))
"""Six digits with three valid steps: eight tries per ten minutes are one chance in 40,000."""


class WrongCode(DomainError):
    """The code does not fit now, was used before, or belongs to another key."""

    code = "wrong_code"
    status = 422
    field = "code"


class AlreadyEnrolled(DomainError):
    """The account has a second factor; remove it before setting another."""

    code = "second_factor_exists"


class Way(enum.StrEnum):
    """How a person proves to be there."""

    CODE = "code"  # a TOTP or recovery code
    PASSWORD = "password"  # noqa: S105 - development only: no TOTP enrolled
    ENROL = "enrol"  # production without TOTP: enrol first


def way_for(person: Person) -> Way:
    """In production, deeds that move money want TOTP; in development, the password again will do until it is enrolled."""
    if person.totp_secret:
        return Way.CODE
    return Way.PASSWORD if settings().pledgeworks_env is Environment.DEVELOPMENT else Way.ENROL


def is_fresh(session: SignInSession, *, now: datetime) -> bool:
    """Was the person's presence proved in this session within the last ten minutes?"""
    return session.second_factor_at is not None and now - session.second_factor_at <= FRESH_FOR


def confirm(session: Session, person: Person, sign_in: SignInSession, proof: str, *, now: datetime) -> None:
    """Take a code (or in development the password) and mark the session as freshly proved.

    Raises:
        WrongCode: it does not fit.
        TooMany: too many tries; wait.
    """
    match way_for(person):
        case Way.CODE:
            use_code(session, person, proof, now=now)
        case Way.PASSWORD:
            _count_try(session, person, now=now)
            if not passwords.verify(proof, person.password_hash):
                raise WrongCode("That is not your password.")
        case Way.ENROL:
            raise WrongCode("Set up a second factor first, under Account → Second factor.")
    sign_in.second_factor_at = now


def new_secret() -> str:
    """A fresh key, in the base32 that authenticator apps read."""
    return pyotp.random_base32()


def provisioning_uri(person: Person, secret: str) -> str:
    """The otpauth:// address in the QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=person.email, issuer_name="Pledgeworks")


def enrol(session: Session, person: Person, secret: str, code: str, *, now: datetime) -> list[str]:
    """Turn the second factor on, once a code shows that the app has the key. Returns the recovery codes, shown only now.

    Raises:
        AlreadyEnrolled: there is one already.
        WrongCode: the code does not fit the key.
    """
    if person.totp_secret:
        raise AlreadyEnrolled("Your account has a second factor already; remove it before setting up another.")
    step = _matching_step(secret, code, now=now)
    if step is None:
        raise WrongCode("That code does not fit. Check that your phone's clock is right and enter the newest code.")
    person.totp_secret = seal(secret, belongs_to=f"totp:{person.id}")
    person.totp_last_step = step
    audit.record(session, "second_factor.enrolled", person, actor=person, at=now)
    return renew_recovery_codes(session, person, now=now)


def remove(session: Session, person: Person, *, actor: Person, now: datetime, reason: str | None = None) -> None:
    """Turn the second factor off, with its recovery codes."""
    person.totp_secret = person.totp_last_step = None
    session.execute(delete(RecoveryCode).where(RecoveryCode.person_id == person.id))
    audit.record(session, "second_factor.removed", person, actor=actor, at=now, reason=reason)


def use_code(session: Session, person: Person, code: str, *, now: datetime) -> None:
    """Accept a TOTP code or a recovery code, each once.

    Raises:
        WrongCode: it does not fit now, or was used before.
        TooMany: too many tries; wait.
    """
    _count_try(session, person, now=now)
    given = "".join(code.split()).replace("-", "").lower()
    if re.fullmatch("[0-9]{6}", given):
        if not _use_totp(session, person, given, now=now):
            raise WrongCode("That code does not fit, or was used already. Enter the newest one of your app.")
    elif not _use_recovery_code(session, person, given, now=now):
        raise WrongCode("That is neither a current code of your app nor an unused recovery code.")
    limits.forget(session, _limit_key(person))


def renew_recovery_codes(session: Session, person: Person, *, now: datetime) -> list[str]:
    """Ten new recovery codes; the old ones no longer work. They are returned once and kept as hashes."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.person_id == person.id))
    codes = [secrets.token_hex(5) for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(person_id=person.id, code_hash=_hash(code), created_at=now, used_at=None) for code in codes)
    audit.record(session, "second_factor.codes_renewed", person, actor=person, at=now)
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def recovery_codes_left(session: Session, person: Person) -> int:
    """How many recovery codes still work."""
    return (
        session.scalar(
            select(func.count()).where(RecoveryCode.person_id == person.id, RecoveryCode.used_at.is_(None)),
        )
        or 0
    )


def _use_totp(session: Session, person: Person, code: str, *, now: datetime) -> bool:
    if not person.totp_secret:
        raise InvalidInput("Your account has no second factor to give a code of.", field="code")
    step = _matching_step(unseal(person.totp_secret, belongs_to=f"totp:{person.id}"), code, now=now)
    if step is None:
        return False
    # The row decides: of two requests with one code, the second finds the step taken.
    taken = session.scalar(
        update(Person)
        .where(Person.id == person.id, func.coalesce(Person.totp_last_step, -1) < step)
        .values(totp_last_step=step)
        .returning(Person.id)
    )
    return taken is not None


def _use_recovery_code(session: Session, person: Person, code: str, *, now: datetime) -> bool:
    taken = session.scalar(
        update(RecoveryCode)
        .where(RecoveryCode.person_id == person.id, RecoveryCode.code_hash == _hash(code), RecoveryCode.used_at.is_(None))
        .values(used_at=now)
        .returning(RecoveryCode.id)
    )
    if taken is None:
        return False
    audit.record(session, "second_factor.recovery_code_used", person, actor=person, at=now)
    return True


def _matching_step(secret: str, code: str, *, now: datetime) -> int | None:
    """The step whose code this is, within the drift; every candidate is compared, in constant time."""
    given = code.strip().replace(" ", "").encode()
    totp = pyotp.TOTP(secret)
    current = int(now.timestamp()) // STEP_SECONDS
    found = None
    for step in _steps(current):
        if hmac.compare_digest(totp.generate_otp(step).encode(), given):
            found = step
    return found


def _steps(current: int) -> Sequence[int]:
    return range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1)


def _count_try(session: Session, person: Person, *, now: datetime) -> None:
    limits.require(session, _limit_key(person), CODE_LIMIT, sentence="Too many tries. Wait {minutes}, then try again.", now=now)


def _limit_key(person: Person) -> str:
    return f"second-factor:{person.id}"


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
