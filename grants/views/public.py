"""What anybody sees: programmes, and the register of grants."""

import csv
import io
from collections.abc import Iterable, Iterator
from uuid import UUID

from flask import Blueprint, Response, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from core.clock import today
from core.identity.models import Project
from core.spreadsheet import harmless
from core.web import db, hooks, page
from core.web.filters import money
from core.web.pagination import SIZE_MAX, paginate
from core.web.visitor import visitor
from grants import policies, queries
from grants.models import Grant, ProgrammeStatus
from grants.queries import Notes

bp = Blueprint("public", __name__)

CSV_HEAD = (
    "grant", "programme", "project", "recipient", "status", "awarded_on", "amount", "currency", "returned", "paid_as",
    "override_reason", "conflict_notes", "source_url", "demo",
)  # fmt: skip


@hooks.headline(order=20)
def granted(session: Session) -> Iterable[hooks.Figure]:
    """What the register sums to, per currency."""
    for total in queries.totals(session, queries.public_grants()):
        count = (
            f"{total.grants} grants, at least: {total.undisclosed} undisclosed" if total.at_least else f"{total.grants} grants"
        )
        yield hooks.Figure("Granted to projects", total.money, url_for("grants.public.register"), count)


@hooks.project_section(order=10)
def grants_of_project(session: Session, project: Project) -> hooks.Section | None:
    """A project's grants, on its page."""
    found = [grant for grant in queries.grants_of_project(session, project.id) if grant.accepted_at is not None]
    if not found:
        return None
    totals = queries.totals(session, queries.public_grants(project_id=project.id))
    return hooks.Section("Grants", "grants/grants/_project.html", {"grants": found, "totals": totals})


@bp.get("/programmes")
def programmes() -> ResponseReturnValue:
    """Every public programme, what can be applied to, and what is left."""
    overviews = [queries.overview(db(), one, on=today()) for one in queries.public_programmes(db())]
    return page("grants/programmes/index.html", overviews=overviews)


@bp.get("/programmes/<slug>")
def programme(slug: str) -> ResponseReturnValue:
    """One programme: dates, rules, what is left, grants made."""
    found = queries.any_programme(db(), slug)
    here = visitor()
    runs_it = here is not None and queries.may_look(db(), found, here.person, on=today())
    if found.status is ProgrammeStatus.DRAFT and not runs_it:
        found = queries.programme(db(), slug)  # says that there is none
    made = [grant for grant in queries.grants_of_programme(db(), found.id) if grant.accepted_at is not None]
    return page(
        "grants/programmes/show.html",
        programme=found,
        overview=queries.overview(db(), found, on=today()),
        grants=made,
        notes=queries.conflict_notes(db(), made),
        totals=queries.totals(db(), queries.public_grants(programme_slug=slug)),
        rule=policies.request_rule_in_words(found, money),
        weight_sum=sum(criterion.weight for criterion in found.criteria),
        runs_it=runs_it,
        today=today(),
    )


@bp.get("/grants")
def register() -> ResponseReturnValue:
    """The register, newest first; by programme and year."""
    slug, year = request.args.get("programme") or None, request.args.get("year", type=int)
    selection = queries.public_grants(programme_slug=slug, year=year)
    found = paginate(db(), selection, by=[Grant.awarded_on, Grant.id], cursor=request.args.get("cursor"))
    return page(
        "grants/grants/index.html",
        grants=found,
        notes=queries.conflict_notes(db(), list(found.items)),
        totals=queries.totals(db(), selection),
        programmes=queries.public_programmes(db()),
        years=queries.years_of_register(db()),
        chosen_programme=slug,
        chosen_year=year,
    )


@bp.get("/grants.csv")
def register_csv() -> ResponseReturnValue:
    """The same selection as CSV, complete."""
    slug, year = request.args.get("programme") or None, request.args.get("year", type=int)
    rows = list(_csv(db(), slug, year))
    return Response(rows, mimetype="text/csv", headers={"Content-Disposition": 'attachment; filename="grants.csv"'})


@bp.get("/grants/<uuid:grant_id>")
def grant(grant_id: UUID) -> ResponseReturnValue:
    """One grant: terms, instalments, how it was decided, conflicts, ledger."""
    found = queries.public_grant(db(), grant_id)
    here = visitor()
    return page(
        "grants/grants/show.html",
        grant=found,
        notes=queries.conflict_notes(db(), [found])[found.id],
        votes=queries.vote_counts(found.decision) if found.decision else None,
        mine=here is not None and queries.receives(db(), found, here.person, on=today()),
        runs_it=here is not None and queries.may_look(db(), found.programme, here.person, on=today()),
    )


def _csv(session: Session, slug: str | None, year: int | None) -> Iterator[str]:
    yield _line(CSV_HEAD)
    cursor = None
    while True:
        found = paginate(
            session,
            queries.public_grants(programme_slug=slug, year=year),
            by=[Grant.awarded_on, Grant.id],
            cursor=cursor,
            size=SIZE_MAX,
        )
        notes = queries.conflict_notes(session, list(found.items))
        for one in found.items:
            yield _line(_csv_row(one, notes[one.id]))
        cursor = found.next_cursor
        if cursor is None:
            return


def _csv_row(grant: Grant, notes: Notes) -> list[str]:
    hidden = grant.amount_undisclosed
    said = [*notes.overlaps, *(f"Disclosed: {one}" for one in notes.disclosed), *(f"Recused: {one}" for one in notes.recused)]
    return [
        str(grant.id),
        grant.programme.name,
        grant.project.name,
        grant.recipient_name,
        str(grant.status),
        grant.awarded_on.isoformat(),
        "undisclosed" if hidden else str(grant.money.decimal),
        grant.currency,
        "undisclosed" if hidden else str(grant.returned.decimal),
        str(grant.payee or ""),
        grant.override_reason or "",
        " ".join(said),
        grant.source_url or "",
        "yes" if grant.is_demo else "no",
    ]


def _line(values: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([harmless(value) for value in values])
    return out.getvalue()
