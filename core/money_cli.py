"""`pledgeworks split`: the platform's one way to split money, on the command line."""

from fractions import Fraction

import click

from core.cli import json_option, print_json, print_table
from core.errors import InvalidInput
from core.money import Money


@click.command()
@click.argument("amount")
@click.option("--currency", required=True, help="ISO 4217 code, such as USD.")
@click.option("--weights", help="Comma-separated weights, whole or decimal or fractions: 3,1,1/2.")
@click.option("--parts", type=click.IntRange(1, 100_000), help="Equal parts instead of weights.")
@click.option("--max", "maxima", help="Comma-separated maxima per part; leave one empty for none: 3000,,,")
@json_option
def split(amount: str, currency: str, weights: str | None, parts: int | None, maxima: str | None, as_json: bool) -> None:
    """Split AMOUNT by weights or into equal parts, to the minor unit, losing nothing.

    Largest remainder; equal remainders go to earlier parts. What a part can't take under its maximum is shared by the
    others; what nobody can take is left over.
    """
    if (weights is None) == (parts is None):
        raise click.UsageError("Give either --weights or --parts.")
    whole = Money.parse(amount, currency.upper())
    shares = [Fraction(1)] * parts if parts else _fractions(weights or "")
    caps = _caps(maxima, len(shares), whole.currency) if maxima is not None else None
    result = whole.split(shares, maxima=caps)
    if as_json:
        print_json(
            {
                "amount": whole.decimal,
                "currency": whole.currency,
                "parts": [part.decimal for part in result.parts],
                "left_over": result.left_over.decimal,
            }
        )
        return
    print_table(
        [{"part": i, "amount": part} for i, part in enumerate(result.parts, start=1)],
        {"part": "Part", "amount": "Amount"},
        empty="",
    )
    click.echo(f"Together {whole - result.left_over}, left over {result.left_over}.")


def _fractions(text: str) -> list[Fraction]:
    try:
        return [Fraction(part.strip()) for part in text.split(",")]
    except (ValueError, ZeroDivisionError):
        raise InvalidInput(f"“{text}” is not a list of weights; write 3,1,1/2.", field="weights") from None


def _caps(text: str, count: int, currency: str) -> list[int | None]:
    """One maximum for all parts, or one (possibly empty) per part."""
    given = [Money.parse(part, currency).amount_minor if part.strip() else None for part in text.split(",")]
    return given * count if len(given) == 1 else given


commands: list[click.Command] = [split]
