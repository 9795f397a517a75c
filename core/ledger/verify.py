"""Is this export whole and unchanged? Answered from the file alone: no database, no network, none of our words believed.

Checked are the chain (every sealed entry's hash, every seal's content, its link to the one before, its signature, the head),
the rules (one commodity and one positive amount per transfer, holds ended once and by no more than they held, no guarded
account overdrawn) and the balances (recomputed from the transfers). Entries after the last seal are checked by rules only.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from core.ledger.entries import canonical
from core.ledger.export.json_export import FORMAT, VERSION
from core.ledger.reader import NotAnExport, read
from core.ledger.sealing import NO_HASH, content_hash
from core.ledger.signing import is_signed

FINDINGS_MAX = 100
"""Beyond this many, a file is wrong enough."""

SUMS = ("debits_posted", "debits_pending", "credits_posted", "credits_pending")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    code: str
    where: str
    message: str


@dataclass(slots=True)
class Report:
    """What the file holds, and what is wrong with it."""

    entries: int = 0
    transfers: int = 0
    sealed_entries: int = 0
    seals: int = 0
    head_hash: str | None = None
    public_key: str | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def unsealed_entries(self) -> int:
        return self.entries - self.sealed_entries


def verify(stream: IO[str], *, public_key: str | None = None, noted_head: tuple[int, str] | None = None) -> Report:
    """Check a JSON export. `public_key` (hex) must have signed every seal; `noted_head` is a seal's number and hash that
    was published or noted before and must still stand in the chain.

    Raises:
        NotAnExport: not a ledger export at all.
    """
    check = _Check()
    for name, value in read(stream):
        check.take(name, value)
    return check.finished(public_key, noted_head)


class _Check:
    def __init__(self) -> None:
        self._report = Report()
        self._facts: dict[str, Any] = {}
        self._commodities: set[str] = set()
        self._accounts: dict[str, dict[str, Any]] = {}
        self._seals: list[dict[str, Any]] = []
        self._sealed: dict[int, list[bytes]] = defaultdict(list)
        self._ids: set[str] = set()
        self._keys: set[str] = set()
        self._seq = 0
        self._sums: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
        self._commodity_of: dict[str, set[str]] = defaultdict(set)
        self._holds: dict[tuple[str, int], tuple[Any, ...]] = {}
        self._endings: dict[tuple[str, int], tuple[int, tuple[Any, ...]]] = {}

    def take(self, name: str, value: Any) -> None:
        try:
            match name:
                case "commodities":
                    self._commodities.add(value["code"])
                case "accounts":
                    self._accounts[value["code"]] = value
                case "seals":
                    self._seals.append(value)
                case "entries":
                    self._entry(value)
                case _:
                    self._facts[name] = value
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise NotAnExport(f"The export's {name} are not of the form this version writes: {error!r}.") from None

    def finished(self, public_key: str | None, noted_head: tuple[int, str] | None) -> Report:
        if self._facts.get("format") != FORMAT:
            raise NotAnExport("The file is JSON, but not a Pledgeworks ledger export (`format` is missing).")
        if self._facts.get("version") != VERSION:
            raise NotAnExport(f"The export has version {self._facts.get('version')}; this program reads {VERSION}.")
        try:
            self._check_chain(public_key, noted_head)
            self._check_head()
            self._check_holds()
            self._check_accounts()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotAnExport(f"The export is not of the form this version writes: {error!r}.") from None
        return self._report

    def _found(self, code: str, where: str, message: str) -> None:
        if len(self._report.findings) < FINDINGS_MAX:
            self._report.findings.append(Finding(code, where, message))

    # Entries, one by one as they are read.

    def _entry(self, given: Mapping[str, Any]) -> None:
        record = {name: value for name, value in given.items() if name not in {"seq", "seal", "hash"}}
        where = f"entry {given['seq']} (“{record['key']}”)"
        self._report.entries += 1
        self._seq += 1
        if given["seq"] != self._seq:
            self._found("entry_missing", where, f"Entry {self._seq} should stand here; entries are missing or out of order.")
            self._seq = given["seq"]
        if "hash" in given:
            self._sealed_entry(given, record, where)
        elif "seal" in given:
            self._found("entry_changed", where, "It names a seal but has lost its hash.")
        for name, seen in (("id", self._ids), ("key", self._keys)):
            if record[name] in seen:
                self._found("entry_twice", where, f"Its {name} stands in an earlier entry too.")
            seen.add(record[name])
        if not record["transfers"]:
            self._found("no_transfers", where, "It has no transfer; an entry has at least one.")
        for transfer in record["transfers"]:
            self._transfer(record["id"], transfer, where)

    def _sealed_entry(self, given: Mapping[str, Any], record: Mapping[str, Any], where: str) -> None:
        self._report.sealed_entries += 1
        self._sealed[given["seal"]].append(bytes.fromhex(given["hash"]))
        if hashlib.sha256(canonical(record)).hexdigest() != given["hash"]:
            self._found("entry_changed", where, "It is not what it was when it was sealed.")
        if self._report.unsealed_entries:
            self._found("entry_missing", where, "A sealed entry stands after one that is not sealed.")

    def _transfer(self, entry_id: str, transfer: Mapping[str, Any], where: str) -> None:
        self._report.transfers += 1
        amount, phase = transfer["amount"], transfer["phase"]
        debit, credit, commodity = transfer["debit"], transfer["credit"], transfer["commodity"]
        if type(amount) is not int or amount <= 0:
            self._found("bad_amount", where, f"A transfer moves {amount!r}; it must be a whole number above zero.")
            return
        if debit == credit:
            self._found("one_account", where, f"A transfer has {debit} on both sides.")
        # Accounts may come later in the file: their commodity is compared at the end.
        self._commodity_of[debit].add(commodity)
        self._commodity_of[credit].add(commodity)
        shape = (debit, credit, commodity)
        if phase == "hold":
            self._holds[entry_id, transfer["leg"]] = (*shape, amount)
        elif phase != "direct":
            held = transfer["hold"]
            hold = (held["entry"], held["leg"])
            if hold in self._endings:
                self._found("hold_ended_twice", where, f"The hold of entry {hold[0]} ended before.")
            self._endings[hold] = (self._seq, (*shape, held["amount"]))
            if amount > held["amount"] or (phase != "settle" and amount != held["amount"]):
                self._found("more_than_held", where, f"It ends a hold of {held['amount']} with {amount}.")
        self._add(debit, "debits", phase, transfer)
        self._add(credit, "credits", phase, transfer)

    def _add(self, account: str, side: str, phase: str, transfer: Mapping[str, Any]) -> None:
        sums = self._sums[account]
        if phase in {"direct", "settle"}:
            sums[f"{side}_posted"] += transfer["amount"]
        if phase == "hold":
            sums[f"{side}_pending"] += transfer["amount"]
        elif phase != "direct":
            sums[f"{side}_pending"] -= transfer["hold"]["amount"]

    # The rest, when everything has been read.

    def _check_chain(self, public_key: str | None, noted_head: tuple[int, str] | None) -> None:
        previous, first_key = NO_HASH.hex(), None
        for no, seal in enumerate(self._seals, start=1):
            where = f"seal {seal['no']}"
            hashed = {name: seal[name] for name in ("no", "entries", "content", "previous", "sealed_at")}
            entries = self._sealed.pop(seal["no"], [])
            if seal["no"] != no:
                self._found("seal_missing", where, f"Seal {no} should stand here.")
            if seal["previous"] != previous:
                self._found("chain_broken", where, "It does not follow from the seal before it.")
            if hashlib.sha256(canonical(hashed)).hexdigest() != seal["hash"]:
                self._found("seal_changed", where, "Its hash is not the hash of what it says.")
            if len(entries) != seal["entries"]:
                self._found("entry_missing", where, f"It covers {seal['entries']} entries; the file has {len(entries)}.")
            elif content_hash(entries).hex() != seal["content"]:
                self._found("seal_broken", where, "The hashes of its entries are not those that were sealed.")
            if not is_signed(*(bytes.fromhex(seal[name]) for name in ("hash", "signature", "public_key"))):
                self._found("bad_signature", where, "Its signature is not of its hash and key.")
            first_key = first_key or seal["public_key"]
            if seal["public_key"] != (public_key or first_key):
                self._found("other_key", where, "It was signed with another key than expected.")
            previous = seal["hash"]
        for no, entries in self._sealed.items():
            self._found("seal_missing", f"seal {no}", f"{len(entries)} entries name it, but it is not in the file.")
        self._report.seals = len(self._seals)
        self._check_noted(noted_head)

    def _check_noted(self, noted_head: tuple[int, str] | None) -> None:
        if noted_head is None:
            return
        no, noted = noted_head
        if not any(seal["no"] == no and seal["hash"] == noted.lower() for seal in self._seals):
            self._found("noted_head_gone", f"seal {no}", "The head noted earlier does not stand in the chain any more.")

    def _check_head(self) -> None:
        head = self._facts.get("head")
        last = self._seals[-1] if self._seals else None
        if head is None or last is None:
            if head is not None or last is not None:
                self._found("bad_head", "head", "The head and the last seal do not go together.")
            return
        self._report.head_hash, self._report.public_key = head["hash"], head["public_key"]
        same = ("hash", "signature", "public_key", "sealed_at")
        if head["seal"] != last["no"] or any(head[name] != last[name] for name in same):
            self._found("bad_head", "head", "The head is not the last seal.")
        if head["entries"] != sum(seal["entries"] for seal in self._seals):
            self._found("bad_head", "head", "The head counts other entries than the seals do.")

    def _check_holds(self) -> None:
        for hold, (seq, shape) in self._endings.items():
            if self._holds.get(hold) != shape:
                message = "It ends a hold that the file does not have, or one of other accounts, commodity or amount."
                self._found("not_its_hold", f"entry {seq}", message)

    def _check_accounts(self) -> None:
        for code in sorted(self._sums.keys() | self._accounts.keys()):
            account = self._accounts.get(code)
            where = f"account {code}"
            if account is None:
                self._found("unknown_account", where, "Transfers name it, but it is not among the accounts.")
                continue
            if account["commodity"] not in self._commodities:
                self._found("unknown_commodity", where, f"It counts {account['commodity']}, which the file does not know.")
            if self._commodity_of[code] - {account["commodity"]}:
                self._found("mixed_commodities", where, f"It counts {account['commodity']}, but other things were moved to it.")
            self._check_sums(where, account, self._sums[code])

    def _check_sums(self, where: str, account: Mapping[str, Any], sums: Mapping[str, int]) -> None:
        for name in SUMS:
            if account[name] != sums[name]:
                words = name.replace("_", " ")
                message = f"Its {words} are kept as {account[name]}, but the transfers add up to {sums[name]}."
                self._found("balance_differs", where, message)
        out, into = {"debit": ("credits", "debits"), "credit": ("debits", "credits")}[account["normal"]]
        taken = sums[f"{out}_posted"] + sums[f"{out}_pending"]
        if account["guard"] != "none" and taken > sums[f"{into}_posted"]:
            self._found("overdrawn", where, f"It is guarded, and {taken} were taken or held of {sums[f'{into}_posted']}.")
