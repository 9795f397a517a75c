"""Administrators' pages: people, organisations and projects of the installation."""

from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, or_, select

from core import audit
from core.clock import utc_now
from core.config import settings
from core.errors import DomainError, NotAllowed, NotFound
from core.identity import memberships, organisations, people, second_factor
from core.identity.models import Organisation, OrganisationRole, Person
from core.identity.pages import bp
from core.identity.roles import ORGANISATION_WORDS
from core.web import current_person, db, flash, fresh_second_factor, page, refused, signed_in
from core.web.forms import (
    BooleanField,
    EmailField,
    Form,
    SelectField,
    SelectMultipleField,
    TextAreaField,
    TextField,
    choices,
    required,
)
from core.web.pagination import paginate


class PersonForm(Form):
    name = TextField("Name", [required("Enter the person's name.")], length_max=120)
    email = EmailField("E-mail address", [required("Enter the person's e-mail address.")])
    is_admin = BooleanField("Administrator of this installation")


class ReasonForm(Form):
    reason = TextField("Reason", [required("Say why, for the record.")])


class OrganisationForm(Form):
    name = TextField("Name", [required("Enter the organisation's name.")], length_max=160)
    slug = TextField("Short name", length_max=60)
    roles = SelectMultipleField("What it does here", choices=[(role.value, words) for role, words in ORGANISATION_WORDS.items()])
    url = TextField("Web address", length_max=500)
    country = TextField("Country", length_max=2)


class ProjectForm(Form):
    name = TextField("Name", [required("Enter the project's name.")], length_max=160)
    slug = TextField("Short name", length_max=60)
    summary = TextAreaField("What it is, in a sentence or two")
    url = TextField("Web address", length_max=500)
    repository_url = TextField("Repository", length_max=500)
    licences = TextField("Licences")
    parent = SelectField("Parent organisation")


@bp.get("/admin/people")
@signed_in
def all_people() -> ResponseReturnValue:
    """Everybody with an account."""
    _require_admin()
    words = request.args.get("q", "").strip()
    statement = select(Person)
    if words:
        pattern = words.lower()
        statement = statement.where(
            or_(func.lower(Person.name).contains(pattern, autoescape=True), Person.email.contains(pattern, autoescape=True))
        )
    found = paginate(db(), statement, by=[Person.id], cursor=request.args.get("cursor"))
    return render_template("identity/people.html", people=found, words=words)


@bp.route("/admin/people/new", methods=["GET", "POST"])
@signed_in
@fresh_second_factor
def new_person() -> ResponseReturnValue:
    """Add a person; the answer shows the link with which it sets its password."""
    actor, form = _require_admin(), PersonForm()
    if form.validate_on_submit():
        try:
            person = people.create(
                db(), name=form.name.data, email=form.email.data, is_admin=form.is_admin.data, actor=actor, now=utc_now()
            )
        except DomainError as error:
            refused(form, error)
        else:
            return _show_person(person, link=_invitation(person))
    return page("identity/new_person.html", form=form)


@bp.get("/admin/people/<uuid:person_id>")
@signed_in
def one_person(person_id: UUID) -> ResponseReturnValue:
    """One account: its roles and what happened to it."""
    _require_admin()
    return _show_person(_person(person_id))


@bp.post("/admin/people/<uuid:person_id>/invitation")
@signed_in
@fresh_second_factor
def invite_person(person_id: UUID) -> ResponseReturnValue:
    """A link with which the person sets a new password."""
    actor, person = _require_admin(), _person(person_id)
    audit.record(db(), "person.invited", person, actor=actor, at=utc_now())
    return _show_person(person, link=_invitation(person))


@bp.post("/admin/people/<uuid:person_id>/closing")
@signed_in
@fresh_second_factor
def close_person(person_id: UUID) -> ResponseReturnValue:
    """Close an account."""
    actor, person, form = _require_admin(), _person(person_id), ReasonForm()
    if form.validate_on_submit():
        try:
            people.disable(db(), person, actor=actor, reason=form.reason.data, now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"The account of {person.name} is closed.")
            return redirect(url_for(".one_person", person_id=person_id), code=303)
    return _show_person(person, form=form)


