"""GitHub Sponsors: payments leave in a bulk sponsorship CSV that a person uploads; GitHub's totals say what became of them.

GitHub has no key, no reference and no answer per payment, leaves out amounts below a maintainer's minimum without a word, and
its `createSponsorship` does not work for one-time payments. So nothing here changes anything at GitHub: the API is only read.
github_sponsors_api.py can pay by the API, where an operator switched that on.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import requests

from core.errors import InvalidInput
from core.money import Money
from payouts.rails.base import (
    Capabilities,
    CheckedDestination,
    DestinationField,
    Health,
    Instruction,
    NotNow,
    OutcomeUnknown,
    RailError,
    Refused,
    SetupLine,
    required,
)

COLUMNS = ("Maintainer username", "Sponsorship amount in USD")
"""Exactly as GitHub's bulk sponsorship page wants them; a third column would be refused."""
LOGIN = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,38}")
LOGINS_PER_QUERY = 50
PAGES_MAX = 200

SPONSORABLE = """
query Sponsorable($login: String!) {
  repositoryOwner(login: $login) {
    __typename
    login
    ... on Sponsorable { hasSponsorsListing sponsorsListing { isPublic } }
  }
}
"""
STANDING = """
query Standing($sponsor: String!, $since: DateTime!) {
  organization(login: $sponsor) { login totalSponsorshipAmountAsSponsorInCents(since: $since) }
}
"""
ACTIVITIES = """
query Activities($sponsor: String!, $since: DateTime!, $until: DateTime, $after: String) {
  organization(login: $sponsor) {
    sponsorsActivities(
      first: 100, after: $after, includeAsSponsor: true, includePrivate: true, period: ALL, since: $since, until: $until
      actions: [NEW_SPONSORSHIP, TIER_CHANGE], orderBy: { field: TIMESTAMP, direction: DESC }
    ) {
      pageInfo { hasNextPage endCursor }
      nodes {
        id
        timestamp
        sponsorable { __typename ... on User { login } ... on Organization { login } }
        sponsorsTier { isOneTime monthlyPriceInCents }
      }
    }
  }
}
"""


@dataclass(frozen=True)
class Activity:
    """One sponsorship as GitHub's list of activities tells it."""

    id: str
    login: str
    cents: int
    is_one_time: bool
    at: datetime

    @property
    def money(self) -> Money:
        return Money(self.cents, "USD")


@dataclass(frozen=True)
class Seen:
    """What GitHub knows about one maintainer since a moment: the money that was charged, and what it was for."""

    total: Money
    activities: Sequence[Activity] = field(default=())

    def payment(self, money: Money) -> Activity | None:
        """The activity that is certainly this payment: the total is its amount, and one one-time sponsorship names it."""
        fitting = [each for each in self.activities if each.cents == money.amount_minor and each.is_one_time]
        return fitting[0] if self.total == money and len(self.activities) == len(fitting) == 1 else None

    def in_words(self, money: Money) -> str:
        """Why it is not certain that this payment was made, and what to look at."""
        if not self.total and not self.activities:
            return (
                "GitHub shows no payment since the file was made. If it was uploaded, the amount may be below the maintainer's "
                "minimum: GitHub leaves such rows out without a word."
            )
        if any(not each.is_one_time for each in self.activities):
            return "GitHub shows a monthly sponsorship: cancel it there, so that it is not charged again, then say what was paid."
        if self.total != money:
            return f"GitHub's total since the file was made is {self.total}, not {money}; look at the sponsorships there."
        return f"GitHub's total is {self.total}, but {len(self.activities)} activities name it; look at the sponsorships there."


