"""What a submitter fills in, and whether it is well formed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from compute import policies
from compute.models import JobKind, SourceKind
from core.errors import InvalidInput

WALL_SECONDS_MIN = 1

MEMORY_BYTES_DEFAULT = 4 * 2**30


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a submitter fills in."""

    name: str
    kind: JobKind
    source: SourceKind
    command: str
    flavor: str
    """The one it prefers."""
    gpus: int
    wall_seconds: int
    exclusive: bool = False
    """Whether nothing else of its pool may be on its host; it takes, and pays for, all of it."""
    alternatives: Sequence[str] = ()
    """Other flavors it accepts, the one it likes best first."""
    repository: str | None = None
    commit: str | None = None
    ref: str | None = None
    image: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    artefacts: Sequence[str] = ()
    memory_bytes: int = MEMORY_BYTES_DEFAULT
    priority: str = ""
    """The slug of a priority class; empty: ordinary."""
    priority_reason: str = ""
    grant_id: UUID | None = None
    """None: the grant that ends first among those that can pay."""
    job_id: UUID | None = None
    """The client may make the id; submitting it twice submits once."""
    is_demo: bool = False


def check_shape(new: NewJob, local_roots: Sequence[Path]) -> None:
    """Refuse what no pool could make sense of.

    Raises:
        InvalidInput: malformed; the field says where, see also compute.policies.submission.
    """
    policies.check_source(
        new.source,
        command=new.command,
        repository=new.repository,
        commit=new.commit,
        image=new.image,
        ref=new.ref,
        local_roots=local_roots,
    )
    if new.kind is JobKind.BENCHMARK and new.alternatives:
        raise InvalidInput(
            "A benchmark stays on one kind of accelerator, or its figures could not be compared: leave out the other kinds.",
            field="alternatives",
        )
    policies.check_environment(new.environment)
    policies.check_artefact_globs(new.artefacts)
    if new.gpus < 1:
        raise InvalidInput("Ask for at least one GPU or slice.", field="gpus")
    if new.wall_seconds < WALL_SECONDS_MIN:
        raise InvalidInput("Declare how long the job may run, at least one second.", field="wall_time")
    if new.memory_bytes < 1:
        raise InvalidInput("Declare how much memory the job may use.", field="memory")
    if len(new.name) > 200:
        raise InvalidInput("Keep the name under 200 characters.", field="name")
