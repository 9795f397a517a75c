"""The demo's compute: public donors and projects, fictional hours, and one live job that really runs here.

Who gives GPUs to vLLM is public; how many hours is not, so every amount below is a *demo hour*. The past months are played
through the same services as real ones, so that the ledger, the statements and the fair order have something to show. Past
demo jobs never ran, and say so in their log.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from compute import runtime
from compute.demo import rules
from compute.demo.donors import DEMO_HOURS, give
from compute.demo.hardware import set_up
from compute.demo.live import live_job
from compute.demo.past import Past
from compute.demo.people import organisation, project_of, submitter_of
from compute.models import ComputeGrant, Pool
from compute.services import compute_grants, lifecycle, submit
from core.identity.models import OrganisationRole, Person, Project
from core.units import TICKS_PER_GPU_HOUR

HISTORY = timedelta(days=50)


def load(session: Session, *, now: datetime, people: Mapping[str, Person]) -> None:
    """Load the demo once; on a database that has it, nothing changes. Opens the live job as well."""
    if session.scalars(select(Pool).where(Pool.is_demo)).first() is not None:
        return
    start = now - HISTORY
    admin, officer = people["admin"], people["officer"]
    flavors, pools = set_up(session, admin, start)
    foundation = organisation(session, "pytorch-foundation", "PyTorch Foundation", OrganisationRole.FOUNDATION, start)
    vllm = project_of(session, "vllm", "vLLM", "https://github.com/vllm-project/vllm", foundation, start)
    deepspeed = project_of(session, "deepspeed", "DeepSpeed", "https://github.com/deepspeedai/DeepSpeed", foundation, start)
    own = project_of(session, "pledgeworks", "Pledgeworks", None, None, start)
    own.summary = own.summary or "This platform. Its live demo job runs its own unit tests."
    for project in (vllm, deepspeed, own):
        submitter_of(session, project, people["ci"], start)
    give(session, start, flavors, pools, vllm=vllm, foundation=foundation, donor_person=people["donor"])
    lifecycle.pass_offers(session, now=start)
    for project, hours, lasts, purpose in (
        (vllm, 300, timedelta(days=140), "CI and the nightly benchmark suite on GPUs"),
        (deepspeed, 75, timedelta(days=63), "Multi-GPU unit tests"),
        (own, 20, timedelta(days=365), "Its own tests, as a live demo"),
    ):
        _grant(session, project, hours, start, lasts, purpose, requested_by=people["maintainer"], officer=officer)
    Past(session, {"vllm": vllm, "deepspeed": deepspeed}).play(start, now)
    lifecycle.pass_offers(session, now=now)
    lifecycle.pass_grants(session, now=now)
    lifecycle.remind(session, now=now)
    asked = compute_grants.request(
        session,
        deepspeed,
        title="DeepSpeed nightly on H100",
        purpose="A nightly run of all world sizes: about 8 demo hours a night, 180 minutes on four GPUs.",
        ticks=240 * TICKS_PER_GPU_HOUR,
        starts_at=now,
        expires_at=now + timedelta(days=90),
        requested_by=people["maintainer"],
        now=now - timedelta(days=2),
        source=DEMO_HOURS,
        is_demo=True,
    )
    compute_grants.review(
        session,
        asked,
        note="Fits the pool at night; the first grant was used well.",
        reviewer=officer,
        now=now - timedelta(days=1),
    )
    rules.load(session, pools, vllm=vllm, deepspeed=deepspeed, officer=officer, now=now)
    submit.submit(session, own, live_job(), submitter=people["ci"], now=now, local_roots=runtime.local_repositories())


def _grant(
    session: Session,
    project: Project,
    hours: int,
    start: datetime,
    lasts: timedelta,
    purpose: str,
    *,
    requested_by: Person,
    officer: Person,
) -> ComputeGrant:
    grant = compute_grants.request(
        session,
        project,
        title=f"GPU time for {project.name}",
        purpose=purpose,
        ticks=hours * TICKS_PER_GPU_HOUR,
        starts_at=start,
        expires_at=start + lasts,
        requested_by=requested_by,
        now=start,
        source=DEMO_HOURS,
        is_demo=True,
    )
    compute_grants.review(session, grant, note="Clear need, known load.", reviewer=officer, now=start)
    return compute_grants.approve(session, grant, decided_by=officer, now=start)
