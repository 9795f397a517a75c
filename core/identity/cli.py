"""`pledgeworks user`: people and their roles from the command line of the installation."""

import sys

import click

from core.cli import Commands, json_option, print_json, print_table
from core.clock import utc_now
from core.config import settings
from core.db import session_scope
from core.errors import InvalidInput
from core.identity import memberships, organisations, people
from core.identity.memberships import Scope
from core.identity.models import Person, Role


@click.group(cls=Commands)
def user() -> None:
    """People who sign in, and their roles."""


@user.command("add")
@click.argument("email")
@click.option("--name", required=True, help="The name shown everywhere.")
@click.option("--admin", is_flag=True, help="Make the person an administrator of this installation.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it.")
@click.option("--role", "roles", multiple=True, type=click.Choice([role.value for role in Role]), help="May be repeated.")
@click.option("--organisation", metavar="SLUG", help="The roles count in this organisation.")
@click.option("--project", metavar="SLUG", help="The roles count in this project.")
@json_option
def add(
    email: str,
    name: str,
    admin: bool,
    password_stdin: bool,
    roles: tuple[str, ...],
    organisation: str | None,
    project: str | None,
    as_json: bool,
) -> None:
    """Add a person, or give roles to one there is. Roles without --organisation or --project count on the whole platform."""
    if organisation and project:
        raise InvalidInput("Name an organisation or a project, not both.")
    with session_scope() as session:
        now = utc_now()
        scope = Scope(
            organisations.by_slug(session, organisation) if organisation else None,
            organisations.project_by_slug(session, project) if project else None,
        )
        person = people.by_email(session, email)
        added = person is None
        if person is None:
            password = _password(password_stdin)
            person = people.create(session, email=email, name=name, password=password, is_admin=admin, actor=None, now=now)
        elif not roles:
            raise people.EmailTaken(f"There is an account for {person.email} already; name a --role to give to it.")
        for role in roles:
            memberships.give(session, person, Role(role), scope, actor=None, now=now)
        described = _described(person)
    if as_json:
        print_json({**described, "added": added, "roles": list(roles), "scope": str(scope)})
        return
    what = "Added" if added else "Found"
    given = f" as {', '.join(role.replace('_', ' ') for role in roles)} of {scope}" if roles else ""
    click.echo(f"{what} {described['name']} <{described['email']}>{given}.")


@user.command("list")
@json_option
def list_people(as_json: bool) -> None:
    """Show everybody."""
    with session_scope() as session:
        rows = [_described(person) for person in people.search(session, "", limit=10_000)]
    if as_json:
        print_json(rows)
        return
    columns = {"email": "E-mail", "name": "Name", "is_admin": "Admin", "second_factor": "Second factor", "closed": "Closed"}
    print_table(rows, columns, empty="There is nobody yet; `pledgeworks user add` makes the first account.")


@user.command("invite")
@click.argument("email")
@json_option
def invite(email: str, as_json: bool) -> None:
    """Print a link with which a person sets a new password, once, within a week."""
    with session_scope() as session:
        person = people.by_email(session, email)
        if person is None:
            raise InvalidInput(f"There is no account for {email}; add it with `pledgeworks user add`.")
        link = f"{settings().base_url}/invitation/{people.invitation_token(person)}"
    _say_link(link, as_json, email=person.email)


@user.command("first")
@json_option
def first(as_json: bool) -> None:
    """Print the link with which the first administrator of an empty installation is made."""
    with session_scope() as session:
        if people.anybody(session):
            raise people.AlreadySetUp("This installation has its people already; `pledgeworks user add` makes more.")
    _say_link(f"{settings().base_url}{people.first_run_path()}", as_json)


def _say_link(link: str, as_json: bool, **more: str) -> None:
    if as_json:
        print_json({**more, "link": link})
        return
    click.echo(link)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    entered: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return entered


def _described(person: Person) -> dict[str, object]:
    return {
        "id": person.id,
        "email": person.email,
        "name": person.name,
        "is_admin": person.is_admin,
        "second_factor": person.totp_secret is not None,
        "closed": person.disabled_at is not None,
    }


commands: list[click.Command] = [user]
