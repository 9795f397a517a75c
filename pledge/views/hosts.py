"""Finance's page of an instalment that a fiscal host receives: recorded there, looked at, confirmed."""

from collections.abc import Callable, Mapping
from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core.clock import utc_now
from core.errors import DomainError, NotFound
from core.identity.models import Role
from core.web import current_person, db, flash, fresh_second_factor, page, refused, requires, transactions
from core.web.forms import Form
from pledge import host_queries, providers, queries
from pledge.forms import AtHostForm, CameForm, NotedForm
from pledge.models import HostOrder, HostOrderStatus, InstalmentStatus, PledgeInstalment
from pledge.providers.hosts import HostRefused, HostSilent
from pledge.services import host_orders, host_returns, instalments
from pledge.views.blueprint import bp
from pledge.views.shared import stored

SAID: dict[str, str] = {
    HostOrderStatus.ASKED: "The host was asked and gave no clear answer. It is looked at every hour; nothing is asked twice.",
    HostOrderStatus.EXPECTED: "The host expects it. When the transfer is on its bank account, note it here.",
    HostOrderStatus.PAID: "The host's books show that it came.",
    HostOrderStatus.EXPIRED: "The host does not expect it any more.",
    HostOrderStatus.REFUSED: "It was not recorded at the host.",
}
assert SAID.keys() == set(HostOrderStatus)


@bp.app_template_filter()
def host_order_meaning(row: HostOrder) -> str:
    """What the state of an order at the host means."""
    if row.instalment.status is InstalmentStatus.REFUNDED_FULL and host_returns.settled_by(row):
        return "The host gave it back. It is out of the fund again, and counts for the company’s year no more."
    if row.instalment.status is InstalmentStatus.REFUNDED_PART and host_returns.settled_by(row):
        return "The host gave a part of it back. That is out of the fund again; what stayed counts for the company’s year."
    return SAID[row.status]


@bp.get("/finance/pay-ins/<uuid:instalment_id>/host")
@requires(Role.FINANCE)
def show_at_host(instalment_id: UUID) -> ResponseReturnValue:
    """What the host knows of an instalment, and what is next."""
    return _page(queries.instalment(db(), instalment_id))


@bp.post("/finance/pay-ins/<uuid:instalment_id>/host")
@requires(Role.FINANCE)
def record_at_host(instalment_id: UUID) -> ResponseReturnValue:
    """Have the host expect an instalment."""
    row, form, host = queries.instalment(db(), instalment_id), AtHostForm(), providers.required_host()
    if form.validate_on_submit():
        try:
            made = host_orders.ask(
                db(),
                instalment_id,
                host=host,
                payer=form.payer.data,
                expected_on=form.expected_on.data,
                fee_percent=form.fee_percent.data,
                actor=current_person(),
                now=utc_now(),
            )
        except DomainError as error:
            refused(form, error)
        else:
            order_id = made.id
            db().commit()  # it is written down before the host is asked, and no transaction is open meanwhile
            _told(lambda: host_orders.record(transactions, host, order_id, clock=utc_now), "The host expects it.")
            return _back(instalment_id)
    return _page(row, at_host=form)


@bp.post("/finance/pay-ins/<uuid:instalment_id>/host/<uuid:order_id>/look")
@requires(Role.FINANCE)
def look_at_host(instalment_id: UUID, order_id: UUID) -> ResponseReturnValue:
    """Read the host's books."""
    _of(instalment_id, order_id)
    host = providers.required_host()
    db().commit()
    _told(lambda: host_orders.look(transactions, host, order_id, clock=utc_now), "Looked at.")
    return _back(instalment_id)


@bp.post("/finance/pay-ins/<uuid:instalment_id>/host/arrival")
@requires(Role.FINANCE)
def note_at_host(instalment_id: UUID) -> ResponseReturnValue:
    """Note that the transfer shows on the host's bank account."""
    row, form = queries.instalment(db(), instalment_id), NotedForm()
    if form.validate_on_submit():
        try:
            evidence = stored(form.evidence_file)
            assert evidence is not None, "a required field"
            instalments.note_arrival(
                db(), instalment_id, sent_on=form.sent_on.data, evidence=evidence, actor=current_person(), now=utc_now()
            )
        except DomainError as error:
            refused(form, error)
        else:
            flash("Noted. Somebody else in finance confirms it.")
            return _back(instalment_id)
    return _page(row, noted=form)


@bp.post("/finance/pay-ins/<uuid:instalment_id>/host/<uuid:order_id>/payment")
@requires(Role.FINANCE)
@fresh_second_factor
def confirm_at_host(instalment_id: UUID, order_id: UUID) -> ResponseReturnValue:
    """Have the host book that it came, and settle it."""
    order, form, host = _of(instalment_id, order_id), CameForm(), providers.required_host()
    if form.validate_on_submit():
        actor, received_on = current_person(), form.received_on.data
        db().commit()
        try:
            host_orders.pay(transactions, host, order_id, received_on=received_on, actor=actor, clock=utc_now)
        except DomainError as error:
            refused(form, error)
        else:
            flash(f"{order.money} are settled and in the ledger.")
            return _back(instalment_id)
    return _page(queries.instalment(db(), instalment_id), came=form)


@bp.post("/finance/pay-ins/<uuid:instalment_id>/host/<uuid:order_id>/expiry")
@requires(Role.FINANCE)
def expire_at_host(instalment_id: UUID, order_id: UUID) -> ResponseReturnValue:
    """Have the host expect it no longer."""
    _of(instalment_id, order_id)
    host = providers.required_host()
    db().commit()
    _told(lambda: host_orders.give_up(transactions, host, order_id, clock=utc_now), "The host does not expect it any more.")
    return _back(instalment_id)


def _told(deed: Callable[[], None], done: str) -> None:
    """Do something at the host, and say what came of it."""
    try:
        deed()
    except (HostRefused, HostSilent) as error:
        flash(error.message, "warning")
    else:
        flash(done)


def _of(instalment_id: UUID, order_id: UUID) -> HostOrder:
    order = host_queries.order(db(), order_id)
    if order.instalment_id != instalment_id:
        raise NotFound("There is no such order at the host.")
    return order


def _back(instalment_id: UUID) -> ResponseReturnValue:
    return redirect(url_for(".show_at_host", instalment_id=instalment_id), code=303)


def _page(row: PledgeInstalment, **given: Form) -> ResponseReturnValue:
    """`given`: the form that was refused, by its place on the page."""
    orders = host_queries.of_instalments(db(), [row.id])
    live = host_queries.live(db(), row.id)
    kinds: Mapping[str, type[Form]] = {"at_host": AtHostForm, "noted": NotedForm, "came": CameForm}
    return page(
        "pledge/at_host.html",
        form=next(iter(given.values()), None),
        instalment=row,
        orders=orders,
        live=live,
        host=providers.host(),
        person=current_person(),
        names=queries.names_of(db(), [row.entered_by_id, *(each.recorded_by_id for each in orders)]),
        **{place: given.get(place) or kind(formdata=None) for place, kind in kinds.items()},
    )
