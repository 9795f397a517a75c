"""What the API of manifests and applications takes and gives."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from grants.manifests.findings import Severity
from grants.manifests.provenance import Outcome
from grants.models import Application, ApplicationOutcome, ApplicationStatus


class ManifestIn(BaseModel):
    """A funding.json to be looked at, as its text (then findings have lines and columns) or as an object."""

    manifest_url: str = Field(max_length=1024, description="Where it is published; provenance depends on it.")
    text: str | None = Field(default=None, max_length=320_000, description="The file's text.")
    manifest: dict[str, Any] | None = Field(default=None, description="Instead of `text`: the file's contents.")
    well_known: dict[str, str] = Field(
        default_factory=dict,
        max_length=100,
        description="Texts of well-known lists by the address they prove, or by their own. Nothing is fetched.",
    )
    default_branches: list[Annotated[str, Field(max_length=250)]] = Field(
        default_factory=list, max_length=10, description="Default branches of repositories; `main` and `master` unless given."
    )


class FindingOut(BaseModel):
    """One fault."""

    severity: Severity
    path: str = Field(description="Its place, such as `funding.plans[0].channels[1]`; empty for the file as a whole.")
    message: str
    line: int | None = None
    column: int | None = None


class PublicationOut(BaseModel):
    """The list that would prove an address."""

    address: str
    content: str


class ProvenanceOut(BaseModel):
    """How one address is proven."""

    path: str
    url: str
    well_known: str | None
    outcome: Outcome
    reason: str | None
    publish: PublicationOut | None


class ReportOut(BaseModel):
    """What was found."""

    manifest_url: str
    valid: bool
    findings: list[FindingOut]
    provenance: list[ProvenanceOut]


class MoneyOut(BaseModel):
    """A decimal amount in major units."""

    amount: str
    currency: str


class ApplicationOut(BaseModel):
    """One application of the token's person."""

    id: UUID
    programme: str = Field(description="The programme's slug.")
    round: str
    project: str
    status: ApplicationStatus
    outcome: ApplicationOutcome | None
    requested: MoneyOut | None
    created_at: datetime
    updated_at: datetime
    submitted_at: datetime | None
    decided_at: datetime | None

    @classmethod
    def of(cls, application: Application) -> Self:
        requested = application.requested
        return cls(
            id=application.id,
            programme=application.programme.slug,
            round=application.round.name,
            project=application.title,
            status=application.status,
            outcome=application.outcome,
            requested=MoneyOut(amount=str(requested.decimal), currency=requested.currency) if requested else None,
            created_at=application.created_at,
            updated_at=application.updated_at,
            submitted_at=application.submitted_at,
            decided_at=application.decided_at,
        )


class ApplicationsOut(BaseModel):
    """One page of applications, last changed first."""

    items: list[ApplicationOut]
    next_cursor: str | None
