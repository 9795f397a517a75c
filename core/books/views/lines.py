"""One line: what it probably is, and what can be done about it."""

from collections.abc import Callable
from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core import audit
from core.books import between, bookings, queries
from core.books.forms import AssignForm, ExpectedForm, FeeForm, LinkForm, SendBackForm, SetAsideForm, UnlinkForm
from core.books.matching import Suggestion
from core.books.models import BankLine, Direction
from core.books.views import bp
from core.books.views.words import explained
from core.clock import utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, requires
from core.web.filters import money
from core.web.forms import Form


@bp.get("/lines/<uuid:line_id>")
@requires(Role.FINANCE)
def show_line(line_id: UUID) -> ResponseReturnValue:
    """Everything the bank says about it, and the next step."""
    return _show(line_id)


@bp.post("/lines/<uuid:line_id>/confirmation")
@requires(Role.FINANCE)
def confirm_line(line_id: UUID) -> ResponseReturnValue:
    """It is what was expected."""
    form = ExpectedForm()
    return _do(
        line_id, form, lambda: bookings.confirm(db(), line_id, form.expected.data, actor=current_person(), now=utc_now()),
        "Confirmed, and in the ledger.",
    )  # fmt: skip


@bp.post("/lines/<uuid:line_id>/evidence")
@requires(Role.FINANCE)
def note_sent(line_id: UUID) -> ResponseReturnValue:
    """It shows that something was sent."""
    form = ExpectedForm()
    return _do(
        line_id, form, lambda: bookings.note_sent(db(), line_id, form.expected.data, actor=current_person(), now=utc_now()),
        "Noted. Somebody else in finance confirms it now.",
    )  # fmt: skip


@bp.post("/lines/<uuid:line_id>/link")
@requires(Role.FINANCE)
def link_line(line_id: UUID) -> ResponseReturnValue:
    """It is an entry of the ledger."""
    form = _link_form(queries.line(db(), line_id))
    return _do(
        line_id, form, lambda: bookings.link(db(), line_id, UUID(form.entry.data), actor=current_person(), now=utc_now()),
        "Linked. Nothing was posted.",
    )  # fmt: skip


@bp.post("/lines/<uuid:line_id>/unlinking")
@requires(Role.FINANCE)
def unlink_line(line_id: UUID) -> ResponseReturnValue:
    """The link was wrong."""
    form = UnlinkForm()
    return _do(
        line_id, form, lambda: bookings.unlink(db(), line_id, reason=form.reason.data, actor=current_person(), now=utc_now()),
        "The link is taken back; the line waits again.",
    )  # fmt: skip


@bp.post("/lines/<uuid:line_id>/setting-aside")
@requires(Role.FINANCE)
def set_line_aside(line_id: UUID) -> ResponseReturnValue:
    """Nobody can place it yet."""
    form = SetAsideForm()

    def act() -> object:
        return bookings.set_aside(
            db(), line_id, note=form.note.data, expected_key=form.expected.data or None, actor=current_person(), now=utc_now()
        )

    return _do(line_id, form, act, "Set aside. It is in the ledger, and nothing of it can be granted until it is assigned.")


@bp.post("/lines/<uuid:line_id>/fee")
@requires(Role.FINANCE)
def book_fee(line_id: UUID) -> ResponseReturnValue:
    """The bank took it."""
    form = FeeForm()
    return _do(
        line_id, form, lambda: bookings.book_fee(db(), line_id, note=form.note.data, actor=current_person(), now=utc_now()),
        "Booked as a fee of the bank.",
    )  # fmt: skip


@bp.post("/lines/<uuid:line_id>/sending-back")
@requires(Role.FINANCE)
def send_back(line_id: UUID) -> ResponseReturnValue:
    """It returned what had been set aside."""
    form = _send_back_form(queries.line(db(), line_id))

    def act() -> object:
        return bookings.send_back(db(), line_id, form.account.data, note=form.note.data, actor=current_person(), now=utc_now())

    return _do(line_id, form, act, "Booked as sent back.")


