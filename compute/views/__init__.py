"""The pages of `compute`."""

from flask import Blueprint

from core.identity.models import Role
from core.web import navigation
from core.web.filters import tone

bp = Blueprint("compute", __name__)

# They register on `bp`.
from compute.views import (  # noqa: E402
    admin,
    calibration,
    grants,
    hosts,
    jobs,
    limits,
    offers,
    pools,
    priorities,
    public,
    quotas,
    sections,
    use,
    what_if,
)

__all__ = [
    "admin",
    "bp",
    "calibration",
    "grants",
    "hosts",
    "jobs",
    "limits",
    "offers",
    "pools",
    "priorities",
    "public",
    "quotas",
    "sections",
    "use",
    "what_if",
]

navigation.add("Jobs", "/jobs", roles=(Role.COMPUTE_SUBMITTER, Role.MAINTAINER), order=50)
navigation.add("GPU offers", "/compute/offers", roles=(Role.COMPUTE_DONOR,), order=55)
navigation.add("Compute desk", "/admin/compute", roles=(Role.PROGRAMME_OFFICER,), order=60)

for word, look in (
    ("draining", "warn"),
    ("expired", "neutral"),
    ("closed", "neutral"),
    ("cancelled", "neutral"),
    ("withdrawn", "neutral"),
    ("proposed", "info"),
    ("requested", "info"),
    ("reviewed", "info"),
    ("answered", "good"),
    ("planned", "info"),
    ("over", "neutral"),
    ("called_off", "neutral"),
):
    tone(word, look)
