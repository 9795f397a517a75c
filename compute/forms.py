"""What people fill in: jobs, offers, requests for GPU time, rates and pools."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from compute import policies
from compute.models import WEIGHT_MAX, Flavor, IdleRule, JobKind, OfferKind, SourceKind, Trust
from compute.policies import OfferPolicy
from compute.policies.offers import parse_refs
from compute.services.offers import NewOffer
from compute.services.submit import NewJob
from core.errors import InvalidInput
from core.units import ticks_from_gpu_hours
from core.web.forms import (
    DateField,
    DateTimeField,
    DecimalField,
    Form,
    IntegerField,
    NumberRange,
    Optional,
    RadioField,
    SelectField,
    SelectMultipleField,
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
OFFER_WORDS = {
    OfferKind.CREDITS: "Cloud credits that expire",
    OfferKind.CAPACITY: "Reserved capacity for a window",
    OfferKind.MACHINE: "Hours on our own machines",
}

WHAT_IF_DAYS = (7, 14, 30, 60, 90)


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
    wall_time = TextField()


class OfferForm(Form):
    """GPU time to give."""

    donor = SelectField("Who gives", [required("Choose the organisation that gives.")])
    name = TextField("Name of the offer", [required("Give it a name your colleagues know it by.")], length_max=120)
    kind = RadioField("In which form", choices=[(kind.value, words) for kind, words in OFFER_WORDS.items()], default="capacity")
    flavor = SelectField("Kind of accelerator", [required("Choose a kind of accelerator.")])
    devices = IntegerField("How many", [required("Say how many."), NumberRange(1, 100_000, "At least one.")], default=1)
    opens_on = DateField("First day", [required("Say from when.")])
    closes_on = DateField("Last day", [required("Say until when.")])
    gpu_hours = DecimalField("GPU-hours in all", [Optional()], places=None)
    region = TextField("Region", length_max=60)
    projects = SelectMultipleField("Only for these projects")
    hosts = SelectMultipleField("Only for projects hosted by")
    kinds = SelectMultipleField("Only for", choices=[(kind.value, words) for kind, words in KIND_WORDS.items()])
    trusted_refs = TextAreaField("Only from these branches and tags")
    source = TextField("Public source", length_max=500)
    price_note = TextField("Price note", length_max=250)

    def to_new_offer(self, flavor: Flavor) -> NewOffer:
        """As the service takes it: whole days in UTC, the last one included.

        Raises:
            InvalidInput: hours or refs can't be read.
        """
        return NewOffer(
            name=self.name.data,
            kind=OfferKind(self.kind.data),
            flavor=flavor,
            devices=self.devices.data,
            opens_at=day_begins(self.opens_on.data),
            closes_at=day_begins(self.closes_on.data + timedelta(days=1)),
            region=self.region.data or "",
            given_ticks=ticks(self.gpu_hours.data) if self.gpu_hours.data is not None else None,
            policy=OfferPolicy(
                projects=frozenset(UUID(value) for value in self.projects.data or ()),
                hosts=frozenset(UUID(value) for value in self.hosts.data or ()),
                kinds=frozenset(JobKind(value) for value in self.kinds.data or ()),
                trusted_refs=parse_refs(self.trusted_refs.data or ""),
            ),
            source=self.source.data,
            price_note=self.price_note.data,
        )


class TakeBackForm(Form):
    """Ending an offer early."""

    at = DateTimeField("Running jobs may go on until", [required("Say until when running jobs may go on.")])


class AcceptOfferForm(Form):
    """Tying an offer to the hardware behind it."""

    pool = SelectField("Pool", [required("Choose the pool its hardware is behind.")])


class GrantForm(Form):
    """A project's request for GPU time."""

    project = SelectField("Project", [required("Choose the project.")])
    title = TextField("Title", [required("Give it a title.")], length_max=120)
    purpose = TextAreaField("What the hours are for", [required("Say what the hours are for.")])
    gpu_hours = DecimalField("Reference GPU-hours", [required("Say how many.")], places=None)
    starts_on = DateField("First day", [required("Say from when.")])
    expires_on = DateField("Last day", [required("Say until when.")])


class NoteForm(Form):
    """A note that goes with a step."""

    note = TextAreaField("Note", [required("Write a sentence or two.")])


class DecisionForm(Form):
    """Granting hours."""

    gpu_hours = DecimalField("Reference GPU-hours to grant", [required("Say how many.")], places=None)
    note = TextAreaField("Note")


class ReasonForm(Form):
    """Why something is stopped or refused."""

    reason = TextField("Reason", [required("Say why, for the record.")], length_max=300)


class RateForm(Form):
    """A line of the exchange table."""

    flavor = SelectField("Kind of accelerator", [required("Choose a kind of accelerator.")])
    rate = TextField(
        "Reference GPU-hours an hour is worth", [required("Write a number such as 0.35, or a fraction such as 7/5.")]
    )
    valid_from = DateTimeField("Valid from", [required("Say from when.")])
    source = TextField("Source", [required("Say where the figure comes from.")], length_max=300)

    def fraction(self) -> Fraction:
        """The rate, exactly.

        Raises:
            InvalidInput: not a number or a fraction.
        """
        try:
            return Fraction((self.rate.data or "").replace(" ", ""))
        except (ValueError, ZeroDivisionError):
            raise InvalidInput(
                f"“{self.rate.data}” is not a number such as 0.35 or a fraction such as 7/5.", field="rate"
            ) from None


