"""What projects own of a pool: set by people with a reason, lent meanwhile, asked back with a grace, and settled exactly."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from app import main
from compute.executors.base import AttemptState, Stop
from compute.models import AttemptDraw, AttemptStatus, Job, JobAttempt, JobStatus, QuotaGroup, QuotaShare, ReclaimNotice
from compute.queries import quotas as quota_queries
from compute.services import attempts, quotas, reclaim, tick
from compute.services.keeper import Keeper
from compute.services.quotas import PoolTooSmall, Quota, QuotaGroupEnded, Terms
from core import audit, ledger
from core.db import new_id
from core.errors import InvalidInput, NotAllowed
from core.identity.models import Membership, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR
MINUTE = timedelta(minutes=1)


@pytest.fixture
def officer(world: World) -> Person:
    made = world.person("Olga")
    world.session.add(Membership(person_id=made.id, role=Role.PROGRAMME_OFFICER, from_on=world.now.date()))
    world.session.flush()
    return made


@pytest.fixture
def group(world: World, officer: Person) -> QuotaGroup:
    """Ten minutes of grace, at most a GPU-day lost."""
    terms = Terms("shared", 600, 24 * 3600)
    return quotas.set_group(world.session, world.pool, terms, reason="Both pay.", actor=officer, now=world.now)


@pytest.fixture
def owner(world: World, group: QuotaGroup, officer: Person) -> Project:
    """Owns four of the pool's eight GPUs."""
    made = world.project("owner")
    world.grant(made, ticks=1000 * G)
    quotas.set_share(world.session, group, made, Quota(4), reason="Pays half.", actor=officer, now=world.now)
    return made


@pytest.fixture
def borrower(world: World, group: QuotaGroup) -> Project:
    """Owns nothing, and uses all."""
    made = world.project("borrower")
    world.grant(made, ticks=1000 * G)
    return made


@pytest.fixture
def running(world: World, borrower: Project) -> list[JobAttempt]:
    """Two jobs of four GPUs have the pool; the second began a minute later."""
    world.offer(world.organisation("aws"), ticks=1000 * G)
    first = world.start(world.job(borrower, gpus=4, wall_seconds=4 * 3600))
    world.now += MINUTE
    return [first, world.start(world.job(borrower, gpus=4, wall_seconds=4 * 3600))]


def stopped(world: World, attempt: JobAttempt) -> JobAttempt:
    """The executor did as it was told."""
    world.executor.say(attempt.id, AttemptState.EVICTED, ended_at=world.now, infrastructure=True)
    tick.watch(world.sessions, world.executors, now=world.now)
    return world.attempt(attempt.job)


def notices(world: World) -> list[ReclaimNotice]:
    return list(world.session.scalars(select(ReclaimNotice).order_by(ReclaimNotice.asked_at)))


def test_an_owner_gets_its_gpus_back_after_the_grace_and_the_victim_pays_nothing(
    world: World, owner: Project, running: list[JobAttempt]
) -> None:
    needs = world.job(owner, gpus=4)
    world.tick()
    (notice,) = notices(world)
    assert notice.attempt_id == running[1].id, "it loses least"
    assert notice.leaves_at == world.now + timedelta(seconds=600)
    assert notice.lost_gpu_seconds == 4 * 600
    assert needs.waiting_code == "waiting_for_quota"
    assert "gets back what others borrowed" in (needs.waiting_reason or "")
    world.now += 9 * MINUTE
    world.tick()
    assert world.executor.stops == [], "not before its grace is over"
    world.now += MINUTE
    world.tick()
    assert (running[1].id, Stop.EVICTED) in world.executor.stops
    submitted_at = running[1].job.submitted_at
    ended = stopped(world, running[1])
    assert (ended.status, ended.job.status, ended.job.waiting_code) == (AttemptStatus.EVICTED, JobStatus.QUEUED, "gave_back")
    assert (ended.job.submitted_at, ended.job.retries_left) == (submitted_at, 1)
    assert ended.usage is not None
    assert (ended.usage.reference_ticks, ended.usage.ticks) == (0, 4 * 600 * 840), "the offers bear it, to the tick"
    world.tick()
    assert (needs.status, ended.job.status) == (JobStatus.HELD, JobStatus.QUEUED)
    assert len(notices(world)) == 1, "nobody else is asked"
    held = world.session.scalar(select(func.sum(JobAttempt.held_reference_ticks)).where(JobAttempt.settled_at.is_(None))) or 0
    pending = sum(balance.pending_out for balance in ledger.balances(world.session, "liabilities:gpu:grant"))
    lost = world.session.scalar(select(func.sum(AttemptDraw.lost_ticks)))
    assert (pending, lost) == (held, 4 * 600 * 840)


