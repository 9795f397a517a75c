"""From the offer to the last instalment, with payouts and the ledger in one database."""

import io
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core import ledger
from core.errors import IllegalTransition, InvalidInput, NotAllowed, NotFound
from core.identity.models import Organisation, Person, Role
from grants import queries
from grants.models import (
    Grant,
    GrantStatus,
    Instalment,
    InstalmentStatus,
    PaperworkStatus,
    PaperworkTemplate,
    Payee,
    ProgrammeKind,
    ReportStatus,
    Round,
    RoundStatus,
    Schedule,
)
from grants.policies import Milestone
from grants.services import funding, grants, instalments, paperwork, programmes, reports, rounds
from grants.services.grants import PayeeChoice
from payouts.models import Payout, PayoutStatus, RecipientKind
from pledge.services import membership
from tests.integration.grants import builders
from tests.integration.grants.builders import Funder, accepted, offer, usd

MONTHLY = offer(usd(100_000), schedule=Schedule.MONTHLY, count=12, starts_on=date(2026, 11, 1))


@pytest.fixture
def offered(session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime) -> Grant:
    return builders.offered(session, open_round, funder, maintainer, now, MONTHLY)


@pytest.fixture
def active(session: Session, offered: Grant, maintainer: Person, now: datetime) -> Grant:
    return accepted(session, offered, maintainer, now)


def ending(session: Session, part: Instalment, status: PayoutStatus, now: datetime) -> None:
    """What payouts would do, without its engine: the payout ends, and its money moves in the ledger."""
    payout = session.get_one(Payout, part.payout_id)
    bank = ledger.Leg(debit=part.grant.account, credit="assets:bank:usd", amount=part.amount_minor)
    if status is PayoutStatus.PAID:
        ledger.post(session, key=f"paid:{payout.id}", kind="payout.paid", legs=[bank], at=now)
    if status is PayoutStatus.RETURNED:
        back = ledger.Leg(debit=bank.credit, credit=bank.debit, amount=bank.amount)
        ledger.post(session, key=f"returned:{payout.id}", kind="payout.returned", legs=[back], at=now)
    session.execute(text("ALTER TABLE payout DISABLE TRIGGER USER"))
    session.execute(
        text("ALTER TABLE payout DROP CONSTRAINT IF EXISTS ck_payout_approved_in_a_run, "
             "DROP CONSTRAINT IF EXISTS ck_payout_approved_by_somebody")
    )  # fmt: skip
    payout.status, payout.paid_at = status, None if status is PayoutStatus.CANCELLED else now
    payout.cash_account = bank.credit
    session.flush()


# Offer and acceptance


def test_acceptance_commits_the_money_to_the_grant(session: Session, offered: Grant, maintainer: Person, now: datetime) -> None:
    grant = accepted(session, offered, maintainer, now)
    assert (grant.status, grant.payee) == (GrantStatus.ACTIVE, Payee.DIRECT)
    assert ledger.balance(session, grant.account).available == 10_000_000
    assert ledger.balance(session, grant.programme.account).posted == 0
    assert (grant.recipient.name, grant.recipient.country) == ("Mia Maintainer", "DE")  # type: ignore[union-attr]
    with pytest.raises(IllegalTransition):
        accepted(session, offered, maintainer, now)


def test_through_a_host_the_fee_of_the_day_is_kept(
    session: Session, offered: Grant, funder: Funder, maintainer: Person, now: datetime
) -> None:
    body = builders.organisation(session, "Open Source Collective", country="US")
    builders.member(session, funder.officer, Role.PROGRAMME_OFFICER, organisation_id=body.id)
    terms = {"organisation": body, "actor": funder.officer, "now": now}
    host = funding.register_host(session, fee_percent=Decimal(10), from_on=date(2020, 1, 1), **terms)
    choice = PayeeChoice(payee=Payee.FISCAL_HOST, fiscal_host_id=host.id)
    grant = grants.accept(session, offered.id, person=maintainer, choice=choice, now=now)
    newer = funding.register_host(session, fee_percent=Decimal("12.5"), from_on=now.date(), **terms)
    assert (grant.host_fee_percent, host.until_on) == (Decimal(10), now.date())
    assert [h.id for h in queries.fiscal_hosts(session, on=now.date())] == [newer.id]
    assert grant.recipient.kind is RecipientKind.FISCAL_HOST  # type: ignore[union-attr]
    with pytest.raises(InvalidInput):
        funding.register_host(session, fee_percent=Decimal(100), from_on=now.date(), **terms)


