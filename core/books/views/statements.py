"""Reading statements in, and looking at them."""

from uuid import UUID

from flask import Response, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage

from core import files
from core.books import proposals, queries, statements
from core.books.forms import ImportForm
from core.books.matching import Suggestion
from core.books.models import BankLine, BankStatement
from core.books.views import bp
from core.books.views.words import explained
from core.books.xml import SIZE_MAX_BYTES
from core.clock import utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, requires
from core.web.forms import choices
from core.web.pagination import paginate

LINES_SHOWN, STATEMENTS_SHOWN = 200, 25


@bp.get("")
@requires(Role.FINANCE)
def index() -> ResponseReturnValue:
    """What waits, what it probably is, and the statements it came with."""
    return _index(_import_form())


@bp.post("/statements")
@requires(Role.FINANCE)
def create_statement() -> ResponseReturnValue:
    """Read a file in: all of it, or nothing."""
    form = _import_form()
    if form.validate_on_submit():
        upload: FileStorage = form.file.data
        try:
            taken = statements.take(
                db(),
                upload.stream.read(SIZE_MAX_BYTES + 1),
                name=upload.filename or "statement",
                account_id=UUID(form.account.data) if form.account.data else None,
                are_others=form.are_others.data,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            for each in taken:
                flash(in_words(each), "success" if each.new else "info")
            return redirect(url_for(".index"), code=303)
    return _index(form)


@bp.get("/statements/<uuid:statement_id>")
@requires(Role.FINANCE)
def show_statement(statement_id: UUID) -> ResponseReturnValue:
    """One statement with its lines."""
    found = queries.statement(db(), statement_id)
    lines = queries.lines_in(statement_id)
    by = [BankLine.position, BankLine.id]
    shown = paginate(db(), lines, by=by, descending=False, cursor=request.args.get("cursor"), size=LINES_SHOWN)
    return page(
        "books/statement.html",
        statement=found,
        shown=shown,
        count=queries.open_by_statement(db(), [found.id]).get(found.id, (0, 0)),
        gap=queries.gap_before(db(), found),
    )


@bp.get("/statements/<uuid:statement_id>/file")
@requires(Role.FINANCE)
def download_statement(statement_id: UUID) -> ResponseReturnValue:
    """The file as it came, to keep; never to be run by a browser."""
    stored = queries.statement(db(), statement_id).file
    headers = {"Content-Disposition": files.as_download(stored.name), "X-Content-Type-Options": "nosniff"}
    return Response(files.read(stored), mimetype="application/octet-stream", headers=headers)


def in_words(taken: statements.Taken) -> str:
    """What became of one statement of a file."""
    parts = [f"{taken.new} new {'line' if taken.new == 1 else 'lines'}" if taken.new else "nothing new"]
    if taken.known:
        parts.append(f"{taken.known} known before")
    if taken.not_booked:
        parts.append(f"{taken.not_booked} not booked yet and left out")
    return f"{taken.name} of {taken.account.name}: {', '.join(parts)}."


def _import_form() -> ImportForm:
    form = ImportForm()
    mapped = [each for each in statements.accounts(db()) if each.csv_columns]
    form.account.choices = choices(mapped, label=lambda each: f"{each.name}, {each.currency}", empty="The file says it (CAMT)")
    return form


def _index(form: ImportForm) -> ResponseReturnValue:
    session = db()
    suggestions = queries.suggestions(session)
    lines = queries.open_lines(session)[:LINES_SHOWN]
    cursor = request.args.get("cursor")
    shown = paginate(session, queries.statements(), by=[BankStatement.id], cursor=cursor, size=STATEMENTS_SHOWN)
    return page(
        "books/index.html",
        form=form,
        lines=[(line, explained(suggestions.get(line.id, Suggestion.unknown()), line, current_person())) for line in lines],
        count_open=queries.count_open(session),
        waiting=proposals.waiting(session),
        me=current_person(),
        set_aside=queries.set_aside(session),
        shown=shown,
        counts=queries.open_by_statement(session, [each.id for each in shown.items]),
        has_accounts=bool(statements.accounts(session)),
    )
