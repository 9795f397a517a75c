"""What compute adds to shared pages: projects, organisations, the home page, and everybody's to-do list."""

from collections.abc import Iterable

from flask import url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from compute.models import ComputeGrant, ForecastWarning, GrantStatus, OfferStatus, WarningKind
from compute.queries import activity, budget, forecast, jobs, overview, statements
from core.clock import today, utc_now
from core.identity import access
from core.identity.models import Organisation, Person, Project, Role
from core.units import format_gpu_hours
from core.web import hooks


@hooks.project_section(order=30)
def compute_of(session: Session, project: Project) -> hooks.Section | None:
    """A project's GPU time and newest jobs."""
    grants = overview.grants_of(session, project)
    newest = jobs.newest(session, project_ids=[project.id], limit=8)
    if not grants and not newest:
        return None
    return hooks.Section(
        "GPU time",
        "compute/_project_section.html",
        {"project": project, "grants": grants, "budgets": budget.of_grants(session, grants), "jobs": newest},
    )


@hooks.organisation_section(order=30)
def gifts_of(session: Session, organisation: Organisation) -> hooks.Section | None:
    """What an organisation gives."""
    offers = overview.offers(session, donor_ids=[organisation.id])
    if not offers:
        return None
    months = statements.months(session, organisation, now=utc_now())
    return hooks.Section(
        "Donated GPU time", "compute/_donor_section.html", {"donor": organisation, "offers": offers, "months": months[:6]}
    )


@hooks.headline(order=30)
def hours_used(session: Session) -> Iterable[hooks.Figure]:
    """GPU time that donated machines worked for projects."""
    used = overview.reference_used(session)
    if used:
        donors = len(overview.donors(session))
        yield hooks.Figure(
            "GPU-hours used", format_gpu_hours(used, 0), url_for("compute.index"), f"reference hours, {donors} donors' machines"
        )


@hooks.to_do(order=30)
def desk_work(session: Session, person: Person) -> Iterable[hooks.ToDo]:
    """Requests and offers that wait for an officer."""
    if not access.has_role(session, person, Role.PROGRAMME_OFFICER, on=today()):
        return
    waiting = session.scalars(
        select(ComputeGrant.id).where(ComputeGrant.status.in_([GrantStatus.REQUESTED, GrantStatus.REVIEWED]))
    ).all()
    if waiting:
        yield hooks.ToDo("Requests for GPU time to decide", url_for("compute.desk"), len(waiting))
    proposed = overview.offers(session, statuses=[OfferStatus.PROPOSED])
    if proposed:
        yield hooks.ToDo("GPU offers to accept", url_for("compute.desk"), len(proposed))


@hooks.to_do(order=29)
def idle_holding(session: Session, person: Person) -> Iterable[hooks.ToDo]:
    """Jobs that hold devices and do nothing: to whoever submitted them, and to the desk."""
    for found in activity.holding(session, submitter_id=person.id):
        job = found.attempt.job
        yield hooks.ToDo(f"Does nothing and holds GPUs: {job.name}", url_for("compute.show_job", job_id=job.id))
    if access.has_role(session, person, Role.PROGRAMME_OFFICER, on=today()) and (all_of_them := activity.holding(session)):
        yield hooks.ToDo("Jobs that hold GPUs and do nothing", f"{url_for('compute.desk')}#idle", len(all_of_them))


@hooks.to_do(order=31)
def ends_soon(session: Session, person: Person) -> Iterable[hooks.ToDo]:
    """Warnings about the grants of a maintainer's projects and a donor's offers, while something can be done."""
    for grant in overview.open_grants_of(session, access.projects_with_role(session, person, Role.MAINTAINER, on=today())):
        if given := forecast.warnings(session, grant_ids=[grant.id]):
            yield _soon(grant.title, given[0], url_for("compute.show_grant", grant_id=grant.id))
    donors = access.organisations_with_role(session, person, Role.COMPUTE_DONOR, on=today())
    for offer in overview.offers(session, statuses=[OfferStatus.ACTIVE], donor_ids=[donor.id for donor in donors]):
        if given := forecast.warnings(session, offer_ids=[offer.id]):
            yield _soon(offer.name, given[0], url_for("compute.show_offer", offer_id=offer.id))


def _soon(title: str, warning: ForecastWarning, href: str) -> hooks.ToDo:
    what = "used up soon" if warning.kind is WarningKind.RUNS_OUT else "will lapse in part"
    return hooks.ToDo(f"GPU time {what}: {title}", href, due=f"{warning.expected_at:%-d %b %Y}")