def test_an_offer_belongs_to_its_applicant(session: Session, offered: Grant, now: datetime) -> None:
    with pytest.raises(NotFound):
        accepted(session, offered, builders.person(session, "Eve"), now)


@pytest.mark.parametrize("choice", [PayeeChoice(payee=Payee.FISCAL_HOST), PayeeChoice(payee=Payee.DIRECT, country="DE"),
                                    PayeeChoice(payee=Payee.DIRECT, legal_name="Mia", country="Germany")])  # fmt: skip
def test_who_is_paid_must_be_said(
    session: Session, offered: Grant, maintainer: Person, now: datetime, choice: PayeeChoice
) -> None:
    with pytest.raises(InvalidInput), session.begin_nested():
        grants.accept(session, offered.id, person=maintainer, choice=choice, now=now)


def test_a_declined_offer_frees_its_money_and_place(session: Session, offered: Grant, maintainer: Person, now: datetime) -> None:
    grants.decline(session, offered.id, person=maintainer, reason="Took a job", now=now)
    assert (offered.status, offered.ended_reason) == (GrantStatus.TERMINATED, "Declined: Took a job")
    assert ledger.balance(session, offered.programme.account).available == 10_000_000
    assert {part.status for part in offered.instalments} == {InstalmentStatus.CANCELLED}
    assert queries.standing(session, offered.programme, on=now.date()).places_taken == 0


def test_an_unanswered_offer_lapses(session: Session, offered: Grant, maintainer: Person, now: datetime) -> None:
    assert grants.lapse_offers(session, now=now + timedelta(days=60)) == []
    with pytest.raises(grants.OfferLapsed):
        accepted(session, offered, maintainer, now + timedelta(days=61))
    assert grants.lapse_offers(session, now=now + timedelta(days=61)) == [offered]
    assert ledger.balance(session, offered.programme.account).available == 10_000_000


