"""The pages of `pledge`."""

from flask import Blueprint

bp = Blueprint("pledge", __name__)
