"""The kernel's commands, gathered for app.py."""

import click

import core.books.cli
import core.db.cli
import core.identity.cli
import core.ledger.cli
import core.money_cli
import core.tasks.cli

commands: list[click.Command] = [
    *core.books.cli.commands,
    *core.db.cli.commands,
    *core.identity.cli.commands,
    *core.ledger.cli.commands,
    *core.money_cli.commands,
    *core.tasks.cli.commands,
]
