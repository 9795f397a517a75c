"""What a company takes to its own books: a receipt for each instalment that settled, and a statement of a year. PDF and CSV.

Both are drawn from what stands now; the same figures give the same bytes, whenever they are asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy.orm import Session

from core import ledger
from core.config import settings
from core.errors import DomainError
from core.money import Money
from core.paper import Paper, PaperForm
from core.spreadsheet import as_csv
from pledge import queries
from pledge.models import InstalmentStatus, InstalmentWay, PaymentChannel, Pledge, PledgeInstalment, PledgePayment
from pledge.queries import YearFigures

WAYS = {
    PaymentChannel.DIRECT: "directly",
    PaymentChannel.GITHUB_SPONSORS: "GitHub Sponsors",
    PaymentChannel.OPEN_COLLECTIVE: "Open Collective",
    PaymentChannel.THANKS_DEV: "thanks.dev",
    PaymentChannel.ECOSYSTEMS: "ecosyste.ms Funds",
    PaymentChannel.FOUNDATION: "a foundation",
    PaymentChannel.OTHER: "another way",
    PaymentChannel.PLEDGEWORKS: "Pledgeworks",
}
assert WAYS.keys() == set(PaymentChannel)
NOT_TAX = "This is no invoice, and says nothing about taxes."
MADE_UP = "Demo data: the company and its payments are made up."


class NoReceipt(DomainError):
    """Nothing of the instalment has settled and stayed."""

    code = "no_receipt"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One instalment's money that settled and stayed."""

    instalment: PledgeInstalment
    payment: PledgePayment
    entries: Sequence[str]
    """Addresses of its entries in the public ledger."""

    @property
    def title(self) -> str:
        return f"Receipt {self.instalment.reference}"

    @property
    def way(self) -> str:
        return "online, through Stripe" if self.instalment.way is InstalmentWay.PROVIDER else "bank transfer"


@dataclass(frozen=True, slots=True)
class Statement:
    """A company's year."""

    pledge: Pledge
    figures: YearFigures
    payments: Sequence[PledgePayment]
    references: dict[object, str]
    """The references of instalments, by their id."""
    changed_at: datetime
    """When anything of it last changed."""

    @property
    def title(self) -> str:
        return f"Statement {self.pledge.label}, {self.pledge.member.name}"


def receipt(session: Session, instalment: PledgeInstalment) -> Receipt:
    """The receipt of an instalment.

    Raises:
        NoReceipt: nothing of it has settled, or all of it went back.
    """
    payment = queries.payment_of_instalment(session, instalment)
    if payment is None:
        raise NoReceipt(f"There is no receipt for {instalment.reference}: {_why_none(instalment.status)}.")
    found = ledger.entries_for(session, ("pledge_instalment", str(instalment.id)))
    return Receipt(instalment, payment, [f"{settings().base_url}/ledger/entries/{entry.id}" for entry in found])


def _why_none(status: InstalmentStatus) -> str:
    match status:
        case InstalmentStatus.REFUNDED_FULL:
            return "all of it was sent back"
        case InstalmentStatus.DISPUTED:
            return "it is disputed: what stays is known when the bank has decided"
        case InstalmentStatus.LOST:
            return "the bank took it back after a dispute"
    return f"it is {status.replace('_', ' ')}, and a receipt is over money that has settled"


def statement(session: Session, pledge: Pledge) -> Statement:
    """The statement of a year: every payment that stands, oldest first."""
    payments = sorted(queries.payments_of(session, pledge, limit=None), key=lambda payment: (payment.paid_on, payment.id))
    events = queries.events_of(session, pledge, limit=1)
    changed = max([each.entered_at for each in payments] + [event.at for event in events], default=_morning(pledge.starts_on))
    references: dict[object, str] = {each.id: each.reference for each in queries.instalments_of(session, pledge)}
    return Statement(pledge, queries.year_figures(session, pledge), payments, references, changed)


