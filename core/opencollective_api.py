"""Open Collective's GraphQL API, version 2: one call, and what its answer means.

Its answers are told apart by where they come from: 401, 429 and 400 are given before anything is executed. A 200 with errors says
only that the operation ended: the service makes the order, books it, and goes on doing things that can fail, and what fails then
looks like a refusal and mostly has the same code (INTERNAL_SERVER_ERROR). So an error counts as a refusal only if it is one of
those that come before anything is made (`Problem.before_effect`). Everything else (a time-out, a cut, a 5xx) says nothing, and
orders were seen to be paid after all three.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests

from core.errors import InvalidInput

ANSWER_CHARACTERS_MAX = 300
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
BEFORE_EFFECT = (
    "You need to be logged in",
    "sufficient permissions to create an order",
    "Account Not Found",
    "has no host",
    "requires a payment method",
    "Expected currency for amount",
    "below minimum tier value",
    "Only host admins can create pending orders",
    "permission to create pending contributions",
)
"""Of the errors seen, those that are raised while the arguments of an order are read: no order exists yet."""


class Silent(Exception):
    """No answer, or none that can be read: whatever was asked for may have happened."""


class TurnedAway(Exception):
    """The token or the document is not accepted; nothing was executed."""


class Busy(Exception):
    """The rate limit; nothing was executed."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Problem:
    """One of the errors inside a 200."""

    message: str
    code: str
    path: tuple[str | int, ...] = ()
    """The field it was raised in: the operation itself, or something inside its result."""

    @property
    def before_effect(self) -> bool:
        """It was certainly raised before the operation changed anything: by the operation itself, in words that are known.

        Inside a result (a longer path), the same words are about showing what was already done.
        """
        return len(self.path) == 1 and (self.about_us or any(words in self.message for words in BEFORE_EFFECT))

    @property
    def about_us(self) -> bool:
        """It is the token or its user that is refused, so the next payment would be refused as well."""
        return self.code in {"Unauthorized", "2FA_REQUIRED"} or any(
            words in self.message for words in ("2FA", "two-factor", "operations in scope")
        )


@dataclass(frozen=True)
class Answer:
    """A 200: data, errors, or some of both."""

    data: Mapping[str, Any]
    problems: Sequence[Problem]


class OpenCollectiveApi:
    """Calls with a personal token in a header. The token is in no address, no message and no log."""

    def __init__(self, address: str, token: str) -> None:
        parts = urlsplit(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise InvalidInput("PLEDGEWORKS_OPENCOLLECTIVE_URL must begin with https://, because a token is sent there.")
        if parts.query or parts.username or parts.password:
            raise InvalidInput("PLEDGEWORKS_OPENCOLLECTIVE_URL holds only scheme, host and path; the token has its own setting.")
        self._address = address
        self._token = token
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy and no .netrc of the machine gets to see the token
        self._rest_until = 0.0

    def call(self, document: str, variables: Mapping[str, Any], *, connect: float, read: float) -> Answer:
        """Post a document that holds one named operation. Times in seconds.

        Raises:
            Busy: the rate limit (100 a minute for each token); nothing was executed.
            TurnedAway: the token or the document is not accepted; nothing was executed.
            Silent: no answer, or none that can be read.
        """
        resting = self._rest_until - time.monotonic()
        if resting > 0:
            raise Busy("Open Collective allows 100 requests a minute; the rest waits.", retry_after=timedelta(seconds=resting))
        try:
            response = self._http.post(
                self._address,
                json={"query": document, "variables": variables},
                headers={"Personal-Token": self._token},
                timeout=(connect, read),
                allow_redirects=False,  # a redirect would carry the token elsewhere
            )
        except requests.RequestException as error:
            raise Silent(f"Open Collective gave no answer ({type(error).__name__}).") from None
        self._mind_the_rate(response)
        match response.status_code:
            case HTTPStatus.OK:
                return self._read(response)
            case HTTPStatus.UNAUTHORIZED:
                raise TurnedAway(f"Open Collective does not accept the token: {self._message(response)}")
            case HTTPStatus.TOO_MANY_REQUESTS:
                seconds = max(self._rest_until - time.monotonic(), 0.05)
                raise Busy("Open Collective asks for fewer requests.", retry_after=timedelta(seconds=seconds))
            case HTTPStatus.BAD_REQUEST:
                raise TurnedAway(f"Open Collective does not understand our request: {self._message(response)}")
            case other:
                raise Silent(f"Open Collective answered {other}.")

    def _read(self, response: requests.Response) -> Answer:
        try:
            body = response.json()
            data = body.get("data") or {}
            problems = [
                Problem(
                    self._clean(str(each.get("message", ""))),
                    str((each.get("extensions") or {}).get("code", "")),
                    tuple(each.get("path") or ()),
                )
                for each in body.get("errors") or []
            ]
        except (ValueError, AttributeError, TypeError):
            raise Silent("Open Collective's answer can't be read.") from None
        if not isinstance(data, dict) or not (data or problems):
            raise Silent("Open Collective's answer can't be read.")
        return Answer(data, problems)

    def _message(self, response: requests.Response) -> str:
        """What an answer that is no 200 says. A 401 repeats the token it was given."""
        try:
            body = response.json()
            told = body["error"] if "error" in body else body["errors"][0]
            return self._clean(str(told["message"]))
        except (ValueError, KeyError, IndexError, TypeError):
            return f"HTTP {response.status_code}."

    def _clean(self, text: str) -> str:
        return text.replace(self._token, "•••")[:ANSWER_CHARACTERS_MAX]

    def _mind_the_rate(self, response: requests.Response) -> None:
        """Leave the service alone until it said it can be asked again."""
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            try:
                seconds = float(response.headers.get("Retry-After", "60"))
            except ValueError:
                seconds = 60.0
            self._rest_until = time.monotonic() + (min(max(seconds, 0.05), 3600) if math.isfinite(seconds) else 60.0)
