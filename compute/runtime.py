"""The executors this process can reach, and what they may use."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import structlog
from sqlalchemy import func, or_, select

from compute.executors.base import Executor, ExecutorError
from compute.executors.local import LocalExecutor
from compute.models import Flavor, Pool, PoolHost, PoolStatus
from core.config import ROOT, Environment, settings
from core.db import session_scope

log = structlog.get_logger()


def executors() -> Mapping[str, Executor]:
    """Every executor by its name. The local one is left out where it refuses to work (production, unless told so)."""
    with session_scope() as session:
        declared = session.execute(
            select(Flavor.slug, func.sum(func.coalesce(PoolHost.devices, Pool.devices)))
            .join(Pool, Pool.flavor_id == Flavor.id)
            .outerjoin(PoolHost, PoolHost.pool_id == Pool.id)
            .where(Pool.executor == LocalExecutor.name, Pool.status != PoolStatus.CLOSED)
            .where(or_(PoolHost.id.is_(None), PoolHost.name == settings().host))
            .group_by(Flavor.slug)
        )
        slots = frozenset((flavor, int(devices)) for flavor, devices in declared)
    return _made(slots, settings().data_folder)


def detected_gpus() -> Mapping[str, int]:
    """The GPUs of this machine by flavor, as nvidia-smi names them; empty where there is none or the driver is broken."""
    try:
        return LocalExecutor(slots={}).capacity().gpus
    except ExecutorError as error:
        log.warning("compute.gpus_unknown", reason=error.message)
        return {}


def evict_local_jobs() -> None:
    """The platform on this machine stops: what runs here is ended, and credited back when it starts again."""
    LocalExecutor(slots={}).evict_all("The platform was stopped.")


def local_repositories() -> tuple[Path, ...]:
    """Folders whose Git repositories jobs may read by path: this project in development, none in production."""
    return (ROOT,) if settings().pledgeworks_env is Environment.DEVELOPMENT else ()


@cache
def _made(slots: frozenset[tuple[str, int]], _data_folder: Path) -> Mapping[str, Executor]:
    """Made again when a pool is added: slots of this machine are declared by its pools' rows."""
    found = detected_gpus()
    declared = {flavor: devices for flavor, devices in slots if flavor not in found}
    local = LocalExecutor(slots=declared, repositories=local_repositories())
    return {} if local.refusal() else {local.name: local}
