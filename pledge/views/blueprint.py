"""The blueprint, its navigation, and how the pledge's own values look."""

from decimal import Decimal
from fractions import Fraction

from babel.numbers import format_compact_currency, format_currency
from flask import Blueprint

from core.identity.models import Role
from core.money import Money
from core.web import filters, navigation
from pledge.forms import CHANNELS, KINDS
from pledge.models import InKindKind, PaymentChannel, PledgePayment
from pledge.policies.payments import RULES
from pledge.policies.standing import round_half_up

bp = Blueprint("pledge", __name__)

navigation.add("My companies", "/company", roles=(Role.PLEDGE_EDITOR,), order=20)
navigation.add("Pay-ins", "/finance/pay-ins", roles=(Role.FINANCE,), order=50)
navigation.add("Pledge applications", "/pledges/applications", roles=(Role.PROGRAMME_OFFICER,), order=40)

for word, tone in {"withdrawn": "neutral", "counts": "good", "not_counted": "neutral"}.items():
    filters.tone(word, tone)


@bp.app_template_filter()
def whole_money(value: Money) -> str:
    """`$5,682`: whole units, for figures that are rounded anyway."""
    return str(format_currency(value.decimal, value.currency, "¤#,##0", locale=filters.LOCALE, currency_digits=False))


@bp.app_template_filter()
def short_money(value: Money) -> str:
    """`$3.5M`, `$160K`: for the tops of columns; the table beside has the figure itself."""
    return str(format_compact_currency(value.decimal, value.currency, locale=filters.LOCALE, fraction_digits=1)).replace(".0", "")


@bp.app_template_filter()
def developers(value: Decimal) -> str:
    """`1,250 developers`, `12.5 developers`, `1 developer`, `no developers`."""
    if not value:
        return "no developers"
    return f"{plain_number(value)} {'developer' if value == 1 else 'developers'}"


@bp.app_template_filter()
def plain_number(value: Decimal) -> str:
    """`1,250` or `12.5`: without the zeros a column adds."""
    return f"{int(value):,}" if value == int(value) else f"{value.normalize():,f}"


@bp.app_template_filter()
def share(value: Fraction) -> str:
    """`37 %`, half up; a part of one in a hundred is `< 1 %`."""
    whole = round_half_up(value * 100)
    return f"{whole} %" if whole or not value else "< 1 %"


@bp.app_template_filter()
def channel(value: PaymentChannel) -> str:
    """A payment's way in words."""
    return "Pledgeworks" if value is PaymentChannel.PLEDGEWORKS else CHANNELS[value].split(",")[0]


@bp.app_template_filter()
def why(payment: PledgePayment) -> str:
    """Why a payment counts or not: in the company's words if it used any, else the rule's name."""
    rule = RULES[payment.rule]
    return rule.label if payment.reason == rule.because else payment.reason


@bp.app_template_filter()
def kind_label(value: InKindKind) -> str:
    """A kind of help in words."""
    return KINDS[value]
