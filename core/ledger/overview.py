"""What the public pages of the ledger show: balances by group, entries, one account's postings with running balance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, case, func, or_, select, text, tuple_
from sqlalchemy.orm import Session

from core.ledger import queries
from core.ledger.entries import Balance
from core.ledger.models import Account, EntryRow, Guard, Phase, SealedEntry, Side, TransferRow
from core.ledger.sealing import last_position, latest_seal
from core.ledger.signing import fingerprint
from core.ledger.units import is_gpu_time
from core.money import Money

KINDS = ("assets", "liabilities", "equity", "income", "expenses")
DEBIT_KINDS = ("assets", "expenses")


@dataclass(frozen=True, slots=True)
class Amount:
    """Whole units of a commodity, for templates to write."""

    units: int
    commodity: str

    @property
    def is_gpu_time(self) -> bool:
        return is_gpu_time(self.commodity)

    @property
    def money(self) -> Money:
        return Money(self.units, self.commodity)

    @property
    def flavor(self) -> str:
        """`H100` of `GPU.H100`."""
        return self.commodity.removeprefix("GPU.")


@dataclass(frozen=True, slots=True)
class Group:
    """Accounts below one code and of one commodity, together."""

    kind: str
    code: str
    accounts: int
    posted: Amount
    held: Amount

    @property
    def label(self) -> str:
        """The second part of the code, as people write it."""
        word = self.code.split(":")[1].replace("-", " ")
        return "GPU time" if word == "gpu" else word[:1].upper() + word[1:]


@dataclass(frozen=True, slots=True)
class ShownTransfer:
    """A transfer for a page."""

    debit: str
    credit: str
    phase: Phase
    amount: int
    held_amount: int | None
    commodity: str
    expires_at: datetime | None

    @property
    def units(self) -> Amount:
        return Amount(self.amount, self.commodity)

    @property
    def held_units(self) -> Amount:
        return Amount(self.held_amount or 0, self.commodity)


@dataclass(frozen=True, slots=True)
class Posting:
    """One movement on an account."""

    entry_id: UUID
    key: str
    kind: str
    memo: str
    at: datetime
    other: str
    change: Amount
    """In the account's normal direction."""
    balance: Amount
    """What lay in the account after it."""


@dataclass(frozen=True, slots=True)
class AccountPage:
    """An account with its balance."""

    code: str
    name: str
    guard: Guard
    balance: Balance

    @property
    def posted(self) -> Amount:
        return Amount(self.balance.posted, self.balance.commodity)

    @property
    def held(self) -> Amount:
        return Amount(self.balance.pending_out, self.balance.commodity)

    @property
    def available(self) -> Amount:
        return Amount(self.balance.available, self.balance.commodity)


def groups(session: Session) -> list[Group]:
    """Balances by the first two parts of the account codes and by commodity, in the order of the five kinds of accounts.

    Assets and expenses count debits as more, the others credits.
    """
    kind = func.split_part(Account.code, ":", 1)
    code = kind + ":" + func.split_part(Account.code, ":", 2)
    on_debit = kind.in_(DEBIT_KINDS)
    posted = func.sum(Account.debits_posted - Account.credits_posted)
    held = func.sum(case((on_debit, Account.credits_pending), else_=Account.debits_pending))
    rows = session.execute(
        select(kind, code, Account.commodity, func.count(), case((on_debit, posted), else_=-posted), held)
        .group_by(kind, code, Account.commodity)
        .order_by(code, Account.commodity)
    )
    found = [
        Group(name, group, accounts, Amount(int(net), commodity), Amount(int(reserved), commodity))
        for name, group, commodity, accounts, net, reserved in rows
    ]
    return sorted(found, key=lambda group: KINDS.index(group.kind))  # stable: codes stay in order within a kind


def accounts(under: str) -> Select[Account]:
    """Accounts whose code is `under` or lies below it; all of them for an empty one."""
    query = select(Account)
    if under:
        query = query.where((Account.code == under) | Account.code.startswith(f"{under}:", autoescape=True))
    return query


def account(session: Session, code: str) -> AccountPage | None:
    """One account and its balance as of now."""
    found = session.scalar(select(Account).where(Account.code == code).execution_options(populate_existing=True))
    return None if found is None else described(found)


def described(row: Account) -> AccountPage:
    """An account row for a page."""
    return AccountPage(
        row.code,
        row.name,
        row.guard,
        Balance(
            row.code,
            row.commodity,
            row.normal,
            row.debits_posted,
            row.debits_pending,
            row.credits_posted,
            row.credits_pending,
        ),
    )


