"""Hosts of pools: where jobs are placed and stay, who has one alone, and what becomes of hosts that change."""

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from fractions import Fraction
from threading import Barrier
from uuid import UUID

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, create_engine, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import main
from compute import scheduling
from compute.executors.base import AttemptState
from compute.models import Job, JobAttempt, JobStatus, PoolHost, SourceKind
from compute.queries import attempts, explain, hosts, snapshot
from compute.schemas import JobDetail
from compute.services import attempts as attempt_services
from compute.services import catalogue, quotes, starts, takers, tick
from compute.services import hosts as host_services
from compute.services.hosts import HostTaken, LastHost
from compute.services.keeper import Keeper
from compute.services.quotes import BudgetTooSmall
from compute.services.takers import NoPoolForJob
from core import audit
from core.clock import utc_now
from core.db import new_id
from core.errors import InvalidInput, NotAllowed
from core.identity.models import Membership, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR
NOW = utc_now()


@pytest.fixture
def officer(world: World) -> Person:
    made = world.person("Olga")
    world.session.add(Membership(person_id=made.id, role=Role.PROGRAMME_OFFICER, from_on=world.now.date()))
    world.session.flush()
    return made


@pytest.fixture
def vllm(world: World) -> Project:
    project = world.project("vllm")
    world.grant(project, ticks=1000 * G)
    world.offer(world.organisation("aws"), ticks=1000 * G)
    return project


def _named(world: World, officer: Person, **devices: int) -> dict[str, PoolHost]:
    return {
        name: host_services.add(
            world.session, world.pool, name=name, devices=each, reason="new machines", actor=officer, now=world.now
        )
        for name, each in devices.items()
    }


def _change(world: World, officer: Person, row: PoolHost, devices: int | None = None, *, in_service: bool = True) -> None:
    given = row.devices if devices is None else devices
    host_services.change(
        world.session, row, devices=given, in_service=in_service, reason="new fans", actor=officer, now=world.now
    )


def _where(world: World, *jobs: Job) -> list[tuple[str | None, int]]:
    found = [world.attempt(job) for job in jobs]
    return [(attempt.host, attempt.gpus) for attempt in found]


def test_a_job_is_on_one_host_which_its_attempt_keeps_and_its_executor_is_told(
    world: World, officer: Person, vllm: Project
) -> None:
    _named(world, officer, a=4, b=4)
    first, second = world.job(vllm, gpus=3), world.job(vllm, gpus=3)
    attempt = world.start(first)
    assert sorted(_where(world, first, second)) == [("a", 3), ("b", 3)]
    assert world.executor.starts[0].host == attempt.host
    waits = world.job(vllm, gpus=2)
    world.tick()
    assert waits.waiting_code in {"reserved_next", "waiting_for_capacity"}, "two are free, one on each"
    world.finish(attempt, AttemptState.SUCCEEDED, after=timedelta(minutes=1), exit_code=0)
    world.tick()
    assert world.attempt(first).host == attempt.host
    assert world.attempt(waits).host == attempt.host


def test_a_pool_without_named_hosts_is_one_host_without_a_name(world: World, vllm: Project) -> None:
    job = world.job(vllm, gpus=8)
    attempt = world.start(job)
    assert (attempt.host, world.executor.starts[0].host) == (None, "")


def test_who_wants_a_host_alone_takes_all_of_the_smallest_pays_for_it_and_sees_what_it_asked_for(
    world: World, officer: Person, vllm: Project
) -> None:
    _named(world, officer, a=8, b=4)
    bench = world.job(vllm, gpus=2, exclusive=True)
    attempt = world.start(bench)
    assert (attempt.host, attempt.gpus, attempt.held_ticks) == ("b", 4, 4 * G)
    assert world.executor.starts[0].gpus == 2
    waits = world.job(vllm, gpus=2, exclusive=True)
    found = explain.explain(world.session, waits, connected=world.executors, now=world.now)
    assert found.needed == [(world.flavor, 4 * G)]
    assert "needs 4 × h100 (a host to itself)" in (found.reason or "")
    attempt_services.cancel(world.session, waits.id, actor=None, reason="", now=world.now)
    others = [world.job(vllm, gpus=4) for _ in range(3)]
    world.tick()
    assert [job.status for job in others].count(JobStatus.QUEUED) == 1
    assert {world.attempt(job).host for job in others if job.status is not JobStatus.QUEUED} == {"a"}
    ended = world.finish(attempt, AttemptState.SUCCEEDED, after=timedelta(minutes=30), exit_code=0)
    assert ended.usage is not None
    assert ended.usage.reference_ticks == 4 * G // 2


