"""TOTP: enrolling, codes that work once, recovery codes, and proof that is minutes old."""

from datetime import datetime, timedelta

import pyotp
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from web_client import Client
from web_people import PASSWORD

from core.config import Environment, settings
from core.identity import memberships, sealing, second_factor
from core.identity.limits import TooMany
from core.identity.memberships import PLATFORM
from core.identity.models import Membership, Person, RecoveryCode, Role, SignInSession
from core.identity.second_factor import Way, WrongCode


def enrol(session: Session, person: Person, now: datetime) -> tuple[str, list[str]]:
    secret = second_factor.new_secret()
    codes = second_factor.enrol(session, person, secret, pyotp.TOTP(secret).at(now), now=now)
    return secret, codes


def test_the_secret_is_sealed_and_bound_to_its_person(session: Session, ada: Person, admin: Person, now: datetime) -> None:
    secret, _ = enrol(session, ada, now)
    assert ada.totp_secret is not None
    assert secret not in ada.totp_secret
    assert sealing.unseal(ada.totp_secret, belongs_to=f"totp:{ada.id}") == secret
    with pytest.raises(Exception, match="can't be opened"):
        sealing.unseal(ada.totp_secret, belongs_to=f"totp:{admin.id}")


def test_a_code_works_once_and_an_older_one_not_after_it(session: Session, ada: Person, now: datetime) -> None:
    secret, _ = enrol(session, ada, now)
    later = now + timedelta(minutes=1)
    code = pyotp.TOTP(secret).at(later)
    second_factor.use_code(session, ada, code, now=later)
    with pytest.raises(WrongCode):
        second_factor.use_code(session, ada, code, now=later)
    with pytest.raises(WrongCode):
        second_factor.use_code(session, ada, pyotp.TOTP(secret).at(later - timedelta(seconds=30)), now=later)


def test_the_code_of_enrolment_is_used_up_too(session: Session, ada: Person, now: datetime) -> None:
    secret, _ = enrol(session, ada, now)
    with pytest.raises(WrongCode):
        second_factor.use_code(session, ada, pyotp.TOTP(secret).at(now), now=now)


@pytest.mark.parametrize("drift", [-30, 0, 30])
def test_a_clock_one_step_off_is_forgiven(session: Session, ada: Person, now: datetime, drift: int) -> None:
    secret, _ = enrol(session, ada, now)
    later = now + timedelta(minutes=5)
    second_factor.use_code(session, ada, pyotp.TOTP(secret).at(later + timedelta(seconds=drift)), now=later)


@pytest.mark.parametrize("drift", [-90, 90])
def test_a_clock_far_off_is_not(session: Session, ada: Person, now: datetime, drift: int) -> None:
    secret, _ = enrol(session, ada, now)
    later = now + timedelta(minutes=5)
    with pytest.raises(WrongCode):
        second_factor.use_code(session, ada, pyotp.TOTP(secret).at(later + timedelta(seconds=drift)), now=later)


def test_recovery_codes_work_once_and_are_kept_as_hashes(session: Session, ada: Person, now: datetime) -> None:
    _, codes = enrol(session, ada, now)
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    stored = session.scalars(select(RecoveryCode.code_hash)).all()
    assert all(code.replace("-", "").encode() not in stored for code in codes)
    second_factor.use_code(session, ada, codes[0].upper(), now=now)
    assert second_factor.recovery_codes_left(session, ada) == second_factor.RECOVERY_CODES - 1
    with pytest.raises(WrongCode):
        second_factor.use_code(session, ada, codes[0], now=now)


def test_guessing_codes_is_slowed(session: Session, ada: Person, now: datetime) -> None:
    enrol(session, ada, now)
    for _ in range(second_factor.CODE_LIMIT.count):
        with pytest.raises(WrongCode):
            second_factor.use_code(session, ada, "000000", now=now)
    with pytest.raises(TooMany):
        second_factor.use_code(session, ada, "000000", now=now)


@pytest.mark.parametrize("nonsense", ["", "١٢٣٤٥٦", "12345", "💥", "' OR 1=1"])
def test_nonsense_is_a_wrong_code(session: Session, ada: Person, now: datetime, nonsense: str) -> None:
    enrol(session, ada, now)
    with pytest.raises(WrongCode):
        second_factor.use_code(session, ada, nonsense, now=now)