def draw_receipt(of: Receipt, form: PaperForm) -> bytes:
    """The receipt as a file."""
    row, payment = of.instalment, of.payment
    if form is PaperForm.CSV:
        heading = ("receipt", "company", "year", "fund", "amount", "currency", "paid_on", "settled_on", "way", "ledger_entries")
        cells = (
            row.reference, row.member.name, row.pledge.label, row.fund, str(payment.money.decimal), payment.currency,
            payment.paid_on.isoformat(), payment.entered_at.date().isoformat(), of.way, " ".join(of.entries),
        )  # fmt: skip
        return as_csv([heading, cells])
    paper = Paper(of.title, subject=f"{payment.money} from {row.member.name}", issued=payment.entered_at)
    paper.facts([
        ("Received from", row.member.name),
        ("Amount", str(payment.money)),
        ("For", f"the fund {row.fund}, as an instalment of the pledge of {row.pledge.label}"),
        ("Paid on", _day(payment.paid_on)),
        ("Settled on", _day(payment.entered_at.date())),
        ("By", of.way),
        ("Reference", row.reference),
    ])  # fmt: skip
    if payment.money != row.money:
        paper.text(f"The instalment was planned over {row.money}; {payment.money} of what came settled and stayed.")
    paper.heading("In the public ledger")
    for address in of.entries:
        paper.text(address)
    _end(paper, row.pledge)
    return paper.content()


def draw_statement(of: Statement, form: PaperForm) -> bytes:
    """The statement as a file."""
    return _statement_csv(of) if form is PaperForm.CSV else _statement_pdf(of)


def _statement_csv(of: Statement) -> bytes:
    heading = (
        "company", "year", "paid_on", "paid_to", "project", "way", "reference", "amount", "currency",
        "counted", "counted_currency", "counts", "reason",
    )  # fmt: skip
    rows = [
        (
            of.pledge.member.name, of.pledge.label, each.paid_on.isoformat(), each.payee, each.project, WAYS[each.channel],
            of.references.get(each.instalment_id, ""), str(each.money.decimal), each.currency,
            str(of.pledge.counted(each).decimal if each.eligible else Money(0, of.pledge.currency).decimal), of.pledge.currency,
            "yes" if each.eligible else "no", each.reason,
        )
        for each in of.payments
    ]  # fmt: skip
    return as_csv([heading, *rows])


def _statement_pdf(of: Statement) -> bytes:
    pledge, standing = of.pledge, of.figures.standing
    paper = Paper(of.title, subject=f"What {pledge.member.name} paid for {pledge.label}", issued=of.changed_at)
    paper.facts([
        ("Company", pledge.member.name),
        ("Period", f"{_day(pledge.starts_on)} to {_day(pledge.ends_on)}"),
        ("Developers", f"{pledge.developers.normalize():f}"),
        ("Required", f"{standing.required}, {pledge.minimum} per developer"),
        ("Paid and counting", str(standing.paid)),
        ("Pledge", "met" if standing.met else f"short by {standing.short_by}"),
        ("As of", _day(of.changed_at.date())),
    ])  # fmt: skip
    ours = [each for each in of.payments if each.instalment_id is not None]
    others = [each for each in of.payments if each.instalment_id is None]
    paper.heading("Paid through Pledgeworks")
    if ours:
        paper.table(
            [("Reference", False), ("Paid on", False), ("To", False), ("Amount", True)],
            [(of.references[each.instalment_id], _day(each.paid_on), each.payee, str(each.money)) for each in ours],
            widths=(4, 3, 6, 4),
            total=("Together", "", "", _sums(ours)),
        )
        paper.text("Each has a receipt, and its entries are in the public ledger.", small=True)
    else:
        paper.text("Nothing has settled.")
    paper.heading("Paid elsewhere, as the company says")
    if others:
        paper.table(
            [("Paid on", False), ("To", False), ("How", False), ("Counts", False), ("Amount", True)],
            [
                (_day(each.paid_on), each.payee, WAYS[each.channel], "yes" if each.eligible else "no", str(each.money))
                for each in others
            ],
            widths=(3, 6, 4, 2, 4),
            total=("Together", "", "", "", _sums(others)),
        )
        paper.text("Entered by the company with its evidence; what counts and why stands in the CSV.", small=True)
    else:
        paper.text("Nothing was entered.")
    paper.text("Working time, credits and other help in kind are no payments and not part of this statement.", small=True)
    _end(paper, pledge)
    return paper.content()


def _end(paper: Paper, pledge: Pledge) -> None:
    paper.text(NOT_TAX, small=True)
    if pledge.member.organisation.is_demo:
        paper.text(MADE_UP, small=True)


def _sums(payments: Sequence[PledgePayment]) -> str:
    """Their sum in each currency; currencies are never added to each other."""
    sums: dict[str, Money] = {}
    for each in payments:
        sums[each.currency] = sums.get(each.currency, Money(0, each.currency)) + each.money
    return ", ".join(str(sums[currency]) for currency in sorted(sums))


def _day(day: date) -> str:
    return f"{day:%-d %b %Y}"


def _morning(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), tzinfo=UTC)
