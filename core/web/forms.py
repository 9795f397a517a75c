"""Forms: WTForms with CSRF, plus the fields of this platform. Labels are written with the field, hints with the template."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import wtforms
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, MultipleFileField
from wtforms import (
    BooleanField,
    DateField,
    DecimalField,
    EmailField,
    Field,
    HiddenField,
    IntegerField,
    PasswordField,
    SelectChoice,
    StringField,
    TextAreaField,
    URLField,
    validators,
)
from wtforms.fields.choices import SelectFieldBase
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange, Optional, StopValidation, ValidationError
from wtforms.widgets import TextInput

from core.errors import DomainError, InvalidInput
from core.money import Money

__all__ = [
    "BooleanField",
    "DataRequired",
    "DateField",
    "DateTimeField",
    "DecimalField",
    "EmailField",
    "FileField",
    "Form",
    "HiddenField",
    "InputRequired",
    "IntegerField",
    "Length",
    "MoneyField",
    "MultipleFileField",
    "NumberRange",
    "Optional",
    "PasswordField",
    "RadioField",
    "SelectField",
    "SelectMultipleField",
    "TextAreaField",
    "TextField",
    "URLField",
    "ValidationError",
    "required",
    "validators",
]


class _Sentences:
    """WTForms asks a translation for its own messages; ours are sentences that say what to do."""

    KNOWN: ClassVar[Mapping[str, str]] = {
        "This field is required.": "Fill this in.",
        "Not a valid date value.": "Enter a date, such as 2026-11-02.",
        "Not a valid integer value.": "Enter a whole number.",
        "Not a valid decimal value.": "Enter a number, such as 12.5.",
        "Not a valid choice.": "Choose one of the list.",
        "Invalid Choice: could not coerce.": "Choose one of the list.",
        "Invalid email address.": "Enter an e-mail address, such as name@example.org.",
        "Invalid URL.": "Enter a web address that starts with https:// or http://.",
        "Invalid input.": "This can't be used as it is.",
    }

    def gettext(self, message: str) -> str:
        return self.KNOWN.get(message, message)

    def ngettext(self, one: str, many: str, n: int) -> str:
        return one if n == 1 else many


class Form(FlaskForm):  # type: ignore[misc]
    """Base of every form: CSRF, and a place for what a rule says about the whole of it."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        def get_translations(self, form: "Form") -> _Sentences:
            return _Sentences()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refusals: list[str] = []
        self.refusal: DomainError | None = None

    def refuse(self, error: DomainError) -> None:
        """Keep a rule's sentence: beside the field it names, else for the top of the page."""
        self.refusal = error
        name = getattr(error, "field", None)
        if name and name in self and name != "csrf_token":
            self[name].errors = [*self[name].errors, error.message]
        else:
            self.refusals.append(error.message)

    @property
    def status(self) -> int | None:
        """The HTTP status of the page that shows this form again; none while nothing is wrong."""
        if self.refusal is not None:
            return self.refusal.status
        return 422 if self.problems else None

    @property
    def problems(self) -> list[tuple[str, str | None]]:
        """Every sentence for the error summary, with the id of the field to jump to."""
        found: list[tuple[str, str | None]] = [(sentence, None) for sentence in self.refusals]
        for field in self:
            found += [(sentence, _focus_id(field)) for sentence in _sentences(field.errors)]
        return found


def required(sentence: str) -> InputRequired:
    """The field must be filled; the sentence says with what: “Enter the number of developers.”"""
    return _Filled(message=sentence)


class _Filled(InputRequired):  # type: ignore[misc]
    """Spaces fill nothing: fields that strip would hand the view none where it was promised something."""

    def __call__(self, form: Form, field: Field) -> None:
        if field.raw_data and isinstance(field.raw_data[0], str) and not field.raw_data[0].strip():
            field.errors[:] = []
            raise StopValidation(self.message)
        super().__call__(form, field)


class TextField(StringField):  # type: ignore[misc]
    """One line of text, stripped; empty is none. At most `length_max` characters."""

    def __init__(
        self, label: str | None = None, validators: Sequence[Any] | None = None, *, length_max: int = 250, **kwargs: Any
    ) -> None:
        limit = Length(max=length_max, message=f"Use at most {length_max} characters.")
        super().__init__(label, [*(validators or ()), limit], filters=[_strip], **kwargs)


