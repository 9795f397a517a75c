"""Rendering a page, showing a form again, and saying that something was done."""

import enum
from typing import Any

import flask
from flask import render_template
from flask.typing import ResponseReturnValue

from core.errors import DomainError
from core.web.context import roll_back
from core.web.forms import Form


class Kind(enum.StrEnum):
    """How a flashed sentence looks; the words themselves carry the meaning."""

    SUCCESS = "success"
    INFO = "info"
    WARNING = "warning"


def page(template: str, *, form: Form | None = None, status: int | None = None, **context: Any) -> ResponseReturnValue:
    """Render a page. A form with errors makes it a 422, so that machines and htmx know that nothing was written."""
    body = render_template(template, form=form, **context)
    if status is None:
        status = (form.status if form is not None else None) or 200
    return body, status


def refused(form: Form, error: DomainError) -> None:
    """Undo what the request wrote and put the error into the form: beside its field if it names one, else on top."""
    roll_back()
    form.refuse(error)


def flash(message: str, kind: Kind | str = Kind.SUCCESS) -> None:
    """Say one sentence on the next page this browser sees."""
    flask.flash(message, Kind(kind).value)