@bp.get("/set-aside")
@requires(Role.FINANCE)
def list_set_aside() -> ResponseReturnValue:
    """Money that came in and is not assigned."""
    return _set_aside(None)


@bp.post("/set-aside")
@requires(Role.FINANCE)
def assign() -> ResponseReturnValue:
    """What set-aside money is for."""
    form = _assign_form(None)
    if form.validate_on_submit():
        try:
            each = bookings.assign(db(), form.code.data, form.expected.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{money(each.money)} of {each.who} are assigned to {each.reference} and in the ledger.")
            return redirect(url_for(".list_set_aside"), code=303)
    return _set_aside(form)


def _do(line_id: UUID, form: Form, act: Callable[[], object], done: str) -> ResponseReturnValue:
    if form.validate_on_submit():
        try:
            act()
        except DomainError as error:
            refused(form, error)
        else:
            flash(done)
            return redirect(url_for(".show_line", line_id=line_id), code=303)
    return _show(line_id, form)


def _show(line_id: UUID, form: Form | None = None) -> ResponseReturnValue:
    session = db()
    line = queries.line(session, line_id)
    suggestion = queries.suggestions(session).get(line_id, Suggestion.unknown()) if line.entry_id is None else None
    mentioned = suggestion.expected if suggestion and suggestion.expected else None
    ours = [each for each in queries.alike(session, line) if each.source == between.NAME] if suggestion else []
    return page(
        "books/line.html",
        form=form,
        line=line,
        explained=explained(suggestion, line, current_person()) if suggestion else None,
        ours=ours,
        link_form=form if isinstance(form, LinkForm) else _link_form(line, fresh=True),
        set_aside_form=form if isinstance(form, SetAsideForm) else SetAsideForm(
            formdata=None, data={"expected": mentioned.key if mentioned else ""}),
        fee_form=form if isinstance(form, FeeForm) else FeeForm(formdata=None),
        send_back_form=form if isinstance(form, SendBackForm) else _send_back_form(line, fresh=True),
        unlink_form=form if isinstance(form, UnlinkForm) else UnlinkForm(formdata=None),
        events=audit.history(session, line),
    )  # fmt: skip


def _link_form(line: BankLine, *, fresh: bool = False) -> LinkForm:
    form = LinkForm(formdata=None) if fresh else LinkForm()
    alike = []
    if line.entry_id is None:
        alike = queries.open_movements(db(), line.account.ledger_code, only=line.money, direction=line.direction)
    form.entry.choices = [(str(each.entry_id), f"{each.on:%-d %b %Y}, {each.who}") for each in alike]
    return form


def _send_back_form(line: BankLine, *, fresh: bool = False) -> SendBackForm:
    form = SendBackForm(formdata=None) if fresh else SendBackForm()
    enough = []
    if line.entry_id is None and line.direction is Direction.OUT:
        enough = [each for each in queries.set_aside(db(), line.currency) if each.money >= line.money]
    form.account.choices = [(each.code, f"{each.code.rpartition(':')[2]}, {money(each.money)}") for each in enough]
    return form


def _assign_form(only: queries.SetAside | None) -> AssignForm:
    form = AssignForm(formdata=None, data={"code": only.code}) if only else AssignForm()
    form.expected.choices = [
        (each.key, f"{each.who}, {each.reference}, {money(each.money)}")
        for each in queries.expected(db())
        if each.direction is Direction.IN
        and (only is None or (each.money.currency == only.money.currency and each.money <= only.money))
    ]
    return form


def _set_aside(form: AssignForm | None) -> ResponseReturnValue:
    aside = queries.set_aside(db())
    return page(
        "books/set_aside.html",
        form=form,
        rows=[(each, queries.lines_on(db(), each.code), _assign_form(each)) for each in aside],
    )
