"""GitHub's side of Sponsors inside a test: its real GraphQL schema, and the page where a person uploads the bulk CSV.

It behaves as recorded: an amount below a maintainer's minimum is left out without a word, in the CSV and in the bulk mutation;
`createSponsorship` does not work for one-time payments; the same mutation with the same `clientMutationId` pays again; the bulk
mutation answers with the maintainers only; sums are null for a token that is not a manager's; limits and missing rights come as
200 with errors, as 401 or as 403.

`python -m tests.fakes` starts it for people, with a page where a file is uploaded.
"""

import csv
import io
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from graphql import DocumentNode, ExecutionResult, GraphQLError, GraphQLFormattedError, GraphQLResolveInfo

from tests.fakes.graphql_server import Answer, Call, GraphqlServer
from tests.fakes.stand_in_page import Thing

TOKEN = "ghp_manager"
OUTSIDER = "ghp_outsider"
COLUMNS = ["Maintainer username", "Sponsorship amount in USD"]


@dataclass(frozen=True)
class Maintainer:
    login: str
    minimum: int = 1
    """Whole dollars; not in GitHub's API."""
    is_public: bool = True


@dataclass(frozen=True)
class Payment:
    """One sponsorship that was charged."""

    id: str
    login: str
    dollars: int
    at: datetime
    is_one_time: bool
    is_bulk: bool


class TypedError(GraphQLError):
    """GitHub puts an error's kind beside its message."""

    def __init__(self, message: str, kind: str, path: Sequence[str | int] | None = None) -> None:
        super().__init__(message, path=path)
        self.kind = kind

    @property
    def formatted(self) -> GraphQLFormattedError:
        return {**super().formatted, "type": self.kind}  # type: ignore[typeddict-unknown-key]  # GitHub's own key


