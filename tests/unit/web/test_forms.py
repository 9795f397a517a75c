"""Fields and what they say."""

from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.datastructures import MultiDict

from core.errors import DomainError, InvalidInput
from core.money import Money
from core.web.forms import DateField, DateTimeField, Form, IntegerField, MoneyField, RadioField, SelectField, TextField, required


class PaymentForm(Form):
    class Meta(Form.Meta):
        csrf = False

    payee = TextField("Payee", [required("Enter who was paid.")], length_max=20)
    currency = SelectField("Currency", choices=[("USD", "US dollar"), ("JPY", "Yen")])
    amount = MoneyField("Amount", [required("Enter the amount.")], currency_field="currency")
    paid_on = DateField("Paid on", [required("Enter the day.")])
    developers = IntegerField("Developers", [required("Enter the number of developers.")])


GOOD = {"payee": " vLLM ", "currency": "USD", "amount": "28,000.00", "paid_on": "2026-11-02", "developers": "14"}


@pytest.fixture(autouse=True)
def request_context() -> Iterator[None]:
    app = Flask("forms")
    app.secret_key = "x" * 32
    with app.test_request_context(method="POST"):
        yield


def form(**changes: str) -> PaymentForm:
    made = PaymentForm(MultiDict({**GOOD, **changes}))
    made.validate()
    return made


def test_good_input_becomes_typed_data() -> None:
    good = form()
    assert good.problems == []
    assert (good.payee.data, good.amount.data, good.developers.data) == ("vLLM", Money(2_800_000, "USD"), 14)
    assert good.status is None


def test_the_currency_is_that_of_the_other_field() -> None:
    assert form(currency="JPY", amount="1500").amount.data == Money(1_500, "JPY")
    assert form(currency="JPY", amount="15.5").problems == [("15.5 JPY is too fine: JPY has whole units.", "amount")]


@pytest.mark.parametrize(
    ("field", "typed", "says"),
    [
        ("payee", "", "Enter who was paid."),
        ("payee", "x" * 21, "Use at most 20 characters."),
        ("amount", "28.000,00", "“28.000,00” is not an amount; write it like 28000.00."),
        ("amount", "-5", "Enter an amount above zero."),
        ("amount", "0", "Enter an amount above zero."),
        ("amount", "", "Enter the amount."),
        ("paid_on", "2 Nov", "Enter a date, such as 2026-11-02."),
        ("developers", "many", "Enter a whole number."),
        ("currency", "XXX", "Choose one of the list."),
    ],
)
def test_every_refusal_says_what_to_do_and_keeps_what_was_typed(field: str, typed: str, says: str) -> None:
    wrong = form(**{field: typed})
    assert (says, field) in wrong.problems
    assert wrong.status == 422
    if field == "amount":
        assert wrong.amount._value() == typed


def test_a_rules_sentence_stands_beside_the_field_it_names() -> None:
    refused = form()
    refused.refuse(InvalidInput("This payee has no address.", field="payee"))
    assert refused.problems == [("This payee has no address.", "payee")]
    refused.refuse(DomainError("The year is closed."))
    assert refused.problems[0] == ("The year is closed.", None)
    assert refused.status == 409


class OtherForm(Form):
    class Meta(Form.Meta):
        csrf = False

    kind = RadioField("Kind", choices=[("a", "A"), ("b", "B")], validators=[required("Choose one.")])
    at = DateTimeField("When", [required("Enter when.")])


def test_groups_take_the_focus_at_their_first_choice_and_times_are_utc() -> None:
    made = OtherForm(MultiDict({"at": "2026-11-02T09:30"}))
    assert not made.validate()
    assert [target for _, target in made.problems] == ["kind-0"]
    assert made.at.data.isoformat() == "2026-11-02T09:30:00+00:00"
    wrong = OtherForm(MultiDict({"at": "noon", "kind": "a"}))
    assert not wrong.validate()
    assert wrong.problems == [("Enter a date and a time, such as 2026-11-02 09:30.", "at")]
