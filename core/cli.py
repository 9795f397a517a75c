"""What every command of `pledgeworks` shares: exit codes, `--json`, tables, and the kernel's own small commands.

Exit codes: 0 done · 1 refused by a rule · 2 wrong use · 3 infrastructure (database, disk, network).
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, TypeVar
from uuid import UUID

import click
from psycopg.errors import UndefinedColumn, UndefinedTable
from sqlalchemy.exc import OperationalError, ProgrammingError

from core.errors import DomainError, InfrastructureError, InvalidInput

REFUSED, WRONG_USE, INFRASTRUCTURE = 1, 2, 3


class Commands(click.Group):
    """A click group that turns the platform's errors into one sentence on stderr and the right exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DomainError as error:
            _say(error.message, ctx)
            # What could not be read is wrong use; its subclasses speak of a file's content or of a rule.
            ctx.exit(WRONG_USE if type(error) is InvalidInput else REFUSED)
        except InfrastructureError as error:
            _say(str(error), ctx)
            ctx.exit(INFRASTRUCTURE)
        except ProgrammingError as error:
            if not isinstance(error.orig, UndefinedTable | UndefinedColumn):
                raise
            _say("The database lacks tables or columns that this version needs. Run: pledgeworks db upgrade", ctx)
            ctx.exit(INFRASTRUCTURE)
        except OperationalError as error:
            _say(f"The database refused: {str(error.orig).strip().splitlines()[0]}.", ctx)
            ctx.exit(INFRASTRUCTURE)


def _say(message: str, ctx: click.Context) -> None:
    click.echo(f"pledgeworks {ctx.invoked_subcommand or ''}: {message}".replace(" :", ":"), err=True)


F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """Add `--json` as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(function)


def print_json(value: Any) -> None:
    """JSON on stdout: money and fractions as decimal strings, times in ISO 8601."""
    click.echo(json.dumps(value, default=_jsonable, indent=2, ensure_ascii=False))


def _jsonable(value: Any) -> Any:
    match value:
        case datetime() | date():
            return value.isoformat()
        case UUID() | Decimal() | StrEnum():
            return str(value)
        case Fraction():
            return str(Decimal(value.numerator) / Decimal(value.denominator))
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, empty: str) -> None:
    """A plain aligned table; `columns` maps keys to headings. With no rows, the sentence `empty`."""
    if not rows:
        click.echo(empty)
        return
    cells = [[_cell(row.get(key)) for key in columns] for row in rows]
    widths = [max(len(heading), *(len(line[i]) for line in cells)) for i, heading in enumerate(columns.values())]
    out = sys.stdout
    for line in [list(columns.values()), ["-" * width for width in widths], *cells]:
        out.write("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() + "\n")


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)
