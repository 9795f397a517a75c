"""Who may do what: dated memberships, scopes, and who gives them."""

import json
from datetime import datetime, timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy.orm import Session
from web_client import Client

from app import main
from core.clock import utc_now
from core.config import settings
from core.db import engine as process_engine
from core.errors import NotAllowed
from core.identity import access, memberships, organisations, people
from core.identity.memberships import PLATFORM, LastOwner, RoleHeldAlready, Scope
from core.identity.models import Organisation, OrganisationRole, Person, Project, Role


@pytest.fixture
def sentry(session: Session, now: datetime) -> Organisation:
    return organisations.create(session, name="Sentry", roles=[OrganisationRole.COMPANY], actor=None, now=now)


@pytest.fixture
def relay(session: Session, sentry: Organisation, now: datetime) -> Project:
    return organisations.create_project(session, name="Relay", parent=sentry, actor=None, now=now)


def holds(session: Session, person: Person, role: Role, now: datetime, scope: Scope = PLATFORM) -> bool:
    return access.has_role(
        session, person, role, organisation_id=scope.organisation_id, project_id=scope.project_id, on=now.date()
    )


def test_a_role_counts_in_its_scope_and_nowhere_else(session: Session, ada: Person, sentry: Organisation, now: datetime) -> None:
    other = organisations.create(session, name="Other", roles=[], actor=None, now=now)
    memberships.give(session, ada, Role.PLEDGE_EDITOR, Scope(sentry), actor=None, now=now)
    assert holds(session, ada, Role.PLEDGE_EDITOR, now, Scope(sentry))
    assert not holds(session, ada, Role.PLEDGE_EDITOR, now, Scope(other))
    assert not holds(session, ada, Role.PLEDGE_EDITOR, now)
    assert not holds(session, ada, Role.FINANCE, now, Scope(sentry))


def test_a_role_on_the_platform_counts_everywhere(
    session: Session, ada: Person, sentry: Organisation, relay: Project, now: datetime
) -> None:
    memberships.give(session, ada, Role.FINANCE, PLATFORM, actor=None, now=now)
    assert all(holds(session, ada, Role.FINANCE, now, scope) for scope in (PLATFORM, Scope(sentry), Scope(project=relay)))
    assert access.organisations_with_role(session, ada, Role.FINANCE, on=now.date()) == []


def test_an_owner_has_every_role_of_its_organisation_and_its_projects(
    session: Session, ada: Person, sentry: Organisation, relay: Project, now: datetime
) -> None:
    memberships.give(session, ada, Role.OWNER, Scope(sentry), actor=None, now=now)
    assert all(holds(session, ada, role, now, Scope(sentry)) for role in Role)
    assert all(holds(session, ada, role, now, Scope(project=relay)) for role in Role)
    assert not any(holds(session, ada, role, now) for role in Role)
    assert access.organisations_with_role(session, ada, Role.PLEDGE_EDITOR, on=now.date()) == [sentry]
    assert access.projects_with_role(session, ada, Role.MAINTAINER, on=now.date()) == [relay]


def test_an_administrator_reads_everything_and_replaces_no_second_person(
    session: Session, admin: Person, sentry: Organisation, now: datetime
) -> None:
    assert access.may_read(session, admin, Role.PAYOUT_APPROVER, on=now.date())
    assert holds(session, admin, Role.PROGRAMME_OFFICER, now)
    for role in (Role.FINANCE, Role.PAYOUT_APPROVER, Role.REVIEWER, Role.OWNER):
        assert not holds(session, admin, role, now)
    with pytest.raises(NotAllowed, match="payout approver"):
        access.require_role(session, admin, Role.PAYOUT_APPROVER, on=now.date())


def test_an_auditor_reads_and_changes_nothing(session: Session, ada: Person, now: datetime) -> None:
    memberships.give(session, ada, Role.AUDITOR, PLATFORM, actor=None, now=now)
    access.require_role(session, ada, Role.FINANCE, on=now.date(), reading=True)
    with pytest.raises(NotAllowed):
        access.require_role(session, ada, Role.FINANCE, on=now.date())


def test_a_role_ends_at_once_and_stays_as_history(session: Session, ada: Person, admin: Person, now: datetime) -> None:
    row = memberships.give(session, ada, Role.FINANCE, PLATFORM, actor=admin, now=now)
    assert not access.has_role(session, ada, Role.FINANCE, on=now.date() - timedelta(days=1))
    memberships.end(session, row, actor=admin, now=now)
    session.flush()
    assert not holds(session, ada, Role.FINANCE, now)
    assert memberships.of_person(session, ada) == [row]
    memberships.give(session, ada, Role.FINANCE, PLATFORM, actor=admin, now=now)
    assert holds(session, ada, Role.FINANCE, now)


def test_the_same_role_twice_is_refused(session: Session, ada: Person, now: datetime) -> None:
    memberships.give(session, ada, Role.FINANCE, PLATFORM, actor=None, now=now)
    with pytest.raises(RoleHeldAlready):
        memberships.give(session, ada, Role.FINANCE, PLATFORM, actor=None, now=now)