class MoneyField(Field):  # type: ignore[misc]
    """An amount in one currency, or in that of another field of the form (`currency_field`). Its data is Money."""

    widget = TextInput()
    data: Money | None

    def __init__(
        self,
        label: str | None = None,
        validators: Sequence[Any] | None = None,
        *,
        currency: str = "USD",
        currency_field: str | None = None,
        positive: bool = True,
        render_kw: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # A text field with a decimal keyboard: number inputs lose what was typed when they don't like it.
        keyboard = {"inputmode": "decimal", "autocomplete": "off", "class": "amount"}
        super().__init__(label, validators, render_kw={**keyboard, **(render_kw or {})}, **kwargs)
        self.currency = currency
        self._currency_field, self._positive = currency_field, positive
        self._typed: str | None = None

    def _value(self) -> str:
        if self._typed is not None:
            return self._typed
        return f"{self.data.decimal}" if self.data is not None else ""

    def process_formdata(self, valuelist: list[str]) -> None:
        if valuelist:
            self._typed, self.data = valuelist[0], None

    def pre_validate(self, form: Form) -> None:
        """Read the amount here, when the currency's own field has its data."""
        if self._typed is None or not self._typed.strip():
            return
        currency = (form[self._currency_field].data or self.currency) if self._currency_field else self.currency
        try:
            amount = Money.parse(self._typed, currency)
        except InvalidInput as error:
            raise ValidationError(error.message) from None
        if self._positive and amount.amount_minor <= 0:
            raise ValidationError("Enter an amount above zero.")
        self.data = amount


class DateTimeField(Field):  # type: ignore[misc]
    """A moment in UTC, as browsers' own control gives it. Its data is aware."""

    widget = TextInput()
    data: datetime | None

    def __init__(self, label: str | None = None, validators: Sequence[Any] | None = None, **kwargs: Any) -> None:
        kwargs["render_kw"] = {"type": "datetime-local", **(kwargs.get("render_kw") or {})}
        super().__init__(label, validators, **kwargs)
        self._typed: str | None = None

    def _value(self) -> str:
        if self._typed is not None:
            return self._typed
        return f"{self.data:%Y-%m-%dT%H:%M}" if self.data is not None else ""

    def process_formdata(self, valuelist: list[str]) -> None:
        if not valuelist:
            return
        self._typed, self.data = valuelist[0], None
        if valuelist[0].strip():
            try:
                self.data = datetime.fromisoformat(valuelist[0]).replace(tzinfo=UTC)
            except ValueError:
                raise ValueError("Enter a date and a time, such as 2026-11-02 09:30.") from None


class _Choices(SelectFieldBase):  # type: ignore[misc]
    """Choices as pairs of value and label; WTForms has its own class for them."""

    def __init__(self, label: str | None = None, validators: Sequence[Any] | None = None, **kwargs: Any) -> None:
        super().__init__(label, validators, **{**kwargs, "choices": _options(kwargs.get("choices"))})

    @property
    def choices(self) -> Any:
        return super().choices

    @choices.setter
    def choices(self, options: Iterable[tuple[str, str]] | None) -> None:
        wtforms.SelectField.choices.fset(self, _options(options))


class SelectField(_Choices, wtforms.SelectField):  # type: ignore[misc]
    """One of a list."""


class SelectMultipleField(_Choices, wtforms.SelectMultipleField):  # type: ignore[misc]
    """Any of a list, drawn as boxes to tick."""


class RadioField(_Choices, wtforms.RadioField):  # type: ignore[misc]
    """One of a few, all in sight."""


def choices(options: Iterable[Any], *, label: Callable[[Any], str] = str, empty: str | None = None) -> list[tuple[str, str]]:
    """Choices of a select: (value, label) of enums, rows with an id, or pairs; `empty` heads the list as “nothing chosen”."""
    first = [("", empty)] if empty is not None else []
    return first + [(str(getattr(option, "id", option)), label(option)) for option in options]


def on_or_before(limit: Callable[[], date], sentence: str) -> Callable[[Form, Field], None]:
    """A validator for dates that can't lie after a day, mostly today."""

    def check(_form: Form, field: Field) -> None:
        if field.data is not None and field.data > limit():
            raise ValidationError(sentence)

    return check


def _options(pairs: Iterable[Any] | None) -> list[SelectChoice] | None:
    if pairs is None:
        return None
    return [pair if isinstance(pair, SelectChoice) else SelectChoice(*pair) for pair in pairs]


def _strip(value: str | None) -> str | None:
    return (value.strip() or None) if value is not None else None


def _focus_id(field: Field) -> str:
    """Groups of radio buttons or boxes take the focus at their first choice."""
    return f"{field.id}-0" if isinstance(field, RadioField | SelectMultipleField) else str(field.id)


def _sentences(errors: Any) -> list[str]:
    """Errors of one field, those of nested fields included."""
    if isinstance(errors, Mapping):
        return [sentence for nested in errors.values() for sentence in _sentences(nested)]
    return [sentence for error in errors for sentence in ([error] if isinstance(error, str) else _sentences(error))]
