"""Setting programmes up: rules, rounds, money, fiscal hosts, the register of interests."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from uuid_utils.compat import uuid7

from core import ledger
from core.clock import today, utc_now
from core.errors import DomainError, NotAllowed, NotFound
from core.identity import access
from core.identity.models import Organisation, OrganisationRole, Project, Role
from core.identity.organisations import current_roles, slug_of
from core.money import Money
from core.web import current_person, db, flash, page, refused, signed_in
from core.web.forms import Form, choices
from grants import queries
from grants.forms import FundForm, HostForm, InterestForm, LinkForm, RoundForm, RulesForm
from grants.models import InterestKind, LinkKind, Programme, RoundStatus
from grants.services import conflicts, funding, programmes, rounds

bp = Blueprint("setup", __name__)


@bp.get("/programmes/mine")
@signed_in
def mine() -> ResponseReturnValue:
    """The programmes one runs."""
    person = current_person()
    return page(
        "grants/programmes/mine.html",
        overviews=[queries.overview(db(), one, on=today()) for one in queries.programmes_run_by(db(), person, on=today())],
        funders=_funders(),
    )


@bp.route("/programmes/new", methods=["GET", "POST"])
@signed_in
def new() -> ResponseReturnValue:
    """Begin a programme for an organisation one is officer of."""
    funders = _funders()
    if not funders:
        raise NotAllowed("Programmes are begun by officers of an organisation; an owner of it can give that role.")
    form = RulesForm()
    if form.validate_on_submit():
        try:
            organisation = _chosen(funders, request.form.get("organisation", ""))
            programme = programmes.create(
                db(), slug=slug_of(form.name.data), organisation=organisation, rules=form.rules(), actor=current_person(),
                now=utc_now(),
            )  # fmt: skip
            programmes.set_paper(db(), programme.id, paper=form.paper(), actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The programme is set up. Nobody else sees it before you publish it.")
            return redirect(url_for("grants.manage.show", slug=programme.slug), code=303)
    return page("grants/programmes/edit.html", form=form, programme=None, funders=funders)


@bp.route("/programmes/<slug>/rules", methods=["GET", "POST"])
@signed_in
def rules(slug: str) -> ResponseReturnValue:
    """Change a programme's rules; its questions and rubric until somebody applied."""
    programme = officers_programme(slug)
    fixed = queries.is_applied_to(db(), programme.id)
    form = RulesForm()
    if not form.is_submitted():
        form.fill(programme)
    if form.validate_on_submit():
        try:
            programmes.change(
                db(), programme.id, rules=form.rules(), actor=current_person(), now=utc_now(), reason=form.reason.data or ""
            )
            if not fixed:
                programmes.set_paper(db(), programme.id, paper=form.paper(), actor=current_person(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The rules are changed.")
            return redirect(url_for("grants.manage.show", slug=slug), code=303)
    return page("grants/programmes/edit.html", form=form, programme=programme, fixed=fixed, funders=())


@bp.post("/programmes/<slug>/publication")
@signed_in
def publication(slug: str) -> ResponseReturnValue:
    """Show a programme to the public."""
    programmes.publish(db(), officers_programme(slug).id, actor=current_person(), now=utc_now())
    flash("The programme is public.")
    return redirect(url_for("grants.manage.show", slug=slug), code=303)


@bp.route("/programmes/<slug>/rounds/new", methods=["GET", "POST"])
@signed_in
def new_round(slug: str) -> ResponseReturnValue:
    """Announce a round."""
    programme = officers_programme(slug)
    form = RoundForm()
    if form.validate_on_submit():
        try:
            rounds.plan_round(
                db(),
                programme.id,
                name=form.name.data,
                theme=form.theme.data or "",
                opens_on=form.opens_on.data,
                closes_on=form.closes_on.data,
                decides_on=form.decides_on.data,
                grants_max=form.grants_max.data,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The round is announced.")
            return redirect(url_for("grants.manage.show", slug=slug), code=303)
    return page("grants/rounds/new.html", form=form, programme=programme)


@bp.post("/rounds/<uuid:round_id>/status")
@signed_in
def round_status(round_id: UUID) -> ResponseReturnValue:
    """Open, close, decide or cancel a round by hand."""
    try:
        to = RoundStatus(request.form.get("status", ""))
    except ValueError:
        raise NotFound("A round has no such state.") from None
    moved = rounds.move_round(db(), round_id, to=to, actor=current_person(), now=utc_now())
    flash(f"{moved.name} is {moved.status}.")
    return redirect(url_for("grants.manage.show", slug=moved.programme.slug), code=303)


@bp.route("/programmes/<slug>/funding", methods=["GET", "POST"])
@signed_in
def fund(slug: str) -> ResponseReturnValue:
    """Move money of a fund into the programme."""
    programme = queries.any_programme(db(), slug)
    access.require_role(db(), current_person(), Role.FINANCE, on=today(), reading=request.method == "GET")
    funds = [one for one in ledger.balances(db(), "liabilities:fund") if one.commodity == programme.currency]
    form = FundForm()
    form.amount.currency = programme.currency
    form.source_account.choices = [
        (one.account, f"{one.account.split(':')[2]} ({Money(one.available, programme.currency)} free)") for one in funds
    ]
    if form.validate_on_submit():
        assert form.amount.data is not None, "the form requires it"
        try:
            funding.fund(
                db(),
                programme.id,
                source_account=form.source_account.data,
                money=form.amount.data,
                key=request.form.get("key") or str(uuid7()),
                actor=current_person(),
                now=utc_now(),
                reason=form.reason.data,
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The money is in the programme.")
            return redirect(url_for("grants.manage.show", slug=slug), code=303)
    # The key makes a form that is sent twice one transfer.
    return page(
        "grants/programmes/fund.html", form=form, programme=programme, funds=funds, key=request.form.get("key") or uuid7()
    )


@bp.route("/interests", methods=["GET", "POST"])
@signed_in
def interests() -> ResponseReturnValue:
    """The register of interests and of links between projects and organisations; officers add to it."""
    person = current_person()
    if not queries.is_any_officer(db(), person, on=today()) and not queries.committees_of(db(), person, on=today()):
        raise NotAllowed("The register of interests is for committees; what concerns a grant is published with it.")
    organisations, projects = queries.all_organisations(db()), queries.all_projects(db())
    named: dict[str, Organisation | Project] = {str(one.id): one for one in organisations} | {
        str(one.id): one for one in projects
    }
    interest, link = _interest_form(organisations, projects), _link_form(organisations, projects)
    what = request.form.get("what")

    def add_interest() -> None:
        holder = named.get(interest.holder.data)
        conflicts.record_interest(
            db(),
            holder=holder if isinstance(holder, Organisation) else person,
            kind=InterestKind(interest.kind.data),
            subject=named[interest.subject.data],
            from_on=interest.from_on.data,
            until_on=interest.until_on.data,
            source_url=interest.source_url.data,
            actor=person,
            now=utc_now(),
        )

    def add_link() -> None:
        project = named[link.project.data]
        assert isinstance(project, Project), "the choices are projects"
        conflicts.record_link(
            db(),
            project=project,
            kind=LinkKind(link.kind.data),
            other=named[link.other.data],
            from_on=link.from_on.data,
            source_url=link.source_url.data,
            actor=person,
            now=utc_now(),
        )

    for form, add, word in ((interest, add_interest, "interest"), (link, add_link, "link")):
        if what == word and _done(form, add):
            flash(f"The {word} is in the register; what it means for undecided applications is flagged there.")
            return redirect(url_for(".interests"), code=303)
    return page(
        "grants/reviews/interests.html",
        form=link if what == "link" else interest,
        interest=interest,
        link=link,
        register=queries.register(db()),
        links=queries.links(db(), on=today()),
        may_link=queries.is_any_officer(db(), person, on=today()),
    )


@bp.route("/fiscal-hosts", methods=["GET", "POST"])
@signed_in
def hosts() -> ResponseReturnValue:
    """Fiscal hosts and their fees."""
    person = current_person()
    if not queries.is_any_officer(db(), person, on=today()):
        raise NotAllowed("Fiscal hosts are kept by programme officers.")
    known = [one for one in queries.all_organisations(db()) if OrganisationRole.FISCAL_HOST in current_roles(one, on=today())]
    form = HostForm()
    form.organisation.choices = choices(known, label=lambda one: one.name)
    by_id = {str(one.id): one for one in known}

    def add() -> None:
        funding.register_host(
            db(),
            organisation=by_id[form.organisation.data],
            fee_percent=form.fee_percent.data,
            platform_share_percent=form.platform_share_percent.data or Decimal(0),
            from_on=form.from_on.data,
            source_url=form.source_url.data,
            actor=person,
            now=utc_now(),
        )

    if request.method == "POST" and _done(form, add):
        flash("The fee is kept; it holds for grants accepted from that day on.")
        return redirect(url_for(".hosts"), code=303)
    return page("grants/programmes/hosts.html", form=form, hosts=queries.fiscal_hosts(db(), on=today()), known=known)


def officers_programme(slug: str) -> Programme:
    """The programme, for its officers and whoever may look over their shoulder.

    Raises:
        NotFound: none of this slug.
        NotAllowed: not for this person.
    """
    programme = queries.any_programme(db(), slug)
    access.require_role(
        db(), current_person(), Role.PROGRAMME_OFFICER, organisation_id=programme.organisation_id, on=today(),
        reading=request.method == "GET",
    )  # fmt: skip
    return programme


def _funders() -> Sequence[Organisation]:
    """Organisations for which the person may begin a programme."""
    person = current_person()
    if access.has_role(db(), person, Role.PROGRAMME_OFFICER, on=today()):
        return queries.all_organisations(db())
    return access.organisations_with_role(db(), person, Role.PROGRAMME_OFFICER, on=today())


def _chosen(among: Sequence[Organisation], organisation_id: str) -> Organisation:
    for one in among:
        if str(one.id) == organisation_id:
            return one
    raise NotFound("Choose one of the organisations listed.")


def _done(form: Form, act: Callable[[], None]) -> bool:
    """Validate and act; a refusal stays in the form."""
    if not form.validate_on_submit():
        return False
    try:
        act()
    except DomainError as error:
        refused(form, error)
        return False
    return True


def _interest_form(organisations: Sequence[Organisation], projects: Sequence[Project]) -> InterestForm:
    form = (
        InterestForm(prefix="interest") if request.form.get("what") != "link" else InterestForm(formdata=None, prefix="interest")
    )
    form.holder.choices = [("me", "Myself"), *_options(organisations)]
    form.subject.choices = [*_options(organisations), *_options(projects, " (project)")]
    return form


def _link_form(organisations: Sequence[Organisation], projects: Sequence[Project]) -> LinkForm:
    form = LinkForm(prefix="link") if request.form.get("what") == "link" else LinkForm(formdata=None, prefix="link")
    form.project.choices = _options(projects)
    form.other.choices = [*_options(organisations), *_options(projects, " (project)")]
    return form


def _options(rows: Sequence[Any], suffix: str = "") -> list[tuple[str, str]]:
    return [(str(row.id), f"{row.name}{suffix}") for row in rows]
