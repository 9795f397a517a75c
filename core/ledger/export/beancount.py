"""The ledger for beancount; `bean-check` accepts it (2.3 and 3.2).

Every account is opened with its one commodity, so that bean-check refuses a posting of another. A balance counts at the start
of its day: the closing ones stand a day after the last entry, without the tolerance of a cent that it else allows.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from core.ledger.export.plaintext import GPU_NOTE, book, one_line
from core.ledger.units import is_gpu_time


def write(session: Session, *, now: datetime) -> Iterator[str]:
    """The ledger as a beancount file."""
    ledger = book(session, now=now)
    names = account_names([account.code for account in ledger.accounts])
    yield 'option "title" "Pledgeworks ledger"\n'
    if any(is_gpu_time(account.commodity) for account in ledger.accounts):
        yield f"; {GPU_NOTE}\n"
    yield "\n"
    for account in ledger.accounts:
        yield f'{account.opened_on} open {names[account.code]} {account.commodity}\n  code: "{account.code}"\n'
    for entry in ledger.entries():
        yield f"\n{entry.on} * {_string(entry.kind)} {_string(entry.memo)}\n"
        yield f'  seq: {entry.seq}\n  key: {_string(entry.key)}\n  hash: "{entry.hash}"\n'
        for code, units, commodity in entry.postings:
            yield f"  {names[code]}  {ledger.amount(units, commodity)} {commodity}\n"
    yield "\n"
    for account in ledger.accounts:
        amount = ledger.amount(account.posted, account.commodity)
        yield f"{ledger.closing_on} balance {names[account.code]}  {amount} ~ 0 {account.commodity}\n"


def account_names(codes: Sequence[str]) -> dict[str, str]:
    """Account codes as beancount wants them: `assets:bank:usd` → `Assets:Bank:Usd`, only letters, digits and dashes.

    Codes that would fall together (`a.b` and `a-b`) each get a piece of their hash.
    """
    plain = {code: ":".join(_part(part) for part in code.split(":")) for code in codes}
    count = Counter(plain.values())
    return {
        code: name if count[name] == 1 else f"{name}-{hashlib.sha256(code.encode()).hexdigest()[:8]}"
        for code, name in plain.items()
    }


def _part(part: str) -> str:
    slug = re.sub(r"[^a-z0-9-]", "-", part)
    return slug[:1].upper() + slug[1:]


def _string(text: str) -> str:
    escaped = one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
