"""Fetching what strangers ask us to fetch, without letting them look into our own network.

The name is resolved here, every address it has is checked, and the connection goes to the address that was checked: a
name that changes its answer between check and use (DNS rebinding) gains nothing. The same holds for every redirect.
"""

import http.client
import io
import ipaddress
import queue
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar
from urllib.parse import urljoin

from core.errors import DomainError, InfrastructureError
from core.urls import Address, parse

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

REDIRECTS_MAX = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK_BYTES = 16_384

# What `is_global` lets through or answers differently from one Python to the next, each with its reason.
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # carrier-grade NAT
        "168.63.129.16/32",  # a public number that is the host's own service inside one cloud
        "192.0.0.0/24",  # protocol assignments, one cloud's metadata among them
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "240.0.0.0/4",  # reserved, broadcast
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64, local use
        "2001::/23",  # Teredo and other assignments
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local
    )
)


class FetchRefused(DomainError):
    """The address is none we fetch, or what came back is none we take."""

    code: ClassVar[str] = "fetch_refused"
    status: ClassVar[int] = 422


class FetchFailed(InfrastructureError):
    """The network or the other server failed; trying again later may help."""


def is_public(address: IpAddress) -> bool:
    """Whether an address lies on the public internet."""
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        return False
    if any(address in network for network in _NEVER if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolve(host: str, port: int) -> Sequence[IpAddress]:
    """Every address the system's resolver knows for a name."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))


@cache
def trusted() -> ssl.SSLContext:
    """TLS with the system's authorities. Reading those takes a while, so it waits for the first https address."""
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class Policy:
    """Where connections may go. Everything but `PUBLIC` is for tests and for installations inside one company."""

    ports: frozenset[int] = frozenset({80, 443})
    may_connect: Callable[[IpAddress], bool] = is_public
    resolve: Callable[[str, int], Sequence[IpAddress]] = resolve
    tls: Callable[[], ssl.SSLContext] = trusted


PUBLIC = Policy()


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back, from which address in the end."""

    url: str
    media_type: str
    content: bytes


def fetch(url: str, *, size_max_bytes: int, timeout_seconds: float, accept: str = "*/*", policy: Policy = PUBLIC) -> Fetched:
    """GET one public document. No cookies, no proxy, no credentials; at most three redirects, each checked like the first.

    `timeout_seconds` bounds everything together, `size_max_bytes` the body before and after decompression.

    Raises:
        BadAddress: the text is no http(s) address.
        FetchRefused: a private address, another port, too many redirects, an answer other than 200, a body too large.
        FetchFailed: no such name, no connection, bad certificate, too slow, 429 or 5xx.
    """
    deadline = time.monotonic() + timeout_seconds
    here = parse(url)
    for _ in range(REDIRECTS_MAX + 1):
        answer = _get(here, accept=accept, size_max_bytes=size_max_bytes, deadline=deadline, policy=policy)
        if isinstance(answer, Fetched):
            return answer
        if here.scheme == "https" and answer.scheme == "http":
            raise FetchRefused(f"{here} leads to {answer}, which is not encrypted. Publish it under https.")
        here = answer
    raise FetchRefused(f"{url} leads on more than {REDIRECTS_MAX} times. Give the final address.")


def _get(here: Address, *, accept: str, size_max_bytes: int, deadline: float, policy: Policy) -> Fetched | Address:
    """One request: the document, or the address it leads to."""
    sock = _connect(here, deadline, policy)
    connection = http.client.HTTPConnection(here.host, here.port)
    connection.sock = sock
    try:
        connection.request(
            "GET",
            here.target,
            headers={"Host": here.authority, "Accept": accept, "Accept-Encoding": "identity", "User-Agent": "Pledgeworks"},
        )
        response = connection.getresponse()
        if response.status in _REDIRECTS:
            return _next_address(here, response.headers.get("Location"))
        if response.status == 429 or response.status >= 500:
            raise FetchFailed(f"{here} answered {response.status} {response.reason}; try again later.")
        if response.status != 200:
            raise FetchRefused(f"{here} answered {response.status} {response.reason}".rstrip() + ", not 200 OK.")
        return Fetched(
            url=str(here),
            media_type=response.headers.get_content_type(),
            content=_body(response, here, size_max_bytes),
        )
    except TimeoutError:
        raise FetchFailed(f"{here} took too long to answer.") from None
    except (http.client.HTTPException, zlib.error, ValueError):
        raise FetchFailed(f"{here} answered with something that is no proper HTTP.") from None
    except OSError as error:
        raise FetchFailed(f"{here} broke off: {error.strerror or type(error).__name__}.") from None
    finally:
        sock.hang_up()


def _next_address(here: Address, location: str | None) -> Address:
    if not location:
        raise FetchRefused(f"{here} leads on without saying where.")
    return parse(urljoin(str(here), location.strip()))


def _connect(here: Address, deadline: float, policy: Policy) -> "_Deadlined":
    if here.port not in policy.ports:
        allowed = " and ".join(str(port) for port in sorted(policy.ports))
        raise FetchRefused(f"{here} uses port {here.port}; only ports {allowed} are fetched.")
    addresses = _checked_addresses(here, deadline, policy)
    failure = ""
    for address in addresses:
        try:
            plain = socket.create_connection((str(address), here.port), timeout=_left(deadline, here))
        except OSError as error:
            failure = error.strerror or "it took too long"
            continue
        if here.scheme == "http":
            return _Deadlined(plain, deadline)
        try:
            plain.settimeout(_left(deadline, here))
            return _Deadlined(policy.tls().wrap_socket(plain, server_hostname=here.host), deadline)
        except ssl.SSLCertVerificationError as error:
            plain.close()
            raise FetchFailed(f"The certificate of {here.host} is not trusted: {error.verify_message}.") from None
        except OSError as error:
            plain.close()
            failure = error.strerror or "no encrypted connection came about"
    raise FetchFailed(f"No connection to {here.host}: {failure}.")


def _checked_addresses(here: Address, deadline: float, policy: Policy) -> Sequence[IpAddress]:
    """The addresses of the host, all of them allowed: one private answer among public ones is somebody trying."""
    try:
        addresses: Sequence[IpAddress] = [ipaddress.ip_address(here.host)]
    except ValueError:
        addresses = _resolved(here, deadline, policy)
    for address in addresses:
        if not policy.may_connect(address):
            raise FetchRefused(
                f"{here.host} is {address}, which is not on the public internet. Publish the file on a public server."
            )
    return addresses


def _resolved(here: Address, deadline: float, policy: Policy) -> Sequence[IpAddress]:
    """Resolve in a thread: the system's resolver knows no deadline."""
    answers: queue.SimpleQueue[Sequence[IpAddress] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(policy.resolve(here.host, here.port))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=_left(deadline, here))
    except queue.Empty:
        raise FetchFailed(f"Nobody answered in time which address {here.host} has.") from None
    if isinstance(answer, OSError) or not answer:
        raise FetchFailed(f"There is no address for {here.host}; check the spelling.")
    return answer


def _left(deadline: float, here: Address) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise FetchFailed(f"{here} took too long to answer.")
    return left


def _body(response: http.client.HTTPResponse, here: Address, size_max_bytes: int) -> bytes:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip", "deflate"}:
        raise FetchRefused(f"{here} answered in the encoding “{encoding[:20]}”, although none was asked for.")
    inflate = zlib.decompressobj(wbits=47) if encoding != "identity" else None  # 47: gzip or zlib, whichever it is
    content = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        content += inflate.decompress(chunk, size_max_bytes + 1 - len(content)) if inflate else chunk
        if len(content) > size_max_bytes:
            raise FetchRefused(f"{here} is larger than {size_max_bytes:,} bytes.")
    if response.length or (inflate and not inflate.eof):
        raise FetchFailed(f"{here} broke off before its end.")
    return bytes(content)


class _Deadlined:
    """A connected socket whose every wait ends at one deadline, so that a server can't be slow byte by byte.

    It has what `http.client` needs of a socket: sending, a file to read from, closing.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def sendall(self, data: Any) -> None:
        self._arm()
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._receive))

    def close(self) -> None:
        """`http.client` closes when it has seen the headers, and reads on from the file: not the end yet."""

    def hang_up(self) -> None:
        self._sock.close()

    def _receive(self, buffer: Any) -> int:
        self._arm()
        return self._sock.recv_into(buffer)

    def _arm(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)


class _Reader(io.RawIOBase):
    """A readable file over one receiving function."""

    def __init__(self, receive: Callable[[Any], int]) -> None:
        self._receive = receive

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._receive(buffer)
