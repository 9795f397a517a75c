"""`python -m tests.fakes.stripe [--port 8421] [--balance 20000] [--webhook URL]`: the stand-in by hand, as the how-tos use it."""

import argparse

from tests.fakes.stripe import global_payouts
from tests.fakes.stripe.server import KEY, StripeServer
from tests.fakes.stripe.webhooks import SECRET, Deliverer


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.stripe", description="A stand-in of Stripe on this machine.")
    parser.add_argument("--port", type=int, default=8421)
    parser.add_argument("--balance", type=int, default=20_000, help="Dollars, and as many euros, in each place of ours.")
    parser.add_argument("--webhook", help="Where notices go, such as http://127.0.0.1:8000/api/v1/webhooks/stripe.")
    parser.add_argument("--usable-after", type=int, default=10, help="Seconds until money that came in may be used.")
    wanted = parser.parse_args()
    server = StripeServer(port=wanted.port)
    server.world.available_after = dict.fromkeys(("card", "us_bank_account", "customer_balance"), wanted.usable_after)
    for currency in ("usd", "eur"):
        server.world.top_up(wanted.balance * 100, currency)
        global_payouts.financial_account(server.world, wanted.balance * 100, currency)
    print(f"export PLEDGEWORKS_STRIPE_KEY={KEY} PLEDGEWORKS_STRIPE_URL={server.url}")
    print(f"export PLEDGEWORKS_STRIPE_FINANCIAL_ACCOUNT={global_payouts.FINANCIAL_ACCOUNT}", flush=True)
    if wanted.webhook:
        print(f"export PLEDGEWORKS_STRIPE_WEBHOOK_SECRETS={SECRET}", flush=True)
        Deliverer(server.world, wanted.webhook).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how it is meant to end
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
