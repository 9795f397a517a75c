"""A job from submission to settlement, and every way it can end."""

from datetime import timedelta
from fractions import Fraction

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from compute.executors.base import AttemptState, ExecutorError, Stop
from compute.models import AttemptStatus, FailureCause, GrantStatus, Job, JobStatus, OfferStatus, UsageRecord
from compute.queries import budget
from compute.services import attempts, catalogue, offers, results, starts, tick
from compute.services.attempts import CollectResults, LaunchAttempt
from core import ledger
from core.tasks import TaskRow
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, MINUTE_TICKS, World

G = TICKS_PER_GPU_HOUR


def numbers(world: World, thing: object) -> tuple[int, int, int]:
    """Granted, settled, held in GPU-minutes."""
    from compute.models import ComputeGrant

    read = budget.of_grant if isinstance(thing, ComputeGrant) else budget.of_offer
    seen = read(world.session, thing)  # type: ignore[arg-type]
    assert all(ticks % MINUTE_TICKS == 0 for ticks in (seen.granted, seen.settled, seen.held))
    return seen.granted // MINUTE_TICKS, seen.settled // MINUTE_TICKS, seen.held // MINUTE_TICKS


def test_a_job_holds_its_wall_time_runs_and_pays_what_it_used(world: World) -> None:
    donor, project = world.organisation("aws"), world.project("vllm")
    offer, grant = world.offer(donor, ticks=100 * G), world.grant(project, ticks=10 * G)
    job = world.job(project, gpus=2)
    assert (job.status, job.waiting_code) == (JobStatus.QUEUED, "waiting_for_scheduler")
    assert numbers(world, grant) == (600, 0, 0), "a waiting job holds nothing"

    attempt = world.start(job)
    assert (attempt.status, job.status, job.waiting_reason) == (AttemptStatus.RUNNING, JobStatus.RUNNING, None)
    assert numbers(world, grant) == (600, 0, 120)
    assert numbers(world, offer) == (6000, 0, 120)

    attempt = world.finish(attempt, AttemptState.SUCCEEDED, after=timedelta(minutes=15), exit_code=0)
    assert (job.status, job.finished_at, attempt.cause) == (JobStatus.SUCCEEDED, world.now, None)
    assert numbers(world, grant) == (600, 30, 0)
    assert numbers(world, offer) == (6000, 30, 0)
    assert attempt.usage is not None
    assert attempt.usage.reference_ticks == 30 * MINUTE_TICKS
    used = ledger.balance(world.session, "expenses:gpu:used:vllm")
    assert used.posted == 30 * MINUTE_TICKS
    assert ledger.balance(world.session, "equity:gpu:promised").posted == (600 - 30) * MINUTE_TICKS


def test_flavor_time_is_exchanged_at_the_rate_of_the_start(world: World) -> None:
    donor, project = world.organisation("aws"), world.project("vllm")
    offer, grant = world.offer(donor, ticks=100 * G), world.grant(project, ticks=10 * G)
    catalogue.set_rate(
        world.session, world.flavor, Fraction(5, 2), valid_from=world.now, source="benchmark", author=None, now=world.now
    )
    attempt = world.start(world.job(project))
    catalogue.set_rate(
        world.session, world.flavor, Fraction(9), valid_from=world.now + HOUR / 4, source="dearer", author=None, now=world.now
    )
    world.finish(attempt, AttemptState.SUCCEEDED, after=HOUR / 2, exit_code=0)
    assert numbers(world, offer) == (6000, 30, 0)
    assert numbers(world, grant) == (600, 75, 0)
    trading = {code: ledger.balance(world.session, f"equity:trading:gpu:{code}") for code in ("h100", "ref")}
    assert Fraction(trading["ref"].credits_posted, trading["h100"].debits_posted) == Fraction(5, 2)


