"""Warnings that GPU time runs out early or will lapse: each once per mark, however often the clock rings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from compute.models import ComputeGrant, ComputeOffer, ForecastWarning, GrantStatus, OfferStatus, WarningKind
from compute.policies import forecast, forecast_words
from compute.policies.forecast import Forecast, Verdict
from compute.queries import forecast as forecasts
from core import audit, mail, tasks
from core.config import settings
from core.db import new_id
from core.identity import access
from core.identity.models import Person, Role


@dataclass(frozen=True)
class MailWarning(tasks.Task):
    """Mail a warning to one person."""

    kind: ClassVar[str] = "compute.mail_warning"
    warning_id: UUID
    person_id: UUID


def warn(session: Session, *, now: datetime) -> int:
    """Write the warnings that are due, and have them mailed; tell how many are new.

    A forecast counts down to the day something is used up, or to its end if a part of it will lapse. The marks are those of the
    reminders: 30, 14 and 7 days before, unless the row says otherwise.
    """
    grants = session.scalars(select(ComputeGrant).where(ComputeGrant.status.in_([GrantStatus.ACTIVE, GrantStatus.LOW]))).all()
    of_grants = forecasts.of_grants(session, grants, now=now)
    written = sum(_warn_of(session, grant, of_grants.get(grant.id), now=now) for grant in grants)
    of_offers = forecasts.of_offers(session, now=now)
    offers = session.scalars(select(ComputeOffer).where(ComputeOffer.status == OfferStatus.ACTIVE)).all()
    return written + sum(_warn_of(session, offer, of_offers.get(offer.id), now=now) for offer in offers)


def letter(session: Session, task: MailWarning) -> mail.Letter:
    """What is mailed about a warning."""
    warning = session.get_one(ForecastWarning, task.warning_id)
    person = session.get_one(Person, task.person_id)
    page = f"{settings().base_url}/compute/{'grants' if warning.grant_id else 'offers'}/{warning.grant_id or warning.offer_id}"
    what = "is used up soon" if warning.kind is WarningKind.RUNS_OUT else "will lapse in part"
    return mail.Letter(
        key=f"forecast-{warning.id}-{person.id}",
        to=person.email,
        subject=f"GPU time {what}: {warning.title}",
        text=f"{warning.title}\n\n{warning.message}\n\n{_advice(warning)}\n\nEverything about it: {page}\n",
        written_at=warning.at,
    )


def _warn_of(session: Session, subject: ComputeGrant | ComputeOffer, found: forecasts.Found | None, *, now: datetime) -> int:
    if not isinstance(found, Forecast) or found.verdict is Verdict.FITS:
        return 0
    mark = forecast.due_mark(subject.remind_days, found.date, now)
    return 0 if mark is None else _write(session, subject, found, mark, now=now)


def _write(session: Session, subject: ComputeGrant | ComputeOffer, found: Forecast, mark: int, *, now: datetime) -> int:
    is_grant = isinstance(subject, ComputeGrant)
    message = forecast_words.sentence(found)
    made = session.scalars(
        insert(ForecastWarning)
        .values(
            id=new_id(),
            grant_id=subject.id if is_grant else None,
            offer_id=None if is_grant else subject.id,
            kind=WarningKind(found.verdict),
            days_before=mark,
            expected_at=found.date,
            title=subject.title if isinstance(subject, ComputeGrant) else subject.name,
            message=message,
            at=now,
        )
        .on_conflict_do_nothing()
        .returning(ForecastWarning.id)
    ).first()
    if made is None:
        return 0
    audit.record(session, f"{subject.__tablename__}.forecast_warning", subject, actor=None, at=now, reason=message, days=mark)
    if mail.is_configured():
        for person in _people(session, subject, now=now):
            tasks.enqueue(session, MailWarning(made, person.id), now=now)
    return 1


def _people(session: Session, subject: ComputeGrant | ComputeOffer, *, now: datetime) -> Sequence[Person]:
    """Who can do something about it: the project's maintainers, or those who act for the donor."""
    if isinstance(subject, ComputeGrant):
        return access.people_with_role(session, Role.MAINTAINER, project_id=subject.project_id, on=now.date())
    return access.people_with_role(session, Role.COMPUTE_DONOR, organisation_id=subject.donor_id, on=now.date())


def _advice(warning: ForecastWarning) -> str:
    runs_out = warning.kind is WarningKind.RUNS_OUT
    if warning.grant_id is not None:
        return (
            "Ask for another grant in time if your project needs more, or spread its jobs."
            if runs_out
            else "Use it in time for jobs that have waited, or tell the programme that you need less."
        )
    return (
        "Offer more time if the projects shall go on."
        if runs_out
        else "Open the offer to more projects, or give it a later end by a new offer, if it shall be used."
    )
