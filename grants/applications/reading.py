"""Taking a manifest from a form: fetched from its address, pasted or uploaded, and looked at."""

from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy.orm import Session
from wtforms import Field

from core.errors import DomainError, InvalidInput
from core.identity import limits
from core.identity.models import Person
from core.net import FetchFailed
from core.urls import parse
from grants.applications.forms import ManifestForm, StartForm
from grants.manifests import fetching
from grants.manifests.reading import SIZE_MAX_BYTES
from grants.manifests.report import Report, examine
from grants.models import ManifestOrigin
from grants.services.manifests import ManifestText

PER_PERSON = limits.Limit(count=30, per=timedelta(minutes=10))


class ManifestUnreachable(InvalidInput):
    """The manifest could not be read at its address for now."""

    code: ClassVar[str] = "manifest_unreachable"


def count(session: Session, person: Person, *, now: datetime) -> None:
    """One more look for this person: each makes us ask other people's servers.

    Raises:
        TooMany: the limit is reached.
    """
    taken = limits.take(session, f"manifest:{person.id}", PER_PERSON, now=now)
    if taken.over:
        wait = max(1, int((taken.resets_at - now).total_seconds()))
        minutes = -(-wait // 60)
        raise limits.TooMany(
            f"You can have {PER_PERSON.count} manifests read in ten minutes; go on in {minutes} min.", retry_after_seconds=wait
        )


def brought(form: StartForm | ManifestForm) -> ManifestText:
    """The manifest a form brings: a file before a text before the address alone.

    An uploaded text is put into the form's text field, since browsers don't keep files: a refused form keeps what was given.

    Raises:
        InvalidInput: no address, or the file is too large or no text.
        BadAddress, FetchRefused, ManifestUnreachable: see `core.net.fetch`.
    """
    url = form.manifest_url.data
    if not url:
        raise InvalidInput("Say where the funding.json is published.", field="manifest_url")
    try:
        parse(url)
    except DomainError as error:
        raise InvalidInput(error.message, field="manifest_url") from None
    if form.manifest_file.data:
        content = form.manifest_file.data.stream.read(SIZE_MAX_BYTES + 1)
        _show_text(form.manifest_text, content)
        return ManifestText(content, url, ManifestOrigin.UPLOAD)
    if (form.manifest_text.data or "").strip():
        return ManifestText(form.manifest_text.data.encode("utf-8", "replace"), url, ManifestOrigin.PASTE)
    return fetched(url)


def fetched(url: str) -> ManifestText:
    """The manifest as it is published now.

    Raises:
        InvalidInput: it can't be had there; the sentence says why.
        ManifestUnreachable: the network failed.
    """
    try:
        return ManifestText(fetching.fetch_manifest(url), url, ManifestOrigin.ADDRESS)
    except DomainError as error:
        raise InvalidInput(error.message, field="manifest_url") from None
    except FetchFailed as error:
        raise ManifestUnreachable(f"{error} Try again later, or paste the text.", field="manifest_url") from None


def look(source: ManifestText) -> Report:
    """Judge a manifest, reading the well-known lists it names."""
    return examine(source.content, source.url, lists=fetching.lists())


def _show_text(field: Field, content: bytes) -> None:
    try:
        field.data = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        field.data = ""