def test_an_offer_accepted_while_the_clock_waits_for_it_does_not_lapse(
    session: Session, open_round: Round, funder: Funder, offered: Grant, maintainer: Person, now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    silent = builders.offered(session, open_round, funder, builders.person(session, "Silent"), now, offer(usd(50)))
    listed = queries.lapsed_offers(session, on=(now + timedelta(days=61)).date())
    assert {offered.id, silent.id} == set(listed)
    accepted(session, offered, maintainer, now + timedelta(days=60))
    monkeypatch.setattr(queries, "lapsed_offers", lambda session, *, on: listed)
    assert grants.lapse_offers(session, now=now + timedelta(days=61)) == [silent]
    assert offered.status is not GrantStatus.TERMINATED


# Paperwork


def test_payments_begin_with_the_last_document(
    session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime
) -> None:
    for position, name in enumerate(["Grant agreement", "Tax form"], start=1):
        session.add(PaperworkTemplate(programme_id=open_round.programme_id, position=position, name=name))
    session.flush()
    session.expire_all()
    grant = accepted(session, builders.offered(session, open_round, funder, maintainer, now, MONTHLY), maintainer, now)
    assert grant.status is GrantStatus.PAPERWORK
    extra = paperwork.add(
        session, grant.id, name="Residency certificate", guidance="", days_expected=90, officer=funder.officer, now=now
    )
    first, second, _ = grant.paperwork
    paperwork.hand_in(session, first.id, person=maintainer, stream=io.BytesIO(b"%PDF-1"), name="a.pdf", now=now)
    paperwork.ask_again(session, first.id, officer=funder.officer, reason="Not signed", now=now)
    paperwork.hand_in(session, first.id, person=maintainer, stream=io.BytesIO(b"%PDF-2"), name="a.pdf", now=now)
    paperwork.check(session, first.id, officer=funder.officer, now=now)
    paperwork.waive(session, second.id, officer=funder.officer, reason="Not a US person", now=now)
    assert grant.status is GrantStatus.PAPERWORK
    with pytest.raises(NotAllowed):
        paperwork.check(session, extra.id, officer=maintainer, now=now)
    paperwork.check(session, extra.id, officer=funder.officer, now=now)
    assert (grant.status, second.status) == (GrantStatus.ACTIVE, PaperworkStatus.WAIVED)
    assert grant.instalments[0].status is InstalmentStatus.RELEASED  # its day came while documents were collected


# Instalments


def test_a_month_at_a_time(session: Session, active: Grant, funder: Funder, now: datetime) -> None:
    states = [part.status for part in active.instalments]
    assert states == [InstalmentStatus.RELEASED] + [InstalmentStatus.PLANNED] * 11
    first = instalments.approve(session, active.instalments[0].id, officer=funder.officer, now=now)
    payout = session.get_one(Payout, first.payout_id)
    assert (str(payout.money), payout.fund_account, payout.status) == ("8,333.34 USD", active.account, PayoutStatus.DRAFT)
    assert payout.obligation == f"grant-instalment:{first.id}"
    moved = instalments.bring_all_up_to_date(session, now=now + timedelta(days=30))
    assert [part.number for part in moved] == [2]
    assert active.instalments[1].status is InstalmentStatus.RELEASED
    assert instalments.bring_all_up_to_date(session, now=now + timedelta(days=30)) == []


def test_the_news_of_a_payout_told_twice_changes_once(session: Session, active: Grant, funder: Funder, now: datetime) -> None:
    part = instalments.approve(session, active.instalments[0].id, officer=funder.officer, now=now)
    assert part.payout_id is not None
    assert instalments.payout_changed(session, part.payout_id, refused=True, now=now) is None
    ending(session, part, PayoutStatus.PAID, now)
    assert instalments.payout_changed(session, part.payout_id, refused=False, now=now) is part
    assert instalments.payout_changed(session, part.payout_id, refused=False, now=now) is None
    assert (part.status, part.paid_at) == (InstalmentStatus.PAID, now)


def test_money_that_came_back_can_be_paid_again(session: Session, active: Grant, funder: Funder, now: datetime) -> None:
    part = instalments.approve(session, active.instalments[0].id, officer=funder.officer, now=now)
    earlier = part.payout_id
    assert earlier is not None
    ending(session, part, PayoutStatus.PAID, now)
    ending(session, part, PayoutStatus.RETURNED, now)  # both before the first news was read
    instalments.payout_changed(session, earlier, refused=False, now=now)
    assert part.status is InstalmentStatus.RETURNED
    with pytest.raises(InvalidInput):
        instalments.reopen(session, part.id, officer=funder.officer, reason=" ", now=now)
    instalments.reopen(session, part.id, officer=funder.officer, reason="New bank details", now=now)
    instalments.approve(session, part.id, officer=funder.officer, now=now)
    again = session.get_one(Payout, part.payout_id)
    assert (again.id != earlier, again.round) == (True, 2)
    assert instalments.payout_changed(session, earlier, refused=False, now=now) is None  # old news
    assert part.status is InstalmentStatus.IN_PAYOUT


def test_a_cancelled_payout_opens_its_instalment(session: Session, active: Grant, funder: Funder, now: datetime) -> None:
    part = instalments.approve(session, active.instalments[0].id, officer=funder.officer, now=now)
    assert part.payout_id is not None
    ending(session, part, PayoutStatus.CANCELLED, now)
    instalments.payout_changed(session, part.payout_id, refused=False, now=now)
    assert part.status is InstalmentStatus.RELEASED


def test_a_gate_opens_with_an_accepted_report_or_a_reason(
    session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime
) -> None:
    terms = offer(usd(30_000), schedule=Schedule.QUARTERLY, count=3, starts_on=date(2026, 3, 1), report_gate=True)
    grant = accepted(session, builders.offered(session, open_round, funder, maintainer, now, terms), maintainer, now)
    first, second, third = grant.instalments
    assert [part.status for part in grant.instalments] == [
        InstalmentStatus.RELEASED, InstalmentStatus.DUE, InstalmentStatus.DUE,
    ]  # fmt: skip
    with pytest.raises(instalments.GateClosed):
        instalments.release(session, second.id, officer=funder.officer, now=now)
    weak = reports.submit(session, grant.id, person=maintainer, body="Did things.", instalment_id=second.id, now=now)
    with pytest.raises(reports.AlreadyReported):
        reports.submit(session, grant.id, person=maintainer, body="More.", instalment_id=second.id, now=now)
    reports.send_back(session, weak.id, officer=funder.officer, note="Which things?", now=now)
    attachments = [("log.txt", io.BytesIO(b"release 1.0"))]
    better = reports.submit(
        session, grant.id, person=maintainer, body="Released 1.0.", instalment_id=second.id, attachments=attachments, now=now
    )
    reports.accept(session, better.id, officer=funder.officer, now=now)
    assert (better.status, second.status) == (ReportStatus.ACCEPTED, InstalmentStatus.RELEASED)
    instalments.release(session, third.id, officer=funder.officer, waiver="Ill; the next report covers both.", now=now)
    assert third.status is InstalmentStatus.RELEASED
    assert first.gated is False


def test_a_milestone_is_due_when_its_report_is_accepted(
    session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime
) -> None:
    steps = [Milestone("Design", usd(4_000)), Milestone("Release", usd(6_000))]
    terms = offer(usd(10_000), schedule=Schedule.MILESTONES, milestones=steps, report_gate=True)
    grant = accepted(session, builders.offered(session, open_round, funder, maintainer, now, terms), maintainer, now)
    design, release = grant.instalments
    assert {part.status for part in grant.instalments} == {InstalmentStatus.PLANNED}
    report = reports.submit(session, grant.id, person=maintainer, body="The design.", instalment_id=design.id, now=now)
    reports.accept(session, report.id, officer=funder.officer, now=now)
    instalments.reach(session, release.id, officer=funder.officer, now=now)
    assert (design.status, release.status) == (InstalmentStatus.RELEASED, InstalmentStatus.DUE)


def test_nothing_is_paid_while_suspended(session: Session, active: Grant, funder: Funder, now: datetime) -> None:
    grants.suspend(session, active.id, officer=funder.officer, reason="The maintainer can't be reached.", now=now)
    with pytest.raises(instalments.GrantNotActive):
        instalments.approve(session, active.instalments[0].id, officer=funder.officer, now=now)
    later = now + timedelta(days=31)
    instalments.bring_all_up_to_date(session, now=later)
    assert active.instalments[1].status is InstalmentStatus.DUE
    grants.resume(session, active.id, officer=funder.officer, reason="", now=later)
    assert active.instalments[1].status is InstalmentStatus.RELEASED


def test_ending_early_returns_what_was_not_paid(session: Session, active: Grant, funder: Funder, now: datetime) -> None:
    first = instalments.approve(session, active.instalments[0].id, officer=funder.officer, now=now)
    with pytest.raises(grants.InPayout):
        grants.terminate(session, active.id, officer=funder.officer, reason="Project ended", now=now)
    assert first.payout_id is not None
    ending(session, first, PayoutStatus.PAID, now)
    instalments.payout_changed(session, first.payout_id, refused=False, now=now)
    with pytest.raises(InvalidInput):
        grants.terminate(session, active.id, officer=funder.officer, reason=" ", now=now)
    grants.terminate(session, active.id, officer=funder.officer, reason="Project ended", now=now)
    assert (active.status, active.returned_minor) == (GrantStatus.TERMINATED, 10_000_000 - 833_334)
    assert ledger.balance(session, active.programme.account).available == 10_000_000 - 833_334
    assert ledger.balance(session, active.account).posted == 0
    assert queries.standing(session, active.programme, on=now.date()).committed == usd(0) + first.money
    ending(session, first, PayoutStatus.RETURNED, now)  # and then even that came back
    instalments.payout_changed(session, first.payout_id, refused=False, now=now)
    assert (first.status, active.returned_minor) == (InstalmentStatus.CANCELLED, 10_000_000)
    assert ledger.balance(session, active.programme.account).available == 10_000_000
    assert queries.standing(session, active.programme, on=now.date()).places_taken == 0


def test_a_grant_completes_when_paid_and_over(
    session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = offer(usd(1_000), months=1)
    grant = accepted(session, builders.offered(session, open_round, funder, maintainer, now, terms), maintainer, now)
    part = instalments.approve(session, grant.instalments[0].id, officer=funder.officer, now=now)
    assert part.payout_id is not None
    ending(session, part, PayoutStatus.PAID, now)
    instalments.payout_changed(session, part.payout_id, refused=False, now=now)
    assert grants.complete_finished(session, now=now) == []  # its month is not over
    later = now + timedelta(days=30)
    assert grants.complete_finished(session, now=later) == [grant]
    with monkeypatch.context() as patched:  # listed, and completed by somebody else before it is locked
        patched.setattr(queries, "finished_grants", lambda session, *, on: [grant.id])
        assert grants.complete_finished(session, now=later) == []
    ending(session, part, PayoutStatus.RETURNED, later)
    instalments.payout_changed(session, part.payout_id, refused=False, now=later)
    instalments.reopen(session, part.id, officer=funder.officer, reason="Account closed", now=later)
    assert grant.status is GrantStatus.ACTIVE


# What the database holds by itself


def test_the_database_refuses_instalments_that_do_not_sum(session: Session, active: Grant) -> None:
    session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    with pytest.raises(DBAPIError, match="sum to"), session.begin_nested():
        session.execute(text("UPDATE instalment SET amount_minor = amount_minor + 1 WHERE number = 1"))
    with pytest.raises(DBAPIError, match="sum to"), session.begin_nested():
        session.execute(text("DELETE FROM instalment WHERE number = 12"))
    session.execute(
        text("UPDATE instalment SET amount_minor = amount_minor + CASE number WHEN 1 THEN 1 ELSE -1 END WHERE number IN (1, 2)")
    )


@pytest.mark.parametrize(("column", "constraint"), [("annual_cap_minor = 9999999", "are committed"),
                                                    ("award_cap_minor = 9999999", "at most"),
                                                    ("places_per_year = 1", "places of")])  # fmt: skip
def test_the_database_refuses_an_award_beyond_the_limits_too(
    session: Session, offered: Grant, column: str, constraint: str
) -> None:
    copy = """
        INSERT INTO "grant" (id, programme_id, project_id, status, recipient_name, amount_minor, currency, returned_minor,
            amount_undisclosed, awarded_on, year, purpose, schedule, report_gate, offered_at, source_url, is_demo)
        SELECT gen_random_uuid(), programme_id, project_id, status, recipient_name, amount_minor, currency, 0,
            false, awarded_on, year, purpose, schedule, report_gate, offered_at, 'https://example.org', false
        FROM "grant" WHERE id = :id
    """
    with session.begin_nested() as undone:
        session.execute(text(copy), {"id": offered.id})  # the same row goes in while no limit stands against it
        undone.rollback()
    session.execute(text(f"UPDATE programme SET {column} WHERE id = :id"), {"id": offered.programme_id})
    with pytest.raises(DBAPIError, match=constraint), session.begin_nested():
        session.execute(text(copy), {"id": offered.id})


# Rounds and money of a programme


def test_rounds_open_and_close_by_themselves(session: Session, programme: object, funder: Funder, now: datetime) -> None:
    of = builders.programme(session, funder)
    made = rounds.plan_round(
        session, of.id, name="Winter", opens_on=date(2026, 12, 1), closes_on=date(2026, 12, 31), decides_on=None,
        actor=funder.officer, now=now,
    )  # fmt: skip
    assert made.status is RoundStatus.PLANNED
    assert made not in rounds.keep_rounds(session, now=now)
    for day, status in ((1, RoundStatus.OPEN), (31, RoundStatus.OPEN), (32, RoundStatus.CLOSED)):
        rounds.keep_rounds(session, now=datetime(2026, 11, 30, 12, tzinfo=now.tzinfo) + timedelta(days=day))
        assert made.status is status
    assert rounds.move_round(session, made.id, to=RoundStatus.DECIDED, actor=funder.officer, now=now)


def test_a_round_is_decided_when_everything_in_it_is(
    session: Session, open_round: Round, funder: Funder, maintainer: Person, now: datetime
) -> None:
    builders.submit(session, open_round, maintainer, now)
    rounds.move_round(session, open_round.id, to=RoundStatus.CLOSED, actor=funder.officer, now=now)
    with pytest.raises(rounds.RoundHasUndecided):
        rounds.move_round(session, open_round.id, to=RoundStatus.DECIDED, actor=funder.officer, now=now)


def test_a_programme_is_funded_once_from_what_a_fund_holds(session: Session, funder: Funder, now: datetime) -> None:
    of = builders.programme(session, funder)
    fund = "liabilities:fund:tests:usd"
    ledger.ensure_account(session, fund, "USD", normal=ledger.Side.CREDIT, guard=ledger.Guard.CREDIT)
    ledger.ensure_account(session, of.account, "USD", normal=ledger.Side.CREDIT, guard=ledger.Guard.CREDIT)
    builders.money_in(session, builders.programme(session, funder), usd(1), now)
    legs = [ledger.Leg(debit="assets:bank:usd", credit=fund, amount=50_000)]
    ledger.post(session, key="test:fund", kind="test.money-in", legs=legs, at=now)
    wish = {"source_account": fund, "money": usd(400), "key": "k1", "actor": funder.finance, "now": now, "reason": "2026"}
    for _ in range(2):
        funding.fund(session, of.id, **wish)
    assert queries.available(session, of) == usd(400)
    with pytest.raises(ledger.InsufficientFunds):
        funding.fund(session, of.id, **wish | {"key": "k2"})
    with pytest.raises(NotAllowed):
        funding.fund(session, of.id, **wish | {"actor": funder.officer})
    with pytest.raises(InvalidInput):
        funding.fund(session, of.id, **wish | {"source_account": "assets:bank:usd"})


def test_programmes_of_kinds_not_operated_are_refused(session: Session, funder: Funder, now: datetime) -> None:
    from grants.models import OPERATED_KINDS, ProgrammeStatus

    rules = {"name": "Fund", "summary": "For all.", "currency": "USD"}
    for kind in ProgrammeKind:
        wish = {"slug": builders.slugged("fund"), "organisation": funder.organisation, "actor": funder.officer, "now": now}
        if kind in OPERATED_KINDS:
            made = programmes.create(session, rules=programmes.Rules(kind=kind, **rules), **wish)
            with pytest.raises(InvalidInput, match="rubric"):
                programmes.publish(session, made.id, actor=funder.officer, now=now)
            paper = programmes.Paper(rubric=(programmes.RubricLine("Merit", 1),), checks=(("Is free", ""),))
            programmes.set_paper(session, made.id, paper=paper, actor=funder.officer, now=now)
            session.expire_all()
            assert programmes.publish(session, made.id, actor=funder.officer, now=now).status is ProgrammeStatus.RUNNING
        else:
            with pytest.raises(programmes.KindNotOperated):
                programmes.create(session, rules=programmes.Rules(kind=kind, **rules), **wish)
    assert session.scalars(select(Grant)).first() is None


def test_who_makes_an_organisation_gets_no_money_of_the_platforms_funds(session: Session, funder: Funder, now: datetime) -> None:
    stranger = builders.person(session, "Sly Stranger")
    body = session.get(Organisation, membership.apply(session, name="Sly", url=None, applicant=stranger, now=now).organisation_id)
    assert body is not None
    assert not queries.is_any_officer(session, stranger, on=now.date())  # or the register of interests would be theirs to read
    rules = programmes.Rules(kind=ProgrammeKind.OPEN_CALL, name="Mine", summary="For me.", currency="USD")
    with pytest.raises(NotAllowed, match="asked to join"):
        programmes.create(session, slug="sly", organisation=body, rules=rules, actor=stranger, now=now)
    builders.member(session, stranger, Role.OWNER, organisation_id=funder.organisation.id)
    of, fund = builders.programme(session, funder), "liabilities:fund:open-pledge:usd"
    with pytest.raises(NotAllowed):
        funding.fund(session, of.id, source_account=fund, money=usd(1), key="sly", actor=stranger, now=now, reason="Mine")


def test_officers_decide_nothing_about_money_of_their_own(
    session: Session, active: Grant, funder: Funder, maintainer: Person, now: datetime
) -> None:
    builders.member(session, maintainer, Role.PROGRAMME_OFFICER, organisation_id=funder.organisation.id)
    for act in (instalments.release, instalments.approve):
        with pytest.raises(NotAllowed, match="This grant is yours"):
            act(session, active.instalments[0].id, officer=maintainer, now=now)
