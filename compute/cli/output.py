"""What the `job` commands print and return in the same words."""

import click

from compute.client import Document
from core.cli import INFRASTRUCTURE, REFUSED

NOT_FINISHED = 4


def exit_as(found: Document) -> None:
    """0 succeeded, 1 the job's own failure, 3 infrastructure, 4 not finished."""
    if not found["finished"]:
        code = NOT_FINISHED
    elif found["status"] == "succeeded":
        code = 0
    else:
        code = INFRASTRUCTURE if found["cause"] == "infrastructure" else REFUSED
    click.get_current_context().exit(code)


def words(status: str) -> str:
    """A state as people read it."""
    return status.replace("_", " ")


def yes(value: bool) -> str:
    """A cell of a table."""
    return "yes" if value else "no"
