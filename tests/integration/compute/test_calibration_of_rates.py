"""From measured benchmark jobs to a proposal, to a decision by somebody else."""

from datetime import timedelta
from fractions import Fraction
from types import SimpleNamespace

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from compute.models import ExchangeRate, Flavor, JobKind, ProposalStatus, SourceKind
from compute.queries import benchmarks, budget
from compute.services import calibration, catalogue
from compute.services.calibration import NothingMeasured, OwnProposal, RateOutOfRange, RatesMoved
from compute.services.catalogue import OwnRateProposed
from core.db import new_id
from core.errors import IllegalTransition, InvalidInput
from core.identity.models import Membership, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR


@pytest.fixture
def a100(world: World) -> Flavor:
    """Another kind of accelerator, at half a reference hour, with a pool and an offer."""
    made = catalogue.add_flavor(world.session, slug="a100", name="NVIDIA A100", vendor="NVIDIA", author=None, now=world.now)
    rate = Fraction(1, 2)
    catalogue.set_rate(world.session, made, rate, valid_from=world.now - HOUR, source="a guess", author=None, now=world.now)
    h100, pool = world.flavor, world.pool
    world.offer(world.organisation("aws"), ticks=10_000 * G)
    world.pool = catalogue.add_pool(
        world.session, slug="a100", name="A100", flavor=made, executor="scripted", devices=8,
        runs=[SourceKind.COMMAND], author=None, now=world.now,
    )  # fmt: skip
    world.flavor = made
    world.offer(world.organisation("nebius"), ticks=10_000 * G)
    world.flavor, world.pool = h100, pool
    return made


@pytest.fixture
def vllm(world: World, a100: Flavor) -> Project:
    made = world.project("vllm")
    world.grant(made, ticks=1000 * G)
    return made


def ran(
    world: World,
    project: Project,
    flavor: str,
    minutes: float,
    *,
    times: int = 3,
    kind: JobKind = JobKind.BENCHMARK,
    command: str = "bench serve",
) -> None:
    for _ in range(times):
        job = world.job(project, flavor=flavor, kind=kind, command=command, name="serving", gpus=2, wall_seconds=4 * 3600)
        world.past(job, lasted=timedelta(minutes=minutes))


@pytest.fixture
def compared(world: World, vllm: Project) -> World:
    """The A100 takes 1.25 times as long: it is worth 4/5, not the 1/2 of the table."""
    ran(world, vllm, "h100", 60)
    ran(world, vllm, "a100", 75)
    return world


def test_rates_come_from_what_was_measured(compared: World, a100: Flavor) -> None:
    found = calibration.calibrate(compared.session, now=compared.now)
    assert found.reference == compared.flavor
    assert {each.flavor.slug: (each.current, each.rate) for each in found.suggestions} == {
        "a100": (Fraction(1, 2), Fraction(4, 5)),
        "h100": (1, 1),
    }
    (each,) = found.benchmarks
    assert each.median(a100.id) == 2 * 75 * 60


@pytest.mark.parametrize(("times", "kind"), [(2, JobKind.BENCHMARK), (3, JobKind.CI)], ids=["too few runs", "no benchmark"])
def test_too_little_is_no_proposal(world: World, vllm: Project, times: int, kind: JobKind) -> None:
    ran(world, vllm, "h100", 60)
    ran(world, vllm, "a100", 75, times=times, kind=kind)
    with pytest.raises(NothingMeasured, match="Run the same benchmark job"):
        calibration.calibrate(world.session, now=world.now)


def test_old_runs_and_other_commands_are_not_compared(compared: World, vllm: Project) -> None:
    later = compared.now + timedelta(days=181)
    with pytest.raises(NothingMeasured):
        calibration.calibrate(compared.session, now=later)


