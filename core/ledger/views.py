"""The open ledger: public pages, and the exports as downloads."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import cast
from uuid import UUID

from flask import Blueprint, Response, current_app, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.db import engine
from core.errors import InvalidInput, NotFound
from core.identity import limits
from core.ledger import overview
from core.ledger.export import MEDIA_TYPES, Format, export, snapshot
from core.ledger.models import Account, EntryRow, TransferRow
from core.web import db, page
from core.web.context import Application
from core.web.pagination import paginate

bp = Blueprint("ledger", __name__, url_prefix="/ledger")

EXPORTS = limits.Limit(count=20, per=timedelta(hours=1))
"""Whole ledgers one address may take in an hour: each reads everything there is."""


@bp.get("")
def index() -> ResponseReturnValue:
    """Balances by group, the signed head, and how to check it all."""
    return page(
        "ledger/index.html",
        groups=overview.groups(db()),
        head=overview.head(db()),
        unsealed=overview.unsealed(db()),
        formats=list(Format),
    )


@bp.get("/accounts")
def accounts() -> ResponseReturnValue:
    """Accounts below a code, with their balances."""
    under = request.args.get("under", "").strip()[:250]
    shown = paginate(
        db(), overview.accounts(under), by=[Account.code, Account.id], descending=False, cursor=request.args.get("cursor")
    )
    return page("ledger/accounts.html", under=under, shown=shown, rows=[overview.described(row) for row in shown.items])


@bp.get("/accounts/<code>")
def account(code: str) -> ResponseReturnValue:
    """One account's movements with the running balance."""
    found = overview.account(db(), code)
    if found is None:
        raise NotFound(f"The ledger has no account {code[:80]}. Its accounts are listed at {url_for('.accounts')}.")
    shown = paginate(
        db(),
        overview.movements(overview.account_id(db(), code)),
        by=[TransferRow.entry_id, TransferRow.leg],
        cursor=request.args.get("cursor"),
    )
    return page("ledger/account.html", account=found, shown=shown, postings=overview.postings(db(), found, shown.items))


@bp.get("/entries")
def entries() -> ResponseReturnValue:
    """Entries, newest first; of one account or with one reference if asked."""
    account_code = request.args.get("account", "").strip()[:250]
    ref = request.args.get("ref", "").strip()[:250]
    shown = paginate(
        db(),
        overview.entries(db(), account_code=account_code, ref=_reference(ref)),
        by=[EntryRow.id],
        cursor=request.args.get("cursor"),
    )
    ids = [row.id for row in shown.items]
    return page(
        "ledger/entries.html",
        shown=shown,
        transfers=overview.transfers_of(db(), ids),
        positions=overview.positions(db(), ids),
        account_code=account_code,
        ref=ref,
    )


def _reference(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not value.strip():
        raise InvalidInput("Write a reference as its name and value, such as grant:0190c2f4-….", field="ref")
    return name.strip(), value.strip()


@bp.get("/entries/<uuid:entry_id>")
def entry(entry_id: UUID) -> ResponseReturnValue:
    """One entry with its transfers and its place in the chain."""
    row = db().get(EntryRow, entry_id)
    if row is None:
        raise NotFound("The ledger has no such entry.")
    position = overview.positions(db(), [entry_id]).get(entry_id)
    transfers = overview.transfers_of(db(), [entry_id])[entry_id]
    return page("ledger/entry.html", entry=row, transfers=transfers, position=position)


@bp.get("/export/<form>")
def download(form: str) -> ResponseReturnValue:
    """The whole ledger as a file, streamed as of one moment."""
    if form not in set(Format):
        raise NotFound(f"The ledger is exported as {', '.join(Format)}, not as {form[:40]}.")
    now = utc_now()
    address = hashlib.sha256((request.remote_addr or "").encode()).hexdigest()[:32]
    taken = limits.take(db(), f"ledger-export:{address}", EXPORTS, now=now)
    if taken.over:
        seconds = max(1, int((taken.resets_at - now).total_seconds()))
        raise limits.TooMany(
            f"{EXPORTS.count} exports an hour are enough for one address; the next can be had in {seconds // 60 + 1} minutes.",
            retry_after_seconds=seconds,
        )
    wanted = Format(form)
    media_type, name = MEDIA_TYPES[wanted]
    answer = Response(_pieces(wanted), content_type=media_type)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _pieces(form: Format) -> Iterator[str]:
    bind = cast("Application", current_app).bind or engine()
    if isinstance(bind, Connection):  # a test's connection has a transaction of its own
        return _together(export(Session(bind), form, now=utc_now()))

    def read() -> Iterator[str]:
        with snapshot(bind) as session:
            yield from _together(export(session, form, now=utc_now()))

    return read()


def _together(pieces: Iterator[str]) -> Iterator[str]:
    """Larger pieces: one write to the network for each line would be slow."""
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size > 1 << 16:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting)
