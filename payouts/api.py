"""The JSON face of `payouts`, under /api/v1."""

from apiflask import APIBlueprint

bp = APIBlueprint("payouts_api", __name__, url_prefix="/api/v1")
