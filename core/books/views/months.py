"""Closing months, and opening them again."""

from datetime import timedelta
from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core.books import feeds, months, readings, reconciliation
from core.books.forms import CloseForm, ReopenForm
from core.books.views import bp
from core.clock import today, utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires
from core.web.forms import Form


@bp.get("/months")
@requires(Role.FINANCE)
def list_months() -> ResponseReturnValue:
    """What is closed, and what stands in the way of the next."""
    return _show(None)


@bp.post("/months")
@requires(Role.FINANCE)
@fresh_second_factor
def close_month() -> ResponseReturnValue:
    """Close a month and everything before it."""
    form = CloseForm()
    if form.validate_on_submit():
        try:
            made = months.close(db(), months.first_of(form.month.data), actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{made.month:%B %Y} is closed. Nothing is posted into it or before it any more.")
            return redirect(url_for(".list_months"), code=303)
    return _show(form)


@bp.post("/months/<uuid:month_id>/reopening")
@requires(Role.FINANCE)
def ask_reopening(month_id: UUID) -> ResponseReturnValue:
    """Ask for the last closed month to be opened again."""
    form = ReopenForm()
    if form.validate_on_submit():
        try:
            months.ask_reopening(db(), month_id, reason=form.reason.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("Asked. Another person of finance opens it.")
            return redirect(url_for(".list_months"), code=303)
    return _show(form)


@bp.post("/months/<uuid:month_id>/opening")
@requires(Role.FINANCE)
@fresh_second_factor
def reopen_month(month_id: UUID) -> ResponseReturnValue:
    """Open it, as the second person."""
    found = months.reopen(db(), month_id, actor=current_person(), now=utc_now())
    flash(f"{found.month:%B %Y} is open again. Close it when it is corrected.", "warning")
    return redirect(url_for(".list_months"), code=303)


def _show(form: Form | None) -> ResponseReturnValue:
    session, day = db(), today()
    following = months.next_to_close(session, on=day)
    in_the_way, unread = [], []
    if following is not None:
        unread = list(readings.unread(session, since=months.last_day(following) + timedelta(days=1)))
        items = reconciliation.differences(session, until=months.last_day(following))
        in_the_way = [each for each in items if not each.is_explained]
    return page(
        "books/months.html",
        form=form,
        close_form=form if isinstance(form, CloseForm) else CloseForm(
            formdata=None, data={"month": f"{following:%Y-%m}" if following else ""}),
        reopen_form=form if isinstance(form, ReopenForm) else ReopenForm(formdata=None),
        following=following,
        in_the_way=in_the_way,
        unread=unread,
        odd=months.rests_among(session, in_the_way),
        feed_title=feeds.title_of,
        last=months.last_closed(session),
        closed=months.all_closed(session),
        me=current_person(),
    )  # fmt: skip
