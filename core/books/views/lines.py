"""One line: what it probably is, and what can be done about it."""

from collections.abc import Callable, Sequence
from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core import audit
from core.books import between, bookings, meeting, outgoing, proposals, queries, second_looks, several
from core.books.forms import (
    DeclineForm,
    ExpectedForm,
    FeeForm,
    LinkForm,
    SendBackForm,
    SetAsideForm,
    UnlinkForm,
)
from core.books.matching import Suggestion
from core.books.models import BankLine, Direction, Proposal
from core.books.views import bp
from core.books.views.words import explained
from core.clock import utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.money import Money
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires
from core.web.filters import money
from core.web.forms import Form

FEE_WITH_IT = "Fee, booked with it"


@bp.get("/lines/<uuid:line_id>")
@requires(Role.FINANCE)
def show_line(line_id: UUID) -> ResponseReturnValue:
    """Everything the bank says about it, and the next step."""
    return _show(line_id)


@bp.post("/lines/<uuid:line_id>/confirmation")
@requires(Role.FINANCE)
@fresh_second_factor
def confirm_line(line_id: UUID) -> ResponseReturnValue:
    """It is what was expected."""
    form = ExpectedForm()
    return _do(line_id, form, bookings.confirm, form.expected.data, done="Confirmed, and in the ledger.")


@bp.post("/lines/<uuid:line_id>/evidence")
@requires(Role.FINANCE)
def note_sent(line_id: UUID) -> ResponseReturnValue:
    """It shows that something was sent."""
    form = ExpectedForm()
    return _do(line_id, form, bookings.note_sent, form.expected.data, done="Noted. Somebody else in finance confirms it now.")


@bp.post("/lines/<uuid:line_id>/link")
@requires(Role.FINANCE)
def link_line(line_id: UUID) -> ResponseReturnValue:
    """It is an entry of the ledger."""
    form = _link_form(queries.line(db(), line_id))
    return _do(line_id, form, bookings.link, form.entry.data, done="Linked. Nothing was posted.")


@bp.post("/lines/<uuid:line_id>/unlinking")
@requires(Role.FINANCE)
def unlink_line(line_id: UUID) -> ResponseReturnValue:
    """The link was wrong."""
    form = UnlinkForm()
    done = "The link is taken back; the line waits again."
    return _do(line_id, form, bookings.unlink, reason=form.reason.data, done=done)


@bp.post("/lines/<uuid:line_id>/setting-aside")
@requires(Role.FINANCE)
def set_line_aside(line_id: UUID) -> ResponseReturnValue:
    """Nobody can place it yet."""
    form = SetAsideForm()
    done = "Set aside. It is in the ledger, and nothing of it can be granted until it is assigned."
    return _do(line_id, form, bookings.set_aside, note=form.note.data, expected_key=form.expected.data or None, done=done)


@bp.post("/lines/<uuid:line_id>/fee")
@requires(Role.FINANCE)
def book_fee(line_id: UUID) -> ResponseReturnValue:
    """The bank took it."""
    form = FeeForm()
    return _do(line_id, form, outgoing.book_fee, note=form.note.data, done="Booked as a fee of the bank.")


@bp.post("/lines/<uuid:line_id>/sending-back")
@requires(Role.FINANCE)
def send_back(line_id: UUID) -> ResponseReturnValue:
    """It returned what had been set aside."""
    form = _send_back_form(queries.line(db(), line_id))
    return _do(line_id, form, outgoing.send_back, form.account.data, note=form.note.data, done="Booked as sent back.")


@bp.post("/lines/<uuid:line_id>/bookings/<uuid:proposal_id>/confirmation")
@requires(Role.FINANCE)
@fresh_second_factor
def confirm_booking(line_id: UUID, proposal_id: UUID) -> ResponseReturnValue:
    """As the second person."""
    return _decide(line_id, Form(), lambda: proposals.confirm(db(), proposal_id, actor=current_person(), now=utc_now()),
                   "You confirmed the booking, and it is in the ledger.")  # fmt: skip


@bp.post("/lines/<uuid:line_id>/bookings/<uuid:proposal_id>/rejection")
@requires(Role.FINANCE)
def decline_booking(line_id: UUID, proposal_id: UUID) -> ResponseReturnValue:
    """It is something else, or its author takes it back."""
    form = DeclineForm()
    reason = form.reason.data or ""
    return _decide(
        line_id, form, lambda: proposals.decline(db(), proposal_id, reason=reason, actor=current_person(), now=utc_now()),
        "The booking is off; the line waits again.",
    )  # fmt: skip


