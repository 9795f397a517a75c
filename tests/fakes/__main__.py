"""`python -m tests.fakes SCHEMAS`: Stripe, Open Collective and GitHub Sponsors as stand-ins on this machine, for people.

SCHEMAS is a folder with the two providers' GraphQL schemas, `opencollective-v2.graphql` and `github.graphql`; a stand-in whose
schema is not there is left out, and without a folder there is Stripe alone. It prints the settings that point the rails here.
"""

import argparse
import threading
from pathlib import Path

from tests.fakes.github_sponsors import TOKEN as GITHUB_TOKEN
from tests.fakes.github_sponsors import GitHubSponsors, Maintainer
from tests.fakes.graphql_server import GraphqlServer
from tests.fakes.opencollective import FUND, TOKEN
from tests.fakes.opencollective_host import HOST_TOKEN, OpenCollectiveWithHost
from tests.fakes.stripe import StripeServer, global_payouts
from tests.fakes.stripe.server import KEY

BALANCE_CENTS = 2_000_000
FUND_CENTS = 1_200_000


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes", description="Stand-ins of the payment services.")
    parser.add_argument("schemas", type=Path, nargs="?", help="Folder with opencollective-v2.graphql and github.graphql.")
    parser.add_argument("--port", type=int, default=8421, help="Of Stripe; the others take the next two. 0: any.")
    wanted = parser.parse_args()
    servers = [_stripe(wanted.port), *_graphql(wanted.schemas, wanted.port)]
    threads = [threading.Thread(target=each.serve_forever, daemon=True) for each in servers]
    for each in threads:
        each.start()
    try:
        threads[0].join()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how it is meant to end
    finally:
        for server in servers:
            server.server_close()


def _stripe(port: int) -> StripeServer:
    server = StripeServer(port=port)
    server.world.available_after = dict.fromkeys(("card", "us_bank_account", "customer_balance"), 10)
    for currency in ("usd", "eur"):
        server.world.top_up(BALANCE_CENTS, currency)
        global_payouts.financial_account(server.world, BALANCE_CENTS, currency)
    print(f"export PLEDGEWORKS_STRIPE_KEY={KEY} PLEDGEWORKS_STRIPE_URL={server.url}")
    print(f"export PLEDGEWORKS_STRIPE_FINANCIAL_ACCOUNT={global_payouts.FINANCIAL_ACCOUNT}")
    print(f"#   what the banks do: {server.url}/_stand_in/money", flush=True)
    return server


def _graphql(schemas: Path | None, port: int) -> list[GraphqlServer]:
    made: list[GraphqlServer] = []
    if schemas is not None and (schemas / "opencollective-v2.graphql").exists():
        schema = schemas / "opencollective-v2.graphql"
        collective = OpenCollectiveWithHost(schema, balance_cents=0, port=port and port + 1)
        collective.add_funds(FUND_CENTS)  # with ledger rows, so that it can be booked as coming from our bank
        print(f"export PLEDGEWORKS_OPENCOLLECTIVE_URL={collective.url} PLEDGEWORKS_OPENCOLLECTIVE_FUND={FUND}")
        print(f"export PLEDGEWORKS_OPENCOLLECTIVE_TOKEN={TOKEN}")
        print(f"export PLEDGEWORKS_OPENCOLLECTIVE_HOST_TOKEN={HOST_TOKEN}")
        print(f"#   what payees and the host do: {collective.desk}", flush=True)
        made.append(collective)
    if schemas is not None and (schemas / "github.graphql").exists():
        github = GitHubSponsors(schemas / "github.graphql", port=port and port + 2)
        github.add(Maintainer("ada"), Maintainer("grace"), Maintainer("linus", minimum=50))
        print(f"export PLEDGEWORKS_GITHUB_URL={github.url} PLEDGEWORKS_GITHUB_SPONSOR={github.sponsor}")
        print(f"export PLEDGEWORKS_GITHUB_TOKEN={GITHUB_TOKEN}")
        print(f"#   where files are uploaded: {github.desk}", flush=True)
        made.append(github)
    return made


if __name__ == "__main__":
    main()
