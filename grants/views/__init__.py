"""The pages of `grants`: public ones, the officers', the committee's, the recipients'."""

from flask import Blueprint

import grants.applications.views
from core.identity.models import Role
from core.web import navigation
from core.web.filters import tone
from grants.views import committee, manage, public, recipients, setup

bp = Blueprint("grants", __name__)
for part in (grants.applications.views, public, setup, manage, committee, recipients):
    bp.register_blueprint(part.bp)

navigation.add("Programmes I run", "/programmes/mine", roles=(Role.PROGRAMME_OFFICER, Role.FINANCE), order=30)
navigation.add("Review", "/review", roles=(Role.REVIEWER, Role.PROGRAMME_OFFICER), order=32)
navigation.add("My grants", "/grants/mine", roles=(Role.MAINTAINER,), order=22)

for word, look in {"awarded": "good", "screened_out": "bad", "recused": "warn", "assigned": "warn", "declared": "info"}.items():
    tone(word, look)
