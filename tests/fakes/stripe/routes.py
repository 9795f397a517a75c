"""Endpoints by method and path, as Stripe's OpenAPI writes the path."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes.stripe.world import Object, Parameters, World

Endpoint = Callable[..., Object]


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    """Such as `/v1/transfers/{id}/reversals`."""
    endpoint: Endpoint

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def match(self, method: str, path: str) -> dict[str, str] | None:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found and method == self.method else None

    def run(self, world: World, base: str, given: Parameters, ids: dict[str, str]) -> Object:
        return self.endpoint(world, given, base=base, **ids)


ROUTES: list[Route] = []


def route(method: str, path: str) -> Callable[[Endpoint], Endpoint]:
    def register(endpoint: Endpoint) -> Endpoint:
        ROUTES.append(Route(method, path, endpoint))
        return endpoint

    return register
