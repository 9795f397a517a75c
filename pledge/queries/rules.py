"""Reads of the dated tables."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from pledge.models import (
    CardLimit,
    PledgeMinimum,
    RenewalRule,
)


def minimums(session: Session) -> Sequence[PledgeMinimum]:
    """The dated table of minimums, oldest first."""
    return session.scalars(select(PledgeMinimum).order_by(PledgeMinimum.currency, PledgeMinimum.valid_from)).all()


def renewal_rules(session: Session) -> Sequence[RenewalRule]:
    """The dated renewal rules, oldest first."""
    return session.scalars(select(RenewalRule).order_by(RenewalRule.valid_from)).all()


def card_limits(session: Session) -> Sequence[CardLimit]:
    """The dated table of card limits, oldest first."""
    return session.scalars(select(CardLimit).order_by(CardLimit.currency, CardLimit.valid_from)).all()
