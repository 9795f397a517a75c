"""GitHub Sponsors by its API, for operators who switched that on: the same rail, and machines press the button.

One-time payments through `createSponsorship` do not work, by GitHub's own word; so each payment is a bulk mutation of one
(`createSponsorships`, whose default is one-time). Nobody outside GitHub has said that this works either.

The mutation takes no key and answers with names only. So:

- it is asked once per attempt; whatever it answers, only GitHub's total and one activity of exactly this amount are a receipt;
- nothing proves that it did nothing, so an attempt that shows nothing after quiescence is for two people, never for a second try;
- a maintainer whom GitHub shows as paid this month already is refused before anything is sent: two could not be told apart;
- a payment is looked for in the month in which its attempt began, so it is not sent in another one;
- GitHub wants mutations one after the other, so one is in flight at a time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from core.clock import utc_now
from core.errors import InvalidInput
from payouts.rails.base import Instruction, NotNow, NotYet, OutcomeUnknown, RailError, Receipt, Refused, SaidNo, SetupLine
from payouts.rails.github_sponsors import GitHubSponsorsRail, limited, month_after, month_of, retry_after

DOLLARS_MAX = 12_000
CALLS = 6
"""Of a send at most: two questions before, the payment, and its total and activities after."""
ASKED_AGAIN_AFTER = timedelta(minutes=1)
LOOK_AGAIN = timedelta(hours=1)
TO_BE_CHARGED = timedelta(minutes=10)
"""From our first question to GitHub's charge at most; more than all calls of a send together can take."""

SPONSOR = """
mutation SponsorOnce($input: CreateSponsorshipsInput!) {
  createSponsorships(input: $input) {
    sponsorables { __typename ... on User { login } ... on Organization { login } }
  }
}
"""


