"""`python -m tests.fakes.stripe [--port 8421] [--balance 50000]`: the stand-in by hand, as the how-to uses it."""

import argparse

from tests.fakes.stripe.server import KEY, StripeServer


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.stripe", description="A stand-in of Stripe on this machine.")
    parser.add_argument("--port", type=int, default=8421)
    parser.add_argument("--balance", type=int, default=50_000, help="Dollars, and as many euros, in our Stripe balance.")
    wanted = parser.parse_args()
    server = StripeServer(port=wanted.port)
    for currency in ("usd", "eur"):
        server.world.top_up(wanted.balance * 100, currency)
    print(f"export PLEDGEWORKS_STRIPE_KEY={KEY} PLEDGEWORKS_STRIPE_URL={server.url}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how it is meant to end
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
