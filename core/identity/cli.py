"""`pledgeworks` commands of the identity package."""

import click

commands: list[click.Command] = []
