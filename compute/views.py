"""The pages of `compute`."""

from flask import Blueprint

bp = Blueprint("compute", __name__)
