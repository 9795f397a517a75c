"""Passwords: argon2id, and the few rules that matter."""

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import InvalidInput

LENGTH_MIN, LENGTH_MAX = 12, 200

_hasher = PasswordHasher()  # argon2id with RFC 9106's second recommendation (64 MiB, three passes)


def check_quality(password: str, *, email: str, name: str) -> None:
    """Refuse what is guessed first (NIST SP 800-63B: length over composition).

    Raises:
        InvalidInput: too short, too long, or made of the person's own name or address.
    """
    if len(password) < LENGTH_MIN:
        raise InvalidInput(f"Use at least {LENGTH_MIN} characters; a few words are easy to remember.", field="password")
    if len(password) > LENGTH_MAX:
        raise InvalidInput(f"Use at most {LENGTH_MAX} characters.", field="password")
    plain = password.casefold()
    if len(set(plain)) < 5 or plain in {email.casefold(), name.casefold(), "pledgeworks"}:
        raise InvalidInput("This password is among the first anybody would guess; choose another.", field="password")


def hash_password(password: str) -> str:
    """An argon2id hash with its own salt and parameters."""
    return _hasher.hash(password)


def verify(password: str, stored: str | None) -> bool:
    """Does the password match? With nothing stored it takes as long, so that unknown accounts can't be told by the clock."""
    try:
        _hasher.verify(stored or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def needs_rehash(stored: str) -> bool:
    """Was it hashed with weaker parameters than today's?"""
    return _hasher.check_needs_rehash(stored)


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("the password of nobody")
