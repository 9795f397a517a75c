"""Companies as the provider knows them: one id for each key or account, made when it is first needed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from core.identity.models import Organisation
from pledge import queries
from pledge.models import StripeCustomer
from pledge.providers.base import Provider


def customer_of(session: Session, organisation: Organisation) -> str | None:
    """The company as the provider knows it, if it does."""
    known = queries.latest_customer(session, organisation.id)
    return known.customer_id if known else None


def remember_customer(
    session: Session, organisation: Organisation, customer_id: str, *, instead_of: str | None = None, now: datetime
) -> str:
    """Keep the company's id at the provider, in place of one that it does not know; the first one stands, whoever else asked."""
    session.get(Organisation, organisation.id, with_for_update=True)
    known = customer_of(session, organisation)
    if known is not None and known != instead_of:
        return known
    session.add(StripeCustomer(organisation_id=organisation.id, customer_id=customer_id, created_at=now))
    session.flush()
    return customer_id


def made(provider: Provider, organisation_id: UUID, name: str, *, key: str) -> str:
    """Have the provider make a company; its id there. No transaction is open meanwhile."""
    return provider.create_customer(name=name, metadata={"pledgeworks_organisation": str(organisation_id)}, key=f"{key}-customer")
