"""The JSON face of `grants`, under /api/v1."""

from apiflask import APIBlueprint

bp = APIBlueprint("grants_api", __name__, url_prefix="/api/v1")
