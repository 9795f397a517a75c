"""Open to everybody: donors, pools, the queue, statements."""

from flask import Response, render_template
from flask.typing import ResponseReturnValue

from compute import papers
from compute.models import JobStatus
from compute.queries import budget, forecast, overview, statements
from compute.views import bp
from compute.views.outlook import outlook
from core.clock import utc_now
from core.files import as_download
from core.paper import MEDIA_TYPES, PaperForm
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


@bp.get("/compute/donors/<slug>/statements/<month>.<any(csv, pdf):form>")
def statement_file(slug: str, month: str, form: str) -> ResponseReturnValue:
    """The same to take away."""
    found = statements.statement(db(), statements.donor_named(db(), slug), statements.parse_month(month), now=utc_now())
    wanted = PaperForm(form)
    return _file(papers.draw_statement(found, wanted), f"{found.donor.slug}-{found.month}.{wanted}", wanted)


@bp.get("/compute/donors/<slug>/statements/<month>/entries.csv")
def statement_entries(slug: str, month: str) -> ResponseReturnValue:
    """The ledger's entries behind a statement."""
    found = statements.statement(db(), statements.donor_named(db(), slug), statements.parse_month(month), now=utc_now())
    return _file(papers.draw_entries(found), f"{found.donor.slug}-{found.month}-entries.csv", PaperForm.CSV)


def _file(content: bytes, name: str, form: PaperForm) -> Response:
    headers = {"Content-Disposition": as_download(name), "X-Content-Type-Options": "nosniff"}
    return Response(content, content_type=MEDIA_TYPES[form], headers=headers)
