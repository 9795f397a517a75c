"""The people of the chaos test. They do what the console offers, through the same services, and nothing else: no step is taken
in the database. What a service refuses because it is too early, or because a machine was faster, they try again later.
"""

import io
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core import files
from core.clock import utc_now
from core.errors import DomainError
from core.identity.models import Person
from payouts.models import AttemptState, BankFile, Outcome, Payout, PayoutAttempt, PayoutStatus, RailSwitch
from payouts.rails.base import Rail, RailError
from payouts.rails.github_sponsors import GitHubSponsorsRail, Seen
from payouts.services import bank_files, controls, resolutions, sponsor_files, withdrawals
from tests.fakes.all_fakes import Fakes
from tests.fakes.all_rails import RULES, VISIBILITY

HEADING = "reference,status,bank_reference,amount,currency,booked_on,reason\n"


@dataclass
class People:
    """Finance and an approver at the console, the bank's clerk, and whoever uploads files at GitHub."""

    sessions: Callable[[], AbstractContextManager[Session]]
    fakes: Fakes
    rails: Mapping[str, Rail]
    finance_id: UUID
    approver_id: UUID
    rng: random.Random
    did: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    _uploaded: set[UUID] = field(default_factory=set)
    _answers: list[str] = field(default_factory=list)
    _seen: list[tuple[UUID, Mapping[str, Seen]]] = field(default_factory=list)

    def go_round(self) -> None:
        """Once to everything that waits for people."""
        rounds = (
            self._start_rails, self._make_files, self._carry_to_bank, self._hand_answers_in, self._upload, self._read_totals,
            self._pay_by_hand, self._look_at_github, self._ask_hosts, self._decide, self._after_failures,
        )  # fmt: skip
        for one in rounds:
            try:
                one()
            except (DomainError, RailError) as error:
                self.refused[f"{one.__name__}: {type(error).__name__}"] += 1
            except DBAPIError as error:
                self.refused[f"{one.__name__}: {type(error.orig).__name__}"] += 1

    def _start_rails(self) -> None:
        with self.sessions() as session:
            for switch in session.scalars(select(RailSwitch).where(RailSwitch.stopped)).all():
                reason = "The credentials were looked at."
                controls.start_rail(session, switch.rail, reason=reason, actor=self._approver(session), now=utc_now())
                self.did[f"{switch.rail} started"] += 1

    def _make_files(self) -> None:
        for rail in ("bank_file", "github_sponsors"):
            with self.sessions() as session:
                waiting = session.scalars(
                    select(PayoutAttempt.id).where(
                        PayoutAttempt.rail == rail,
                        PayoutAttempt.state == AttemptState.SENDING,
                        PayoutAttempt.bank_file_id.is_(None),
                    )
                ).first()
                if waiting is not None:
                    bank_files.export(session, currency="USD", actor=self._finance(session), now=utc_now(), rail=rail)
                    self.did[f"{rail} made"] += 1

    def _carry_to_bank(self) -> None:
        """The bank carries each file out once, and answers it in two parts, in any order and more than once."""
        with self.sessions() as session:
            for made in self._files(session, "bank_file"):
                lines = []
                for attempt in made.attempts:
                    money = attempt.money
                    bad = attempt.parameters["recipient"].startswith("bad")
                    if not bad:
                        self.fakes.bank[attempt.idem_key] = money.amount_minor
                    said = "rejected," if bad else f"paid,B-{attempt.idem_key}"
                    lines.append(f"{attempt.idem_key},{said},{money.decimal},USD,2026-11-22,\n")
                half = len(lines) // 2 or 1
                parts = ["".join(lines[:half]), "".join(lines[half:])] * 2
                self.rng.shuffle(parts)
                self._answers += [part for part in parts if part]
                self._uploaded.add(made.id)

    def _hand_answers_in(self) -> None:
        while self._answers:
            with self.sessions() as session:
                stored = self._evidence(session, HEADING + self._answers[-1])
                bank_files.import_answers(session, stored, actor=self._finance(session), now=utc_now())
            self._answers.pop()
            self.did["bank answers"] += 1

    def _upload(self) -> None:
        with self.sessions() as session:
            for made in self._files(session, "github_sponsors"):
                self.fakes.github.upload(files.read(made.file))
                self._uploaded.add(made.id)

    def _read_totals(self) -> None:
        """GitHub's totals, also old ones and those that were taken before; whoever is below a minimum, two people give up."""
        rail = self.rails["github_sponsors"]
        assert isinstance(rail, GitHubSponsorsRail)
        with self.sessions() as session:
            todo = [
                (each.id, each.created_at, sponsor_files.open_logins(session, each.id))
                for each in sponsor_files.open_files(session)
                if each.id in self._uploaded
            ]
        for file_id, since, logins in todo:
            self._seen.append((file_id, rail.seen(list(logins), since=since)))
            for old_file, seen in self.rng.sample(self._seen, k=min(3, len(self._seen))):
                with self.sessions() as session:
                    sponsor_files.take(session, old_file, seen, actor=None, now=utc_now())
            self.did["totals read"] += 1
            left_out = [each for login, each in logins.items() if login.startswith("bad")]
            if utc_now() > since + 3 * VISIBILITY and left_out:
                self._give_up(file_id, left_out)

    def _give_up(self, file_id: UUID, attempt_ids: list[UUID]) -> None:
        with self.sessions() as session:
            sponsor_files.propose(
                session, file_id, attempt_ids, outcome=Outcome.FAILED, receipt="", note="Below the minimum",
                evidence=self._evidence(session, "GitHub's list"), actor=self._finance(session), now=utc_now(),
            )  # fmt: skip

    def _pay_by_hand(self) -> None:
        with self.sessions() as session:
            for attempt in session.scalars(select(PayoutAttempt).where(PayoutAttempt.state == AttemptState.HUMAN)).all():
                if attempt.proposal is None and attempt.rail == "manual":
                    self._propose(session, attempt, Outcome.ACCEPTED, f"BANK-{attempt.idem_key}")

    def _look_at_github(self) -> None:
        """What GitHub's answers leave in doubt is decided by its list of sponsorships."""
        paid = {each.login: each.id for each in self.fakes.github.payments}
        with self.sessions() as session:
            for attempt in session.scalars(select(PayoutAttempt).where(PayoutAttempt.state == AttemptState.HUMAN)).all():
                if attempt.proposal is None and attempt.rail == "github_api":
                    remote_id = paid.get(attempt.parameters["destination"]["login"])
                    self._propose(session, attempt, Outcome.ACCEPTED if remote_id else Outcome.FAILED, remote_id)
                    self.did["github looked at"] += 1

    def _ask_hosts(self) -> None:
        """Expenses that the host turned down are handed to people, who saw the host's message."""
        with self.sessions() as session:
            waiting = session.scalars(
                select(PayoutAttempt.id).where(
                    PayoutAttempt.rail == "opencollective_expense", PayoutAttempt.state == AttemptState.UNKNOWN,
                    PayoutAttempt.detail.contains("is REJECTED"),
                )
            ).all()  # fmt: skip
        for attempt_id in waiting:
            with self.sessions() as session:
                attempt = resolutions.ask_people(
                    session, attempt_id, rail=self.rails["opencollective_expense"], rules=RULES,
                    actor=self._finance(session), reason="The host turned it down", now=utc_now(),
                )  # fmt: skip
                session.flush()
                self._propose(session, attempt, Outcome.FAILED, None)

    def _decide(self) -> None:
        """The second person confirms what the first one found."""
        with self.sessions() as session:
            human = session.scalars(select(PayoutAttempt).where(PayoutAttempt.state == AttemptState.HUMAN)).all()
            waiting = [attempt.proposal.id for attempt in human if attempt.proposal is not None]
        for finding in waiting:
            with self.sessions() as session:
                resolutions.decide(session, finding, confirm=True, actor=self._approver(session), now=utc_now())
            self.did["findings confirmed"] += 1

    def _after_failures(self) -> None:
        """What failed for good is not owed there any more; what failed because of us is tried again."""
        with self.sessions() as session:
            reserved = session.scalars(select(Payout).where(Payout.status == PayoutStatus.RESERVED)).all()
            stuck = [
                (payout.id, payout.recipient.name)
                for payout in reserved
                if payout.live_attempt is None and len(payout.attempts) >= payout.attempts_allowed
            ]
        for payout_id, name in stuck:
            with self.sessions() as session:
                finance, now = self._finance(session), utc_now()
                if name.startswith("bad"):
                    withdrawals.cancel(session, payout_id, actor=finance, reason="It can't be paid there", now=now)
                    self.did["cancelled"] += 1
                else:
                    withdrawals.try_again(session, payout_id, actor=finance, reason="The cause is gone", now=now)
                    self.did["tried again"] += 1

    # ---------------------------------------------------------------------------------------- helpers

    def _files(self, session: Session, rail: str) -> list[BankFile]:
        made = session.scalars(select(BankFile).where(BankFile.rail == rail).order_by(BankFile.number)).all()
        return [each for each in made if each.id not in self._uploaded]

    def _propose(self, session: Session, attempt: PayoutAttempt, outcome: Outcome, remote_id: str | None) -> None:
        resolutions.propose(
            session, attempt.id, outcome=outcome, remote_id=remote_id, evidence=self._evidence(session, "statement"),
            note="Seen", actor=self._finance(session), now=utc_now(),
        )  # fmt: skip

    def _evidence(self, session: Session, text: str) -> files.StoredFile:
        stored = files.store(session, io.BytesIO(text.encode()), name="seen.csv", uploaded_by_id=self.finance_id, now=utc_now())
        session.add(stored)
        session.flush()
        return stored

    def _finance(self, session: Session) -> Person:
        return session.get_one(Person, self.finance_id)

    def _approver(self, session: Session) -> Person:
        return session.get_one(Person, self.approver_id)
