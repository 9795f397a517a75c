"""Secrets at rest: AES-256-GCM under a key of this installation, bound to what they belong to."""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.config import settings
from core.errors import InfrastructureError, InvalidInput

NONCE_BYTES = 12


def seal(plain: str, *, belongs_to: str) -> str:
    """Encrypt. `belongs_to` (such as `totp:<person id>`) must be the same when unsealing, so rows can't swap secrets."""
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(_key()).encrypt(nonce, plain.encode(), belongs_to.encode())
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def unseal(sealed: str, *, belongs_to: str) -> str:
    """Decrypt what `seal` made here.

    Raises:
        InfrastructureError: the key of this installation is not the one it was sealed with.
    """
    raw = base64.urlsafe_b64decode(sealed)
    try:
        return AESGCM(_key()).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], belongs_to.encode()).decode()
    except InvalidTag:
        raise InfrastructureError(
            "A stored secret can't be opened with this installation's key: bring back the folder `secrets` of the data folder."
        ) from None


def unseal_input(sealed: str, *, belongs_to: str) -> str:
    """Decrypt a sealed value that travelled through a form.

    Raises:
        InvalidInput: not something this installation sealed for this purpose.
    """
    try:
        return unseal(sealed, belongs_to=belongs_to)
    except (InfrastructureError, ValueError):
        raise InvalidInput("This form is from another session; open the page again.") from None


def _key() -> bytes:
    return settings().secret("seal")
