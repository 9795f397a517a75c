"""Getting manifests and well-known lists from where they are published: the only part that opens connections."""

import time

from core.errors import DomainError
from core.net import PUBLIC, Fetched, FetchFailed, FetchRefused, Policy, fetch
from core.urls import parse
from grants.manifests.provenance import readable
from grants.manifests.reading import SIZE_MAX_BYTES
from grants.manifests.report import Lists, ListUnavailable
from grants.manifests.rules import NamedUrl

LIST_SIZE_MAX_BYTES = 64_000
TIMEOUT_SECONDS = 6.0
LISTS_TIMEOUT_SECONDS = 15.0


def fetch_manifest(url: str, *, policy: Policy = PUBLIC) -> bytes:
    """The text of a manifest. Forge pages about a file are asked for the file itself.

    Raises:
        BadAddress, FetchRefused, FetchFailed: see `core.net.fetch`; and refused when a page came instead of a file.
    """
    got = fetch(
        str(readable(parse(url))),
        size_max_bytes=SIZE_MAX_BYTES,
        timeout_seconds=TIMEOUT_SECONDS,
        accept="application/json, text/plain;q=0.9, */*;q=0.1",
        policy=policy,
    )
    _refuse_pages(got, url)
    return got.content


def lists(*, policy: Policy = PUBLIC, timeout_seconds: float = LISTS_TIMEOUT_SECONDS) -> Lists:
    """Reads well-known lists, each address once: ten projects of one site share one list. All together have one deadline."""
    deadline = time.monotonic() + timeout_seconds
    answers: dict[str, str | ListUnavailable] = {}

    def text_of(named: NamedUrl) -> str | None:
        url = named.well_known
        if url is None:
            return None
        if url not in answers:
            answers[url] = _list(url, min(TIMEOUT_SECONDS, deadline - time.monotonic()), policy)
        answer = answers[url]
        if isinstance(answer, ListUnavailable):
            raise answer
        return answer

    return text_of


def _list(url: str, timeout_seconds: float, policy: Policy) -> str | ListUnavailable:
    if timeout_seconds <= 0:
        return ListUnavailable("There was no time left to read this list; check again.", for_now=True)
    try:
        got = fetch(
            str(readable(parse(url))),
            size_max_bytes=LIST_SIZE_MAX_BYTES,
            timeout_seconds=timeout_seconds,
            accept="text/plain, */*;q=0.1",
            policy=policy,
        )
        _refuse_pages(got, url)
    except DomainError as refused:
        return ListUnavailable(refused.message, for_now=False)
    except FetchFailed as failed:
        return ListUnavailable(str(failed), for_now=True)
    return got.content.decode("utf-8", "replace")


def _refuse_pages(got: Fetched, url: str) -> None:
    """A sign-in page or a forge's view of a file is no file, and its HTML would only puzzle people as bad JSON."""
    if got.media_type == "text/html":
        raise FetchRefused(f"{url} is a web page, not a file. Give the address of the file itself.")
