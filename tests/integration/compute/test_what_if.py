"""What-if questions: asked on the page, answered by a replay in a process apart, kept."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from compute.executors.base import AttemptState
from compute.models import WhatIf, WhatIfStatus
from compute.queries import what_if
from compute.scheduling import Limit
from compute.services import run_limits
from compute.services import what_if as asking
from compute.services.what_if import ReplayHistory
from compute.simulation import apart
from compute.simulation.what_if import Question
from compute.tasks import replay_history
from core import tasks
from core.clock import utc_now
from core.db import new_id
from core.identity.models import Membership, Person, Role
from core.tasks import TaskRow
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR
LONG = "Verein zur Förderung quelloffener Wettervorhersage-Infrastruktur im Alpenraum und angrenzenden Gebieten e. V."


@pytest.fixture
def past(world: World) -> World:
    """Yesterday one job had all 8 devices for 50 minutes, and another waited 45 of them."""
    world.now = utc_now() - timedelta(days=1)
    world.pool.created_at = world.now
    project = world.project("vllm")
    project.name = LONG
    world.offer(world.organisation("aws"), ticks=1000 * G)
    world.grant(project, ticks=500 * G)
    first = world.start(world.job(project, gpus=8))
    world.now += timedelta(minutes=5)
    second = world.job(project, gpus=8)
    world.finish(first, AttemptState.SUCCEEDED, after=timedelta(minutes=45), started_at=first.started_at, exit_code=0)
    attempt = world.start(second)
    world.finish(attempt, AttemptState.SUCCEEDED, after=HOUR / 2, started_at=attempt.started_at, exit_code=0)
    return world


@pytest.fixture
def officer(past: World) -> Person:
    return with_role(past, past.person("Olga"), Role.PROGRAMME_OFFICER)


def with_role(world: World, person: Person, role: Role) -> Person:
    world.session.add(Membership(id=new_id(), person_id=person.id, role=role, from_on=world.now.date()))
    world.session.flush()
    return person


def ask(client: Client, **values: Any) -> Any:
    return client.submit(client.get("/compute/what-if"), "Replay the history", **({"flavor": "h100"} | values))


def test_an_officer_asks_and_the_answer_is_kept(past: World, officer: Person, client: Client) -> None:
    client.sign_in(officer)
    sent = ask(client, gpus="8")
    assert sent.status == 303
    waiting = client.get(sent.location)
    assert "It waits for a worker" in waiting.words
    row = past.session.scalars(select(WhatIf)).one()
    assert past.session.scalars(select(TaskRow).where(TaskRow.kind == ReplayHistory.kind)).one().arguments == {
        "what_if_id": str(row.id)
    }
    asking.reply(past.sessions, row.id)
    shown = client.get(sent.location)
    assert shown.h1 == "What if: 8 × NVIDIA H100 more: 16 instead of 8"
    assert "History does not react" in shown.words
    assert LONG in shown.words
    percentiles = [words for words in ("45 min", "0 s") if words in shown.words]
    assert percentiles == ["45 min", "0 s"]
    assert "What if" in client.get("/compute/what-if").h1
    assert "Answered" in client.get("/compute/what-if").words


def test_a_limit_of_what_may_run_is_tried_for_one_project_and_for_each(past: World, officer: Person, client: Client) -> None:
    ray = past.project("ray")
    past.grant(ray, ticks=100 * G)
    run_limits.set_limit(past.session, ray, Limit(jobs=3, gpus=16), reason="Shares.", actor=officer, now=past.now)
    client.sign_in(officer)
    assert "Ray (now 3 jobs and 16 GPUs)" in client.get("/compute/what-if").words
    for limited, words in (("vllm", LONG), ("", "each project")):
        sent = ask(client, limited=limited, limit_jobs="1", limit_gpus="8", gpus="8")
        row = past.session.scalars(select(WhatIf).where(WhatIf.status == WhatIfStatus.WAITING)).one()
        asking.reply(past.sessions, row.id)
        shown = client.get(sent.location)
        assert shown.h1 == f"What if: 8 × NVIDIA H100 more: 16 instead of 8; {words} runs at most 1 job and 8 GPUs at a time"
        answer = what_if.asked(past.session, row.id, now=utc_now()).answer
        assert answer is not None
        assert answer.after.percentiles[-1] == 45 * 60, "the GPUs more are of no use to a project that may have one job"
    sent = ask(client, limit_gpus="4")
    asking.reply(past.sessions, past.session.scalars(select(WhatIf.id).where(WhatIf.status == WhatIfStatus.WAITING)).one())
    assert "or than its project might have" in client.get(sent.location).words
    refused = insert(WhatIf).values(
        id=new_id(), asked_by_id=officer.id, asked_at=past.now, days=1, flavor_id=past.flavor.id, gpus_before=8, gpus_after=9,
        limit_project_id=ray.id, status=WhatIfStatus.WAITING, status_at=past.now,
    )  # fmt: skip
    with pytest.raises(IntegrityError, match="ck_what_if_whose_limit"), past.session.begin_nested():
        past.session.execute(refused)


def test_a_replay_that_takes_too_long_is_stopped_and_says_so(
    past: World, officer: Person, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "SECONDS_MAX", 0.01)
    client.sign_in(officer)
    sent = ask(client, wall_time="20m")
    asking.reply(past.sessions, past.session.scalars(select(WhatIf.id)).one())
    assert "did not end within 0 seconds; ask about fewer days" in client.get(sent.location).words


def test_a_second_worker_finds_an_answered_question_done(
    past: World, officer: Person, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.sign_in(officer)
    ask(client, project="vllm", weight="3")
    row = past.session.scalars(select(WhatIf)).one()
    asking.reply(past.sessions, row.id)
    kept = past.session.get_one(WhatIf, row.id, populate_existing=True).answer
    assert kept

    def fails(question: Question, *, seconds: float) -> None:
        raise AssertionError("nothing is replayed again")

    monkeypatch.setattr(apart, "replay", fails)
    asking.reply(past.sessions, row.id)
    assert past.session.get_one(WhatIf, row.id, populate_existing=True).answer == kept


def test_one_replay_runs_at_a_time_and_the_next_is_postponed(past: World, officer: Person, client: Client) -> None:
    client.sign_in(officer)
    ask(client, gpus="8")
    sent = ask(client, gpus="4")
    first, second = past.session.scalars(select(WhatIf).order_by(WhatIf.asked_at, WhatIf.id)).all()
    run = SimpleNamespace(session=past.sessions)
    first.advance(WhatIfStatus.RUNNING, utc_now())
    second.status_at = utc_now() - what_if.SILENCE - timedelta(minutes=1)
    past.session.flush()
    with pytest.raises(tasks.Postpone):
        replay_history(ReplayHistory(second.id), run)
    assert "It waits for a worker" in client.get(sent.location).words, "it is behind another, and not forgotten"
    first.status_at = utc_now() - what_if.REPLAY_MAX
    past.session.flush()
    replay_history(ReplayHistory(second.id), run)
    assert second.status is WhatIfStatus.ANSWERED, "what lost its worker keeps nobody"


def test_the_page_says_when_earlier_runs_are_left_out(
    past: World, officer: Person, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "JOBS_MAX", 1)
    client.sign_in(officer)
    sent = ask(client, gpus="8")
    assert asking.reply(past.sessions, past.session.scalars(select(WhatIf.id)).one())
    assert "a replay takes 1 at most, and earlier ones are left out" in client.get(sent.location).words


def test_what_a_dead_worker_left_is_begun_again_and_named_on_the_page(past: World, officer: Person, client: Client) -> None:
    client.sign_in(officer)
    sent = ask(client, gpus="-4")
    row = past.session.scalars(select(WhatIf)).one()
    row.advance(WhatIfStatus.RUNNING, utc_now() - what_if.SILENCE - timedelta(minutes=1))
    past.session.flush()
    assert "The worker that had it is gone" in client.get(sent.location).words
    asking.reply(past.sessions, row.id)
    # Both jobs needed all 8.
    assert "needs more GPUs than there would be" in client.get(sent.location).words


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "Change something"),
        ({"gpus": "-8"}, "take away 7 at most"),
        ({"wall_time": "soon"}, "is not a duration"),
        ({"wall_time": "5s"}, "Let jobs run for a minute"),
        ({"weight": "2"}, "whose, and how much"),
        ({"project": "vllm"}, "whose, and how much"),
        ({"limited": "vllm"}, "how many jobs or GPUs"),
        ({"limit_jobs": "0"}, "At least one"),
        ({"gpus": "many"}, "whole number"),
    ],
)
def test_what_makes_no_sense_is_answered_beside_its_field(
    past: World, officer: Person, client: Client, values: dict[str, str], words: str
) -> None:
    client.sign_in(officer)
    page = ask(client, **values)
    assert page.status in {409, 422}
    assert any(words in problem for problem in page.problems)
    assert past.session.scalars(select(WhatIf)).first() is None


def test_days_without_a_job_and_a_tenth_question_an_hour_are_refused(past: World, officer: Person, client: Client) -> None:
    client.sign_in(officer)
    for _ in range(asking.PER_PERSON.count):
        assert ask(client, gpus="1").status == 303
    over = ask(client, gpus="1")
    assert over.status == 429
    assert any("ask again in 60 min" in problem for problem in over.problems)
    nothing = what_if.flavors(past.session)[0]
    with pytest.raises(asking.NoPastJobs):
        asking.ask(
            past.session,
            nothing,
            asking.Change(1, None, None, None, Limit(), None),
            days=7,
            asker=officer,
            now=utc_now() + timedelta(days=60),
        )


def test_who_reads_the_desk_reads_answers_and_only_officers_ask(past: World, officer: Person, client: Client) -> None:
    client.sign_in(with_role(past, past.person("Aude"), Role.AUDITOR))
    page = client.get("/compute/what-if")
    assert "Programme officers ask" in page.words
    assert client.post("/compute/what-if", {"flavor": "h100", "gpus": "1"}).status == 403
    client.sign_in(past.person("Nobody"))
    assert client.get("/compute/what-if").status == 403
    client.sign_out()
    assert client.get("/compute/what-if").status in {302, 303}
    assert tasks.registered()[ReplayHistory.kind][0] is ReplayHistory
