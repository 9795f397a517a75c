"""The forms of the payout console."""

from collections.abc import Iterable, Sequence

from flask_wtf.file import FileRequired

from core.web.filters import money
from core.web.forms import (
    DataRequired,
    DateField,
    DateTimeField,
    EmailField,
    FileField,
    Form,
    HiddenField,
    IntegerField,
    MoneyField,
    Optional,
    RadioField,
    SelectField,
    SelectMultipleField,
    TextAreaField,
    TextField,
    choices,
)
from payouts.models import Outcome, PayoutAttempt, PayoutStatus, RecipientKind, RuleKind
from payouts.rails.base import DestinationField, Rail
from payouts.services.previews import Notice

CURRENCIES = ("USD", "EUR", "GBP", "CHF", "JPY", "INR", "BRL", "CAD", "AUD", "SEK", "NOK", "DKK", "PLN")

RULE_WORDS = {
    RuleKind.PAYOUT_MAX: "One payout, at most",
    RuleKind.RECIPIENT_MONTH_MAX: "One recipient in 30 days, at most",
    RuleKind.RUN_MAX: "One run, at most",
    RuleKind.DAY_MAX: "All payouts of a day, at most",
    RuleKind.RAIL_DAY_MAX: "One rail on a day, at most",
    RuleKind.SECOND_APPROVER_FROM: "A second approver, from a run of",
    RuleKind.COOL_OFF_HOURS: "Hours a changed destination waits",
}
OUTCOME_WORDS = {
    Outcome.ACCEPTED: "It was paid",
    Outcome.FAILED: "It was not paid, and will not be",
    Outcome.RETURNED: "It was paid, and the money came back",
    Outcome.REVERSED: "It was paid, and we took it back",
}
NOTICE_WORDS = {
    Notice.TROUBLE: "Can’t go now",
    Notice.DOCUMENT: "Document missing",
    Notice.CHANGED: "Changed destination",
    Notice.FIRST: "First payment here",
}
SPONSORED_WORDS = {
    Outcome.ACCEPTED: "They were paid",
    Outcome.FAILED: "They were not paid, and will not be",
}


class FilterForm(Form):
    """Which payouts of the list; a GET form, so without CSRF."""

    class Meta(Form.Meta):
        csrf = False

    status = SelectField(
        "State",
        id="filter-status",
        choices=choices(PayoutStatus, label=lambda each: each.value.capitalize(), empty="Every state"),
        validators=[Optional()],
    )
    rail = SelectField("On rail", [Optional()], id="filter-rail")
    due_by = DateField("Due on or before", [Optional()], id="filter-due")


class LinesForm(Form):
    """Which lines of a run; a GET form, so without CSRF."""

    class Meta(Form.Meta):
        csrf = False

    rail = SelectField("On rail", [Optional()], id="lines-rail")
    status = SelectField("State", [Optional()], id="lines-status")
    notice = SelectField(
        "To notice",
        [Optional()],
        id="lines-notice",
        choices=choices(Notice, label=NOTICE_WORDS.__getitem__, empty="Every line"),
    )


class PrepareForm(Form):
    currency = SelectField("Currency", choices=choices(CURRENCIES), default="USD")
    due_by = DateField("Due by", [DataRequired("Enter the day up to which payouts are taken.")])
    rail = SelectField("Rail")


class ReasonForm(Form):
    """One question of several on a page, each with its own id; so its problems name no field to jump to."""

    reason = TextField("Reason", [DataRequired("Say why; the reason stays in the history.")])

    @property
    def problems(self) -> list[tuple[str, str | None]]:
        return [(sentence, None) for sentence, _ in super().problems]


class RailForm(Form):
    """Another rail than the platform would choose."""

    rail = SelectField("Rail", [DataRequired("Choose a rail.")], id="other-rail")
    reason = TextField("Why", [DataRequired("Say why this rail; the reason stays in the history.")], id="other-rail-reason")

    def offer(self, rails: Iterable[Rail]) -> "RailForm":
        self.rail.choices = [(rail.name, rail.title) for rail in rails]
        return self