def test_who_was_asked_may_stay_if_the_room_comes_by_itself(world: World, owner: Project, running: list[JobAttempt]) -> None:
    needs = world.job(owner, gpus=4)
    world.tick()
    world.finish(running[0], AttemptState.SUCCEEDED, after=MINUTE, exit_code=0)
    world.tick()
    assert world.attempt(needs).settled_at is None
    (notice,) = notices(world)
    assert notice.spared_at is not None
    world.now += 20 * MINUTE
    world.tick()
    assert world.executor.stops == []
    told = [event.verb for event in audit.history(world.session, running[1].job)]
    assert {"job.asked_to_leave", "job.may_stay"} <= set(told)


def test_nobody_is_stopped_for_a_job_that_waits_no_more(world: World, owner: Project, running: list[JobAttempt]) -> None:
    needs = world.job(owner, gpus=4)
    world.tick()
    attempts.cancel(world.session, needs.id, actor=None, reason="Not needed.", now=world.now)
    world.now += 10 * MINUTE
    assert reclaim.end_graces(world.session, now=world.now) == 0
    assert notices(world)[0].spared_at == world.now


def test_too_dear_is_not_asked(
    world: World, officer: Person, group: QuotaGroup, owner: Project, running: list[JobAttempt]
) -> None:
    quotas.set_group(world.session, world.pool, Terms("shared", 600, 2399), reason="Less.", actor=officer, now=world.now)
    needs = world.job(owner, gpus=4)
    world.tick()
    assert notices(world) == []
    assert needs.waiting_code == "waiting_for_quota"
    quotas.set_group(world.session, world.pool, Terms("shared", 600, 2400), reason="More.", actor=officer, now=world.now)
    world.tick()
    assert len(notices(world)) == 1


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("step", ["plan", "ask", "after", "stop", "settle"])
def test_a_scheduler_killed_anywhere_leaves_nothing_wrong(
    world: World, owner: Project, running: list[JobAttempt], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was not committed is done by the next turn, once; budgets, holds and devices are those of what runs."""
    needs = world.job(owner, gpus=4)
    where = {
        "plan": (tick, "give_back"),
        "ask": (audit, "record"),
        "after": (tick, "note_waiting"),
        "stop": (reclaim, "ask_to_stop"),
        "settle": (attempts.books, "release"),
    }[step]

    def die(*_args: object, **_named: object) -> None:
        raise Killed

    def turn(*, kill: bool) -> None:
        with monkeypatch.context() as patch:
            if kill:
                patch.setattr(*where, die)
                with pytest.raises(Killed):
                    world.tick()
                world.session.expire_all()
            else:
                world.tick()

    turn(kill=step in {"plan", "ask", "after"})
    world.tick()
    assert len(notices(world)) == 1
    world.now += 10 * MINUTE
    turn(kill=step == "stop")
    world.tick()
    world.executor.say(running[1].id, AttemptState.EVICTED, ended_at=world.now, infrastructure=True)
    turn(kill=step == "settle")
    world.tick()
    world.tick()
    session = world.session
    assert session.get_one(Job, needs.id).status is JobStatus.HELD
    assert session.scalar(select(func.count(ReclaimNotice.id))) == 1
    assert session.scalar(select(func.count(JobAttempt.id))) == 3
    open_now = session.scalars(select(JobAttempt).where(JobAttempt.settled_at.is_(None))).all()
    assert sum(attempt.gpus for attempt in open_now) == world.pool.devices == 8
    pending = sum(balance.pending_out for balance in ledger.balances(session, "liabilities:gpu:grant"))
    assert pending == sum(attempt.held_reference_ticks for attempt in open_now)
    assert session.scalar(select(func.sum(AttemptDraw.lost_ticks))) == 4 * 600 * 840


def test_only_officers_set_quotas_and_nonsense_is_refused(
    world: World, group: QuotaGroup, owner: Project, officer: Person
) -> None:
    session, now = world.session, world.now
    with pytest.raises(NotAllowed):
        quotas.set_share(session, group, owner, Quota(1), reason="Mine.", actor=world.maintainer(owner), now=now)
    other = world.project("other")
    for quota, reason in ((Quota(-1), "x"), (Quota(2, lends=3), "x"), (Quota(2, borrows=-1), "x"), (Quota(1), " ")):
        with pytest.raises(InvalidInput):
            quotas.set_share(session, group, other, quota, reason=reason, actor=officer, now=now)
    with pytest.raises(PoolTooSmall, match="give 4 at most, not 5"):
        quotas.set_share(session, group, other, Quota(5), reason="All.", actor=officer, now=now)
    for terms in (Terms(" ", 0, 0), Terms("shared", -1, 0), Terms("shared", 0, -1)):
        with pytest.raises(InvalidInput):
            quotas.set_group(session, world.pool, terms, reason="x", actor=officer, now=now)
    quotas.set_share(session, group, owner, Quota(0), reason="Left.", actor=officer, now=now)
    assert session.scalar(select(func.count()).select_from(QuotaShare)) == 0
    told = [event.details["nominal"] for event in audit.history(session, group) if event.verb == "quota_group.share_set"]
    assert sorted(told) == [0, 4]


def test_the_database_refuses_more_lent_than_owned_and_two_notices_at_a_time(
    world: World, group: QuotaGroup, owner: Project, running: list[JobAttempt]
) -> None:
    too_much = insert(QuotaShare).values(
        group_id=group.id, project_id=world.project("x").id, nominal=1, lends=2, reason="x", set_at=world.now
    )
    with pytest.raises(IntegrityError, match="ck_quota_share_lends"), world.session.begin_nested():
        world.session.execute(too_much)
    needs = world.job(owner, gpus=4)
    world.tick()
    again = insert(ReclaimNotice).values(
        id=new_id(), attempt_id=running[1].id, for_job_id=needs.id, asked_at=world.now, leaves_at=world.now, lost_gpu_seconds=0
    )
    with pytest.raises(IntegrityError, match="uq_reclaim_notice_attempt"), world.session.begin_nested():
        world.session.execute(again)


@pytest.mark.usefixtures("running")
def test_the_desk_sets_terms_and_quotas_and_the_job_says_what_it_was_asked(
    world: World, group: QuotaGroup, owner: Project, officer: Person, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compute.views.jobs.executors", lambda: world.executors)
    client.sign_in(officer)
    desk = client.get("/admin/compute")
    assert "Both pay." in desk.words
    assert "Pays half." in desk.words
    share, terms = "/admin/compute/pools/main/quota/share", "/admin/compute/pools/main/quota"
    wrong = client.submit(client.get(share), "Set quota", project="borrower", nominal="5", reason="x")
    assert (wrong.status, "give 4 at most" in wrong.words) == (409, True)
    sent = client.submit(client.get(share), "Set quota", project="borrower", nominal="2", borrows="6", reason="Pays.")
    assert sent.status == 303, sent.words
    sent = client.submit(client.get(terms), "Set terms", name="shared", grace_minutes="5", lost_gpu_hours="6", reason="Faster.")
    assert sent.status == 303, sent.words
    world.session.refresh(group)
    assert (group.grace_seconds, group.lost_gpu_seconds_max) == (300, 6 * 3600)
    world.job(owner, gpus=4)
    world.tick()
    (notice,) = notices(world)
    assert "asked to leave by" in client.get(f"/jobs/{notice.attempt.job_id}").words
    assert "Jobs that were asked to leave" in client.get("/admin/compute").words
    end = client.get(f"{terms}/end")
    assert "owns 4" in end.words
    assert client.submit(end, "End quota group", reason="").status == 422
    assert client.submit(end, "End quota group", reason="They left.").status == 303
    desk = client.get("/admin/compute")
    assert "Quota groups that were ended" in desk.words
    assert "They left." in desk.words
    assert "Jobs that were asked to leave" not in desk.words
    assert client.get(f"{terms}/end").status == 404


def test_an_ended_group_is_kept_and_nobody_has_to_leave_for_it(
    world: World, group: QuotaGroup, owner: Project, officer: Person, running: list[JobAttempt]
) -> None:
    keeper = Keeper()
    world.job(owner, gpus=4)
    tick.schedule(world.sessions, world.executors, now=world.now, keeper=keeper)
    (notice,) = notices(world)
    assert notice.attempt_id == running[1].id
    for wrong in ({"reason": " "}, {"actor": world.person("Sam")}):
        with pytest.raises(InvalidInput if "reason" in wrong else NotAllowed):
            quotas.end_group(world.session, group, now=world.now, **({"reason": "They left.", "actor": officer} | wrong))  # type: ignore[arg-type]
    quotas.end_group(world.session, group, reason="They left.", actor=officer, now=world.now)
    world.session.refresh(notice)
    assert notice.spared_at == world.now
    said = audit.history(world.session, group)[0]
    assert (said.verb, said.reason, (said.details or {})["owned"]) == ("quota_group.ended", "They left.", {"owner": 4})
    assert quota_queries.groups(world.session) == []
    assert [
        (row.name, row.end_reason, [share.nominal for share in row.shares]) for row in quota_queries.ended(world.session)
    ] == [("shared", "They left.", [4])]
    # Neither the core that is kept nor one that was asked a moment ago stops anybody.
    late = ReclaimNotice(
        id=new_id(),
        attempt_id=running[0].id,
        for_job_id=notice.for_job_id,
        asked_at=world.now,
        leaves_at=world.now,
        lost_gpu_seconds=1,
    )
    world.session.add(late)
    world.session.flush()
    world.now += MINUTE
    tick.schedule(world.sessions, world.executors, now=world.now, keeper=keeper)
    world.session.refresh(late)
    assert (late.stopped_at, late.spared_at) == (None, world.now)
    world.now += 30 * MINUTE
    tick.schedule(world.sessions, world.executors, now=world.now, keeper=keeper)
    assert [world.attempt(each.job).stop for each in running] == [None, None]
    for act in (
        lambda: quotas.set_share(world.session, group, owner, Quota(2), reason="x", actor=officer, now=world.now),
        lambda: quotas.end_group(world.session, group, reason="x", actor=officer, now=world.now),
    ):
        with pytest.raises(QuotaGroupEnded):
            act()
    again = quotas.set_group(
        world.session, world.pool, Terms("shared", 60, 0), reason="They are back.", actor=officer, now=world.now
    )
    assert again.id != group.id
    assert again.shares == []


@pytest.mark.usefixtures("running", "group")
def test_the_commands_do_what_the_pages_do(
    world: World, owner: Project, officer: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.job(owner, gpus=4)
    world.tick()
    monkeypatch.setattr("compute.cli.quotas.session_scope", world.sessions)
    run = CliRunner().invoke
    listed = json.loads(run(main, ["compute", "quotas", "--json"]).output)
    share = {"project": "owner", "nominal": 4, "lends": None, "borrows": None, "uses": 0, "reason": "Pays half."}
    assert listed["groups"][0]["shares"] == [share]
    assert listed["notices"][0]["job"] == str(notices(world)[0].attempt.job_id)
    assert "shared" in run(main, ["compute", "quotas"]).output
    said = ["--reason", "x", "--as", officer.email, "--json"]
    done = run(main, ["compute", "quota", "main", "owner", "3", "--lends", "1", *said])
    assert json.loads(done.output) == {"group": "shared", "project": "owner", "nominal": 3, "lends": 1, "borrows": None}
    done = run(main, ["compute", "quota-group", "main", "--name", "ours", "--grace", "60", "--lost-gpu-hours", "2", *said])
    assert json.loads(done.output)["grace_seconds"] == 60
    assert run(main, ["compute", "quota", "main", "owner", "9", *said]).exit_code == 1
    done = run(main, ["compute", "end-quota-group", "main", *said])
    assert json.loads(done.output)["end_reason"] == "x"
    assert json.loads(run(main, ["compute", "quotas", "--json"]).output)["groups"] == []
    assert json.loads(run(main, ["compute", "quotas", "--ended", "--json"]).output)["groups"][0]["shares"][0]["nominal"] == 3
    assert "ENDED" in run(main, ["compute", "quotas", "--ended"]).output
    assert run(main, ["compute", "end-quota-group", "main", *said]).exit_code == 1
