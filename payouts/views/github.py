"""Files for GitHub Sponsors, and what became of the payments in them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage

from core import files
from core.clock import utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires
from payouts import queries, rails
from payouts.forms import BankFileForm, SponsorFindingForm
from payouts.models import Outcome
from payouts.rails.base import RailError, UnreferencedRail
from payouts.rails.github_sponsors import GitHubSponsorsRail, month_after, month_of
from payouts.services import bank_files, sponsor_files, sponsor_months
from payouts.services.claims import RailMissing
from payouts.views import CONSOLE, bp


@bp.get("/github")
@requires(*CONSOLE)
def list_sponsor_files() -> ResponseReturnValue:
    """What waits for a file, and which files there are."""
    return _list(BankFileForm(formdata=None))


@bp.post("/github/files")
@requires(Role.FINANCE)
def create_sponsor_file() -> ResponseReturnValue:
    """Put what waits into a file."""
    form = BankFileForm()
    if form.validate_on_submit():
        try:
            made = bank_files.export(db(), currency="USD", actor=current_person(), now=utc_now(), rail=GitHubSponsorsRail.name)
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"File {made.number} is made. Upload it at GitHub once; its payments count as on their way.")
            return redirect(url_for(".show_sponsor_file", file_id=made.id), code=303)
    return _list(form)


@bp.get("/github/files/<uuid:file_id>")
@requires(*CONSOLE)
def show_sponsor_file(file_id: UUID) -> ResponseReturnValue:
    """One file: what to do with it, and what is known of each payment."""
    return _file(file_id, _finding_form(file_id, SponsorFindingForm.empty))


@bp.post("/github/files/<uuid:file_id>/comparison")
@requires(*CONSOLE)
def compare_sponsor_file(file_id: UUID) -> ResponseReturnValue:
    """Read GitHub's totals, and take what they leave no doubt about."""
    rail = rails.github()
    if rail is None:
        raise RailMissing("GitHub Sponsors is not set up here; two people can still say what became of the payments.")
    since = queries.sponsor_file(db(), file_id).created_at
    logins = list(sponsor_files.open_logins(db(), file_id))
    db().commit()  # no transaction is open while GitHub thinks
    try:
        seen = rail.seen(logins, since=since)
    except RailError as error:
        flash(f"{error} Nothing was changed.", "warning")
    else:
        counts = sponsor_files.take(db(), file_id, seen, actor=current_person(), now=utc_now())
        flash(f"Compared with GitHub: {counts['paid']} newly paid, {counts['open']} not certain.")
    return redirect(url_for(".show_sponsor_file", file_id=file_id), code=303)


@bp.post("/github/files/<uuid:file_id>/finding")
@requires(*CONSOLE)
def create_sponsor_finding(file_id: UUID) -> ResponseReturnValue:
    """Propose what became of some of its payments, with one piece of evidence."""
    form = _finding_form(file_id, SponsorFindingForm)
    if form.validate_on_submit():
        upload: FileStorage = form.evidence.data
        name, me = upload.filename or "evidence", current_person()
        try:
            made = sponsor_files.propose(
                db(),
                file_id,
                [UUID(each) for each in form.lines.data or []],
                outcome=Outcome(form.outcome.data),
                receipt=form.receipt.data or "",
                evidence=files.store(db(), upload.stream, name=name, uploaded_by_id=me.id, now=utc_now()),
                note=form.note.data,
                actor=me,
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"Your finding about {len(made)} payments is kept. Nothing moves until another person confirms it.")
            return redirect(url_for(".show_sponsor_file", file_id=file_id), code=303)
    return _file(file_id, form)


@bp.post("/github/files/<uuid:file_id>/confirmation")
@requires(*CONSOLE)
@fresh_second_factor
def confirm_sponsor_findings(file_id: UUID) -> ResponseReturnValue:
    """Make the findings of another person so."""
    count = sponsor_files.confirm(db(), file_id, actor=current_person(), now=utc_now())
    flash(f"You confirmed what became of {count} {'payment' if count == 1 else 'payments'}.")
    return redirect(url_for(".show_sponsor_file", file_id=file_id), code=303)


@bp.get("/github/maintainers")
@requires(*CONSOLE)
def show_sponsored() -> ResponseReturnValue:
    """What the ledger says each maintainer was paid in a month."""
    return _months(_month(request.args.get("month", "")), None)


@bp.post("/github/maintainers")
@requires(*CONSOLE)
def compare_sponsored() -> ResponseReturnValue:
    """The same beside what GitHub says."""
    rail, month = rails.github(), _month(request.form.get("month", ""))
    if rail is None:
        raise RailMissing("GitHub Sponsors is not set up here, so it can't be asked; Payouts → Rails says what is missing.")
    known = list(sponsor_months.ours(db(), month))
    db().commit()  # no transaction is open while GitHub thinks
    try:
        found = sponsor_months.theirs(rail, month, besides=known)
    except RailError as error:
        flash(f"{error} Nothing was compared.", "warning")
        return redirect(url_for(".show_sponsored", month=f"{month:%Y-%m}"), code=303)
    return _months(month, found)


def _month(text: str) -> datetime:
    """`2026-11`; this month if it is none."""
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        return month_of(utc_now())


def _months(month: datetime, found: Mapping[str, sponsor_months.Theirs] | None) -> ResponseReturnValue:
    rows = sponsor_months.rows(sponsor_months.ours(db(), month), found)
    before, this = month_of(month - timedelta(days=1)), month_of(utc_now())
    return page(
        "payouts/github_maintainers.html",
        month=month,
        before=before,
        after=month_after(month) if month < this else None,
        rows=rows,
        asked=found is not None,
        differing=sum(row.verdict == "differs" for row in rows),
        configured=rails.github() is not None,
    )


def _list(form: BankFileForm) -> ResponseReturnValue:
    name = GitHubSponsorsRail.name
    return page(
        "payouts/github.html",
        form=form,
        waiting=queries.waiting_for_file(db(), name),
        held_back=queries.left_out_of_files(db(), name),
        sponsor_files=queries.bank_files(db(), name),
        open_files={each.id for each in sponsor_files.open_files(db())},
        configured=rails.github() is not None,
        by_api=isinstance(rails.github(), UnreferencedRail),
    )


def _file(file_id: UUID, form: SponsorFindingForm) -> ResponseReturnValue:
    rail, me = rails.github(), current_person()
    lines = queries.lines_of_file(db(), file_id)
    proposals = [line.proposal for line in lines if line.proposal is not None]
    return page(
        "payouts/github_file.html",
        form=form,
        made=queries.sponsor_file(db(), file_id),
        lines=lines,
        still_open=[line for line in lines if line.state in sponsor_files.OPEN],
        proposals=proposals,
        confirmable=[each for each in proposals if each.proposed_by_id != me.id],
        sponsor=rail.sponsor if rail else None,
    )


def _finding_form(file_id: UUID, make: Callable[[], SponsorFindingForm]) -> SponsorFindingForm:
    lines = queries.lines_of_file(db(), file_id)
    return make().offer([line for line in lines if line.state in sponsor_files.OPEN and line.proposal is None])
