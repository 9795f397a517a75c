"""ISO 20022 bank-to-customer statements (camt.053.001.01 and later), as banks write them: versions differ in where things lie.

Read is what matching needs. Where version 2 has `Sts`, `Nm` and amounts in `AmtDtls`, later ones have `Sts/Cd`, `Pty/Nm` and
`TxDtls/Amt`; both are looked for, whatever the namespace says.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from xml.etree.ElementTree import Element

from core.books.models import Direction, StatementFormat
from core.books.parsed import LINES_MAX, ParsedLine, ParsedStatement, StatementUnreadable, one_line, reference
from core.books.xml import read_xml
from core.errors import InvalidInput
from core.money import Money

NAMESPACE = re.compile(r"urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.\d\d")
AMOUNT = re.compile(r"[0-9]{1,18}(\.[0-9]{1,5})?")
DIRECTIONS = {"CRDT": Direction.IN, "DBIT": Direction.OUT}


def read_camt(content: bytes) -> list[ParsedStatement]:
    """Every statement of the file: all of it, or nothing.

    Raises:
        StatementUnreadable: says where the first thing lies that can't be read.
    """
    root = read_xml(content)
    namespace = root.tag[1:].partition("}")[0] if root.tag.startswith("{") else ""
    if not NAMESPACE.fullmatch(namespace) or _name(root) != "Document":
        raise StatementUnreadable(
            f"This is XML, but no camt.053 statement (its namespace is “{namespace[:80]}”). Ask the bank for camt.053; "
            "camt.052 and camt.054 are other messages.",
            field="file",
        )
    # Elements of other namespaces (supplementary data) keep theirs, and are not found by the plain names below.
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{namespace}}}")
    statements = [_statement(number, found) for number, found in enumerate(root.iterfind("BkToCstmrStmt/Stmt"), start=1)]
    if not statements:
        raise StatementUnreadable("The file holds no statement.", field="file")
    return statements


def _statement(number: int, found: Element) -> ParsedStatement:
    where = f"Statement {number}"
    name = one_line(found.findtext("Id"), 140)
    account = _account_number(found.find("Acct/Id"))
    if name is None or account is None:
        raise StatementUnreadable(f"{where}: it lacks its Id or its account.", field="file")
    currency = _currency(found, where)
    lines: list[ParsedLine] = []
    not_booked = 0
    for entry_number, entry in enumerate(found.iterfind("Ntry"), start=1):
        here = f"{where} ({name}), entry {entry_number}"
        if (entry.findtext("Sts/Cd") or entry.findtext("Sts") or "").strip() != "BOOK":
            not_booked += 1
            continue
        lines += _lines(entry, len(lines), currency, here)
        if len(lines) > LINES_MAX:
            raise StatementUnreadable(
                f"{where}: more than {LINES_MAX:,} lines; ask the bank for shorter statements.", field="file"
            )
    opening, closing = _balances(found, currency, where)
    days = [line.booked_on for line in lines]
    parsed = ParsedStatement(
        format=StatementFormat.CAMT,
        account=account,
        currency=currency,
        name=name,
        lines=lines,
        not_booked=not_booked,
        opening=opening,
        closing=closing,
        from_on=min([*days, *_day_of(found, "FrToDt/FrDtTm", "FrToDt/FrDt")], default=None),
        until_on=max([*days, *_day_of(found, "FrToDt/ToDtTm", "FrToDt/ToDt")], default=None),
    )
    if opening is not None and closing is not None and opening + parsed.change != closing:
        raise StatementUnreadable(
            f"{where} ({name}) does not add up: it opens with {opening}, its lines come to {parsed.change}, and it closes with "
            f"{closing}. A part of it is missing; ask the bank for the whole statement.",
            field="file",
        )
    return parsed


def _lines(entry: Element, before: int, currency: str, where: str) -> Iterator[ParsedLine]:
    """One line, or one for each transaction of a collective booking that names the amount of each."""
    whole, direction = _amount(entry.find("Amt"), currency, where), _direction(entry, where)
    booked_on = _day(entry, "BookgDt", where) or _day(entry, "ValDt", where)
    if booked_on is None:
        raise StatementUnreadable(f"{where}: it has no day of booking.", field="file")
    value_on = _day(entry, "ValDt", where)
    entry_reference = reference(entry.findtext("AcctSvcrRef")) or reference(entry.findtext("NtryRef"))
    details = entry.findall("NtryDtls/TxDtls")
    parts = _parts(details, whole, direction, currency, where)
    if not whole:
        return  # an entry over nothing is the bank's way to tell something
    for number, (part, details_of, way) in enumerate(parts, start=1):
        party = "Dbtr" if way is Direction.IN else "Cdtr"
        yield ParsedLine(
            position=before + number,
            booked_on=booked_on,
            value_on=value_on,
            direction=way,
            money=part,
            bank_reference=next((found for each in details_of if (found := reference(each.findtext("Refs/AcctSvcrRef")))), None)
            or entry_reference,
            end_to_end=next((found for each in details_of if (found := reference(each.findtext("Refs/EndToEndId")))), None),
            counterparty=_first(details_of, f"RltdPties/{party}/Pty/Nm", f"RltdPties/{party}/Nm"),
            counterparty_account=_account_number(
                next((there for each in details_of if (there := each.find(f"RltdPties/{party}Acct/Id")) is not None), None)
            ),
            text=_text(entry, details_of, alone=len(parts) == 1),
        )


Part = tuple[Money, Sequence[Element], Direction]


def _parts(details: Sequence[Element], whole: Money, direction: Direction, currency: str, where: str) -> list[Part]:
    together: list[Part] = [(whole, details, direction)]
    if len(details) < 2:
        return together
    parts: list[Part] = []
    for each in details:
        amount = each.find("Amt") if each.find("Amt") is not None else each.find("AmtDtls/TxAmt/Amt")
        if amount is None or amount.get("Ccy") != currency:
            return together
        money, way = (
            _amount(amount, currency, where),
            _direction(each, where) if each.find("CdtDbtInd") is not None else direction,
        )
        if not money:
            return together
        parts.append((money, [each], way))
    total = sum((money if way is direction else -money for money, _, way in parts), Money(0, currency))
    return parts if total == whole else together


def _text(entry: Element, details: Sequence[Element], *, alone: bool) -> str:
    paths = ("RmtInf/Ustrd", "RmtInf/Strd/CdtrRefInf/Ref", "RmtInf/Strd/AddtlRmtInf", "AddtlTxInf")
    texts = [found.text for each in details for path in paths for found in each.iterfind(path)]
    if alone:
        texts.append(entry.findtext("AddtlNtryInf"))
    if (entry.findtext("RvslInd") or "").strip() in {"true", "1"}:
        texts.append("(reversal of an earlier booking)")
    return one_line(" ".join(dict.fromkeys(text for text in texts if text)), 1000) or ""


def _balances(found: Element, currency: str, where: str) -> tuple[Money | None, Money | None]:
    """The booked balances at the start and the end, where the statement has both."""
    known: dict[str, Money] = {}
    for balance in found.iterfind("Bal"):
        kind = (balance.findtext("Tp/CdOrPrtry/Cd") or "").strip()
        if kind in {"OPBD", "PRCD", "CLBD"}:
            amount = _amount(balance.find("Amt"), currency, f"{where}, balance {kind}")
            known[kind] = amount if _direction(balance, where) is Direction.IN else -amount
    opening, closing = known.get("OPBD", known.get("PRCD")), known.get("CLBD")
    return (opening, closing) if opening is not None and closing is not None else (None, None)


def _currency(found: Element, where: str) -> str:
    amounts = [found.find("Bal/Amt"), found.find("Ntry/Amt")]
    named = [found.findtext("Acct/Ccy"), *(amount.get("Ccy") for amount in amounts if amount is not None)]
    currency = next((name.strip() for name in named if name), "")
    try:
        return Money(0, currency).currency
    except InvalidInput:
        raise StatementUnreadable(f"{where}: “{currency[:10]}” is not a currency we know.", field="file") from None


def _amount(element: Element | None, currency: str, where: str) -> Money:
    text = (element.text or "").strip() if element is not None else ""
    if element is None or not AMOUNT.fullmatch(text) or element.get("Ccy") != currency:
        raise StatementUnreadable(f"{where}: “{text[:40]}” is not an amount in {currency}.", field="file")
    try:
        return Money.from_decimal(Decimal(text), currency)
    except InvalidInput as error:
        raise StatementUnreadable(f"{where}: {error.message}", field="file") from None


def _direction(element: Element, where: str) -> Direction:
    word = (element.findtext("CdtDbtInd") or "").strip()
    if word not in DIRECTIONS:
        raise StatementUnreadable(f"{where}: CdtDbtInd is “{word[:20]}”, neither CRDT nor DBIT.", field="file")
    return DIRECTIONS[word]


def _day(element: Element, path: str, where: str) -> date | None:
    text = element.findtext(f"{path}/Dt") or element.findtext(f"{path}/DtTm")
    if text is None:
        return None
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        raise StatementUnreadable(f"{where}: “{text[:40]}” is not a date.", field="file") from None


def _day_of(element: Element, *paths: str) -> Iterator[date]:
    for path in paths:
        try:
            yield date.fromisoformat((element.findtext(path) or "").strip()[:10])
        except ValueError:
            continue  # the period is told for people; the lines have days of their own


def _account_number(element: Element | None) -> str | None:
    if element is None:
        return None
    return account_number(element.findtext("IBAN") or element.findtext("Othr/Id") or "")


def account_number(text: str) -> str | None:
    """An IBAN or other account number as it is compared: capitals and digits."""
    return re.sub(r"[^A-Z0-9]", "", text.upper())[:34] or None


def _first(elements: Sequence[Element], *paths: str) -> str | None:
    return next((found for each in elements for path in paths if (found := one_line(each.findtext(path), 140))), None)


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
