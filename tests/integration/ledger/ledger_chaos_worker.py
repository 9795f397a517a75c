"""One of several processes that hammer the same ledger until they are killed: `python ledger_chaos_worker.py URL SEED`.

What belongs to a key follows from its number alone, so that every process asks for the same under the same key.
"""

import random
import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from core import ledger
from core.errors import DomainError
from core.ledger import Leg, NewEntry
from core.ledger.sealing import seal

FUNDS = [f"liabilities:fund:{i}:usd" for i in range(4)]
BANK = "assets:bank:usd"
KEYS = 400
AT = datetime(2026, 11, 2, tzinfo=UTC)


def legs_of(number: int) -> list[Leg]:
    """The transfers that belong to a key: some bring money, some move it, some want more than there may be."""
    rng = random.Random(number)
    one, other = rng.sample(FUNDS, 2)
    if number % 4 == 0:
        return [Leg(BANK, one, rng.randint(1, 900))]
    return [Leg(one, other, rng.randint(1, 600)), Leg(other, one, rng.randint(1, 300))][: rng.randint(1, 2)]


def hold_legs(number: int) -> list[Leg]:
    return [Leg(FUNDS[number % 4], BANK, 1 + number % 250)]


def deed(session: Session, rng: random.Random) -> None:
    number = rng.randrange(KEYS)
    match rng.randrange(8):
        case 0 | 1:
            ledger.post(session, key=f"post:{number}", kind="post", legs=legs_of(number), at=AT)
        case 2:
            some = rng.sample(range(KEYS), 12)  # in random order: batches lock accounts in theirs
            batch = [NewEntry(f"batch:{n}", "post", legs_of(n // 4 * 4), AT) for n in some]
            ledger.post_many(session, batch)
        case 3:
            expires_at = AT + timedelta(hours=1) if number % 3 == 0 else None
            ledger.hold(session, key=f"hold:{number}", kind="hold", legs=hold_legs(number), at=AT, expires_at=expires_at)
        case 4:
            ledger.settle(session, key=f"settle:{number}", hold_key=f"hold:{number}", at=AT)
        case 5:
            ledger.void(session, key=f"void:{number}", hold_key=f"hold:{number}", at=AT)
        case 6:
            ledger.expire_due(session, now=AT + timedelta(hours=2), limit=3)
        case 7:
            seal(session, now=AT, batch_max=50)


def main(url: str, seed: int, deeds: int) -> None:
    rng = random.Random(seed)
    engine = create_engine(url)
    for _ in range(deeds):
        try:
            with Session(engine) as session:
                deed(session, rng)
                if rng.random() < 0.9:
                    session.commit()
        except DomainError:
            continue  # refused by a rule, as many of these deeds should be
        except OperationalError as error:
            # Two transactions of several deeds may wait in a circle; the server ends one. Anything else is a finding.
            if "deadlock detected" not in str(error):
                raise


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