def entries(session: Session, *, account_code: str = "", ref: tuple[str, str] | None = None) -> Select[EntryRow]:
    """Entries that touch an account or carry a reference, or all."""
    query = select(EntryRow)
    if account_code:
        account_id = session.scalar(select(Account.id).where(Account.code == account_code))
        touching = select(TransferRow.entry_id).where(_touches(account_id or 0))
        query = query.where(EntryRow.id.in_(touching))
    if ref:
        query = query.where(EntryRow.refs != {}, EntryRow.refs.contains({ref[0]: ref[1]}))
    return query


def transfers_of(session: Session, entry_ids: Sequence[UUID]) -> dict[UUID, list[ShownTransfer]]:
    """The transfers of these entries, in the order of their legs."""
    return {
        entry_id: [
            ShownTransfer(t.debit, t.credit, t.phase, t.amount, t.held_amount, t.commodity, t.expires_at) for t in transfers
        ]
        for entry_id, transfers in queries.transfers_of(session, entry_ids).items()
    }


def positions(session: Session, entry_ids: Sequence[UUID]) -> Mapping[UUID, SealedEntry]:
    """Where these entries stand in the chain; those not sealed yet are missing."""
    rows = session.scalars(select(SealedEntry).where(SealedEntry.entry_id.in_(entry_ids)))
    return {row.entry_id: row for row in rows}


def movements(account_id: int) -> Select[TransferRow]:
    """Transfers that moved something on an account."""
    return select(TransferRow).where(_touches(account_id), TransferRow.phase.in_([Phase.DIRECT, Phase.SETTLE]))


def account_id(session: Session, code: str) -> int:
    """The id of an account that is known to exist."""
    return session.scalars(select(Account.id).where(Account.code == code)).one()


def postings(session: Session, page: AccountPage, transfers: Sequence[TransferRow]) -> list[Posting]:
    """A page of an account's movements, newest first, each with the balance after it."""
    if not transfers:
        return []
    own = account_id(session, page.code)
    sign = 1 if page.balance.normal is Side.DEBIT else -1
    change = case((TransferRow.debit_id == own, TransferRow.amount), else_=-TransferRow.amount)
    newest = transfers[0]
    newer = session.scalar(
        select(func.coalesce(func.sum(change), 0)).where(
            _touches(own),
            TransferRow.phase.in_([Phase.DIRECT, Phase.SETTLE]),
            tuple_(TransferRow.entry_id, TransferRow.leg) > tuple_(newest.entry_id, newest.leg),
        )
    )
    balance = page.balance.posted - sign * int(newer or 0)
    deeds = {row.id: row for row in session.scalars(select(EntryRow).where(EntryRow.id.in_({t.entry_id for t in transfers})))}
    others = {t.credit_id if t.debit_id == own else t.debit_id for t in transfers}
    codes = dict(session.execute(select(Account.id, Account.code).where(Account.id.in_(others))).all())
    shown = []
    for transfer in transfers:
        debited = transfer.debit_id == own
        moved = sign * (transfer.amount if debited else -transfer.amount)
        deed = deeds[transfer.entry_id]
        shown.append(
            Posting(
                entry_id=deed.id,
                key=deed.key,
                kind=deed.kind,
                memo=deed.memo,
                at=deed.at,
                other=codes[transfer.credit_id if debited else transfer.debit_id],
                change=Amount(moved, transfer.commodity),
                balance=Amount(balance, transfer.commodity),
            )
        )
        balance -= moved
    return shown


@dataclass(frozen=True, slots=True)
class Head:
    """The signed head of the chain, for people to note."""

    no: int
    hash: str
    signature: str
    public_key: str
    fingerprint: str
    sealed_at: datetime
    entries: int


def head(session: Session) -> Head | None:
    """The last seal, if there is one."""
    last = latest_seal(session)
    if last is None:
        return None
    return Head(
        no=last.no,
        hash=last.hash.hex(),
        signature=last.signature.hex(),
        public_key=last.public_key.hex(),
        fingerprint=fingerprint(last.public_key),
        sealed_at=last.sealed_at,
        entries=last_position(session),
    )


def unsealed(session: Session) -> int:
    """Entries written since the last seal."""
    last = latest_seal(session)
    since = last.horizon if last else 0
    return int(session.execute(_UNSEALED, {"since": since}).scalar_one())


_UNSEALED = text("""
    SELECT count(*) FROM ledger_entry AS e
    WHERE e.xid >= :since AND NOT EXISTS (SELECT 1 FROM ledger_sealed_entry AS s WHERE s.entry_id = e.id)
""")


def _touches(account: int) -> ColumnElement[bool]:
    return or_(TransferRow.debit_id == account, TransferRow.credit_id == account)
