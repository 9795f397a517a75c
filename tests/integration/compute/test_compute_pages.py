"""The pages of compute, fetched and sent as a browser would."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from compute.executors.base import AttemptState
from compute.models import GrantStatus, Job, JobStatus, OfferStatus
from compute.services import compute_grants, results
from core.clock import utc_now
from core.db import new_id
from core.identity.models import Membership, Organisation, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR


@pytest.fixture
def busy(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world at this moment, with an offer, a grant and the scripted executor behind the pages."""
    monkeypatch.setattr("compute.views.jobs.executors", lambda: world.executors)
    monkeypatch.setattr("compute.views.admin.executors", lambda: world.executors)
    world.now = utc_now()
    world.project("vllm")
    world.offer(world.organisation("aws"), ticks=1000 * G)
    world.grant(the_project(world), ticks=100 * G)
    return world


def the_project(world: World) -> Project:
    from sqlalchemy import select

    return world.session.scalars(select(Project).where(Project.slug == "vllm")).one()


def role(world: World, person: Person, wanted: Role, *, organisation: Organisation | None = None) -> Person:
    world.session.add(
        Membership(
            id=new_id(),
            person_id=person.id,
            organisation_id=organisation.id if organisation else None,
            role=wanted,
            from_on=world.now.date(),
        )
    )
    world.session.flush()
    return person


def fragment(client: Client, address: str) -> str:
    """A part of a page, as htmx asks for it."""
    answer = client.flask.get(address)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


FILLED: dict[str, Any] = {
    "project": "vllm",
    "source": "command",
    "command": "make test",
    "flavor": "h100",
    "gpus": "2",
    "wall_time": "3h",
    "memory": "4",
}


def test_the_compute_page_tells_what_waits_and_who_gives(busy: World, client: Client) -> None:
    busy.start(busy.job(the_project(busy), gpus=8, name="kernels"))
    busy.job(the_project(busy), gpus=8, name="distributed")
    busy.tick()
    page = client.get("/compute")
    assert "distributed" in page.words
    assert "next in line" in page.words
    assert "kernels" in page.words
    assert "Aws" in page.words


def test_a_maintainer_submits_a_job_and_sees_it(busy: World, client: Client) -> None:
    client.sign_in(busy.maintainer(the_project(busy)))
    form = client.get("/jobs/new?project=vllm")
    priced = client.submit(form, "Show the price", **FILLED)
    assert "6.00 reference GPU-hours" in priced.words
    sent = client.submit(priced, "Submit job", **FILLED)
    assert sent.status == 303
    shown = client.get(sent.location)
    assert shown.h1 == "make test"
    assert "waits for the scheduler’s next look" in shown.words or "waits for the scheduler's next look" in shown.words
    assert "make test" in client.get("/jobs?project=vllm&status=queued").words
    assert "make test" in client.get("/projects/vllm").words


def test_a_refused_job_keeps_what_was_typed_and_names_the_shortfall(busy: World, client: Client) -> None:
    client.sign_in(busy.maintainer(the_project(busy)))
    page = client.submit(client.get("/jobs/new"), "Submit job", **FILLED | {"gpus": "8", "wall_time": "20h", "name": "too long"})
    assert page.status == 409
    assert any("60 GPU-hours too few" in problem for problem in page.problems)
    assert page.one("input", name="name").get("value") == "too long"
    assert busy.session.query(Job).count() == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "repository"}, "Name the repository"),
        ({"wall_time": "soon"}, "is not a duration"),
        ({"environment": "HF_TOKEN=x"}, "looks like a secret"),
        ({"environment": "nonsense"}, "is not NAME=VALUE"),
        ({"gpus": "9"}, "The largest pool"),
        ({"command": ""}, "Say what to run"),
    ],
)
def test_bad_input_is_answered_beside_its_field(busy: World, client: Client, change: dict[str, str], words: str) -> None:
    client.sign_in(busy.maintainer(the_project(busy)))
    page = client.submit(client.get("/jobs/new"), "Submit job", **FILLED | change)
    assert page.status in {409, 422}
    assert any(words in problem for problem in page.problems)


