"""The key that signs the ledger's head. It lies in the data folder's secrets, never in the database."""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from core.config import settings

KEY_NAME = "ledger-signing-key"
_PURPOSE = b"pledgeworks ledger head\n"
"""Signed with every hash, so that a signature made for something else never passes for a ledger's."""


def sign(seal_hash: bytes) -> tuple[bytes, bytes]:
    """Sign a seal's hash; returns the signature and the public key (raw, 64 and 32 bytes)."""
    key = Ed25519PrivateKey.from_private_bytes(settings().secret(KEY_NAME))
    return key.sign(_PURPOSE + seal_hash), key.public_key().public_bytes_raw()


def is_signed(seal_hash: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether this key made this signature of this hash."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _PURPOSE + seal_hash)
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(public_key: bytes) -> str:
    """The first half of the key's SHA-256, in groups of four, for people to compare."""
    digest = hashlib.sha256(public_key).hexdigest()[:32]
    return " ".join(digest[i : i + 4] for i in range(0, 32, 4))
