"""Both ways: everything outside meets one entry of the ledger, and everything the ledger moved on such an account met something.

Outside are the lines of bank statements and what providers list. Inside are the entries that move an account of money we have
elsewhere: `assets:bank:…` and `assets:rail:…`. What is left over stands in one of three lists until people explain it.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, and_, bindparam, case, exists, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from core.books import feeds, held
from core.books.feeds import Seen
from core.books.models import BankLine, Direction, Explanation, OutsideMovement, Side, Subject
from core.books.queries import met_line, of_provider, provider_of, touches_provider
from core.db import new_id
from core.ledger.models import Account, EntryRow, Phase, TransferRow
from core.money import Money

OVERLAP = timedelta(days=3)
"""Read again with every list: providers add movements late, dated earlier."""
MOVED = (Phase.DIRECT, Phase.SETTLE)


@dataclass(frozen=True, slots=True)
class Item:
    """One difference."""

    side: Side
    subject: Subject
    subject_id: UUID
    on: date
    money: Money
    """Signed: what moved where it is known; the difference (outside less ledger) where both know it."""
    where: str
    what: str
    path: str
    explanation: Explanation | None = None
    stale: Explanation | None = None
    """An explanation of what this was before: on another side, or of another amount. It explains nothing any more."""

    @property
    def is_explained(self) -> bool:
        return self.explanation is not None and self.explanation.confirmed is True


def since(session: Session, provider: str) -> datetime | None:
    """From when on a provider is to be read; None from the beginning."""
    newest = session.scalar(select(func.max(OutsideMovement.occurred_at)).where(OutsideMovement.provider == provider))
    return newest - OVERLAP if newest is not None else None


def take(session: Session, provider: str, seen: Iterable[Seen], *, now: datetime) -> int:
    """Keep what a provider listed; what is known stays as it was told first. Returns how many are new."""
    rows = [
        {"id": new_id(), "provider": provider, "remote_id": each.remote_id, "kind": each.kind, "about": each.about,
         "occurred_at": each.occurred_at, "amount_minor": each.money.amount_minor, "currency": each.money.currency,
         "description": each.description[:1000], "first_seen_at": now}
        for each in seen
        if each.money
    ]  # fmt: skip
    new = 0
    for start in range(0, len(rows), 500):
        added = session.execute(
            insert(OutsideMovement)
            .values(rows[start : start + 500])
            .on_conflict_do_nothing(index_elements=["provider", "remote_id"])
            .returning(OutsideMovement.id)
        )
        new += len(added.all())
    return new


def meet(session: Session, provider: str) -> int:
    """Give movements that met nothing their entries, where one certainly belongs to the other. Returns how many met."""
    waiting = session.scalars(
        select(OutsideMovement)
        .where(OutsideMovement.provider == provider, OutsideMovement.entry_id.is_(None))
        .order_by(OutsideMovement.occurred_at, OutsideMovement.id)
        .with_for_update(skip_locked=True)
    ).all()
    named = _named(session, provider, [each.remote_id for each in waiting])
    claimed = feeds.claimed(session, provider, waiting)
    by_key = _by_key(session, claimed.values())
    candidates: dict[UUID, UUID] = {}
    given: set[UUID] = set()
    for movement in waiting:
        # Two entries that name one movement are a mistake of ours: neither meets it, and both stay in the list.
        entries = named.get(movement.remote_id, [])
        found = entries[0] if len(entries) == 1 else None if entries else by_key.get(claimed.get(movement.id, ""))
        if found is not None and found not in given:
            candidates[movement.id] = found
            given.add(found)
    taken = set(
        session.scalars(
            select(OutsideMovement.entry_id).where(
                OutsideMovement.provider == provider, OutsideMovement.entry_id.in_(candidates.values())
            )
        )
    )
    met = [movement for movement in waiting if movement.id in candidates and candidates[movement.id] not in taken]
    for movement in met:
        movement.entry_id = candidates[movement.id]
    session.flush()
    return len(met)


def _named(session: Session, provider: str, remote_ids: Sequence[str]) -> Mapping[str, Sequence[UUID]]:
    """The entries whose references carry these movements' own ids."""
    found: dict[str, list[UUID]] = {}
    for remote_id, entry_id in session.execute(_NAMED, {"provider": provider, "ids": list(remote_ids)}):
        found.setdefault(remote_id, []).append(entry_id)
    return found


