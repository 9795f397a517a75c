"""The company's dashboard: one year at a time, with what is entered, what it amounts to and what is to be done."""

from datetime import date

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from core import audit, files
from core.clock import today, utc_now
from core.errors import DomainError, InvalidInput
from core.identity import access
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, signed_in
from core.web.pagination import paginate
from pledge import providers, queries
from pledge.forms import AboutForm, DevelopersForm, MemberFileForm, PeriodForm
from pledge.member_file import read
from pledge.member_file.json_text import SIZE_MAX_BYTES
from pledge.models import PledgePayment
from pledge.policies.standing import developers_from
from pledge.services import files as member_files
from pledge.services import membership, periods
from pledge.views.blueprint import bp
from pledge.views.history import told
from pledge.views.shared import editable, may_edit, readable, to_period

PAYMENTS_PER_PAGE = 50


@bp.get("/company")
@signed_in
def companies() -> ResponseReturnValue:
    """The companies whose pledge this person keeps; with one, straight to it."""
    own = access.organisations_with_role(db(), current_person(), Role.PLEDGE_EDITOR, on=today())
    members = [member for one in own if (member := queries.member_of_organisation(db(), one.id)) is not None]
    if len(members) == 1:
        return redirect(url_for(".dashboard", slug=members[0].slug), code=303)
    return render_template("pledge/companies.html", members=members)


@bp.get("/company/<slug>")
@signed_in
def dashboard(slug: str) -> ResponseReturnValue:
    """One company and one of its periods: ?period=2026, else the newest."""
    member = readable(slug)
    pledges = queries.pledges_of(db(), member)
    wanted = request.args.get("period")
    pledge = queries.pledge_by_label(db(), member, wanted) if wanted else (pledges[0] if pledges else None)
    payments = None
    if pledge is not None:
        payments = paginate(
            db(),
            select(PledgePayment).where(PledgePayment.pledge_id == pledge.id, PledgePayment.superseded_at.is_(None)),
            by=[PledgePayment.paid_on, PledgePayment.id],
            cursor=request.args.get("cursor"),
            size=PAYMENTS_PER_PAGE,
        )
    return render_template(
        "pledge/dashboard.html",
        member=member,
        may_edit=may_edit(member),
        pledges=pledges,
        pledge=pledge,
        figures=queries.year_figures(db(), pledge) if pledge else None,
        payments=payments,
        superseded=queries.superseded_payments(db(), pledge) if pledge else [],
        in_kind=queries.in_kind_of(db(), member, pledge.label) if pledge else [],
        online=providers.configured() is not None,
        instalments=queries.instalments_of(db(), pledge) if pledge else [],
        receipts=queries.instalments_with_receipts(db(), pledge) if pledge else set(),
        report=queries.report_of_pledge(db(), pledge) if pledge else None,
        reports=queries.reports_of(db(), member),
        renewal=queries.renewal_of(db(), member, on=today()),
        reminders=queries.open_reminders(db(), member),
        events=told(queries.events_of(db(), pledge, limit=12) if pledge else audit.history(db(), member, limit=12)),
        today=today(),
    )


@bp.route("/company/<slug>/periods/new", methods=["GET", "POST"])
@signed_in
def new_period(slug: str) -> ResponseReturnValue:
    """Enter a period with its developers."""
    member = editable(slug)
    year = today().year
    taken = {pledge.label for pledge in queries.pledges_of(db(), member)}
    while str(year) in taken:
        year -= 1
    form = PeriodForm(data={"label": str(year), "starts_on": date(year, 1, 1), "ends_on": date(year, 12, 31)})
    if form.validate_on_submit():
        try:
            pledge = periods.open_period(
                db(),
                member,
                label=form.label.data,
                starts_on=form.starts_on.data,
                ends_on=form.ends_on.data,
                developers=developers_from(form.developers.data),
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{pledge.label} is open. Enter what was paid.")
            return to_period(pledge)
    return page("pledge/period.html", form=form, member=member)


@bp.route("/company/<slug>/periods/<label>/developers", methods=["GET", "POST"])
@signed_in
def correct_developers(slug: str, label: str) -> ResponseReturnValue:
    """Correct the number of developers of a period."""
    member = editable(slug)
    pledge = queries.pledge_by_label(db(), member, label)
    form = DevelopersForm(data={"developers": f"{pledge.developers.normalize():f}"})
    if form.validate_on_submit():
        try:
            periods.correct_developers(
                db(),
                pledge,
                developers=developers_from(form.developers.data),
                reason=form.reason.data,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The number of developers is corrected.")
            return to_period(pledge)
    return page("pledge/developers.html", form=form, member=member, pledge=pledge)


@bp.route("/company/<slug>/about", methods=["GET", "POST"])
@signed_in
def about(slug: str) -> ResponseReturnValue:
    """What the company says about itself, on its page and in its member file."""
    member = editable(slug)
    form = AboutForm(obj=member)
    if form.validate_on_submit():
        try:
            membership.describe(
                db(),
                member,
                description=form.description.data or "",
                short_description=form.short_description.data or "",
                url=form.url.data,
                jobs_url=form.jobs_url.data,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("Saved.")
            return redirect(url_for(".dashboard", slug=slug), code=303)
    return page("pledge/about.html", form=form, member=member)


@bp.route("/company/<slug>/member-file", methods=["GET", "POST"])
@signed_in
def own_member_file(slug: str) -> ResponseReturnValue:
    """Take the member file out, or read it in."""
    member = editable(slug)
    form = MemberFileForm()
    if form.validate_on_submit():
        upload = form.file.data
        try:
            content = upload.stream.read(SIZE_MAX_BYTES + 1) if upload else b""
            if not content:
                raise InvalidInput("Choose a member file to read.", field="file")
            file = read(content, name=files.clean_name(upload.filename or "file"))
            outcome = member_files.import_own(db(), member, file, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            is_news = outcome is not member_files.Outcome.UNCHANGED
            flash("The member file is read." if is_news else "The file says what is here already; nothing changed.")
            return redirect(url_for(".dashboard", slug=slug), code=303)
    return page("pledge/member_file.html", form=form, member=member, reports=queries.reports_of(db(), member))