class WeightForm(Form):
    """How much a project counts."""

    project = SelectField("Project", [required("Choose the project.")])
    weight = IntegerField(
        "Weight",
        [required("Say how much it counts."), NumberRange(1, WEIGHT_MAX, f"A whole number from 1 to {WEIGHT_MAX:,}.")],
        default=2,
    )
    reason = TextField("Reason", [required("Say why, for everybody who shares the GPUs.")], length_max=300)


class ProposalForm(Form):
    """Accepting a proposal of rates."""

    note = TextAreaField("Note")


class FlavorForm(Form):
    """A kind of accelerator."""

    slug = TextField("Short name", [required("Give it a short name such as h100.")], length_max=20)
    name = TextField("Name", [required("Give it a name such as NVIDIA H100.")], length_max=80)
    vendor = TextField("Maker", [required("Name its maker.")], length_max=80)
    slices_per_gpu = IntegerField(
        "Slices per GPU", [required("1 for a whole GPU."), NumberRange(1, 8, "Between 1 and 8.")], default=1
    )
    memory_gb = IntegerField("Memory in GB", [Optional(), NumberRange(1, 10_000)])


class IdleRuleForm(Form):
    """What happens to jobs that hold a pool's devices and do nothing."""

    minutes = IntegerField(
        "Minutes without a sign of work", [required("Say how many minutes."), NumberRange(5, 1440, "Between 5 and 1,440.")]
    )
    rule = RadioField(
        "What happens then",
        choices=[
            (IdleRule.TELL.value, "The submitter and this desk are told"),
            (IdleRule.STOP.value, "They are told, and the job is stopped; what it used is charged"),
        ],
    )


class TrustForm(Form):
    """Whose code a pool runs."""

    trust = RadioField(
        "Whose code runs here",
        choices=[
            (Trust.OPEN.value, "Everybody’s whom a project lets submit, pull requests included"),
            (Trust.REVIEWED.value, "Reviewed code only"),
        ],
    )
    trusted_refs = TextAreaField("Reviewed branches and tags")
    reason = TextField("Reason", [required("Say why, for those whose jobs it concerns.")], length_max=300)


class QuotaGroupForm(Form):
    """On which terms projects get back what they own of a pool."""

    name = TextField("Name", [required("Give the group a name.")], length_max=60)
    grace_minutes = IntegerField(
        "Grace in minutes", [required("Say how many minutes; 0 stops at once."), NumberRange(0, 1440, "Between 0 and 1,440.")]
    )
    lost_gpu_hours = IntegerField(
        "GPU-hours of work that may be lost",
        [required("Say how many; 0 waits until jobs end."), NumberRange(0, 100_000, "Between 0 and 100,000.")],
    )
    reason = TextField("Reason", [required("Say why, for everybody who shares the GPUs.")], length_max=300)


class QuotaShareForm(Form):
    """What a project owns of a pool."""

    project = SelectField("Project", [required("Choose the project.")])
    nominal = IntegerField("Its own", [required("Say how many devices; 0 for none."), NumberRange(0, 100_000)])
    lends = IntegerField("Lends at most", [Optional(), NumberRange(0, 100_000)])
    borrows = IntegerField("Borrows at most", [Optional(), NumberRange(0, 100_000)])
    reason = TextField("Reason", [required("Say why, for everybody who shares the GPUs.")], length_max=300)


class PoolForm(Form):
    """Hardware behind an executor."""

    slug = TextField("Short name", [required("Give it a short name.")], length_max=60)
    name = TextField("Name", [required("Give it a name.")], length_max=80)
    flavor = SelectField("Kind of accelerator", [required("Choose a kind of accelerator.")])
    executor = SelectField("Executor", [required("Choose what starts the work.")])
    devices = IntegerField("Devices", [required("Say how many."), NumberRange(1, 100_000, "At least one.")], default=1)
    region = TextField("Region", length_max=60)


class WhatIfForm(Form):
    """A change to try on our own history."""

    flavor = SelectField("Kind of accelerator", [required("Choose a kind of accelerator.")])
    days = SelectField("History", choices=[(str(days), f"the last {days} days") for days in WHAT_IF_DAYS], default="30")
    gpus = IntegerField("GPUs more or fewer", [Optional(), NumberRange(-10_000, 10_000, "Between −10,000 and 10,000.")])
    wall_time = TextField("Longest declared time", length_max=20)
    project = SelectField("Project whose weight changes")
    weight = IntegerField("Its weight", [Optional(), NumberRange(1, WEIGHT_MAX, f"Between 1 and {WEIGHT_MAX:,}.")])

    def wall_seconds_max(self) -> int | None:
        """The limit in seconds; none if it stays as it is.

        Raises:
            InvalidInput: not a duration, or none at all.
        """
        if not self.wall_time.data:
            return None
        seconds = policies.parse_duration(self.wall_time.data)
        if seconds < 60:
            raise InvalidInput("Let jobs run for a minute at least.", field="wall_time")
        return seconds


def ticks(hours: Decimal) -> int:
    """GPU-hours of a form as ticks.

    Raises:
        InvalidInput: negative, or finer than the platform meters.
    """
    if hours > Decimal(10**9):
        raise InvalidInput("That is more GPU-hours than there are.", field="gpu_hours")
    return ticks_from_gpu_hours(hours)


def day_begins(day: date) -> datetime:
    """Midnight UTC."""
    return datetime.combine(day, time(), tzinfo=UTC)
