"""How money leaves: one module per rail behind one Protocol. Here is which of them this installation has."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from core.config import Environment, settings
from payouts.rails.bank_file import BankFileRail
from payouts.rails.base import Rail
from payouts.rails.fake import FakeRail, address_file
from payouts.rails.github_sponsors import GitHubSponsorsRail
from payouts.rails.github_sponsors_api import GitHubSponsorsApiRail
from payouts.rails.manual import ManualRail
from payouts.rails.opencollective import OpenCollectiveRail
from payouts.rails.opencollective_expenses import OpenCollectiveExpenseRail


def configured() -> Mapping[str, Rail]:
    """Every rail of this installation by name: those that are set up, and the trial rail outside production.

    Raises:
        InvalidInput: a rail's settings can't be used; says which.
    """
    rails: list[Rail] = [BankFileRail(), ManualRail()]
    rails.extend(_open_collective())
    key = settings().pledgeworks_stripe_key
    if key is not None:
        known = settings()
        rails += _stripe(key.get_secret_value(), known.pledgeworks_stripe_financial_account, known.pledgeworks_stripe_url)
    sponsors = github()
    if sponsors is not None:
        rails.append(sponsors)
    if settings().pledgeworks_env is not Environment.PRODUCTION:
        rails.append(_trial())
    return {rail.name: rail for rail in rails}


def missing_settings() -> Mapping[str, Sequence[str]]:
    """The rails this installation could have and has not, with the settings each lacks."""
    known = settings()
    open_collective = {
        "PLEDGEWORKS_OPENCOLLECTIVE_TOKEN": known.pledgeworks_opencollective_token,
        "PLEDGEWORKS_OPENCOLLECTIVE_FUND": known.pledgeworks_opencollective_fund,
    }
    github_sponsors = {
        "PLEDGEWORKS_GITHUB_TOKEN": known.pledgeworks_github_token,
        "PLEDGEWORKS_GITHUB_SPONSOR": known.pledgeworks_github_sponsor,
    }
    wanted: Mapping[str, Mapping[str, object]] = {
        OpenCollectiveRail.name: open_collective,
        OpenCollectiveExpenseRail.name: open_collective,
        "stripe_connect": {"PLEDGEWORKS_STRIPE_KEY": known.pledgeworks_stripe_key},
        "global_payouts": {
            "PLEDGEWORKS_STRIPE_KEY": known.pledgeworks_stripe_key,
            "PLEDGEWORKS_STRIPE_FINANCIAL_ACCOUNT": known.pledgeworks_stripe_financial_account,
        },
        GitHubSponsorsRail.name: github_sponsors,
    }
    lacking = {rail: [name for name, value in needed.items() if not value] for rail, needed in wanted.items()}
    return {rail: names for rail, names in lacking.items() if names}


def github() -> GitHubSponsorsRail | None:
    """The rail over GitHub, if the sponsoring organisation and a token are set."""
    known = settings()
    if not known.pledgeworks_github_sponsor or not known.pledgeworks_github_token:
        return None
    token = known.pledgeworks_github_token.get_secret_value()
    kind = GitHubSponsorsApiRail if known.pledgeworks_github_mutations else GitHubSponsorsRail
    return kind(known.pledgeworks_github_sponsor, token, address=lambda: known.pledgeworks_github_url)


def _open_collective() -> Iterator[Rail]:
    known = settings()
    if known.pledgeworks_opencollective_token and known.pledgeworks_opencollective_fund:
        token = known.pledgeworks_opencollective_token.get_secret_value()
        yield from _kept(known.pledgeworks_opencollective_url, token, known.pledgeworks_opencollective_fund)


@lru_cache(maxsize=1)
def _kept(address: str, token: str, fund: str) -> Sequence[Rail]:
    """The same for the whole process: they remember how long the service wants to be left alone."""
    return [OpenCollectiveRail(address, token, fund=fund), OpenCollectiveExpenseRail(address, token, fund=fund)]


@lru_cache(maxsize=1)
def _stripe(key: str, financial_account: str | None, api_base: str | None) -> Sequence[Rail]:
    # Half a second to import, and only where there is a key.
    from payouts.rails.global_payouts import GlobalPayoutsRail
    from payouts.rails.stripe_connect import StripeConnectRail

    connect = StripeConnectRail(key, api_base=api_base)
    return [connect, GlobalPayoutsRail(key, financial_account, api_base=api_base)] if financial_account else [connect]


@lru_cache(maxsize=1)
def _trial() -> Rail:
    # The same for the whole process: its connection stays open from one payment to the next.
    return FakeRail(_trial_address)


def _trial_address() -> str | None:
    try:
        return address_file(settings().data_folder).read_text().strip() or None
    except FileNotFoundError:
        return None