class GitHubSponsorsRail:
    """Attempts wait for the next file, leave with it, and end with GitHub's totals or with the finding of two people."""

    name = "github_sponsors"
    title = "GitHub Sponsors"
    capabilities = Capabilities(
        needs_person=True,
        in_files=True,
        timeout=timedelta(seconds=15),  # GitHub ends a request after 10 s
        unit_minor=100,
        once_a_month=True,
    )
    destination_fields: Sequence[DestinationField] = (
        DestinationField("login", "GitHub username", "Of a person or organisation with a public GitHub Sponsors profile"),
    )

    def __init__(self, sponsor: str, token: str, *, address: Callable[[], str], call: timedelta = timedelta(seconds=15)) -> None:
        self.sponsor = sponsor
        self._address = address
        self._call_seconds = call.total_seconds()  # how long one question may take
        self._http = requests.Session()
        self._http.auth = _Bearer(token)  # as `auth`, so that no .netrc takes its place

    # ---------------------------------------------------------------------------------------- where money goes

    def check_destination(self, details: Mapping[str, str], currency: str) -> CheckedDestination:
        known = required(self.destination_fields, details)
        login = known["login"].removeprefix("@").lower()
        if LOGIN.fullmatch(login) is None:
            raise InvalidInput(
                "A GitHub username is made of letters, digits and single hyphens, at most 39; enter it without the address.",
                field="login",
            )
        if currency != "USD":
            raise InvalidInput("GitHub Sponsors pays in USD only.", field="currency")
        return CheckedDestination({"login": login}, f"@{login}")

    def confirm_destination(self, details: Mapping[str, str]) -> None:
        login = self.check_destination(details, "USD").details["login"]
        try:
            owner = self._ask("Sponsorable", SPONSORABLE, {"login": login})["repositoryOwner"]
        except RailError as error:
            raise InvalidInput(f"Whether @{login} can be sponsored is not known: {error}", field="login") from error
        if owner is None:
            raise InvalidInput(f"GitHub knows nobody called @{login}.", field="login")
        if not owner.get("hasSponsorsListing") or not (owner.get("sponsorsListing") or {}).get("isPublic"):
            raise InvalidInput(
                f"@{login} has no public GitHub Sponsors profile. Ask them to set one up (github.com/sponsors), "
                "or enter a destination on another rail.",
                field="login",
            )

    # ---------------------------------------------------------------------------------------- reading what became of it

    def health(self) -> Health:
        """Whether the token may read what the organisation paid."""
        since = datetime(2026, 1, 1, tzinfo=UTC)
        try:
            found = self._ask("Standing", STANDING, {"sponsor": self.sponsor, "since": _when(since)}, timeout=4)["organization"]
        except RailError as error:
            return Health(False, str(error))
        if found is None:
            return Health(False, f"GitHub shows this token no organisation “{self.sponsor}”.")
        if found["totalSponsorshipAmountAsSponsorInCents"] is None:
            return Health(False, _not_a_manager(self.sponsor))
        return Health(True, f"Reads what “{self.sponsor}” paid. People upload the files.")

    def check_setup(self, payee: Mapping[str, str] | None = None) -> Sequence[SetupLine]:
        """Whether the token reads what was paid; with a payee, whether it can be sponsored."""
        health = self.health()
        lines = [SetupLine(health.ok, health.message)]
        if payee is not None:
            try:
                self.confirm_destination(payee)
            except InvalidInput as error:
                lines.append(SetupLine(False, error.message))
            else:
                lines.append(SetupLine(True, f"@{payee['login']} has a public GitHub Sponsors profile."))
                lines.append(SetupLine(None, "Its minimum is not in GitHub's API; look at its profile before the first payment."))
        return lines

    def seen(self, logins: Sequence[str], *, since: datetime, until: datetime | None = None) -> Mapping[str, Seen]:
        """What the organisation paid each maintainer in a time.

        Raises:
            RailError: GitHub can't be read, or the token may not see it; nothing is known then.
        """
        totals = self.totals(logins, since=since, until=until)
        found = self.activities(since=since, until=until)
        return {login: Seen(totals[login], tuple(each for each in found if each.login == login)) for login in logins}

    def activities(self, *, since: datetime, until: datetime | None = None) -> Sequence[Activity]:
        """Every sponsorship that began or changed in a time, newest first.

        Raises:
            RailError: as `seen`.
        """
        found: list[Activity] = []
        after: str | None = None
        for _ in range(PAGES_MAX):
            asked = {"sponsor": self.sponsor, "since": _when(since), "until": _when(until) if until else None, "after": after}
            page = self._managed(self._ask("Activities", ACTIVITIES, asked))["sponsorsActivities"]
            for node in page["nodes"]:
                login, tier = (node["sponsorable"].get("login") or "").lower(), node["sponsorsTier"]
                if login and tier is not None:  # a tier can be missing; then the activity proves nothing
                    at = datetime.fromisoformat(node["timestamp"])
                    found.append(Activity(node["id"], login, tier["monthlyPriceInCents"], tier["isOneTime"], at))
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]
        raise RailError("GitHub's list of activities does not end.")

    def totals(self, logins: Sequence[str], *, since: datetime, until: datetime | None = None) -> Mapping[str, Money]:
        """What the organisation was charged for each maintainer in a time.

        Raises:
            RailError: as `seen`.
        """
        cents: dict[str, int] = {}
        for start in range(0, len(logins), LOGINS_PER_QUERY):
            cents |= self._totals(logins[start : start + LOGINS_PER_QUERY], since, until)
        return {login: Money(cents[login], "USD") for login in logins}

    def _totals(self, logins: Sequence[str], since: datetime, until: datetime | None) -> dict[str, int]:
        """One query with a field per maintainer; each is one maintainer's sum, or null if the token is not a manager's."""
        names = ", ".join(f"$m{number}: [String!]" for number in range(len(logins)))
        fields = "\n".join(
            f"m{number}: totalSponsorshipAmountAsSponsorInCents(since: $since, until: $until, sponsorableLogins: $m{number})"
            for number in range(len(logins))
        )
        heading = f"query Totals($sponsor: String!, $since: DateTime!, $until: DateTime, {names})"
        document = heading + " { organization(login: $sponsor) { login " + fields + " } }"
        asked = {f"m{number}": [login] for number, login in enumerate(logins)}
        times = {"since": _when(since), "until": _when(until) if until else None}
        found = self._managed(self._ask("Totals", document, {"sponsor": self.sponsor, **times, **asked}))
        totals = [found[f"m{number}"] for number in range(len(logins))]
        if any(not isinstance(each, int) for each in totals):
            raise Refused(_not_a_manager(self.sponsor))
        return dict(zip(logins, totals, strict=True))

    def _managed(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        found = data.get("organization")
        if not isinstance(found, Mapping):
            raise Refused(f"GitHub shows this token no organisation “{self.sponsor}”.")
        return found

    def _ask(
        self, operation: str, document: str, variables: Mapping[str, Any], *, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """One query's `data`. Partial data counts as none: a sum that is missing must not read as zero."""
        response, body = self._post(operation, document, variables, timeout=timeout)
        errors = body.get("errors") if isinstance(body, dict) else None
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            raise Refused("GitHub refuses our token; an operator sets a new one (PLEDGEWORKS_GITHUB_TOKEN).")
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS or limited(response, errors):
            raise NotNow("GitHub asks for fewer requests; try again in a few minutes.", retry_after=retry_after(response))
        if response.status_code == HTTPStatus.FORBIDDEN:
            raise Refused("GitHub does not let our token do this; it belongs to an owner or billing manager of the organisation.")
        missing = [each for each in errors or [] if each.get("type") == "NOT_FOUND"]
        if errors and len(missing) < len(errors):
            kinds = ", ".join(sorted({str(each.get("type") or "no type") for each in errors}))
            raise RailError(f"GitHub answered with errors ({kinds}).")
        if response.status_code != HTTPStatus.OK or not isinstance(body, dict) or not isinstance(body.get("data"), dict):
            raise RailError(f"GitHub answered {response.status_code}.")
        data: Mapping[str, Any] = body["data"]
        return data

    def _post(
        self, operation: str, document: str, variables: Mapping[str, Any], *, timeout: float | None = None
    ) -> tuple[requests.Response, Any]:
        try:
            response = self._http.post(
                self._address(),
                json={"query": document, "operationName": operation, "variables": variables},
                timeout=self._call_seconds if timeout is None else timeout,
                allow_redirects=False,
            )
            return response, response.json()
        except (requests.RequestException, ValueError) as error:
            raise OutcomeUnknown(f"GitHub gave no clear answer ({type(error).__name__}).") from error


def write(instructions: Iterable[Instruction]) -> bytes:
    """The file for GitHub's bulk sponsorship page, in order of the usernames, whole dollars."""
    out = io.StringIO(newline="")
    rows = csv.writer(out)
    rows.writerow(COLUMNS)
    for each in sorted(instructions, key=lambda instruction: str(instruction.destination["login"])):
        dollars, cents = divmod(each.money.amount_minor, 100)
        assert cents == 0, "only whole dollars are handed to this rail"
        rows.writerow((each.destination["login"], dollars))
    return out.getvalue().encode()


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def limited(response: requests.Response, errors: Any) -> bool:
    """GitHub's two limits: the hour's (200 with an error and nothing remaining) and the burst's (200 or 403 and a wait)."""
    return any(each.get("type") in {"RATE_LIMITED", "RATE_LIMIT"} for each in errors or []) or (
        response.status_code in {HTTPStatus.OK, HTTPStatus.FORBIDDEN}
        and ("Retry-After" in response.headers or (bool(errors) and response.headers.get("X-RateLimit-Remaining") == "0"))
    )


def retry_after(response: requests.Response) -> timedelta:
    given = response.headers.get("Retry-After", "")
    return timedelta(seconds=min(int(given), 3600) if given.isdecimal() else 60)


def month_of(moment: datetime) -> datetime:
    """The first moment of its month (UTC)."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(moment: datetime) -> datetime:
    """The first moment of the month after its month (UTC)."""
    return month_of(month_of(moment) + timedelta(days=32))


def _not_a_manager(sponsor: str) -> str:
    return f"The token may not see what “{sponsor}” paid; make one as an owner or billing manager of the organisation."


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
