"""Keeping what was read of a funding.json with its application. Fetching and judging happen before, with nothing open."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.errors import DomainError, InvalidInput
from core.identity.models import Person
from core.money import Money
from grants import queries
from grants.manifests.report import Report, as_json
from grants.manifests.summary import OfferedProject, Summary
from grants.models import ManifestOrigin, ManifestReading, PayeeWish
from grants.services.applications import Draft

FREQUENCIES = ("one-time", "yearly", "other", "monthly", "fortnightly", "weekly")
"""Plans in the order in which they resemble a grant."""


class ManifestRefused(DomainError):
    """The manifest has findings of severity error; the report beside this sentence names them."""

    code: ClassVar[str] = "manifest_refused"
    status: ClassVar[int] = 422


@dataclass(frozen=True, slots=True)
class ManifestText:
    """A manifest as somebody brought it."""

    content: bytes
    url: str
    origin: ManifestOrigin


def require_valid(report: Report) -> None:
    """Refuse a manifest with errors.

    Raises:
        ManifestRefused: there are some, counted in the sentence.
    """
    if not report.is_valid:
        count = len(report.errors)
        what = "an error" if count == 1 else f"{count} errors"
        raise ManifestRefused(f"The funding.json has {what}, named below. Correct it and have it read again.")


def keep(
    session: Session, application_id: UUID, *, person: Person, source: ManifestText, report: Report, now: datetime
) -> ManifestReading:
    """Keep one look at an application's manifest; earlier ones stay as they are.

    Raises:
        NotFound: no application of this id that the person may write.
        ManifestRefused: the manifest has errors; what was kept before goes on counting.
    """
    application = queries.own_application(session, application_id, person, on=now.date(), lock=True)
    require_valid(report)
    reading = ManifestReading(
        application_id=application.id,
        read_at=now,
        read_by_id=person.id,
        read_by=person,
        origin=source.origin,
        url=source.url,
        text=source.content.decode("utf-8-sig"),
        report=as_json(report),
    )
    session.add(reading)
    audit.record(
        session, "application.manifest_read", application, actor=person, at=now, url=source.url, origin=source.origin.value
    )
    session.flush()
    return reading


def newest(session: Session, application_id: UUID) -> ManifestReading | None:
    """The reading that counts."""
    return session.scalars(
        select(ManifestReading)
        .where(ManifestReading.application_id == application_id)
        .order_by(ManifestReading.read_at.desc(), ManifestReading.id.desc())
        .limit(1)
    ).first()


def draft_from(summary: Summary, *, guid: str | None, currency: str) -> Draft:
    """What an application can take over: the project, who asks, and the plan that resembles a grant of this currency most."""
    project = summary.project(guid)
    plans = sorted(
        (plan for plan in summary.plans if plan.currency == currency and plan.amount > 0),
        key=lambda plan: FREQUENCIES.index(plan.frequency),
    )
    requested = None
    if plans:
        try:
            requested = Money.from_decimal(plans[0].amount, currency)
        except InvalidInput:
            requested = None  # finer than a cent: nobody can be paid that, so the applicant fills it in
    return about_project(
        Draft(
            use_of_funds="\n\n".join(filter(None, (plans[0].name, plans[0].description))) if plans else "",
            team=f"{summary.entity_name}: {summary.entity_description}"[:4000],
            payee=PayeeWish.PERSON if summary.is_individual else PayeeWish.TEAM,
            payee_name=summary.entity_name,
            requested=requested,
        ),
        project,
    )


def about_project(draft: Draft, project: OfferedProject) -> Draft:
    """The same draft for another project of the manifest."""
    return replace(
        draft,
        project_name=project.name,
        project_url=project.webpage,
        repository_url=project.repository,
        licences=project.licences,
        summary=project.description,
    )
