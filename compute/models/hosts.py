"""The machines of a pool, by name."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from compute.models.offers import Pool
from core.db import Base, Id, ShortText, Utc
from core.identity.models import Person


class PoolHost(Base):
    """One machine of a pool. A pool without any row is one host, and needs no name for it.

    `Pool.devices` is what the hosts in service have together; who changes a host changes that, too.
    """

    __tablename__ = "pool_host"
    __table_args__ = (
        UniqueConstraint("pool_id", "name"),
        CheckConstraint("name ~ '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$' AND length(name) <= 63", name="name"),
        CheckConstraint("devices > 0", name="devices"),
        CheckConstraint("length(trim(reason)) > 0", name="reason"),
    )

    id: Mapped[Id]
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pool.id"))
    name: Mapped[ShortText]
    """What its executor calls it."""
    devices: Mapped[int]
    """Schedulable devices: GPUs, or slices where the flavor is cut."""
    in_service: Mapped[bool] = mapped_column(default=True)
    """Whether it takes new work. What runs there goes on either way."""
    reason: Mapped[str]
    """Why it is as it is, by whoever changed it last."""
    set_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    set_at: Mapped[Utc]

    pool: Mapped[Pool] = relationship(lazy="joined")
    set_by: Mapped[Person | None] = relationship()
