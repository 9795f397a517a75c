"""The forms of officers, reviewers and recipients. What a rule refuses comes back beside the field it names."""

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from core.errors import InvalidInput
from core.identity.models import Person
from core.money import Money
from core.web.forms import (
    BooleanField,
    DateField,
    DecimalField,
    Form,
    IntegerField,
    MoneyField,
    MultipleFileField,
    NumberRange,
    Optional,
    RadioField,
    SelectField,
    SelectMultipleField,
    TextAreaField,
    TextField,
    choices,
    required,
)
from grants.applications.forms import Asked
from grants.models import (
    Application,
    ConflictOutcome,
    Criterion,
    FiscalHost,
    InterestKind,
    LinkKind,
    Payee,
    Programme,
    ProgrammeKind,
    Recommendation,
    Schedule,
    ScreeningCheck,
    Vote,
)
from grants.policies import Milestone
from grants.services.decisions import Offer
from grants.services.grants import PayeeChoice
from grants.services.programmes import Paper, RubricLine, Rules
from grants.services.screening import Answer
from pledge.forms import web_address


def area(label: str, rows: int = 5, needed: str | None = None) -> TextAreaField:
    """Several lines of text."""
    return TextAreaField(label, [required(needed)] if needed else [Optional()], render_kw={"rows": rows})


class ReasonForm(Form):
    """One reason, for the deeds that want one."""

    reason = area("Reason", rows=3)


class ExceptionForm(Form):
    """A draft that may ask for an amount outside the rule."""

    address = TextField("Address of the draft", [required("Paste the address the applicant sees.")], length_max=500)
    reason = area("Why it may", rows=3, needed="Say why; it is published with a grant.")

    def application_id(self) -> UUID:
        """
        Raises:
            InvalidInput: there is no application's id in it.
        """
        found = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", self.address.data.lower())
        if found is None:
            raise InvalidInput("This is not the address of an application.", field="address")
        return UUID(found[0])


class RoundForm(Form):
    """A round to be announced."""

    name = TextField("Name", [required("Give the round a name, such as “Spring 2027”.")])
    theme = TextField("Theme", [Optional()])
    opens_on = DateField("Opens on", [required("Enter the first day for applications.")])
    closes_on = DateField("Last day for applications", [Optional()])
    decides_on = DateField("Decided by", [Optional()])
    grants_max = IntegerField("Most grants it may make", [Optional(), NumberRange(min=1, message="Enter one or more.")])


class FundForm(Form):
    """Money of a fund for a programme."""

    source_account = SelectField("From")
    amount = MoneyField("Amount", [required("Enter the amount.")])
    reason = TextField("What for", [required("Say what this money is for; it is kept with the transfer.")])


class RulesForm(Form):
    """Everything about a programme that officers set."""

    name = TextField("Name", [required("Name the programme.")])
    kind = SelectField("Kind", choices=[(ProgrammeKind.OPEN_CALL, "Open call"), (ProgrammeKind.FELLOWSHIP, "Fellowship")])
    currency = TextField("Currency", [required("Enter a currency such as USD.")], length_max=3)
    summary = area("What it funds", needed="Say in a few sentences what it funds.")
    terms = area("Terms that recipients agree to")
    annual_cap = MoneyField("Most it may commit in a year", [Optional()], currency_field="currency")
    award_cap = MoneyField("Most one grant may be", [Optional()], currency_field="currency")
    places_per_year = IntegerField("Grants it may make in a year", [Optional()])
    request_min = MoneyField("Smallest request", [Optional()], currency_field="currency")
    request_step = MoneyField("Then multiples of", [Optional()], currency_field="currency")
    request_max = MoneyField("Largest request", [Optional()], currency_field="currency")
    reviews_min = IntegerField("Reviews an application needs", [required("Enter two or more.")], default=2)
    quorum = IntegerField("Members who must be present to decide", [required("Enter one or more.")], default=2)
    offer_days = IntegerField("Days an offer stands", [required("Enter the days.")], default=60)
    rubric = area("Rubric", rows=6)
    checks = area("Knock-out checks", rows=4)
    paperwork = area("Paperwork", rows=3)
    reason = TextField("Why the rules change", [Optional()])

    def fill(self, programme: Programme) -> None:
        """Show what is set."""
        for name in ("name", "summary", "terms", "currency", "annual_cap", "award_cap", "places_per_year", "request_min",
                     "request_step", "request_max", "reviews_min", "quorum", "offer_days"):  # fmt: skip
            self[name].data = getattr(programme, name)
        self.kind.data = programme.kind.value
        self.rubric.data = "\n".join(f"{c.weight} | {c.name} | {c.points_max} | {c.guidance}" for c in programme.criteria)
        self.checks.data = "\n".join(check.label for check in programme.checks)
        self.paperwork.data = "\n".join(f"{item.days_expected} | {item.name}" for item in programme.paperwork)

    def rules(self) -> Rules:
        return Rules(
            name=self.name.data,
            kind=ProgrammeKind(self.kind.data),
            summary=self.summary.data,
            terms=self.terms.data or "",
            currency=self.currency.data.upper(),
            annual_cap=self.annual_cap.data,
            award_cap=self.award_cap.data,
            places_per_year=self.places_per_year.data,
            request_min=self.request_min.data,
            request_step=self.request_step.data,
            request_max=self.request_max.data,
            reviews_min=self.reviews_min.data,
            quorum=self.quorum.data,
            offer_days=self.offer_days.data,
        )

    def paper(self) -> Paper:
        """Rubric, checks and paperwork from their lines.

        Raises:
            InvalidInput: a line that can't be read, by its number.
        """
        return Paper(
            rubric=tuple(_rubric_line(number, line) for number, line in _lines(self.rubric.data)),
            checks=tuple((line, "") for _, line in _lines(self.checks.data)),
            paperwork=tuple(_paperwork_line(number, line) for number, line in _lines(self.paperwork.data)),
        )


