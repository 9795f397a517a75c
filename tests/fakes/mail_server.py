"""A real mail server on this machine that keeps what it is given."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class MailServerFake:
    """What came in, over which kind of connection, and whom it refuses."""

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's name
        if address in self.refused:
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        self.letters.append(message_from_bytes(content, policy=policy.default))
        self.encrypted.append(session.ssl is not None)
        return "250 OK"


@contextmanager
def running(
    *, tls: ssl.SSLContext | None = None, user: str | None = None, password: str | None = None
) -> Iterator[MailServerFake]:
    """One on a free port: with STARTTLS where a certificate is given, and asking for a password where there is one."""
    fake = MailServerFake()

    def known(server: Any, session: Any, envelope: Any, mechanism: str, auth_data: Any) -> AuthResult:
        right = isinstance(auth_data, LoginPassword) and (auth_data.login, auth_data.password) == (
            (user or "").encode(), (password or "").encode(),
        )  # fmt: skip
        return AuthResult(success=right)

    options: dict[str, Any] = {"tls_context": tls} if tls else {}
    if user is not None:
        options |= {"authenticator": known, "auth_required": True}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fake.port = listening.getsockname()[1]
        controller = _OnSocket(fake, listening, **options)
        controller.start()
        try:
            yield fake
        finally:
            controller.stop()


class _OnSocket(Controller):
    """On a socket that listens already: the library's own can't be asked for a free port."""

    def __init__(self, handler: MailServerFake, listening: socket.socket, **options: Any) -> None:
        super().__init__(handler, hostname="127.0.0.1", port=listening.getsockname()[1], **options)
        self._listening = listening

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._listening)
