"""Choosing what one line is the sum of."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from core.books import queries, several
from core.books.forms import SumForm
from core.books.models import BankLine, Direction
from core.books.several import Candidate
from core.books.views import bp
from core.clock import utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.money import Money
from core.web import current_person, db, flash, page, refused, requires
from core.web.filters import money

LISTED_MAX = 500
"""So many are listed; names and days narrow it down."""


@bp.get("/lines/<uuid:line_id>/sum")
@requires(Role.FINANCE)
def choose_parts(line_id: UUID) -> ResponseReturnValue:
    """Everything that the line may be a part of, narrowed by name and day."""
    line = queries.line(db(), line_id)
    return _show(line, _listed(line), None)


@bp.post("/lines/<uuid:line_id>/sum")
@requires(Role.FINANCE)
def propose_parts(line_id: UUID) -> ResponseReturnValue:
    """Say what it is the sum of; another person confirms."""
    line = queries.line(db(), line_id)
    listed = _listed(line)
    form = _form(listed)
    if form.validate_on_submit():
        keys = [each.key for each in listed] if form.are_all.data else form.chosen.data
        try:
            several.propose(db(), line_id, keys, note=form.note.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("Proposed. Nothing is posted until another person of finance confirms it.")
            return redirect(url_for(".show_line", line_id=line_id), code=303)
    return _show(line, listed, form)


def in_words(line: BankLine, parts: Sequence[Candidate]) -> str:
    """What these come to, and what that leaves of the line."""
    total = sum((each.money for each in parts), Money(0, line.currency))
    fee = line.money - total if line.direction is Direction.OUT else total - line.money
    way = "more" if line.direction is Direction.OUT else "less"
    if fee.amount_minor < 0:
        left = f"{money(-fee)} {'less' if way == 'more' else 'more'}, so it is not all of them."
    else:
        left = f"{money(fee)} {way}, which would be booked as a fee." if fee else "just that."
    count = "1 is listed" if len(parts) == 1 else f"{len(parts)} are listed"
    return f"{count}, together {money(total)}. The line is {money(line.money)}: {left}"


def _listed(line: BankLine) -> Sequence[Candidate]:
    if line.match is not None:
        return ()
    wanted = request.args
    return several.candidates(
        db(),
        line,
        containing=wanted.get("containing", ""),
        from_on=_day(wanted.get("from_on")),
        until_on=_day(wanted.get("until_on")),
    )[:LISTED_MAX]


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None  # a filter that is none narrows nothing


def _form(listed: Sequence[Candidate]) -> SumForm:
    form = SumForm() if request.method == "POST" else SumForm(formdata=None)
    form.chosen.choices = [(each.key, _label(each)) for each in listed]
    return form


def _label(each: Candidate) -> str:
    day = f"{each.on:%-d %b %Y}" if each.on is not None else "expected"
    named = f", {each.references[0]}" if each.references and each.references[0] != each.who else ""
    return f"{money(each.money)}, {each.who}{named}, {day}"


def _show(line: BankLine, listed: Sequence[Candidate], form: SumForm | None) -> ResponseReturnValue:
    return page(
        "books/sum.html",
        form=form,
        sum_form=form or _form(listed),
        line=line,
        listed=listed,
        in_words=in_words(line, listed),
        listed_max=LISTED_MAX,
    )
