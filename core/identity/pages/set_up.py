"""The first account of an installation, and invitations."""

from flask import current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue

from core.clock import utc_now
from core.errors import DomainError
from core.identity import people
from core.identity.pages import bp
from core.identity.pages.signing_in import let_in
from core.web import db, flash, page, refused
from core.web.errors import wants_json
from core.web.forms import EmailField, Form, HiddenField, PasswordField, TextField, required

NEW_PASSWORD = {"autocomplete": "new-password"}


class FirstRunForm(Form):
    token = TextField(
        "Set-up code",
        [required("Enter the set-up code printed where Pledgeworks was started.")],
        render_kw={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"},
    )
    name = TextField("Your name", [required("Enter your name.")], length_max=120, render_kw={"autocomplete": "name"})
    email = EmailField("E-mail address", [required("Enter your e-mail address.")], render_kw={"autocomplete": "username"})
    password = PasswordField("Password", [required("Choose a password.")], render_kw=NEW_PASSWORD)


class InvitationForm(Form):
    email = HiddenField()  # for password managers only
    password = PasswordField("Password", [required("Choose a password.")], render_kw=NEW_PASSWORD)


@bp.before_app_request
def lead_to_first_run() -> ResponseReturnValue | None:
    """With nobody in the database, every page leads to the one that makes the first administrator."""
    if current_app.extensions.get("has_people") or request.endpoint in OPEN_BEFORE_FIRST_RUN or wants_json():
        return None
    if people.anybody(db()):
        current_app.extensions["has_people"] = True  # people are never deleted, so this stays true
        return None
    return redirect(url_for("identity.first_run"), code=303)


OPEN_BEFORE_FIRST_RUN = {"identity.first_run", "static", "web.healthz", "web.readyz", "web.components"}


@bp.route("/first-run", methods=["GET", "POST"])
def first_run() -> ResponseReturnValue:
    """Make the first administrator, with the code printed where the installation was started."""
    if people.anybody(db()):
        raise people.AlreadySetUp("This installation has its people already; sign in.")
    form = FirstRunForm(token=request.args.get("code"))
    if form.validate_on_submit():
        try:
            person = people.create_first_admin(
                db(),
                token=form.token.data,
                email=form.email.data,
                name=form.name.data,
                password=form.password.data,
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("Welcome. You are the administrator of this installation.")
            return let_in(person, url_for("web.work"), second_factor_given=False)
    return page("identity/first_run.html", form=form)


@bp.route("/invitation/<token>", methods=["GET", "POST"])
def invitation(token: str) -> ResponseReturnValue:
    """Set a password with an invitation."""
    person = people.invited(db(), token)
    form = InvitationForm(email=person.email)
    if form.validate_on_submit():
        try:
            people.accept_invitation(db(), token, password=form.password.data, now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("Your password is set. Sign in with it.")
            return redirect(url_for("identity.sign_in"), code=303)
    return page("identity/invitation.html", form=form, person=person)
