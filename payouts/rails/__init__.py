"""How money leaves: one module per rail behind one Protocol. Here is which of them this installation has."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from core.config import Environment, settings
from payouts.rails.bank_file import BankFileRail
from payouts.rails.base import Rail
from payouts.rails.fake import FakeRail, address_file
from payouts.rails.manual import ManualRail
from payouts.rails.opencollective import OpenCollectiveRail
from payouts.rails.opencollective_expenses import OpenCollectiveExpenseRail


def configured() -> Mapping[str, Rail]:
    """Every rail of this installation by name. The trial rail exists outside production only.

    Raises:
        InvalidInput: a rail's settings can't be used; says which.
    """
    rails: list[Rail] = [BankFileRail(), ManualRail()]
    rails.extend(_open_collective())
    if settings().pledgeworks_env is not Environment.PRODUCTION:
        rails.append(FakeRail(_trial_address))
    return {rail.name: rail for rail in rails}


def missing_settings() -> Mapping[str, Sequence[str]]:
    """The rails this installation could have and has not, with the settings each lacks."""
    known = settings()
    wanted = {
        "PLEDGEWORKS_OPENCOLLECTIVE_TOKEN": known.pledgeworks_opencollective_token,
        "PLEDGEWORKS_OPENCOLLECTIVE_FUND": known.pledgeworks_opencollective_fund,
    }
    lacking = [name for name, value in wanted.items() if not value]
    return dict.fromkeys((OpenCollectiveRail.name, OpenCollectiveExpenseRail.name), lacking) if lacking else {}


def _open_collective() -> Iterator[Rail]:
    known = settings()
    if known.pledgeworks_opencollective_token and known.pledgeworks_opencollective_fund:
        token = known.pledgeworks_opencollective_token.get_secret_value()
        yield from _kept(known.pledgeworks_opencollective_url, token, known.pledgeworks_opencollective_fund)


@lru_cache(maxsize=1)
def _kept(address: str, token: str, fund: str) -> Sequence[Rail]:
    """The same for the whole process: they remember how long the service wants to be left alone."""
    return [OpenCollectiveRail(address, token, fund=fund), OpenCollectiveExpenseRail(address, token, fund=fund)]


def _trial_address() -> str | None:
    try:
        return address_file(settings().data_folder).read_text().strip() or None
    except FileNotFoundError:
        return None