# Each id is looked up in the index over references, which leaves out entries that have none.
_NAMED = text("""
SELECT wanted.id, entry.id FROM unnest(CAST(:ids AS text[])) AS wanted(id)
JOIN ledger_entry AS entry ON entry.refs <> '{}'
    AND entry.refs @> jsonb_build_object('rail', CAST(:provider AS text), 'balance_transaction', wanted.id)
""")


def _by_key(session: Session, keys: Iterable[str]) -> Mapping[str, UUID]:
    rows = session.execute(select(EntryRow.key, EntryRow.id).where(EntryRow.key.in_(list(keys))))
    return {row.key: row.id for row in rows}


def differences(session: Session, *, until: date | None = None) -> list[Item]:
    """Everything that stands in one of the three lists, the oldest first; only what happened up to a day if one is given."""
    found = [
        *_lines(session, until), *_movements(session, until), *_entries(session, until), *_amounts(session, until),
        *_balances(session, until),
    ]  # fmt: skip
    known = _explanations(session, found)
    current = {(each.subject_id, each.side, each.money) for each in found}
    return [
        _explained(each, said, current) if (said := known.get((each.subject, each.subject_id))) else each
        for each in sorted(found, key=lambda item: (item.on, item.side, item.subject_id, item.money.amount_minor))
    ]


def _explained(item: Item, known: Sequence[Explanation], current: Set[tuple[UUID, Side | None, Money | None]]) -> Item:
    """The difference with the explanation that is of it, or with the last one of what it was before."""
    fits = next((each for each in known if (each.side, each.money) == (item.side, item.money)), None)
    before = [each for each in known if (each.subject_id, each.side, each.money) not in current]
    return replace(item, explanation=fits, stale=before[-1] if before and fits is None else None)


def _lines(session: Session, until: date | None) -> Iterable[Item]:
    query = select(BankLine).where(BankLine.match.is_(None))
    if until is not None:
        query = query.where(BankLine.booked_on <= until)
    for line in session.scalars(query):
        signed = line.money if line.direction is Direction.IN else -line.money
        what = line.counterparty or line.text or "not named"
        yield Item(
            Side.MISSING_HERE,
            Subject.BANK_LINE,
            line.id,
            line.booked_on,
            signed,
            line.account.name,
            what,
            f"/books/lines/{line.id}",
        )


def _movements(session: Session, until: date | None) -> Iterable[Item]:
    query = select(OutsideMovement).where(OutsideMovement.entry_id.is_(None))
    if until is not None:
        query = query.where(OutsideMovement.occurred_at < _after(until))
    for each in session.scalars(query):
        yield _outside_item(Side.MISSING_HERE, each, each.money)


def _outside_item(side: Side, each: OutsideMovement, money: Money) -> Item:
    what = " ".join(part for part in (each.kind.replace("_", " "), each.about or each.remote_id, each.description) if part)
    path = f"/ledger/entries/{each.entry_id}" if each.entry_id else ""
    return Item(side, Subject.OUTSIDE_MOVEMENT, each.id, each.occurred_at.date(), money, each.provider, what, path)


