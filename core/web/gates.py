"""Decorators in front of views: signed in, with a role of the platform, with a fresh second factor.

Roles in an organisation or project depend on the thing asked for; services ask `core.identity.access` about those.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.clock import today, utc_now
from core.errors import DomainError
from core.identity import access, second_factor
from core.identity.models import Person, Role
from core.web.context import db
from core.web.visitor import current_person, current_session

PROOF_FIELD = "second_factor_proof"

P = ParamSpec("P")
View = Callable[P, ResponseReturnValue]


def signed_in(view: View[P]) -> View[P]:
    """For signed-in people only; others are led to the sign-in page and back."""

    @functools.wraps(view)
    def gate(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        current_person()
        return view(*args, **kwargs)

    return gate


def requires(*roles: Role) -> Callable[[View[P]], View[P]]:
    """For people with any of these roles on the platform. To look (GET), administrators and auditors may pass too."""

    def decorate(view: View[P]) -> View[P]:
        @functools.wraps(view)
        def gate(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            person = current_person()
            ask = access.may_read if request.method in {"GET", "HEAD"} else access.has_role
            if not any(ask(db(), person, role, on=today()) for role in roles):
                access.refuse(roles)
            return view(*args, **kwargs)

        return gate

    return decorate


def fresh_second_factor(view: View[P]) -> View[P]:
    """For deeds that want proof, minutes old, that the person itself is there: payout approvals and role changes.

    Without one, the answer is a page that asks for a code and then repeats exactly this request, so that nothing typed is lost.
    """

    @functools.wraps(view)
    def gate(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        person, session = current_person(), current_session()
        if second_factor.is_fresh(session, now=utc_now()):
            return view(*args, **kwargs)
        problem: DomainError | None = None
        proof = request.form.get(PROOF_FIELD)
        if proof is not None:
            try:
                second_factor.confirm(db(), person, session, proof, now=utc_now())
            except DomainError as error:
                problem = error
            else:
                # The proof stands whatever the view says: a code works once, and a refused deed needs no second one.
                db().commit()
                return view(*args, **kwargs)
        return _ask(second_factor.way_for(person), problem)

    return gate


def ask_for_proof(person: Person, target: str, *, problem: DomainError | None = None) -> ResponseReturnValue:
    """The page that asks for a code, for a page that was only to be looked at."""
    return _ask(second_factor.way_for(person), problem, action=url_for("identity.confirm_presence", next=target))


def _ask(way: second_factor.Way, problem: DomainError | None, *, action: str | None = None) -> ResponseReturnValue:
    here = request.full_path.rstrip("?")
    if action is None and request.method in {"GET", "HEAD"}:
        action = url_for("identity.confirm_presence", next=here)
    repeats = action is None
    hidden = [(name, value) for name, value in request.form.items(multi=True) if name not in {PROOF_FIELD, "csrf_token"}]
    body = render_template(
        "identity/confirm.html",
        way=way,
        problem=problem,
        proof_field=PROOF_FIELD,
        action=action or here,
        hidden=hidden if repeats else [],
        files_lost=any(upload.filename for upload in request.files.values()),
    )
    return body, problem.status if problem else 403