def test_a_job_is_watched_stopped_and_paid_for(busy: World, client: Client) -> None:
    job = busy.job(the_project(busy), name="kernels", artefacts=["*.xml"])
    attempt = busy.start(job)
    busy.executor.output[attempt.id] = b"<script>alert(1)</script>\n\x1b[31mred\x1b[0m\nunfinish"
    page = client.get(f"/jobs/{job.id}")
    assert "<script>alert" not in page.text
    assert "alert(1)" in page.words
    assert "red" in page.words
    assert "unfinish" not in page.words
    part = fragment(client, f"/jobs/{job.id}/log?offset=26")
    assert part.startswith("red\n<span")
    assert "hx-get" in part

    busy.executor.left[attempt.id] = {
        "report.xml": b"<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>"
    }
    attempt = busy.finish(attempt, AttemptState.FAILED, after=HOUR / 2, exit_code=1, output_bytes=43)
    results.collect(busy.sessions, busy.executors, attempt.id, now=busy.now)
    busy.session.expire_all()
    page = client.get(f"/jobs/{job.id}")
    assert "1 of 2 tests passed" in page.words
    assert "the job itself failed, exit code 1" in page.words
    assert "0.5000 h" in page.words
    assert "assets:gpu:offer:" in page.words
    assert "hx-trigger" not in page.text.split('id="state"')[1].split(">")[0], "a finished job is not asked about again"
    link = next(a for a in page.all("a") if "artefacts" in a.get("href", ""))
    kept = client.get(link.get("href", ""))
    assert kept.headers["Content-Disposition"] == 'attachment; filename="report.xml"'
    assert kept.headers["Content-Type"] == "application/octet-stream"
    assert client.get(f"/jobs/{job.id}/log.txt").text == "<script>alert(1)</script>\nred\nunfinish"


def test_only_the_projects_people_cancel(busy: World, client: Client) -> None:
    job = busy.job(the_project(busy))
    client.sign_in(busy.person("Stranger"))
    assert "Cancel job" not in client.get(f"/jobs/{job.id}").text
    page = client.submit(client.get(f"/jobs/{job.id}/cancellation"), "Cancel job", reason="I want to")
    assert page.status == 403
    client.sign_in(busy.maintainer(the_project(busy)))
    sent = client.submit(client.get(f"/jobs/{job.id}/cancellation"), "Cancel job", reason="Wrong commit")
    assert sent.status == 303
    busy.session.refresh(job)
    assert job.status is JobStatus.CANCELLED
    assert "Wrong commit" in client.get(f"/jobs/{job.id}").words


def test_the_explanation_lays_open_pools_and_offers(busy: World, client: Client) -> None:
    busy.start(busy.job(the_project(busy), gpus=8))
    job = busy.job(the_project(busy), gpus=4)
    busy.tick()
    page = client.get(f"/jobs/{job.id}/explanation")
    assert "Place in line" in page.words
    assert "Main" in page.words
    assert "Aws" in page.words


def test_a_statement_and_its_csv_say_the_same(busy: World, client: Client) -> None:
    busy.finish(busy.start(busy.job(the_project(busy), gpus=4)), AttemptState.SUCCEEDED, after=HOUR / 2, exit_code=0)
    month = f"{busy.now:%Y-%m}"
    page = client.get(f"/compute/donors/aws/statements/{month}")
    assert "Vllm" in page.words
    assert "2.00 h" in page.words
    text = client.get(f"/compute/donors/aws/statements/{month}.csv").text
    (project,) = [row for row in csv.DictReader(io.StringIO(text)) if row["row"] == "project"]
    assert (project["name"], project["used"], project["jobs"], project["succeeded"]) == ("vllm", "2.000000", "1", "1")
    assert client.get("/compute/donors/aws").status == 200
    assert client.get("/compute/donors/nobody").status == 404
    assert client.get("/compute/donors/aws/statements/2026-13").status == 422


def test_a_donor_offers_an_officer_accepts_the_donor_takes_back(busy: World, client: Client) -> None:
    nvidia = busy.organisation("nvidia")
    dana = role(busy, busy.person("Dana"), Role.COMPUTE_DONOR, organisation=nvidia)
    olga = role(busy, busy.person("Olga"), Role.PROGRAMME_OFFICER)
    client.sign_in(dana)
    today = busy.now.date()
    sent = client.submit(
        client.get("/compute/offers/new"),
        "Enter offer",
        donor="nvidia",
        name="DGX for vLLM",
        kind="capacity",
        flavor="h100",
        devices="2",
        opens_on=str(today - timedelta(days=1)),
        closes_on=str(today + timedelta(days=9)),
        projects=str(the_project(busy).id),
    )
    assert sent.status == 303, sent.words
    assert "for Vllm" in client.get(sent.location).words
    offer_id = sent.location.rsplit("/", 1)[1]

    client.sign_in(olga)
    assert "DGX for vLLM" in client.get("/admin/compute").words
    accepted = client.submit(client.get(f"/admin/compute/offers/{offer_id}"), "Accept offer", pool="main")
    assert accepted.status == 303
    busy.now = utc_now()
    busy.tick()

    client.sign_in(dana)
    taken = client.submit(client.get(f"/compute/offers/{offer_id}/withdrawal"), "Take it back", at=f"{busy.now:%Y-%m-%dT%H:%M}")
    assert taken.status == 303, taken.words
    assert OfferStatus.DRAINING.value.title() in client.get(f"/compute/offers/{offer_id}").words
    client.sign_in(busy.person("Stranger"))
    assert client.get(f"/compute/offers/{offer_id}").status == 403


