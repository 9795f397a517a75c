"""The pages of identity, one module per surface, on one blueprint."""

from flask import Blueprint

bp = Blueprint("identity", __name__)

from core.identity.pages import signing_in  # noqa: E402 - they register themselves on the blueprint above

__all__ = ["bp", "signing_in"]