def _do(
    line_id: UUID, form: Form, verb: Callable[..., object], *values: object, done: str, **words: object
) -> ResponseReturnValue:
    """Let the visitor do something about a line. What takes a second person is only proposed, and the page says so."""

    def act() -> object:
        return verb(db(), line_id, *values, **words, actor=current_person(), now=utc_now())

    return _decide(line_id, form, act, done)


def _decide(line_id: UUID, form: Form, act: Callable[[], object], done: str) -> ResponseReturnValue:
    if form.validate_on_submit():
        try:
            made = act()
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"Proposed. {made.why_two} Another person confirms it." if isinstance(made, Proposal) else done)
            return redirect(url_for(".show_line", line_id=line_id), code=303)
    return _show(line_id, form)


def _show(line_id: UUID, form: Form | None = None) -> ResponseReturnValue:
    session = db()
    line = queries.line(session, line_id)
    waiting = queries.waiting_proposal(session, line_id)
    is_open = line.match is None and waiting is None
    suggestion = queries.suggestions(session).get(line_id, Suggestion.unknown()) if is_open else None
    mentioned = suggestion.expected if suggestion and suggestion.expected else None
    ours = [each for each in queries.alike(session, line) if each.source == between.NAME] if suggestion else []
    return page(
        "books/line.html",
        form=form,
        line=line,
        explained=explained(suggestion, line, current_person()) if suggestion else None,
        ours=ours,
        why_two=_why_two(line) if is_open and line.direction is Direction.OUT else None,
        waiting=waiting,
        parts=_parts(line, waiting),
        decline_form=form if isinstance(form, DeclineForm) else DeclineForm(formdata=None),
        me=current_person(),
        link_form=form if isinstance(form, LinkForm) else _link_form(line, fresh=True),
        set_aside_form=form if isinstance(form, SetAsideForm) else SetAsideForm(
            formdata=None, data={"expected": mentioned.key if mentioned else ""}),
        fee_form=form if isinstance(form, FeeForm) else FeeForm(formdata=None),
        send_back_form=form if isinstance(form, SendBackForm) else _send_back_form(line, fresh=True),
        unlink_form=form if isinstance(form, UnlinkForm) else UnlinkForm(formdata=None),
        events=audit.history(session, line),
    )  # fmt: skip


def _parts(line: BankLine, waiting: Proposal | None) -> Sequence[tuple[str, str, Money]]:
    """What the line is, or may be, the sum of: name, address and amount of each, and what is left for a fee."""
    if waiting is None or waiting.chosen is None:
        return [
            (FEE_WITH_IT if each.key == meeting.key(line) else each.memo or each.kind, f"/ledger/entries/{each.id}", moved)
            for each, moved in queries.parts_of(db(), line)
        ]
    known = [each for each in several.candidates(db(), line) if each.key in waiting.chosen]
    rows = [(each.who, each.path, each.money) for each in known]
    left = sum((each.money for each in known), Money(0, line.currency)) - line.money
    fee = -left if line.direction is Direction.OUT else left
    return [*rows, (FEE_WITH_IT, "", fee)] if fee.amount_minor > 0 and len(known) == len(waiting.chosen) else rows


def _why_two(line: BankLine) -> str | None:
    return second_looks.why_two(db(), line, actor=current_person(), now=utc_now())


def _link_form(line: BankLine, *, fresh: bool = False) -> LinkForm:
    form = LinkForm(formdata=None) if fresh else LinkForm()
    alike = []
    if line.match is None:
        alike = queries.open_movements(db(), line.account.ledger_code, only=line.money, direction=line.direction)
    form.entry.choices = [(str(each.entry_id), f"{each.on:%-d %b %Y}, {each.who}") for each in alike]
    return form


def _send_back_form(line: BankLine, *, fresh: bool = False) -> SendBackForm:
    form = SendBackForm(formdata=None) if fresh else SendBackForm()
    enough = []
    if line.match is None and line.direction is Direction.OUT:
        enough = [each for each in queries.set_aside(db(), line.currency) if each.money >= line.money]
    form.account.choices = [(each.code, f"{each.code.rpartition(':')[2]}, {money(each.money)}") for each in enough]
    return form
