"""What the signed-in pages share: whose company it is, and the evidence that comes with a form."""

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core import files
from core.clock import today, utc_now
from core.files import StoredFile
from core.identity import access
from core.identity.models import Role
from core.web import current_person, db
from core.web.forms import FileField
from pledge import queries
from pledge.models import Pledge, PledgeMember


def readable(slug: str) -> PledgeMember:
    """A member whose dashboard this person may see: its editors, administrators, auditors.

    Raises:
        NotFound: no such member.
        NotAllowed: somebody else's.
    """
    member = queries.member_by_slug(db(), slug)
    _require(member, reading=True)
    return member


def editable(slug: str) -> PledgeMember:
    """A member whose figures this person may change.

    Raises:
        NotFound: no such member.
        NotAllowed: somebody else's.
    """
    member = queries.member_by_slug(db(), slug)
    _require(member, reading=False)
    return member


def may_edit(member: PledgeMember) -> bool:
    """Show the buttons? The services ask again."""
    return access.has_role(db(), current_person(), Role.PLEDGE_EDITOR, organisation_id=member.organisation_id, on=today())


def to_period(pledge: Pledge) -> ResponseReturnValue:
    """Back to the dashboard at a period."""
    return redirect(url_for("pledge.dashboard", slug=pledge.member.slug, period=pledge.label), code=303)


def stored(upload: FileField) -> StoredFile | None:
    """The file that came with a form, kept; none if there was none.

    Raises:
        InvalidInput: it is empty, too large, or of a kind we don't take.
    """
    chosen = upload.data
    if not chosen or not chosen.filename:
        return None
    return files.store(db(), chosen.stream, name=chosen.filename, uploaded_by_id=current_person().id, now=utc_now())


def _require(member: PledgeMember, *, reading: bool) -> None:
    access.require_role(
        db(),
        current_person(),
        Role.PLEDGE_EDITOR,
        organisation_id=member.organisation_id,
        on=today(),
        reading=reading,
    )
