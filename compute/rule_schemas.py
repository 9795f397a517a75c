"""What officers have set about who may run what, and when, as JSON: the same in the API and from the commands."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from compute.models import Pool, PoolHost, PoolWindow, PriorityClass, PriorityUse, QuotaGroup, RunLimit, WindowKind, WindowStatus
from compute.queries import hosts, quotas
from core.units import format_gpu_hours


class WindowOut(BaseModel):
    """Maintenance, a reservation or a drain of a pool."""

    id: UUID
    pool: str
    kind: WindowKind
    gpus: int | None = Field(description="GPUs or slices it takes; none for a drain, which takes all.")
    begins_at: datetime
    ends_at: datetime | None = Field(description="None for a drain.")
    project: str | None = Field(description="For whom a reservation is.")
    why: str
    status: WindowStatus

    @classmethod
    def of(cls, row: PoolWindow) -> Self:
        return cls(
            id=row.id,
            pool=row.pool.slug,
            kind=row.kind,
            gpus=row.gpus,
            begins_at=row.begins_at,
            ends_at=row.ends_at,
            project=row.project.slug if row.project else None,
            why=row.why,
            status=row.status,
        )


class WindowsOut(BaseModel):
    """Windows, first things first."""

    windows: list[WindowOut]


class HostOut(BaseModel):
    """A machine of a pool."""

    pool: str
    host: str
    devices: int = Field(description="GPUs or slices.")
    in_use: int
    in_service: bool = Field(description="Whether it takes new work.")
    reason: str

    @classmethod
    def of(cls, row: PoolHost, in_use: int) -> Self:
        return cls(
            pool=row.pool.slug,
            host=row.name,
            devices=row.devices,
            in_use=in_use,
            in_service=row.in_service,
            reason=row.reason,
        )


class HostsOut(BaseModel):
    """The named hosts of pools, by name; a pool that is not among them is one host."""

    hosts: list[HostOut]

    @classmethod
    def shown(cls, session: Session, pools: Sequence[Pool]) -> Self:
        ids = [pool.id for pool in pools]
        used, rows = hosts.in_use(session, ids), hosts.of_pools(session, ids)
        found = [row for pool in pools for row in rows.get(pool.id, [])]
        return cls(hosts=[HostOut.of(row, used.get((row.pool_id, row.name), 0)) for row in found])


class RunLimitOut(BaseModel):
    """How much of somebody may run at a time."""

    project: str | None
    person: str | None = Field(description="E-mail; neither project nor person: each person who has no limit of their own.")
    whose: str
    jobs: int | None = Field(description="None: any number.")
    gpus: int | None = Field(description="GPUs and slices, of all kinds together. None: any number.")
    reason: str
    since: datetime

    @classmethod
    def of(cls, row: RunLimit) -> Self:
        return cls(
            project=row.project.slug if row.project else None,
            person=row.person.email if row.person else None,
            whose=row.whose,
            jobs=row.jobs,
            gpus=row.gpus,
            reason=row.reason,
            since=row.set_at,
        )


class RunLimitsOut(BaseModel):
    """Limits: everybody's first, then projects, then people."""

    limits: list[RunLimitOut]


class PriorityOut(BaseModel):
    """A named reason to go first, or last."""

    priority: str = Field(description="Its short name, which a job is submitted with.")
    name: str
    rank: int = Field(description="Above 0 goes before ordinary jobs, below 0 after them.")
    for_: PriorityUse = Field(
        serialization_alias="for", description="Who may submit with it; officers give it to jobs that wait."
    )
    needs_reason: bool
    month_gpu_hours: str | None = Field(description="Reference GPU-hours a project may use with it in a month. None: any.")
    open: bool = Field(description="Whether jobs may get it.")

    @classmethod
    def of(cls, row: PriorityClass) -> Self:
        return cls(
            priority=row.slug,
            name=row.name,
            rank=row.rank,
            for_=row.use,
            needs_reason=row.needs_reason,
            month_gpu_hours=format_gpu_hours(row.month_ticks, 2) if row.month_ticks is not None else None,
            open=row.is_open,
        )


class PrioritiesOut(BaseModel):
    """Priority classes, the highest rank first; an ordinary job has none and rank 0."""

    priorities: list[PriorityOut]


class QuotaShareOut(BaseModel):
    """What a project owns of a pool."""

    project: str
    nominal: int
    lends: int | None = Field(description="At most, of its own. None: all of it.")
    borrows: int | None = Field(description="At most, beyond its own. None: whatever is lent.")
    uses: int = Field(description="What it has in the pool now.")
    reason: str


class QuotaGroupOut(BaseModel):
    """The projects that own devices of a pool, and the terms on which they get them back."""

    name: str
    pool: str
    grace_seconds: int
    lost_gpu_seconds_max: int
    reason: str
    ended_at: datetime | None = Field(description="Since then nobody owns anything there; the shares are what was owned then.")
    end_reason: str | None
    shares: list[QuotaShareOut]

    @classmethod
    def of(cls, session: Session, group: QuotaGroup) -> Self:
        uses = quotas.uses(session)
        return cls(
            name=group.name,
            pool=group.pool.slug,
            grace_seconds=group.grace_seconds,
            lost_gpu_seconds_max=group.lost_gpu_seconds_max,
            reason=group.reason,
            ended_at=group.ended_at,
            end_reason=group.end_reason,
            shares=[
                QuotaShareOut(
                    project=share.project.slug,
                    nominal=share.nominal,
                    lends=share.lends,
                    borrows=share.borrows,
                    uses=uses.get((group.pool_id, share.project_id), 0),
                    reason=share.reason,
                )
                for share in quotas.shares(session, group)
            ],
        )


class QuotaGroupsOut(BaseModel):
    """Quota groups, by name."""

    groups: list[QuotaGroupOut]
