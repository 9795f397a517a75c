"""Files for the bank and its answers."""

from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage

from core import files
from core.clock import utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, requires
from payouts import queries
from payouts.forms import AnswersForm, BankFileForm
from payouts.rails.bank_file import ANSWER_COLUMNS
from payouts.services import bank_files
from payouts.views import CONSOLE, bp
from payouts.views.desk import attachment

COUNT_WORDS = {
    "paid": "paid",
    "known": "known before",
    "rejected_proposed": "rejected, waiting for a second person",
    "returned_proposed": "returned, waiting for a second person",
    "contradicts_proposal": "contradicting a finding that waits",
    "alarm": "alarms",
    "not_ours": "not ours",
}


@bp.get("/bank")
@requires(*CONSOLE)
def list_bank_files() -> ResponseReturnValue:
    """What waits for a file, which files there are, what the bank answered."""
    return _bank(AnswersForm())


@bp.post("/bank/files")
@requires(Role.FINANCE)
def create_bank_file() -> ResponseReturnValue:
    """Put what waits into a file."""
    form = BankFileForm()
    if form.validate_on_submit():
        try:
            made = bank_files.export(db(), currency=form.currency.data or "", actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"Bank file {made.number} is made. Download it and hand it to the bank; its payments count as on their way.")
            return redirect(url_for(".list_bank_files"), code=303)
    return _bank(form)


@bp.get("/bank/files/<uuid:file_id>.csv")
@requires(*CONSOLE)
def download_bank_file(file_id: UUID) -> ResponseReturnValue:
    """The same bytes every time."""
    return attachment(queries.bank_file(db(), file_id).file)


@bp.post("/bank/answers")
@requires(Role.FINANCE)
def import_bank_answers() -> ResponseReturnValue:
    """Take the bank's answers: all lines, or none."""
    form = AnswersForm()
    if form.validate_on_submit():
        upload: FileStorage = form.answers.data
        name, me = upload.filename or "answers.csv", current_person()
        try:
            stored = files.store(db(), upload.stream, name=name, uploaded_by_id=me.id, now=utc_now())
            db().flush()
            made = bank_files.import_answers(db(), stored, actor=me, now=utc_now())
        except DomainError as error:
            if getattr(error, "field", None) == "file":
                error.field = "answers"  # type: ignore[attr-defined]
            refused(form, error)
        else:
            counted = ", ".join(f"{count} {COUNT_WORDS[word]}" for word, count in made.counts.items())
            flash(f"The answers are taken: {counted}.")
            return redirect(url_for(".list_bank_files"), code=303)
    return _bank(form)


def _bank(form: AnswersForm | BankFileForm) -> ResponseReturnValue:
    return page(
        "payouts/bank.html",
        form=form,
        answers_form=form if isinstance(form, AnswersForm) else AnswersForm(formdata=None),
        waiting=queries.waiting_for_file(db()),
        held_back=queries.left_out_of_files(db()),
        bank_files=queries.bank_files(db()),
        imports=queries.bank_imports(db()),
        words=COUNT_WORDS,
        columns=", ".join(ANSWER_COLUMNS),
    )
