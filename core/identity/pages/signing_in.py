"""Sign in (password, then a code where one is set up), sign out, and the proof for sensitive deeds."""

from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

from flask import redirect, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeTimedSerializer

from core.clock import utc_now
from core.config import settings
from core.errors import DomainError
from core.identity import second_factor, sign_in
from core.identity.models import Person
from core.identity.pages import bp
from core.web import current_person, db, flash, page, refused, visitor
from core.web.forms import EmailField, Form, PasswordField, TextField, required
from core.web.gates import PROOF_FIELD, ask_for_proof
from core.web.visitor import cookie_name, current_session

BETWEEN_FACTORS = timedelta(minutes=5)
KNOWN_FOR = timedelta(days=365)


class SignInForm(Form):
    email = EmailField("E-mail address", [required("Enter your e-mail address.")], render_kw={"autocomplete": "username"})
    password = PasswordField("Password", [required("Enter your password.")], render_kw={"autocomplete": "current-password"})


class CodeForm(Form):
    code = TextField(
        "Code",
        [required("Enter the code your app shows now.")],
        length_max=40,
        render_kw={"autocomplete": "one-time-code", "inputmode": "text", "autocapitalize": "none", "spellcheck": "false"},
    )


@bp.route("/sign-in", methods=["GET", "POST"], endpoint="sign_in")
def sign_in_page() -> ResponseReturnValue:
    """E-mail address and password."""
    target = _local(request.args.get("next"))
    if visitor() is not None:
        return redirect(target, code=303)
    form = SignInForm()
    if form.validate_on_submit():
        try:
            person = sign_in.check_password(
                db(),
                form.email.data,
                form.password.data,
                address=request.remote_addr or "",
                known_browser=_known_browser(form.email.data),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            if person.totp_secret is None:
                return let_in(person, target, second_factor_given=False)
            cookie["between_factors"] = [str(person.id), utc_now().timestamp()]
            return redirect(url_for("identity.sign_in_code", next=target), code=303)
    return page("identity/sign_in.html", form=form, target=target)


@bp.route("/sign-in/code", methods=["GET", "POST"])
def sign_in_code() -> ResponseReturnValue:
    """The second factor, within five minutes of the first."""
    target = _local(request.args.get("next"))
    person = _between_factors()
    if person is None:
        return redirect(url_for("identity.sign_in", next=target), code=303)
    form = CodeForm()
    if form.validate_on_submit():
        try:
            second_factor.use_code(db(), person, form.code.data, now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            return let_in(person, target, second_factor_given=True)
    return page("identity/sign_in_code.html", form=form, target=target)


@bp.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End this session."""
    here = visitor()
    if here is not None and here.session is not None:
        sign_in.revoke(db(), here.person, here.session.id, now=utc_now())
    cookie.clear()
    flash("You are signed out.")
    response = redirect(url_for("web.home"), code=303)
    response.delete_cookie(cookie_name(), path="/", secure=_secure(), httponly=True, samesite="Lax")
    return response


@bp.post("/account/proof")
def confirm_presence() -> ResponseReturnValue:
    """Give a code (in development: the password) now, for a page that asked for it."""
    person = current_person()
    target = _local(request.args.get("next"))
    try:
        second_factor.confirm(db(), person, current_session(), request.form.get(PROOF_FIELD, ""), now=utc_now())
    except DomainError as error:
        return ask_for_proof(person, target, problem=error)
    return redirect(target, code=303)


def let_in(person: Person, target: str, *, second_factor_given: bool) -> ResponseReturnValue:
    """Open a session for a person who has proved to be it, in place of the one this browser had, and go on."""
    here = visitor()
    if here is not None and here.session is not None:
        sign_in.revoke(db(), here.person, here.session.id, now=utc_now())
    opened = sign_in.open_session(
        db(),
        person,
        user_agent=request.user_agent.string,
        address=request.remote_addr or "",
        second_factor=second_factor_given,
        now=utc_now(),
    )
    cookie.clear()  # a new CSRF token too: nothing from before signing in is worth anything after
    response = redirect(target, code=303)
    response.set_cookie(
        cookie_name(), opened.token, max_age=sign_in.LIFETIME, path="/", secure=_secure(), httponly=True, samesite="Lax"
    )
    response.set_cookie(
        _device_cookie(person.email), _device_signer().dumps(person.email), max_age=KNOWN_FOR,
        path="/", secure=_secure(), httponly=True, samesite="Lax",
    )  # fmt: skip
    return response


def _between_factors() -> Person | None:
    person_id, at = cookie.get("between_factors", (None, 0))
    if person_id is None or utc_now().timestamp() - at > BETWEEN_FACTORS.total_seconds():
        return None
    person = db().get(Person, UUID(person_id))
    return person if person is not None and person.disabled_at is None else None


def _known_browser(email: str) -> str | None:
    """The id of this browser, if it signed in to this very account within the year."""
    account = email.strip().lower()
    value = request.cookies.get(_device_cookie(account), "")
    try:
        known = _device_signer().loads(value, max_age=int(KNOWN_FOR.total_seconds()))
    except BadSignature:
        return None
    return sign_in.hash_token(value).hex()[:32] if known == account else None


def _device_cookie(email: str) -> str:
    return f"pledgeworks-known-{sign_in.hash_token(email)[:6].hex()}"


def _device_signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings().secret("web"), salt="known browser")


def _secure() -> bool:
    return settings().base_url.startswith("https://")


def _local(target: str | None) -> str:
    """Where to go next: a path of ours, or the person's work page. Never another site."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return url_for("web.work")
    parts = urlsplit(target)
    return url_for("web.work") if parts.scheme or parts.netloc else target