def test_a_shortfall_refuses_before_the_start_and_names_the_minutes(world: World) -> None:
    """AE-044: 1,000 GPU-minutes, 600 used; 2 GPUs for 4 h lack 80; for 3 h 20 min they fit exactly."""
    from compute.services.quotes import BudgetTooSmall

    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=1000 * G)
    grant = world.grant(project, ticks=1000 * MINUTE_TICKS)
    world.finish(world.start(world.job(project, gpus=5, wall_seconds=7200)), AttemptState.SUCCEEDED, after=2 * HOUR, exit_code=0)
    assert numbers(world, grant) == (1000, 600, 0)

    with pytest.raises(BudgetTooSmall, match="80 GPU-minutes too few") as refused:
        world.job(project, gpus=2, wall_seconds=4 * 3600)
    assert refused.value.details["shortfall_ticks"] == 80 * MINUTE_TICKS
    assert world.session.scalar(select(func.count(Job.id))) == 1, "nothing was written"

    attempt = world.start(world.job(project, gpus=2, wall_seconds=12_000))
    assert numbers(world, grant) == (1000, 600, 400)
    world.finish(attempt, AttemptState.SUCCEEDED, after=timedelta(seconds=12_000), exit_code=0)
    assert numbers(world, grant)[:2] == (1000, 1000)
    world.tick()
    assert grant.status is GrantStatus.CLOSED


def test_hours_in_flight_make_the_next_job_wait_and_say_so(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=1000 * G)
    world.grant(project, ticks=G)
    first, second = world.job(project), world.job(project, wall_seconds=1800)
    # The shorter one goes first; the longer one can only be paid for when that one gives back.
    started = world.start(second)
    assert first.waiting_code == "waiting_for_budget"
    assert "0.50 short" in (first.waiting_reason or "")
    world.finish(started, AttemptState.FAILED, after=timedelta(0), exit_code=2)
    world.tick()
    assert first.status is JobStatus.HELD


@pytest.mark.parametrize(
    ("state", "facts", "status", "cause"),
    [
        (AttemptState.FAILED, {"exit_code": 1}, JobStatus.FAILED, FailureCause.TEST),
        (AttemptState.TIMED_OUT, {"exit_code": 137}, JobStatus.TIMED_OUT, FailureCause.LIMIT),
    ],
)
def test_a_job_that_fails_by_itself_pays_and_is_not_tried_again(
    world: World, state: AttemptState, facts: dict[str, int], status: JobStatus, cause: FailureCause
) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=100 * G)
    grant = world.grant(project, ticks=10 * G)
    job = world.job(project)
    attempt = world.finish(world.start(job), state, after=HOUR, **facts)
    assert (job.status, attempt.cause, job.finished) == (status, cause, True)
    assert numbers(world, grant) == (600, 60, 0)


def test_a_failure_of_the_infrastructure_is_credited_back_and_tried_once_more(world: World) -> None:
    project = world.project("vllm")
    offer, grant = world.offer(world.organisation("aws"), ticks=100 * G), world.grant(project, ticks=10 * G)
    job = world.job(project)
    first = world.finish(
        world.start(job), AttemptState.LOST, after=HOUR / 3, infrastructure=True, reason="The machine went away."
    )
    assert (first.status, first.cause) == (AttemptStatus.LOST, FailureCause.INFRASTRUCTURE)
    assert numbers(world, grant) == (600, 0, 0), "credited back in full"
    assert numbers(world, offer) == (6000, 20, 0), "the offer bears what was burnt"
    assert ledger.balance(world.session, "expenses:gpu:lost:h100").posted == 20 * MINUTE_TICKS
    assert (job.status, job.waiting_code, job.retries_left) == (JobStatus.QUEUED, "waiting_for_retry", 0)

    second = world.finish(world.start(job), AttemptState.LOST, after=HOUR / 3, infrastructure=True)
    assert second.number == 2
    assert (job.status, job.finished) == (JobStatus.LOST, True)
    assert numbers(world, grant) == (600, 0, 0)


def test_a_job_that_can_not_be_launched_is_credited_back(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=100 * G)
    grant = world.grant(project, ticks=10 * G)
    job = world.job(project)
    world.tick()
    world.executor.refuse = ExecutorError("No such commit.", permanent=True)
    tick.launch(world.sessions, world.executors, world.attempt(job).id, now=world.now, last_try=False)
    assert world.attempt(job).reason == "No such commit."
    assert numbers(world, grant) == (600, 0, 0)


