"""A run against its rails: does each of them know exactly the payments that the ledger says were made?"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from payouts import queries
from payouts.models import AttemptState, Payout
from payouts.rails.base import Instruction, NetworkRail, Rail, RailError, Receipt, Refused, UnreferencedRail
from payouts.services import controls


@dataclass(frozen=True)
class Note:
    """What a comparison found about a line."""

    payout_id: UUID
    message: str


@dataclass(frozen=True)
class Comparison:
    """What rails and ledger say of a run."""

    differences: list[Note] = field(default_factory=list)
    """Rail and ledger don't say the same; each of these is an alarm."""
    not_looked_up: list[Note] = field(default_factory=list)
    """The rail could not tell: nothing is known of these lines either way."""


@dataclass(frozen=True)
class _Question:
    """An attempt that ended, as it was read: ended attempts never change, so the answer may come later."""

    payout_id: UUID
    recipient: str
    no: int
    state: AttemptState
    reference: str
    instruction: Instruction
    expected: list[Receipt]
    rail: NetworkRail

    def difference(self, found: list[Receipt]) -> str | None:
        if found == self.expected:
            return None
        listed = ", ".join(f"{receipt.remote_id} ({receipt.money})" for receipt in found) or "nothing"
        return f"Attempt {self.no} is {self.state} here, and the rail knows {listed} under {self.reference}."


def compare_with_rails(
    sessions: Callable[[], AbstractContextManager[Session]], run_id: UUID, *, rails: Mapping[str, Rail], now: datetime
) -> Comparison:
    """Look every ended line of a run up at its rail: exactly one payment, of this name and amount. Raises alarms.

    Reads in one transaction and writes in another; while the rails are asked none is open. A look-up that fails is a note
    about its own line and takes nothing from the others.

    Raises:
        NotFound: there is no such run.
    """
    with sessions() as session:
        questions = [question for payout in queries.run(session, run_id).payouts for question in _questions(payout, rails)]
    compared = Comparison()
    for question in questions:
        try:
            found = _known_payments(question)
        except Exception as error:  # noqa: BLE001 - whatever was raised, this look-up says nothing and the next ones may
            reason = str(error) if isinstance(error, RailError) else repr(error)
            message = f"The payout to {question.recipient} ({question.reference}) could not be looked up: {reason}"
            compared.not_looked_up.append(Note(question.payout_id, message))
        else:
            if (difference := question.difference(found)) is not None:
                compared.differences.append(Note(question.payout_id, difference))
    if compared.differences:
        with sessions() as session:
            for note in compared.differences:
                controls.raise_alarm(session, session.get_one(Payout, note.payout_id), note.message, now=now)
    return compared


def _known_payments(question: _Question) -> list[Receipt]:
    try:
        if isinstance(question.rail, UnreferencedRail):
            return list(question.rail.find(question.instruction))
        return list(question.rail.look_up(question.reference))
    except Refused as refused:
        if refused.stops_rail:
            raise  # it refuses us, and says nothing of this payment
        return []  # the rail knows the attempt, and that it moved no money


def _questions(payout: Payout, rails: Mapping[str, Rail]) -> list[_Question]:
    rail = rails.get(payout.rail or "")
    if not isinstance(rail, NetworkRail):
        return []  # people look these up
    return [
        _Question(
            payout_id=payout.id,
            recipient=payout.recipient.name,
            no=attempt.no,
            state=attempt.state,
            reference=attempt.idem_key,
            instruction=Instruction.from_parameters(attempt.parameters),
            expected=[Receipt(attempt.remote_id, attempt.money)]
            if attempt.remote_id and attempt.state is AttemptState.ACCEPTED
            else [],
            rail=rail,
        )
        for attempt in payout.attempts
        if attempt.state in {AttemptState.ACCEPTED, AttemptState.FAILED} and attempt.bank_file_id is None
    ]
