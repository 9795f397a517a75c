"""The recipient's pages: the offer with direct and hosted payment side by side, the grant, paperwork, reports."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from flask import Blueprint, Response, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from core import files
from core.clock import today, utc_now
from core.errors import DomainError, InvalidInput, NotFound
from core.files import StoredFile
from core.identity.models import Person
from core.web import current_person, db, flash, hooks, page, refused, signed_in
from grants import policies, queries
from grants.forms import AcceptanceForm, FileForm, ReasonForm, ReportForm
from grants.models import FiscalHost, Grant, GrantStatus, InstalmentStatus, PaperworkStatus
from grants.policies import Hosted
from grants.services import grants, paperwork, reports

bp = Blueprint("recipients", __name__)


@dataclass(frozen=True)
class HostOffer:
    """What a host would leave of a grant."""

    host: FiscalHost
    hosted: Hosted

    @property
    def percent(self) -> str:
        """The fee without idle zeros."""
        return f"{self.host.fee_percent.normalize():f}"

    @property
    def heading(self) -> tuple[str, str]:
        return f"Through {self.host.organisation.name}", "num"


@hooks.to_do(order=5)
def recipients_to_do(session: Session, person: Person) -> Iterable[hooks.ToDo]:
    """Offers to answer, documents to send, reports that open a payment."""
    for grant in queries.own_grants(session, person, on=today()):
        if grant.status is GrantStatus.OFFERED:
            due = f"The offer stands until {grant.offer_expires_on:%-d %b %Y}" if grant.offer_expires_on else None
            yield hooks.ToDo(f"Answer the offer of {grant.programme.name}", _own_url(grant), due=due)
        missing = sum(item.status is PaperworkStatus.OPEN for item in grant.paperwork)
        if grant.status is GrantStatus.PAPERWORK and missing:
            yield hooks.ToDo(f"Send documents to {grant.programme.name}", _own_url(grant), missing)
        closed = [part for part in grant.instalments if part.status is InstalmentStatus.DUE and part.gated]
        if grant.status is GrantStatus.ACTIVE and closed:
            yield hooks.ToDo(f"Report to {grant.programme.name}; a payment waits for it", _own_url(grant), len(closed))


@bp.get("/grants/mine")
@signed_in
def mine() -> ResponseReturnValue:
    """The grants of one's projects."""
    return page("grants/grants/mine.html", grants=queries.own_grants(db(), current_person(), on=today()))


@bp.get("/grants/<uuid:grant_id>/own")
@signed_in
def own(grant_id: UUID) -> ResponseReturnValue:
    """A grant as its recipient sees it: what is paid when, and what is missing."""
    found = queries.own_grant(db(), grant_id, current_person(), on=today())
    if found.status is GrantStatus.OFFERED:
        return redirect(url_for(".acceptance", grant_id=grant_id), code=303)
    return _own_page(found)


