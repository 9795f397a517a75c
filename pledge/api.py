"""The JSON face of `pledge`, under /api/v1: public figures, without a token."""

from apiflask import APIBlueprint
from flask import url_for
from sqlalchemy import select

from core.clock import today
from core.errors import NotFound
from core.web import db
from core.web.api import Paging
from core.web.pagination import paginate
from pledge import queries
from pledge.models import MembershipStatus, PledgeMember
from pledge.public import figures, totals_json
from pledge.schemas import MemberOut, PledgeOut, PledgesOut, pledge_out

bp = APIBlueprint("pledge_api", __name__, url_prefix="/api/v1", tag="Pledges")


@bp.get("/pledges")
@bp.input(Paging, location="query")
@bp.output(PledgesOut)
def pledges(query_data: Paging) -> PledgesOut:
    """The members of the pledge by id, and the totals over all of them.

    Each total names its population. Applications are not listed.
    """
    page = paginate(
        db(),
        select(PledgeMember).where(PledgeMember.status.not_in([MembershipStatus.APPLIED, MembershipStatus.CHECKED])),
        by=[PledgeMember.member_id],
        descending=False,
        cursor=query_data.cursor,
        size=query_data.limit,
    )
    latest = queries.latest_report_of(db(), page.items)
    return PledgesOut(
        totals=totals_json(figures(db(), on=today())),
        items=[MemberOut.of(member, latest.get(member.id)) for member in page.items],
        next_cursor=page.next_cursor,
    )


@bp.get("/organisations/<slug>/pledge")
@bp.output(PledgeOut)
def organisation_pledge(slug: str) -> PledgeOut:
    """The pledge of an organisation with every report that stands."""
    member = queries.member_by_slug(db(), slug)
    if member.status is MembershipStatus.APPLIED:
        raise NotFound(f"“{slug}” has applied and is not a member yet.")
    reports = list(queries.reports_of(db(), member))
    return pledge_out(member, reports, member_file=url_for("pledge.member_file", slug=slug))
