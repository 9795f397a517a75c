"""`pledgeworks` commands of `grants`."""

from decimal import Decimal, InvalidOperation
from typing import Any

import click

from core.cli import Commands, json_option, print_json, print_table
from core.errors import InvalidInput
from core.money import Money
from grants.manifests import cli as manifests_cli
from grants.policies import Hosted, through_host


@click.group(cls=Commands)
def grants() -> None:
    """Programmes and grants."""


@grants.command()
@click.argument("amount")
@click.option("--host-fee", required=True, metavar="P", help="The fiscal host's fee in percent, such as 10 or 7.5.")
@click.option("--instalments", type=click.IntRange(1, 1000), default=1, show_default=True, help="Equal parts of the grant.")
@click.option("--currency", default="USD", show_default=True, help="ISO 4217 code.")
@click.option("--platform-share", default="0", metavar="P2", help="Percent of its fee the host passes on to its platform.")
@json_option
def net(amount: str, host_fee: str, instalments: int, currency: str, platform_share: str, as_json: bool) -> None:
    """What reaches a project of a grant of AMOUNT: paid directly, and through a fiscal host.

    The grant is cut into equal instalments, earlier ones carrying the odd minor units. The host takes its fee from each of
    them, rounded half up to the minor unit, so that net + fee = gross exactly; the platform's share of the fee is rounded the
    same way. Open Collective describes such fees at docs.opencollective.com ("Fiscal hosts: fees").
    """
    whole = Money.parse(amount, currency.upper())
    if whole.amount_minor < instalments:
        raise InvalidInput(f"{whole} can't be cut into {instalments} instalments.", field="instalments")
    parts = whole.split([1] * instalments).parts
    hosted = through_host(parts, fee_percent=_percent(host_fee), platform_share_percent=_percent(platform_share))
    if as_json:
        print_json(_as_json(whole, hosted, _percent(host_fee), _percent(platform_share)))
        return
    rows: list[dict[str, Any]] = [
        {"no": i, "direct": part.gross, "net": part.net, "fee": part.fee, "host": part.host_keeps, "platform": part.platform}
        for i, part in enumerate(hosted.parts, start=1)
    ]
    rows.append(
        {
            "no": "all",
            "direct": whole,
            "net": hosted.net,
            "fee": hosted.fee,
            "host": hosted.host_keeps,
            "platform": hosted.platform,
        }
    )
    print_table(
        rows,
        {
            "no": "Instalment",
            "direct": "Paid directly",
            "net": "Through the host",
            "fee": "Fee",
            "host": "Host keeps",
            "platform": "Platform's share",
        },
        empty="",
    )
    click.echo(f"Directly {whole}; through a host with {_percent(host_fee)} % {hosted.net}, which is {hosted.fee} less.")


def _as_json(whole: Money, hosted: Hosted, fee: Decimal, share: Decimal) -> dict[str, Any]:
    return {
        "amount": whole.decimal,
        "currency": whole.currency,
        "rounding": "fee and platform share half up per instalment",
        "direct": {"net": whole.decimal, "instalments": [part.gross.decimal for part in hosted.parts]},
        "host": {
            "fee_percent": fee,
            "platform_share_percent": share,
            "fee": hosted.fee.decimal,
            "host_keeps": hosted.host_keeps.decimal,
            "platform": hosted.platform.decimal,
            "net": hosted.net.decimal,
            "instalments": [
                {
                    "gross": part.gross.decimal,
                    "fee": part.fee.decimal,
                    "host_keeps": part.host_keeps.decimal,
                    "platform": part.platform.decimal,
                    "net": part.net.decimal,
                }
                for part in hosted.parts
            ],
        },
    }


def _percent(text: str) -> Decimal:
    try:
        percent = Decimal(text.strip().removesuffix("%").strip())
    except InvalidOperation:
        percent = Decimal("NaN")
    if not percent.is_finite():
        raise InvalidInput(f"“{text[:40]}” is not a percentage; write 10 or 7.5.", field="host_fee")
    return percent


commands: list[click.Command] = [grants, *manifests_cli.commands]
"""What app.py adds to the top level."""
