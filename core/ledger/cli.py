"""`pledgeworks` commands of the ledger package."""

import click

commands: list[click.Command] = []
