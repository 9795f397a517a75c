"""The client of the trial payment service (fake_server.py): a rail like any other, but without real money."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests

from core.errors import InvalidInput
from core.money import Money
from payouts.rails.base import (
    Capabilities,
    CheckedDestination,
    DestinationField,
    Health,
    Instruction,
    KeyConflict,
    NotNow,
    OutcomeUnknown,
    RailError,
    Receipt,
    Refused,
    masked,
    required,
)

NOT_RUNNING = "The trial payment service is not running; start it with `pledgeworks fake-rail`."


class FakeRail:
    """Pays through a fake_server, with its idempotency keys or without."""

    title = "Trial rail (no real money)"
    destination_fields: Sequence[DestinationField] = (
        DestinationField("account", "Account", "Letters, digits, - and _; one that starts with “closed” refuses payments"),
    )

    def __init__(
        self,
        address: Callable[[], str | None],
        *,
        name: str = "fake",
        idempotent: bool = True,
        timeout: timedelta = timedelta(seconds=10),
        visibility: timedelta = timedelta(0),
    ) -> None:
        self.name = name
        self.capabilities = Capabilities(
            idempotent=idempotent,
            key_window=timedelta(hours=23) if idempotent else timedelta(0),
            lookup_authoritative=True,
            visibility=visibility,
            timeout=timeout,
        )
        self._address = address
        self._face = "keyed" if idempotent else "plain"
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy between us and loopback

    def check_destination(self, details: Mapping[str, str], currency: str) -> CheckedDestination:
        known = required(self.destination_fields, details)
        account = known["account"]
        if len(account) > 60 or not account.isascii() or not account.replace("-", "").replace("_", "").isalnum():
            raise InvalidInput("An account is made of letters, digits, - and _, at most 60.", field="account")
        return CheckedDestination(known, f"Trial account {masked(account)}")

    def send(self, instruction: Instruction) -> Receipt:
        address = self._address()
        if address is None:
            raise NotNow(NOT_RUNNING, retry_after=timedelta(seconds=30))
        headers = {"Idempotency-Key": instruction.reference} if self.capabilities.idempotent else {}
        try:
            response = self._http.post(
                f"{address}/{self._face}/transfers",
                json=instruction.parameters(),
                headers=headers,
                timeout=self.capabilities.timeout.total_seconds() / 2,  # connecting and answering each take their half
                allow_redirects=False,
            )
            body = response.json()
        except (requests.RequestException, ValueError) as error:
            raise OutcomeUnknown(f"No clear answer: {type(error).__name__}.") from error
        status, code = response.status_code, body.get("code") if isinstance(body, dict) else None
        if status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            return _receipt(body)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise NotNow("The rail asks for fewer requests.", retry_after=_retry_after(response))
        if code == "idempotency_error":
            raise KeyConflict("The rail knows this reference with other parameters.")
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise Refused("The rail refuses our credentials.", stops_rail=True)
        if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise Refused(str(body.get("message") or f"The rail refused: {code or status}."))
        raise OutcomeUnknown(f"The rail answered {status} ({code or 'no code'}).")

    def look_up(self, reference: str) -> Sequence[Receipt]:
        address = self._address()
        if address is None:
            raise NotNow(NOT_RUNNING, retry_after=timedelta(seconds=30))
        try:
            response = self._http.get(
                f"{address}/{self._face}/transfers",
                params={"reference": reference},
                timeout=self.capabilities.timeout.total_seconds() / 2,
                allow_redirects=False,
            )
            response.raise_for_status()
            return [_receipt(each) for each in response.json()["transfers"]]
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise RailError(f"The look-up failed: {type(error).__name__}.") from error

    def health(self) -> Health:
        address = self._address()
        if address is None:
            return Health(False, NOT_RUNNING)
        try:
            self._http.get(f"{address}/health", timeout=2).raise_for_status()
        except requests.RequestException as error:
            return Health(False, f"Does not answer at {address} ({type(error).__name__}).")
        return Health(True, f"Answers at {address}.")


def address_file(data_folder: Path) -> Path:
    """Where a running trial service says how to reach it."""
    return data_folder / "fake-rail.url"


def _receipt(body: Any) -> Receipt:
    try:
        remote_id, money = body["id"], Money(body["amount_minor"], body["currency"])
        fee = Money(body["fee_minor"], body["currency"]) if "fee_minor" in body else None
    except (KeyError, TypeError, InvalidInput) as error:
        raise OutcomeUnknown("The rail's answer can't be read.") from error
    if not isinstance(remote_id, str) or not remote_id:
        raise OutcomeUnknown("The rail's answer names no payment.")
    return Receipt(remote_id, money, fee=fee, cost=None if fee is None else Money(0, money.currency))


def _retry_after(response: requests.Response) -> timedelta:
    try:
        seconds = float(response.headers.get("Retry-After", "5"))
    except ValueError:
        seconds = 5.0
    return timedelta(seconds=min(max(seconds, 0.05), 3600)) if math.isfinite(seconds) else timedelta(seconds=5)
