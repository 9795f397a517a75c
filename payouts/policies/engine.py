"""The pure rules: what an approval binds to, which limit is passed, and what may be done next about an attempt."""

import enum
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from core.errors import DomainError
from core.money import Money
from payouts.models import AttemptState, Payout, RuleKind
from payouts.rails.base import BASE32, REFERENCE_CHARACTERS_MAX, Capabilities, Receipt, canonical

# ------------------------------------------------------------------------------------------------ what is approved


def line_text(payout: Payout) -> bytes:
    """One line of a run as an approver means it: who gets how much, from where, to where, for what."""
    assert payout.destination is not None, "a line of a run has a destination"
    return canonical(
        {
            "obligation": payout.obligation,
            "round": payout.round,
            "recipient": [str(payout.recipient_id), payout.recipient.name, payout.recipient.country],
            "destination": payout.destination.fingerprint,
            "rail": payout.rail,
            "amount_minor": payout.amount_minor,
            "currency": payout.currency,
            "fund_account": payout.fund_account,
            "memo": payout.memo,
        }
    )


def line_hash(payout: Payout) -> str:
    return hashlib.sha256(line_text(payout)).hexdigest()


def content_hash(payouts: Iterable[Payout]) -> str:
    """SHA-256 over the sorted lines: the same lines in any order have the same hash, and any other line another one."""
    return hashlib.sha256(b"\n".join(sorted(line_text(payout) for payout in payouts))).hexdigest()


def reference(payout_id: UUID, no: int) -> str:
    """The reference of an attempt: the payout's id in 26 characters and the attempt's number.

    It can be re-derived from what is in the database alone, and fits every rail.
    """
    number, digits = payout_id.int, ""
    for _ in range(26):
        number, digit = divmod(number, 32)
        digits = BASE32[digit] + digits
    made = f"pw-{digits}-{no}"
    assert len(made) <= REFERENCE_CHARACTERS_MAX
    return made


# ------------------------------------------------------------------------------------------------ whole units


def leaving(owed: int, kept: int, unit: int) -> int:
    """How much of what is owed, with what was kept before, leaves in whole units. All in minor units.

    `kept` below zero was paid in advance. Nothing is lost: owed + kept = leaving + what is kept afterwards.
    """
    return (owed + kept) // unit * unit


# ------------------------------------------------------------------------------------------------ limits


class LimitReached(DomainError):
    """Paying this would pass a limit that people set."""

    code = "limit_reached"


@dataclass(frozen=True)
class Usage:
    """A limit, what counts against it already, and what would be added."""

    kind: RuleKind
    what: str
    """In words: “this payout”, “all payouts of this day”."""
    limit: Money
    used: Money
    wanted: Money

    @property
    def kept(self) -> bool:
        return self.used + self.wanted <= self.limit

    def require(self) -> None:
        """Raises LimitReached if the limit would be passed."""
        if not self.kept:
            before = f" on top of {self.used}" if self.used else ""
            raise LimitReached(
                f"The limit for {self.what} is {self.limit}; this would be {self.wanted}{before}. "
                "Wait, pay less, or have an approver set another limit under Payouts → Limits.",
                kind=self.kind.value, limit=str(self.limit), used=str(self.used), wanted=str(self.wanted),
            )  # fmt: skip


# ------------------------------------------------------------------------------------------------ attempts


@dataclass(frozen=True)
class Rules:
    """How patient and how careful the engine is. Tests shorten the times, and weaken single rules to show what each is for."""

    lease: timedelta = timedelta(minutes=2)
    quiescence: timedelta = timedelta(minutes=15)
    """After a send without an answer, nobody concludes anything for so long; never less than the rail needs."""
    pause: timedelta = timedelta(minutes=1)
    """Between look-ups that failed, and between looks at a payout that is blocked."""
    resends_max: int = 3
    """So often an unanswered send is repeated under its key (idempotent rails); then the look-up decides."""
    attempts_max: int = 4
    """So many attempts start by themselves; more want a person."""

    def quiet_after(self, capabilities: Capabilities) -> timedelta:
        """How long after a send a look-up can be believed: longer than any call lasts and any payment stays invisible.

        A send is counted first; its call may begin as late as the lease lets it (`in_time`), and ends with it at the latest.
        """
        return max(self.quiescence, capabilities.visibility + max(self.lease, capabilities.timeout))

    def in_time(self, lease_until: datetime, capabilities: Capabilities, now: datetime) -> bool:
        """Whether a send started now would end inside the lease. A process that was frozen must not send any more."""
        return now < lease_until - capabilities.timeout

    def may_resend(self, known: "Known", capabilities: Capabilities, now: datetime) -> bool:
        """Whether the same reference may be sent again although an earlier send was never answered."""
        return (
            capabilities.idempotent
            and now < known.created_at + capabilities.key_window
            and known.sends - known.declined <= self.resends_max
        )


@dataclass(frozen=True)
class Known:
    """What the database knows about an attempt."""

    state: AttemptState
    sends: int
    declined: int
    created_at: datetime
    sent_at: datetime | None
    not_before: datetime | None
    lease_until: datetime | None
    at_rail: bool = False


class Step(enum.StrEnum):
    """What may be done next about an attempt."""

    NOTHING = "nothing"  # it ended
    PEOPLE = "people"  # only people can go on
    WAIT = "wait"  # too early, until `until`
    SEND = "send"  # under its own key
    LOOK_UP = "look_up"


@dataclass(frozen=True)
class Next:
    step: Step
    until: datetime | None = None


def next_step(known: Known, capabilities: Capabilities, rules: Rules, now: datetime) -> Next:
    """What the platform may do by itself, so that no interleaving and no crash pays twice (docs/explanation/payout-engine.md)."""
    if known.state in {AttemptState.ACCEPTED, AttemptState.FAILED}:
        return Next(Step.NOTHING)
    if known.state is AttemptState.HUMAN or capabilities.needs_person:
        return Next(Step.PEOPLE)
    for until in (known.lease_until, known.not_before):
        if until is not None and now < until:
            return Next(Step.WAIT, until)
    never_happened = known.sends == known.declined  # provably never left, or answered each time with a clear "not now"
    if never_happened or (rules.may_resend(known, capabilities, now) and not known.at_rail):
        return Next(Step.SEND)
    assert known.sent_at is not None, "what was sent has a time"
    # What the rail said it has may be seen before lists are complete; that it is missing is believed as late as of any other.
    quiet = known.sent_at + (rules.quiescence if known.at_rail else rules.quiet_after(capabilities))
    if now < quiet:
        return Next(Step.WAIT, quiet)
    return Next(Step.LOOK_UP)


class Finding(enum.StrEnum):
    """What a look-up after quiescence says."""

    ACCEPTED = "accepted"
    ABSENT = "absent"  # proves that nothing happened: a new attempt with a new key is safe
    PEOPLE = "people"  # proves nothing
    CONTRADICTION = "contradiction"  # must not happen: paid twice, or another amount


def judge(found: Sequence[Receipt], money: Money, capabilities: Capabilities) -> Finding:
    """Read a look-up by reference."""
    match found:
        case []:
            return Finding.ABSENT if capabilities.lookup_authoritative else Finding.PEOPLE
        case [receipt] if receipt.money == money:
            return Finding.ACCEPTED
    return Finding.CONTRADICTION
