"""Receipts and yearly statements to take away."""

from uuid import UUID

from flask import Response
from flask.typing import ResponseReturnValue

from core import files
from core.errors import NotFound
from core.paper import MEDIA_TYPES, PaperForm
from core.web import db, signed_in
from pledge import papers, queries
from pledge.views.blueprint import bp
from pledge.views.shared import readable


@bp.get("/company/<slug>/instalments/<uuid:instalment_id>/receipt.<form>")
@signed_in
def receipt(slug: str, instalment_id: UUID, form: str) -> ResponseReturnValue:
    """The receipt of an instalment that settled."""
    member, wanted = readable(slug), _form(form)
    row = queries.instalment(db(), instalment_id)
    if row.pledge.member_id != member.id:
        raise NotFound("There is no such instalment.")
    return _file(papers.draw_receipt(papers.receipt(db(), row), wanted), f"receipt-{row.reference}.{wanted}", wanted)


@bp.get("/company/<slug>/periods/<label>/statement.<form>")
@signed_in
def statement(slug: str, label: str, form: str) -> ResponseReturnValue:
    """What the company paid for a year."""
    pledge, wanted = queries.pledge_by_label(db(), readable(slug), label), _form(form)
    content = papers.draw_statement(papers.statement(db(), pledge), wanted)
    return _file(content, f"statement-{pledge.label}-{slug}.{wanted}", wanted)


def _form(text: str) -> PaperForm:
    if text not in set(PaperForm):
        raise NotFound(f"This is had as {' and '.join(PaperForm)}, not as {text[:20]}.")
    return PaperForm(text)


def _file(content: bytes, name: str, form: PaperForm) -> Response:
    headers = {"Content-Disposition": files.as_download(name), "X-Content-Type-Options": "nosniff"}
    return Response(content, content_type=MEDIA_TYPES[form], headers=headers)
