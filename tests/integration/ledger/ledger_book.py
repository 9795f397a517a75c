"""A small book: a bank, a fund and a grant in dollars."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from core import ledger
from core.ledger import Guard, Leg, Side

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
