"""Letters to people's addresses, by whatever server the installation names. Without one, no mail is sent.

Mail may arrive twice (a server can take a letter and lose its answer) and may not arrive at all: nothing depends on it.
"""

import smtplib
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from core.config import MailServer, settings
from core.errors import InfrastructureError

TIMEOUT_SECONDS = 20


class MailFailed(InfrastructureError):
    """The server can't be reached, or did not take the letter."""


@dataclass(frozen=True)
class Letter:
    """Plain words to one address."""

    key: str
    """Stable and ours: becomes the Message-ID, by which mail programs drop a letter that came twice."""
    to: str
    subject: str
    text: str
    written_at: datetime


def is_configured() -> bool:
    """Whether this installation sends mail."""
    return settings().mail_server is not None


def send(letter: Letter) -> None:
    """Hand a letter to the server, with no transaction open. Does nothing where no server is named.

    Raises:
        MailFailed: it was not taken, or nobody knows.
    """
    server, sender = settings().mail_server, settings().pledgeworks_mail_from
    if server is None or sender is None:
        return
    message = _message(letter, sender)
    try:
        with _connection(server) as connection:
            if server.user is not None and server.password is not None:
                connection.login(server.user, server.password)
            connection.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        # What the server says may quote what it was told, the password among it.
        said = f" {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
        raise MailFailed(f"The mail server {server.host} did not take the letter ({type(error).__name__}{said}).") from None


def _connection(server: MailServer) -> smtplib.SMTP:
    if server.implicit_tls:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
    connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
    if server.starttls:
        try:
            connection.starttls(context=ssl.create_default_context())  # a server that offers none is not talked to further
        except BaseException:
            connection.close()
            raise
    return connection


def _message(letter: Letter, sender: str) -> EmailMessage:
    try:
        message = EmailMessage()
        message["From"], message["To"] = sender, Address(addr_spec=letter.to)
        message["Subject"], message["Date"] = letter.subject, format_datetime(letter.written_at)
    except (ValueError, HeaderParseError) as error:
        raise MailFailed(f"No letter can be addressed like this ({type(error).__name__}).") from None
    message["Message-ID"] = f"<{letter.key}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers it
    message.set_content(letter.text)
    return message
