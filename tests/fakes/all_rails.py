"""Every rail of the platform at once, each with a service of its own on loopback. What worker processes get is `Addresses`.

The real waits are minutes and hours. Here they are seconds, in the proportions that the engine's rules ask for: a call ends
before its lease, and a look-up is believed when lease and visibility are over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from payouts.policies import Rules
from payouts.rails import github_sponsors_api, global_payouts, opencollective, opencollective_expenses, stripe_payees
from payouts.rails.bank_file import BankFileRail
from payouts.rails.base import Rail
from payouts.rails.fake import FakeRail
from payouts.rails.github_sponsors import GitHubSponsorsRail
from payouts.rails.github_sponsors_api import GitHubSponsorsApiRail
from payouts.rails.global_payouts import GlobalPayoutsRail
from payouts.rails.manual import ManualRail
from payouts.rails.opencollective import OpenCollectiveRail
from payouts.rails.opencollective_expenses import OpenCollectiveExpenseRail
from payouts.rails.stripe_connect import StripeConnectRail
from payouts.services import claims
from tests.fakes import github_sponsors as github
from tests.fakes import opencollective as collective
from tests.fakes.chaos_worker import weakened
from tests.fakes.stripe.global_payouts import FINANCIAL_ACCOUNT

VISIBILITY = timedelta(seconds=1)
SOON = timedelta(seconds=0.3)
RULES = Rules(lease=timedelta(seconds=7), quiescence=timedelta(seconds=1), pause=SOON, attempts_max=50)
STRIPE_KEY = "sk_test_stand_in_of_stripe"


class GitHubApiRail(GitHubSponsorsApiRail):
    """GitHub by its API beside GitHub by files, and in a hurry; an installation has one of the two."""

    name = "github_api"
    capabilities = replace(GitHubSponsorsApiRail.capabilities, visibility=VISIBILITY)


@dataclass(frozen=True)
class Addresses:
    """Where each service listens."""

    trial: str
    open_collective: str
    stripe: str
    github: str
    rules: Rules = RULES

    def rails(self, weak: str | None = None) -> Mapping[str, Rail]:
        """New clients of all of them, in a hurry."""
        claims.TURN_PAUSE = claims.UNANSWERED_PAUSE = SOON
        opencollective.ORDERED_AGAIN_AFTER = opencollective_expenses.ORDERED_AGAIN_AFTER = SOON
        opencollective_expenses.LOOK_AGAIN = opencollective_expenses.DRAFTS_EVERY = SOON
        stripe_payees.WAIT_FOR_STRIPE = global_payouts.LOOK_AGAIN = SOON
        github_sponsors_api.LOOK_AGAIN = github_sponsors_api.ASKED_AGAIN_AFTER = SOON
        short, longer = timedelta(seconds=3), timedelta(seconds=4.8)
        fund, token = collective.FUND, collective.TOKEN
        made: list[Rail] = [
            FakeRail(lambda: self.trial, timeout=short, visibility=VISIBILITY),
            FakeRail(lambda: self.trial, name="plain", idempotent=False, timeout=short, visibility=VISIBILITY),
            OpenCollectiveRail(self.open_collective, token, fund=fund, timeout=longer, visibility=VISIBILITY),
            OpenCollectiveExpenseRail(self.open_collective, token, fund=fund, timeout=longer, visibility=VISIBILITY),
            StripeConnectRail(STRIPE_KEY, api_base=self.stripe, timeout=longer, visibility=VISIBILITY),
            GlobalPayoutsRail(STRIPE_KEY, FINANCIAL_ACCOUNT, api_base=self.stripe, timeout=longer, visibility=VISIBILITY),
            GitHubSponsorsRail("acme", github.TOKEN, address=lambda: self.github),
            GitHubApiRail("acme", github.TOKEN, address=lambda: self.github, timeout=longer),
            BankFileRail(),
            ManualRail(),
        ]
        return {rail.name: weakened(rail, weak) for rail in made}
