"""A project's request for GPU time, and its decision."""

from core.web.forms import DateField, DecimalField, Form, SelectField, TextAreaField, TextField, required


class GrantForm(Form):
    """A project's request for GPU time."""

    project = SelectField("Project", [required("Choose the project.")])
    title = TextField("Title", [required("Give it a title.")], length_max=120)
    purpose = TextAreaField("What the hours are for", [required("Say what the hours are for.")])
    gpu_hours = DecimalField("Reference GPU-hours", [required("Say how many.")], places=None)
    starts_on = DateField("First day", [required("Say from when.")])
    expires_on = DateField("Last day", [required("Say until when.")])


class DecisionForm(Form):
    """Granting hours."""

    gpu_hours = DecimalField("Reference GPU-hours to grant", [required("Say how many.")], places=None)
    note = TextAreaField("Note")
