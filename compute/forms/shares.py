"""How much projects count, and what they own of a pool."""

from compute.models import WEIGHT_MAX
from core.web.forms import Form, IntegerField, NumberRange, Optional, SelectField, TextField, required


class WeightForm(Form):
    """How much a project counts."""

    project = SelectField("Project", [required("Choose the project.")])
    weight = IntegerField(
        "Weight",
        [required("Say how much it counts."), NumberRange(1, WEIGHT_MAX, f"A whole number from 1 to {WEIGHT_MAX:,}.")],
        default=2,
    )
    reason = TextField("Reason", [required("Say why, for everybody who shares the GPUs.")], length_max=300)


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
