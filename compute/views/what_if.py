"""What-if: a change, replayed on our own history. For who reads the compute desk; who works there asks."""

from uuid import UUID

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from compute.forms.what_if import WhatIfForm
from compute.queries import run_limits, shares, what_if
from compute.queries.named import flavor_named, project_named
from compute.scheduling import Limit
from compute.services import what_if as asking
from compute.services.what_if import Change
from compute.simulation.what_if import PERCENTS, Answer
from compute.views import bp
from core import plots
from core.clock import today, utc_now
from core.errors import DomainError
from core.identity import access
from core.identity.models import Role
from core.units import format_seconds
from core.web import current_person, db, flash, page, refused, requires


@bp.route("/compute/what-if", methods=["GET", "POST"])
@requires(Role.PROGRAMME_OFFICER)
def ask_what_if() -> ResponseReturnValue:
    """Say what is to be different; the questions asked so far."""
    session, now = db(), utc_now()
    form = WhatIfForm()
    flavors = what_if.flavors(session)
    form.flavor.choices = [
        (flavor.slug, f"{flavor.name} ({what_if.devices(session, flavor)} in open pools)") for flavor in flavors
    ]
    projects = shares.sharing(session)
    weights = shares.weights(session, [project.id for project in projects])
    named = [(project.slug, f"{project.name} (weighs {weights.get(project.id, 1)})") for project in projects]
    form.project.choices = [("", "None"), *named]
    limits = run_limits.holding(session, [project.id for project in projects], [])
    held = {project.id: _held(limits.of_project(project.id)) for project in projects}
    form.limited.choices = [("", "Each project’s"), *((project.slug, project.name + held[project.id]) for project in projects)]
    if form.validate_on_submit():
        try:
            asked = asking.ask(
                session,
                flavor_named(session, form.flavor.data),
                Change(
                    gpus=form.gpus.data or 0,
                    wall_seconds_max=form.wall_seconds_max(),
                    project=project_named(session, form.project.data) if form.project.data else None,
                    weight=form.weight.data,
                    limit=Limit(form.limit_jobs.data, form.limit_gpus.data),
                    limited=project_named(session, form.limited.data) if form.limited.data else None,
                ),
                days=int(form.days.data),
                asker=current_person(),
                now=now,
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The replay is on its way. Its answer will be kept here.")
            return redirect(url_for("compute.show_what_if", what_if_id=asked.id), code=303)
    return page(
        "compute/what_if.html",
        form=form,
        flavors=flavors,
        asked=[(row, what_if.words(row)) for row in what_if.newest(session)],
        may_ask=access.has_role(session, current_person(), Role.PROGRAMME_OFFICER, on=today()),
    )


@bp.get("/compute/what-if/<uuid:what_if_id>")
@requires(Role.PROGRAMME_OFFICER)
def show_what_if(what_if_id: UUID) -> ResponseReturnValue:
    """A question and its answer, or how far it is."""
    return render_template("compute/what_if_answer.html", **_shown(what_if_id))


@bp.get("/compute/what-if/<uuid:what_if_id>/state")
@requires(Role.PROGRAMME_OFFICER)
def what_if_state(what_if_id: UUID) -> ResponseReturnValue:
    """The part of the page that changes while the history is replayed."""
    return render_template("compute/_what_if_state.html", **_shown(what_if_id))


def _held(limit: Limit) -> str:
    """What holds now, beside a project's name."""
    counts = (("jobs", limit.jobs), ("GPUs", limit.gpus))
    said = " and ".join(f"{count:,} {noun}" for noun, count in counts if count is not None)
    return f" (now {said})" if said else ""


def _shown(what_if_id: UUID) -> dict[str, object]:
    asked = what_if.asked(db(), what_if_id, now=utc_now())
    drawn = _plots(asked.answer) if asked.answer else []
    return {"asked": asked, "plots": drawn, "percents": PERCENTS, "seconds_max": asking.SECONDS_MAX, "jobs_max": asking.JOBS_MAX}


def _plots(answer: Answer) -> list[plots.Plot]:
    """How long so many of a hundred waited, and the days."""
    sides = {"With the change": answer.after, "As it was, replayed": answer.before}
    top = plots.duration_top(max(side.percentiles[PERCENTS.index(95)] for side in sides.values()))
    drawn = [
        plots.plot(
            "How long so many of 100 jobs waited at most",
            {name: [(0, 0), *zip(PERCENTS, side.percentiles, strict=True)] for name, side in sides.items()},
            across=[(0, "0"), (25, "25"), (50, "50"), (75, "75"), (100, "100 jobs")],
            top=top,
            up=format_seconds,
        )
    ]
    if len(answer.days) > 1:
        days = list(enumerate(answer.days))
        drawn.append(
            plots.plot(
                "Wait of 95 in 100, by day of submission",
                {
                    "With the change": [(place, line.after.p95) for place, line in days],
                    "As it was, replayed": [(place, line.before.p95) for place, line in days],
                },
                across=[(0, answer.days[0].day), (len(days) - 1, answer.days[-1].day)],
                top=plots.duration_top(max(max(line.after.p95, line.before.p95) for line in answer.days)),
                up=format_seconds,
            )
        )
    return drawn
