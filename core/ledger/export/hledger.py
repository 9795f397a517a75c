"""The ledger for hledger; `hledger check -s ordereddates accounts commodities balancednoautoconversion` accepts it.

Without balancednoautoconversion, an entry with two commodities would pass as an exchange at an implied price.
"""

import re
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.orm import Session

from core.ledger.export.plaintext import GPU_NOTE, book, one_line


def write(session: Session, *, now: datetime) -> Iterator[str]:
    """The ledger as an hledger journal."""
    ledger = book(session, now=now)
    yield f"; Pledgeworks ledger\n; {GPU_NOTE}\n\ndecimal-mark .\n\n"
    for commodity, scale in ledger.scales.items():
        yield f"commodity 1000.{'0' * scale} {_quoted(commodity)}\n"
    yield "\n"
    for account in ledger.accounts:
        yield f"account {account.code}\n"
    for entry in ledger.entries():
        yield f"\n{entry.on} * ({entry.seq}) {_description(entry.kind, entry.memo)}\n"
        yield f"  ; seq: {entry.seq}\n  ; key: {one_line(entry.key)}\n  ; hash: {entry.hash}\n"
        for code, units, commodity in entry.postings:
            yield f"  {code}  {ledger.amount(units, commodity)} {_quoted(commodity)}\n"
    if ledger.accounts:
        yield f"\n{ledger.closing_on} * closing balances\n"
    for account in ledger.accounts:
        commodity = _quoted(account.commodity)
        zero, closing = ledger.amount(0, account.commodity), ledger.amount(account.posted, account.commodity)
        yield f"  {account.code}  {zero} {commodity} = {closing} {commodity}\n"


def _quoted(commodity: str) -> str:
    """hledger takes bare letters only."""
    return commodity if re.fullmatch("[A-Z]+", commodity) else f'"{commodity}"'


def _description(kind: str, memo: str) -> str:
    """Payee and note; a semicolon would begin a comment."""
    return " | ".join(one_line(part).replace(";", ",").replace("|", "/") for part in (kind, memo) if part.strip())
