"""Letters by a real mail server on this machine: encrypted wherever a password or another machine is involved."""

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from core import mail
from core.config import MailServer, settings
from core.errors import InvalidInput
from tests.fakes import mail_server

LETTER = mail.Letter(
    key="notice-1",
    to="nora@example.org",
    subject="Your payment details were changed",
    text="Zahlungsdetails geändert.\n",
    written_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
)


@pytest.fixture(autouse=True)
def _fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PLEDGEWORKS_MAIL_FROM", "payouts@example.com")
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """One for 127.0.0.1, of an authority that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(served)
    return served


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PLEDGEWORKS_MAIL_URL", url)
    settings.cache_clear()


def test_a_letter_arrives_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server.running() as server:
        use(monkeypatch, f"smtp://127.0.0.1:{server.port}")
        mail.send(LETTER)
    (got,) = server.letters
    assert (got["To"], got["From"], got["Subject"]) == (LETTER.to, "payouts@example.com", LETTER.subject)
    assert got["Message-ID"] == "<notice-1@example.com>"
    assert got.get_content().strip() == LETTER.text.strip()


def test_a_password_goes_over_an_encrypted_connection_only(monkeypatch: pytest.MonkeyPatch, certificate: ssl.SSLContext) -> None:
    with mail_server.running(tls=certificate, user="pledgeworks", password="p@ss/word") as server:
        use(monkeypatch, f"smtp://pledgeworks:p%40ss%2Fword@127.0.0.1:{server.port}")
        mail.send(LETTER)
    assert server.encrypted == [True]


def test_a_server_without_encryption_never_hears_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server.running(user="pledgeworks", password="secret-word") as server:
        use(monkeypatch, f"smtp://pledgeworks:secret-word@127.0.0.1:{server.port}")
        with pytest.raises(mail.MailFailed) as refused:
            mail.send(LETTER)
    assert server.letters == []
    assert "secret-word" not in str(refused.value)


def test_a_certificate_that_nobody_vouches_for_is_not_talked_to(
    monkeypatch: pytest.MonkeyPatch, certificate: ssl.SSLContext
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with mail_server.running(tls=certificate, user="pledgeworks", password="secret-word") as server:
        use(monkeypatch, f"smtp://pledgeworks:secret-word@127.0.0.1:{server.port}")
        with pytest.raises(mail.MailFailed, match="SSLCertVerificationError"):
            mail.send(LETTER)
    assert server.letters == []


def test_a_refused_address_and_a_server_that_is_away_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server.running() as server:
        server.refused.add(LETTER.to)
        use(monkeypatch, f"smtp://127.0.0.1:{server.port}")
        with pytest.raises(mail.MailFailed, match="SMTPRecipientsRefused"):
            mail.send(LETTER)
    with pytest.raises(mail.MailFailed, match="did not take the letter"):
        mail.send(LETTER)


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use(monkeypatch, f"smtp://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(mail.MailFailed, match="did not take the letter"):
            mail.send(LETTER)


@pytest.mark.parametrize("to", ["nora@example.org\nBcc: all@example.org", "no address"])
def test_nothing_slips_into_the_head_of_a_letter(monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    with mail_server.running() as server:
        use(monkeypatch, f"smtp://127.0.0.1:{server.port}")
        with pytest.raises(mail.MailFailed, match="addressed"):
            mail.send(mail.Letter("k", to, "s", "t", LETTER.written_at))
    assert server.letters == []


def test_without_a_server_nothing_is_sent() -> None:
    assert not mail.is_configured()
    mail.send(LETTER)


@pytest.mark.parametrize(
    ("url", "encrypted"),
    [
        ("smtps://u:p@mail.example.org", "implicit"),
        ("smtp://u:p@mail.example.org", "starttls"),
        ("smtp://mail.example.org", "starttls"),
        ("smtp://u:p@localhost:25", "starttls"),
        ("smtp://localhost:25", "no"),
    ],
)
def test_only_this_machine_is_spoken_to_in_the_clear(url: str, encrypted: str) -> None:
    server = MailServer.parse(url)
    assert (server.implicit_tls, server.starttls) == (encrypted == "implicit", encrypted == "starttls")


@pytest.mark.parametrize("url", ["http://mail.example.org", "smtp://", "smtp://u@mail.example.org", "smtp://mail.example.org/x"])
def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    use(monkeypatch, url)
    with pytest.raises(InvalidInput, match=r"PLEDGEWORKS_MAIL_URL can't be used"):
        settings()
