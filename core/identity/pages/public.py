"""The public pages of projects and organisations. Domains fill them with sections (core.web.hooks)."""

from collections.abc import Callable

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import func, or_, select

from core.clock import today
from core.identity import memberships, organisations
from core.identity.memberships import Scope
from core.identity.models import Project, Role
from core.identity.pages import bp
from core.identity.roles import ORGANISATION_WORDS
from core.web import db, hooks, visitor
from core.web.pagination import paginate
from core.web.public_pages import Drawn, draw, kept, sections_of


@bp.get("/projects")
def projects() -> ResponseReturnValue:
    """Every project, by name."""
    words = request.args.get("q", "").strip()
    statement = select(Project)
    if words:
        statement = statement.where(
            or_(
                func.lower(Project.name).contains(words.lower(), autoescape=True),
                func.lower(Project.summary).contains(words.lower(), autoescape=True),
            )
        )
    found = paginate(db(), statement, by=[Project.name, Project.id], descending=False, cursor=request.args.get("cursor"), size=60)
    return render_template("identity/projects.html", projects=found, words=words)


@bp.get("/projects/<slug>")
def project(slug: str) -> ResponseReturnValue:
    """One project: what it is, and what every domain knows of it."""
    manages = _manages(lambda: Scope(project=organisations.project_by_slug(db(), slug)))

    def drawn() -> Drawn:
        found, parent = organisations.project_with_parent(db(), slug)
        sections = sections_of(hooks.project_section, found)
        return draw(found.name, "identity/_project.html", project=found, parent=parent, sections=sections, manages=manages)

    return render_template("web/public_page.html", page=kept(("project", slug, manages), drawn))


@bp.get("/organisations/<slug>")
def organisation(slug: str) -> ResponseReturnValue:
    """One organisation: what it does here, its projects, and what every domain knows of it."""
    here = visitor()
    changes = here is not None and here.is_admin
    manages = _manages(lambda: Scope(organisation=organisations.by_slug(db(), slug)))

    def drawn() -> Drawn:
        session = db()
        found = organisations.by_slug(session, slug)
        return draw(
            found.name,
            "identity/_organisation.html",
            organisation=found,
            roles=[ORGANISATION_WORDS[role] for role in organisations.current_roles(found, on=today())],
            projects=session.scalars(select(Project).where(Project.parent_id == found.id).order_by(Project.name)).all(),
            sections=sections_of(hooks.organisation_section, found),
            manages=manages,
            changes=changes,
        )

    return render_template("web/public_page.html", page=kept(("organisation", slug, manages, changes), drawn))


def _manages(scope: Callable[[], Scope]) -> bool:
    here = visitor()
    if here is None or not here.any_role(Role.OWNER):
        return here is not None and here.is_admin
    return memberships.may_manage(db(), here.person, scope(), on=today())