def test_a_job_is_alone_on_its_host_however_it_is_submitted(
    world: World, officer: Person, vllm: Project, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compute.views.jobs.executors", lambda: world.executors)
    monkeypatch.setattr("compute.client.session_scope", world.sessions)
    rows = _named(world, officer, a=8, b=4)
    mo = world.maintainer(vllm)
    client.sign_in(mo)
    form = client.get("/jobs/new?project=vllm")
    given = {"command": "python bench.py", "source": "command", "exclusive": "y", "gpus": "1", "wall_time": "1h"}
    priced = client.submit(form, "Show the price", **given)
    assert "takes 4 × NVIDIA H100 at most, and pays for all" in priced.words
    assert "4.00 reference GPU-hours" in priced.words
    sent = client.submit(priced, "Submit job")
    assert sent.status == 303, sent.words
    words = ["job", "submit", "--project", "vllm", "--flavor", "h100", "--wall", "1h", "--as", mo.email, "--json"]
    done = CliRunner().invoke(main, [*words, "--exclusive", "--", "python bench.py"])
    assert json.loads(done.output)["exclusive"] is True
    assert world.session.scalars(select(Job.exclusive).order_by(Job.id)).all() == [True, True]
    done = CliRunner().invoke(main, [*words, "--", "python bench.py"])
    assert json.loads(done.output)["exclusive"] is False
    _change(world, officer, rows["a"], in_service=False)
    large = client.submit(client.get("/jobs/new?project=vllm"), "Submit job", follow=True, **given | {"gpus": "5"})
    assert "No host with 5 × NVIDIA H100 is in service at the moment: the job waits until one is." in large.words


def test_a_grant_for_one_gpu_does_not_pay_for_a_host(world: World, officer: Person) -> None:
    project = world.project("ray")
    world.grant(project, ticks=3 * G)
    world.offer(world.organisation("aws"), ticks=1000 * G)
    _named(world, officer, a=8, b=4)
    with pytest.raises(BudgetTooSmall, match="a host to itself"):
        world.job(project, exclusive=True)
    world.job(project)
    quote = quotes.quote(world.session, project, [world.flavor], gpus=1, exclusive=True, wall_seconds=3600, now=world.now)
    assert quote.dearest.gpus == 4


def test_who_wants_a_host_alone_pays_for_none_that_could_not_run_the_job(world: World, officer: Person) -> None:
    project = world.project("ray")
    world.grant(project, ticks=8 * G)
    world.offer(world.organisation("aws"), ticks=1000 * G)
    catalogue.add_pool(
        world.session, slug="images", name="Images", flavor=world.flavor, executor="scripted", devices=16,
        runs=[SourceKind.IMAGE], author=None, now=world.now,
    )  # fmt: skip
    bench = world.job(project, exclusive=True)
    world.tick()
    assert (bench.status, world.attempt(bench).held_reference_ticks) == (JobStatus.HELD, 8 * G)


def test_what_is_larger_than_the_largest_host_is_refused_or_warned_about(world: World, officer: Person, vllm: Project) -> None:
    rows = _named(world, officer, a=4, b=6)
    assert world.pool.devices == 10
    with pytest.raises(NoPoolForJob, match="The largest host with NVIDIA H100 has 6; this job asks for 7"):
        world.job(vllm, gpus=7)
    fits = world.job(vllm, gpus=5)
    assert takers.warning(world.session, fits) is None
    _change(world, officer, rows["b"], in_service=False)
    assert "No host with 5 × NVIDIA H100 is in service at the moment" in (takers.warning(world.session, fits) or "")
    world.tick()
    assert fits.waiting_code == "waiting_for_pool"
    assert fits.waiting_reason == "needs 5 × h100; no open pool it may use has more than 4"
    found = explain.explain(world.session, fits, connected=world.executors, now=world.now)
    assert (found.reason, found.expected) == (fits.waiting_reason, None)
    assert [each.fits for each in found.pools] == [False]


def test_a_host_out_of_service_takes_nothing_new_and_what_runs_there_goes_on(
    world: World, officer: Person, vllm: Project
) -> None:
    rows = _named(world, officer, a=4, b=4)
    old = world.job(vllm, gpus=2)
    attempt = world.start(old)
    _change(world, officer, rows[attempt.host or ""], in_service=False)
    other = "b" if attempt.host == "a" else "a"
    new = [world.job(vllm, gpus=4), world.job(vllm, gpus=4)]
    world.tick()
    assert sorted(str(job.status) for job in new) == ["held", "queued"]
    (started,) = [job for job in new if job.status is JobStatus.HELD]
    assert world.attempt(started).host == other
    assert (world.pool.devices, attempts.devices_in_use(world.session, world.pool)) == (4, 4)
    ended = world.finish(attempt, AttemptState.SUCCEEDED, after=timedelta(minutes=1), exit_code=0)
    assert ended.status == "succeeded"
    world.tick()
    assert [job.status for job in new].count(JobStatus.QUEUED) == 1, "its GPUs are nobody's"


def test_what_was_not_handed_over_when_its_host_went_out_of_service_goes_back_into_the_line(
    world: World, officer: Person, vllm: Project
) -> None:
    rows = _named(world, officer, a=4, b=8)
    job = world.job(vllm, gpus=4)
    world.tick()
    attempt = world.attempt(job)
    _change(world, officer, rows[attempt.host or ""], in_service=False)
    tick.launch(world.sessions, world.executors, attempt.id, now=world.now, last_try=False)
    assert world.executor.starts == []
    world.tick()
    assert "out of service since after this job was chosen for it" in (job.attempts[0].reason or "")
    again = world.attempt(job)
    assert (again.number, again.host != attempt.host) == (2, True)


def test_a_kept_core_goes_on_over_hosts_that_come_and_go(world: World, officer: Person, vllm: Project) -> None:
    keeper = Keeper()

    def turn() -> None:
        world.now += timedelta(seconds=2)
        tick.tick(world.sessions, world.executors, now=world.now, keeper=keeper)

    rows = _named(world, officer, a=4)
    first, waits = world.job(vllm, gpus=4), world.job(vllm, gpus=4)
    turn()
    assert (first.status, waits.status) == (JobStatus.HELD, JobStatus.QUEUED)
    rows |= _named(world, officer, b=4)
    turn()
    assert _where(world, first, waits) == [("a", 4), ("b", 4)]
    _change(world, officer, rows["a"], in_service=False)
    late = world.job(vllm, gpus=1)
    turn()
    assert late.status is JobStatus.QUEUED
    rows |= _named(world, officer, c=1)
    turn()
    assert _where(world, late) == [("c", 1)]


def test_the_first_name_is_that_of_the_machine_the_pool_was(world: World, officer: Person, vllm: Project) -> None:
    job = world.job(vllm, gpus=8)
    world.tick()
    assert _where(world, job) == [(None, 8)]
    _named(world, officer, a=8, b=2)
    assert _where(world, job) == [("a", 8)]
    small = world.job(vllm, gpus=2)
    world.tick()
    assert _where(world, small) == [("b", 2)]


def test_small_jobs_go_where_they_break_no_host_for_large_ones(world: World, officer: Person, vllm: Project) -> None:
    """First fit would put the small job on host a, which is empty; jobs of four came before, and are expected again."""
    _named(world, officer, a=4, b=4)
    for _ in range(5):
        world.past(*(world.job(vllm, gpus=4, wall_seconds=600) for _ in range(2)), lasted=timedelta(minutes=5))
        world.past(*(world.job(vllm, gpus=1, wall_seconds=600) for _ in range(6)), lasted=timedelta(minutes=5))
    blocker, filler = world.job(vllm, gpus=4), world.job(vllm, gpus=3)
    world.tick()
    ((gone, _),) = _where(world, blocker)
    ended = world.attempt(blocker)
    tick.launch(world.sessions, world.executors, ended.id, now=world.now, last_try=False)
    world.executor.say(ended.id, AttemptState.RUNNING, started_at=world.now)
    world.finish(ended, AttemptState.SUCCEEDED, after=timedelta(minutes=1), exit_code=0)
    small = world.job(vllm, gpus=1)
    world.tick()
    assert _where(world, small) == _where(world, filler)[:1] or _where(world, small)[0][0] == world.attempt(filler).host
    large = world.job(vllm, gpus=4)
    world.tick()
    assert _where(world, large) == [(gone, 4)]


def test_hosts_are_changed_by_officers_with_a_reason_and_in_the_audit(world: World, officer: Person, vllm: Project) -> None:
    session, now = world.session, world.now
    with pytest.raises(NotAllowed):
        host_services.add(session, world.pool, name="a", devices=4, reason="new", actor=world.person("Eve"), now=now)
    for name, devices, reason in (("", 4, "new"), ("a b", 4, "new"), ("-a", 4, "new"), ("a", 0, "new"), ("a", 4, " ")):
        with pytest.raises(InvalidInput):
            host_services.add(session, world.pool, name=name, devices=devices, reason=reason, actor=officer, now=now)
    rows = _named(world, officer, a=4, b=4)
    with pytest.raises(InvalidInput, match="already"):
        _named(world, officer, a=4)
    _change(world, officer, rows["a"], in_service=False)
    with pytest.raises(LastHost, match="Drain or close"):
        _change(world, officer, rows["b"], in_service=False)
    session.refresh(rows["b"])
    assert rows["b"].in_service
    bench = world.job(vllm, exclusive=True)
    world.tick()
    assert _where(world, bench) == [("b", 4)]
    with pytest.raises(HostTaken, match="alone"):
        _change(world, officer, rows["b"], 5)
    with pytest.raises(HostTaken, match="still runs"):
        host_services.remove(session, rows["b"], reason="sold", actor=officer, now=now)
    host_services.remove(session, rows["a"], reason="sold", actor=officer, now=now)
    assert [row.name for row in hosts.of_pool(session, world.pool)] == ["b"]
    told = [event.verb for event in audit.history(session, world.pool)]
    assert {"pool.host_added", "pool.host_changed", "pool.host_removed"} <= set(told)


def test_a_job_that_has_the_pool_alone_keeps_hosts_of_other_sizes_away(world: World, officer: Person, vllm: Project) -> None:
    world.job(vllm, exclusive=True)
    world.tick()
    with pytest.raises(HostTaken):
        _named(world, officer, a=9)
    _named(world, officer, a=8)


def test_the_database_takes_no_two_hosts_of_a_name_and_none_without_devices(world: World, officer: Person) -> None:
    _named(world, officer, a=4)
    for changes in ({"name": "a"}, {"name": "b", "devices": 0}, {"name": "B"}, {"name": "b", "reason": " "}):
        given = {"devices": 4, "reason": "new", "in_service": True} | changes
        row = insert(PoolHost).values(id=new_id(), pool_id=world.pool.id, set_at=world.now, **given)
        with pytest.raises(IntegrityError), world.session.begin_nested():
            world.session.execute(row)


def _held(world: World, job: Job, host: str, gpus: int) -> bool:
    start = scheduling.Start(
        job.id, world.pool.id, "h100", gpus, snapshot.instant(snapshot.ends_by(job, world.now)), (), backfilled=False, host=host
    )
    return starts.hold(world.session, start, now=world.now) is not None


def test_a_start_that_the_host_has_no_room_for_is_left_out(world: World, officer: Person, vllm: Project) -> None:
    rows = _named(world, officer, a=4, b=4)
    one, two, bench = world.job(vllm, gpus=3), world.job(vllm, gpus=2), world.job(vllm, gpus=2, exclusive=True)
    assert _held(world, one, "a", 3)
    assert not _held(world, two, "a", 2), "one is free there"
    assert not _held(world, two, "c", 2), "there is no such host"
    assert not _held(world, two, "", 2), "hosts have names here"
    assert not _held(world, two, "b", 1), "it asked for two"
    assert not _held(world, bench, "a", 4), "somebody is there"
    assert not _held(world, bench, "b", 2), "alone it takes all"
    _change(world, officer, rows["b"], in_service=False)
    assert not _held(world, bench, "b", 4), "it takes nothing new"
    _change(world, officer, rows["b"])
    assert _held(world, bench, "b", 4)
    assert not _held(world, two, "b", 2)


def test_two_starters_at_once_fill_a_host_once_and_a_killed_one_leaves_nothing(fresh_database: str) -> None:
    """Both have read that three GPUs are free on host a before either writes."""
    engine = create_engine(fresh_database)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        pool_id, *job_ids = _fill(session)
    have_read = Barrier(2, timeout=20)

    def carry_out(job_id: UUID) -> bool:
        with Session(engine) as session, session.begin():
            assert {start.host for start in scheduling.plan(snapshot.take(session, now=NOW)).starts} == {"a", "b"}
            have_read.wait()
            return starts.hold(session, _start(job_id, pool_id, "a"), now=NOW) is not None

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(carry_out, job_ids[:2])) == [False, True]
    assert _on(engine) == {"a": 3}
    engine.dispose()
    child = os.fork()
    if child == 0:
        with Session(create_engine(fresh_database)) as session, session.begin():
            starts.hold(session, _start(job_ids[2], pool_id, "b"), now=NOW)
            os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert _on(engine) == {"a": 3}, "what was not committed never was"

    @contextmanager
    def sessions() -> Iterator[Session]:
        with Session(engine) as session, session.begin():
            yield session

    tick.schedule(sessions, {"scripted"}, now=NOW)
    assert _on(engine) == {"a": 3, "b": 3}, "the next turn goes on with what is so"
    engine.dispose()