def test_a_price_beyond_all_reason_is_a_sentence_on_the_page_too(
    world: World, vllm: Project, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(world, vllm, "h100", 200)
    ran(world, vllm, "a100", 1 / 60)
    with pytest.raises(RateOutOfRange, match=r"NVIDIA A100 would have a rate of 1\.2e\+04.* from 1/1000 to 1000"):
        calibration.calibrate(world.session, now=world.now)
    monkeypatch.setattr("compute.views.calibration.utc_now", lambda: world.now)
    client.sign_in(officer(world, "Olga"))
    assert "rates go from 1/1000 to 1000" in client.get("/admin/compute/calibration").words
    assert client.post("/admin/compute/calibration").status == 409


def test_prices_nobody_finds_are_a_sentence_on_the_page(compared: World, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scipy.optimize.linprog", lambda *_, **__: SimpleNamespace(status=2, message="infeasible"))
    monkeypatch.setattr("compute.views.calibration.utc_now", lambda: compared.now)
    client.sign_in(officer(compared, "Olga"))
    assert "too far apart to find rates" in client.get("/admin/compute/calibration").words
    assert client.post("/admin/compute/calibration").status == 409


def test_a_project_counts_with_so_many_benchmarks_those_that_ran_last(
    compared: World, vllm: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks, "PER_PROJECT_MAX", 1)
    for flavor in ("h100", "a100"):
        ran(compared, vllm, flavor, 30, command="bench train")
    (each,) = benchmarks.measured(compared.session, now=compared.now)
    assert set(each.runs[compared.flavor.id]) == {2 * 30 * 60}


def rate(world: World, flavor: Flavor) -> Fraction:
    return budget.rate_at(world.session, flavor, world.now)


def test_a_proposal_changes_nothing_until_somebody_else_accepts(compared: World, a100: Flavor) -> None:
    olga, petra = compared.person("Olga"), compared.person("Petra")
    made = calibration.propose(compared.session, author=olga, now=compared.now)
    assert rate(compared, a100) == Fraction(1, 2)
    with pytest.raises(OwnProposal):
        calibration.accept(compared.session, made.id, note="", decided_by=olga, now=compared.now)
    calibration.accept(compared.session, made.id, note="Seen.", decided_by=petra, now=compared.now)
    assert rate(compared, a100) == Fraction(4, 5)
    assert (made.status, made.decided_by_id) == (ProposalStatus.ACCEPTED, petra.id)
    newest = compared.session.scalars(select(ExchangeRate).order_by(ExchangeRate.valid_from.desc())).first()
    assert newest is not None
    assert f"proposal {made.id}" in newest.source
    assert newest.author_id == petra.id
    with pytest.raises(IllegalTransition):
        calibration.decline(compared.session, made.id, note="Late.", decided_by=petra, now=compared.now)
    rows = compared.session.scalars(select(ExchangeRate).where(ExchangeRate.flavor_id == compared.flavor.id)).all()
    assert len(rows) == 1, "the reference keeps its rate, so nothing is entered for it"


def test_a_proposal_is_stale_once_a_rate_moved(compared: World, a100: Flavor) -> None:
    made = calibration.propose(compared.session, author=compared.person("Olga"), now=compared.now)
    compared.now += HOUR
    catalogue.set_rate(
        compared.session, a100, Fraction(3, 5), valid_from=compared.now, source="a decision", author=None, now=compared.now
    )
    compared.now += HOUR
    with pytest.raises(RatesMoved):
        calibration.accept(compared.session, made.id, note="", decided_by=compared.person("Petra"), now=compared.now)
    assert rate(compared, a100) == Fraction(3, 5)


@pytest.mark.parametrize("declined", [False, True], ids=["open", "declined"])
def test_nobody_enters_alone_what_they_proposed(compared: World, a100: Flavor, declined: bool) -> None:
    olga, petra = compared.person("Olga"), compared.person("Petra")
    made = calibration.propose(compared.session, author=olga, now=compared.now)
    if declined:
        calibration.decline(compared.session, made.id, note="No.", decided_by=petra, now=compared.now)

    def enter(rate: Fraction, author: Person) -> None:
        compared.now += HOUR
        catalogue.set_rate(
            compared.session, a100, rate, valid_from=compared.now, source="a list", author=author, now=compared.now
        )

    with pytest.raises(OwnRateProposed, match="was declined" if declined else "waits for another person"):
        enter(Fraction(4, 5), olga)
    enter(Fraction(3, 4), olga)
    enter(Fraction(4, 5), petra)


def test_who_proposed_the_same_may_accept_anothers_proposal(compared: World, a100: Flavor) -> None:
    olga, petra = compared.person("Olga"), compared.person("Petra")
    calibration.propose(compared.session, author=petra, now=compared.now)
    made = calibration.propose(compared.session, author=olga, now=compared.now)
    calibration.accept(compared.session, made.id, note="", decided_by=petra, now=compared.now)
    assert rate(compared, a100) == Fraction(4, 5)


def test_declining_needs_a_reason_and_leaves_the_rates(compared: World, a100: Flavor) -> None:
    petra = compared.person("Petra")
    made = calibration.propose(compared.session, author=compared.person("Olga"), now=compared.now)
    with pytest.raises(InvalidInput):
        calibration.decline(compared.session, made.id, note=" ", decided_by=petra, now=compared.now)
    calibration.decline(compared.session, made.id, note="The driver was old.", decided_by=petra, now=compared.now)
    assert rate(compared, a100) == Fraction(1, 2)


def test_the_database_refuses_a_decision_by_its_maker(compared: World) -> None:
    olga = compared.person("Olga")
    made = calibration.propose(compared.session, author=olga, now=compared.now)
    made.status, made.decided_by_id, made.decided_at = ProposalStatus.ACCEPTED, olga.id, compared.now
    with pytest.raises(IntegrityError, match="four_eyes"):
        compared.session.flush()


def test_the_effect_is_the_same_use_at_both_rates(compared: World, a100: Flavor) -> None:
    (effect,) = benchmarks.effects(compared.session, {a100.id: Fraction(4, 5)}, now=compared.now)
    assert effect.now == 6 * G + 3 * 5 * G // 4  # 3 × 2 h on the reference, 3 × 2.5 h at a half
    assert effect.then == 6 * G + 6 * G


def officer(world: World, name: str) -> Person:
    person = world.person(name)
    world.session.add(
        Membership(id=new_id(), person_id=person.id, role=Role.PROGRAMME_OFFICER, from_on=world.now.date() - timedelta(days=1))
    )
    world.session.flush()
    return person


def test_two_officers_calibrate_on_the_pages(
    compared: World, a100: Flavor, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compute.views.calibration.utc_now", lambda: compared.now)
    client.sign_in(officer(compared, "Olga"))
    page = client.get("/admin/compute/calibration")
    assert "4/5" in page.words
    assert "+60.0 %" in page.words
    sent = client.submit(page, "Make a proposal")
    assert sent.status == 303
    assert "somebody else has to decide" in client.get(sent.location).words
    client.sign_in(officer(compared, "Petra"))
    refused = client.submit(client.get(sent.location), "Decline")
    assert refused.status == 422
    assert any("Write a sentence" in problem for problem in refused.problems)
    done = client.submit(client.get(sent.location), "Accept rates", **{"accept-note": "Seen."})
    assert done.status == 303
    assert "Accepted" in client.get(sent.location).words
    assert "4/5" in client.get("/admin/compute").words


def test_the_page_says_what_to_run_where_nothing_was_measured(world: World, client: Client) -> None:
    client.sign_in(officer(world, "Olga"))
    page = client.get("/admin/compute/calibration")
    assert "Run the same benchmark job" in page.words
    assert client.post("/admin/compute/calibration").status == 409
    assert client.get(f"/admin/compute/calibration/{new_id()}").status == 404
    client.sign_in(world.person("Stranger"))
    assert client.get("/admin/compute/calibration").status == 403