def test_a_launch_that_may_work_later_is_tried_again(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=100 * G)
    world.grant(project, ticks=10 * G)
    job = world.job(project)
    world.tick()
    attempt = world.attempt(job)
    world.executor.refuse = ExecutorError("The disk is full.", permanent=False)
    with pytest.raises(ExecutorError):
        tick.launch(world.sessions, world.executors, attempt.id, now=world.now, last_try=False)
    assert world.attempt(job).status is AttemptStatus.STARTING
    world.executor.refuse = None
    tick.launch(world.sessions, world.executors, attempt.id, now=world.now, last_try=False)
    tick.launch(world.sessions, world.executors, attempt.id, now=world.now, last_try=False)
    assert {spec.attempt_id for spec in world.executor.starts} == {attempt.id}


def test_a_report_that_comes_again_changes_nothing(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=100 * G)
    grant = world.grant(project, ticks=10 * G)
    attempt = world.finish(world.start(world.job(project)), AttemptState.SUCCEEDED, after=HOUR / 2, exit_code=0)
    before = numbers(world, grant)
    seen = world.executor.status(attempt.id)
    for _ in range(3):
        attempts.observe(world.session, attempt.id, seen, now=world.now + HOUR)
    assert numbers(world, grant) == before
    assert world.session.scalar(select(func.count(UsageRecord.id))) == 1


def test_cancelling_a_waiting_job_costs_nothing_a_running_one_what_it_used(world: World) -> None:
    project = world.project("vllm")
    maintainer = world.maintainer(project)
    world.offer(world.organisation("aws"), ticks=100 * G)
    grant = world.grant(project, ticks=10 * G)
    waiting = world.job(project)
    attempts.cancel(world.session, waiting.id, actor=maintainer, reason="", now=world.now)
    assert (waiting.status, waiting.finished) == (JobStatus.CANCELLED, True)

    running = world.job(project)
    attempt = world.start(running)
    attempts.cancel(world.session, running.id, actor=maintainer, reason="Wrong branch.", now=world.now)
    world.tick()
    assert (attempt.id, Stop.CANCELLED) in world.executor.stops
    attempt = world.finish(attempt, AttemptState.CANCELLED, after=HOUR / 6)
    assert (running.status, attempt.cause, attempt.reason) == (JobStatus.CANCELLED, FailureCause.PERSON, "Wrong branch.")
    assert numbers(world, grant) == (600, 10, 0)


def test_cancelling_between_hold_and_launch_starts_nothing(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=100 * G)
    grant = world.grant(project, ticks=10 * G)
    job = world.job(project)
    world.tick()
    attempts.cancel(world.session, job.id, actor=None, reason="", now=world.now)
    tick.launch(world.sessions, world.executors, world.attempt(job).id, now=world.now, last_try=False)
    assert world.executor.starts == []
    assert numbers(world, grant) == (600, 0, 0)
    assert job.status is JobStatus.CANCELLED


def test_an_attempt_its_executor_does_not_know_is_lost_after_a_while(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=100 * G)
    grant = world.grant(project, ticks=10 * G)
    job = world.job(project)
    attempt = world.start(job)
    del world.executor.known[attempt.id]
    world.now += HOUR / 4
    world.tick()
    assert (job.status, job.waiting_code) == (JobStatus.QUEUED, "waiting_for_retry")
    world.tick()
    assert world.attempt(job).number == 2
    assert numbers(world, grant) == (600, 0, 60)


def test_a_launcher_that_slept_past_the_settlement_stops_what_it_started(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=100 * G)
    world.grant(project, ticks=10 * G)
    job = world.job(project)
    world.tick()
    attempt = world.attempt(job)

    def start_late(spec: object) -> None:
        attempts.launch_failed(world.session, attempt.id, "Given up.", now=world.now)
        type(world.executor).start(world.executor, spec)  # type: ignore[arg-type]

    world.executor.start = start_late  # type: ignore[method-assign,assignment]
    tick.launch(world.sessions, world.executors, attempt.id, now=world.now, last_try=False)
    assert [stopped for stopped, _ in world.executor.stops] == [attempt.id]


