"""What programme officers fill in about who may run what, and when: windows of pools, limits, priorities."""

from compute.models import RANK_MAX, RUN_LIMIT_MAX, Pool, PriorityClass, PriorityUse, WindowKind
from compute.services.priorities import NewClass
from compute.services.windows import NewWindow
from core.identity.models import Project
from core.units import gpu_hours, ticks_from_gpu_hours
from core.web.forms import (
    BooleanField,
    DateTimeField,
    DecimalField,
    Form,
    IntegerField,
    NumberRange,
    Optional,
    RadioField,
    SelectField,
    TextField,
    required,
)


class WindowForm(Form):
    """Maintenance, a reservation or a drain of a pool."""

    kind = RadioField(
        "What it is",
        choices=[
            (WindowKind.MAINTENANCE.value, "Maintenance: nobody has these GPUs meanwhile"),
            (WindowKind.RESERVATION.value, "A reservation: one project has them meanwhile"),
            (WindowKind.DRAIN.value, "A drain: from then on the pool starts nothing, until somebody opens it again"),
        ],
        default=WindowKind.MAINTENANCE.value,
    )
    begins_at = DateTimeField("From (UTC)", [required("Say from when.")])
    ends_at = DateTimeField("Until (UTC)")
    gpus = IntegerField("GPUs or slices", [Optional(), NumberRange(1, 100_000, "At least one.")])
    project = SelectField("Reserved for")
    why = TextField("Because", [required("Say why: whoever waits because of it reads it.")], length_max=120)

    def to_new_window(self, kind: WindowKind, pool: Pool, project: Project | None) -> NewWindow:
        """As the service takes it. What a drain has no use for is left out; no number means all GPUs."""
        is_drain = kind is WindowKind.DRAIN
        assert self.begins_at.data is not None
        return NewWindow(
            kind=kind,
            begins_at=self.begins_at.data,
            why=self.why.data or "",
            ends_at=None if is_drain else self.ends_at.data,
            gpus=None if is_drain else self.gpus.data or pool.devices,
            project=project if kind is WindowKind.RESERVATION else None,
        )


class HostForm(Form):
    """A machine of a pool."""

    name = TextField("Name", [required("Name it as its executor does.")], length_max=63)
    devices = IntegerField(
        "GPUs or slices", [required("Say how many it has."), NumberRange(1, 100_000, "At least one.")], default=8
    )
    in_service = BooleanField("Takes new work", default=True)
    reason = TextField("Reason", [required("Say why, for those whose jobs it concerns.")], length_max=300)


class RunLimitForm(Form):
    """How much may run at a time."""

    whose = RadioField(
        "Whose",
        choices=[
            ("project", "A project’s"),
            ("person", "A person’s, in all projects together"),
            ("everybody", "Everybody’s who has no limit of their own, each person’s alike"),
        ],
        default="project",
    )
    project = SelectField("Project")
    person = TextField("Person’s e-mail", length_max=250)
    jobs = IntegerField("Jobs at a time", [Optional(), NumberRange(1, RUN_LIMIT_MAX, "At least one.")])
    gpus = IntegerField("GPUs at a time", [Optional(), NumberRange(1, RUN_LIMIT_MAX, "At least one.")])
    reason = TextField("Reason", [required("Say why, for everybody who has to wait because of it.")], length_max=300)


class PriorityClassForm(Form):
    """A named reason to go first, or last."""

    slug = TextField("Short name", [required("Give it a short name such as release.")], length_max=40)
    name = TextField("Name", [required("Give it a name such as Release.")], length_max=80)
    rank = IntegerField(
        "Rank", [required("Say how far ahead."), NumberRange(-RANK_MAX, RANK_MAX, "From -100 to 100.")], default=10
    )
    use = RadioField(
        "Who may use it",
        choices=[
            (PriorityUse.EVERYBODY.value, "Whoever submits for a project"),
            (PriorityUse.MAINTAINERS.value, "Maintainers of the project"),
            (PriorityUse.OFFICERS.value, "Nobody: programme officers give it to jobs that wait"),
        ],
        default=PriorityUse.MAINTAINERS.value,
    )
    month_hours = DecimalField("Reference GPU-hours a month", [Optional()], places=None)
    needs_reason = BooleanField("Each job has to say why")
    is_open = BooleanField("Jobs may get it", default=True)

    @classmethod
    def of(cls, row: PriorityClass) -> "PriorityClassForm":
        """What holds now, but for its short name, which stays."""
        form = cls(
            name=row.name,
            rank=row.rank,
            use=row.use.value,
            month_hours=gpu_hours(row.month_ticks) if row.month_ticks is not None else None,
            needs_reason=row.needs_reason,
            is_open=row.is_open,
        )
        del form.slug
        return form

    def to_new_class(self, slug: str | None = None) -> NewClass:
        """As the service takes it; with `slug` what is said of a known class, whose short name stays.

        Raises:
            InvalidInput: hours finer than the platform meters.
        """
        hours = self.month_hours.data
        return NewClass(
            slug=slug or self.slug.data or "",
            name=self.name.data or "",
            rank=self.rank.data,
            use=PriorityUse(self.use.data),
            needs_reason=bool(self.needs_reason.data),
            month_ticks=ticks_from_gpu_hours(hours) if hours is not None else None,
            is_open=bool(self.is_open.data),
        )


class GivePriorityForm(Form):
    """Giving a waiting job a priority."""

    priority = SelectField("Priority", [required("Choose a priority.")])
    reason = TextField("Reason", [required("Say why, for everybody whom it passes.")], length_max=300)
