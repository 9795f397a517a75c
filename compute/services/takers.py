"""Whether any pool could ever run a job, and any donor's offer is for it."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from compute.models import ComputeOffer, Flavor, Job, OfferStatus, Origin, Pool
from compute.policies import OfferPolicy, Request, trust
from compute.queries import hosts
from compute.services.new_jobs import NewJob
from core.errors import DomainError
from core.identity.models import Project
from core.units import format_seconds


class NoPoolForJob(DomainError):
    """No pool could ever run this job."""

    code = "no_pool_for_job"


class NoOfferForJob(DomainError):
    """No donor's offer permits this job."""

    code = "no_offer_for_job"


def pools_for(session: Session, new: NewJob, flavor: Flavor) -> list[Pool]:
    """The pools that could run the job once they are free.

    Raises:
        NoPoolForJob: there is none; the message says what stands in the way.
    """
    pools = hosts.pools_with(session, flavor)
    if not pools:
        raise NoPoolForJob(f"No pool has {flavor.name}.", field="flavor")
    running = [pool for pool in pools if str(new.source) in pool.runs]
    if not running:
        raise NoPoolForJob(f"No pool with {flavor.name} runs jobs from a source of kind “{new.source}”.", field="source")
    named = hosts.of_pools(session, [pool.id for pool in running])
    sizes = {pool: hosts.largest(pool, named.get(pool.id, [])) for pool in running}
    if new.gpus > (most := max(sizes.values())):
        where = f"The largest {'host' if named else 'pool'} with {flavor.name}"
        raise NoPoolForJob(f"{where} has {most}; this job asks for {new.gpus} at once.", field="gpus")
    wide = [pool for pool in running if sizes[pool] >= new.gpus]
    if new.wall_seconds > (longest := max(pool.wall_seconds_max for pool in wide)):
        raise NoPoolForJob(
            f"A job may run for {format_seconds(longest)} at most there; this one asks for {format_seconds(new.wall_seconds)}.",
            field="wall_time",
        )
    long = [pool for pool in wide if pool.wall_seconds_max >= new.wall_seconds]
    if new.memory_bytes > (largest := max(pool.memory_bytes_max for pool in long)):
        raise NoPoolForJob(f"A job may use {largest // 2**20:,} MiB of memory at most there.", field="memory")
    return [pool for pool in long if pool.memory_bytes_max >= new.memory_bytes]


def warning(session: Session, job: Job) -> str | None:
    """What whoever submits a job should know: no host that is large enough takes new work at the moment. None: one does."""
    pools = [pool for flavor in job.accepts for pool in hosts.pools_with(session, flavor)]
    named = hosts.of_pools(session, [pool.id for pool in pools])
    if any(hosts.takes(pool, named.get(pool.id, []), job.gpus, exclusive=job.exclusive) is not None for pool in pools):
        return None
    return f"No host with {job.gpus} × {job.accepts[0].name} is in service at the moment: the job waits until one is."


def trusting(pools: Sequence[Pool], origin: Origin, ref: str | None, flavor: Flavor) -> list[Pool]:
    """Those of the pools that take the job by where it comes from.

    Raises:
        NoPoolForJob: all of them take reviewed code only.
    """
    found = [pool for pool in pools if trust.admits(pool.trust, pool.reviewed_refs, origin, ref)]
    if not found:
        refs = sorted({ref for pool in pools for ref in pool.reviewed_refs})
        branches = (
            ", or run a program of the project's own repository (./ci/test.sh, without variables) "
            f"at a commit on {' or '.join(refs)}"
            if refs
            else ""
        )
        raise NoPoolForJob(
            f"Every pool with {flavor.name} takes reviewed code only. "
            f"Let a maintainer of the project submit it, signed in{branches}.",
            field="ref",
        )
    return found


def require_offer(session: Session, new: NewJob, project: Project, flavor: Flavor, pools: Sequence[Pool]) -> None:
    """At least one offer that is or will be open must permit the job; how much it has left may still change.

    Raises:
        NoOfferForJob: none of these pools has one.
    """
    offers = session.scalars(
        select(ComputeOffer).where(
            ComputeOffer.pool_id.in_([pool.id for pool in pools]),
            ComputeOffer.status.in_([OfferStatus.ACCEPTED, OfferStatus.ACTIVE]),
        )
    ).all()
    if not offers:
        raise NoOfferForJob(f"No donor offers {flavor.name} at the moment.", field="flavor")
    asked = Request(project_id=project.id, host_id=project.parent_id, kind=new.kind, ref=new.ref)
    if not any(OfferPolicy.from_json(offer.policy).permits(asked) for offer in offers):
        ref = f" from {new.ref}" if new.ref else " without a ref"
        raise NoOfferForJob(
            f"No offer of {flavor.name} is for {new.kind} jobs of {project.name}{ref}. "
            "The compute page lists what each donor's offer is for.",
            field="flavor",
        )