class ScreeningForm(Form):
    """One answer and reason per knock-out check; see `screening_form`."""

    def answers(self, checks: Sequence[ScreeningCheck]) -> dict[UUID, Answer]:
        return {
            check.id: Answer(passed=self[f"check_{check.id.hex}"].data == "yes", reason=self[f"reason_{check.id.hex}"].data or "")
            for check in checks
        }


def screening_form(checks: Sequence[ScreeningCheck]) -> ScreeningForm:
    """A form with a pair of fields for each check of a programme."""
    fields: dict[str, object] = {}
    for check in checks:
        answer = [required(f"Answer “{check.label}”.")]
        fields[f"check_{check.id.hex}"] = RadioField(check.label, answer, choices=[("yes", "Yes"), ("no", "No")])
        fields[f"reason_{check.id.hex}"] = TextField("Reason, if not", [Optional()])
    made: ScreeningForm = type("BuiltScreeningForm", (ScreeningForm,), fields)()
    return made


class AssignForm(Form):
    """Who is asked for a review."""

    reviewers = SelectMultipleField("Reviewers", [required("Choose at least one reviewer.")])


class DeclarationForm(Form):
    """How a member stands to an application."""

    outcome = RadioField(
        "Does anything connect you with this application?",
        [required("Choose one of the three.")],
        choices=[
            (ConflictOutcome.NONE, "No, nothing"),
            (ConflictOutcome.DISCLOSE, "Yes, and I can still judge it fairly: I disclose it"),
            (ConflictOutcome.RECUSE, "Yes, and I step back from it"),
        ],
    )
    reason = area("What it is", rows=3)


class YearForm(Form):
    """A member's yearly declaration."""

    outcome = RadioField(
        "For this programme and year",
        [required("Choose one of the two.")],
        choices=[
            (ConflictOutcome.NONE, "I have no interests in likely applicants beyond those in the register"),
            (ConflictOutcome.DISCLOSE, "I have interests to disclose"),
        ],
    )
    reason = area("Which ones", rows=3)


class ReviewForm(Form):
    """Points per criterion, a recommendation, a comment; see `review_form`."""

    recommendation = RadioField(
        "I would",
        [required("Choose what you would do.")],
        choices=[
            (Recommendation.FUND, "fund it as asked"),
            (Recommendation.FUND_LESS, "fund it with less"),
            (Recommendation.DECLINE, "decline it"),
        ],
    )
    comment = area("What the committee should know", rows=7, needed="Write what the committee should know.")

    def points(self, criteria: Sequence[Criterion]) -> dict[UUID, int]:
        return {criterion.id: int(self[f"points_{criterion.id.hex}"].data) for criterion in criteria}


