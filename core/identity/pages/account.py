"""A person's own pages: name, password, sessions, API tokens, second factor."""

from datetime import timedelta
from uuid import UUID

import segno
from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from sqlalchemy import select

from core.clock import today, utc_now
from core.errors import DomainError, NotFound
from core.identity import access, memberships, people, sealing, second_factor, sign_in, tokens
from core.identity.models import Person, Project, Role, SignInSession
from core.identity.pages import bp
from core.web import current_person, db, flash, fresh_second_factor, page, refused, signed_in
from core.web.api import SCOPES
from core.web.forms import (
    Form,
    HiddenField,
    PasswordField,
    SelectField,
    SelectMultipleField,
    TextField,
    choices,
    required,
)
from core.web.visitor import IDLE, current_session

LIFETIMES = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "1 year"}


class NameForm(Form):
    name = TextField("Name", [required("Enter your name.")], length_max=120, render_kw={"autocomplete": "name"})


class PasswordForm(Form):
    current = PasswordField(
        "Current password", [required("Enter your current password.")], render_kw={"autocomplete": "current-password"}
    )
    password = PasswordField("New password", [required("Choose a new password.")], render_kw={"autocomplete": "new-password"})


class TokenForm(Form):
    name = TextField("What it is for", [required("Say what the token is for, such as “CI of our project”.")], length_max=80)
    scopes = SelectMultipleField("What it may do", [required("Choose at least one scope.")])
    project = SelectField("Limited to")
    lifetime = SelectField("Ends after", choices=list(LIFETIMES.items()), default="90")


class EnrolForm(Form):
    sealed = HiddenField()
    code = TextField(
        "Code",
        [required("Enter the code your app shows now.")],
        length_max=20,
        render_kw={"autocomplete": "one-time-code", "inputmode": "numeric"},
    )


@bp.get("/account")
@signed_in
def account() -> ResponseReturnValue:
    """Who I am here and what I may do."""
    person = current_person()
    return page(
        "identity/account.html",
        form=NameForm(obj=person),
        person=person,
        roles=memberships.of_person(db(), person),
        way=second_factor.way_for(person),
    )


