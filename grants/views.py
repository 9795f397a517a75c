"""The pages of `grants`."""

from flask import Blueprint

import grants.applications.views

bp = Blueprint("grants", __name__)
bp.register_blueprint(grants.applications.views.bp)
