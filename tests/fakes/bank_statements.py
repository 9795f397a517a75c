"""Statements as banks write them, for tests."""

from collections.abc import Sequence
from dataclasses import dataclass

IBAN = "DE89370400440532013000"


@dataclass(frozen=True)
class Ntry:
    """One entry of a made-up statement."""

    amount: str
    text: str = ""
    sign: str = "CRDT"
    day: str = "2026-11-01"
    reference: str = ""
    end_to_end: str = "NOTPROVIDED"
    who: str = "Acme Inc."
    status: str = "BOOK"
    details: str | None = None
    currency: str = "USD"


def camt(
    entries: Sequence[Ntry],
    *,
    version: str = "08",
    name: str = "2026-44",
    account: str = IBAN,
    currency: str = "USD",
    opening: str | None = "0.00",
    closing: str | None = None,
) -> bytes:
    """A camt.053 document of the given version; version 02 says states, names and parties in its own way."""
    old = int(version) < 8
    first, last = min(entry.day for entry in entries), max(entry.day for entry in entries)
    body = "".join(_entry(entry, old=old) for entry in entries)
    balances = ""
    if opening is not None:
        cents = round(float(opening) * 100) + sum(
            (1 if entry.sign == "CRDT" else -1) * round(float(entry.amount) * 100) for entry in entries if entry.status == "BOOK"
        )
        ending = closing if closing is not None else f"{cents / 100:.2f}"
        balances = _balance("OPBD", opening, currency) + _balance("CLBD", ending, currency)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt>'
        "<GrpHdr><MsgId>M1</MsgId></GrpHdr>"
        f"<Stmt><Id>{name}</Id><FrToDt><FrDtTm>{first}T00:00:00</FrDtTm><ToDtTm>{last}T23:59:59</ToDtTm></FrToDt>"
        f"<Acct><Id><IBAN>{account}</IBAN></Id><Ccy>{currency}</Ccy></Acct>{balances}{body}</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def _balance(kind: str, amount: str, currency: str) -> str:
    sign = "DBIT" if amount.startswith("-") else "CRDT"
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy='{currency}'>{amount.lstrip('-')}</Amt>"
        f"<CdtDbtInd>{sign}</CdtDbtInd><Dt><Dt>2026-11-01</Dt></Dt></Bal>"
    )


def _entry(entry: Ntry, *, old: bool) -> str:
    party = "Dbtr" if entry.sign == "CRDT" else "Cdtr"
    name = f"<Nm>{entry.who}</Nm>" if old else f"<Pty><Nm>{entry.who}</Nm></Pty>"
    details = entry.details if entry.details is not None else (
        f"<TxDtls><Refs><EndToEndId>{entry.end_to_end}</EndToEndId></Refs>"
        f"<RltdPties><{party}>{name}</{party}><{party}Acct><Id><IBAN>GB33BUKB20201555555555</IBAN></Id></{party}Acct></RltdPties>"
        f"<RmtInf><Ustrd>{entry.text}</Ustrd></RmtInf></TxDtls>"
    )  # fmt: skip
    status = entry.status if old else f"<Cd>{entry.status}</Cd>"
    reference = f"<AcctSvcrRef>{entry.reference}</AcctSvcrRef>" if entry.reference else ""
    return (
        f"<Ntry><Amt Ccy='{entry.currency}'>{entry.amount}</Amt><CdtDbtInd>{entry.sign}</CdtDbtInd><Sts>{status}</Sts>"
        f"<BookgDt><Dt>{entry.day}</Dt></BookgDt><ValDt><Dt>{entry.day}</Dt></ValDt>{reference}"
        f"<NtryDtls>{details}</NtryDtls></Ntry>"
    )
