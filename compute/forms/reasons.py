"""A sentence that goes with a step."""

from core.web.forms import Form, TextAreaField, TextField, required


class NoteForm(Form):
    """A note that goes with a step."""

    note = TextAreaField("Note", [required("Write a sentence or two.")])


class ReasonForm(Form):
    """Why something is stopped or refused."""

    reason = TextField("Reason", [required("Say why, for the record.")], length_max=300)