def test_only_owners_and_administrators_give_roles(
    session: Session, ada: Person, admin: Person, sentry: Organisation, now: datetime
) -> None:
    editor = people.create(session, email="e@example.org", name="Editor", actor=None, now=now)
    memberships.give(session, editor, Role.PLEDGE_EDITOR, Scope(sentry), actor=admin, now=now)
    with pytest.raises(NotAllowed):
        memberships.give(session, editor, Role.OWNER, Scope(sentry), actor=editor, now=now)
    owner = memberships.give(session, ada, Role.OWNER, Scope(sentry), actor=admin, now=now)
    memberships.give(session, editor, Role.FINANCE, Scope(sentry), actor=ada, now=now)
    with pytest.raises(NotAllowed):
        memberships.give(session, editor, Role.FINANCE, PLATFORM, actor=ada, now=now)
    with pytest.raises(LastOwner):
        memberships.end(session, owner, actor=ada, now=now)


def test_an_organisations_people_are_not_for_strangers(client: Client, ada: Person, sentry: Organisation) -> None:
    client.sign_in(ada)
    assert client.get("/organisations/sentry/people").status == 403
    assert client.get("/organisations/sentry").status == 200


def test_an_organisation_begins_and_ends_roles(session: Session, admin: Person, sentry: Organisation, now: datetime) -> None:
    later = now + timedelta(days=30)
    organisations.change(
        session, sentry, name="Sentry", url=None, country="us", roles=[OrganisationRole.FOUNDATION], actor=admin, now=later
    )
    session.flush()
    assert organisations.current_roles(sentry, on=now.date()) == [OrganisationRole.COMPANY]
    assert organisations.current_roles(sentry, on=later.date()) == [OrganisationRole.FOUNDATION]
    assert sentry.country == "US"


def test_the_first_administrator_needs_the_code_and_comes_once(client: Client, session: Session) -> None:
    page = client.get("/first-run")
    values = {"name": "Adele", "email": "adele@example.org", "password": "correct horse battery"}
    wrong = client.submit(page, "Create the administrator", token="guess", **values)
    assert wrong.status == 403
    assert not people.anybody(session)
    done = client.submit(page, "Create the administrator", token=people.setup_token(), **values)
    assert done.status == 303
    assert people.by_email(session, "adele@example.org").is_admin
    again = client.get("/first-run")
    assert again.status == 404


def test_an_invitation_works_once(client: Client, session: Session, now: datetime) -> None:
    guest = people.create(session, email="guest@example.org", name="Guest", actor=None, now=now)
    path = f"/invitation/{people.invitation_token(guest)}"
    done = client.submit(client.get(path), "Set the password", password="a long enough password")
    assert done.location == "/sign-in"
    assert client.get(path).status == 410
    assert client.get("/invitation/made-up").status == 410


def test_users_are_added_from_the_command_line(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    settings.cache_clear()
    process_engine.cache_clear()
    run = CliRunner()
    try:
        arguments = [
            "user",
            "add",
            "Ines@Example.org",
            "--name",
            "Ines",
            "--password-stdin",
            "--role",
            "payout_approver",
            "--json",
        ]
        added = run.invoke(main, arguments, input="correct horse battery\n")
        assert added.exit_code == 0, added.output
        assert '"email": "ines@example.org"' in added.output
        assert run.invoke(main, arguments, input="x\n").exit_code == 1
        assert run.invoke(main, ["user", "add", "x", "--name", "X", "--password-stdin"], input="y\n").exit_code == 2
        assert run.invoke(main, ["user", "add"]).exit_code == 2
        assert "ines@example.org" in run.invoke(main, ["user", "list"]).output
        with Session(process_engine()) as session:
            assert holds(session, people.by_email(session, "ines@example.org"), Role.PAYOUT_APPROVER, utc_now())
    finally:
        process_engine().dispose()  # not dispose_engine(): it would leave the embedded server that all tests share
        process_engine.cache_clear()


def test_the_first_administrators_link_is_printed_only_while_nobody_is_there(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    settings.cache_clear()
    process_engine.cache_clear()
    run = CliRunner()
    try:
        assert f"/first-run?code={people.setup_token()}" in run.invoke(main, ["user", "first"]).output
        link = json.loads(run.invoke(main, ["user", "first", "--json"]).stdout)["link"]
        assert link.endswith(people.first_run_path())
        arguments = ["user", "add", "a@example.org", "--name", "A", "--admin", "--password-stdin"]
        assert run.invoke(main, arguments, input="correct horse battery\n").exit_code == 0
        assert run.invoke(main, ["user", "first"]).exit_code == 1
        invitation = json.loads(run.invoke(main, ["user", "invite", "A@example.org", "--json"]).stdout)
        assert invitation["email"] == "a@example.org"
        with Session(process_engine()) as session:
            assert people.invited(session, invitation["link"].rsplit("/", 1)[1]).email == "a@example.org"
    finally:
        process_engine().dispose()
        process_engine.cache_clear()
