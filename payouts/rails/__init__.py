"""How money leaves: one module per rail behind one Protocol. Here is which of them this installation has."""

from collections.abc import Mapping

from core.config import Environment, settings
from payouts.rails.bank_file import BankFileRail
from payouts.rails.base import Rail
from payouts.rails.fake import FakeRail, address_file
from payouts.rails.manual import ManualRail


def configured() -> Mapping[str, Rail]:
    """Every rail of this installation by name. The trial rail exists outside production only."""
    rails: list[Rail] = [BankFileRail(), ManualRail()]
    if settings().pledgeworks_env is not Environment.PRODUCTION:
        rails.append(FakeRail(_trial_address))
    return {rail.name: rail for rail in rails}


def _trial_address() -> str | None:
    try:
        return address_file(settings().data_folder).read_text().strip() or None
    except FileNotFoundError:
        return None
