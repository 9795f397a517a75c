"""The pages of identity, one module per surface, on one blueprint."""

from flask import Blueprint

bp = Blueprint("identity", __name__)

# They register themselves on the blueprint above.
from core.identity.pages import account, administration, public, roles, set_up, signing_in  # noqa: E402

__all__ = ["account", "administration", "bp", "public", "roles", "set_up", "signing_in"]
