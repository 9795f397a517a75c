"""What the forms of the compute desk have in common."""

from collections.abc import Callable
from typing import Any

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core.errors import DomainError
from core.web import flash, page, refused
from core.web.forms import Form


def done_at_desk(form: Form, act: Callable[[], None], done: str, template: str, **context: Any) -> ResponseReturnValue:
    """Do it and go back to the desk; or show the form, with what keeps it from being done."""
    if form.validate_on_submit():
        try:
            act()
        except DomainError as error:
            refused(form, error)
        else:
            flash(done)
            return redirect(url_for("compute.desk"), code=303)
    return page(template, form=form, **context)