def _fill(session: Session) -> list[UUID]:
    """A pool of two hosts, and three jobs of which each leaves no room for another on its host."""
    flavor = catalogue.add_flavor(session, slug="h100", name="H100", vendor="NVIDIA", author=None, now=NOW)
    catalogue.set_rate(session, flavor, Fraction(1), valid_from=NOW, source="test", author=None, now=NOW)
    pool = catalogue.add_pool(
        session, slug="p", name="P", flavor=flavor, executor="scripted", devices=8, runs=[SourceKind.COMMAND],
        author=None, now=NOW,
    )  # fmt: skip
    world = World(session, NOW, flavor, pool)
    for name in ("a", "b"):
        session.add(PoolHost(pool_id=pool.id, name=name, devices=4, reason="new", set_at=NOW))
    project = world.project("vllm")
    world.grant(project, ticks=1000 * G)
    world.offer(world.organisation("aws"), ticks=1000 * G)
    return [pool.id, *(world.job(project, gpus=3).id for _ in range(3))]


def _start(job_id: UUID, pool_id: UUID, host: str) -> scheduling.Start:
    ends_by = int((NOW + 2 * HOUR).timestamp())
    return scheduling.Start(job_id, pool_id, "h100", 3, ends_by, (), backfilled=False, host=host)


