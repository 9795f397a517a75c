"""`pledgeworks payouts …`: the console's services from the command line, and the trial rail."""

import click

from payouts.cli import lists, rails, runs
from payouts.cli.shared import payouts

__all__ = ["commands", "lists", "rails", "runs"]

commands: list[click.Command] = [payouts, rails.fake_rail]
"""What app.py adds to the top level."""
