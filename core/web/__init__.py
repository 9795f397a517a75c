"""The web shell: sessions, CSRF, headers, error pages, filters, pagination."""

from collections.abc import Sequence

from apiflask import APIFlask
from flask import Blueprint

from core.config import ROOT


def build_app(*, pages: Sequence[Blueprint], apis: Sequence[Blueprint]) -> APIFlask:
    """A Flask application around the given blueprints."""
    app = APIFlask("pledgeworks", template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static"), docs_path=None)
    for blueprint in [*pages, *apis]:
        app.register_blueprint(blueprint)
    return app