def _entries(session: Session, until: date | None) -> Iterable[Item]:
    """Entries that moved money we have elsewhere and met nothing there.

    An entry between the bank and a provider, or between two providers, is known to both, and met when both told it. One that
    moves the bank's account only may have met either: payouts that were reserved before their rail's own balance was known were
    posted against it, and those of the trial rail are.
    """
    line_met = met_line(EntryRow.id, Account.commodity)
    told = exists().where(OutsideMovement.entry_id == EntryRow.id)
    told_there = exists().where(OutsideMovement.entry_id == EntryRow.id, OutsideMovement.provider == provider_of(Account))
    met = case((of_provider(Account), told_there), else_=or_(line_met, and_(told, ~touches_provider(EntryRow.id))))
    # What we have with a provider and what we owe it are one balance there.
    place = case((of_provider(Account), "provider " + provider_of(Account)), else_=Account.code)
    signed = func.sum(case((TransferRow.debit_id == Account.id, TransferRow.amount), else_=-TransferRow.amount))
    query = (
        select(EntryRow.id, EntryRow.at, EntryRow.memo, EntryRow.kind, place, Account.commodity, signed)
        .join(TransferRow, TransferRow.entry_id == EntryRow.id)
        .join(Account, or_(Account.id == TransferRow.debit_id, Account.id == TransferRow.credit_id))
        .where(or_(Account.code.startswith("assets:bank:"), of_provider(Account)), TransferRow.phase.in_(MOVED), ~met)
        .group_by(EntryRow.id, place, Account.commodity)
        .having(signed != 0)
    )
    if until is not None:
        query = query.where(EntryRow.at < _after(until))
    for entry_id, at, memo, kind, code, commodity, moved in session.execute(query):
        money = Money(int(moved), commodity)
        yield Item(
            Side.MISSING_THERE, Subject.ENTRY, entry_id, at.date(), money, code, memo or kind, f"/ledger/entries/{entry_id}"
        )


def _amounts(session: Session, until: date | None) -> Iterable[Item]:
    """Movements that met an entry of another amount."""
    account = aliased(Account)
    there = and_(
        or_(account.id == TransferRow.debit_id, account.id == TransferRow.credit_id),
        account.commodity == OutsideMovement.currency,
        or_(
            and_(of_provider(account), provider_of(account) == OutsideMovement.provider),
            and_(account.code.startswith("assets:bank:"), ~touches_provider(OutsideMovement.entry_id)),
        ),
    )
    signed = func.coalesce(
        func.sum(case((TransferRow.debit_id == account.id, TransferRow.amount), else_=-TransferRow.amount)).filter(
            account.id.is_not(None)
        ),
        0,
    )
    query = (
        select(OutsideMovement, signed)
        .join(TransferRow, and_(TransferRow.entry_id == OutsideMovement.entry_id, TransferRow.phase.in_(MOVED)))
        .outerjoin(account, there)
        .group_by(OutsideMovement.id)
        .having(signed != OutsideMovement.amount_minor)
    )
    if until is not None:
        query = query.where(OutsideMovement.occurred_at < _after(until))
    for movement, moved in session.execute(query):
        yield _outside_item(Side.DIFFERENT, movement, movement.money - Money(int(moved), movement.currency))


def _balances(session: Session, until: date | None) -> Iterable[Item]:
    """What providers say they hold, where no list explains it."""
    for rest in held.rests(session, before=_after(until) if until is not None else None):
        balance = rest.balance
        what = f"balance: {balance.there} there, {balance.ledger} in the ledger, {balance.in_lists} in the lists"
        yield Item(
            Side.DIFFERENT, Subject.PROVIDER_BALANCE, rest.id, rest.since, balance.unexplained, balance.provider, what,
            "/books/reconciliation#balances",
        )  # fmt: skip


def _explanations(session: Session, items: Sequence[Item]) -> Mapping[tuple[Subject, UUID], Sequence[Explanation]]:
    """What was said about these things, in its order, but for what was turned down."""
    # One array, not a parameter for each of thousands of ids.
    ids = bindparam("ids", list({each.subject_id for each in items}), type_=ARRAY(Uuid))
    found: dict[tuple[Subject, UUID], list[Explanation]] = {}
    said = select(Explanation).where(Explanation.subject_id == func.any(ids), Explanation.confirmed.is_not(False))
    for row in session.scalars(said.order_by(Explanation.proposed_at, Explanation.id)):
        found.setdefault((row.subject, row.subject_id), []).append(row)
    return found


def _after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
