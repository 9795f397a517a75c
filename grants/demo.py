"""The demo's grants: public figures of two programmes, each with its source, and one made-up programme with a living round."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib.resources import files as package_files

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import ledger
from core.identity.models import Membership, Organisation, OrganisationRole, OrganisationRoleRow, Person, Project, Role
from core.identity.organisations import slug_of
from core.money import Money
from grants import queries
from grants.models import (
    Application,
    ConflictOutcome,
    FiscalHost,
    InterestKind,
    LinkKind,
    Payee,
    PayeeWish,
    Programme,
    ProgrammeKind,
    Recommendation,
    Round,
    RoundStatus,
    Schedule,
    Vote,
)
from grants.policies import plan
from grants.services import (
    applications,
    conflicts,
    decisions,
    funding,
    grants,
    instalments,
    paperwork,
    past,
    programmes,
    reviews,
    rounds,
    screening,
)
from grants.services.grants import PayeeChoice
from grants.services.past import PastGrant, PastPart
from grants.services.programmes import Paper, RubricLine, Rules

FLOSS_FUND = "https://floss.fund"
FLOSS_DIRECTORY = "https://dir.floss.fund"
FELLOWSHIP = "https://techcrunch.com/2024/02/15/sequoia-open-source-fellowship-developer-funding/"
FELLOWS_2024 = "https://sequoiacap.com/article/building-the-future-meet-the-2024-sequoia-open-source-fellows"
COLLECTIVE = "https://docs.oscollective.org/welcome-to-osc/fees"
# The weights are those NLnet publishes: 30 % technical, 40 % relevance, 30 % cost-effectiveness.
RUBRIC = Paper(
    checks=(("Has a licence of the Open Source Initiative", ""), ("Exists already and is widely used", "")),
    rubric=(
        RubricLine("Technical excellence", 30, 5, "Will it work, and is it done well?"),
        RubricLine("Relevance", 40, 5, "Who depends on it, and what would be missing?"),
        RubricLine("Cost-effectiveness", 30, 5, "What does the money change?"),
    ),
)


def load(session: Session, *, now: datetime, people: Mapping[str, Person]) -> None:
    """Load the demo once; on a database that has it, nothing changes. `people` are those of core.identity.demo."""
    if session.scalars(select(Programme).where(Programme.slug == "floss-fund")).first() is not None:
        return
    officer = people["officer"]
    _floss_fund(session, officer, now)
    host = _open_source_collective(session, officer, now)
    _fellowship(session, officer, host, now)
    _Made(session, people, now).up()


def _floss_fund(session: Session, officer: Person, now: datetime) -> None:
    """39 grants of 2025 for exactly $1,000,000, six of them outside the published request rule."""
    zerodha = _organisation(session, "Zerodha", "https://zerodha.com", OrganisationRole.COMPANY, now, country="IN")
    rules = Rules(
        name="FLOSS/fund",
        kind=ProgrammeKind.OPEN_CALL,
        summary="Up to $1,000,000 a year for existing, widely used free and open-source projects. "
        "The grants of 2025 as published; whoever is “accepted” here was “pending” in the directory.",
        currency="USD",
        annual_cap=_usd(1_000_000),
        award_cap=_usd(100_000),
        request_min=_usd(10_000),
        request_step=_usd(25_000),
        request_max=_usd(100_000),
        source_url=FLOSS_FUND,
    )
    programme = _programme(session, "floss-fund", zerodha, rules, officer, now)
    at = now.replace(year=2025, month=1, day=1)
    past.fund_from_outside(
        session, programme, _usd(1_000_000), key="2025", at=at, memo=f"Budget of 2025, as published at {FLOSS_FUND}"
    )
    with (package_files("grants") / "data" / "floss_fund_2025.csv").open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            amount = _usd(int(row["usd"]))
            paid = row["status"] == "complete"
            fits = row["fits_request_rule"] == "yes"
            published = PastGrant(
                recipient_name=row["name"],
                awarded_on=date.fromisoformat(row["announced"]),
                parts=[PastPart("The whole grant", amount, paid)],
                schedule=Schedule.UPFRONT,
                override_reason=None
                if fits
                else f"Published as {amount}, which the published request rule does not allow; the source gives no reason.",
                source_url=row["directory_url"],
                source_title=f"FLOSS/fund directory, tranche {row['tranche']} of 2025",
            )
            past.record(
                session, programme.id, project=_project(session, row["name"], now), past=published, officer=officer, now=now
            )


def _fellowship(session: Session, officer: Person, host: FiscalHost, now: datetime) -> None:
    """The fellows of 2023 and 2024, the direct way and through a host, with the overlaps nobody had to type in."""
    sequoia = _organisation(session, "Sequoia Capital", "https://sequoiacap.com", OrganisationRole.INVESTOR, now, country="US")
    rules = Rules(
        name="Open Source Fellowship",
        kind=ProgrammeKind.FELLOWSHIP,
        summary="Living costs for up to a year for up to three projects a year, without equity or obligation. "
        "The fellows of 2023 and 2024 as published; how the money was cut into instalments is the demo’s own.",
        currency="USD",
        places_per_year=3,
        source_url=FELLOWSHIP,
    )
    programme = _programme(session, "open-source-fellowship", sequoia, rules, officer, now)
    vllm, arena, fastapi = (_project(session, name, now) for name in ("vLLM", "Chatbot Arena", "FastAPI"))
    _overlaps(session, sequoia, {"vLLM": vllm, "Chatbot Arena": arena, "FastAPI": fastapi}, officer, now)
    past.fund_from_outside(
        session, programme, _usd(300_000), key="2023-2024", at=now.replace(year=2023, month=1, day=1),
        memo="The stipends recorded here",
    )  # fmt: skip
    monthly = plan(_usd(100_000), Schedule.MONTHLY, starts_on=date(2023, 6, 1), count=12)
    fellow = PastGrant(
        recipient_name="Sebastián Ramírez",
        awarded_on=date(2023, 5, 1),
        parts=[PastPart(part.name, part.money, paid=True, due_on=part.due_on) for part in monthly],
        schedule=Schedule.MONTHLY,
        purpose="Full-time work on FastAPI for a year, paid directly and monthly.",
        payee=Payee.DIRECT,
        undisclosed=True,
        source_url=FELLOWSHIP,
        source_title="TechCrunch, 15 February 2024: announced in May 2023; day and amount are not published",
    )
    past.record(session, programme.id, project=fastapi, past=fellow, officer=officer, now=now)
    for project, team, purpose in (
        (vllm, "vLLM", "The CI test and benchmark suite on GPUs."),
        (arena, "Chatbot Arena", "The web site, full-stack work, and the upkeep of servers."),
    ):
        quarterly = plan(_usd(100_000), Schedule.QUARTERLY, starts_on=date(2024, 12, 1), count=4)
        grant = PastGrant(
            recipient_name=team,
            awarded_on=date(2024, 11, 1),
            parts=[PastPart(part.name, part.money, paid=True, due_on=part.due_on) for part in quarterly],
            schedule=Schedule.QUARTERLY,
            purpose=purpose,
            payee=Payee.FISCAL_HOST,
            fiscal_host_id=host.id,
            source_url=FELLOWS_2024,
            source_title="Sequoia Capital, November 2024: $100,000 each, through Open Collective",
        )
        past.record(session, programme.id, project=project, past=grant, officer=officer, now=now)


def _overlaps(session: Session, sequoia: Organisation, projects: Mapping[str, Project], officer: Person, now: datetime) -> None:
    """The register: three companies of the portfolio, and what ties them to the three projects."""
    since = date(2023, 1, 1)  # the articles name the ties, not their first day
    pydantic = _project(session, "Pydantic", now)
    held = {
        name: _organisation(session, name, None, OrganisationRole.COMPANY, now)
        for name in ("Replicate", "Factory", "Pydantic Services")
    }
    for company in held.values():
        conflicts.record_interest(
            session, holder=sequoia, kind=InterestKind.HOLDING, subject=company, from_on=since, source_url=FELLOWS_2024,
            actor=officer, now=now,
        )  # fmt: skip
    ties: tuple[tuple[Project, LinkKind, Organisation | Project], ...] = (
        (projects["vLLM"], LinkKind.USED_BY, held["Replicate"]),
        (projects["Chatbot Arena"], LinkKind.USED_BY, held["Factory"]),
        (projects["FastAPI"], LinkKind.DEPENDS_ON, pydantic),
        (pydantic, LinkKind.OWNED_BY, held["Pydantic Services"]),
    )
    for project, kind, other in ties:
        conflicts.record_link(
            session, project=project, kind=kind, other=other, from_on=since, source_url=FELLOWS_2024, actor=officer, now=now
        )


def _open_source_collective(session: Session, officer: Person, now: datetime) -> FiscalHost:
    """10 %, of which its platform takes 15 %."""
    host = _organisation(
        session, "Open Source Collective", "https://oscollective.org", OrganisationRole.FISCAL_HOST, now, country="US"
    )
    return funding.register_host(
        session, organisation=host, fee_percent=Decimal(10), platform_share_percent=Decimal(15), from_on=date(2023, 1, 1),
        source_url=COLLECTIVE, actor=officer, now=now,
    )  # fmt: skip


@dataclass
class _Wish:
    """A made-up application."""

    project: str
    dollars: int
    use: str


class _Made:
    """A made-up fund with one round decided and one open, so that every desk of the platform has something on it."""

    def __init__(self, session: Session, people: Mapping[str, Person], now: datetime) -> None:
        self.session, self.people, self.now = session, people, now
        self.officer, self.maintainer = people["officer"], people["maintainer"]
        self.body = _organisation(
            session, "Example Commons Foundation", "https://example.org/commons", OrganisationRole.FOUNDATION, now
        )
        self.third = _person(session, "sam.okello@demo.example", "Sam Okello", now)
        self.other = _person(session, "jo.doe@demo.example", "Jo Doe", now)
        since = (now - timedelta(days=400)).date()
        for who, role in (
            (self.officer, Role.PROGRAMME_OFFICER),
            (people["reviewer"], Role.REVIEWER),
            (people["second-reviewer"], Role.REVIEWER),
            (self.third, Role.REVIEWER),
            (people["finance"], Role.FINANCE),
        ):
            session.add(Membership(person_id=who.id, organisation_id=self.body.id, role=role, from_on=since))
        session.flush()
        self.reviewers = [people["reviewer"], people["second-reviewer"], self.third]

    def up(self) -> None:
        programme = self._fund()
        spring, autumn = self._rounds(programme)
        self._decided(spring)
        rounds.move_round(self.session, spring.id, to=RoundStatus.CLOSED, actor=self.officer, now=self._ago(60))
        rounds.move_round(self.session, spring.id, to=RoundStatus.DECIDED, actor=self.officer, now=self._ago(20))
        self._open(autumn)

    def _fund(self) -> Programme:
        rules = Rules(
            name="Example Commons Fund",
            kind=ProgrammeKind.OPEN_CALL,
            summary="A made-up fund, to try everything with: it takes applications now, and every figure in it is invented.",
            terms="Say publicly what the grant made possible. There are no other obligations.\n\n"
            "If the work ends early, what was not paid returns to the fund.",
            currency="USD",
            annual_cap=_usd(250_000),
            award_cap=_usd(50_000),
            places_per_year=12,
            request_min=_usd(5_000),
            request_step=_usd(5_000),
            request_max=_usd(50_000),
        )
        paper = Paper(
            checks=RUBRIC.checks,
            rubric=RUBRIC.rubric,
            paperwork=(("Grant agreement", "Signed by whoever receives the money.", 28),),
        )
        programme = _programme(self.session, "example-commons-fund", self.body, rules, self.officer, self._ago(200), paper=paper)
        past.fund_from_outside(
            self.session, programme, _usd(180_000), key="first", at=self._ago(190), memo="Made-up budget of the demo"
        )
        pledged = f"liabilities:fund:open-pledge:{programme.currency.lower()}"
        known = {balance.account: balance.available for balance in ledger.balances(self.session, "liabilities:fund")}
        if known.get(pledged):
            funding.fund(
                self.session, programme.id, source_account=pledged, money=Money(known[pledged] // 2, "USD"), key="demo",
                actor=self.people["finance"], now=self.now, reason="Half of what companies paid in through us",
            )  # fmt: skip
        return programme

    def _rounds(self, programme: Programme) -> tuple[Round, Round]:
        made = []
        for name, theme, opened, closes, decides in (
            ("First round", "Maintenance of what others build on", 150, -70, -25),
            ("Second round", "Tests, releases, security", 20, 25, 55),
        ):
            made.append(
                rounds.plan_round(
                    self.session,
                    programme.id,
                    name=name,
                    theme=theme,
                    opens_on=self._ago(opened).date(),
                    closes_on=(self.now + timedelta(days=closes)).date(),
                    decides_on=(self.now + timedelta(days=decides)).date(),
                    actor=self.officer,
                    now=self._ago(opened),
                )
            )
        return made[0], made[1]

    def _decided(self, round_: Round) -> None:
        """One grant running, one on offer, one declined, one screened out."""
        robotics = self.session.scalars(select(Organisation).where(Organisation.slug == "example-robotics")).first()
        motion = _project(self.session, "Example Motion", self.now)
        if robotics is not None:
            began = self._ago(300).date()
            conflicts.record_link(
                self.session, project=motion, kind=LinkKind.USED_BY, other=robotics, from_on=began, actor=self.officer,
                now=self._ago(140),
            )  # fmt: skip
            conflicts.record_interest(
                self.session, holder=self.reviewers[0], kind=InterestKind.BOARD, subject=robotics, from_on=began,
                actor=self.reviewers[0], now=self._ago(140),
            )  # fmt: skip
        running = self._submitted(round_, _Wish("Example Motion", 30_000, "A year of releases."), self.maintainer, 120)
        self._reviewed(running, 100, recused=self.reviewers[0] if robotics is not None else None)
        self._award(running, 30_000, 40, Schedule.QUARTERLY, count=3, starts=-35, report_gate=True)
        offered = self._submitted(
            round_, _Wish("Sample Numerics", 20_000, "A release manager for half a year."), self.maintainer, 118
        )
        self._reviewed(offered, 100)
        self._award(offered, 20_000, 22, Schedule.MONTHLY, count=6, starts=10)
        declined = self._submitted(round_, _Wish("Sample Plotter", 50_000, "A new plotting engine."), self.other, 117)
        self._reviewed(declined, 100, points=2)
        self._decide(declined, None, 40)
        out = self._submitted(round_, _Wish("Sample Notes", 5_000, "A first release."), self.other, 116)
        self._screen(out, 110, passed=False)
        grant = queries.grant_of_application(self.session, running.id)
        assert grant is not None, "it was just awarded"
        choice = PayeeChoice(payee=Payee.DIRECT, legal_name=self.maintainer.name, country="PT")
        grants.accept(self.session, grant.id, person=self.maintainer, choice=choice, now=self._ago(38))
        paperwork.check(self.session, grant.paperwork[0].id, officer=self.officer, now=self._ago(34))
        instalments.approve(self.session, grant.instalments[0].id, officer=self.officer, now=self._ago(30))

    def _open(self, round_: Round) -> None:
        """A draft, one to be screened, one in review, one before the committee."""
        draft = self._draft(_Wish("Example Motion Tests", 10_000, "Tests on real hardware."))
        applications.start_draft(self.session, round_id=round_.id, applicant=self.maintainer, draft=draft, now=self._ago(3))
        self._submitted(round_, _Wish("Sample Geometry", 15_000, "Fuzzing, and fixing what it finds."), self.other, 2)
        waiting = self._submitted(round_, _Wish("Libexample", 25_000, "Security releases for two years."), self.maintainer, 12)
        self._screen(waiting, 10)
        self._ask(waiting, 9)
        self._score(waiting, self.reviewers[1], 5, points=4)
        short = self._submitted(round_, _Wish("Sample Forms", 20_000, "Accessibility of every widget."), self.other, 14)
        self._reviewed(short, 11, disclosed=self.reviewers[1])
        reviews.shortlist(self.session, short.id, officer=self.officer, now=self._ago(4))

    def _draft(self, wish: _Wish) -> applications.Draft:
        return applications.Draft(
            project_name=wish.project,
            project_url=f"https://example.org/{slug_of(wish.project)}",
            repository_url=f"https://example.org/code/{slug_of(wish.project)}",
            licences=("Apache-2.0",),
            summary=f"{wish.project} is made up for this demo; imagine that thousands of programs use it.",
            use_of_funds=wish.use,
            plan="A release every two months, announced beforehand.",
            team="One maintainer, half of the week.",
            payee=PayeeWish.PERSON,
            payee_name="The maintainer",
            conflicts="None known.",
            months=6,
            requested=_usd(wish.dollars),
        )

    def _submitted(self, round_: Round, wish: _Wish, applicant: Person, ago: int) -> Application:
        at = self._ago(ago)
        project = _project(self.session, wish.project, self.now)
        since = self._ago(300).date()
        self.session.add(Membership(person_id=applicant.id, project_id=project.id, role=Role.MAINTAINER, from_on=since))
        self.session.flush()
        made = applications.start_draft(
            self.session, round_id=round_.id, applicant=applicant, project_id=project.id, draft=self._draft(wish), now=at
        )
        return applications.submit(self.session, made.id, person=applicant, now=at)

    def _screen(self, application: Application, ago: int, *, passed: bool = True) -> None:
        answers = {check.id: screening.Answer(passed=True) for check in application.programme.checks}
        if not passed:
            answers[application.programme.checks[1].id] = screening.Answer(passed=False, reason="There is no release yet.")
        screening.screen(self.session, application.id, answers=answers, officer=self.officer, now=self._ago(ago))

    def _ask(self, application: Application, ago: int) -> None:
        ids = [reviewer.id for reviewer in self.reviewers]
        reviews.assign(self.session, application.id, reviewer_ids=ids, officer=self.officer, now=self._ago(ago))

    def _score(self, application: Application, reviewer: Person, ago: int, *, points: int, disclosed: bool = False) -> None:
        outcome = ConflictOutcome.DISCLOSE if disclosed else ConflictOutcome.NONE
        reason = "I contributed a translation two years ago." if disclosed else ""
        at = self._ago(ago)
        conflicts.declare(self.session, application.id, person=reviewer, outcome=outcome, reason=reason, now=at)
        review = next(r for r in queries.reviews_of(self.session, application.id) if r.reviewer_id == reviewer.id)
        reviews.submit(
            self.session,
            review.id,
            reviewer=reviewer,
            points={
                criterion.id: min(points + i % 2, criterion.points_max)
                for i, criterion in enumerate(application.programme.criteria)
            },
            recommendation=Recommendation.FUND if points > 2 else Recommendation.DECLINE,
            comment="Made-up review: solid work, and others depend on it."
            if points > 2
            else "Made-up review: others do this already, and do it well.",
            now=at,
        )

    def _reviewed(
        self,
        application: Application,
        ago: int,
        *,
        points: int = 4,
        recused: Person | None = None,
        disclosed: Person | None = None,
    ) -> None:
        self._screen(application, ago + 1)
        self._ask(application, ago)
        for reviewer in self.reviewers:
            if reviewer is recused:
                reason = "I sit on the board of a company that builds on it."
                conflicts.declare(
                    self.session,
                    application.id,
                    person=reviewer,
                    outcome=ConflictOutcome.RECUSE,
                    reason=reason,
                    now=self._ago(ago),
                )
            else:
                self._score(application, reviewer, ago - 5, points=points, disclosed=reviewer is disclosed)

    def _award(
        self,
        application: Application,
        dollars: int,
        ago: int,
        schedule: Schedule,
        *,
        count: int,
        starts: int,
        report_gate: bool = False,
    ) -> None:
        starts_on = (self.now + timedelta(days=starts)).date()
        offer = decisions.Offer(
            amount=_usd(dollars), schedule=schedule, count=count, starts_on=starts_on, report_gate=report_gate
        )
        self._decide(application, offer, ago)

    def _decide(self, application: Application, offer: decisions.Offer | None, ago: int) -> None:
        vote = Vote.FOR if offer else Vote.AGAINST
        recused = queries.recused_ids(self.session, application)
        votes = {reviewer.id: Vote.RECUSED if reviewer.id in recused else vote for reviewer in self.reviewers}
        at = self._ago(ago)
        decisions.decide(
            self.session,
            application.id,
            officer=self.officer,
            votes=votes,
            minute="Made-up minute: the committee weighed the reviews and agreed.",
            offer=offer,
            decided_on=at.date(),
            now=at,
        )

    def _ago(self, days: int) -> datetime:
        return self.now - timedelta(days=days)


def _programme(
    session: Session, slug: str, body: Organisation, rules: Rules, officer: Person, now: datetime, *, paper: Paper = RUBRIC
) -> Programme:
    programme = programmes.create(session, slug=slug, organisation=body, rules=rules, actor=officer, now=now, is_demo=True)
    programmes.set_paper(session, programme.id, paper=paper, actor=officer, now=now)
    return programmes.publish(session, programme.id, actor=officer, now=now)


def _organisation(
    session: Session, name: str, url: str | None, role: OrganisationRole, now: datetime, *, country: str | None = None
) -> Organisation:
    slug = slug_of(name)
    found = session.scalars(select(Organisation).where(Organisation.slug == slug)).first()
    if found is None:
        found = Organisation(slug=slug, name=name, url=url, country=country, is_demo=True, created_at=now)
        session.add(found)
        session.flush()
    found.country = found.country or country
    if role not in {row.role for row in found.roles}:
        found.roles.append(OrganisationRoleRow(role=role, from_on=now.date()))
    session.flush()
    return found


def _project(session: Session, name: str, now: datetime) -> Project:
    slug = slug_of(name)
    found = session.scalars(select(Project).where(Project.slug == slug)).first()
    if found is None:
        found = Project(slug=slug, name=name, is_demo=True, created_at=now)
        session.add(found)
        session.flush()
    return found


def _person(session: Session, email: str, name: str, now: datetime) -> Person:
    found = session.scalars(select(Person).where(Person.email == email)).first()
    if found is None:
        found = Person(email=email, name=name, created_at=now)
        session.add(found)
        session.flush()
    return found


def _usd(dollars: int) -> Money:
    return Money(dollars * 100, "USD")
