"""Joining, being looked at, getting more time, leaving."""

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from core.clock import today, utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, requires, signed_in
from pledge import queries
from pledge.forms import ExceptionForm, JoinForm, ReasonForm
from pledge.models import MembershipStatus, PledgeMember
from pledge.services import membership
from pledge.views.blueprint import bp
from pledge.views.shared import editable


@bp.route("/pledges/join", methods=["GET", "POST"])
@signed_in
def join() -> ResponseReturnValue:
    """A company asks to join."""
    form = JoinForm()
    if form.validate_on_submit():
        try:
            member = membership.apply(db(), name=form.name.data, url=form.url.data, applicant=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("Welcome. Enter your figures now; a programme officer looks at the application before you publish.")
            return redirect(url_for(".dashboard", slug=member.slug), code=303)
    return page("pledge/join.html", form=form, minimums=queries.minimums(db()))


@bp.get("/pledges/applications")
@requires(Role.PROGRAMME_OFFICER)
def applications() -> ResponseReturnValue:
    """Companies that asked to join, those whose first report is missing, and those that are late."""
    late = queries.members_by_status(db(), PledgeMember.status.in_([MembershipStatus.OVERDUE, MembershipStatus.DUE_SOON]))
    return render_template(
        "pledge/applications.html",
        applied=queries.members_by_status(db(), PledgeMember.status == MembershipStatus.APPLIED),
        checked=queries.members_by_status(db(), PledgeMember.status == MembershipStatus.CHECKED),
        late=sorted(late, key=lambda member: (member.due_on or today(), member.name)),
    )


@bp.route("/pledges/<slug>/check", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def check(slug: str) -> ResponseReturnValue:
    """Accept an application."""
    member = queries.member_by_slug(db(), slug)
    form = ReasonForm()
    if form.validate_on_submit():
        try:
            membership.check(db(), member, reason=form.why.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{member.name} is accepted; its first report makes it a member.")
            return redirect(url_for(".applications"), code=303)
    return page("pledge/check.html", form=form, member=member)


@bp.route("/pledges/<slug>/exception", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def grant_exception(slug: str) -> ResponseReturnValue:
    """Give a member more time; the reason is public."""
    member = queries.member_by_slug(db(), slug)
    form = ExceptionForm()
    if form.validate_on_submit():
        try:
            membership.grant_exception(
                db(),
                member,
                until_on=form.until_on.data,
                reason=form.reason.data,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{member.name} has time until {form.until_on.data}.")
            return redirect(url_for(".show", slug=slug), code=303)
    renewal = queries.renewal_of(db(), member, on=today())
    return page("pledge/exception.html", form=form, member=member, renewal=renewal)


@bp.route("/company/<slug>/withdrawal", methods=["GET", "POST"])
@signed_in
def withdraw(slug: str) -> ResponseReturnValue:
    """Leave the pledge."""
    member = editable(slug)
    form = ReasonForm()
    if form.validate_on_submit():
        try:
            membership.withdraw(db(), member, reason=form.why.data, actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{member.name} has left the pledge. Everything it published stays.")
            return redirect(url_for(".dashboard", slug=slug), code=303)
    return page("pledge/withdraw.html", form=form, member=member)


@bp.post("/company/<slug>/application")
@signed_in
def apply_again(slug: str) -> ResponseReturnValue:
    """Ask to come back."""
    membership.apply_again(db(), editable(slug), actor=current_person(), now=utc_now())
    flash("A programme officer looks at the application.")
    return redirect(url_for(".dashboard", slug=slug), code=303)


@bp.post("/company/<slug>/reminders/dismissal")
@signed_in
def dismiss_reminders(slug: str) -> ResponseReturnValue:
    """Set the notices aside."""
    membership.dismiss_reminders(db(), editable(slug), actor=current_person(), now=utc_now())
    return redirect(url_for(".dashboard", slug=slug), code=303)