def test_the_soonest_ending_offer_is_drawn_first_and_splits_are_exact(world: World) -> None:
    aws, nvidia, project = world.organisation("aws"), world.organisation("nvidia"), world.project("vllm")
    late = world.offer(nvidia, ticks=100 * G, closes_in=timedelta(days=60))
    soon = world.offer(aws, ticks=G // 3, closes_in=timedelta(days=2))
    too_soon = world.offer(aws, ticks=50 * G, closes_in=HOUR)
    world.grant(project, ticks=10 * G)
    attempt = world.start(world.job(project))
    assert [(draw.offer_id, draw.held_ticks) for draw in attempt.draws] == [(soon.id, G // 3), (late.id, 2 * G // 3)]
    attempt = world.finish(attempt, AttemptState.SUCCEEDED, after=HOUR / 2, exit_code=0)
    assert [draw.used_ticks for draw in attempt.draws] == [G // 3, G // 6]
    assert numbers(world, too_soon)[1] == 0, "its window closes before the job could end"


def test_an_offer_for_others_is_not_drawn(world: World) -> None:
    from compute.policies import OfferPolicy
    from compute.services.takers import NoOfferForJob

    vllm, deepspeed = world.project("vllm"), world.project("deepspeed")
    world.offer(world.organisation("aws"), ticks=100 * G, policy=OfferPolicy(projects=frozenset({vllm.id})))
    world.grant(vllm, ticks=G)
    world.grant(deepspeed, ticks=G)
    with pytest.raises(NoOfferForJob, match="Deepspeed"):
        world.job(deepspeed)
    assert world.start(world.job(vllm)).status is AttemptStatus.RUNNING


def test_after_a_grant_ends_nothing_is_drawn(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=100 * G)
    grant = world.grant(project, ticks=10 * G, lasts=3 * HOUR)
    attempt = world.start(world.job(project, gpus=8))
    waiting = world.job(project, wall_seconds=7200, gpus=1)
    world.now += 1.5 * HOUR
    world.tick()
    assert waiting.waiting_code == "waiting_for_grant"
    world.finish(attempt, AttemptState.SUCCEEDED, after=timedelta(0), exit_code=0)
    world.now += 2 * HOUR
    world.tick()
    assert grant.status is GrantStatus.CLOSED
    assert (waiting.status, waiting.finished) == (JobStatus.CANCELLED, True)
    assert ledger.balance(world.session, grant.ledger_account).available == 0


def test_an_offer_taken_back_drains_what_runs_and_writes_off_the_rest(world: World) -> None:
    project = world.project("vllm")
    offer, grant = world.offer(world.organisation("aws"), ticks=100 * G), world.grant(project, ticks=10 * G)
    job = world.job(project)
    attempt = world.start(job)
    offers.take_back(world.session, offer, at=world.now + HOUR / 2, actor=None, now=world.now)
    world.now += HOUR / 2
    world.tick()
    assert (attempt.id, Stop.EVICTED) in world.executor.stops
    assert offer.status is OfferStatus.EXPIRED, "still holds what runs"
    attempt = world.finish(attempt, AttemptState.EVICTED, after=timedelta(0), infrastructure=True)
    assert attempt.status is AttemptStatus.EVICTED
    assert numbers(world, grant) == (600, 0, 0)
    world.tick()
    assert offer.status is OfferStatus.CLOSED
    assert ledger.balance(world.session, offer.ledger_account).available == 0
    assert ledger.balance(world.session, "expenses:gpu:unused:h100").posted == 100 * G - 30 * MINUTE_TICKS
    assert job.status is JobStatus.QUEUED


def test_since_when_a_job_waits_survives_new_numbers_but_not_a_new_reason(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=1000 * G)
    world.grant(project, ticks=500 * G)
    attempt = world.start(world.job(project, gpus=8))
    waiting = world.job(project, gpus=8)
    world.tick()
    assert waiting.waiting_code == "reserved_next"
    since, sentence = waiting.waiting_since, waiting.waiting_reason
    world.now += timedelta(minutes=5)
    world.job(project, gpus=8)
    world.tick()
    assert (waiting.waiting_since, waiting.waiting_reason) == (since, sentence)
    world.finish(attempt, AttemptState.SUCCEEDED, after=timedelta(minutes=5), exit_code=0)
    world.tick()
    assert waiting.status is JobStatus.HELD


def test_a_full_pool_is_never_overfilled_by_a_stale_plan(world: World) -> None:
    from compute import scheduling
    from compute.queries import snapshot

    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=1000 * G)
    world.grant(project, ticks=500 * G)
    first, second = world.job(project, gpus=8), world.job(project, gpus=8)
    plans = [scheduling.plan(snapshot.take(world.session, now=world.now)) for _ in range(2)]
    planned = [replace_job(plans[0].starts[0], first.id), replace_job(plans[1].starts[0], second.id)]
    assert [starts.hold(world.session, start, now=world.now) is not None for start in planned] == [True, False]
    assert starts.hold(world.session, planned[0], now=world.now) is None, "the same start twice holds once"


def replace_job(start: object, job_id: object) -> object:
    from dataclasses import replace

    return replace(start, job_id=job_id)  # type: ignore[type-var]


def test_the_database_refuses_a_second_open_attempt(world: World) -> None:
    from compute.models import JobAttempt

    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=1000 * G)
    world.grant(project, ticks=500 * G)
    attempt = world.start(world.job(project))
    copied = {column.name: getattr(attempt, column.name) for column in JobAttempt.__table__.columns}
    from core.db import new_id

    with pytest.raises(IntegrityError, match="uq_job_attempt_open"), world.session.begin_nested():
        world.session.execute(insert(JobAttempt).values(**copied | {"id": new_id(), "number": 2}))


def test_the_database_refuses_a_queued_job_without_reason(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=1000 * G)
    world.grant(project, ticks=500 * G)
    job = world.job(project)
    emptied = update(Job).where(Job.id == job.id).values(waiting_reason=None)
    with pytest.raises(IntegrityError, match="reason_while_queued"), world.session.begin_nested():
        world.session.execute(emptied)


def test_results_are_collected_once_and_reports_summed_up(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=100 * G)
    world.grant(project, ticks=10 * G)
    job = world.job(project, artefacts=["*.xml"])
    attempt = world.start(job)
    world.executor.output[attempt.id] = b"one\n\x1b[31mtwo\x1b[0m\n"
    world.executor.left[attempt.id] = {
        "report.xml": b"<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>",
        "notes.txt": b"hello",
    }
    assert results.read_output(attempt, world.executors, offset=0, limit=100).text == "one\ntwo\n"
    attempt = world.finish(attempt, AttemptState.FAILED, after=HOUR / 2, exit_code=1, output_bytes=17)
    for _ in range(2):
        results.collect(world.sessions, world.executors, attempt.id, now=world.now)
    attempt = world.attempt(job)
    world.session.refresh(attempt, ["artefacts"])
    assert [(kept.name, kept.size_bytes) for kept in attempt.artefacts] == [("notes.txt", 5), ("report.xml", 83)]
    assert attempt.test_summary == {"tests": 2, "passed": 1, "failures": 1, "errors": 0, "skipped": 0, "failed": ["b"]}
    seen = results.read_output(attempt, {}, offset=4, limit=100)
    assert (seen.text, seen.complete) == ("two\n", True)


def test_every_step_leaves_its_task_in_the_same_transaction(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=100 * G)
    world.grant(project, ticks=10 * G)
    attempt = world.finish(world.start(world.job(project)), AttemptState.SUCCEEDED, after=HOUR, exit_code=0)
    kinds = world.session.scalars(select(TaskRow.kind).where(TaskRow.arguments["attempt_id"].astext == str(attempt.id))).all()
    assert sorted(kinds) == [CollectResults.kind, LaunchAttempt.kind]
