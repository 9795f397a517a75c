"""Pages that belong to no domain: home, what waits for you, health, the component gallery."""

from flask import Blueprint, Response, abort, jsonify, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import text

from core.clock import utc_now
from core.config import Environment, settings
from core.web import errors, gallery, hooks
from core.web.context import db
from core.web.gates import signed_in
from core.web.visitor import current_person

bp = Blueprint("web", __name__)


@bp.get("/")
def home() -> ResponseReturnValue:
    """What Pledgeworks is, and its figures."""
    session = db()
    figures = [figure for provider in hooks.headline.providers for figure in provider(session)]
    return render_template("web/home.html", figures=figures)


@bp.get("/work")
@signed_in
def work() -> ResponseReturnValue:
    """What waits for the signed-in person."""
    person = current_person()
    to_dos = [to_do for provider in hooks.to_do.providers for to_do in provider(db(), person)]
    return render_template("web/work.html", person=person, to_dos=to_dos)


@bp.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return jsonify(status="ok")


@bp.get("/readyz")
def readyz() -> Response:
    """The process and its database answer; a 503 otherwise, by the error pages."""
    db().execute(text("SELECT 1"))
    return jsonify(status="ok")


@bp.get("/errors")
def error_codes() -> ResponseReturnValue:
    """What every `code` of a problem means: the page the `type` of a problem leads to."""
    return render_template("web/error_codes.html", codes=errors.catalogue())


@bp.get("/_components")
def components() -> ResponseReturnValue:
    """Every component with ordinary and awkward content, to look at while designing. Development only."""
    if settings().pledgeworks_env is not Environment.DEVELOPMENT:
        abort(404)
    return render_template("web/components.html", **gallery.samples(utc_now()))
