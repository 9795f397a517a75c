"""Open to everybody: how the pools were used by day, and how fairly."""

from collections.abc import Sequence
from datetime import date

from flask import render_template, request
from flask.typing import ResponseReturnValue

from compute.queries import use
from compute.queries.named import flavor_named
from compute.queries.use import PoolDays, Week
from compute.views import bp
from core import plots
from core.clock import utc_now
from core.errors import InvalidInput
from core.units import format_seconds
from core.web import db
from core.web.costly import costly
from core.web.public_pages import Drawn, draw

SPANS = (7, 30, 90)
SHOWN = 12
"""So many projects get bars; the table has all."""


@bp.get("/compute/utilisation")
def utilisation() -> ResponseReturnValue:
    """Every pool by day."""
    chosen = _days()

    def drawn() -> Drawn:
        now = utc_now()
        days = use.days_until(now, chosen)
        lines = [(line, _busy(line, days)) for line in use.pools_by_day(db(), days, now=now)]
        return draw("Utilisation", "compute/_utilisation.html", days=days, lines=lines, spans=SPANS, chosen=chosen, as_of=now)

    return render_template("web/public_page.html", page=costly(("utilisation", chosen), drawn))


@bp.get("/compute/fairness")
def fairness() -> ResponseReturnValue:
    """One flavor: use beside fair share, waits by week, and what jobs waited for."""
    days, slug = _days(), request.args.get("flavor") or None
    named = flavor_named(db(), slug) if slug else None

    def drawn() -> Drawn:
        session, now = db(), utc_now()
        flavors = use.used_flavors(session)
        flavor = named or next(iter(flavors), None)
        found = use.fairness(session, flavor, days=days, now=now) if flavor is not None else None
        return draw(
            "Fairness",
            "compute/_fairness.html",
            found=found,
            flavors=flavors,
            waits=_waits(found.weeks) if found and len(found.weeks) > 1 else None,
            spans=SPANS,
            chosen=days,
            shown=SHOWN,
            runs_max=use.RUNS_MAX,
            as_of=now,
        )

    return render_template("web/public_page.html", page=costly(("fairness", slug, days), drawn))


def _days() -> int:
    asked = request.args.get("days") or "30"
    if asked not in {str(days) for days in SPANS}:
        raise InvalidInput(f"“{asked[:20]}” is no number of days there is a page for; choose 7, 30 or 90.", field="days")
    return int(asked)


def _busy(line: PoolDays, days: list[date]) -> plots.Plot:
    points = [(place, 100 * share) for place, share in enumerate(line.shares) if share is not None]
    ends = [(0, f"{days[0]:%Y-%m-%d}"), (len(days) - 1, f"{days[-1]:%Y-%m-%d}")]
    return plots.plot(f"{line.pool.name}: busy", {"busy": points}, across=ends, top=100, up=lambda share: f"{share:.0f} %")


def _waits(weeks: Sequence[Week]) -> plots.Plot:
    return plots.plot(
        "How long jobs waited, by week of submission",
        {
            "95 in 100 waited no longer": [(place, week.p95) for place, week in enumerate(weeks)],
            "half waited no longer": [(place, week.median) for place, week in enumerate(weeks)],
        },
        across=[(0, f"week of {weeks[0].monday}"), (len(weeks) - 1, f"week of {weeks[-1].monday}")],
        top=plots.duration_top(max(week.p95 for week in weeks)),
        up=format_seconds,
    )
