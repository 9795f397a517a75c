"""What people type into the pledge's pages."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flask_wtf.file import FileRequired
from wtforms.fields.choices import SelectChoice

from core.clock import today
from core.money import exponents
from core.web.forms import (
    DateField,
    DecimalField,
    FileField,
    Form,
    MoneyField,
    Optional,
    SelectField,
    TextAreaField,
    TextField,
    ValidationError,
    on_or_before,
    required,
)
from pledge.models import InKindKind, PaymentChannel, PledgeRule
from pledge.policies.payments import RULES

CHANNELS = {
    PaymentChannel.DIRECT: "Directly, by bank transfer or card",
    PaymentChannel.GITHUB_SPONSORS: "GitHub Sponsors",
    PaymentChannel.OPEN_COLLECTIVE: "Open Collective",
    PaymentChannel.THANKS_DEV: "thanks.dev",
    PaymentChannel.ECOSYSTEMS: "ecosyste.ms Funds",
    PaymentChannel.FOUNDATION: "A foundation",
    PaymentChannel.OTHER: "Another way",
}
"""What a company can choose. Payments through us come from instalments."""

GROUPS = {True: "Counts towards the pledge", False: "Shown, but does not count"}
KINDS = {
    InKindKind.TIME: "Working time",
    InKindKind.MATERIALS: "Materials",
    InKindKind.CREDITS: "Cloud credits",
    InKindKind.COMPUTE: "Computing hours",
}
PROMISED = "This day is in the future: money promised does not count, money paid does."
COMMON_CURRENCIES = ("USD", "EUR", "GBP", "JPY", "INR", "CHF", "CAD", "AUD")


def currencies() -> list[tuple[str, str]]:
    """Common currencies first, then all of them."""
    rest = sorted(set(exponents()) - set(COMMON_CURRENCIES))
    return [(code, code) for code in (*COMMON_CURRENCIES, *rest)]


def _pairs(words: Mapping[Any, str]) -> list[tuple[str, str]]:
    return [(str(word), label) for word, label in words.items()]


def web_address(_form: Form, field: Any) -> None:
    """A web address starts with https:// or http://."""
    try:
        parts = urlsplit(field.data or "")
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        valid = False
    if not valid:
        raise ValidationError("Enter a web address that starts with https:// or http://.")


class JoinForm(Form):
    """A company asks to join."""

    name = TextField("Company", [required("Enter the company's name.")])
    url = TextField("Website or pledge announcement", [Optional(), web_address], length_max=2000)


class PeriodForm(Form):
    """A period and its developers."""

    label = TextField("Name of the period", [required("Enter the year, such as 2026.")], length_max=40)
    starts_on = DateField("First day", [required("Enter the first day.")])
    ends_on = DateField("Last day", [required("Enter the last day.")])
    developers = TextField("Developers, on average", [required("Enter the number of developers.")], length_max=20)


class DevelopersForm(Form):
    """A corrected number of developers."""

    developers = TextField("Developers, on average", [required("Enter the number of developers.")], length_max=20)
    reason = TextField("Why it changes", [required("Say why the number changes; it stays in the history.")])


class PaymentForm(Form):
    """A payment the company made."""

    payee = TextField("Paid to", [required("Name who received it.")])
    project = TextField("For the project", [required("Name the project it was for.")])
    amount = MoneyField("Amount", [required("Enter the amount.")], currency_field="currency")
    currency = SelectField("Currency", [required("Choose the currency.")], choices=currencies())
    paid_on = DateField("Paid on", [required("Enter the day of payment."), on_or_before(today, PROMISED)])
    channel = SelectField(
        "How", [required("Choose how it was paid.")], choices=[(str(channel), label) for channel, label in CHANNELS.items()]
    )
    rule = SelectField(
        "What kind of payment it is",
        [required("Choose what kind of payment it is.")],
        choices=[
            SelectChoice(str(rule), RULES[rule].label, optgroup=GROUPS[RULES[rule].counts])
            for rule in sorted(PledgeRule, key=lambda rule: not RULES[rule].counts)
        ],
    )
    reason = TextField("In your words")
    evidence_url = TextField("Link to evidence", [Optional(), web_address], length_max=2000)
    evidence_file = FileField("Or a file: PDF, PNG, JPEG, ZIP or text, up to 10 MB")
    rate = DecimalField("Rate", [Optional()], places=None)
    rate_source = TextField("Source of the rate")


class CorrectionForm(PaymentForm):
    """A corrected payment."""

    why = TextField("Why it is corrected", [required("Say why it changes; the old row stays with this reason.")])


