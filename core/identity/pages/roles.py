"""Who has which role, in an organisation, a project, or on the platform: for its owners and for administrators."""

from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from core.clock import today, utc_now
from core.config import settings
from core.errors import DomainError, NotAllowed, NotFound
from core.identity import access, memberships, organisations, people
from core.identity.memberships import PLATFORM, Scope
from core.identity.models import Membership, Role
from core.identity.pages import bp
from core.identity.roles import WORDS
from core.web import current_person, db, flash, fresh_second_factor, page, refused, signed_in
from core.web.forms import EmailField, Form, SelectField, TextField, required

PLATFORM_SLUG = "platform"
KINDS = ("organisations", "projects")


class RoleForm(Form):
    email = EmailField("E-mail address", [required("Enter the person's e-mail address.")])
    name = TextField("Name, if they have no account yet", length_max=120)
    role = SelectField("Role", choices=[(role.value, f"{name}: {what}") for role, (name, what) in WORDS.items()])


@bp.route("/<any(organisations, projects):kind>/<slug>/people", methods=["GET"])
@signed_in
def people_of(kind: str, slug: str) -> ResponseReturnValue:
    """The people of an organisation or project."""
    return _show(_scope(db(), kind, slug), RoleForm(formdata=None))


@bp.post("/<any(organisations, projects):kind>/<slug>/people")
@signed_in
@fresh_second_factor
def give_role(kind: str, slug: str) -> ResponseReturnValue:
    """Give a role; somebody without an account gets one, with a link to hand over."""
    return _give(_scope(db(), kind, slug))


@bp.get("/admin/roles")
@signed_in
def platform_roles() -> ResponseReturnValue:
    """The people with a role on the platform itself."""
    return _show(PLATFORM, RoleForm(formdata=None))


@bp.post("/admin/roles")
@signed_in
@fresh_second_factor
def give_platform_role() -> ResponseReturnValue:
    """Give a role on the platform."""
    return _give(PLATFORM)


@bp.post("/memberships/<uuid:membership_id>/end")
@signed_in
@fresh_second_factor
def end_role(membership_id: UUID) -> ResponseReturnValue:
    """End a role today."""
    row = db().get(Membership, membership_id)
    if row is None:
        raise NotFound("There is no such role.")
    memberships.end(db(), row, actor=current_person(), now=utc_now())
    flash(f"{row.person.name} is no longer {row.role.replace('_', ' ')}.")
    return redirect(_address(Scope(row.organisation, row.project)), code=303)


def _give(scope: Scope) -> ResponseReturnValue:
    form = RoleForm()
    link = None
    if form.validate_on_submit():
        try:
            actor = current_person()
            if not memberships.may_manage(db(), actor, scope, on=today()):
                raise NotAllowed(f"Only an owner of {scope} or an administrator gives roles here.")
            person = people.by_email(db(), form.email.data)
            if person is None:
                person = people.create(db(), email=form.email.data, name=form.name.data or "", actor=actor, now=utc_now())
                link = f"{settings().base_url}{url_for('.invitation', token=people.invitation_token(person))}"
            role = Role(form.role.data)
            memberships.give(db(), person, role, scope, actor=actor, now=utc_now())
        except DomainError as error:
            link = None
            refused(form, error)
        else:
            if link is None:
                flash(f"{person.name} is now {role.replace('_', ' ')} of {scope}.")
                return redirect(_address(scope), code=303)
            form = RoleForm(formdata=None)
    return _show(scope, form, link=link)


def _show(scope: Scope, form: RoleForm, *, link: str | None = None) -> ResponseReturnValue:
    person = current_person()
    manages = memberships.may_manage(db(), person, scope, on=today())
    if not manages and not access.may_read(
        db(), person, Role.OWNER, organisation_id=scope.organisation_id, project_id=scope.project_id, on=today()
    ):
        raise NotAllowed(f"Only owners of {scope}, auditors and administrators see its people.")
    return page(
        "identity/people_of.html",
        form=form,
        scope=scope,
        rows=memberships.in_scope(db(), scope),
        manages=manages,
        link=link,
        action_url=_address(scope),
    )


def _scope(session: Session, kind: str, slug: str) -> Scope:
    if kind == "organisations":
        return Scope(organisation=organisations.by_slug(session, slug))
    return Scope(project=organisations.project_by_slug(session, slug))


def _address(scope: Scope) -> str:
    if scope.organisation:
        return url_for(".people_of", kind="organisations", slug=scope.organisation.slug)
    if scope.project:
        return url_for(".people_of", kind="projects", slug=scope.project.slug)
    return url_for(".platform_roles")
