"""What the compute journeys start from: one donor with an offer, a project with a grant, and slots of this machine."""

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from journey import Site

from compute.models import OfferKind, SourceKind
from compute.services import catalogue, compute_grants, lifecycle, offers
from compute.services.offers import NewOffer
from core.clock import utc_now
from core.db import new_id
from core.identity.memberships import Scope
from core.identity.models import Organisation, OrganisationRole, OrganisationRoleRow, Project, Role
from core.units import TICKS_PER_GPU_HOUR


@dataclass(frozen=True)
class Start:
    """Slugs and addresses of what was made."""

    project: str = "vllm"
    donor: str = "aws"
    maintainer: str = "mo@example.org"
    donor_person: str = "dana@example.org"


def arrange(site: Site) -> Start:
    """Make it; the people sign in with the site's password."""
    now = utc_now()
    officer = site.add_person("olga@example.org", "Olga Officer", Role.PROGRAMME_OFFICER)
    with site.session() as session:
        donor = Organisation(id=new_id(), slug="aws", name="AWS", created_at=now)
        project = Project(id=new_id(), slug="vllm", name="vLLM", created_at=now)
        session.add_all([donor, project])
        session.flush()
        session.add(
            OrganisationRoleRow(id=new_id(), organisation_id=donor.id, role=OrganisationRole.COMPUTE_DONOR, from_on=now.date())
        )
        flavor = catalogue.add_flavor(session, slug="cpu", name="CPU slot", vendor="This machine", author=None, now=now)
        catalogue.set_rate(session, flavor, Fraction(1, 2), valid_from=now, source="A test", author=None, now=now)
        pool = catalogue.add_pool(
            session, slug="here", name="This machine", flavor=flavor, executor="local", devices=2,
            runs=[SourceKind.COMMAND, SourceKind.REPOSITORY], author=None, now=now,
        )  # fmt: skip
        offer = offers.propose(
            session,
            donor,
            NewOffer(
                name="Two slots for CI",
                kind=OfferKind.MACHINE,
                flavor=flavor,
                devices=2,
                opens_at=now,
                closes_at=now + timedelta(days=20),
                given_ticks=100 * TICKS_PER_GPU_HOUR,
            ),
            actor=None,
            now=now,
        )
        offers.accept(session, offer, pool, actor=None, now=now)
        lifecycle.pass_offers(session, now=now)
        grant = compute_grants.request(
            session, project, title="GPU time for vLLM", purpose="CI", ticks=10 * TICKS_PER_GPU_HOUR, starts_at=now,
            expires_at=now + timedelta(days=20), requested_by=None, now=now,
        )  # fmt: skip
        compute_grants.review(session, grant, note="Sound.", reviewer=officer, now=now)
        compute_grants.approve(session, grant, decided_by=officer, now=now)
    site.add_person("mo@example.org", "Mo Maintainer", Role.MAINTAINER, scope=Scope(project=project))
    site.add_person("dana@example.org", "Dana Donor", Role.COMPUTE_DONOR, scope=Scope(organisation=donor))
    return Start()
