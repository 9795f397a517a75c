"""Reads of what holds payouts back: stopped rails and limits."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from payouts.models import (
    PayoutRule,
    RailSwitch,
)


def switches(session: Session) -> Mapping[str, RailSwitch]:
    return {row.rail: row for row in session.scalars(select(RailSwitch).options(joinedload(RailSwitch.changed_by)))}


def rules(session: Session) -> Sequence[PayoutRule]:
    """Every number there ever was, by kind and newest first."""
    return session.scalars(
        select(PayoutRule)
        .options(joinedload(PayoutRule.set_by))
        .order_by(PayoutRule.kind, PayoutRule.currency, PayoutRule.rail, PayoutRule.valid_from.desc(), PayoutRule.id.desc())
    ).all()
