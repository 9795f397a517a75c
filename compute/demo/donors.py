"""Who gives the demo's GPU time. The donors are public; how many hours is not."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from compute.demo.people import organisation
from compute.models import Flavor, JobKind, OfferKind, Pool
from compute.policies import OfferPolicy
from compute.services import offers
from compute.services.offers import NewOffer
from core.db import new_id
from core.identity.models import Membership, Organisation, OrganisationRole, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR

VLLM_BLOG = "vLLM blog, 16 July 2026: AWS, Crusoe, Lambda, Nebius, NVIDIA, Roblox and RunPod give machines"
DEMO_HOURS = "The donor is public, the hours are demo hours."


def give(
    session: Session,
    start: datetime,
    flavors: Mapping[str, Flavor],
    pools: Mapping[str, Pool],
    *,
    vllm: Project,
    foundation: Organisation,
    donor_person: Person,
) -> None:
    """Their offers, open since the start of the demo."""
    for_vllm = OfferPolicy(projects=frozenset({vllm.id}))
    hosted = OfferPolicy(hosts=frozenset({foundation.id}))
    nightly = OfferPolicy(projects=frozenset({vllm.id}), kinds=frozenset({JobKind.BENCHMARK}))
    credit, capacity, machine = OfferKind.CREDITS, OfferKind.CAPACITY, OfferKind.MACHINE
    donors = (
        ("aws", "AWS", "EC2 credits for vLLM CI", credit, "h100", 2, 62, 160, for_vllm, "us-east-1"),
        ("nvidia", "NVIDIA", "DGX time for hosted projects", capacity, "h100", 2, 120, 450, hosted, "us-west"),
        ("nebius", "Nebius", "H100 capacity for nightly benchmarks", capacity, "h100", 1, 90, 120, nightly, "eu-north1"),
        ("lambda", "Lambda", "H200 slices for vLLM", machine, "h200-7th", 7, 180, 80, for_vllm, "us-south-1"),
        ("pledgeworks-demo", "Pledgeworks demo", "CPU slots of this machine", machine, "cpu", 2, 400, 2000, OfferPolicy(), ""),
    )
    for slug, name, title, kind, flavor, devices, days, hours, policy, region in donors:
        donor = organisation(session, slug, name, OrganisationRole.COMPUTE_DONOR, start)
        if slug == "aws":
            session.add(
                Membership(
                    id=new_id(),
                    person_id=donor_person.id,
                    organisation_id=donor.id,
                    role=Role.COMPUTE_DONOR,
                    from_on=start.date(),
                )
            )
            session.flush()
        made = offers.propose(
            session,
            donor,
            NewOffer(
                name=title,
                kind=kind,
                flavor=flavors[flavor],
                devices=devices,
                opens_at=start,
                closes_at=start + timedelta(days=days),
                given_ticks=hours * TICKS_PER_GPU_HOUR,
                region=region,
                policy=policy,
                source=f"{VLLM_BLOG}. {DEMO_HOURS}" if slug != "pledgeworks-demo" else "This machine.",
                is_demo=True,
            ),
            actor=donor_person if slug == "aws" else None,
            now=start,
        )
        offers.accept(session, made, pools[flavor], actor=None, now=start)
