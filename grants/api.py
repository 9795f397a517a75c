"""The JSON face of `grants`, under /api/v1."""

import functools
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from apiflask import APIBlueprint
from flask import request
from sqlalchemy import or_, select

from core.clock import today, utc_now
from core.errors import InvalidInput
from core.identity import limits
from core.urls import parse
from core.web import current_person, db
from core.web.api import Paging, api_token, authenticated, scope
from core.web.pagination import paginate
from grants import queries
from grants.applications.schemas import ApplicationOut, ApplicationsOut, ManifestIn, ReportOut
from grants.manifests.provenance import DEFAULT_BRANCHES
from grants.manifests.report import as_json, examine
from grants.manifests.rules import NamedUrl
from grants.models import Application, Grant
from grants.schemas import GrantOut, GrantsIn, GrantsOut, ProgrammeOut, ProgrammesOut, TotalOut

bp = APIBlueprint("grants_api", __name__, url_prefix="/api/v1")

READ_APPLICATIONS = scope("applications:read", "See your applications and their state")
VALIDATIONS = limits.Limit(count=60, per=timedelta(minutes=1))
BODY_BYTES_MAX = 1_500_000

P = ParamSpec("P")
R = TypeVar("R")


def limited(view: Callable[P, R]) -> Callable[P, R]:
    """For everybody, within limits: so many requests a minute from one address, and small ones."""

    @functools.wraps(view)
    def gate(*args: P.args, **kwargs: P.kwargs) -> R:
        request.max_content_length = BODY_BYTES_MAX
        now = utc_now()
        taken = limits.take(db(), f"manifests:{request.remote_addr}", VALIDATIONS, now=now)
        if taken.over:
            wait = max(1, int((taken.resets_at - now).total_seconds()))
            raise limits.TooMany(
                f"At most {VALIDATIONS.count} manifests a minute from one address; go on in {wait} s.", retry_after_seconds=wait
            )
        return view(*args, **kwargs)

    return gate


@bp.post("/manifests/validate")
@limited
@bp.input(ManifestIn)
@bp.output(ReportOut)
def validate_manifest(json_data: ManifestIn) -> dict[str, Any]:
    """Validate a funding.json and judge its provenance. Needs no token, writes nothing and fetches nothing."""
    if (json_data.text is None) == (json_data.manifest is None):
        raise InvalidInput("Send either `text` or `manifest`.", field="text")
    text = json_data.text if json_data.text is not None else json.dumps(json_data.manifest)
    given = {parse(address): content for address, content in json_data.well_known.items()}

    def lists(named: NamedUrl) -> str | None:
        addresses = [parse(url) for url in (named.url, named.well_known) if url]
        return next((given[address] for address in addresses if address in given), None)

    branches = json_data.default_branches or DEFAULT_BRANCHES
    try:
        report = examine(text.encode("utf-8", "surrogatepass"), json_data.manifest_url, lists=lists, default_branches=branches)
    except InvalidInput as error:
        raise InvalidInput(error.message, field="manifest_url") from None
    return as_json(report)


@bp.get("/applications")
@bp.input(Paging, location="query")
@bp.output(ApplicationsOut)
@authenticated(READ_APPLICATIONS)
def list_applications(query_data: Paging) -> ApplicationsOut:
    """The applications of the token's person and of the projects it maintains, last changed first, drafts included."""
    person = current_person()
    projects = [project.id for project in queries.projects_maintained_by(db(), person, on=today())]
    statement = select(Application).where(or_(Application.applicant_id == person.id, Application.project_id.in_(projects)))
    only = api_token().project_id
    if only is not None:
        statement = statement.where(Application.project_id == only)
    shown = paginate(
        db(), statement, by=[Application.updated_at, Application.id], cursor=query_data.cursor, size=query_data.limit
    )
    return ApplicationsOut(items=[ApplicationOut.of(each) for each in shown.items], next_cursor=shown.next_cursor)


@bp.get("/programmes")
@bp.output(ProgrammesOut)
def list_programmes() -> ProgrammesOut:
    """Every public programme with its rules, its rounds and what is left of its year. Needs no token."""
    return ProgrammesOut(
        items=[ProgrammeOut.of(queries.overview(db(), one, on=today())) for one in queries.public_programmes(db())]
    )


@bp.get("/grants")
@bp.input(GrantsIn, location="query")
@bp.output(GrantsOut)
def list_grants(query_data: GrantsIn) -> GrantsOut:
    """The public register, newest first, with sums over the whole selection. Needs no token."""
    selection = queries.public_grants(programme_slug=query_data.programme, year=query_data.year)
    shown = paginate(db(), selection, by=[Grant.awarded_on, Grant.id], cursor=query_data.cursor, size=query_data.limit)
    notes = queries.conflict_notes(db(), list(shown.items))
    return GrantsOut(
        items=[GrantOut.of(grant, notes[grant.id]) for grant in shown.items],
        totals=[TotalOut.of(total) for total in queries.totals(db(), selection)],
        next_cursor=shown.next_cursor,
    )
