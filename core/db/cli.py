"""`pledgeworks db`: migrate, or start over."""

import click

from core.cli import Commands
from core.config import settings
from core.db import engine
from core.db.migrate import reset, sql, upgrade
from core.errors import DomainError


class NotOnYourOwnDatabase(DomainError):
    """Resetting drops everything, so it wants to be told to, and never happens on a database the platform did not make."""

    code = "reset_refused"


@click.group(cls=Commands)
def db() -> None:
    """The database: bring it up to date, or start over."""


@db.command("upgrade")
def upgrade_command() -> None:
    """Bring the database to the newest schema; on a fresh data folder, make an empty, ready installation."""
    upgrade(engine())
    click.echo("The database is up to date.")


@db.command("sql")
def sql_command() -> None:
    """Print the SQL of all migrations, for review before running them with another tool."""
    click.echo(sql())


@db.command("reset")
@click.option("--yes", is_flag=True, help="Really delete every table, row and account.")
def reset_command(yes: bool) -> None:
    """Delete everything in the embedded database and make it anew, empty."""
    if settings().database_url:
        raise NotOnYourOwnDatabase("`db reset` only touches the embedded database; DATABASE_URL names another one.")
    if not yes:
        raise NotOnYourOwnDatabase(
            f"This deletes every table, row and account of the database under {settings().data_folder}; files beside it stay. "
            "Say --yes to do it."
        )
    with engine().begin() as connection:
        reset(connection)
    upgrade(engine())
    click.echo("The database is empty and up to date.")


commands: list[click.Command] = [db]