def review_form(criteria: Sequence[Criterion]) -> ReviewForm:
    """A form with a field for each criterion of a rubric."""
    fields: dict[str, object] = {}
    for criterion in criteria:
        bounds = f"Give 0 to {criterion.points_max} points."
        fields[f"points_{criterion.id.hex}"] = IntegerField(
            criterion.name,
            [required(bounds), NumberRange(min=0, max=criterion.points_max, message=bounds)],
            render_kw={"min": 0, "max": criterion.points_max, "inputmode": "numeric", "class": "amount"},
        )
    made: ReviewForm = type("BuiltReviewForm", (ReviewForm,), fields)()
    return made


class DecisionForm(Form):
    """The decision, its minute and votes, and what is offered; see `decision_form`."""

    outcome = RadioField(
        "Decision", [required("Choose award or decline.")], choices=[("award", "Award a grant"), ("decline", "Decline")]
    )
    decided_on = DateField("Decided on", [required("Enter the day of the decision.")])
    minute = area("Minute", rows=7, needed="Write what was weighed, and why it was decided so.")
    amount = MoneyField("Amount", [Optional()])
    override_reason = area("Why the amount may be outside the rule", rows=2)
    recipient_name = TextField("Recipient named in the register", [Optional()])
    undisclosed = BooleanField("Keep the amount out of the public register")
    schedule = RadioField(
        "Instalments",
        choices=[
            (Schedule.UPFRONT, "All at once"),
            (Schedule.MONTHLY, "Monthly"),
            (Schedule.QUARTERLY, "Quarterly"),
            (Schedule.MILESTONES, "By milestone"),
        ],
        default=Schedule.UPFRONT,
    )
    count = IntegerField("How many (monthly or quarterly)", [Optional()])
    starts_on = DateField("First instalment on", [Optional()])
    months = IntegerField("Length of the grant in months", [Optional(), NumberRange(min=1, max=60, message="Enter 1 to 60.")])
    report_gate = BooleanField("Later instalments wait for an accepted report")
    milestones = area("Milestones", rows=4)

    def votes(self, members: Sequence[Person]) -> dict[UUID, Vote]:
        """The vote of everybody who was present."""
        given = {member.id: self[f"vote_{member.id.hex}"].data for member in members}
        return {member_id: Vote(vote) for member_id, vote in given.items() if vote}

    def offer(self, application: Application) -> Offer | None:
        """What is offered, or none for a decline.

        Raises:
            InvalidInput: an award without its amount or first day, or milestones that can't be read.
        """
        if self.outcome.data != "award":
            return None
        if self.amount.data is None:
            raise InvalidInput("Enter the amount of the grant.", field="amount")
        if self.starts_on.data is None:
            raise InvalidInput("Enter the day of the first instalment.", field="starts_on")
        schedule = Schedule(self.schedule.data)
        if schedule in {Schedule.MONTHLY, Schedule.QUARTERLY} and not self.count.data:
            raise InvalidInput("Enter the number of instalments.", field="count")
        steps = _lines(self.milestones.data) if schedule is Schedule.MILESTONES else []
        return Offer(
            amount=self.amount.data,
            schedule=schedule,
            starts_on=self.starts_on.data,
            count=self.count.data or 1,
            milestones=[_milestone(number, line, application.currency) for number, line in steps],
            report_gate=bool(self.report_gate.data),
            months=self.months.data,
            override_reason=self.override_reason.data,
            undisclosed=bool(self.undisclosed.data),
            recipient_name=self.recipient_name.data,
        )


def decision_form(application: Application, members: Sequence[Person], recused: set[UUID]) -> DecisionForm:
    """A form with a vote for every member of the committee; who stepped back has only that to choose."""
    fields: dict[str, object] = {}
    for member in members:
        offered = (
            [("", "Absent"), (Vote.RECUSED, "Recused")]
            if member.id in recused
            else [("", "Absent"), (Vote.FOR, "For"), (Vote.AGAINST, "Against"), (Vote.ABSTAINED, "Abstained")]
        )
        default = Vote.RECUSED if member.id in recused else ""
        fields[f"vote_{member.id.hex}"] = SelectField(member.name, [Asked()], choices=offered, default=default)
    made: DecisionForm = type("BuiltDecisionForm", (DecisionForm,), fields)()
    made.amount.currency = application.currency
    return made


