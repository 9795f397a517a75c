"""Composition: picks rails and executors, registers blueprints, tasks and commands. Imports all; imported by none."""

import click
from apiflask import APIFlask

import compute.api
import compute.cli
import compute.demo
import compute.runtime
import compute.tasks
import compute.views
import core.books.tasks
import core.identity.demo
import core.identity.tasks
import core.ledger.tasks
import grants.api
import grants.cli
import grants.demo
import grants.tasks
import grants.views
import payouts.api
import payouts.cli
import payouts.demo
import payouts.tasks
import payouts.views
import pledge.api
import pledge.cli
import pledge.demo
import pledge.tasks
import pledge.views
from core.books import feeds, sources
from core.books.between import BetweenOurs
from core.cli import Commands
from core.clock import utc_now
from core.commands import commands as core_commands
from core.db import session_scope
from core.logging import configure_logging
from core.pages import apis as core_apis
from core.pages import pages as core_pages
from core.processes import before_stop, in_development, up_command
from core.web import build_app
from payouts.rails import movements
from payouts.services.bank_lines import BankPayments
from payouts.services.movements import PayoutMovements
from pledge.services.bank_lines import PayIns
from pledge.services.host_orders import HostMovements

DOMAINS = (pledge, grants, payouts, compute)

in_development["trial rail"] = ("fake-rail",)
for source in (PayIns(), BankPayments(), BetweenOurs()):
    sources.register(source)
feeds.register_feeds(movements.feeds)
feeds.register_claimant(PayoutMovements())
feeds.register_claimant(HostMovements())
before_stop.append(compute.runtime.evict_local_jobs)


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
    configure_logging()  # to stderr: what a command prints is for its caller


@click.group(cls=Commands)
def demo() -> None:
    """The demo: public figures and a few fictional people, marked as such. Never in production."""


@demo.command("load")
def load_command() -> None:
    """Fill the database with the demo; on one that has it already, nothing changes."""
    for line in load_demo():
        click.echo(line)


def load_demo() -> list[str]:
    """Load every domain's part of the demo in one transaction, once; say who can sign in."""
    now = utc_now()
    with session_scope() as session:
        people = core.identity.demo.load(session, now=now)
        pledge.demo.load(session, now=now, people=people)
        payouts.demo.load(session, now=now, people=people)
        compute.demo.load(session, now=now, people=people)
        grants.demo.load(session, now=now, people=people)
    return core.identity.demo.welcome()


for command in [
    up_command(load_demo, create_app),
    demo,
    *core_commands,
    *(command for domain in DOMAINS for command in domain.cli.commands),
]:
    main.add_command(command)


if __name__ == "__main__":
    main()
