"""The one double-entry ledger: every cent and every GPU-second.

ledger.ensure_account(session, "liabilities:fund:open-pledge:usd", "USD", normal=Side.CREDIT, guard=Guard.CREDIT)
ledger.post(session, key=f"pay-in:{id}", kind="pay-in", at=now,
            legs=[Leg(debit="assets:bank:usd", credit="liabilities:fund:open-pledge:usd", amount=200_000)])
ledger.hold(...), then exactly one of ledger.settle(...), ledger.void(...) or its expiry
ledger.balance(session, "liabilities:fund:open-pledge:usd").available
"""

from core.ledger.accounts import balance, balances, balances_of, ensure_account, ensure_gpu_commodity
from core.ledger.batch import Posted, hold_many, post_many
from core.ledger.conversion import Conversion, Rate, RateNeedsRounding, Rounding, conversion, convert, trading_account
from core.ledger.entries import Balance, Entry, Leg, NewEntry, Transfer, transfer_id
from core.ledger.errors import (
    AccountDiffers,
    AlreadyResolved,
    BadEntry,
    InsufficientFunds,
    KeyReused,
    MixedCommodities,
    MonthClosed,
    MoreThanHeld,
    UnknownAccount,
    UnknownHold,
)
from core.ledger.models import Account, Guard, Phase, Side
from core.ledger.posting import expire_due, hold, post, settle, void
from core.ledger.queries import Touch, entries_for, entry_by_key, touching
from core.ledger.units import GPU_REFERENCE, gpu_commodity

__all__ = [
    "GPU_REFERENCE",
    "Account",
    "AccountDiffers",
    "AlreadyResolved",
    "BadEntry",
    "Balance",
    "Conversion",
    "Entry",
    "Guard",
    "InsufficientFunds",
    "KeyReused",
    "Leg",
    "MixedCommodities",
    "MonthClosed",
    "MoreThanHeld",
    "NewEntry",
    "Phase",
    "Posted",
    "Rate",
    "RateNeedsRounding",
    "Rounding",
    "Side",
    "Touch",
    "Transfer",
    "UnknownAccount",
    "UnknownHold",
    "balance",
    "balances",
    "balances_of",
    "conversion",
    "convert",
    "ensure_account",
    "ensure_gpu_commodity",
    "entries_for",
    "entry_by_key",
    "expire_due",
    "gpu_commodity",
    "hold",
    "hold_many",
    "post",
    "post_many",
    "settle",
    "touching",
    "trading_account",
    "transfer_id",
    "void",
]