class GitHubSponsors(GraphqlServer):
    """Knows some maintainers and one sponsoring organisation."""

    title = "GitHub Sponsors"

    def __init__(
        self, schema: Path, *, sponsor: str = "acme", clock: Callable[[], datetime] = lambda: datetime.now(UTC), port: int = 0
    ) -> None:
        super().__init__(schema, port=port)
        self.sponsor = sponsor
        self.clock = clock
        self.maintainers: dict[str, Maintainer] = {}
        self.payments: list[Payment] = []
        self.visible_after = timedelta(0)
        """How long a payment takes to show up in sums and activities."""
        self.limited = ""
        """`primary` or `secondary` while GitHub wants fewer requests."""
        self.demands_saml = False
        self._changing = threading.Lock()
        self.resolvers = {
            "Query.repositoryOwner": self._owner,
            "Query.organization": self._organization,
            "Organization.totalSponsorshipAmountAsSponsorInCents": self._total,
            "Organization.sponsorsActivities": self._activities,
            "Mutation.createSponsorship": self._create_sponsorship,
            "Mutation.createSponsorships": self._create_sponsorships,
        }

    def add(self, *maintainers: Maintainer) -> None:
        self.maintainers |= {each.login.lower(): each for each in maintainers}

    def upload(self, content: bytes, *, is_one_time: bool = True) -> None:
        """What happens when a person uploads the file and pays: rows GitHub does not like are left out without a word."""
        heading, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
        if heading != COLUMNS:
            raise ValueError(f"GitHub wants the columns {COLUMNS}, not {heading}")
        for login, dollars in rows:
            self.sponsor_one(login, int(dollars), is_one_time=is_one_time, is_bulk=True)

    def deeds(self) -> Sequence[Thing]:
        both = {"once": "Upload it, one-time", "monthly": "Upload it, monthly"}
        known = ", ".join(f"@{each.login} from ${each.minimum}" for each in self.maintainers.values())
        page = Thing("file", f"Bulk sponsor ({known}): paste the CSV file here.", both, takes_text=True)
        paid = [
            Thing(each.id, f"{each.id}: @{each.login} ${each.dollars}, {'one-time' if each.is_one_time else 'monthly'}")
            for each in self.payments
        ]
        return [page, *paid]

    def do(self, deed: str, name: str, text: str) -> None:
        self.upload(text.strip().encode(), is_one_time=deed == "once")

    def sponsor_one(self, login: str, dollars: int, *, is_one_time: bool = True, is_bulk: bool = False) -> Maintainer | None:
        """Charge one sponsorship, if GitHub takes it."""
        with self._changing:
            known = self.maintainers.get(login.lower())
            if known is None or not known.is_public or not known.minimum <= dollars <= 12_000:
                return None
            made = Payment(f"SA_{len(self.payments) + 1}", known.login, dollars, self.clock(), is_one_time, is_bulk)
            self.payments.append(made)
            return known

    # ---------------------------------------------------------------------------------------- GraphQL

    def gate(self, call: Call) -> Answer | None:
        if call.headers.get("authorization") not in {f"Bearer {TOKEN}", f"Bearer {OUTSIDER}"}:
            return 401, {"message": "Bad credentials"}, {}
        if self.limited == "primary":
            error = {"type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 1."}
            return 200, {"errors": [error]}, {"X-RateLimit-Remaining": "0"}
        if self.limited == "secondary":
            return 403, {"message": "You have exceeded a secondary rate limit."}, {"Retry-After": "90"}
        return None

    def execute(self, document: DocumentNode, call: Call) -> ExecutionResult:
        result = super().execute(document, call)
        typed = [(each, each.original_error) for each in result.errors or []]
        errors = [
            TypedError(each.message, cause.kind, each.path) if isinstance(cause, TypedError) else each for each, cause in typed
        ]
        return ExecutionResult(data=result.data, errors=errors or None)

    def _owner(self, source: Any, info: GraphQLResolveInfo, login: str, **_: Any) -> dict[str, Any] | None:
        known = self.maintainers.get(login.lower())
        if known is None:
            raise TypedError(f"Could not resolve to a RepositoryOwner with the login of '{login}'.", "NOT_FOUND")
        return {
            "__typename": "User", "login": known.login, "hasSponsorsListing": known.is_public,
            "sponsorsListing": {"isPublic": True} if known.is_public else None,
        }  # fmt: skip

    def _organization(self, source: Any, info: GraphQLResolveInfo, login: str) -> dict[str, Any]:
        if login.lower() != self.sponsor:
            raise TypedError(f"Could not resolve to an Organization with the login of '{login}'.", "NOT_FOUND")
        return {"__typename": "Organization", "login": self.sponsor}

    def _total(self, source: Any, info: GraphQLResolveInfo, **asked: Any) -> int | None:
        if self.demands_saml:
            raise TypedError("Resource protected by organization SAML enforcement.", "FORBIDDEN")
        if not self._is_manager(info):
            return None
        wanted = {login.lower() for login in asked.get("sponsorableLogins") or []}
        visible = self._visible(asked.get("since"), asked.get("until"))
        return sum(each.dollars * 100 for each in visible if not wanted or each.login.lower() in wanted)

    def _activities(self, source: Any, info: GraphQLResolveInfo, first: int, after: str | None = None, **asked: Any) -> Any:
        newest = list(reversed(self._visible(asked.get("since"), asked.get("until")))) if self._is_manager(info) else []
        start = int(after or 0)
        return {
            "pageInfo": {"hasNextPage": len(newest) > start + first, "endCursor": str(start + first)},
            "nodes": [
                {
                    "id": each.id,
                    "action": "NEW_SPONSORSHIP",
                    "timestamp": _text(each.at),
                    "viaBulkSponsorship": each.is_bulk,
                    "sponsorable": {"__typename": "User", "login": each.login},
                    "sponsorsTier": {"isOneTime": each.is_one_time, "monthlyPriceInCents": each.dollars * 100},
                }
                for each in newest[start : start + first]
            ],
        }

    def _create_sponsorship(self, source: Any, info: GraphQLResolveInfo, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002 - GitHub's name
        self._require_manager(info)
        if not input.get("isRecurring"):
            raise TypedError("One-time payments are currently not supported.", "UNPROCESSABLE")
        if self.sponsor_one(input["sponsorableLogin"], input["amount"], is_one_time=False) is None:
            raise TypedError("The maintainer can't be sponsored with this amount.", "UNPROCESSABLE")
        return {"clientMutationId": input.get("clientMutationId"), "sponsorship": {"isActive": True, "isOneTimePayment": False}}

    def _create_sponsorships(self, source: Any, info: GraphQLResolveInfo, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002 - GitHub's name
        self._require_manager(info)
        taken = [
            self.sponsor_one(each["sponsorableLogin"], each["amount"], is_one_time=not input.get("recurring"), is_bulk=True)
            for each in input["sponsorships"]
        ]
        return {
            "clientMutationId": input.get("clientMutationId"),
            "sponsorables": [{"__typename": "User", "login": each.login} for each in taken if each is not None],
        }

    def _visible(self, since: str | None, until: str | None) -> list[Payment]:
        shown = [each for each in self.payments if each.at + self.visible_after <= self.clock()]
        begun = [each for each in shown if since is None or each.at >= datetime.fromisoformat(since)]
        return [each for each in begun if until is None or each.at <= datetime.fromisoformat(until)]

    def _is_manager(self, info: GraphQLResolveInfo) -> bool:
        call: Call = info.context
        return call.headers["authorization"] == f"Bearer {TOKEN}"

    def _require_manager(self, info: GraphQLResolveInfo) -> None:
        if not self._is_manager(info):
            raise TypedError("You can't sponsor on behalf of this organisation.", "FORBIDDEN")


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
