"""Fetching for strangers: what is refused, what is bounded, and that the checked address is the one connected to.

The server is real and on loopback. Loopback is refused by default (the negative control below), so the other tests open
it with a policy of their own.
"""

import gzip
import ipaddress
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core import net
from core.net import FetchFailed, FetchRefused, IpAddress, Policy, fetch, is_public
from core.urls import BadAddress

LOOPBACK = ipaddress.ip_address("127.0.0.1")


class Handler(BaseHTTPRequestHandler):
    """Answers by path; remembers what it was asked."""

    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        path = self.path.split("?")[0]
        getattr(self, f"answer_{path.strip('/').split('/')[0] or 'ok'}", self.answer_missing)()

    def give(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def answer_ok(self) -> None:
        self.give(b"hello", Set_Cookie="a=b")

    def answer_missing(self) -> None:
        self.give(b"no", 404)

    def answer_busy(self) -> None:
        self.give(b"no", 503)

    def answer_big(self) -> None:
        self.give(b"x" * 1001)

    def answer_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * 1000)
        except OSError:
            pass  # the reader had enough, which is the point

    def answer_bomb(self) -> None:
        self.give(gzip.compress(b"\0" * 10_000_000), Content_Encoding="gzip")

    def answer_gzip(self) -> None:
        self.give(gzip.compress(b"small"), Content_Encoding="gzip")

    def answer_deflate(self) -> None:
        self.give(zlib.compress(b"small"), Content_Encoding="deflate")

    def answer_half(self) -> None:
        self.give(gzip.compress(b"small" * 50)[:20], Content_Encoding="gzip")

    def answer_brotli(self) -> None:
        self.give(b"?", Content_Encoding="br")

    def answer_short(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"x" * 10)

    def answer_slow(self) -> None:
        self.send_response(200)
        self.end_headers()
        self._drip()

    def answer_slowheaders(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        self._drip()

    def _drip(self) -> None:
        try:
            for _ in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass  # the reader left at its deadline

    def answer_to(self) -> None:
        self.give(b"", 302, Location=self.path.split("?", 1)[1])

    def answer_nowhere(self) -> None:
        self.give(b"", 302)

    def answer_loop(self) -> None:
        self.give(b"", 302, Location="/loop")

    def log_message(self, *_: object) -> None:
        pass


class Server:
    def __init__(self, certificate: ssl.SSLContext | None = None) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (Handler,), {"asked": self.asked}))
        self._http.daemon_threads = True
        if certificate:
            self._http.socket = certificate.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


Open = Callable[..., Policy]


@pytest.fixture
def opened(server: Server) -> Policy:
    """Every name is loopback, and loopback is allowed."""
    return Policy(ports=frozenset({80, 443, server.port}), may_connect=lambda a: a == LOOPBACK, resolve=lambda *_: [LOOPBACK])


def get(url: str, policy: Policy = net.PUBLIC, *, size_max_bytes: int = 1000, timeout_seconds: float = 5) -> net.Fetched:
    return fetch(url, size_max_bytes=size_max_bytes, timeout_seconds=timeout_seconds, accept="text/plain", policy=policy)


def test_a_document_comes_with_its_type_and_final_address(server: Server, opened: Policy) -> None:
    got = get(f"http://Example.ORG:{server.port}/ok?a=1#part", opened)
    assert (got.content, got.media_type, got.url) == (b"hello", "text/plain", f"http://example.org:{server.port}/ok?a=1")
    [(path, headers)] = server.asked
    assert path == "/ok?a=1"
    assert headers["host"] == f"example.org:{server.port}"
    assert headers["accept"] == "text/plain"
    assert not headers.keys() & {"cookie", "authorization", "proxy-authorization"}


