"""Submitting a job, and asking what it may cost."""

from collections.abc import Iterable

from compute import policies
from compute.models import Flavor, JobKind, SourceKind
from compute.services.new_jobs import NewJob
from core.errors import InvalidInput
from core.web.forms import (
    BooleanField,
    Form,
    IntegerField,
    NumberRange,
    Optional,
    RadioField,
    SelectField,
    TextAreaField,
    TextField,
    ValidationError,
    required,
)

GIB = 2**30

KIND_WORDS = {JobKind.CI: "CI: tests of a change", JobKind.BENCHMARK: "Benchmark"}

SOURCE_WORDS = {
    SourceKind.REPOSITORY: "A repository at one commit",
    SourceKind.COMMAND: "A command alone",
    SourceKind.IMAGE: "A container image",
}


class JobForm(Form):
    """A job to submit."""

    project = SelectField("Project", [required("Choose the project.")])
    name = TextField("Name", length_max=200)
    kind = RadioField("What it is for", choices=[(kind.value, words) for kind, words in KIND_WORDS.items()], default="ci")
    source = RadioField(
        "What it runs", choices=[(kind.value, words) for kind, words in SOURCE_WORDS.items()], default="repository"
    )
    repository = TextField("Repository", length_max=500)
    commit = TextField("Commit", length_max=40)
    ref = TextField("Branch or tag", length_max=200)
    image = TextField("Image", length_max=252)
    command = TextAreaField("Command", [required("Say what to run, such as make test.")])
    flavor = SelectField("Kind of accelerator", [required("Choose a kind of accelerator.")])
    alternatives = SelectField("Or else")
    third = SelectField("Or else, third choice")
    gpus = IntegerField("How many", [required("Say how many."), NumberRange(1, 4096, "Between 1 and 4,096.")], default=1)
    exclusive = BooleanField("Alone on its host")
    wall_time = TextField("Longest run time", [required("Say how long it may run.")], default="30m", length_max=20)
    memory = IntegerField(
        "Memory in GiB", [required("Say how much memory."), NumberRange(1, 4096, "Between 1 and 4,096 GiB.")], default=4
    )
    priority = SelectField("Priority", default="")
    priority_reason = TextField("Why it goes first", length_max=300)
    environment = TextAreaField("Variables")
    artefacts = TextAreaField("Files to keep")

    def validate_wall_time(self, field: TextField) -> None:
        try:
            policies.parse_duration(field.data or "")
        except InvalidInput as error:
            raise ValidationError(error.message) from None

    def offer_flavors(self, flavors: Iterable[Flavor]) -> None:
        """Which kinds of accelerators there are to choose from."""
        self.flavor.choices = [(flavor.slug, flavor.name) for flavor in flavors]
        self.alternatives.choices = self.third.choices = [("", "no other"), *self.flavor.choices]

    @property
    def other_flavors(self) -> list[str]:
        """What it accepts instead, the one it likes best first."""
        return [slug for slug in (self.alternatives.data, self.third.data) if slug]

    def to_new_job(self) -> NewJob:
        """As the service takes it. Fields of the other kinds of source are left out: what is hidden is not sent.

        Raises:
            InvalidInput: the variables can't be read.
        """
        source = SourceKind(self.source.data)
        from_repository, from_image = source is SourceKind.REPOSITORY, source is SourceKind.IMAGE
        return NewJob(
            name=self.name.data or "",
            kind=JobKind(self.kind.data),
            source=source,
            command=(self.command.data or "").replace("\r\n", "\n").strip(),
            flavor=self.flavor.data,
            alternatives=tuple(self.other_flavors),
            gpus=self.gpus.data,
            exclusive=self.exclusive.data,
            wall_seconds=policies.parse_duration(self.wall_time.data),
            repository=self.repository.data if from_repository else None,
            commit=(self.commit.data or "").lower() or None if from_repository else None,
            ref=self.ref.data or None,
            image=self.image.data if from_image else None,
            environment=policies.parse_environment(self.environment.data or ""),
            artefacts=tuple(line.strip() for line in (self.artefacts.data or "").splitlines() if line.strip()),
            memory_bytes=self.memory.data * GIB,
            priority=self.priority.data or "",
            priority_reason=self.priority_reason.data or "",
        )


class QuoteForm(Form):
    """The part of a job that its price depends on; sent while the form is still being filled in."""

    class Meta(Form.Meta):
        csrf = False

    project = TextField()
    flavor = TextField()
    alternatives = TextField()
    third = TextField()
    gpus = IntegerField(validators=[Optional(), NumberRange(1, 4096)])
    exclusive = BooleanField()
    wall_time = TextField()
