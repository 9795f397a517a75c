"""Paying an instalment online: the company's page of one instalment, and the way to the provider's."""

from uuid import UUID

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from core.clock import utc_now
from core.errors import DomainError, NotFound
from core.tasks import enqueue
from core.web import current_person, db, flash, page, signed_in
from pledge import providers, queries, terms
from pledge.models import InstalmentStatus, InstalmentWay, PayIn, PayInStatus, PledgeInstalment
from pledge.policies import online_ways
from pledge.policies import pay_ins as policy
from pledge.providers.base import CustomerUnknown, PageWanted, PayPage, Provider
from pledge.services import customers, pay_ins
from pledge.services.pay_ins import LookAt
from pledge.views.blueprint import bp
from pledge.views.shared import editable, may_edit, readable


@bp.get("/company/<slug>/instalments/<uuid:instalment_id>")
@signed_in
def show_instalment(slug: str, instalment_id: UUID) -> ResponseReturnValue:
    """Where the money of an instalment is, and what to do next."""
    return _page(instalment_of(slug, instalment_id, reading=True))


@bp.post("/company/<slug>/instalments/<uuid:instalment_id>/page")
@signed_in
def open_pay_page(slug: str, instalment_id: UUID) -> ResponseReturnValue:
    """Have the provider open a page where the next part can be paid. No transaction is open while it is asked."""
    row = instalment_of(slug, instalment_id)
    try:
        provider = providers.required()
        pay_in = pay_ins.start(db(), row.id, actor=current_person(), now=utc_now())
        if not pay_ins.has_page(pay_in):
            pay_ins.opened(db(), pay_in.id, _opened(provider, pay_in), now=utc_now())
    except DomainError as error:
        db().rollback()
        return _page(instalment_of(slug, instalment_id), error)
    return redirect(url_for(".show_instalment", slug=slug, instalment_id=instalment_id), code=303)


@bp.get("/company/<slug>/instalments/<uuid:instalment_id>/return")
@signed_in
def come_back(slug: str, instalment_id: UUID) -> ResponseReturnValue:
    """Back from the provider's page. That it sends people here says nothing; it is asked, in a second or two."""
    row = instalment_of(slug, instalment_id, reading=True)
    if _look_soon(row):
        flash("We ask Stripe what became of it. Load this page again in a few seconds.")
    return redirect(url_for(".show_instalment", slug=slug, instalment_id=instalment_id), code=303)


@bp.post("/company/<slug>/instalments/<uuid:instalment_id>/look")
@signed_in
def look_again(slug: str, instalment_id: UUID) -> ResponseReturnValue:
    """Ask the provider now, not within the hour."""
    row = instalment_of(slug, instalment_id)
    if _look_soon(row):
        flash("We ask Stripe where the money is. Load this page again in a few seconds.")
    return redirect(url_for(".show_instalment", slug=slug, instalment_id=instalment_id), code=303)


@bp.post("/company/<slug>/instalments/<uuid:instalment_id>/closing")
@signed_in
def close_pay_page(slug: str, instalment_id: UUID) -> ResponseReturnValue:
    """Close a page that nobody has paid at, or cancel a transfer that nobody sent, for instance to pay another way."""
    row = instalment_of(slug, instalment_id)
    try:
        provider = providers.required()
        unpaid = next((each for each in row.pay_ins if policy.may_be_given_up(each)), None)
        if unpaid is not None:
            given_up = pay_ins.give_up(db(), unpaid.id, actor=current_person(), now=utc_now())
            pay_in_id, session_id, waits = given_up.id, given_up.session_id, given_up.status is PayInStatus.PROCESSING
            payment_id = given_up.payment_id
            before = pay_ins.watched(db(), pay_in_id)
            db().commit()
            if session_id is None:
                pay_ins.never_opened(db(), pay_in_id, now=utc_now())
            else:
                if waits and payment_id is not None:
                    provider.cancel(payment_id)
                else:
                    provider.close_page(session_id)
                if not pay_ins.apply(db(), pay_in_id, provider.look(session_id), looks=before.looks, now=utc_now()):
                    _look_soon(row)
    except DomainError as error:
        db().rollback()
        return _page(instalment_of(slug, instalment_id), error)
    return redirect(url_for(".show_instalment", slug=slug, instalment_id=instalment_id), code=303)


