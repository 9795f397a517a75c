"""The ledger against a plain model of it: any sequence of deeds over many accounts and commodities, refusals included."""

import io
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from core import ledger
from core.ledger import Guard, Leg, NewEntry, Phase, Side
from core.ledger.export import Format, export
from core.ledger.rebuild import rebuild
from core.ledger.sealing import seal
from core.ledger.verify import verify

COMMODITIES = ("USD", "JPY", "GPU.REF", "GPU.H100")
NATURES = ((Side.DEBIT, Guard.DEBIT), (Side.CREDIT, Guard.CREDIT), (Side.CREDIT, Guard.NONE))
AMOUNTS = st.one_of(st.integers(1, 40), st.integers(1, 2_000))


@dataclass
class ModelAccount:
    """What an account should hold; deliberately naive."""

    commodity: str
    guard: Guard
    posted: Counter[str] = field(default_factory=Counter)
    pending: Counter[str] = field(default_factory=Counter)

    def overdrawn(self) -> bool:
        match self.guard:
            case Guard.DEBIT:
                return self.posted["credit"] + self.pending["credit"] > self.posted["debit"]
            case Guard.CREDIT:
                return self.posted["debit"] + self.pending["debit"] > self.posted["credit"]
        return False

    def sums(self) -> tuple[int, ...]:
        return (self.posted["debit"], self.pending["debit"], self.posted["credit"], self.pending["credit"])


@dataclass
class ModelHold:
    """The open holds of an entry, by leg."""

    legs: dict[int, Leg]
    ids: dict[int, Any]
    expires_at: datetime | None
    ended: bool = False