class GitHubSponsorsApiRail(GitHubSponsorsRail):
    """Pays by the bulk mutation, one maintainer at a time."""

    capabilities = replace(
        GitHubSponsorsRail.capabilities,
        needs_person=False,
        in_files=False,
        one_at_a_time=True,
    )

    def __init__(
        self,
        sponsor: str,
        token: str,
        *,
        address: Callable[[], str],
        clock: Callable[[], datetime] = utc_now,
        timeout: timedelta = timedelta(seconds=72),  # GitHub ends a request after 10 s
    ) -> None:
        # Nobody may ask GitHub what became of a payment before its call has ended: all calls of a send fit into `timeout`.
        super().__init__(sponsor, token, address=address, call=timeout / CALLS)
        self.capabilities = replace(self.capabilities, timeout=timeout)
        self._clock = clock

    def send(self, instruction: Instruction) -> Receipt:
        """Pay once. A receipt only if GitHub's totals show it at once; else it is looked up."""
        now = self._clock()
        login, begun = instruction.destination["login"], instruction.begun_at or now
        self._require_same_month(begun, now)
        dollars = self._require_payable(instruction, login, begun)
        sponsored = self._sponsor(login, dollars)
        if login not in sponsored:
            raise SaidNo(f"GitHub left @{login} out; {instruction.money} may be below the minimum, which it tells nobody.")
        try:
            found = self.find(instruction)
        except NotYet:
            raise
        except RailError as error:  # of a question after the payment; as an answer to the payment it would say that none was made
            raise OutcomeUnknown(f"GitHub took it for @{login}. {error}") from error
        if not found:
            raise OutcomeUnknown(f"GitHub took it for @{login}, and its totals do not show it yet.")
        return found[0]

    def find(self, instruction: Instruction) -> Sequence[Receipt]:
        """The payment, if GitHub's total and one activity leave no doubt; a receipt over another sum if it shows another.

        Raises:
            NotYet: GitHub shows something that is no such payment, such as a monthly sponsorship.
        """
        if instruction.begun_at is None:
            return []
        login, money = instruction.destination["login"], instruction.money
        seen = self.seen([login], since=instruction.begun_at, until=_looked_until(instruction.begun_at))[login]
        payment = seen.payment(money)
        if payment is not None:
            return [Receipt(payment.id, money)]
        if seen.total and seen.total != money:
            return [Receipt(", ".join(each.id for each in seen.activities) or "its total", seen.total)]
        if seen.total or seen.activities:
            raise NotYet(seen.in_words(money), look_again=LOOK_AGAIN)
        return []

    def look_up(self, reference: str) -> Sequence[Receipt]:
        """Raises RailError always: GitHub keeps no reference. `find` is what is asked."""
        raise RailError("GitHub keeps no reference of ours; it is asked by maintainer and time.")

    def check_setup(self, payee: Mapping[str, str] | None = None) -> Sequence[SetupLine]:
        """As for files; whether the token may sponsor can't be seen without a payment."""
        switched = SetupLine(
            None,
            "Payments leave by GitHub's API (PLEDGEWORKS_GITHUB_MUTATIONS). Whether it takes one-time payments, and this token, "
            "shows with the first one only: make it small.",
        )
        return [*super().check_setup(payee), switched]

    def _require_same_month(self, begun: datetime, now: datetime) -> None:
        """What GitHub charges after the time in which `find` looks would be taken for never paid, and be paid again."""
        if month_of(now) != month_of(begun) or now + TO_BE_CHARGED > _looked_until(begun):
            raise Refused(
                f"This attempt began on {begun:%-d %b}, and its payment is looked for in that month only; nothing was sent. "
                "“Try again” begins another attempt, of today."
            )

    def _require_payable(self, instruction: Instruction, login: str, begun: datetime) -> int:
        """Everything that can be known before; whatever fails here, nothing was sent. Returns whole dollars."""
        dollars, cents = divmod(instruction.money.amount_minor, 100)
        assert cents == 0, "only whole dollars are handed to this rail"
        if dollars > DOLLARS_MAX:
            raise Refused(f"GitHub takes at most ${DOLLARS_MAX:,} for a maintainer.")
        month = month_of(begun)
        try:
            self.confirm_destination(instruction.destination)
            paid = self.totals([login], since=month)[login]
        except InvalidInput as error:
            if isinstance(error.__cause__, RailError):
                raise self._before(error.__cause__) from None
            raise Refused(error.message) from None
        except RailError as error:
            raise self._before(error) from None
        if paid:
            raise Refused(
                f"GitHub shows {paid} paid to @{login} since {month:%-d %b} already; a second payment in a month could not be "
                "told from the first. Wait for the next month, or choose another rail."
            )
        return dollars

    def _before(self, error: RailError) -> RailError:
        """What a question that failed means before anything was sent."""
        if isinstance(error, Refused):
            return Refused(str(error), stops_rail=True)
        if isinstance(error, NotNow):
            return error
        return NotNow(f"{error} Nothing was sent yet.", retry_after=ASKED_AGAIN_AFTER)

    def _sponsor(self, login: str, dollars: int) -> set[str]:
        """The mutation, once. Returns the names GitHub answers with."""
        asked = {
            "sponsorLogin": self.sponsor,
            "sponsorships": [{"sponsorableLogin": login, "amount": dollars}],
            "recurring": False,
        }
        response, body = self._post("SponsorOnce", SPONSOR, {"input": asked})
        data, errors = (body.get("data"), body.get("errors")) if isinstance(body, dict) else (None, None)
        made: Any = (data or {}).get("createSponsorships") if isinstance(data, dict | None) else None
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            raise Refused("GitHub refuses our token; an operator sets a new one (PLEDGEWORKS_GITHUB_TOKEN).", stops_rail=True)
        if made is None and (response.status_code == HTTPStatus.TOO_MANY_REQUESTS or limited(response, errors)):
            raise NotNow("GitHub asks for fewer requests.", retry_after=retry_after(response))
        if response.status_code == HTTPStatus.FORBIDDEN:
            raise Refused("GitHub does not let our token sponsor for this organisation.", stops_rail=True)
        if response.status_code != HTTPStatus.OK:
            raise OutcomeUnknown(f"GitHub answered {response.status_code}.")
        if errors or made is None:
            kinds = ", ".join(sorted({str(each.get("type") or "no type") for each in errors or []}))
            raise SaidNo(f"GitHub answered with errors ({kinds or 'none'}) in place of a payment.")
        return {(each.get("login") or "").lower() for each in made["sponsorables"] or []}


def _looked_until(begun: datetime) -> datetime:
    """The end of the time in which an attempt's payment is looked for; what is later may be the next month's payment."""
    return max(month_after(begun), begun + timedelta(days=1))
