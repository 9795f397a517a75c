"""Stripe's notices: signed deliveries, sent again until they are answered with 2xx, twice or out of order when asked to."""

import json
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import requests

import stripe
from tests.fakes.stripe.world import Object, World, public

SECRET = "whsec_stand_in_of_stripe"


@dataclass(frozen=True)
class Delivery:
    """What is posted."""

    body: bytes
    signature: str


def delivery(event: Object, *secrets: str, at: int | None = None) -> Delivery:
    """An event, signed by the library's own hand with each of the secrets, as while one is being replaced."""
    body = json.dumps(public(event), indent=2).encode()
    stamp = int(time.time()) if at is None else at
    sign = stripe.WebhookSignature._compute_signature
    made = ",".join(f"v1={sign(f'{stamp}.{body.decode()}', secret)}" for secret in secrets or (SECRET,))
    return Delivery(body, f"t={stamp},{made},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39")


class Deliverer(threading.Thread):
    """Posts every event to one endpoint until it is taken; a second time, and in disorder, as often as asked."""

    def __init__(self, world: World, url: str, *, secret: str = SECRET, twice: float = 0.2, seed: int = 1) -> None:
        super().__init__(daemon=True)
        self.answers: list[int] = []
        self._world, self._url, self._secret = world, url, secret
        self._twice, self._rng, self._ending = twice, random.Random(seed), threading.Event()
        self._seen = 0

    def run(self) -> None:
        waiting: list[Object] = []
        while not self._ending.wait(0.3):
            waiting += self._fresh()
            self._rng.shuffle(waiting)
            waiting = [event for event in waiting if not self._taken(event)]

    def stop(self) -> None:
        self._ending.set()
        self.join()

    def _fresh(self) -> Sequence[Object]:
        with self._world.lock:
            events = self._world.events[self._seen :]
            self._seen = len(self._world.events)
        return [copy for event in events for copy in [event] * (2 if self._rng.random() < self._twice else 1)]

    def _taken(self, event: Object) -> bool:
        made = delivery(event, self._secret)
        headers = {"Stripe-Signature": made.signature, "Content-Type": "application/json; charset=utf-8"}
        try:
            status = requests.post(self._url, data=made.body, headers=headers, timeout=5).status_code
        except requests.RequestException:
            status = 0  # nobody there: sent again, as Stripe does for three days
        self.answers.append(status)
        return 200 <= status < 300