def test_signing_in_asks_for_the_code_and_marks_the_session_fresh(
    client: Client, session: Session, ada: Person, moment: datetime
) -> None:
    secret, _ = enrol(session, ada, moment - timedelta(minutes=5))
    page = client.submit(client.get("/sign-in"), "Sign in", email="ada@example.org", password=PASSWORD)
    assert page.location.startswith("/sign-in/code")
    assert session.scalars(select(SignInSession)).all() == []
    assert client.get("/work").status == 303
    code_page = client.get(page.location)
    assert client.submit(code_page, "Continue", code="000000").status == 422
    done = client.submit(code_page, "Continue", code=pyotp.TOTP(secret).now())
    assert done.status == 303
    assert second_factor.is_fresh(session.scalars(select(SignInSession)).one(), now=moment)


def test_the_code_page_without_a_password_leads_back(client: Client, ada: Person) -> None:
    assert client.get("/sign-in/code").location.startswith("/sign-in")


def test_a_role_change_asks_for_proof_and_then_does_exactly_what_was_asked(
    client: Client, session: Session, ada: Person, admin: Person
) -> None:
    client.sign_in(admin)
    asked = client.post("/admin/roles", {"email": ada.email, "role": "finance", "name": ""})
    assert (asked.status, asked.h1) == (403, "Confirm that it is you")
    assert session.scalars(select(Membership)).all() == []
    wrong = client.submit(asked, "Confirm and continue", second_factor_proof="not my password")
    assert (wrong.status, wrong.problems) == (422, ["That is not your password."])
    done = client.submit(wrong, "Confirm and continue", second_factor_proof=PASSWORD)
    assert done.status == 303
    assert [(row.person_id, row.role) for row in session.scalars(select(Membership))] == [(ada.id, Role.FINANCE)]
    again = client.post("/admin/roles", {"email": ada.email, "role": "auditor", "name": ""})
    assert again.status == 303  # within ten minutes nobody is asked twice


def test_proof_grows_old(client: Client, session: Session, ada: Person, admin: Person, moment: datetime) -> None:
    client.sign_in(admin)
    row = session.scalars(select(SignInSession)).one()
    row.second_factor_at = moment - second_factor.FRESH_FOR - timedelta(seconds=1)
    assert client.post("/admin/roles", {"email": ada.email, "role": "finance", "name": ""}).status == 403


def test_with_totp_the_password_is_no_proof(
    client: Client, session: Session, ada: Person, admin: Person, moment: datetime
) -> None:
    secret, _ = enrol(session, admin, moment - timedelta(minutes=5))
    client.sign_in(admin)
    asked = client.post("/admin/roles", {"email": ada.email, "role": "finance", "name": ""})
    assert client.submit(asked, "Confirm and continue", second_factor_proof=PASSWORD).status == 422
    done = client.submit(asked, "Confirm and continue", second_factor_proof=pyotp.TOTP(secret).now())
    assert done.status == 303


def test_in_production_a_second_factor_is_needed_not_a_password(
    client: Client, session: Session, ada: Person, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEDGEWORKS_ENV", Environment.PRODUCTION.value)
    settings.cache_clear()
    assert second_factor.way_for(admin) is Way.ENROL
    client.sign_in(admin)
    asked = client.post("/admin/roles", {"email": ada.email, "role": "finance", "name": ""})
    assert asked.status == 403
    assert "Set up a second factor" in asked.words
    tried = client.post("/admin/roles", {"email": ada.email, "role": "finance", "name": "", "second_factor_proof": PASSWORD})
    assert tried.status == 422
    assert session.scalars(select(Membership)).all() == []


def test_removing_it_asks_for_proof(client: Client, session: Session, ada: Person, moment: datetime) -> None:
    secret, _ = enrol(session, ada, moment - timedelta(minutes=5))
    client.sign_in(ada)
    asked = client.submit(client.get("/account/second-factor"), "Remove the second factor")
    assert asked.status == 403
    done = client.submit(asked, "Confirm and continue", second_factor_proof=pyotp.TOTP(secret).now())
    assert done.status == 303
    assert ada.totp_secret is None
    assert second_factor.recovery_codes_left(session, ada) == 0
    assert memberships.in_scope(session, PLATFORM) == []
