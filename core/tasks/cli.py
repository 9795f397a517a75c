"""`pledgeworks` commands of the tasks package."""

import click

commands: list[click.Command] = []
