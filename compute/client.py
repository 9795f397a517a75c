"""Two ways to the jobs, with one face for the command line: the local database, or another installation's API."""

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urljoin
from uuid import UUID

import requests
from pydantic import TypeAdapter
from sqlalchemy import select

from compute import schemas
from compute.explanation_schemas import ExplanationOut
from compute.models import Job
from compute.queries import activity
from compute.queries import explain as explaining
from compute.queries import jobs as job_queries
from compute.queries.named import project_named
from compute.runtime import executors, local_repositories
from compute.services import attempts, results, submit
from core.clock import utc_now
from core.db import new_id, session_scope
from core.errors import DomainError, InfrastructureError, InvalidInput
from core.identity import people
from core.identity.models import Person

LOG_BYTES = 200_000
TIMEOUT_SECONDS = 30

Document = dict[str, Any]


class Jobs(Protocol):
    """What the `job` commands need. Documents are those of /api/v1."""

    def submit(self, given: schemas.JobIn) -> Document: ...
    def list(self, *, project: str | None, status: str | None, idle: bool, limit: int) -> Document: ...
    def show(self, job_id: UUID) -> Document: ...
    def log(self, job_id: UUID, *, attempt: int | None, offset: int) -> Document: ...
    def cancel(self, job_id: UUID, *, reason: str) -> Document: ...
    def explain(self, job_id: UUID) -> Document: ...


class Refused(DomainError):
    """The other installation refused; its sentence is the message."""

    code = "refused_by_server"


class LocalJobs:
    """Jobs of the database this installation uses."""

    def __init__(self, email: str | None) -> None:
        self._email = email

    def submit(self, given: schemas.JobIn) -> Document:
        with session_scope() as session:
            project = project_named(session, given.project)
            job = submit.submit(
                session,
                project,
                given.to_new_job(),
                submitter=self._person(session),
                as_maintainer=True,  # whoever runs this command has the database
                now=utc_now(),
                local_roots=local_repositories(),
            )
            return _plain(schemas.JobOut.of(job))

    def list(self, *, project: str | None, status: str | None, idle: bool, limit: int) -> Document:
        with session_scope() as session:
            query = select(Job).order_by(Job.id.desc()).limit(limit)
            if project is not None:
                query = query.where(Job.project_id == project_named(session, project).id)
            if status is not None:
                query = query.where(Job.status == status)
            if idle:
                query = query.where(Job.id.in_(activity.holding_jobs()))
            found = [schemas.JobOut.of(job) for job in session.scalars(query)]
            return _plain(schemas.JobPage(jobs=found, next_cursor=None))

    def show(self, job_id: UUID) -> Document:
        with session_scope() as session:
            return _plain(schemas.JobDetail.shown(session, job_queries.get(session, job_id)))

    def log(self, job_id: UUID, *, attempt: int | None, offset: int) -> Document:
        with session_scope() as session:
            job = job_queries.get(session, job_id)
        return _plain(schemas.LogOut.of(results.job_log(job, executors(), number=attempt, offset=offset, limit=LOG_BYTES)))

    def cancel(self, job_id: UUID, *, reason: str) -> Document:
        with session_scope() as session:
            person = self._person(session)
            return _plain(schemas.JobOut.of(attempts.cancel(session, job_id, actor=person, reason=reason, now=utc_now())))

    def explain(self, job_id: UUID) -> Document:
        with session_scope() as session:
            found = explaining.explain(session, job_queries.get(session, job_id), connected=executors(), now=utc_now())
            return _plain(ExplanationOut.of(found))

    def _person(self, session: Any) -> Person:
        if self._email is None:
            raise InvalidInput("Say who acts: --as EMAIL. (Or set PLEDGEWORKS_URL and PLEDGEWORKS_TOKEN to use the API.)")
        return people.acting_person(session, self._email)


class RemoteJobs:
    """Jobs of another installation, over its API with a token."""

    def __init__(self, url: str, token: str) -> None:
        self._base = url.rstrip("/") + "/"
        self._http = requests.Session()
        self._http.headers["Authorization"] = f"Bearer {token}"

    def submit(self, given: schemas.JobIn) -> Document:
        # Submitting again after a lost answer must not submit twice: the key is made once per command.
        return self._post("api/v1/jobs", given.model_dump(mode="json", exclude_none=True))

    def list(self, *, project: str | None, status: str | None, idle: bool, limit: int) -> Document:
        return self._get("api/v1/jobs", {"project": project, "status": status, "idle": idle or None, "limit": limit})

    def show(self, job_id: UUID) -> Document:
        return self._get(f"api/v1/jobs/{job_id}")

    def log(self, job_id: UUID, *, attempt: int | None, offset: int) -> Document:
        return self._get(f"api/v1/jobs/{job_id}/log", {"attempt": attempt, "offset": offset})

    def cancel(self, job_id: UUID, *, reason: str) -> Document:
        return self._post(f"api/v1/jobs/{job_id}/cancellation", {"reason": reason})

    def explain(self, job_id: UUID) -> Document:
        return self._get(f"api/v1/jobs/{job_id}/explanation")

    def _get(self, path: str, query: Mapping[str, Any] | None = None) -> Document:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self._answer(lambda: self._http.get(urljoin(self._base, path), params=given, timeout=TIMEOUT_SECONDS))

    def _post(self, path: str, body: Document) -> Document:
        headers = {"Idempotency-Key": str(new_id())}
        send = lambda: self._http.post(  # noqa: E731 - said twice below, with the same key
            urljoin(self._base, path), json=body, headers=headers, timeout=TIMEOUT_SECONDS
        )
        try:
            return self._answer(send)
        except InfrastructureError:
            return self._answer(send)

    def _answer(self, send: Any) -> Document:
        try:
            response: requests.Response = send()
        except requests.RequestException as error:
            raise InfrastructureError(f"{self._base} does not answer: {error}.") from None
        if response.status_code >= 500:
            raise InfrastructureError(f"{self._base} answered {response.status_code}; try again in a moment.")
        try:
            document = TypeAdapter(Document).validate_json(response.content)
        except ValueError:
            raise InfrastructureError(f"{self._base} did not answer as the platform's API does.") from None
        if response.status_code >= 400:
            raise Refused(str(document.get("detail", response.reason)), status=response.status_code)
        return document


def _plain(model: Any) -> Document:
    document: Document = model.model_dump(mode="json")
    return document
