"""The JSON face of `pledge`, under /api/v1: public figures, without a token, and the door for the payment provider's notices."""

from apiflask import APIBlueprint
from flask import request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from core.clock import today, utc_now
from core.config import settings
from core.errors import DomainError, NotFound
from core.web import db
from core.web.api import Paging
from core.web.pagination import paginate
from pledge import providers, queries
from pledge.models import MembershipStatus, PledgeMember
from pledge.providers.stripe_signature import notice_from
from pledge.public import figures, totals_json
from pledge.schemas import MemberOut, PledgeOut, PledgesOut, pledge_out
from pledge.services import inbox

NOTICE_BYTES_MAX = 1_000_000
"""Stripe's events are a few kilobytes."""

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


class NoticesNotTaken(DomainError):
    """Nothing is set up here that could tell a notice of the provider from a forged one."""

    code = "notices_not_taken"
    status = 404


class OtherMode(DomainError):
    """A notice about test payments where real money is handled, or the reverse."""

    code = "other_mode"
    status = 400


@bp.post("/webhooks/stripe")
@bp.doc(hide=True)
def stripe_notice() -> ResponseReturnValue:
    """Take in a notice of Stripe: signed, once, and without believing what it says. The answer is 200 once it is kept."""
    provider, secrets = providers.configured(), settings().stripe_webhook_secrets
    if provider is None or not secrets:
        raise NoticesNotTaken("PLEDGEWORKS_STRIPE_KEY and PLEDGEWORKS_STRIPE_WEBHOOK_SECRETS are not both set.")
    request.max_content_length = NOTICE_BYTES_MAX
    notice = notice_from(request.get_data(cache=False), request.headers.get("Stripe-Signature"), secrets=secrets, now=utc_now())
    if notice.live is not provider.live:
        raise OtherMode("This notice is of Stripe's other mode: live and test have endpoints of their own.")
    inbox.take_in(db(), notice, polled=False, now=utc_now())
    return "", 200
