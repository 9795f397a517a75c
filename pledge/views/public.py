"""What everybody sees: leaderboard, company pages, annual reports, badges, member files."""

import enum
from typing import TypeVar

from flask import Response, abort, render_template, request
from flask.typing import ResponseReturnValue

from core import audit
from core.clock import today
from core.web import db
from pledge import queries
from pledge.badge import Face, Shape, Tone, badge
from pledge.member_file import Form
from pledge.models import AnnualReport, PledgeMember
from pledge.policies.standing import Standing
from pledge.policies.totals import Order
from pledge.public import Population, figures, leaderboard
from pledge.services import files
from pledge.views.blueprint import bp, whole_money
from pledge.views.history import told

ORDERS = {
    Order.DEVELOPERS_DOWN: "Most developers first",
    Order.DEVELOPERS_UP: "Fewest developers first",
    Order.JOINED_NEW: "Newest members first",
    Order.JOINED_OLD: "Oldest members first",
}
POPULATIONS = {
    Population.ACTIVE: "Active members",
    Population.FORMER: "Former members",
    Population.ALL: "All members",
}
PAYMENTS_ON_REPORT = 1000
PUBLIC_EVENTS = {
    f"membership.{word}"
    for word in (
        "applied",
        "checked",
        "activated",
        "due_soon",
        "overdue",
        "lapsed",
        "reinstated",
        "exception_granted",
        "withdrawn",
    )
}
"""What the public sees of a membership's history: where it stood, not what was mailed about it."""

Word = TypeVar("Word", bound=enum.StrEnum)


@bp.get("/pledges")
def index() -> ResponseReturnValue:
    """The leaderboard and the totals, each with its population."""
    order = _choice(Order.DEVELOPERS_DOWN, "order")
    population = _choice(Population.ACTIVE, "members")
    found = figures(db(), on=today())
    return render_template(
        "pledge/index.html",
        totals=found.totals,
        entries=leaderboard(found, order=order, population=population),
        order=order,
        orders=ORDERS,
        population=population,
        populations=POPULATIONS,
        minimums=queries.minimums(db()),
        figures_on=max((e.member.figures_on for e in found.entries if e.member.figures_on), default=None),
    )


@bp.get("/pledges/<slug>")
def show(slug: str) -> ResponseReturnValue:
    """A company's public page."""
    member = queries.member_by_slug(db(), slug)
    return render_template(
        "pledge/show.html",
        member=member,
        reports=[(report, standing_of(report)) for report in queries.reports_of(db(), member)],
        renewal=queries.renewal_of(db(), member, on=today()),
        events=told(event for event in audit.history(db(), member) if event.verb in PUBLIC_EVENTS),
        shapes=list(Shape),
        tones=list(Tone),
    )


@bp.get("/pledges/<slug>/reports/<year>")
def report(slug: str, year: str) -> ResponseReturnValue:
    """An annual report, to read and to print: what was declared, what was itemised, and the difference."""
    member = queries.member_by_slug(db(), slug)
    first, *others = queries.reports_of_year(db(), member, year)
    if first.superseded_at is not None:
        abort(404, f"The report {year} of {member.name} does not stand any more: {first.superseded_reason}")
    payments = queries.payments_of(db(), first.pledge, limit=PAYMENTS_ON_REPORT + 1) if first.pledge else []
    return render_template(
        "pledge/report.html",
        member=member,
        report=first,
        others=others,
        standing=standing_of(first),
        payments=payments[:PAYMENTS_ON_REPORT],
        more_payments=len(payments) > PAYMENTS_ON_REPORT,
        figures=queries.year_figures(db(), first.pledge) if first.pledge else None,
        in_kind=queries.in_kind_of(db(), member, year),
    )


@bp.get("/pledges/<slug>/badge.svg")
def badge_svg(slug: str) -> ResponseReturnValue:
    """The company's badge: ?shape=horizontal|vertical|social&tone=colour|mono."""
    member = queries.member_by_slug(db(), slug)
    drawing = badge(face_of(member), _choice(Shape.HORIZONTAL, "shape"), _choice(Tone.COLOUR, "tone"))
    answer = Response(drawing, mimetype="image/svg+xml")
    answer.cache_control.public, answer.cache_control.max_age = True, 3600
    # Badges stand on other people's pages; nothing else of this site may.
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer


@bp.get("/pledges/<slug>/member.json")
def member_file(slug: str) -> ResponseReturnValue:
    """The company's member file: ?form=present|past."""
    member = queries.member_by_slug(db(), slug)
    answer = Response(files.export(db(), member, form=_choice(Form.PRESENT, "form")), mimetype="application/json")
    answer.headers["Content-Disposition"] = f'inline; filename="{member.member_id}.json"'
    return answer


def standing_of(row: AnnualReport) -> Standing:
    """What a published report amounts to: the declared sum against the minimum it was measured by."""
    return Standing(row.developers, row.minimum, row.declared)


def face_of(member: PledgeMember) -> Face:
    """What the badge of a member says."""
    reports = queries.reports_of(db(), member)
    if not reports:
        return Face(member.name, "Applicant", "", "")
    rounded = standing_of(reports[0]).per_developer_rounded
    figure = f"{whole_money(rounded)} per developer" if rounded is not None else "no developers on staff"
    return Face(member.name, "Member" if member.listed else "Former member", figure, reports[0].year)


def _choice(default: Word, name: str) -> Word:
    """A word of the address; one that is not known is refused by the page's own list of words."""
    given = request.args.get(name, str(default))
    kind = type(default)
    if given not in set(kind):
        abort(404, f"There is no {name} “{given[:40]}”; there are {', '.join(kind)}.")
    return kind(given)
