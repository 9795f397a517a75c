"""The forms of an application. Nothing is required to save a draft; what has to be there to submit it is a rule of grants."""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from core.web.forms import (
    FileField,
    Form,
    HiddenField,
    IntegerField,
    Length,
    MoneyField,
    NumberRange,
    Optional,
    RadioField,
    SelectField,
    TextAreaField,
    TextField,
    choices,
    required,
)
from grants.models import Application, ApplicationQuestion, PayeeWish
from grants.policies import APPLICATION_FIELDS
from grants.services.applications import Draft, OpenedForm

PAYEES = {
    PayeeWish.PERSON: "One person, directly",
    PayeeWish.TEAM: "An organisation of the team’s own, directly",
    PayeeWish.FISCAL_HOST: "A fiscal host, which takes its fee",
}


class Asked(Optional):  # type: ignore[misc]
    """Needed to submit, not to save: the field is not called optional, and may be empty."""

    def __init__(self) -> None:
        super().__init__()
        self.field_flags = {"required": True}


class LongTextField(TextAreaField):  # type: ignore[misc]
    """Text of several lines. Its length is counted as people see it: a line break is one character."""

    def __init__(self, label: str, validators: Sequence[Any] = (), *, length_max: int, rows: int = 6, **kwargs: Any) -> None:
        limit = Length(max=length_max, message=f"Use at most {length_max:,} characters.")
        super().__init__(
            label,
            [*validators, limit],
            filters=[lambda text: text.replace("\r\n", "\n") if text else text],
            render_kw={"rows": rows},
            **kwargs,
        )


class StartForm(Form):
    """Where to start from: an empty form, or a funding.json by address, paste or upload."""

    project_id = SelectField("Which project is it for?", [Optional()])
    manifest_url = TextField("Address of the funding.json", [Asked()], length_max=1024)
    manifest_text = TextAreaField("Text of the funding.json", render_kw={"rows": 8, "spellcheck": "false", "class": "mono"})
    manifest_file = FileField("File")


class ManifestForm(Form):
    """Another text for an application that was begun."""

    manifest_url = TextField("Address of the funding.json", [required("Say where it is published.")], length_max=1024)
    manifest_text = TextAreaField("Text of the funding.json", render_kw={"rows": 8, "spellcheck": "false", "class": "mono"})
    manifest_file = FileField("File")


class DraftForm(Form):
    """An application. The programme's own questions are added by `draft_form`."""

    project_name = TextField("Name of the project", [Asked()])
    project_url = TextField("Web page", [Asked()], length_max=500)
    repository_url = TextField("Repository", [Optional()], length_max=500)
    licences = TextField("Licences", [Optional()], length_max=500)
    summary = LongTextField("What does the project do, and who uses it?", [Asked()], length_max=4000)
    use_of_funds = LongTextField("What is the money for?", [Asked()], length_max=8000, rows=8)
    plan = LongTextField("What will be done, and by when?", [Asked()], length_max=8000, rows=8)
    requested = MoneyField("Amount you ask for", [Asked()])
    months = IntegerField(
        "Months of work", [Optional(), NumberRange(1, 60, "The work takes 1 to 60 months.")], render_kw={"inputmode": "numeric"}
    )
    team = LongTextField("Who will do the work?", [Asked()], length_max=4000)
    payee = RadioField(
        "How would the money be received?",
        [Asked()],
        choices=choices(PayeeWish, label=lambda wish: PAYEES[wish]),
        coerce=lambda value: PayeeWish(value) if value else None,
    )
    payee_name = TextField("Who would receive it?", [Asked()])
    conflicts = LongTextField("What connects you with the funder?", [Asked()], length_max=4000, rows=4)
    word = HiddenField(default=lambda: secrets.token_urlsafe(9))
    seen_at = HiddenField()

    questions: ClassVar[tuple[ApplicationQuestion, ...]] = ()

    @property
    def opened(self) -> OpenedForm | None:
        """Which form this is, if it says so properly."""
        try:
            seen_at = datetime.fromisoformat(self.seen_at.data or "")
        except ValueError:
            return None
        return OpenedForm(self.word.data, seen_at) if self.word.data else None

    def as_draft(self) -> Draft:
        """What was typed, for the service."""
        texts = {name: self[name].data or "" for name in APPLICATION_FIELDS}
        return Draft(
            **texts,
            licences=tuple(filter(None, (part.strip() for part in re.split(r"[,\n]", self.licences.data or "")))),
            months=self.months.data,
            requested=self.requested.data,
            payee=self.payee.data,
            answers={question.key: self[f"answers.{question.key}"].data or "" for question in self.questions},
        )


class AttachmentForm(Form):
    """A file to go with the application."""

    file = FileField("File", [required("Choose a file.")])


class WithdrawForm(Form):
    """Taking an application back."""

    reason = LongTextField("Why? The programme reads this.", [Optional()], length_max=1000, rows=3)


def draft_form(application: Application) -> DraftForm:
    """The form of one application, with its programme's currency and questions, filled from the draft."""
    questions = tuple(application.programme.questions)
    extra: dict[str, Any] = {
        f"answers.{question.key}": LongTextField(
            question.label, [Asked() if question.required else Optional()], length_max=question.characters_max
        )
        for question in questions
    }
    kind = type("ProgrammeDraftForm", (DraftForm,), {**extra, "questions": questions})
    given: dict[str, Any] = {name: getattr(application, name) for name in APPLICATION_FIELDS}
    given |= {f"answers.{key}": text for key, text in application.answers.items()}
    given |= {
        "licences": ", ".join(application.licences),
        "months": application.months,
        "payee": application.payee,
        "requested": application.requested,
        "seen_at": application.updated_at.isoformat(),
    }
    made: DraftForm = kind(data=given)
    made.requested.currency = application.currency
    return made
