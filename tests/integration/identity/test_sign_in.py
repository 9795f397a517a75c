"""Signing in, sessions, and limits that lock nobody out."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from web_client import Client
from web_people import PASSWORD

from core.identity import people, sign_in
from core.identity.limits import TooMany
from core.identity.models import Person, SignInSession
from core.identity.sign_in import WrongCredentials
from core.web.visitor import IDLE, cookie_name

GUESS = "a guess that is wrong"


def attempt(
    session: Session, now: datetime, *, password: str = GUESS, address: str = "10.0.0.1", known: str | None = None
) -> Person:
    return sign_in.check_password(
        session, "Ada@Example.org ", password, address=address, known_browser=known, now=now
    )  # fmt: skip


def test_the_right_password_opens_the_account(session: Session, ada: Person, now: datetime) -> None:
    assert attempt(session, now, password=PASSWORD) is ada


def test_unknown_accounts_wrong_passwords_and_closed_accounts_sound_the_same(
    session: Session, ada: Person, now: datetime
) -> None:
    with pytest.raises(WrongCredentials) as wrong:
        attempt(session, now)
    with pytest.raises(WrongCredentials) as unknown:
        sign_in.check_password(session, "nobody@example.org", PASSWORD, address="10.0.0.1", known_browser=None, now=now)
    ada.disabled_at = now
    with pytest.raises(WrongCredentials) as closed:
        attempt(session, now, password=PASSWORD)
    assert wrong.value.message == unknown.value.message == closed.value.message


def test_strangers_who_guess_are_slowed_and_the_window_opens_again(session: Session, ada: Person, now: datetime) -> None:
    for number in range(sign_in.PER_ACCOUNT_FROM_STRANGERS.count):
        with pytest.raises(WrongCredentials):
            attempt(session, now, address=f"10.0.0.{number}")
    with pytest.raises(TooMany) as slowed:
        attempt(session, now, password=PASSWORD, address="10.0.9.9")
    assert 0 < slowed.value.retry_after_seconds <= 600
    assert attempt(session, now + timedelta(minutes=10, seconds=1), password=PASSWORD, address="10.0.9.9") is ada


def test_a_browser_that_signed_in_before_is_not_locked_out_by_strangers(session: Session, ada: Person, now: datetime) -> None:
    for number in range(sign_in.PER_ACCOUNT_FROM_STRANGERS.count + 5):
        with pytest.raises((WrongCredentials, TooMany)):
            attempt(session, now, address=f"10.0.0.{number}")
    assert attempt(session, now, password=PASSWORD, address="10.0.9.9", known="her-laptop") is ada


def test_one_address_that_tries_many_accounts_is_slowed(session: Session, now: datetime) -> None:
    for number in range(sign_in.PER_ADDRESS.count):
        with pytest.raises(WrongCredentials):
            sign_in.check_password(session, f"p{number}@example.org", "x", address="10.0.0.1", known_browser=None, now=now)
    with pytest.raises(TooMany):
        sign_in.check_password(session, "another@example.org", "x", address="10.0.0.1", known_browser=None, now=now)


def test_signing_in_oneself_is_no_way_to_go_on_guessing_at_others(session: Session, ada: Person, now: datetime) -> None:
    for number in range(sign_in.PER_ADDRESS.count):
        with pytest.raises(WrongCredentials):
            sign_in.check_password(session, f"p{number}@example.org", "x", address="10.0.0.1", known_browser=None, now=now)
        if number % 10 == 5:
            assert attempt(session, now, password=PASSWORD) is ada
    with pytest.raises(TooMany):
        sign_in.check_password(session, "another@example.org", "x", address="10.0.0.1", known_browser=None, now=now)


def test_the_pages_remember_the_browser_and_rotate_the_session(client: Client, session: Session, ada: Person) -> None:
    page = client.get("/sign-in?next=/account/sessions")
    done = client.submit(page, "Sign in", email="ada@example.org", password=PASSWORD)
    assert (done.status, done.location) == (303, "/account/sessions")
    cookies = done.headers.getlist("Set-Cookie")
    ours = next(cookie for cookie in cookies if cookie.startswith(f"{cookie_name()}="))
    assert "HttpOnly" in ours
    assert "SameSite=Lax" in ours
    assert any(cookie.startswith("pledgeworks-known-") for cookie in cookies)
    token = ours.split("=", 1)[1].split(";")[0]
    row = session.scalars(select(SignInSession)).one()
    assert row.token_hash == sign_in.hash_token(token)
    assert token not in repr(vars(row))


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "evil"])
def test_signing_in_never_leads_to_another_site(client: Client, ada: Person, target: str) -> None:
    page = client.get(f"/sign-in?next={target}")
    done = client.submit(page, "Sign in", email="ada@example.org", password=PASSWORD)
    assert done.location == "/work"


def test_signing_out_ends_the_session_itself_not_only_the_cookie(client: Client, session: Session, ada: Person) -> None:
    client.sign_in(ada)
    cookie = client.flask.get_cookie(cookie_name())
    assert cookie is not None
    done = client.submit(client.get("/work"), "Sign out")
    assert done.location == "/"
    client.flask.set_cookie(cookie_name(), cookie.value)
    assert client.get("/work").status == 303
    assert session.scalars(select(SignInSession)).one().revoked_at is not None


def test_idle_expired_and_foreign_sessions_open_nothing(client: Client, session: Session, ada: Person, moment: datetime) -> None:
    client.sign_in(ada)
    row = session.scalars(select(SignInSession)).one()
    row.seen_at = moment - IDLE - timedelta(minutes=1)
    assert client.get("/work").status == 303
    row.seen_at, row.expires_at = moment, moment - timedelta(seconds=1)
    assert client.get("/work").status == 303
    client.flask.set_cookie(cookie_name(), "made-up")
    assert client.get("/work").status == 303


def test_seen_is_written_at_most_once_a_minute(client: Client, session: Session, ada: Person, moment: datetime) -> None:
    client.sign_in(ada)
    row = session.scalars(select(SignInSession)).one()
    first = row.seen_at
    client.get("/work")
    session.refresh(row)
    assert row.seen_at == first
    row.seen_at = moment - timedelta(minutes=2)
    client.get("/work")
    session.refresh(row)
    assert row.seen_at >= moment


def test_a_person_ends_its_other_sessions_but_nobody_elses(
    client: Client, session: Session, ada: Person, admin: Person, moment: datetime
) -> None:
    other = sign_in.open_session(session, ada, user_agent="Phone", address="10.0.0.2", second_factor=False, now=moment)
    foreign = sign_in.open_session(session, admin, user_agent="X", address="10.0.0.3", second_factor=False, now=moment)
    client.sign_in(ada)
    assert client.post(f"/account/sessions/{foreign.session.id}/revocation").status == 404
    assert client.post(f"/account/sessions/{other.session.id}/revocation").status == 303
    session.refresh(other.session)
    session.refresh(foreign.session)
    assert other.session.revoked_at is not None
    assert foreign.session.revoked_at is None


def test_a_new_password_ends_every_other_session(client: Client, session: Session, ada: Person, moment: datetime) -> None:
    other = sign_in.open_session(session, ada, user_agent="Phone", address="10.0.0.2", second_factor=False, now=moment)
    client.sign_in(ada)
    page = client.get("/account/password")
    wrong = client.submit(page, "Change password", current="not it", password="a new long password")
    assert wrong.status == 422
    assert wrong.problems == ["That is not your current password."]
    done = client.submit(page, "Change password", current=PASSWORD, password="a new long password")
    assert done.status == 303
    session.refresh(other.session)
    assert other.session.revoked_at is not None
    assert client.get("/work").status == 200


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaa", "ada@example.org", "x" * 201])
def test_passwords_anybody_would_guess_are_refused(session: Session, ada: Person, now: datetime, password: str) -> None:
    with pytest.raises(Exception, match=r"Use at|among the first"):
        people.change_password(session, ada, current=PASSWORD, new=password, keep_session=None, now=now)
