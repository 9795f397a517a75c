"""Open to everybody: donors, pools, the queue, statements."""

from flask import Response, render_template
from flask.typing import ResponseReturnValue

from compute import schemas
from compute.models import JobStatus
from compute.queries import budget, forecast, overview, statements
from compute.views import bp
from compute.views.outlook import outlook
from core.clock import utc_now
from core.web import db


@bp.get("/compute")
def index() -> ResponseReturnValue:
    """Donors, pools, what runs and what waits."""
    session, now = db(), utc_now()
    donors = overview.donors(session)
    offers = [offer for line in donors for offer in line.offers]
    return render_template(
        "compute/index.html",
        donors=donors,
        left=budget.of_offers(session, offers),
        pools=overview.pool_use(session, now=now),
        waiting=overview.waiting(session),
        waiting_count=overview.count(session, JobStatus.QUEUED),
        running=overview.running(session),
        running_count=overview.count(session, JobStatus.HELD, JobStatus.STARTING, JobStatus.RUNNING),
        used=overview.reference_used(session),
        rates=overview.current_rates(session, now=now),
    )


@bp.get("/compute/donors/<slug>")
def donor(slug: str) -> ResponseReturnValue:
    """What one donor offers, and its statements."""
    session, now = db(), utc_now()
    found = statements.donor_named(session, slug)
    offers = overview.offers(session, donor_ids=[found.id])
    forecasts = forecast.of_offers(session, now=now)
    return render_template(
        "compute/donor.html",
        donor=found,
        offers=offers,
        left=budget.of_offers(session, offers),
        months=statements.months(session, found, now=now),
        policy_words={offer.id: overview.policy_words(session, offer) for offer in offers},
        outlooks=[(offer, outlook(forecasts[offer.id], offer.remind_days, now=now)) for offer in offers if offer.id in forecasts],
        warnings=forecast.warnings(session, offer_ids=[offer.id for offer in offers]),
    )


@bp.get("/compute/donors/<slug>/statements/<month>")
def statement(slug: str, month: str) -> ResponseReturnValue:
    """A donor's month."""
    session, now = db(), utc_now()
    found = statements.statement(session, statements.donor_named(session, slug), statements.parse_month(month), now=now)
    months = statements.months(session, found.donor, now=now)
    return render_template("compute/statement.html", statement=found, months=months, over=found.until < now)


@bp.get("/compute/donors/<slug>/statements/<month>.csv")
def statement_csv(slug: str, month: str) -> ResponseReturnValue:
    """The same as CSV."""
    found = statements.statement(db(), statements.donor_named(db(), slug), statements.parse_month(month), now=utc_now())
    return Response(
        schemas.statement_csv(found),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{found.donor.slug}-{found.month}.csv"'},
    )
