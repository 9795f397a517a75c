"""What the component gallery shows: ordinary content, and the awkward kind that breaks layouts."""

from datetime import date, datetime, timedelta
from typing import Any

from core.errors import DomainError, InvalidInput
from core.money import Money
from core.web.forms import (
    BooleanField,
    DateField,
    FileField,
    Form,
    IntegerField,
    MoneyField,
    RadioField,
    SelectField,
    TextAreaField,
    TextField,
    required,
)

LONG = "Verein zur Förderung quelloffener Wettervorhersage-Infrastruktur im Alpenraum und angrenzenden Gebieten e. V."


class SampleForm(Form):
    """One field of each kind."""

    name = TextField("Name of the project", [required("Enter the project's name.")])
    developers = IntegerField("Developers", [required("Enter the number of developers.")])
    amount = MoneyField("Amount paid", [required("Enter the amount.")])
    paid_on = DateField("Paid on", [required("Enter the day of payment.")])
    channel = SelectField("Channel", choices=[("oc", "Open Collective"), ("gh", "GitHub Sponsors"), ("tf", "thanks.dev")])
    kind = RadioField("What it paid for", choices=[("dev", "Development"), ("events", "Events"), ("other", "Something else")])
    note = TextAreaField("Note")
    evidence = FileField("Evidence")
    public = BooleanField("Show this payment on the public report")


def samples(now: datetime) -> dict[str, Any]:
    """Context of the gallery page."""
    empty = SampleForm(formdata=None)
    wrong = SampleForm(formdata=None, prefix="wrong")
    wrong["developers"].errors = ["Enter a whole number."]
    wrong["amount"].errors = ["“28.000,00” is not an amount; write it like 28000.00."]
    wrong.refuse(InvalidInput("The period 2026 already has a pledge; change that one."))
    return {
        "form": empty,
        "wrong": wrong,
        "error": DomainError("The fund holds $600.00, less than this $750.00 payout."),
        "now": now,
        "today": now.date(),
        "long_name": LONG,
        "amounts": [Money(2_800_000, "USD"), Money(1_500, "JPY"), Money(-125_050, "EUR"), Money(123_456_789_012, "USD")],
        "statuses": ["active", "awaiting_payment", "failed", "in_review", "draft"],
        "events": [
            {"at": now, "verb": "payout.approved", "actor_name": "Ines Approver", "reason": None},
            {"at": now - timedelta(hours=3), "verb": "payout.prepared", "actor_name": "Finn Finance", "reason": "September run"},
            {"at": now - timedelta(days=40), "verb": "grant.offered", "actor_name": LONG, "reason": LONG},
        ],
        "rows": [
            (LONG, date(2026, 1, 1), Money(123_456_789_012, "USD"), "paid"),
            ("vLLM", date(2026, 9, 30), Money(5_000_000, "USD"), "awaiting_payment"),
            ("Requests", date(2025, 2, 28), Money(100, "USD"), "returned"),
        ],
    }