class LedgerMachine(RuleBasedStateMachine):
    """Rules try everything, allowed or not; the model says which answer is right."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.connection = self.engine.connect()
        self.outer = self.connection.begin()
        self.session = Session(self.connection, join_transaction_mode="create_savepoint")
        self.now = datetime(2026, 11, 2, tzinfo=UTC)
        self.accounts: dict[str, ModelAccount] = {}
        self.posted: dict[str, list[Leg]] = {}
        self.holds: dict[str, ModelHold] = {}
        self.number = 0

    @initialize()
    def open_accounts(self) -> None:
        ledger.ensure_gpu_commodity(self.session, "h100")
        for commodity in COMMODITIES:
            for i, (normal, guard) in enumerate(NATURES * 2):
                code = f"{'assets' if normal is Side.DEBIT else 'liabilities'}:{commodity.lower()}:{i}"
                ledger.ensure_account(self.session, code, commodity, normal=normal, guard=guard)
                self.accounts[code] = ModelAccount(commodity, guard)

    def key(self) -> str:
        self.number += 1
        return f"key:{self.number}"

    def draw_legs(self, data: st.DataObject, most: int = 4) -> list[Leg]:
        legs = []
        for _ in range(data.draw(st.integers(1, most))):
            debit = data.draw(st.sampled_from(sorted(self.accounts)))
            same = [c for c, a in self.accounts.items() if a.commodity == self.accounts[debit].commodity and c != debit]
            legs.append(Leg(debit, data.draw(st.sampled_from(sorted(same))), data.draw(AMOUNTS)))
        return legs

    def apply(self, legs: list[Leg], ledger_side: str, sign: int = 1) -> None:
        for leg in legs:
            getattr(self.accounts[leg.debit], ledger_side)["debit"] += sign * leg.amount
            getattr(self.accounts[leg.credit], ledger_side)["credit"] += sign * leg.amount

    def would_overdraw(self, legs: list[Leg], ledger_side: str) -> bool:
        self.apply(legs, ledger_side)
        overdrawn = any(self.accounts[code].overdrawn() for leg in legs for code in (leg.debit, leg.credit))
        self.apply(legs, ledger_side, -1)
        return overdrawn

    @rule(data=st.data())
    def post(self, data: st.DataObject) -> None:
        legs, key = self.draw_legs(data), self.key()
        refused = self.would_overdraw(legs, "posted")
        try:
            entry = ledger.post(self.session, key=key, kind="post", legs=legs, at=self.now)
        except ledger.InsufficientFunds:
            assert refused
            return
        assert not refused
        assert [t.commodity for t in entry.transfers] == [self.accounts[leg.debit].commodity for leg in legs]
        self.apply(legs, "posted")
        self.posted[key] = legs

    @rule(data=st.data())
    def post_a_batch(self, data: st.DataObject) -> None:
        batch = {self.key(): self.draw_legs(data, most=2) for _ in range(data.draw(st.integers(1, 5)))}
        known = data.draw(st.lists(st.sampled_from(sorted(self.posted)), max_size=2)) if self.posted else []
        entries = [NewEntry(key, "post", legs, self.now) for key, legs in batch.items()]
        entries += [NewEntry(key, "post", self.posted[key], self.now) for key in known]
        everything = [leg for legs in batch.values() for leg in legs]
        refused = self.would_overdraw(everything, "posted")
        try:
            done = ledger.post_many(self.session, entries)
        except ledger.InsufficientFunds:
            assert refused
            return
        assert not refused
        assert done == ledger.Posted(written=len(batch), replayed=len(known))
        self.apply(everything, "posted")
        self.posted |= batch

    @precondition(lambda self: self.posted)
    @rule(data=st.data(), change=st.booleans())
    def repeat_a_key(self, data: st.DataObject, change: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.posted)))
        legs = self.posted[key]
        if change:
            legs = [*legs[:-1], Leg(legs[-1].debit, legs[-1].credit, legs[-1].amount + 1)]
        try:
            assert ledger.post(self.session, key=key, kind="post", legs=legs, at=self.now).replayed
        except ledger.KeyReused:
            assert change
        else:
            assert not change

    @rule(data=st.data())
    def mix_commodities(self, data: st.DataObject) -> None:
        debit = data.draw(st.sampled_from(sorted(self.accounts)))
        other = [c for c, a in self.accounts.items() if a.commodity != self.accounts[debit].commodity]
        legs = [Leg(debit, data.draw(st.sampled_from(sorted(other))), 1)]
        try:
            ledger.post(self.session, key=self.key(), kind="post", legs=legs, at=self.now)
        except ledger.MixedCommodities:
            return
        raise AssertionError("two commodities met")

    @rule(data=st.data(), hours=st.none() | st.integers(1, 5))
    def hold(self, data: st.DataObject, hours: int | None) -> None:
        legs, key = self.draw_legs(data, most=3), self.key()
        expires_at = self.now + timedelta(hours=hours) if hours else None
        refused = self.would_overdraw(legs, "pending")
        try:
            entry = ledger.hold(self.session, key=key, kind="hold", legs=legs, at=self.now, expires_at=expires_at)
        except ledger.InsufficientFunds:
            assert refused
            return
        assert not refused
        self.apply(legs, "pending")
        self.holds[key] = ModelHold(dict(enumerate(legs)), {t.leg: t.id for t in entry.transfers}, expires_at)

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), how=st.sampled_from(["whole", "part", "void", "too much"]))
    def end_a_hold(self, data: st.DataObject, how: str) -> None:
        hold_key = data.draw(st.sampled_from(sorted(self.holds)))
        held = self.holds[hold_key]
        amounts = None
        if how in {"part", "too much"}:
            named = data.draw(st.lists(st.sampled_from(sorted(held.legs)), min_size=1, unique=True))
            amounts = {held.ids[i]: data.draw(st.integers(0, held.legs[i].amount)) for i in named}
            if how == "too much":
                amounts[held.ids[named[0]]] = held.legs[named[0]].amount + 1
        try:
            if how == "void":
                entry = ledger.void(self.session, key=self.key(), hold_key=hold_key, at=self.now)
            else:
                entry = ledger.settle(self.session, key=self.key(), hold_key=hold_key, at=self.now, amounts=amounts)
        except ledger.AlreadyResolved:
            assert held.ended
            return
        except ledger.MoreThanHeld:
            assert how == "too much"
            return
        assert not held.ended
        moved = [Leg(t.debit, t.credit, t.amount) for t in entry.transfers if t.phase is Phase.SETTLE]
        whole = list(held.legs.values())
        wanted = {"whole": sum(leg.amount for leg in whole), "void": 0}.get(how, sum((amounts or {}).values()))
        assert sum(leg.amount for leg in moved) == wanted
        self.apply(moved, "posted")
        self.apply(whole, "pending", -1)
        held.ended = True

    @rule(hours=st.integers(0, 3))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        due = [h for h in self.holds.values() if not h.ended and h.expires_at and h.expires_at <= self.now]
        assert ledger.expire_due(self.session, now=self.now) == len(due)
        for held in due:
            self.apply(list(held.legs.values()), "pending", -1)
            held.ended = True

    @rule(thorough=st.booleans())
    def seal(self, thorough: bool) -> None:
        seal(self.session, now=self.now, thorough=thorough, batch_max=5)

    @invariant()
    def balances_are_the_models(self) -> None:
        kept = {
            b.account: (b.debits_posted, b.debits_pending, b.credits_posted, b.credits_pending)
            for b in ledger.balances(self.session)
        }
        assert kept == {code: account.sums() for code, account in self.accounts.items()}

    def teardown(self) -> None:
        try:
            if self.accounts:
                assert rebuild(self.session, now=self.now).differences == []
                report = verify(io.StringIO("".join(export(self.session, Format.JSON, now=self.now))))
                assert report.findings == []
        finally:
            self.session.close()
            self.outer.rollback()
            self.connection.close()


def test_the_ledger_behaves_like_its_model(engine: Engine) -> None:
    machine = type("LedgerMachine", (LedgerMachine,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
        ),
    )
