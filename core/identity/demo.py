"""The demo's people: one for each job on the platform, all with one published password. Never made in production."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.config import Environment, settings
from core.errors import DomainError
from core.identity.models import Membership, Person, Role
from core.identity.passwords import hash_password

PASSWORD = "open source, well funded"  # noqa: S105 - published on purpose, for demo accounts only

SINCE = timedelta(days=3 * 365)
"""How long the demo's people have had their roles: its history reaches back that far."""


class NoDemoInProduction(DomainError):
    """Demo accounts have a published password, so a production installation refuses them."""

    code = "no_demo_in_production"


@dataclass(frozen=True)
class SignIn:
    """A demo account and the job it shows."""

    key: str
    name: str
    job: str
    platform_roles: tuple[Role, ...] = ()
    is_admin: bool = False

    @property
    def email(self) -> str:
        return f"{self.key}@demo.example"


SIGN_INS = (
    SignIn("maintainer", "Mateo Silva", "applies for grants, accepts them, is paid", (Role.MAINTAINER,)),
    SignIn("company", "Clara Brandt", "enters a company's developers and payments, publishes its report"),
    SignIn(
        "officer", "Ingrid Solheim", "runs programmes: screens, assigns reviewers, records decisions", (Role.PROGRAMME_OFFICER,)
    ),
    SignIn("reviewer", "Rafael Ortiz", "reviews applications", (Role.REVIEWER,)),
    SignIn("second-reviewer", "Yuki Tanaka", "reviews applications", (Role.REVIEWER,)),
    SignIn("finance", "Femi Adeyemi", "confirms money received, prepares payout runs", (Role.FINANCE,)),
    SignIn("approver", "Priya Raman", "is the second person of every payout run", (Role.PAYOUT_APPROVER,)),
    SignIn("second-approver", "Lena Fischer", "approves what is above the first approver's limit", (Role.PAYOUT_APPROVER,)),
    SignIn("ci", "Noor Haddad", "submits jobs of funded projects", (Role.COMPUTE_SUBMITTER,)),
    SignIn("donor", "Dana Whitfield", "offers GPU hours, reads statements"),
    SignIn("auditor", "Aiko Mori", "reads everything, changes nothing", (Role.AUDITOR,)),
    SignIn("admin", "Ada Okafor", "runs the installation", (), is_admin=True),
)


def load(session: Session, *, now: datetime) -> dict[str, Person]:
    """Make the demo's people, or find them, by key.

    Raises:
        NoDemoInProduction: the installation is a production one.
    """
    if settings().pledgeworks_env is Environment.PRODUCTION:
        raise NoDemoInProduction("Demo accounts have a published password; a production installation does not take them.")
    known = {person.email: person for person in session.scalars(select(Person))}
    secret = hash_password(PASSWORD)
    for sign_in in SIGN_INS:
        if sign_in.email in known:
            continue
        person = Person(email=sign_in.email, name=sign_in.name, password_hash=secret, is_admin=sign_in.is_admin, created_at=now)
        session.add(person)
        session.flush()
        known[person.email] = person
        for role in sign_in.platform_roles:
            session.add(Membership(person_id=person.id, role=role, from_on=(now - SINCE).date()))
    return {sign_in.key: known[sign_in.email] for sign_in in SIGN_INS}


def welcome() -> list[str]:
    """The lines `pledgeworks up` prints about who can sign in."""
    width = max(len(sign_in.email) for sign_in in SIGN_INS)
    lines = [f"Demo sign-ins, all with the password: {PASSWORD}"]
    return [*lines, *(f"  {sign_in.email:<{width}}  {sign_in.job}" for sign_in in SIGN_INS)]