@bp.post("/account/name")
@signed_in
def rename() -> ResponseReturnValue:
    """Change my name."""
    person, form = current_person(), NameForm()
    if form.validate_on_submit():
        try:
            people.rename(db(), person, form.name.data, now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("Your name is changed.")
            return redirect(url_for(".account"), code=303)
    return page(
        "identity/account.html",
        form=form,
        person=person,
        roles=memberships.of_person(db(), person),
        way=second_factor.way_for(person),
    )


@bp.route("/account/password", methods=["GET", "POST"])
@signed_in
def password() -> ResponseReturnValue:
    """Change my password."""
    form = PasswordForm()
    if form.validate_on_submit():
        try:
            people.change_password(
                db(),
                current_person(),
                current=form.current.data,
                new=form.password.data,
                keep_session=current_session().id,
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("Your password is changed, and your other sessions are ended.")
            return redirect(url_for(".account"), code=303)
    return page("identity/password.html", form=form, person=current_person())


@bp.get("/account/sessions")
@signed_in
def sessions() -> ResponseReturnValue:
    """Where I am signed in."""
    now = utc_now()
    rows = (
        db()
        .scalars(
            select(SignInSession)
            .where(
                SignInSession.person_id == current_person().id,
                SignInSession.revoked_at.is_(None),
                SignInSession.expires_at > now,
                SignInSession.seen_at > now - IDLE,
            )
            .order_by(SignInSession.seen_at.desc())
        )
        .all()
    )
    return render_template("identity/sessions.html", sessions=rows, here=current_session())


@bp.post("/account/sessions/<uuid:session_id>/revocation")
@signed_in
def revoke_session(session_id: UUID) -> ResponseReturnValue:
    """End one of my sessions."""
    sign_in.revoke(db(), current_person(), session_id, now=utc_now())
    flash("That session is ended.")
    return redirect(url_for(".sessions"), code=303)


@bp.post("/account/sessions/others/revocation")
@signed_in
def revoke_other_sessions() -> ResponseReturnValue:
    """End all my sessions but this one."""
    sign_in.revoke_others(db(), current_person(), keep=current_session().id, now=utc_now())
    flash("All your other sessions are ended.")
    return redirect(url_for(".sessions"), code=303)


@bp.route("/account/tokens", methods=["GET", "POST"], endpoint="tokens")
@signed_in
def tokens_page() -> ResponseReturnValue:
    """My API tokens; a new one's secret is shown on the answer to its making and never again."""
    person, session = current_person(), db()
    form = TokenForm()
    form.scopes.choices = [(name, f"{words} ({name})") for name, words in sorted(SCOPES.items())]
    mine = {
        project.id: project
        for role in (Role.MAINTAINER, Role.COMPUTE_SUBMITTER)
        for project in access.projects_with_role(session, person, role, on=today())
    }
    form.project.choices = choices(mine.values(), label=lambda project: project.name, empty="Everything I may do")
    issued = None
    if form.validate_on_submit():
        project_id = UUID(form.project.data) if form.project.data else None
        try:
            issued = tokens.issue(
                session,
                person,
                name=form.name.data,
                scopes=form.scopes.data,
                known_scopes=SCOPES,
                lifetime=timedelta(days=int(form.lifetime.data)),
                project=session.get(Project, project_id) if project_id else None,
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
    return page("identity/tokens.html", form=form, issued=issued, tokens=tokens.of_person(session, person), now=utc_now())


@bp.post("/account/tokens/<uuid:token_id>/revocation")
@signed_in
def revoke_token(token_id: UUID) -> ResponseReturnValue:
    """End one of my tokens."""
    token = tokens.revoke(db(), current_person(), token_id, now=utc_now())
    flash(f"The token “{token.name}” no longer works.")
    return redirect(url_for(".tokens"), code=303)


@bp.route("/account/second-factor", methods=["GET", "POST"], endpoint="second_factor_page")
@signed_in
def second_factor_page() -> ResponseReturnValue:
    """Set up an authenticator app, or see that one is set up."""
    person = current_person()
    if person.totp_secret is not None:
        left = second_factor.recovery_codes_left(db(), person)
        return render_template("identity/second_factor.html", left=left)
    form = EnrolForm()
    purpose = f"enrolling:{person.id}"
    if form.is_submitted():
        try:
            secret = sealing.unseal_input(form.sealed.data or "", belongs_to=purpose)
        except DomainError as error:
            refused(form, error)
            secret = second_factor.new_secret()
            form.sealed.data = sealing.seal(secret, belongs_to=purpose)
        else:
            if form.validate():
                try:
                    codes = second_factor.enrol(db(), person, secret, form.code.data, now=utc_now())
                except DomainError as error:
                    refused(form, error)
                else:
                    current_session().second_factor_at = utc_now()
                    return render_template("identity/recovery_codes.html", codes=codes, enrolled=True)
    else:
        secret = second_factor.new_secret()
        form.sealed.data = sealing.seal(secret, belongs_to=purpose)
    return page("identity/enrol.html", form=form, secret=secret, qr=_qr(second_factor.provisioning_uri(person, secret)))


@bp.post("/account/second-factor/recovery-codes")
@signed_in
@fresh_second_factor
def renew_recovery_codes() -> ResponseReturnValue:
    """Ten new recovery codes in place of the old ones."""
    person = _enrolled()
    codes = second_factor.renew_recovery_codes(db(), person, now=utc_now())
    return render_template("identity/recovery_codes.html", codes=codes, enrolled=False)


@bp.post("/account/second-factor/removal")
@signed_in
@fresh_second_factor
def remove_second_factor() -> ResponseReturnValue:
    """Turn my second factor off."""
    person = _enrolled()
    second_factor.remove(db(), person, actor=person, now=utc_now())
    flash("Your second factor is removed.")
    return redirect(url_for(".second_factor_page"), code=303)


def _enrolled() -> Person:
    person = current_person()
    if person.totp_secret is None:
        raise NotFound("Your account has no second factor.")
    return person


def _qr(address: str) -> Markup:
    svg = segno.make(address, error="m").svg_inline(
        omitsize=True, border=2, dark="#000", light="#fff", svgclass=None, lineclass=None
    )
    return Markup(svg)  # noqa: S704 - segno's own drawing; the address is only its pattern
