"""Keeping what each provider says it holds for us, day by day, beside what the ledger says and what the lists explain.

The lists compare movement by movement; this compares what is left. A difference that no list explains is a movement nobody told.
It stands among the differences itself (held.py), and a month is not closed with it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core import ledger
from core.books import held, reconciliation
from core.books.models import OutsideMovement, ProviderBalance, Side, Subject
from core.books.queries import touches_provider
from core.db import new_id
from core.money import Money


def keep(session: Session, provider: str, told: Iterable[Money], *, now: datetime) -> Sequence[ProviderBalance]:
    """Keep what a provider told beside what the ledger has now; asked again on the same day, the newer answer stays.

    A currency that neither names any more is told to be nothing: its row of before would else be the newest for good.
    """
    there = {each.currency: each.amount_minor for each in told}
    here = _in_ledger(session, provider)
    lists = _in_lists(session, provider)
    before = {each.currency for each in held.latest(session) if each.provider == provider}
    rows = [
        {"id": new_id(), "provider": provider, "on": now.date(), "currency": currency, "there_minor": there.get(currency, 0),
         "ledger_minor": here.get(currency, 0), "lists_minor": lists.get(currency, 0), "asked_at": now}
        for currency in sorted(there.keys() | here.keys() | lists.keys() | before)
    ]  # fmt: skip
    if rows:
        made = insert(ProviderBalance).values(rows)
        newer = {name: made.excluded[name] for name in ("there_minor", "ledger_minor", "lists_minor", "asked_at")}
        session.execute(made.on_conflict_do_update(index_elements=["provider", "on", "currency"], set_=newer))
    return [each for each in held.latest(session) if each.provider == provider]


def _in_ledger(session: Session, provider: str) -> dict[str, int]:
    """What we have there less what we owe there: a provider knows one balance."""
    found: dict[str, int] = {}
    for side, sign in (("assets", 1), ("liabilities", -1)):
        for each in ledger.balances(session, f"{side}:rail:{provider}"):
            found[each.commodity] = found.get(each.commodity, 0) + sign * each.posted
    return found


def _in_lists(session: Session, provider: str) -> dict[str, int]:
    """What the provider should hold more than the ledger has, by what stands in the lists, and by what was posted elsewhere."""
    elsewhere = session.execute(
        select(OutsideMovement.currency, func.sum(OutsideMovement.amount_minor))
        .where(
            OutsideMovement.provider == provider,
            OutsideMovement.entry_id.is_not(None),
            ~touches_provider(OutsideMovement.entry_id),
        )
        .group_by(OutsideMovement.currency)
    )
    found = {currency: int(total) for currency, total in elsewhere}
    for item in reconciliation.differences(session):
        is_of_it = item.where in {provider, f"provider {provider}"}
        if not is_of_it or item.subject in {Subject.BANK_LINE, Subject.PROVIDER_BALANCE}:
            continue
        signed = -item.money.amount_minor if item.side is Side.MISSING_THERE else item.money.amount_minor
        found[item.money.currency] = found.get(item.money.currency, 0) + signed
    return found
