"""Who acts, and where: the local database, or another installation."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from compute.client import Jobs, LocalJobs, RemoteJobs

F = TypeVar("F", bound=Callable[..., Any])


def way_options(function: F) -> F:
    """Who acts and where: the local database as a person, or another installation with a token."""
    function = click.option("--as", "email", metavar="EMAIL", help="Act as this person on the local database.")(function)
    function = click.option("--token", envvar="PLEDGEWORKS_TOKEN", show_envvar=True, help="API token.")(function)
    return click.option("--url", envvar="PLEDGEWORKS_URL", show_envvar=True, help="Use this installation's API instead.")(
        function
    )


def jobs_of(email: str | None, url: str | None, token: str | None) -> Jobs:
    """The way that was chosen; a person who is named acts on the local database.

    Raises:
        click.UsageError: another installation without a token.
    """
    if email is None and url is not None:
        if not token:
            raise click.UsageError(
                "PLEDGEWORKS_URL is set, but no token: set PLEDGEWORKS_TOKEN too, or act locally with --as EMAIL."
            )
        return RemoteJobs(url, token)
    return LocalJobs(email)
