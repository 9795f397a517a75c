"""Jobs over /api/v1: the documents, who may do what, and that its description is true."""

import json
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks as known_checks
from sqlalchemy import select

from app import main
from compute.executors.base import AttemptState
from compute.models import ComputeGrant, Job, PriorityUse, WindowKind
from compute.scheduling import Limit
from compute.services import hosts, priorities, quotas, run_limits, windows
from compute.services.priorities import NewClass
from compute.services.quotas import Quota, Terms
from compute.services.windows import NewWindow
from core.clock import utc_now
from core.db import new_id
from core.identity import tokens
from core.identity.models import Membership, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR
from core.web import api
from core.web.context import Application
from tests.integration.compute.conftest import HOUR, World

G = TICKS_PER_GPU_HOUR


@pytest.fixture
def busy(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world at this moment, with an offer, a grant and the scripted executor behind the API."""
    monkeypatch.setattr("compute.api.executors", lambda: world.executors)
    world.now = utc_now()
    world.offer(world.organisation("aws"), ticks=1000 * G)
    return world


@pytest.fixture
def vllm(busy: World) -> Project:
    """The project with a grant."""
    made = busy.project("vllm")
    busy.grant(made, ticks=100 * G)
    return made


DESCRIBED = tuple(
    f"/api/v1/{each}"
    for each in ("jobs", "compute-hosts", "compute-windows", "compute-limits", "compute-priorities", "compute-quota")
)


class Api:
    """Calls with a token, an idempotency key on every POST."""

    def __init__(self, app: Application, secret: str) -> None:
        self._client = app.test_client()
        self.headers = {"Authorization": f"Bearer {secret}"}
        self._count = 0

    def get(self, path: str) -> tuple[int, Any]:
        answer = self._client.get(f"/api/v1{path}", headers=self.headers)
        return answer.status_code, answer.json

    def post(self, path: str, body: Any, *, key: str | None = None) -> tuple[int, Any]:
        self._count += 1
        answer = self._client.post(
            f"/api/v1{path}", json=body, headers=self.headers | {"Idempotency-Key": key or f"test-key-{self._count}"}
        )
        return answer.status_code, answer.json


def token(world: World, person: Person, *scopes: str, project: Project | None = None) -> str:
    made = tokens.issue(
        world.session, person, name="CI", scopes=scopes or ("jobs:read", "jobs:write"), known_scopes=api.SCOPES,
        lifetime=timedelta(days=1), project=project, now=world.now,
    )  # fmt: skip
    world.session.commit()
    return made.secret


@pytest.fixture
def maintainer(busy: World, vllm: Project) -> Person:
    return busy.maintainer(vllm)


@pytest.fixture
def client_api(app: Application, busy: World, maintainer: Person) -> Api:
    return Api(app, token(busy, maintainer))


ASKED: dict[str, Any] = {"project": "vllm", "command": "make test", "flavor": "h100", "gpus": 2, "wall_seconds": 3600}


def test_only_a_token_made_for_it_uses_what_is_for_maintainers(
    app: Application, busy: World, maintainer: Person, vllm: Project
) -> None:
    officer = busy.person("Olga")
    busy.session.add(Membership(person_id=officer.id, role=Role.PROGRAMME_OFFICER, from_on=busy.now.date()))
    busy.session.flush()
    release = NewClass("release", "Release", 10, PriorityUse.MAINTAINERS, needs_reason=True, month_ticks=40 * G)
    priorities.set_class(busy.session, release, actor=officer, now=busy.now)
    wanted = {**ASKED, "priority": "release", "priority_reason": "1.0 is due."}
    status, refused = Api(app, token(busy, maintainer)).post("/jobs", wanted)
    assert (status, refused["code"]) == (403, "not_allowed")
    assert "jobs:urgent" in refused["detail"]
    status, made = Api(app, token(busy, maintainer, "jobs:write", "jobs:urgent")).post("/jobs", wanted)
    assert (status, made["priority"]["name"]) == (201, "Release")


def test_a_job_is_submitted_followed_and_paid_for(busy: World, client_api: Api) -> None:
    status, made = client_api.post("/jobs", ASKED)
    assert (status, made["status"], made["waiting"]["code"]) == (201, "queued", "waiting_for_scheduler")
    job = busy.session.get_one(Job, made["id"])
    assert client_api.get(f"/jobs/{job.id}/log")[1] == {
        "attempt": None, "text": "", "offset": 0, "next_offset": 0, "total_bytes": 0, "complete": False,
    }  # fmt: skip
    assert client_api.get(f"/jobs/{job.id}/explanation")[1]["would_start_now"] is True

    attempt = busy.start(job)
    busy.executor.output[attempt.id] = b"one\ntwo"
    log = client_api.get(f"/jobs/{job.id}/log?offset=0")[1]
    assert (log["text"], log["next_offset"], log["complete"]) == ("one\n", 4, False)
    busy.finish(attempt, AttemptState.FAILED, after=HOUR / 4, exit_code=3, output_bytes=7)
    shown = client_api.get(f"/jobs/{job.id}")[1]
    assert (shown["status"], shown["finished"], shown["cause"], shown["exit_code"]) == ("failed", True, "test", 3)
    assert shown["used_reference_gpu_hours"] == "0.500000"
    assert shown["attempts"][0]["draws"][0]["donor"] == "aws"
    listed = client_api.get("/jobs?project=vllm&status=failed&limit=1")[1]
    assert [row["id"] for row in listed["jobs"]] == [str(job.id)]


def test_sent_twice_with_one_key_it_is_submitted_once(busy: World, client_api: Api) -> None:
    first = client_api.post("/jobs", ASKED, key="build-4711-gpu")
    assert client_api.post("/jobs", ASKED, key="build-4711-gpu") == first
    assert busy.session.query(Job).count() == 1
    status, refused = client_api.post("/jobs", ASKED | {"gpus": 1}, key="build-4711-gpu")
    assert (status, refused["code"]) == (422, "idempotency_key_reused")


def test_a_shortfall_is_a_problem_with_its_numbers(client_api: Api) -> None:
    status, problem = client_api.post("/jobs", ASKED | {"gpus": 8, "wall_seconds": 20 * 3600})
    assert (status, problem["code"]) == (409, "budget_too_small")
    assert problem["shortfall_ticks"] == 60 * G
    assert "60 GPU-hours too few" in problem["detail"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"project": "nobody"}, 404),
        ({"flavor": "abacus"}, 422),
        ({"gpus": 0}, 422),
        ({"wall_seconds": "soon"}, 422),
        ({"commit": "main"}, 422),
        ({"environment": {"API_TOKEN": "x"}}, 422),
        ({"artefacts": ["/etc/passwd"]}, 422),
        ({"surprise": 1}, 422),
        ({"command": "a\u0000b"}, 422),
    ],
)
def test_bad_input_is_answered_as_a_problem(busy: World, client_api: Api, change: dict[str, Any], status: int) -> None:
    got, problem = client_api.post("/jobs", ASKED | change)
    assert got == status
    assert problem["detail"]
    assert busy.session.query(Job).count() == 0


def test_cancelling_is_for_the_projects_people(busy: World, vllm: Project, app: Application, client_api: Api) -> None:
    job = busy.job(vllm)
    stranger = Api(app, token(busy, busy.person("Stranger")))
    assert stranger.post(f"/jobs/{job.id}/cancellation", {})[0] == 403
    assert stranger.post("/jobs", ASKED)[0] == 403
    status, stopped = client_api.post(f"/jobs/{job.id}/cancellation", {"reason": "Wrong branch"})
    assert (status, stopped["status"], stopped["finished"]) == (202, "cancelled", True)


def test_a_token_sees_its_project_and_does_what_its_scopes_say(
    busy: World, vllm: Project, app: Application, maintainer: Person
) -> None:
    other = busy.project("deepspeed")
    busy.grant(other, ticks=G)
    job, foreign = busy.job(vllm), busy.job(other, wall_seconds=60)
    limited = Api(app, token(busy, maintainer, "jobs:read", project=vllm))
    assert [row["id"] for row in limited.get("/jobs")[1]["jobs"]] == [str(job.id)]
    assert limited.get(f"/jobs/{foreign.id}")[0] == 403
    assert limited.get("/jobs?project=deepspeed")[0] == 403
    assert limited.post("/jobs", ASKED)[1]["code"] == "scope_missing"
    assert app.test_client().get("/api/v1/jobs").status_code == 401


def test_a_forecast_is_for_who_may_see_the_project(busy: World, vllm: Project, app: Application, client_api: Api) -> None:
    grant = busy.session.scalars(select(ComputeGrant)).one()
    status, made = client_api.get(f"/compute-grants/{grant.id}/forecast")
    assert (status, made["project"], made["forecast"]["verdict"]) == (200, "vllm", None)
    assert made["forecast"]["sentence"] == "No forecast yet: it needs 14 days of history, and there are 0."
    other = busy.project("deepspeed")
    limited = Api(app, token(busy, busy.maintainer(other, "Di"), project=other))
    assert limited.get(f"/compute-grants/{grant.id}/forecast")[0] == 403
    assert client_api.get(f"/compute-grants/{new_id()}/forecast")[0] == 404
    assert [line["name"] for line in client_api.get("/compute-donors/aws/forecast")[1]["offers"]] == ["Offer"]
    assert client_api.get("/compute-donors/nobody/forecast")[0] == 404


def test_what_officers_have_set_is_read_by_whom_it_concerns(
    busy: World, vllm: Project, app: Application, client_api: Api, maintainer: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    officer, other, ray = busy.person("Olga"), busy.person("Cleo"), busy.project("ray")
    busy.session.add(Membership(person_id=officer.id, role=Role.PROGRAMME_OFFICER, from_on=busy.now.date()))
    busy.session.flush()
    session, by = busy.session, {"actor": officer, "now": busy.now}
    starts = busy.now + HOUR
    windows.plan(session, busy.pool, NewWindow(WindowKind.MAINTENANCE, starts, "new fans", starts + HOUR, 2), **by)
    for whose in (None, vllm, ray, maintainer, other):
        run_limits.set_limit(session, whose, Limit(jobs=5), reason="A loop holds up nobody.", **by)
    for open_ in (True, False):
        new = NewClass(
            f"spare-{open_}".lower(), "Spare", -10, PriorityUse.EVERYBODY, needs_reason=False, month_ticks=None, is_open=open_
        )
        priorities.set_class(session, new, **by)
    group = quotas.set_group(session, busy.pool, Terms("shared", 600, 3600), reason="Both pay.", **by)
    quotas.set_share(session, group, vllm, Quota(4, lends=2), reason="Pays half.", **by)
    hosts.add(session, busy.pool, name="gpu1", devices=8, reason="It was here.", **by)
    session.commit()

    (host,) = client_api.get("/compute-hosts?pool=main")[1]["hosts"]
    assert host == {"pool": "main", "host": "gpu1", "devices": 8, "in_use": 0, "in_service": True, "reason": "It was here."}
    (window,) = client_api.get("/compute-windows?pool=main")[1]["windows"]
    assert (window["why"], window["gpus"], window["status"]) == ("new fans", 2, "planned")
    assert client_api.get("/compute-windows")[1]["windows"] == [window]
    assert client_api.get("/compute-windows?pool=none")[0] == 404

    def limits_of(secret: str) -> list[tuple[str | None, str | None]]:
        return [(row["project"], row["person"]) for row in Api(app, secret).get("/compute-limits")[1]["limits"]]

    projects = [("ray", None), ("vllm", None)]
    assert limits_of(token(busy, maintainer)) == [(None, None), *projects, (None, maintainer.email)]
    assert limits_of(token(busy, maintainer, project=vllm)) == [(None, None), ("vllm", None), (None, maintainer.email)]
    assert limits_of(token(busy, officer)) == [(None, None), *projects, (None, other.email), (None, maintainer.email)]
    assert limits_of(token(busy, officer, project=vllm)) == [(None, None), ("vllm", None)]

    classes = client_api.get("/compute-priorities")[1]["priorities"]
    assert [(row["priority"], row["for"], row["open"]) for row in classes] == [
        ("spare-false", "everybody", False), ("spare-true", "everybody", True),
    ]  # fmt: skip
    (read,) = client_api.get("/compute-quota-groups")[1]["groups"]
    monkeypatch.setattr("compute.cli.quotas.session_scope", busy.sessions)
    assert json.loads(CliRunner().invoke(main, ["compute", "quotas", "--json"]).output)["groups"] == [read]
    assert (read["grace_seconds"], read["shares"][0]["lends"], read["shares"][0]["uses"]) == (600, 2, 0)


def test_what_the_description_says_is_true(busy: World, vllm: Project, app: Application, maintainer: Person) -> None:
    """Schemathesis makes requests from the OpenAPI document, odd ones too, and checks every answer against it."""
    job = busy.job(vllm)
    headers = {"Authorization": f"Bearer {token(busy, maintainer)}"}
    document = json.loads(app.test_client().get("/api/v1/openapi.json").data)
    document["paths"] = {path: item for path, item in document["paths"].items() if path.startswith(DESCRIBED)}
    assert len(document["paths"]) == 10
    schema = schemathesis.openapi.from_dict(document)
    schema.app = app
    checks = [
        known_checks.CHECKS.get_one(name)
        for name in ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
    ]
    asked = 0
    for operation in schema.get_all_operations():

        @settings(
            max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )  # fmt: skip
        @given(case=operation.ok().as_strategy())
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            if "job_id" in (case.path_parameters or {}) and asked % 2:
                case.path_parameters["job_id"] = str(job.id)
            case.headers = {**(case.headers or {}), **headers}
            case.call_and_validate(checks=checks)

        ask()
    assert asked >= 50
