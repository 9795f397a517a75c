"""Composition: picks rails and executors, registers blueprints, tasks and commands. Imports all; imported by none."""

import click
from apiflask import APIFlask

import compute.api
import compute.cli
import compute.tasks
import compute.views
import grants.api
import grants.cli
import grants.tasks
import grants.views
import payouts.api
import payouts.cli
import payouts.tasks
import payouts.views
import pledge.api
import pledge.cli
import pledge.tasks
import pledge.views
from core.cli import Commands
from core.commands import commands as core_commands
from core.pages import apis as core_apis
from core.pages import pages as core_pages
from core.processes import up_command
from core.web import build_app

DOMAINS = (pledge, grants, payouts, compute)


def create_app() -> APIFlask:
    """The web application with every domain's pages and API."""
    return build_app(
        pages=[*core_pages, *(domain.views.bp for domain in DOMAINS)],
        apis=[*core_apis, *(domain.api.bp for domain in DOMAINS)],
    )


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="pledgeworks")
def main() -> None:
    """Pledgeworks: pledges, grants, exactly-once payouts and donated GPU hours on one public ledger."""


def load_demo() -> list[str]:
    """Fill an empty database with the demo; say who can sign in."""
    return []


for command in [up_command(load_demo), *core_commands, *(command for domain in DOMAINS for command in domain.cli.commands)]:
    main.add_command(command)


if __name__ == "__main__":
    main()
