"""The pages of `pledge`: what everybody sees, the company's dashboard, finance's and the programme officer's lists."""

from pledge.views import (
    company,
    finance,
    hosts,
    instalments,
    invoice_endings,
    invoice_words,
    invoices,
    membership,
    online,
    papers,
    pay_in_words,
    pay_ins,
    payments,
    public,
    sections,
)
from pledge.views.blueprint import bp

__all__ = [
    "bp",
    "company",
    "finance",
    "hosts",
    "instalments",
    "invoice_endings",
    "invoice_words",
    "invoices",
    "membership",
    "online",
    "papers",
    "pay_in_words",
    "pay_ins",
    "payments",
    "public",
    "sections",
]
