"""A job that accepts several flavors: where it starts, what is held and charged for it, and what it is told while it waits."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from compute import scheduling
from compute.executors.base import AttemptState
from compute.models import Job, JobKind, JobStatus, SourceKind
from compute.queries import budget, snapshot, use
from compute.queries import explain as explaining
from compute.services import catalogue, expectations, starts
from compute.services.quotes import BudgetTooSmall
from compute.services.takers import NoPoolForJob
from core import ledger
from core.errors import InvalidInput
from core.identity.models import Project
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR


@pytest.fixture
def dear(world: World) -> World:
    """The same world where two B200 stand, worth three reference hours an hour each."""
    flavor = catalogue.add_flavor(world.session, slug="b200", name="NVIDIA B200", vendor="NVIDIA", author=None, now=world.now)
    catalogue.set_rate(
        world.session, flavor, Fraction(3), valid_from=world.now - HOUR, source="measured", author=None, now=world.now
    )
    pool = catalogue.add_pool(
        world.session, slug="large", name="Large", flavor=flavor, executor="scripted", devices=2,
        runs=[SourceKind.COMMAND], author=None, now=world.now,
    )  # fmt: skip
    return replace(world, flavor=flavor, pool=pool)


@pytest.fixture
def vllm(world: World, dear: World) -> Project:
    """A project; both flavors are offered to it."""
    world.offer(world.organisation("aws"), ticks=1000 * G)
    dear.offer(world.organisation("nebius"), ticks=1000 * G)
    return world.project("vllm")


def either(world: World, project: Project, **changes: Any) -> Job:
    """A job on an H100 for an hour, or else on a B200."""
    return world.job(project, alternatives=["b200"], **changes)


def fill(world: World) -> Job:
    """Take all eight H100 for another project."""
    other = world.project("ray")
    world.grant(other, ticks=100 * G)
    return world.start(world.job(other, gpus=8, name="in the way")).job


def test_it_starts_on_the_one_it_likes_best(world: World, vllm: Project) -> None:
    world.grant(vllm, ticks=10 * G)
    attempt = world.start(either(world, vllm))
    assert (attempt.flavor.slug, attempt.chosen_because, attempt.held_reference_ticks) == ("h100", None, G)
    assert world.executor.starts[-1].flavor == "h100"


def test_else_on_the_other_and_is_held_and_charged_at_that_ones_rate(world: World, vllm: Project) -> None:
    fill(world)
    grant = world.grant(vllm, ticks=10 * G)
    attempt = world.start(either(world, vllm))
    assert (attempt.flavor.slug, attempt.rate, attempt.pool.slug) == ("b200", 3, "large")
    assert attempt.chosen_because == "fewer h100 were free than it needs"
    assert world.executor.starts[-1].flavor == "b200"
    assert [(draw.offer.flavor.slug, draw.held_ticks) for draw in attempt.draws] == [("b200", G)]
    assert budget.of_grant(world.session, grant).held == 3 * G
    world.finish(attempt, AttemptState.SUCCEEDED, after=timedelta(minutes=20), exit_code=0)
    after = budget.of_grant(world.session, grant)
    assert (after.settled, after.held) == (G, 0), "twenty minutes at three reference hours an hour"
    assert ledger.balance(world.session, "equity:trading:gpu:b200").pending_out == 0


def test_a_dearer_one_that_the_grant_cannot_pay_is_not_started(world: World, vllm: Project) -> None:
    fill(world)
    grant = world.grant(vllm, ticks=4 * G)
    first, second = either(world, vllm), either(world, vllm)
    world.tick()
    assert (first.status, second.status) == (JobStatus.HELD, JobStatus.QUEUED), "three of four hours are held: one is left"
    assert budget.of_grant(world.session, grant).left == G
    assert second.waiting_code == "reserved_next", "an H100, which it can pay"
    assert "kept for it in pool Main" in (second.waiting_remedy or "")


def test_a_plan_that_took_the_dear_one_for_cheap_is_stopped_by_the_ledger(world: World, vllm: Project) -> None:
    """The control of the test before: with a wrong price the second job is planned there, and the hold refuses it."""
    fill(world)
    world.grant(vllm, ticks=4 * G)
    either(world, vllm), either(world, vllm)
    seen = snapshot.take(world.session, now=world.now)
    cheap = tuple(replace(job, alternatives=(scheduling.Alternative("b200", G, G),)) for job in seen.queued)
    wrong = scheduling.plan(replace(seen, queued=cheap)).starts
    assert [start.flavor for start in wrong] == ["b200", "b200"]
    with pytest.raises(ledger.InsufficientFunds), world.sessions() as session:
        starts.hold_many(session, wrong, now=world.now)


def test_a_start_in_a_pool_of_a_flavor_it_does_not_accept_is_left_out(world: World, dear: World, vllm: Project) -> None:
    world.grant(vllm, ticks=10 * G)
    either(world, vllm)
    (start,) = scheduling.plan(snapshot.take(world.session, now=world.now)).starts
    plain = world.job(vllm)
    assert starts.hold(world.session, replace(start, job_id=plain.id, pool_id=dear.pool.id), now=world.now) is None


def test_a_waiting_job_is_told_of_all_it_accepts(world: World, dear: World, vllm: Project) -> None:
    running = [fill(world)]
    world.grant(vllm, ticks=100 * G)
    running.append(world.start(dear.job(vllm, gpus=2, wall_seconds=600)).job)
    waits = either(world, vllm, gpus=2)
    world.tick()
    assert waits.waiting_reason is not None
    assert "needs 2 × b200 or h100" in waits.waiting_reason, "it is next in line where it starts soonest"
    expectations.look_ahead(world.sessions, world.executors, now=world.now)
    world.session.refresh(waits)
    assert waits.expected_latest_at is not None
    assert waits.expected_latest_at < world.now + HOUR, "ten minutes and the overhead of the B200, not the hour of the H100"
    found = explaining.explain(world.session, waits, connected=world.executors, now=world.now)
    assert [(flavor.slug, ticks) for flavor, ticks in found.needed] == [("h100", 2 * G), ("b200", 6 * G)]
    assert {fact.pool.slug for fact in found.pools} == {"main", "large"}
    assert {fact.offer.flavor.slug for fact in found.offers} == {"h100", "b200"}


def test_of_two_that_the_grant_cannot_pay_now_the_cheaper_is_named(world: World, vllm: Project) -> None:
    world.grant(vllm, ticks=8 * G)
    world.start(world.job(vllm, gpus=8, wall_seconds=3600 - 120))
    waits = either(world, vllm, gpus=2)
    world.tick()
    assert waits.waiting_code == "waiting_for_budget"
    assert waits.waiting_reason is not None
    assert "may use 2.00 reference GPU-hours on h100" in waits.waiting_reason


def test_what_can_never_be_is_refused_with_the_flavor_that_is_to_blame(world: World, vllm: Project) -> None:
    world.grant(vllm, ticks=5 * G)
    with pytest.raises(BudgetTooSmall, match="2 × b200"):
        either(world, vllm, gpus=2)
    with pytest.raises(NoPoolForJob, match=r"largest pool with NVIDIA B200 has 2"):
        either(world, vllm, gpus=3)
    with pytest.raises(InvalidInput, match="once"):
        world.job(vllm, alternatives=["h100"])
    with pytest.raises(InvalidInput, match="There is no flavor “b300”"):
        world.job(vllm, alternatives=["b300"])


def test_a_benchmark_stays_on_one_flavor(world: World, vllm: Project) -> None:
    world.grant(vllm, ticks=100 * G)
    with pytest.raises(InvalidInput, match="A benchmark stays on one kind"):
        either(world, vllm, kind=JobKind.BENCHMARK)
    job = either(world, vllm)
    with pytest.raises(IntegrityError, match="benchmark_on_one_flavor"), world.session.begin_nested():
        world.session.execute(text("UPDATE job SET kind = 'benchmark' WHERE id = :id"), {"id": job.id})


def test_the_database_refuses_the_preferred_one_as_an_alternative(world: World, vllm: Project) -> None:
    world.grant(vllm, ticks=100 * G)
    job = either(world, vllm)
    with pytest.raises(IntegrityError, match="ck_job_alternatives"), world.session.begin_nested():
        world.session.execute(text("UPDATE job SET alternative_ids = ARRAY[flavor_id] WHERE id = :id"), {"id": job.id})


def test_a_job_tried_again_may_start_on_another(world: World, vllm: Project) -> None:
    world.grant(vllm, ticks=100 * G)
    attempt = world.start(either(world, vllm))
    world.session.execute(text("UPDATE pool SET status = 'draining' WHERE slug = 'main'"))
    world.session.expire_all()
    world.finish(attempt, AttemptState.LOST, after=timedelta(minutes=5), reason="gone", infrastructure=True)
    world.tick()
    again = world.attempt(attempt.job)
    assert again.number == 2
    assert (again.flavor.slug, again.chosen_because) == ("b200", "no open pool had enough h100 for it")
    assert [flavor.slug for flavor in use.used_flavors(world.session)] == ["b200", "h100"]


def test_the_form_quotes_each_and_the_page_says_which_was_chosen(
    world: World, vllm: Project, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compute.views.jobs.executors", lambda: world.executors)
    fill(world)
    world.grant(vllm, ticks=100 * G)
    client.sign_in(world.maintainer(vllm))
    filled = {"project": "vllm", "source": "command", "command": "make test", "flavor": "h100", "alternatives": "b200",
              "gpus": "2", "wall_time": "3h", "memory": "4"}  # fmt: skip
    priced = client.submit(client.get("/jobs/new"), "Show the price", **filled)
    assert "6.00 reference GPU-hours" in priced.words
    assert "18.00 reference GPU-hours" in priced.words
    refused = client.submit(priced, "Submit job", **filled | {"kind": "benchmark"})
    assert any("A benchmark stays on one kind" in problem for problem in refused.problems)
    sent = client.submit(priced, "Submit job", **filled)
    assert sent.status == 303
    assert "2 × NVIDIA H100 or NVIDIA B200" in client.get(sent.location).words
    world.tick()
    assert "NVIDIA B200: fewer h100 were free than it needs" in client.get(sent.location).words
