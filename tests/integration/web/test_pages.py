"""Every page of the shell, for nobody, for a person and for an administrator."""

import pytest
from sqlalchemy.orm import Session
from web_client import Client

from core.identity.models import Person

PUBLIC = ["/", "/projects", "/sign-in", "/_components", "/errors"]
OWN = ["/work", "/account", "/account/password", "/account/sessions", "/account/tokens", "/account/second-factor"]
ADMIN = ["/admin/people", "/admin/roles", "/admin/organisations/new", "/admin/projects/new"]


@pytest.mark.parametrize("path", PUBLIC)
def test_public_pages_are_well_formed(client: Client, ada: Person, path: str) -> None:
    assert client.get(path).status == 200


@pytest.mark.parametrize("path", [*OWN, "/projects", "/"])
def test_a_persons_pages_are_well_formed(client: Client, ada: Person, path: str) -> None:
    client.sign_in(ada)
    page = client.get(path)
    assert page.status == 200
    assert "Ada Maintainer" in page.text


@pytest.mark.parametrize("path", OWN)
def test_a_strangers_way_to_them_is_the_sign_in_page(client: Client, ada: Person, path: str) -> None:
    page = client.get(path)
    assert page.status == 303
    assert page.location == f"/sign-in?next={path}"


@pytest.mark.parametrize("path", ADMIN)
def test_administration_is_for_administrators(client: Client, ada: Person, admin: Person, path: str) -> None:
    client.sign_in(ada)
    assert client.get(path).status == 403
    client.sign_in(admin)
    assert client.get(path).status == 200


def test_with_nobody_in_the_database_every_page_leads_to_the_first_run(client: Client, session: Session) -> None:
    for path in ["/", "/projects", "/work", "/sign-in", "/no/such/page"]:
        page = client.get(path)
        assert (page.status, page.location) == (303, "/first-run"), path
    assert client.get("/healthz").status == 200


def test_health_needs_no_database_and_readiness_asks_it(client: Client, ada: Person) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ok"}
