"""The JSON face of `compute`, under /api/v1."""

from apiflask import APIBlueprint

bp = APIBlueprint("compute_api", __name__, url_prefix="/api/v1")
