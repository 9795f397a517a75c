"""Our bank accounts, and what the columns of their CSV files mean."""

from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core.books import statements
from core.books.bank_csv import Columns
from core.books.forms import AccountForm, ColumnsForm
from core.books.models import BankAccount
from core.books.views import bp
from core.clock import utc_now
from core.errors import DomainError, NotFound
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, requires


@bp.route("/accounts", methods=["GET", "POST"])
@requires(Role.FINANCE)
def list_accounts() -> ResponseReturnValue:
    """The accounts, and a form for another one."""
    form = AccountForm()
    if form.validate_on_submit():
        try:
            made = statements.add_account(
                db(), name=form.name.data, number=form.number.data, currency=form.currency.data, actor=current_person(),
                now=utc_now(),
            )  # fmt: skip
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{made.name} is entered. Its CAMT statements can be read; for CSV files, say what their columns mean.")
            return redirect(url_for(".list_accounts"), code=303)
    return page("books/accounts.html", form=form, accounts=statements.accounts(db()))


@bp.route("/accounts/<uuid:account_id>/columns", methods=["GET", "POST"])
@requires(Role.FINANCE)
def map_columns(account_id: UUID) -> ResponseReturnValue:
    """Which column of this account's CSV files says what."""
    account = db().get(BankAccount, account_id)
    if account is None:
        raise NotFound("There is no such bank account. Bank accounts lists ours.")
    form = ColumnsForm(data=account.csv_columns or {})
    if form.validate_on_submit():
        try:
            statements.map_columns(db(), account_id, Columns.checked(form.data), actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"Noted. CSV files of {account.name} can be read now.")
            return redirect(url_for(".index"), code=303)
    return page("books/columns.html", form=form, account=account)