class ApprovalForm(Form):
    """The approver sends back the hash of what the page showed."""

    content_hash = HiddenField()


class FindingForm(Form):
    outcome = RadioField("What became of it?", [DataRequired("Choose what became of it.")])
    remote_id = TextField("Reference of the bank or rail")
    evidence = FileField("Evidence", [FileRequired("Attach a file that shows it, such as the bank's confirmation.")])
    note = TextAreaField("What the evidence shows", [DataRequired("Say what the evidence shows.")])

    def offer(self, outcomes: Sequence[Outcome]) -> "FindingForm":
        self.outcome.choices = [(outcome.value, OUTCOME_WORDS[outcome]) for outcome in outcomes]
        return self


class RuleForm(Form):
    kind = SelectField("Limit", choices=[(kind.value, words) for kind, words in RULE_WORDS.items()])
    currency = SelectField("Currency", choices=choices(CURRENCIES), default="USD")
    rail = SelectField("Rail")
    amount = MoneyField("Amount", [Optional()], currency_field="currency", positive=False)
    hours = IntegerField("Hours", [Optional()])
    valid_from = DateTimeField("From (UTC)")
    reason = TextField("Reason", [DataRequired("Say why; the reason stays with the number.")])


class RecipientForm(Form):
    name = TextField("Name", [DataRequired("Enter the name, as the bank knows it.")])
    kind = SelectField("Kind", choices=choices(RecipientKind, label=lambda each: each.value.replace("_", " ").capitalize()))
    country = TextField("Country", [DataRequired("Enter the country as two letters, such as DE.")], length_max=2)
    email = EmailField("E-mail", [Optional()])


class DocumentForm(Form):
    """That a payee's document is on file."""

    document = SelectField("Document", [DataRequired("Choose the document.")])
    signed_on = DateField("Signed on", [DataRequired("Enter the day it was signed.")])
    kept_at = TextField("Kept at", [DataRequired("Say where the document is kept.")])

    def offer(self, documents: Iterable[str]) -> "DocumentForm":
        self.document.choices = [(each, each) for each in documents]
        return self


class BankFileForm(Form):
    currency = HiddenField()


class SponsorFindingForm(Form):
    """What became of payments of one file for GitHub."""

    lines = SelectMultipleField("Which payments", [DataRequired("Choose at least one payment.")])
    outcome = RadioField(
        "What became of them?",
        [DataRequired("Choose what became of them.")],
        choices=[(each.value, words) for each, words in SPONSORED_WORDS.items()],
    )
    receipt = TextField("Number of GitHub's receipt or invoice")
    evidence = FileField("Evidence", [FileRequired("Attach a file that shows it, such as GitHub's receipt.")])
    note = TextAreaField("What the evidence shows", [DataRequired("Say what the evidence shows.")])

    @classmethod
    def empty(cls) -> "SponsorFindingForm":
        return cls(formdata=None)

    def offer(self, lines: Iterable[PayoutAttempt]) -> "SponsorFindingForm":
        self.lines.choices = [
            (str(line.id), f"@{line.parameters['destination']['login']}, {money(line.money)}") for line in lines
        ]
        return self


class AnswersForm(Form):
    answers = FileField("The bank's answer", [FileRequired("Choose the file the bank gave you.")])


def destination_form(rail: Rail) -> type[Form]:
    """A form with the fields this rail needs."""

    class DestinationForm(Form):
        currency = SelectField("Currency", choices=choices(CURRENCIES), default="USD")

    for each in rail.destination_fields:
        setattr(DestinationForm, each.name, _text(each))
    return DestinationForm


def _text(each: DestinationField) -> TextField:
    return TextField(each.label, [DataRequired(f"{each.label} is missing.")] if each.required else [Optional()])
