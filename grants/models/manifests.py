"""What was read of an application's funding.json, each time somebody looked."""

import enum
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, Id, JsonObject, Utc
from core.identity.models import Person


class ManifestOrigin(enum.StrEnum):
    """Where the text came from. Only what came from its address proves that it is published there."""

    ADDRESS = "address"
    PASTE = "paste"
    UPLOAD = "upload"


class ManifestReading(Base):
    """One look at a manifest: its text to the letter and what the validator said. The newest one counts; a trigger refuses
    UPDATE, DELETE and TRUNCATE."""

    __tablename__ = "manifest_reading"
    __table_args__ = (Index(None, "application_id", "read_at"),)

    id: Mapped[Id]
    application_id: Mapped[UUID] = mapped_column(ForeignKey("application.id"))
    read_at: Mapped[Utc]
    read_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    origin: Mapped[ManifestOrigin]
    url: Mapped[str]
    """Where it is published, as the applicant says."""
    text: Mapped[str]
    report: Mapped[JsonObject]
    """Findings and provenance, in the form of the API."""

    read_by: Mapped[Person] = relationship(lazy="joined")
