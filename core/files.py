"""Attachments, evidence, logs and artefacts: bytes in the object store (fsspec), facts about them in a row.

The object store is a folder under the data folder unless `PLEDGEWORKS_OBJECT_STORE` names another fsspec URL.
"""

import hashlib
import re
from datetime import datetime
from typing import IO
from urllib.parse import quote
from uuid import UUID

import fsspec
from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, Session

from core.config import settings
from core.db import Base, Id, ShortText, Utc, new_id
from core.errors import InvalidInput

SIZE_MAX_BYTES = 10_000_000

# Type by content, not by what the browser claims: first bytes of what we take, nothing that a browser would run.
SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"PK\x03\x04", "application/zip"),
)


class StoredFile(Base):
    """One uploaded or produced file. Rows and objects are never changed, only added."""

    __tablename__ = "stored_file"
    __table_args__ = (CheckConstraint("size_bytes >= 0", name="size"),)

    id: Mapped[Id]
    name: Mapped[ShortText]
    media_type: Mapped[ShortText]
    size_bytes: Mapped[int]
    sha256: Mapped[ShortText]
    object_key: Mapped[ShortText]
    uploaded_by_id: Mapped[UUID | None]
    created_at: Mapped[Utc]


def store(
    session: Session,
    stream: IO[bytes],
    *,
    name: str,
    uploaded_by_id: UUID | None,
    now: datetime,
    size_max_bytes: int = SIZE_MAX_BYTES,
    media_type: str | None = None,
) -> StoredFile:
    """Keep an uploaded file: PDF, PNG, JPEG, ZIP or UTF-8 text, judged by its content; or of a type that the caller has read.

    Raises:
        InvalidInput: empty, larger than `size_max_bytes`, or of another kind.
    """
    content = stream.read(size_max_bytes + 1)
    label = clean_name(name)
    if len(content) > size_max_bytes:
        raise InvalidInput(f"“{label}” is larger than {size_max_bytes // 1_000_000} MB.", field="file")
    if not content:
        raise InvalidInput(f"“{label}” is empty.", field="file")
    row = StoredFile(
        id=new_id(),
        name=label,
        media_type=media_type or _media_type(content, label),
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        uploaded_by_id=uploaded_by_id,
        created_at=now,
    )
    row.object_key = f"files/{row.id}"
    # The object first: a row without its object would be a lie, an object without a row is only litter.
    write_object(row.object_key, content)
    session.add(row)
    return row


def read(row: StoredFile) -> bytes:
    """The bytes of a stored file."""
    return read_object(row.object_key)


def write_object(key: str, content: bytes) -> None:
    """Put bytes into the object store under a key of ours."""
    filesystem, root = _store()
    path = f"{root}/{key}"
    filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
    with filesystem.open(path, "wb") as out:
        out.write(content)


def read_object(key: str) -> bytes:
    """Read bytes back from the object store."""
    filesystem, root = _store()
    with filesystem.open(f"{root}/{key}", "rb") as source:
        content: bytes = source.read()
    return content


def read_object_range(key: str, offset: int, limit: int) -> bytes:
    """Read at most `limit` bytes from `offset` on; nothing past the end."""
    filesystem, root = _store()
    with filesystem.open(f"{root}/{key}", "rb") as source:
        source.seek(offset)
        content: bytes = source.read(limit)
    return content


def clean_name(name: str) -> str:
    """A file name that is safe to show and to offer for download."""
    return re.sub(r"[^\w. ()-]+", "_", name.replace("\\", "/").rsplit("/", 1)[-1]).strip(" .")[:120] or "file"


def as_download(name: str) -> str:
    """The Content-Disposition header that has a browser keep a file under its name, whatever script the name is in.

    A header holds Latin-1 only, and the server breaks the answer off at anything else; the full name goes in as RFC 6266 says.
    """
    label = clean_name(name)
    plain = label.encode("ascii", "ignore").decode().strip()
    plain = f"file{plain}" if not plain.partition(".")[0] else plain
    full = "" if plain == label else f"; filename*=UTF-8''{quote(label, safe='')}"
    return f'attachment; filename="{plain}"{full}'


def _store() -> tuple[fsspec.AbstractFileSystem, str]:
    filesystem, root = fsspec.core.url_to_fs(settings().object_store_url)
    return filesystem, root


def _media_type(content: bytes, label: str) -> str:
    for signature, media_type in SIGNATURES:
        if content.startswith(signature):
            return media_type
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidInput(f"“{label}” is not a PDF, PNG, JPEG, ZIP or text file.", field="file")
    return "text/plain; charset=utf-8"