@bp.route("/grants/<uuid:grant_id>/acceptance", methods=["GET", "POST"])
@signed_in
def acceptance(grant_id: UUID) -> ResponseReturnValue:
    """The offer: what arrives directly and through each host, the plan, the terms; take it or turn it down."""
    person = current_person()
    found = queries.own_grant(db(), grant_id, person, on=today())
    if found.status is not GrantStatus.OFFERED:
        return redirect(url_for(".own", grant_id=grant_id), code=303)
    hosts = queries.fiscal_hosts(db(), on=today())
    form = AcceptanceForm()
    form.offer_hosts(hosts)
    if not form.is_submitted():
        form.legal_name.data = person.name
    if form.validate_on_submit():
        try:
            taken = grants.accept(db(), grant_id, person=person, choice=form.choice(), now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            word = "Next: the documents below." if taken.status is GrantStatus.PAPERWORK else "Payments begin as planned."
            flash(f"The grant is yours. {word}")
            return redirect(url_for(".own", grant_id=grant_id), code=303)
    found = queries.own_grant(db(), grant_id, person, on=today())
    parts = [part.money for part in found.instalments]
    offers = [
        HostOffer(
            host,
            policies.through_host(parts, fee_percent=host.fee_percent, platform_share_percent=host.platform_share_percent),
        )
        for host in hosts
    ]
    rows = [(part, [offer.hosted.parts[i].net for offer in offers]) for i, part in enumerate(found.instalments)]
    return page(
        "grants/grants/acceptance.html",
        form=form,
        grant=found,
        hosts=offers,
        headings=[offer.heading for offer in offers],
        rows=rows,
        refusal=ReasonForm(formdata=None),
    )


@bp.post("/grants/<uuid:grant_id>/refusal")
@signed_in
def refusal(grant_id: UUID) -> ResponseReturnValue:
    """Turn an offer down."""
    form = ReasonForm()
    grants.decline(db(), grant_id, person=current_person(), reason=form.reason.data or "", now=utc_now())
    flash("The offer is turned down; its money can help others.")
    return redirect(url_for(".mine"), code=303)


@bp.post("/grants/<uuid:grant_id>/documents/<uuid:item_id>")
@signed_in
def document(grant_id: UUID, item_id: UUID) -> ResponseReturnValue:
    """Hand in a document."""
    person = current_person()
    form = FileForm()
    if form.validate_on_submit():
        try:
            upload = request.files.get("file")
            if upload is None or not upload.filename:
                raise InvalidInput("Choose the file of the document.")
            paperwork.hand_in(db(), item_id, person=person, stream=upload.stream, name=upload.filename, now=utc_now())
        except DomainError as error:
            refused(form, error)
        else:
            flash("The document is here. An officer checks it.")
            return redirect(url_for(".own", grant_id=grant_id), code=303)
    return _own_page(queries.own_grant(db(), grant_id, person, on=today()), problem=form)


@bp.post("/grants/<uuid:grant_id>/reports")
@signed_in
def report(grant_id: UUID) -> ResponseReturnValue:
    """Report on the work."""
    person = current_person()
    found = queries.own_grant(db(), grant_id, person, on=today())
    form = _report_form(found)
    if form.validate_on_submit():
        try:
            chosen = form.instalment_id.data
            reports.submit(
                db(),
                grant_id,
                person=person,
                body=form.body.data or "",
                instalment_id=UUID(chosen) if chosen else None,
                attachments=[(one.filename, one.stream) for one in form.attachments.data or [] if one and one.filename],
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("The report is in. An officer reads it.")
            return redirect(url_for(".own", grant_id=grant_id), code=303)
    return _own_page(queries.own_grant(db(), grant_id, person, on=today()), report=form)


@bp.get("/grants/<uuid:grant_id>/files/<uuid:file_id>")
@signed_in
def file(grant_id: UUID, file_id: UUID) -> ResponseReturnValue:
    """A document or attachment, for the recipient and the programme's officers."""
    person, found = current_person(), queries.grant(db(), grant_id)
    if not queries.receives(db(), found, person, on=today()) and not queries.may_look(db(), found.programme, person, on=today()):
        raise NotFound("There is no such file of yours.")
    return send(_file_of(found, file_id))


def send(stored: StoredFile) -> Response:
    """A stored file as a download; never shown inside a page of ours."""
    answer = Response(files.read(stored), mimetype=stored.media_type.split(";")[0])
    answer.headers["Content-Disposition"] = files.as_download(stored.name)
    return answer


def _file_of(grant: Grant, file_id: UUID) -> StoredFile:
    documents = [item.file for item in grant.paperwork if item.file is not None]
    attached = [attachment.file for report in grant.reports for attachment in report.attachments]
    for stored in (*documents, *attached):
        if stored.id == file_id:
            return stored
    raise NotFound("This grant has no such file.")


def _own_page(found: Grant, *, report: ReportForm | None = None, problem: FileForm | None = None) -> ResponseReturnValue:
    hosted = None
    if found.host_fee_percent is not None:
        hosted = policies.through_host([part.money for part in found.instalments], fee_percent=found.host_fee_percent)
    reporting = found.status in {GrantStatus.ACTIVE, GrantStatus.SUSPENDED, GrantStatus.COMPLETED}
    return page(
        "grants/grants/own.html",
        form=problem or report,
        grant=found,
        hosted=hosted,
        report=(report or _report_form(found)) if reporting else None,
        events=queries.grant_history(db(), found),
    )


def _report_form(found: Grant) -> ReportForm:
    form = ReportForm() if request.endpoint == "grants.recipients.report" else ReportForm(formdata=None)
    open_parts = [part for part in found.instalments if queries.current_report(db(), part) is None]
    form.instalment_id.choices = [("", "The whole grant")] + [
        (str(part.id), f"{part.name}{' (payment waits for it)' if part.gated else ''}")
        for part in open_parts
        if part.status is not InstalmentStatus.CANCELLED
    ]
    return form


def _own_url(grant: Grant) -> str:
    return url_for("grants.recipients.own", grant_id=grant.id)
