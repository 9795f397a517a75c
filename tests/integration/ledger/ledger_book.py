"""A small book: a bank, a fund and a grant in dollars."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from sqlalchemy.orm import Session

from core import ledger
from core.ledger import Guard, Leg, Rate, Side

BANK, FUND, GRANT = "assets:bank:usd", "liabilities:fund:open-pledge:usd", "liabilities:grant:1:usd"


@dataclass
class Book:
    """A ledger with short words for what tests do to it."""

    session: Session
    now: datetime

    def open_accounts(self) -> None:
        ledger.ensure_account(self.session, BANK, "USD", normal=Side.DEBIT, guard=Guard.DEBIT)
        ledger.ensure_account(self.session, FUND, "USD", normal=Side.CREDIT, guard=Guard.CREDIT)
        ledger.ensure_account(self.session, GRANT, "USD", normal=Side.CREDIT, guard=Guard.CREDIT)

    def pay_in(self, amount: int, key: str = "pay-in:1", at: datetime | None = None) -> ledger.Entry:
        legs = [Leg(debit=BANK, credit=FUND, amount=amount)]
        refs = {"company": "acme"}
        return ledger.post(self.session, key=key, kind="pay-in", legs=legs, at=at or self.now, refs=refs)

    def award(self, amount: int, key: str = "award:1") -> ledger.Entry:
        legs = [Leg(debit=FUND, credit=GRANT, amount=amount)]
        return ledger.post(self.session, key=key, kind="award", legs=legs, at=self.now)

    def hold(self, amount: int, key: str = "hold:1", expires_at: datetime | None = None) -> ledger.Entry:
        legs = [Leg(debit=FUND, credit=BANK, amount=amount)]
        return ledger.hold(
            self.session, key=key, kind="payout", legs=legs, at=self.now, expires_at=expires_at, refs={"payout": "7"}
        )


def lively(session: Session, now: datetime) -> Book:
    """A ledger on which everything has happened once, over several days and in three commodities."""
    book = Book(session, now)
    book.open_accounts()
    for code, commodity, normal in (
        ("assets:bank:eur", "EUR", Side.DEBIT),
        ("liabilities:fund:open-pledge:eur", "EUR", Side.CREDIT),
        ("assets:bank:jpy", "JPY", Side.DEBIT),
        ("income:never-used.yet:jpy", "JPY", Side.CREDIT),
        ("assets:gpu:offer:1", ledger.ensure_gpu_commodity(session, "h100"), Side.DEBIT),
        ("liabilities:gpu:grant:0190c2f4-7c1e-7f3a-9d55-0c9f4c1b2a10", "GPU.REF", Side.CREDIT),
    ):
        ledger.ensure_account(session, code, commodity, normal=normal)
    book.pay_in(100_000)
    book.pay_in(23_456, key="pay-in:2", at=now + timedelta(days=3))
    book.award(30_000)
    book.hold(5_000, key="voided")
    ledger.void(session, key="void", hold_key="voided", at=now + timedelta(days=1))
    book.hold(4_000, key="expired", expires_at=now)
    ledger.expire_due(session, now=now)
    book.hold(3_000, key="open")
    held = book.hold(2_000, key="settled")
    ledger.settle(
        session, key="paid", hold_key="settled", amounts={held.transfers[0].id: 1_234}, at=now + timedelta(days=2), memo="part"
    )
    usd_eur = Rate("USD", "EUR", Fraction("0.92"), "European Central Bank", now.date())
    between = [(FUND, "liabilities:fund:open-pledge:eur"), ("assets:bank:eur", BANK)]
    ledger.convert(session, key="fx", kind="exchange", amount=10_000, rate=usd_eur, between=between, at=now)
    gpu = Rate("GPU.H100", "GPU.REF", Fraction(5, 2), "exchange table", now.date())
    between = [("assets:gpu:offer:1", "liabilities:gpu:grant:0190c2f4-7c1e-7f3a-9d55-0c9f4c1b2a10")]
    ledger.convert(session, key="gpu", kind="compute", amount=840 * 3600, rate=gpu, between=between, at=now)
    awkward = 'Quote ", backslash \\, semi;colon, pipe | and\na new line — “€”'
    legs = [Leg(debit=FUND, credit=GRANT, amount=7), Leg(debit=GRANT, credit=BANK, amount=3)]
    ledger.post(session, key=awkward, kind="awkward; text", legs=legs, at=now - timedelta(days=400), memo=awkward)
    return book