def _opened(provider: Provider, pay_in: PayIn) -> PayPage:
    """The provider's page, under a customer that it knows: after a change of its key or account, a new one."""
    known = customers.customer_of(db(), pay_in.instalment.member.organisation)
    customer = known or _new_customer(provider, pay_in, instead_of=None)
    try:
        return provider.open_page(_wanted(pay_in, customer))
    except CustomerUnknown:
        return provider.open_page(_wanted(pay_in, _new_customer(provider, pay_in, instead_of=customer)))


def _new_customer(provider: Provider, pay_in: PayIn, *, instead_of: str | None) -> str:
    organisation = pay_in.instalment.member.organisation
    key = pay_ins.ask(db(), pay_in.id)
    db().commit()
    made = customers.made(provider, organisation.id, organisation.name, key=key)
    customer = customers.remember_customer(db(), organisation, made, instead_of=instead_of, now=utc_now())
    db().commit()
    return customer


def _wanted(pay_in: PayIn, customer: str) -> PageWanted:
    wanted = pay_ins.wanted(db(), pay_in, key=pay_ins.ask(db(), pay_in.id), customer_id=customer, now=utc_now())
    db().commit()
    return wanted


def _look_soon(row: PledgeInstalment) -> bool:
    asked = (each for each in row.pay_ins if each.session_id or each.invoice is not None)
    watched = [each for each in asked if each.status is not PayInStatus.EXPIRED]
    for pay_in in watched:
        enqueue(db(), LookAt(pay_in.id), now=utc_now(), dedupe_key=f"{pay_in.id}:asked")
    return bool(watched)


def instalment_of(slug: str, instalment_id: UUID, *, reading: bool = False) -> PledgeInstalment:
    """An instalment of a company that this person may see, or pay.

    Raises:
        NotFound, NotAllowed: somebody else's.
    """
    member = readable(slug) if reading else editable(slug)
    row = queries.instalment(db(), instalment_id)
    if row.pledge.member_id != member.id:
        raise NotFound("There is no such instalment.")
    return row


def _page(row: PledgeInstalment, error: DomainError | None = None) -> ResponseReturnValue:
    provider = providers.configured()
    outstanding = policy.outstanding(row.money, row.pay_ins)
    invoiced = next((each for each in row.pay_ins if policy.waits_for_payment(each)), None)
    open_one = next((each for each in row.pay_ins if each.status is PayInStatus.OPEN and each is not invoiced), None)
    known, limit = pay_ins.terms_on(db(), row.currency, now=utc_now())
    unopened = [open_one.money] if open_one is not None and open_one.page_url is None else []
    parts = unopened + policy.parts(outstanding)
    methods = online_ways.methods(known, limit, parts[0]) if parts else ()
    by_invoice = known is not None and bool(known.invoice)
    return page(
        "pledge/instalment_page.html",
        status=error.status if error else None,
        error=error,
        instalment=row,
        member=row.member,
        may_edit=may_edit(row.member),
        provider=provider,
        outside_period=pay_ins.outside_period(row.pledge, utc_now().date()) if open_one is None else None,
        not_taken=online_ways.why_none(limit, parts[0]) if parts and not methods and not by_invoice else None,
        open_pay_in=open_one if open_one is not None and open_one.page_url else None,
        awaited=next((each for each in row.pay_ins if each is not open_one and policy.may_be_given_up(each)), None),
        outstanding=outstanding,
        parts=parts,
        invoiced=invoiced,
        ways=[(each, known.fee(each, parts[0]) if known else None) for each in methods],
        known=known if by_invoice else None,
        fee_of_invoice=known.fee(terms.INVOICING, parts[0]) if known and parts else None,
        payable=row.status in pay_ins.PAYABLE
        and invoiced is None
        and (bool(outstanding) or open_one is not None)
        and not (row.way is InstalmentWay.TRANSFER and row.status is InstalmentStatus.PROCESSING),
        overpaid=pay_ins.overpaid(row),
        has_receipt=queries.payment_of_instalment(db(), row) is not None,
        card_limit=limit,
    )
