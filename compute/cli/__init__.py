"""`pledgeworks job …`, `pledgeworks compute …` and `pledgeworks simulate`."""

import click

from compute.cli.explain import explain_command
from compute.cli.gpu_time import compute
from compute.cli.history import export_history
from compute.cli.hosts import HOST_COMMANDS
from compute.cli.jobs import job
from compute.cli.limits import LIMIT_COMMANDS
from compute.cli.logs import logs_command
from compute.cli.priorities import PRIORITY_COMMANDS
from compute.cli.quotas import QUOTA_COMMANDS
from compute.cli.submit import submit_command
from compute.cli.trust import TRUST_COMMANDS
from compute.cli.weights import WEIGHT_COMMANDS
from compute.cli.windows import WINDOW_COMMANDS
from compute.simulation.command import simulate

__all__ = ["commands", "compute", "job"]

for command in (submit_command, logs_command, explain_command, export_history):
    job.add_command(command)
for command in (
    *HOST_COMMANDS,
    *WEIGHT_COMMANDS,
    *QUOTA_COMMANDS,
    *LIMIT_COMMANDS,
    *PRIORITY_COMMANDS,
    *WINDOW_COMMANDS,
    *TRUST_COMMANDS,
):
    compute.add_command(command)

commands: list[click.Command] = [job, compute, simulate]
"""What app.py adds to the top level."""
