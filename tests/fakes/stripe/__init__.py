"""A stand-in of Stripe: a real HTTP server on loopback that keeps state and errs on request.

`server` speaks HTTP and v1 idempotency, `world` keeps the objects, `connect` and `balances` are the endpoints, `contract`
holds every request and answer against Stripe's own OpenAPI and against the library's typed parameters. What it can't prove,
because no Stripe server was ever asked, is listed in docs/how-to/pay-by-stripe.md. By hand: `python -m tests.fakes.stripe`.
"""

from tests.fakes.stripe.server import Fault, StripeServer, serving
from tests.fakes.stripe.world import World

__all__ = ["Fault", "StripeServer", "World", "serving"]
