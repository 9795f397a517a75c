"""The JSON face of `pledge`, under /api/v1."""

from apiflask import APIBlueprint

bp = APIBlueprint("pledge_api", __name__, url_prefix="/api/v1")
