"""The services behind all rails at once: they err by one seed, and say afterwards what they really did."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from payouts.rails.fake_server import Behaviour, FakeRailServer, Fault
from payouts.rails.global_payouts import REFERENCE
from tests.fakes import graphql_server, rail_server, stripe
from tests.fakes.all_rails import VISIBILITY, Addresses
from tests.fakes.github_sponsors import GitHubSponsors
from tests.fakes.graphql_server import GraphqlFault
from tests.fakes.opencollective import Account, Expense, OpenCollectiveServer
from tests.fakes.stripe import StripeServer, connect, global_payouts
from tests.fakes.stripe.world import Object

OPENING_CENTS = 10_000_000
RATE = 0.04


@dataclass(frozen=True)
class Happened:
    """One payment that was really made, seen by look-ups or not."""

    rail: str
    reference: str
    cents: int


def github_rail(login: str) -> str:
    """By which of the two rails to GitHub a maintainer is paid."""
    return "github_api" if "github-api" in login else "github_sponsors"


@dataclass
class Fakes:
    """The services, and the bank, where people carry payments."""

    trial: FakeRailServer
    collective: OpenCollectiveServer
    stripe: StripeServer
    github: GitHubSponsors
    rng: random.Random
    bank: dict[str, int] = field(default_factory=dict)
    """What the bank carried out, by our reference, in cents."""

    @property
    def addresses(self) -> Addresses:
        return Addresses(self.trial.url, self.collective.url, self.stripe.url, self.github.url)

    def misbehave(self, rate: float = RATE, *, turned_away: bool = False) -> None:
        """Everything that can go wrong with a call, each with this probability; what was made shows late in any case.

        `turned_away`: each service also refuses our credentials once, which stops its rail until a person starts it.
        """
        late = VISIBILITY.total_seconds() * 0.9
        faults = [Fault("401", times=1)] if turned_away else []
        faults += [Fault(kind, rate) for kind in ("cut_before", "cut_after", "500_before", "500_after")]
        faults += [Fault("429", rate, seconds=0.2)]
        self.trial.misbehave(Behaviour([*_copies(faults), Fault("slow", rate / 2, seconds=1.8)], late, 0.01))
        slow = Fault("slow", rate / 2, seconds=1.5)
        self.stripe.misbehave(Behaviour([*_copies(faults), slow, Fault("html", rate)], late))
        lost = [Fault("200_errors", rate), Fault("200_errors_after", rate), Fault("slow", rate / 2, seconds=2.4)]
        asked = [GraphqlFault(kind, rate, operation="BeforeOrder") for kind in ("cut_before", "500_after")]
        self.collective.misbehave(Behaviour([*_copies(faults), *lost, *asked], late))
        kinds, questions = ("cut_after", "500_after", "429"), ("Totals", "Activities")
        unclear = [GraphqlFault(kind, rate, operation=name) for kind in kinds for name in questions]
        payment = ("cut_before", "cut_after", "500_before", "500_after", "429")
        unclear += [GraphqlFault(kind, 2 * rate, operation="SponsorOnce") for kind in payment]  # few, and nothing proves anything
        self.github.misbehave(Behaviour(unclear))
        self.github.visible_after = timedelta(seconds=late)

    def happened(self) -> Sequence[Happened]:
        """Every payment that any of them made."""
        with self.trial.journal() as rows:
            trial = rows.execute("SELECT face, reference, amount_minor FROM transfer").fetchall()
        found = [Happened("fake" if face == "keyed" else "plain", str(key), int(cents)) for face, key, cents in trial]
        found += [Happened("opencollective", order.tags[0], order.cents) for order in self.collective.orders if order.rows]
        found += [
            Happened("opencollective_expense", str(each.custom_data["payoutKey"]), each.cents)
            for each in self.collective.expenses
            if each.rows
        ]
        transfers = [each for each in self.stripe.world.objects.values() if each["object"] == "transfer"]
        found += [Happened("stripe_connect", each["transfer_group"], each["amount"]) for each in transfers]
        outbound = [each for each in self._outbound() if each["status"] == "posted"]
        found += [Happened("global_payouts", each["metadata"][REFERENCE], each["amount"]["value"]) for each in outbound]
        found += [Happened(github_rail(each.login), each.login, each.dollars * 100) for each in self.github.payments]
        return found + [Happened("bank_file", key, cents) for key, cents in self.bank.items()]

    def balances(self) -> Mapping[str, int]:
        """What providers hold for us, by the name that its movements have in the books, in cents."""
        account = self.stripe.world.objects[global_payouts.FINANCIAL_ACCOUNT]
        return {
            "open_collective": self.collective.balance("acme-oss-fund"),
            "stripe": self.stripe.world.available("usd"),
            "stripe_financial": account["balance"]["available"]["usd"]["value"],
        }

    def go_on(self) -> None:
        """Payees, the fiscal host and banks do what they feel like doing next: submit, pay, or turn down who is called bad."""
        for expense in list(self.collective.expenses):
            if self.rng.random() < 0.5:
                self._go_on(expense)
        for payment in self._outbound():
            if payment["status"] == "processing" and self.rng.random() < 0.5:
                bad = payment["to"]["recipient"].startswith("acct_bad")
                global_payouts.settle(self.stripe.world, payment["id"], "failed" if bad else "posted")

    def _outbound(self) -> Sequence[Object]:
        with self.stripe.world.lock:
            every = list(self.stripe.world.objects.values())
        return [each for each in every if each["object"] == "v2.money_management.outbound_payment"]

    def _go_on(self, expense: Expense) -> None:
        if expense.status == "DRAFT":
            self.collective.submit(expense)
        elif expense.status == "APPROVED" and expense.payee.startswith("bad"):
            expense.status = "REJECTED"
        elif expense.status == "APPROVED":
            self.collective.host_pays(expense)


def _copies(faults: Sequence[Fault]) -> list[Fault]:
    """Each service counts its own."""
    return [replace(fault) for fault in faults]


@contextmanager
def serving(shared: Path, folder: Path, *, seed: int, collectives: Sequence[str], people: Sequence[str]) -> Iterator[Fakes]:
    """All of them, with enough money, and with these payees at Open Collective."""
    schemas = shared / "schemas"
    with ExitStack() as stack:
        collective = OpenCollectiveServer(schemas / "opencollective-v2.graphql", balance_cents=OPENING_CENTS, seed=seed)
        collective.requests_max, collective.draft_pause_seconds = 1_000_000, 0.0
        collective.accounts |= {slug: Account(slug) for slug in collectives}
        collective.accounts |= {slug: Account(slug, "INDIVIDUAL", host=None) for slug in people}
        made = Fakes(
            trial=stack.enter_context(rail_server.serving(folder / "trial.sqlite", seed=seed)),
            collective=stack.enter_context(graphql_server.serving(collective)),
            stripe=stack.enter_context(stripe.serving(seed=seed)),
            github=stack.enter_context(graphql_server.serving(GitHubSponsors(schemas / "github.graphql"))),
            rng=random.Random(seed),
        )
        made.stripe.world.top_up(OPENING_CENTS)
        global_payouts.financial_account(made.stripe.world, OPENING_CENTS)
        yield made


def stripe_account(fakes: Fakes, rail: str, account_id: str) -> None:
    """A payee who finished onboarding."""
    made = connect.connected_account if rail == "stripe_connect" else global_payouts.recipient
    made(fakes.stripe.world, account_id=account_id)
