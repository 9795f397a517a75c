"""`pledgeworks` commands of `grants`."""

import click

commands: list[click.Command] = []
"""What app.py adds to the top level."""