@bp.post("/admin/people/<uuid:person_id>/opening")
@signed_in
@fresh_second_factor
def open_person(person_id: UUID) -> ResponseReturnValue:
    """Open a closed account again."""
    actor, person = _require_admin(), _person(person_id)
    people.enable(db(), person, actor=actor, now=utc_now())
    flash(f"The account of {person.name} is open again.")
    return redirect(url_for(".one_person", person_id=person_id), code=303)


@bp.post("/admin/people/<uuid:person_id>/second-factor/removal")
@signed_in
@fresh_second_factor
def remove_second_factor_of(person_id: UUID) -> ResponseReturnValue:
    """Remove the second factor of somebody who lost phone and recovery codes."""
    actor, person, form = _require_admin(), _person(person_id), ReasonForm()
    if form.validate_on_submit():
        second_factor.remove(db(), person, actor=actor, now=utc_now(), reason=form.reason.data)
        flash(f"The second factor of {person.name} is removed.")
        return redirect(url_for(".one_person", person_id=person_id), code=303)
    return _show_person(person, form=form)


@bp.route("/admin/organisations/new", methods=["GET", "POST"])
@signed_in
def new_organisation() -> ResponseReturnValue:
    """Add an organisation."""
    actor, form = _require_admin(), OrganisationForm()
    if form.validate_on_submit():
        try:
            made = organisations.create(
                db(),
                name=form.name.data,
                slug=form.slug.data,
                roles=[OrganisationRole(value) for value in form.roles.data],
                url=form.url.data,
                country=form.country.data,
                actor=actor,
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{made.name} is added. Now give somebody the role of its owner.")
            return redirect(url_for(".people_of", kind="organisations", slug=made.slug), code=303)
    return page("identity/edit_organisation.html", form=form, organisation=None)


@bp.route("/organisations/<slug>/facts", methods=["GET", "POST"])
@signed_in
def edit_organisation(slug: str) -> ResponseReturnValue:
    """Change an organisation's facts."""
    actor = _require_admin()
    organisation = organisations.by_slug(db(), slug)
    current = [row.role.value for row in organisation.roles if row.until_on is None]
    form = OrganisationForm(obj=organisation, data={"roles": current}) if request.method == "GET" else OrganisationForm()
    if request.method == "GET":
        form.roles.data = current
    if form.validate_on_submit():
        try:
            organisations.change(
                db(),
                organisation,
                name=form.name.data,
                url=form.url.data,
                country=form.country.data,
                roles=[OrganisationRole(value) for value in form.roles.data],
                actor=actor,
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The organisation is changed.")
            return redirect(url_for(".organisation", slug=slug), code=303)
    return page("identity/edit_organisation.html", form=form, organisation=organisation)


@bp.route("/admin/projects/new", methods=["GET", "POST"])
@signed_in
def new_project() -> ResponseReturnValue:
    """Add a project."""
    actor, form = _require_admin(), ProjectForm()
    every = db().scalars(select(Organisation).order_by(Organisation.name)).all()
    form.parent.choices = choices(every, label=lambda one: one.name, empty="None")
    if form.validate_on_submit():
        parent = db().get(Organisation, UUID(form.parent.data)) if form.parent.data else None
        try:
            made = organisations.create_project(
                db(),
                name=form.name.data,
                slug=form.slug.data,
                summary=(form.summary.data or "").strip() or None,
                url=form.url.data,
                repository_url=form.repository_url.data,
                licences=(form.licences.data or "").replace(",", " ").split(),
                parent=parent,
                actor=actor,
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{made.name} is added. Now give somebody the role of its maintainer.")
            return redirect(url_for(".people_of", kind="projects", slug=made.slug), code=303)
    return page("identity/new_project.html", form=form)


def _show_person(person: Person, *, form: ReasonForm | None = None, link: str | None = None) -> ResponseReturnValue:
    return page(
        "identity/person.html",
        form=form or ReasonForm(formdata=None),
        status=None if form is not None else 200,
        person=person,
        roles=memberships.of_person(db(), person),
        events=audit.history(db(), person, limit=50),
        link=link,
        is_self=person.id == current_person().id,
    )


def _require_admin() -> Person:
    person = current_person()
    if not person.is_admin:
        raise NotAllowed("Only an administrator of this installation manages its people.")
    return person


def _person(person_id: UUID) -> Person:
    person = db().get(Person, person_id)
    if person is None:
        raise NotFound("There is no such person.")
    return person


def _invitation(person: Person) -> str:
    return f"{settings().base_url}{url_for('.invitation', token=people.invitation_token(person))}"
