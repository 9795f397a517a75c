"""The forms of the books."""

from uuid import UUID

from flask_wtf.file import FileRequired

from core.books.bank_csv import DATE_FORMATS, DECIMAL_MARKS, DELIMITERS
from core.money import exponents
from core.web.forms import BooleanField, FileField, Form, HiddenField, SelectField, SelectMultipleField, TextField, required

CURRENCIES = tuple(sorted(exponents()))


class ImportForm(Form):
    """A statement to read."""

    file = FileField("Statement", [FileRequired("Choose the file of the statement.")])
    account = SelectField("Account, for a CSV file", choices=[])
    are_others = BooleanField("Lines that equal those of another statement are other movements")


class AccountForm(Form):
    """An account of ours."""

    name = TextField("Name", [required("Give it a name that finance knows it by.")], length_max=100)
    number = TextField("IBAN or number", [required("Enter the number as the bank's statements name it.")], length_max=50)
    currency = SelectField("Currency", choices=[(code, code) for code in CURRENCIES], default="USD")


class ColumnsForm(Form):
    """Which column says what."""

    delimiter = SelectField("Columns are separated by", choices=[(name, name.capitalize()) for name in DELIMITERS])
    date_format = SelectField("Days are written like", choices=[(shape, shape) for shape in DATE_FORMATS])
    decimal_mark = SelectField(
        "Before the decimals stands", choices=list(zip(DECIMAL_MARKS, ("1,234.56", "1.234,56"), strict=True))
    )
    booked_on = TextField("Day of booking", [required("Name the column with the day of booking.")])
    value_on = TextField("Day of value")
    amount = TextField("Amount, with a sign")
    credit = TextField("Money in")
    debit = TextField("Money out")
    currency = TextField("Currency")
    counterparty = TextField("Name of the other party")
    counterparty_account = TextField("Account of the other party")
    texts = TextField("Texts", length_max=500)
    end_to_end = TextField("Payer's reference (end-to-end)")
    bank_reference = TextField("Bank's own reference")


class ExpectedForm(Form):
    """Which expected thing a line is."""

    expected = HiddenField()


class LinkForm(Form):
    """Which entry of the ledger a line is."""

    entry = SelectField("Entry", [required("Choose the entry.")], choices=[], coerce=UUID)


class SetAsideForm(Form):
    """Money whose purpose is open."""

    note = TextField("What is known, and who is being asked", [required("Say what is known and who is being asked.")])
    expected = HiddenField()


class FeeForm(Form):
    """What the bank took."""

    note = TextField("What it was for", [required("Say what it was for.")], id="fee-note")


class SendBackForm(Form):
    """Money that had been set aside and left again."""

    account = SelectField("Set aside on", [required("Choose where it was set aside.")], choices=[])
    note = TextField("Why it was sent back", [required("Say why it was sent back.")], id="back-note")


class SumForm(Form):
    """What one line is the sum of."""

    chosen = SelectMultipleField("Payments and entries", choices=[])
    are_all = BooleanField("All that are listed")
    note = TextField("What shows that it is these", [required("Name the invoice or the batch that shows it.")], id="sum-note")


class DeclineForm(Form):
    """Why a booking that waits is not right."""

    reason = TextField("Why it is not right", length_max=500)


class UnlinkForm(Form):
    """A link that was wrong."""

    reason = TextField("Why the link was wrong", [required("Say why the link was wrong.")])


class AssignForm(Form):
    """What set-aside money is for."""

    code = HiddenField()
    expected = SelectField("It is for", [required("Choose what it is for.")], choices=[])


class ExplanationForm(Form):
    """Why something is on one side only."""

    text = TextField(
        "Why it is so, and what becomes of it", [required("Say why it is so, and what will become of it.")], length_max=500
    )
    subject = HiddenField()
    subject_id = HiddenField()
    side = HiddenField()
    amount_minor = HiddenField()
    currency = HiddenField()


class CloseForm(Form):
    """A month to close."""

    month = TextField("Month", [required("Write a month like 2026-10.")])


class ReopenForm(Form):
    """A month to open again."""

    reason = TextField("What has to be corrected in it", [required("Say what has to be corrected in it.")], length_max=500)
