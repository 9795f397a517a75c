"""Tamper evidence behind the writers: batches of entries become links of a hash chain, each link signed.

Transactions commit out of order, so no counter drawn while writing tells what is complete. Sealing therefore gives the
positions itself: whatever is visible and has none yet gets the next ones, and what commits later comes into a later seal.
To find such entries without reading the whole ledger, a seal keeps the oldest transaction that was still running when it
was made; older ones had ended, so their entries are sealed. `thorough` ignores that shortcut, once a night.
"""

import hashlib
from datetime import datetime

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from core.ledger.entries import canonical
from core.ledger.models import Seal, SealedEntry
from core.ledger.records import Record, entry_hash, moment, stream_unsealed
from core.ledger.signing import sign

BATCH_MAX = 20_000
NO_HASH = bytes(32)
"""What the first seal has for a previous hash."""
_LOCK = 0x5345_414C


def seal(session: Session, *, now: datetime, thorough: bool = False, batch_max: int = BATCH_MAX) -> Seal | None:
    """Seal the entries that are not sealed yet, up to `batch_max`; None if there are none. One sealer works at a time."""
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    last = latest_seal(session)
    since = last.horizon if last and not thorough else 0
    # Read before the entries: what had ended by now is visible to the next statement.
    horizon = session.execute(text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")).scalar_one()
    fresh = [(entry.entry_id, entry_hash(entry.record)) for entry in stream_unsealed(session, since=since, limit=batch_max)]
    if not fresh:
        return None
    no, previous = (last.no + 1, last.hash) if last else (1, NO_HASH)
    content = content_hash([digest for _, digest in fresh])
    digest = seal_hash(seal_record(no, len(fresh), content, previous, now))
    signature, public_key = sign(digest)
    made = Seal(
        no=no,
        entries=len(fresh),
        content_hash=content,
        previous_hash=previous,
        hash=digest,
        signature=signature,
        public_key=public_key,
        sealed_at=now,
        # A full batch leaves entries behind: the next one must look as far back as this one did.
        horizon=horizon if len(fresh) < batch_max else since,
    )
    session.add(made)
    session.flush()
    first = 1 + last_position(session)
    session.execute(
        insert(SealedEntry),
        [
            {"position": position, "entry_id": entry_id, "seal_no": no, "hash": digest}
            for position, (entry_id, digest) in enumerate(fresh, start=first)
        ],
    )
    return made


def seal_all(session: Session, *, now: datetime, thorough: bool = False, batch_max: int = BATCH_MAX) -> list[Seal]:
    """Seal everything there is, committing batch by batch: sealing never holds anything up for long."""
    made = []
    while (link := seal(session, now=now, thorough=thorough, batch_max=batch_max)) is not None:
        session.commit()
        made.append(link)
    session.commit()
    return made


def latest_seal(session: Session) -> Seal | None:
    """The head of the chain."""
    return session.scalar(select(Seal).order_by(Seal.no.desc()).limit(1))


def last_position(session: Session) -> int:
    """How many entries are sealed."""
    return session.scalar(select(SealedEntry.position).order_by(SealedEntry.position.desc()).limit(1)) or 0


def seal_record(no: int, entries: int, content: bytes, previous: bytes, sealed_at: datetime) -> Record:
    """What a seal's hash is made of."""
    return {
        "no": no,
        "entries": entries,
        "content": content.hex(),
        "previous": previous.hex(),
        "sealed_at": moment(sealed_at),
    }


def head_record(last: Seal) -> Record:
    """What an auditor notes down, or the installation publishes: the last link of the chain, signed."""
    return {
        "seal": last.no,
        "hash": last.hash.hex(),
        "signature": last.signature.hex(),
        "public_key": last.public_key.hex(),
        "sealed_at": moment(last.sealed_at),
    }


def content_hash(entry_hashes: list[bytes]) -> bytes:
    """SHA-256 over the hashes of a seal's entries, in their order."""
    return hashlib.sha256(b"".join(entry_hashes)).digest()


def seal_hash(record: Record) -> bytes:
    """SHA-256 of a seal's record; the next seal's `previous`."""
    return hashlib.sha256(canonical(record)).digest()