def test_loopback_is_refused_by_default(server: Server, opened: Policy) -> None:
    """The negative control: the same server, the same address, the policy of production but for the port."""
    assert get(f"http://127.0.0.1:{server.port}/ok", opened).content == b"hello"
    with pytest.raises(FetchRefused, match=r"127\.0\.0\.1, which is not on the public internet"):
        get(f"http://127.0.0.1:{server.port}/ok", Policy(ports=frozenset({server.port})))
    assert len(server.asked) == 1


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::]"])
def test_loopback_in_disguise_is_refused(server: Server, host: str) -> None:
    with pytest.raises((FetchRefused, FetchFailed)) as refusal:
        get(f"http://{host}:{server.port}/ok", Policy(ports=frozenset({server.port})))
    assert host not in {"localhost", "127.1", "[::1]"} or isinstance(refusal.value, FetchRefused)
    assert server.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "127.0.0.2",
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "0.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    policy = Policy(resolve=lambda *_: [ipaddress.ip_address(address)])
    with pytest.raises(FetchRefused, match="not on the public internet"):
        get("https://innocent.example/", policy)


@pytest.mark.parametrize("address", ["8.8.8.8", "140.82.121.4", "99.255.255.255", "2606:4700::1111", "2a00:1450:4001::8a"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_one_private_answer_among_public_ones_refuses_the_name() -> None:
    mixed: list[IpAddress] = [ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address("10.0.0.1")]
    with pytest.raises(FetchRefused, match=r"10\.0\.0\.1"):
        get("https://innocent.example/", Policy(resolve=lambda *_: mixed))


def test_a_name_is_resolved_once_and_the_checked_address_is_used(server: Server) -> None:
    """DNS rebinding: the second answer would be another address, and nobody asks for it."""
    answers = [[LOOPBACK], [ipaddress.ip_address("127.0.0.9")]]
    policy = Policy(ports=frozenset({server.port}), may_connect=lambda a: a == LOOPBACK, resolve=lambda *_: answers.pop(0))
    assert get(f"http://rebinding.example:{server.port}/ok", policy).content == b"hello"
    assert len(answers) == 1


def test_the_environment_names_no_proxy(server: Server, opened: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    assert get(f"http://example.org:{server.port}/ok", opened).content == b"hello"


@pytest.mark.parametrize(
    "url", ["ftp://example.org/x", "file:///etc/passwd", "gopher://example.org/", "https://u:p@example.org/", "x"]
)
def test_other_schemes_and_credentials_are_refused(url: str) -> None:
    with pytest.raises(BadAddress):
        get(url)


@pytest.mark.parametrize("port", [22, 25, 5432, 8080])
def test_odd_ports_are_refused(port: int) -> None:
    with pytest.raises(FetchRefused, match="only ports 80 and 443"):
        get(f"https://example.org:{port}/")


def test_three_redirects_are_followed_and_a_fourth_is_not(server: Server, opened: Policy) -> None:
    base = f"http://example.org:{server.port}"
    assert get(f"{base}/to?/to?/to?/ok", opened).url == f"{base}/ok"
    with pytest.raises(FetchRefused, match="more than 3 times"):
        get(f"{base}/to?/to?/to?/to?/ok", opened)
    with pytest.raises(FetchRefused, match="more than 3 times"):
        get(f"{base}/loop", opened)
    with pytest.raises(FetchRefused, match="without saying where"):
        get(f"{base}/nowhere", opened)


@pytest.mark.parametrize(
    "location", ["http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://metadata.internal/", "http://[::1]/"]
)
def test_every_hop_is_checked(server: Server, location: str) -> None:
    """The first hop is allowed, the second is inside."""
    addresses: dict[str, list[IpAddress]] = {"metadata.internal": [ipaddress.ip_address("169.254.169.254")]}
    policy = Policy(
        ports=frozenset({80, server.port}),
        may_connect=lambda a: a == LOOPBACK,
        resolve=lambda host, _: addresses.get(host, [LOOPBACK]),
    )
    with pytest.raises(FetchRefused, match="not on the public internet"):
        get(f"http://example.org:{server.port}/to?{location}", policy)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.org/", "http://u@example.org/"])
def test_redirects_to_other_schemes_are_refused(server: Server, opened: Policy, location: str) -> None:
    with pytest.raises(BadAddress):
        get(f"http://example.org:{server.port}/to?{location}", opened)


def test_redirects_to_odd_ports_are_refused(server: Server, opened: Policy) -> None:
    with pytest.raises(FetchRefused, match="port 22"):
        get(f"http://example.org:{server.port}/to?http://example.org:22/", opened)


@pytest.mark.parametrize("path", ["big", "endless", "bomb"])
def test_bodies_end_at_the_limit(server: Server, opened: Policy, path: str) -> None:
    started = time.monotonic()
    with pytest.raises(FetchRefused, match="larger than 1,000 bytes"):
        get(f"http://example.org:{server.port}/{path}", opened)
    assert time.monotonic() - started < 3


def test_a_body_of_exactly_the_limit_is_taken(server: Server, opened: Policy) -> None:
    assert len(get(f"http://example.org:{server.port}/big", opened, size_max_bytes=1001).content) == 1001


@pytest.mark.parametrize("path", ["gzip", "deflate"])
def test_compressed_answers_are_read(server: Server, opened: Policy, path: str) -> None:
    assert get(f"http://example.org:{server.port}/{path}", opened).content == b"small"


@pytest.mark.parametrize("path", ["half", "short"])
def test_half_a_document_is_none(server: Server, opened: Policy, path: str) -> None:
    with pytest.raises(FetchFailed):
        get(f"http://example.org:{server.port}/{path}", opened)


def test_unasked_encodings_are_refused(server: Server, opened: Policy) -> None:
    with pytest.raises(FetchRefused, match="encoding"):
        get(f"http://example.org:{server.port}/brotli", opened)


@pytest.mark.parametrize("path", ["slow", "slowheaders"])
def test_the_deadline_counts_for_everything_together(server: Server, opened: Policy, path: str) -> None:
    """The server sends a byte every 50 ms, so no single wait is ever long."""
    started = time.monotonic()
    with pytest.raises(FetchFailed, match="too long"):
        get(f"http://example.org:{server.port}/{path}", opened, timeout_seconds=0.3)
    assert 0.2 < time.monotonic() - started < 2


def test_a_resolver_that_does_not_answer_is_not_waited_for() -> None:
    answered = threading.Event()

    def never(*_: object) -> list[IpAddress]:
        answered.wait(5)
        return []

    started = time.monotonic()
    with pytest.raises(FetchFailed, match="Nobody answered in time"):
        get("https://slow.example/", Policy(resolve=never), timeout_seconds=0.2)
    answered.set()
    assert time.monotonic() - started < 2


def test_names_without_address_and_closed_ports_fail_with_a_sentence(opened: Policy) -> None:
    def unknown(*_: object) -> list[IpAddress]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(FetchFailed, match=r"no address for nowhere\.example"):
        get("https://nowhere.example/", Policy(resolve=unknown))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    policy = Policy(ports=frozenset({port}), may_connect=lambda _: True, resolve=lambda *_: [LOOPBACK])
    with pytest.raises(FetchFailed, match=r"No connection to example\.org"):
        get(f"http://example.org:{port}/", policy)


def test_a_refusal_and_an_overload_are_told_apart(server: Server, opened: Policy) -> None:
    with pytest.raises(FetchRefused, match="404"):
        get(f"http://example.org:{server.port}/missing", opened)
    with pytest.raises(FetchFailed, match="503"):
        get(f"http://example.org:{server.port}/busy", opened)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for right.example that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "right.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("right.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def test_certificates_are_checked_for_the_name_that_was_asked_for(authority: tuple[Path, Path]) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*authority)
    named: list[str | None] = []
    serving.sni_callback = lambda _socket, name, _context: named.append(name)
    secure = Server(serving)
    trusting = ssl.create_default_context(cafile=str(authority[0]))

    def policy(tls: ssl.SSLContext) -> Policy:
        return Policy(ports=frozenset({secure.port}), may_connect=lambda _: True, resolve=lambda *_: [LOOPBACK], tls=lambda: tls)

    try:
        assert get(f"https://right.example:{secure.port}/ok", policy(trusting)).content == b"hello"
        assert named == ["right.example"]
        with pytest.raises(FetchFailed, match=r"certificate of wrong\.example"):
            get(f"https://wrong.example:{secure.port}/ok", policy(trusting))
        with pytest.raises(FetchFailed, match=r"certificate of right\.example"):
            get(f"https://right.example:{secure.port}/ok", policy(net.trusted()))
        assert len(secure.asked) == 1
        with pytest.raises(FetchRefused, match="not encrypted"):
            get(f"https://right.example:{secure.port}/to?http://right.example:{secure.port}/ok", policy(trusting))
    finally:
        secure.stop()