class AcceptanceForm(Form):
    """Who receives the money."""

    payee = RadioField("Pay the grant", [required("Choose how the grant is paid.")], choices=[])
    legal_name = TextField("Name on the account", [Asked()])
    country = TextField("Country of the account", [Asked()], length_max=2)
    terms = BooleanField("I have read the terms and accept the grant for the project")

    def offer_hosts(self, hosts: Sequence[FiscalHost]) -> None:
        direct = (Payee.DIRECT.value, "Directly, to an account of my own")
        self.payee.choices = [direct, *((str(host.id), f"Through {host.organisation.name}") for host in hosts)]

    def choice(self) -> PayeeChoice:
        """
        Raises:
            InvalidInput: the terms are not accepted.
        """
        if not self.terms.data:
            raise InvalidInput("Accept the terms to take the grant.", field="terms")
        if self.payee.data != Payee.DIRECT:
            return PayeeChoice(payee=Payee.FISCAL_HOST, fiscal_host_id=UUID(self.payee.data))
        return PayeeChoice(payee=Payee.DIRECT, legal_name=self.legal_name.data or "", country=self.country.data or "")


class ReportForm(Form):
    """A report on one instalment, or on the whole."""

    instalment_id = SelectField("About")
    body = area("What was done, and what it changed", rows=8, needed="Write what was done, and what it changed.")
    attachments = MultipleFileField("Files")


class FileForm(Form):
    """One document. Its input is written by the page, one for each document that is waited for."""


class PaperForm(Form):
    """One more document a recipient owes."""

    name = TextField("Document", [required("Name the document.")])
    guidance = TextField("What it must say", [Optional()])
    days_expected = IntegerField("Days it may take", [required("Enter the days.")], default=28)


class InterestForm(Form):
    """An entry of the register of interests."""

    holder = SelectField("Who holds it")
    kind = SelectField("Kind", choices=choices(InterestKind, label=lambda kind: str(kind).capitalize()))
    subject = SelectField("In whom")
    from_on = DateField("Since", [required("Enter the day it began.")])
    until_on = DateField("Until", [Optional()])
    source_url = TextField("Published at", [Optional(), web_address], length_max=500)


class LinkForm(Form):
    """That an organisation uses or owns a project, or that it depends on another."""

    project = SelectField("Project")
    kind = SelectField(
        "How",
        choices=[
            (LinkKind.USED_BY, "is used by (organisation)"),
            (LinkKind.DEPENDS_ON, "depends on (project)"),
            (LinkKind.OWNED_BY, "is owned by (organisation)"),
        ],
    )
    other = SelectField("Other end")
    from_on = DateField("Since", [required("Enter the day it began.")])
    source_url = TextField("Published at", [Optional(), web_address], length_max=500)


class HostForm(Form):
    """The fee of a fiscal host from a day on."""

    organisation = SelectField("Fiscal host")
    fee_percent = DecimalField("Fee in percent", [required("Enter the fee.")])
    platform_share_percent = DecimalField("Of that, percent to its platform", [Optional()], default=Decimal(0))
    from_on = DateField("From", [required("Enter the first day.")], default=date.today)
    source_url = TextField("Published at", [Optional(), web_address], length_max=500)


def _lines(text: str | None) -> list[tuple[int, str]]:
    return [(number, line.strip()) for number, line in enumerate((text or "").splitlines(), start=1) if line.strip()]


def _cut(line: str, most: int) -> list[str]:
    return [part.strip() for part in line.split("|", most - 1)]


def _rubric_line(number: int, line: str) -> RubricLine:
    weight, name, points, guidance, *_ = [*_cut(line, 4), "", "", ""]
    if not weight.isdecimal() or not int(weight) or not name or (points and not points.isdecimal()):
        raise InvalidInput(f"Line {number} of the rubric: write weight | name | most points | guidance.", field="rubric")
    return RubricLine(name, int(weight), int(points or 5), guidance)


def _paperwork_line(number: int, line: str) -> tuple[str, str, int]:
    days, name, guidance, *_ = [*_cut(line, 3), "", ""]
    if not days.isdecimal() or not int(days) or not name:
        raise InvalidInput(f"Line {number} of the paperwork: write days | name | guidance.", field="paperwork")
    return name, guidance, int(days)


def _milestone(number: int, line: str, currency: str) -> Milestone:
    name, amount, day, *_ = [*_cut(line, 3), "", ""]
    try:
        return Milestone(name, Money.parse(amount, currency), date.fromisoformat(day) if day else None)
    except (InvalidInput, ValueError):
        raise InvalidInput(f"Line {number} of the milestones: write name | sum | day (if any).", field="milestones") from None