class ReasonForm(Form):
    """A deed that needs a reason and nothing else."""

    why = TextField("Reason", [required("Give the reason.")])


class InKindForm(Form):
    """Help that is not cash."""

    kind = SelectField(
        "Kind of help", [required("Choose the kind of help.")], choices=[(str(kind), label) for kind, label in KINDS.items()]
    )
    description = TextField("What it was", [required("Say what the help was.")], length_max=500)
    value = MoneyField("Your own estimate of its value", [Optional()])


class ReportForm(Form):
    """Publishing a period."""

    url = TextField("Your own post about it", [required("Enter the address of your post."), web_address], length_max=2000)
    declared = MoneyField("Total in your post", [Optional()], positive=False)
    report_on = DateField("Published on", [required("Enter the day."), on_or_before(today, "A report can't be of a later day.")])
    why = TextField("What is corrected")


class InstalmentForm(Form):
    """An instalment to pay through us."""

    amount = MoneyField("Amount", [required("Enter the amount.")])


class SentForm(Form):
    """The company says that it paid."""

    sent_on = DateField("Sent on", [required("Enter the day."), on_or_before(today, PROMISED)])
    evidence_url = TextField("Link to evidence", [Optional(), web_address], length_max=2000)
    evidence_file = FileField("Or a file: the bank's confirmation as PDF, PNG or JPEG")


class InvoiceForm(Form):
    """What an invoice says."""

    po_number = TextField("Your PO number", [Optional()], length_max=140)
    name = TextField("Company name on the invoice", [required("Enter the name that the invoice is made out to.")])
    email = TextField("E-mail address for invoices", [required("Enter the address that the invoice is e-mailed to.")])
    line1 = TextField("Street and number", [required("Enter the street and number.")])
    line2 = TextField("Second line of the address", [Optional()])
    postal_code = TextField("Postal code", [Optional()], length_max=20)
    city = TextField("City", [required("Enter the city.")])
    state = TextField("State or province", [Optional()], length_max=60)
    country = TextField("Country", [required("Enter the country as two letters, such as US.")], length_max=2)


class ConfirmationForm(Form):
    """Finance found the money."""

    received_on = DateField(
        "Arrived on", [required("Enter the day."), on_or_before(today, "It can't have arrived later than today.")]
    )
    bank_reference = TextField("Line of the bank statement", [required("Name the line of the statement you found it on.")])


class AtHostForm(Form):
    """What the fiscal host is to expect."""

    payer = TextField("The company’s account at the host", [required("Enter the name in its address there.")], length_max=100)
    expected_on = DateField("Expected on", [Optional()])
    fee_percent = DecimalField("Host fee in percent, if you agreed on one", [Optional()], places=2)


class NotedForm(Form):
    """Finance found the transfer on the host's bank account."""

    sent_on = DateField("On the bank statement of", [required("Enter the day."), on_or_before(today, PROMISED)])
    evidence_file = FileField("Its line as PDF, PNG or JPEG", [FileRequired("Attach the line of the bank statement.")])


class EndingForm(Form):
    """An invoice that nobody can pay any more, though the provider can't be told."""

    reason = TextField("Why nobody can pay it any more", [required("Say why nobody can pay it any more.")], length_max=500)
    evidence_file = FileField(
        "What shows it, as PDF, PNG or JPEG", [FileRequired("Attach what shows that the account is closed, or the invoice void.")]
    )


class CameForm(Form):
    """Somebody else confirms it."""

    received_on = DateField(
        "Arrived on", [required("Enter the day."), on_or_before(today, "It can't have arrived later than today.")]
    )


class RefundForm(Form):
    """Money that goes back to the company."""

    amount = MoneyField("Amount", [required("Enter the amount.")])
    reason = TextField("Why, shown to the company", [required("Say why it goes back.")], length_max=500)


class AboutForm(Form):
    """What the company says about itself."""

    short_description = TextField("In one or two sentences", length_max=600)
    description = TextAreaField("About the company and its pledge")
    url = TextField("Your page about the pledge", [Optional(), web_address], length_max=2000)
    jobs_url = TextField("Open positions", [Optional(), web_address], length_max=2000)


class MemberFileForm(Form):
    """A member file to read."""

    file = FileField("Member file (.json)")


class ExceptionForm(Form):
    """More time than the rule gives."""

    until_on = DateField("Last day before it lapses", [required("Enter the day.")])
    reason = TextField("Reason, shown publicly", [required("Say why this member gets more time.")], length_max=500)
