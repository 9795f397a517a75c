"""Maintenance, reservations and drains: planned by people, kept by the scheduler, said to whoever waits."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import main
from compute import scheduling
from compute.executors.base import AttemptState, AttemptStatus
from compute.models import Job, JobAttempt, JobStatus, PoolStatus, PoolWindow, WindowKind, WindowStatus
from compute.queries import attempts, expected, explain, snapshot
from compute.queries import windows as window_queries
from compute.services import attempts as attempt_services
from compute.services import catalogue, expectations, starts, tick, windows
from compute.services.windows import NewWindow, PoolTaken, ReservationInUse, WindowBegun
from core import audit, ledger
from core.errors import IllegalTransition, InvalidInput, NotAllowed, NotFound
from core.identity.models import Membership, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR
MAINTENANCE, RESERVATION, DRAIN = WindowKind.MAINTENANCE, WindowKind.RESERVATION, WindowKind.DRAIN


@pytest.fixture
def officer(world: World) -> Person:
    made = world.person("Olga")
    world.session.add(Membership(person_id=made.id, role=Role.PROGRAMME_OFFICER, from_on=world.now.date()))
    world.session.flush()
    return made


@pytest.fixture
def vllm(world: World) -> Project:
    return _granted(world, "vllm")


def _granted(world: World, slug: str) -> Project:
    project = world.project(slug)
    world.grant(project, ticks=1000 * G)
    if slug == "vllm":
        world.offer(world.organisation("aws"), ticks=1000 * G)
    return project


def _in(world: World, hours: float) -> datetime:
    return world.now + hours * HOUR


def _plan(
    world: World, officer: Person, begins: float = 2, ends: float | None = 4, gpus: int | None = 8, **more: object
) -> PoolWindow:
    given = {"kind": MAINTENANCE, "why": "new fans", "project": None} | more
    new = NewWindow(begins_at=_in(world, begins), ends_at=None if ends is None else _in(world, ends), gpus=gpus, **given)  # type: ignore[arg-type]
    return windows.plan(world.session, world.pool, new, actor=officer, now=world.now)


def _queued(*jobs: Job) -> list[bool]:
    return [job.status is JobStatus.QUEUED for job in jobs]


def test_a_job_that_could_still_run_then_waits_and_says_so(world: World, officer: Person, vllm: Project) -> None:
    window = _plan(world, officer)
    long, short = world.job(vllm, wall_seconds=2 * 3600), world.job(vllm, wall_seconds=3600)
    world.tick()
    assert _queued(long, short) == [True, False]
    assert long.waiting_code == "waiting_for_window"
    begins = window.begins_at
    assert f"from {begins:%H:%M} UTC on pool Main has 0 left for it (new fans)" in (long.waiting_reason or "")
    assert "new fans in pool Main is over or takes 1 GPU less" in (long.waiting_remedy or "")
    found = explain.explain(world.session, long, connected=world.executors, now=world.now)
    assert found.code == "waiting_for_window"
    assert found.expected is not None
    assert found.expected.latest_at == int(begins.timestamp()) + 2 * 3600, "as soon as it is over"
    expectations.look_ahead(world.sessions, world.executors, now=world.now)
    assert expected.of_job(long) == replace(found.expected, as_of=int(world.now.timestamp()))


def test_a_step_of_the_clock_that_fails_keeps_none_of_the_others(
    world: World, officer: Person, vllm: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plan(world, officer, begins=1, ends=None, gpus=None, kind=DRAIN)

    def fails(_session: Session, *, now: datetime) -> None:
        raise RuntimeError("no offers today")

    monkeypatch.setattr("compute.services.lifecycle.pass_offers", fails)
    world.now += 2 * HOUR
    with pytest.raises(ExceptionGroup) as raised:
        tick.let_time_pass(world.sessions, now=world.now)
    assert [str(each) for each in raised.value.exceptions] == ["no offers today"]
    assert world.pool.status is PoolStatus.DRAINING


def test_without_the_window_it_starts(world: World, vllm: Project) -> None:
    job = world.job(vllm, wall_seconds=2 * 3600)
    world.tick()
    assert not any(_queued(job))


def test_what_fits_beside_it_starts(world: World, officer: Person, vllm: Project) -> None:
    _plan(world, officer, gpus=6)
    fits, too_many = world.job(vllm, gpus=2, wall_seconds=2 * 3600), world.job(vllm, gpus=3, wall_seconds=2 * 3600)
    world.tick()
    assert _queued(fits, too_many) == [False, True]


def test_once_it_is_called_off_or_over_the_job_starts(world: World, officer: Person, vllm: Project) -> None:
    window = _plan(world, officer)
    job = world.job(vllm, wall_seconds=2 * 3600)
    world.tick()
    assert all(_queued(job))
    windows.call_off(world.session, window, reason="The fans are late.", actor=officer, now=world.now)
    world.tick()
    assert not any(_queued(job))
    told = [event.verb for event in audit.history(world.session, window)]
    assert sorted(told) == ["pool_window.called_off", "pool_window.planned"]
    later = _plan(world, officer, begins=5, ends=6)
    world.now = _in(world, 6)
    world.tick()
    assert later.status is WindowStatus.OVER
    with pytest.raises(IllegalTransition):
        windows.call_off(world.session, later, reason="Too late.", actor=officer, now=world.now)


def test_a_window_planned_between_decision_and_hold_is_seen(world: World, officer: Person, vllm: Project) -> None:
    job = world.job(vllm, wall_seconds=2 * 3600)
    decided = scheduling.plan(snapshot.take(world.session, now=world.now)).starts
    assert len(decided) == 1
    window = _plan(world, officer)
    assert starts.hold_many(world.session, decided, now=world.now) == []
    windows.call_off(world.session, window, reason="A mistake.", actor=officer, now=world.now)
    assert [each.job_id for each in starts.hold_many(world.session, decided, now=world.now)] == [job.id]


def test_a_reservation_is_its_projects_and_nobody_elses(world: World, officer: Person, vllm: Project) -> None:
    ray = _granted(world, "ray")
    window = _plan(world, officer, 0, 3, 6, kind=RESERVATION, project=vllm, why="the launch")
    theirs, ours = world.job(ray, gpus=3), world.job(vllm, gpus=6)
    world.tick()
    assert _queued(theirs, ours) == [True, False]
    assert theirs.waiting_code == "reserved_next"
    assert world.attempt(ours).reservation_id == window.id
    fits, more = world.job(ray, gpus=2), world.job(vllm, gpus=1)
    world.tick()
    assert _queued(fits, more) == [False, True]
    assert world.attempt(fits).reservation_id is None
    assert attempts.devices_in_use(world.session, world.pool) == 8


def test_reserved_and_other_jobs_share_what_an_offer_has_left(world: World, officer: Person) -> None:
    vllm = world.project("small")
    world.grant(vllm, ticks=1000 * G)
    offer = world.offer(world.organisation("nvidia"), ticks=4 * G)
    _plan(world, officer, 0, 3, 4, kind=RESERVATION, project=vllm, why="the launch")
    inside, outside = world.job(vllm, gpus=2), world.job(vllm, gpus=3)
    world.tick()
    assert _queued(inside, outside) == [False, True]
    assert outside.waiting_code == "waiting_for_offer"
    assert ledger.balance(world.session, offer.ledger_account).pending_out == 2 * G


def test_a_reservation_to_come_keeps_others_away_and_its_project_may_wait_for_it(
    world: World, officer: Person, vllm: Project
) -> None:
    ray = _granted(world, "ray")
    _plan(world, officer, 1, 3, 8, kind=RESERVATION, project=vllm, why="the launch")
    theirs, ours = world.job(ray, wall_seconds=3600), world.job(vllm, wall_seconds=3600)
    world.tick()
    assert [theirs.waiting_code, ours.waiting_code] == ["waiting_for_window", "waiting_for_window"], "an hour and its overhead"
    found = [explain.explain(world.session, job, connected=world.executors, now=world.now).expected for job in (theirs, ours)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].latest_at == int(_in(world, 3).timestamp())
    assert found[1].latest_at == int(_in(world, 1).timestamp())
    world.now = _in(world, 1)
    world.tick()
    assert _queued(theirs, ours) == [True, False]


def test_reservations_are_promised_only_what_will_be_free(world: World, officer: Person, vllm: Project) -> None:
    world.start(world.job(vllm, gpus=5, wall_seconds=4 * 3600))
    with pytest.raises(PoolTaken, match="has 3 that are sure to be free"):
        _plan(world, officer, 2, 3, 4, kind=RESERVATION, project=vllm)
    window = _plan(world, officer, 2, 3, 8)
    assert [attempt.gpus for attempt in window_queries.in_the_way(world.session, window, now=world.now)] == [5]
    with pytest.raises(PoolTaken, match="other windows take 8 of the 8"):
        _plan(world, officer, 2.5, 6, 1)
    _plan(world, officer, 3, 6, 3, kind=RESERVATION, project=vllm)


def test_a_reservation_in_use_keeps_what_its_jobs_have(world: World, officer: Person, vllm: Project) -> None:
    row = _plan(world, officer, 0, 3, 6, kind=RESERVATION, project=vllm)
    world.tick()
    world.job(vllm, gpus=4, wall_seconds=2 * 3600)
    world.tick()
    same = NewWindow(RESERVATION, row.begins_at, "the launch", row.ends_at, 6, vllm)
    for wrong, error in (
        (replace(same, gpus=3), ReservationInUse),
        (replace(same, ends_at=_in(world, 1)), ReservationInUse),
        (replace(same, begins_at=_in(world, 1)), WindowBegun),
        (replace(same, kind=MAINTENANCE, project=None), InvalidInput),
        (replace(same, gpus=9), InvalidInput),
    ):
        with pytest.raises(error):
            windows.change(world.session, row, wrong, actor=officer, now=world.now)
    windows.change(world.session, row, replace(same, gpus=4, why="A smaller launch"), actor=officer, now=world.now)
    windows.call_off(world.session, row, reason="It went well.", actor=officer, now=world.now)
    rest, too_many = world.job(vllm, gpus=4), world.job(vllm, gpus=5)
    world.tick()
    assert _queued(rest, too_many) == [False, True], "what runs goes on and counts as everybody's"


def test_a_drain_closes_the_pool_until_somebody_opens_it(world: World, officer: Person, vllm: Project) -> None:
    _plan(world, officer, 2, None, None, kind=DRAIN, why="moves to Oslo")
    long, short = world.job(vllm, wall_seconds=2 * 3600), world.job(vllm, wall_seconds=3600)
    world.tick()
    assert _queued(long, short) == [True, False]
    assert long.waiting_code == "waiting_for_pool"
    assert "pool Main closes at" in (long.waiting_reason or "")
    world.now = _in(world, 2)
    world.tick()
    assert world.pool.status is PoolStatus.DRAINING
    assert {"pool.draining"} <= {event.verb for event in audit.history(world.session, world.pool)}
    assert all(_queued(long))
    catalogue.set_pool_status(world.session, world.pool, PoolStatus.OPEN, actor=officer, now=world.now)
    world.tick()
    assert not any(_queued(long))


def test_nonsense_is_refused_with_a_sentence(world: World, officer: Person, vllm: Project) -> None:
    with pytest.raises(NotAllowed):
        _plan(world, world.maintainer(vllm))
    for field, given in (
        ("begins_at", {"begins": -2}),
        ("begins_at", {"begins": 24 * 400, "ends": 24 * 401}),
        ("ends_at", {"begins": 2, "ends": 2}),
        ("ends_at", {"begins": 2, "ends": 24 * 400}),
        ("ends_at", {"ends": None}),
        ("gpus", {"gpus": 9}),
        ("gpus", {"gpus": None}),
        ("why", {"why": "  "}),
        ("project", {"kind": RESERVATION}),
        ("project", {"project": vllm}),
        ("ends_at", {"kind": DRAIN}),
        ("gpus", {"kind": DRAIN, "ends": None}),
    ):
        with pytest.raises(InvalidInput) as refused:
            _plan(world, officer, **given)  # type: ignore[arg-type]
        assert refused.value.field == field, given
    assert world.session.scalars(select(PoolWindow)).all() == []
    with pytest.raises(NotFound):
        window_queries.get(world.session, vllm.id)


def test_the_database_refuses_a_drain_with_an_end(world: World) -> None:
    wrong = insert(PoolWindow).values(
        id=world.pool.id, pool_id=world.pool.id, kind=DRAIN, begins_at=world.now, ends_at=_in(world, 1), gpus=8, why="x",
        status=WindowStatus.PLANNED, status_at=world.now, planned_at=world.now,
    )  # fmt: skip
    with pytest.raises(IntegrityError, match="ck_pool_window_drain_takes_all"), world.session.begin_nested():
        world.session.execute(wrong)


def _overlaps(world: World, rows: Sequence[PoolWindow]) -> list[str]:
    """Moments at which attempts and windows together have more than the pool; of reservations, more than they have."""
    begun = list(world.session.scalars(select(JobAttempt)))
    spans = [(run.held_at, run.settled_at or attempts.ends_by(run, run.held_at), run.gpus, run.reservation_id) for run in begun]
    wrong = []
    for moment in {row.begins_at for row in rows} | {span[0] for span in spans}:
        open_now = [row for row in rows if row.begins_at <= moment < (row.ends_at or moment)]
        reserved = {row.id: row.gpus or 0 for row in open_now if row.kind is RESERVATION}
        outside = sum(gpus for begins, ends, gpus, where in spans if begins <= moment < ends and where not in reserved)
        if outside + sum(row.gpus or 0 for row in open_now) > world.pool.devices:
            wrong.append(f"{moment}: {outside} run outside")
        for row_id, gpus in reserved.items():
            if sum(g for begins, ends, g, where in spans if begins <= moment < ends and where == row_id) > gpus:
                wrong.append(f"{moment}: more in a reservation than it has")
    return wrong


def _run(world: World, until: datetime) -> None:
    """Everything runs for as long as it declared, and time passes."""
    began, world.now = world.now, until
    for attempt in world.session.scalars(select(JobAttempt).where(attempts.OPEN)).all():
        if attempt.started_at is None:
            attempt_services.begin_launch(world.session, attempt.id, now=began)
            seen = AttemptState.RUNNING, began, None, None
        elif attempt.started_at + timedelta(seconds=attempt.wall_seconds) <= until:
            seen = AttemptState.SUCCEEDED, attempt.started_at, until, 0
        else:
            continue
        attempt_services.observe(
            world.session, attempt.id, AttemptStatus(attempt.id, *seen, "", 0, infrastructure=False), now=until
        )


@pytest.mark.parametrize("seed", range(2))
def test_no_start_overlaps_a_window(world: World, officer: Person, vllm: Project, seed: int) -> None:
    chance, rows = random.Random(seed), []
    ray = _granted(world, "ray")
    for _ in range(16):
        if chance.random() < 0.6:
            project = chance.choice([vllm, ray, None])
            begins = chance.randint(0, 6) / 2
            kind = MAINTENANCE if project is None else RESERVATION
            # Maintenance may begin beside what runs already; here only what was planned before the starts is looked at.
            used = attempts.devices_in_use(world.session, world.pool)
            try:
                if kind is RESERVATION or not used:
                    ends = begins + chance.randint(1, 6) / 2
                    rows.append(_plan(world, officer, begins, ends, chance.randint(1, 6), kind=kind, project=project))
            except PoolTaken:
                pass  # a story in which there is no room for it
        for _ in range(3):
            world.job(chance.choice([vllm, ray]), gpus=chance.randint(1, 5), wall_seconds=chance.randint(1, 8) * 900)
        world.tick()
        _run(world, until=world.now + timedelta(minutes=chance.randint(5, 45)))
    assert len(rows) > 1
    assert world.session.scalars(select(JobAttempt.reservation_id).where(JobAttempt.reservation_id.is_not(None))).first()
    assert _overlaps(world, rows) == []


def test_the_check_above_sees_a_start_that_overlaps(
    world: World, officer: Person, vllm: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = _plan(world, officer)
    monkeypatch.setattr(window_queries, "planned", lambda *_, **__: [])
    world.job(vllm, gpus=1, wall_seconds=3 * 3600)
    world.tick()
    assert _overlaps(world, [row]) != []


def test_the_pages_plan_change_and_call_off(world: World, officer: Person, vllm: Project, client: Client) -> None:
    assert "Nothing is planned" in client.get("/compute/pools/main").words
    client.sign_in(officer)
    new = "/admin/compute/pools/main/windows/new"
    begins, ends = (f"{_in(world, hours):%Y-%m-%dT%H:%M}" for hours in (24 * 30, 24 * 31))
    wrong = client.submit(client.get(new), "Plan it", begins_at=begins, ends_at=begins, gpus="4", why="new fans")
    assert wrong.status == 422
    assert "It ends after it begins" in wrong.words
    sent = client.submit(client.get(new), "Plan it", begins_at=begins, ends_at=ends, gpus="", why="new fans")
    assert sent.status == 303, sent.words
    row = world.session.scalars(select(PoolWindow)).one()
    assert (row.gpus, row.kind) == (8, MAINTENANCE)
    shown = client.get("/compute/pools/main")
    assert "new fans" in shown.words
    change = f"/admin/compute/windows/{row.id}"
    sent = client.submit(client.get(change), "Change it", gpus="2", why="two fans")
    assert sent.status == 303, sent.words
    world.session.refresh(row)
    assert (row.gpus, row.why) == (2, "two fans")
    assert client.submit(client.get(change), "Call it off", **{"off-reason": ""}).status == 422
    sent = client.submit(client.get(change), "Call it off", **{"off-reason": "No fans came."})
    assert sent.status == 303, sent.words
    assert "No fans came." in client.get(change).words
    assert "called off" in client.get("/compute/pools/main").words.lower()


def test_who_calls_off_or_changes_what_was_called_off_meanwhile_is_told(world: World, officer: Person, client: Client) -> None:
    row = _plan(world, officer)
    client.sign_in(officer)
    shown = client.get(f"/admin/compute/windows/{row.id}")
    windows.call_off(world.session, row, reason="no fans came", actor=officer, now=world.now)
    late = client.submit(shown, "Call it off", **{"off-reason": "No fans came."})
    assert (late.status, "it can't become called off" in late.words) == (409, True), late.words
    late = client.submit(shown, "Change it", why="two fans")
    assert (late.status, "It is over or was called off. Plan another." in late.words) == (422, True), late.words


def test_the_commands_do_what_the_pages_do(world: World, officer: Person, vllm: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compute.cli.windows.session_scope", world.sessions)
    monkeypatch.setattr("compute.cli.windows.utc_now", lambda: world.now)
    run = CliRunner().invoke
    assert "No window is planned." in run(main, ["compute", "windows"]).output
    begins, ends = _in(world, 24), _in(world, 26)
    asked = [
        "compute",
        "plan-window",
        "main",
        "--from",
        f"{begins:%Y-%m-%dT%H:%M}+00:00",
        "--why",
        "new fans",
        "--as",
        officer.email,
    ]
    no_end = run(main, asked)
    assert no_end.exit_code == 2
    assert "Say until when" in no_end.output
    naive = run(main, [*asked, "--until", f"{ends:%Y-%m-%dT%H:%M}"])
    assert naive.exit_code == 2
    assert "says no time zone" in naive.output
    elsewhere = ends + 2 * HOUR
    made = json.loads(run(main, [*asked, "--until", f"{elsewhere:%Y-%m-%dT%H:%M}+02:00", "--json"]).output)
    assert (made["gpus"], made["ends_at"][:16]) == (8, f"{ends:%Y-%m-%dT%H:%M}")
    changed = run(main, ["compute", "change-window", made["id"], "--gpus", "2", "--as", officer.email])
    assert "Main has 2 taken (maintenance)" in changed.output
    listed = json.loads(run(main, ["compute", "windows", "--pool", "main", "--json"]).output)["windows"]
    assert [(row["id"], row["gpus"]) for row in listed] == [(made["id"], 2)]
    gone = run(main, ["compute", "call-off-window", made["id"], "--reason", "No fans came.", "--as", officer.email, "--json"])
    assert json.loads(gone.output)["status"] == "called_off"
    past = run(main, ["compute", "windows", "--pool", "main", "--past"])
    assert "called_off" in past.output