@pytest.mark.parametrize("end", ["9999-12-31", "5999-12-31"])
def test_ends_that_nobody_lives_to_see_are_refused(busy: World, client: Client, end: str) -> None:
    nvidia, project = busy.organisation("nvidia"), the_project(busy)
    client.sign_in(role(busy, busy.maintainer(project), Role.COMPUTE_DONOR, organisation=nvidia))
    begin = str(busy.now.date())
    given = {"donor": "nvidia", "name": "For ever", "kind": "capacity", "flavor": "h100", "devices": "100000"}
    sent = client.submit(client.get("/compute/offers/new"), "Enter offer", **given, opens_on=begin, closes_on=end)
    assert (sent.status, "must close within ten years" in sent.words) == (422, True)
    sent = client.submit(client.get("/compute/offers/new"), "Enter offer", **given, opens_on="0001-01-01", closes_on=begin)
    assert (sent.status, "opened more than ten years ago" in sent.words) == (422, True)
    asked = {"project": "vllm", "title": "Nightly", "purpose": "Every night", "gpu_hours": "200"}
    sent = client.submit(client.get("/compute/grants/new"), "Send request", **asked, starts_on=begin, expires_on=end)
    assert (sent.status, "must end within ten years" in sent.words) == (422, True)


def test_a_request_is_reviewed_and_granted_by_others(busy: World, client: Client) -> None:
    project = the_project(busy)
    client.sign_in(busy.maintainer(project))
    sent = client.submit(
        client.get("/compute/grants/new"),
        "Send request",
        project="vllm",
        title="Nightly",
        purpose="Every night",
        gpu_hours="200",
        starts_on=str(busy.now.date()),
        expires_on=str(busy.now.date() + timedelta(days=30)),
    )
    assert sent.status == 303
    grant_id = sent.location.rsplit("/", 1)[1]
    assert client.get(f"/admin/compute/grants/{grant_id}").status == 403

    client.sign_in(role(busy, busy.person("Olga"), Role.PROGRAMME_OFFICER))
    address = f"/admin/compute/grants/{grant_id}"
    assert client.submit(client.get(address), "Write review", **{"review-note": "Sound."}).status == 303
    less = client.submit(client.get(address), "Approve grant", **{"approve-gpu_hours": "150"})
    assert less.status == 422
    assert any("differs" in problem for problem in less.problems)
    done = client.submit(client.get(address), "Approve grant", **{"approve-gpu_hours": "150", "approve-note": "Pool is full."})
    assert done.status == 303
    assert "150.00" in client.get(f"/compute/grants/{grant_id}").words


def test_an_officer_who_asked_does_not_decide(busy: World, client: Client) -> None:
    project = the_project(busy)
    olga = role(busy, busy.maintainer(project, "Olga"), Role.PROGRAMME_OFFICER)
    grant = compute_grants.request(
        busy.session, project, title="Mine", purpose="x", ticks=G, starts_at=busy.now, expires_at=busy.now + HOUR,
        requested_by=olga, now=busy.now,
    )  # fmt: skip
    client.sign_in(olga)
    assert "somebody else has to decide" in client.get(f"/admin/compute/grants/{grant.id}").words
    sent = client.post(f"/admin/compute/grants/{grant.id}/review", {"review-note": "Great idea."})
    assert sent.status == 409
    assert grant.status is GrantStatus.REQUESTED


def test_the_desk_adds_flavors_pools_and_rates(busy: World, client: Client) -> None:
    client.sign_in(role(busy, busy.person("Olga"), Role.PROGRAMME_OFFICER))
    added = client.submit(
        client.get("/admin/compute/flavors/new"), "Add kind", slug="mi300x", name="AMD MI300X", vendor="AMD", slices_per_gpu="1"
    )
    assert added.status == 303, added.words
    added = client.submit(client.get("/admin/compute/rates/new"), "Enter rate", flavor="mi300x", rate="7/5", source="A benchmark")
    assert added.status == 303, added.words
    added = client.submit(
        client.get("/admin/compute/pools/new"),
        "Add pool",
        slug="amd",
        name="AMD",
        flavor="mi300x",
        executor="scripted",
        devices="4",
    )
    assert added.status == 303, added.words
    page = client.get("/admin/compute")
    assert "7/5" in page.words
    assert client.post("/admin/compute/pools/amd/draining").status == 303
    refused = client.submit(client.get("/admin/compute/rates/new"), "Enter rate", flavor="mi300x", rate="0", source="x")
    assert refused.status == 422


def test_the_price_is_told_while_typing(busy: World, client: Client) -> None:
    client.sign_in(busy.maintainer(the_project(busy)))
    typed = "/jobs/quote?project=vllm&flavor=h100&gpus=2&wall_time="
    assert "1.50 reference GPU-hours" in fragment(client, f"{typed}45m")
    assert "is not a duration" in fragment(client, f"{typed}x")
    assert "the price appears here" in fragment(client, "/jobs/quote?project=vllm")


@pytest.mark.parametrize("address", ["/jobs?status=nonsense", "/jobs?project=nobody", "/jobs?cursor=x"])
def test_odd_addresses_are_answered_in_words(busy: World, client: Client, address: str) -> None:
    assert client.get(address).status in {404, 422}