def _on(engine: Engine) -> dict[str | None, int]:
    with Session(engine) as session:
        rows = session.execute(select(JobAttempt.host, func.sum(JobAttempt.gpus)).group_by(JobAttempt.host))
        return {host: int(gpus) for host, gpus in rows}


def test_the_pages_name_change_and_show_hosts(
    world: World, officer: Person, vllm: Project, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compute.views.jobs.executors", lambda: world.executors)
    pool = "/admin/compute/pools/main/hosts"
    client.sign_in(officer)
    assert "Name its hosts" in client.get("/compute/pools/main").words
    new = "/admin/compute/pools/main/new-host"
    assert client.submit(client.get(new), "Add host", name="gpu1.example.org", devices="8", reason="It was here.").status == 303
    assert "gpu1.example.org" in client.get("/compute/pools/main").words
    wrong = client.submit(client.get(new), "Add host", name="gpu 2", devices="8", reason="x")
    assert wrong.status == 422
    assert "letters, digits, dots and hyphens, 63 at most" in wrong.words
    assert client.submit(client.get(new), "Add host", name="gpu2", devices="4", reason="It was bought.").status == 303
    assert client.submit(client.get(new), "Add host", name="new", devices="1", reason="It has no better name.").status == 303
    assert client.submit(client.get(f"{pool}/new"), "Remove host", **{"off-reason": "It got one."}).status == 303
    job = world.job(vllm, gpus=1, exclusive=True)
    world.tick()
    shown = client.get(f"/jobs/{job.id}").words
    assert "gpu2, alone: 4 devices" in shown
    assert "on gpu2" in shown
    assert "no other job of the pool runs there meanwhile" in shown
    assert client.submit(client.get(f"{pool}/gpu2"), "Change host", in_service=None, reason="New fans.").status == 303
    assert "Out of service" in client.get("/compute/pools/main").words
    assert client.submit(client.get(f"{pool}/gpu2"), "Remove host", **{"off-reason": "Sold."}).status == 409
    client.sign_in(world.maintainer(vllm))
    assert client.get(new).status == 403
    document = JobDetail.shown(world.session, job)
    assert document.exclusive
    assert (document.attempts[0].host, document.attempts[0].gpus) == ("gpu2", 4)


def test_the_commands_do_what_the_pages_do(world: World, officer: Person, vllm: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compute.cli.hosts.session_scope", world.sessions)

    def run(*words: str) -> dict[str, object]:
        done = CliRunner().invoke(main, ["compute", *words, "--json"])
        assert done.exit_code == 0, done.output
        found: dict[str, object] = json.loads(done.output)
        return found

    by = ("--as", officer.email, "--reason", "because")
    assert run("hosts", "main") == {"hosts": []}
    assert run("add-host", "main", "a", "--devices", "8", *by)["pool_devices"] == 8
    assert run("add-host", "main", "b", "--devices", "4", *by)["pool_devices"] == 12
    assert run("change-host", "main", "b", "--out-of-service", *by)["pool_devices"] == 8
    assert run("change-host", "main", "b", "--devices", "2", *by)["in_service"] is False
    assert [row["host"] for row in run("hosts", "main")["hosts"]] == ["a", "b"]  # type: ignore[attr-defined]
    assert run("remove-host", "main", "b", *by)["host"] == "b"
    assert CliRunner().invoke(main, ["compute", "remove-host", "main", "a", *by]).exit_code == 1
