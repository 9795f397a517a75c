"""Exchange rates from benchmarks: what they suggest now, proposals, and their decision by a second person."""

from collections.abc import Callable
from fractions import Fraction
from uuid import UUID

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from compute.forms.catalogue import ProposalForm
from compute.forms.reasons import NoteForm
from compute.models import RateProposal
from compute.queries import benchmarks, overview
from compute.services import calibration
from compute.views import bp
from core import audit
from core.clock import utc_now
from core.errors import DomainError
from core.identity.models import Role
from core.web import current_person, db, flash, page, refused, requires
from core.web.forms import Form


@bp.get("/admin/compute/calibration")
@requires(Role.PROGRAMME_OFFICER)
def show_calibration() -> ResponseReturnValue:
    """What benchmarks suggest at this moment, and the proposals so far."""
    session, now = db(), utc_now()
    found, nothing = None, None
    try:
        found = calibration.calibrate(session, now=now)
    except DomainError as error:
        nothing = error.message
    return render_template(
        "compute/calibration.html",
        found=found,
        nothing=nothing,
        effects=benchmarks.effects(session, found.rates, now=now) if found else [],
        proposals=benchmarks.proposals(session),
        change=change,
    )


@bp.post("/admin/compute/calibration")
@requires(Role.PROGRAMME_OFFICER)
def create_proposal() -> ResponseReturnValue:
    """Keep what benchmarks suggest now for somebody else to decide."""
    made = calibration.propose(db(), author=current_person(), now=utc_now())
    flash("The proposal is made. Another person decides it; until then nothing changes.")
    return redirect(url_for("compute.show_proposal", proposal_id=made.id), code=303)


@bp.get("/admin/compute/calibration/<uuid:proposal_id>")
@requires(Role.PROGRAMME_OFFICER)
def show_proposal(proposal_id: UUID) -> ResponseReturnValue:
    """One proposal: present and proposed rates, why, and what it means for each grant."""
    return _proposal_page(benchmarks.proposal(db(), proposal_id))


@bp.post("/admin/compute/calibration/<uuid:proposal_id>/acceptance")
@requires(Role.PROGRAMME_OFFICER)
def accept_proposal(proposal_id: UUID) -> ResponseReturnValue:
    """Put its rates into the exchange table."""
    form = ProposalForm(prefix="accept")

    def act() -> None:
        calibration.accept(db(), proposal_id, note=form.note.data or "", decided_by=current_person(), now=utc_now())

    return _decide(proposal_id, form, act, "The rates hold from now on. Jobs that have started keep theirs.", accept=form)


@bp.post("/admin/compute/calibration/<uuid:proposal_id>/refusal")
@requires(Role.PROGRAMME_OFFICER)
def decline_proposal(proposal_id: UUID) -> ResponseReturnValue:
    """Leave the rates as they are."""
    form = NoteForm(prefix="decline")

    def act() -> None:
        calibration.decline(db(), proposal_id, note=form.note.data, decided_by=current_person(), now=utc_now())

    return _decide(proposal_id, form, act, "The rates stay as they are.", decline=form)


def change(before: Fraction | int | None, after: Fraction | int) -> str:
    """`+12.5 %`, `−3.0 %`, `no change`, or `new`."""
    if not before:
        return "new" if after else "no change"
    percent = float(Fraction(after) / Fraction(before) - 1) * 100
    if before == after:
        return "no change"
    return f"{'+' if percent > 0 else '−'}{abs(percent):.1f} %"


def _decide(proposal_id: UUID, form: Form, act: Callable[[], None], done: str, **shown: Form) -> ResponseReturnValue:
    if form.validate_on_submit():
        try:
            act()
        except DomainError as error:
            refused(form, error)
        else:
            flash(done)
            return redirect(url_for("compute.show_proposal", proposal_id=proposal_id), code=303)
    return _proposal_page(benchmarks.proposal(db(), proposal_id), status=form.status, **shown)


def _proposal_page(proposal: RateProposal, *, status: int | None = None, **shown: Form) -> ResponseReturnValue:
    session = db()
    accept, decline = ProposalForm(prefix="accept", formdata=None), NoteForm(prefix="decline", formdata=None)
    lines = sorted(proposal.lines, key=lambda line: line.flavor.name)
    return page(
        "compute/proposal.html",
        status=status,
        proposal=proposal,
        lines=lines,
        names={flavor.slug: flavor.name for flavor in overview.flavors(session)},
        effects=benchmarks.effects(session, {line.flavor_id: line.rate for line in lines}, now=utc_now()),
        events=audit.history(session, proposal),
        own=proposal.made_by_id == current_person().id,
        wrong=next(iter(shown.values()), None),
        change=change,
        fraction=Fraction,
        **{"accept": accept, "decline": decline, **shown},
    )
