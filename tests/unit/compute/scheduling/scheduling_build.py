"""Small words for scheduling tests: things are named, and the names become ids."""

from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from compute.scheduling import Grant, Job, Knobs, Limit, Offer, Pool, PoolState, Project, Running, Snapshot
from core.units import TICKS_PER_GPU_HOUR, TICKS_PER_GPU_SECOND

NOON = int(datetime(2026, 11, 18, 12, tzinfo=UTC).timestamp())

HOUR = 3600
GPU_HOUR = TICKS_PER_GPU_HOUR
FOREVER = NOON + 10 * 365 * 24 * HOUR


def uid(name: str) -> UUID:
    return uuid5(NAMESPACE_OID, name)


UNLIMITED = Limit()


def pool(name: str = "berlin", state: PoolState = PoolState.OPEN, open_until: int | None = None, **capacity: int) -> Pool:
    return Pool(uid(name), name, capacity or {"H100": 8}, state, open_until)


def project(name: str = "vllm", weight: int = 1, used_gpu_hours: int = 0, limit: Limit = UNLIMITED) -> Project:
    return Project(uid(name), weight, used_gpu_hours * GPU_HOUR, limit)


def job(name: str, gpus: int = 1, hours: float = 1, **other: Any) -> Job:
    """A job of project `vllm`, one reference GPU-hour per GPU-hour, submitted in the order tests create them."""
    wall = int(hours * HOUR)
    ticks = gpus * wall * TICKS_PER_GPU_SECOND
    known: dict[str, Any] = {
        "id": uid(name),
        "project_id": uid(other.pop("project", "vllm")),
        "submitter_id": uid(other.pop("by")) if "by" in other else None,
        "submitted_at": NOON - HOUR + other.pop("minute", 0) * 60,
        "flavor": "H100",
        "gpus": gpus,
        "wall_seconds": wall,
        "cost_ticks": ticks,
        "grant_id": uid(other.pop("grant")) if "grant" in other else None,
        "offer_ticks": ticks,
        "offers": frozenset(map(uid, other.pop("offers"))) if "offers" in other else None,
        "pools": frozenset(map(uid, other.pop("pools"))) if "pools" in other else None,
    }
    return Job(**known | other)


def running(name: str, gpus: int, ends_in_hours: float, **other: Any) -> Running:
    known: dict[str, Any] = {
        "job_id": uid(name),
        "project_id": uid(other.pop("project", "vllm")),
        "submitter_id": uid(other.pop("by")) if "by" in other else None,
        "pool_id": uid(other.pop("pool", "berlin")),
        "flavor": "H100",
        "gpus": gpus,
        "rate": gpus * TICKS_PER_GPU_SECOND,
        "ends_by": NOON + int(ends_in_hours * HOUR),
    }
    return Running(**known | other)


def offer(
    name: str, gpu_hours: float, *, opens: int = NOON - HOUR, closes: int = FOREVER, pool: str = "berlin", flavor: str = "H100"
) -> Offer:
    return Offer(uid(name), uid(pool), flavor, int(gpu_hours * GPU_HOUR), opens, closes)


def grant(name: str, gpu_hours: float, *, opens: int = NOON - HOUR, closes: int = FOREVER) -> Grant:
    return Grant(uid(name), int(gpu_hours * GPU_HOUR), opens, closes)


def snapshot(*queued: Job, **other: Any) -> Snapshot:
    """One pool of 8 × H100 and a project per job, unless the test says otherwise. Without memory of past use."""
    named = {waiting.project_id for waiting in queued} | {r.project_id for r in other.get("running", ())}
    given = tuple(other.pop("projects", ()))
    missing = sorted(named - {each.id for each in given})
    known: dict[str, Any] = {
        "now": NOON,
        "pools": (pool(),),
        "projects": (*given, *(Project(project_id) for project_id in missing)),
        "queued": queued,
        "knobs": Knobs(looks_max=10**6),
    }
    return Snapshot(**known | other)
