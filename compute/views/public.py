"""Open to everybody: donors, pools, the queue, statements."""

from datetime import date, datetime

from flask import Response, render_template
from flask.typing import ResponseReturnValue

from compute import papers
from compute.models import JobStatus
from compute.queries import budget, forecast, overview, statements
from compute.views import bp
from compute.views.outlook import outlook
from core.clock import utc_now
from core.errors import NotFound
from core.files import as_download
from core.identity.models import Organisation
from core.paper import MEDIA_TYPES, PaperForm
from core.web import db
from core.web.costly import Reads, costly
from core.web.public_pages import LAG_SECONDS, Drawn, draw


@bp.get("/compute")
def index() -> ResponseReturnValue:
    """Donors, pools, what runs and what waits."""

    def drawn() -> Drawn:
        session, now = db(), utc_now()
        donors = overview.donors(session)
        offers = [offer for line in donors for offer in line.offers]
        return draw(
            "Compute",
            "compute/_index.html",
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

    # What waits and runs is looked at while it changes.
    shown = costly(("compute",), drawn, seconds=LAG_SECONDS, reads=Reads.OVERVIEW)
    return render_template("web/public_page.html", page=shown)


@bp.get("/compute/donors/<slug>")
def donor(slug: str) -> ResponseReturnValue:
    """What one donor offers, and its statements."""
    session = db()
    found = statements.donor_named(session, slug)

    def drawn() -> Drawn:
        now = utc_now()
        offers = overview.offers(session, donor_ids=[found.id])
        forecasts = forecast.of_offers(session, now=now)
        return draw(
            f"GPU time from {found.name}",
            "compute/_donor.html",
            donor=found,
            offers=offers,
            left=budget.of_offers(session, offers),
            months=statements.months(session, found, now=now),
            policy_words={offer.id: overview.policy_words(session, offer) for offer in offers},
            outlooks=[
                (offer, outlook(forecasts[offer.id], offer.remind_days, now=now)) for offer in offers if offer.id in forecasts
            ],
            warnings=forecast.warnings(session, offer_ids=[offer.id for offer in offers]),
        )

    return render_template("web/public_page.html", page=costly(("donor", slug), drawn))


@bp.get("/compute/donors/<slug>/statements/<month>")
def statement(slug: str, month: str) -> ResponseReturnValue:
    """A donor's month."""
    now = utc_now()
    donor, months, first = _month(slug, month, now)

    def drawn() -> Drawn:
        found = statements.statement(db(), donor, first, now=now)
        title = f"{donor.name}, {found.title}"
        return draw(title, "compute/_statement.html", statement=found, months=months, over=found.until < now)

    return render_template("web/public_page.html", page=costly(("statement", slug, month), drawn))


@bp.get("/compute/donors/<slug>/statements/<month>.<any(csv, pdf):form>")
def statement_file(slug: str, month: str, form: str) -> ResponseReturnValue:
    """The same to take away."""
    now, wanted = utc_now(), PaperForm(form)
    donor, _, first = _month(slug, month, now)

    def drawn() -> bytes:
        return papers.draw_statement(statements.statement(db(), donor, first, now=now), wanted)

    return _file(costly(("statement", slug, month, form), drawn), f"{slug}-{month}.{wanted}", wanted)


@bp.get("/compute/donors/<slug>/statements/<month>/entries.csv")
def statement_entries(slug: str, month: str) -> ResponseReturnValue:
    """The ledger's entries behind a statement."""
    now = utc_now()
    donor, _, first = _month(slug, month, now)

    def drawn() -> bytes:
        return papers.draw_entries(statements.statement(db(), donor, first, now=now))

    return _file(costly(("entries", slug, month), drawn), f"{slug}-{month}-entries.csv", PaperForm.CSV)


def _month(slug: str, month: str, now: datetime) -> tuple[Organisation, list[date], date]:
    """A donor, the months it has statements of, and the one asked for."""
    donor = statements.donor_named(db(), slug)
    months, first = statements.months(db(), donor, now=now), statements.parse_month(month)
    if first not in months:
        raise NotFound(
            f"There is no statement of {donor.name} for {month}: no offer of it was open yet, or the month is to come."
        )
    return donor, months, first


def _file(content: bytes, name: str, form: PaperForm) -> Response:
    headers = {"Content-Disposition": as_download(name), "X-Content-Type-Options": "nosniff"}
    return Response(content, content_type=MEDIA_TYPES[form], headers=headers)
