"""`pledgeworks` commands of `grants`."""

import click

import grants.manifests.cli

commands: list[click.Command] = [*grants.manifests.cli.commands]
"""What app.py adds to the top level."""
