"""Would another version of Stripe's library still take what we send? Run in a process of its own, with that version in front.

    PYTHONPATH=stripe-17.0.0-py3-none-any.whl:. python -m tests.fakes.stripe.newest < requests.json

Reads a list of [endpoint, parameters] and writes the version and what its types refuse, both as JSON.
"""

import json
import sys

import stripe
from tests.fakes.stripe import contract


def main() -> None:
    """From standard input to standard output."""
    wrong = [sentence for endpoint, given in json.load(sys.stdin) for sentence in contract.wrong_for_library(endpoint, given)]
    json.dump({"version": stripe.VERSION, "from": stripe.__file__, "wrong": sorted(set(wrong))}, sys.stdout)


if __name__ == "__main__":
    main()
