"""Money that came in and is for nothing yet, and what people say that it is for."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core.books import assignments, bookings, queries, second_looks
from core.books.forms import AssignForm, DeclineForm
from core.books.models import Assignment, BankLine, Direction
from core.books.queries import SetAside
from core.books.sources import Expected
from core.books.views import bp
from core.clock import utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.money import Money
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires
from core.web.filters import money
from core.web.forms import Form


@dataclass(frozen=True, slots=True)
class Row:
    """One account with what lies there, and what the visitor may do about it."""

    aside: SetAside
    lines: Sequence[BankLine]
    mine: Sequence[Expected]
    """What the visitor may assign alone."""
    for_two: Sequence[Expected]
    """What the visitor may propose, and another person confirms."""
    most: Money
    waiting: Sequence[Assignment]


@bp.get("/set-aside")
@requires(Role.FINANCE)
def list_set_aside() -> ResponseReturnValue:
    """Money that came in and is not assigned."""
    return _page(None)


@bp.post("/set-aside")
@requires(Role.FINANCE)
@fresh_second_factor
def assign() -> ResponseReturnValue:
    """What set-aside money is for."""
    form = _form()
    if form.validate_on_submit():
        try:
            each = bookings.assign(db(), form.code.data, form.expected.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{money(each.money)} of {each.who} are assigned to {each.reference} and in the ledger.")
            return _back()
    return _page(form)


@bp.post("/set-aside/proposals")
@requires(Role.FINANCE)
def propose_assignment() -> ResponseReturnValue:
    """What it is for, for another person to confirm."""
    form = _form()
    if form.validate_on_submit():
        try:
            made = assignments.propose(db(), form.code.data, form.expected.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"Proposed: {money(made.money)} for {made.reference}. Another person of finance confirms it here.")
            return _back()
    return _page(form)


@bp.post("/set-aside/proposals/<uuid:assignment_id>/confirmation")
@requires(Role.FINANCE)
@fresh_second_factor
def confirm_assignment(assignment_id: UUID) -> ResponseReturnValue:
    """As the second person."""
    done = assignments.confirm(db(), assignment_id, actor=current_person(), now=utc_now())
    flash(f"You confirmed it: {money(done.money)} are assigned to {done.reference} and in the ledger.")
    return _back()


@bp.post("/set-aside/proposals/<uuid:assignment_id>/rejection")
@requires(Role.FINANCE)
def decline_assignment(assignment_id: UUID) -> ResponseReturnValue:
    """It is for something else, or its author takes it back."""
    form = DeclineForm()
    try:
        assignments.decline(db(), assignment_id, reason=form.reason.data or "", actor=current_person(), now=utc_now())
    except DomainError as error:
        refused(form, error)
        return _page(form, of=assignment_id)
    flash("The proposal is off; the money stays set aside.", "info")
    return _back()


def _back() -> ResponseReturnValue:
    return redirect(url_for(".list_set_aside"), code=303)


def _form() -> AssignForm:
    form = AssignForm()
    form.expected.choices = [(each.key, each.reference) for each in _incoming()]
    return form


def _incoming() -> list[Expected]:
    return [each for each in queries.expected(db()) if each.direction is Direction.IN]


def _page(form: Form | None, *, of: UUID | None = None) -> ResponseReturnValue:
    """`of`: the proposal that was not declined, for want of a reason."""
    expected, waiting, known = _incoming(), assignments.waiting(db()), queries.set_aside(db())
    rows = [_row(aside, expected, [each for each in waiting if each.set_aside_on == aside.code]) for aside in known]
    codes = {aside.code for aside in known}
    overtaken = [each for each in waiting if each.set_aside_on not in codes]
    return page("books/set_aside.html", form=form, rows=rows, overtaken=overtaken, refused_id=of, me=current_person())


def _row(aside: SetAside, expected: Sequence[Expected], waiting: Sequence[Assignment]) -> Row:
    currency, proposed = aside.money.currency, {each.expected_key for each in waiting}
    most = second_looks.may_assign(db(), aside.code, currency, actor=current_person(), now=utc_now())
    fitting = [each for each in expected if each.money.currency == currency and each.money <= aside.money]
    return Row(
        aside,
        queries.lines_on(db(), aside.code),
        mine=[each for each in fitting if each.money <= most],
        for_two=[each for each in fitting if each.money > most and each.key not in proposed],
        most=most,
        waiting=waiting,
    )
