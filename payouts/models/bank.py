"""Files for people who carry payments out, at the bank or at GitHub: what was handed over, and what came back."""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, JsonObject, MinorUnits, ShortText, Utc
from core.files import StoredFile
from core.identity.models import Person
from core.money import Money

if TYPE_CHECKING:
    from payouts.models.payouts import PayoutAttempt


class BankFile(Base):
    """A file of payments for the bank, or for GitHub. Its bytes never change: downloading again gives the same file."""

    __tablename__ = "bank_file"
    __table_args__ = (UniqueConstraint("number"), CheckConstraint("line_count > 0 AND total_minor > 0", name="not_empty"))

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(BigInteger(), Identity(always=True))
    rail: Mapped[ShortText] = mapped_column(default="bank_file", server_default="bank_file")
    currency: Mapped[CurrencyCode]
    line_count: Mapped[int]
    total_minor: Mapped[MinorUnits]
    file_id: Mapped[UUID] = mapped_column(ForeignKey("stored_file.id"))
    created_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[Utc]

    file: Mapped[StoredFile] = relationship()
    created_by: Mapped[Person] = relationship()
    attempts: Mapped[list["PayoutAttempt"]] = relationship(back_populates="bank_file", order_by="PayoutAttempt.idem_key")

    @property
    def total(self) -> Money:
        return Money(self.total_minor, self.currency)


class BankImport(Base):
    """A file of the bank's answers, kept as it came, and what was done with its lines."""

    __tablename__ = "bank_import"

    id: Mapped[Id]
    file_id: Mapped[UUID] = mapped_column(ForeignKey("stored_file.id"))
    imported_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    imported_at: Mapped[Utc]
    counts: Mapped[JsonObject]
    """How many lines were paid, already known, proposed as rejected or returned, or not ours."""

    file: Mapped[StoredFile] = relationship()
    imported_by: Mapped[Person] = relationship()
