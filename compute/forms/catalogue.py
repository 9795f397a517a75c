"""Kinds of accelerators, what an hour of one is worth, and the pools that have them."""

from fractions import Fraction

from compute.models import IdleRule, Trust
from core.errors import InvalidInput
from core.web.forms import (
    DateTimeField,
    Form,
    IntegerField,
    NumberRange,
    Optional,
    RadioField,
    SelectField,
    TextAreaField,
    TextField,
    required,
)


class FlavorForm(Form):
    """A kind of accelerator."""

    slug = TextField("Short name", [required("Give it a short name such as h100.")], length_max=20)
    name = TextField("Name", [required("Give it a name such as NVIDIA H100.")], length_max=80)
    vendor = TextField("Maker", [required("Name its maker.")], length_max=80)
    slices_per_gpu = IntegerField(
        "Slices per GPU", [required("1 for a whole GPU."), NumberRange(1, 8, "Between 1 and 8.")], default=1
    )
    memory_gb = IntegerField("Memory in GB", [Optional(), NumberRange(1, 10_000)])


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


class ProposalForm(Form):
    """Accepting a proposal of rates."""

    note = TextAreaField("Note")


class PoolForm(Form):
    """Hardware behind an executor."""

    slug = TextField("Short name", [required("Give it a short name.")], length_max=60)
    name = TextField("Name", [required("Give it a name.")], length_max=80)
    flavor = SelectField("Kind of accelerator", [required("Choose a kind of accelerator.")])
    executor = SelectField("Executor", [required("Choose what starts the work.")])
    devices = IntegerField("Devices", [required("Say how many."), NumberRange(1, 100_000, "At least one.")], default=1)
    region = TextField("Region", length_max=60)


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
