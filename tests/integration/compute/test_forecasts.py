"""Forecasts and warnings over what was really metered."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from compute import outlooks
from compute.models import ComputeGrant, ForecastWarning, WarningKind
from compute.policies import OfferPolicy
from compute.policies.forecast import Forecast, TooShort, Verdict
from compute.queries import forecast
from compute.services import forecast_warnings, lifecycle
from compute.services.forecast_warnings import MailWarning
from core import mail
from core.db import new_id
from core.identity.models import Membership, Project, Role
from core.tasks import TaskRow
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR
DAY = timedelta(days=1)


@pytest.fixture
def vllm(world: World) -> Project:
    return world.project("vllm")


def work(world: World, project: Project, *, days: int, gpus: int = 4, beside: Project | None = None) -> None:
    """An hour of these GPUs each day, and of two for another project; the last have ended a moment ago."""
    for _ in range(days):
        world.now += DAY - HOUR
        jobs = [world.job(project, gpus=gpus), *([world.job(beside, gpus=2)] if beside else [])]
        world.past(*jobs, lasted=HOUR)


def of_grant(world: World, grant: ComputeGrant) -> Forecast:
    found = forecast.of_grant(world.session, grant, now=world.now)
    assert isinstance(found, Forecast)
    return found


def test_a_grant_is_forecast_from_what_was_settled(world: World, vllm: Project) -> None:
    world.offer(world.organisation("aws"), ticks=1000 * G, closes_in=90 * DAY)
    grant = world.grant(vllm, ticks=100 * G, lasts=90 * DAY)
    work(world, vllm, days=13)
    assert forecast.of_grant(world.session, grant, now=world.now) == TooShort(13)
    work(world, vllm, days=1)
    found = of_grant(world, grant)
    assert (found.left, found.pace.middle, found.pace.days) == (44 * G, 28 * G, 14)
    assert found.expected.used_up_at == world.now + 11 * DAY
    world.start(world.job(vllm, gpus=8))
    assert of_grant(world, grant).left == 44 * G, "what is held is not used yet"


def test_nothing_is_said_of_a_grant_that_can_not_be_drawn(world: World, vllm: Project) -> None:
    grant = world.grant(vllm, ticks=100 * G, lasts=20 * DAY)
    world.now += 21 * DAY
    lifecycle.pass_grants(world.session, now=world.now)
    assert forecast.of_grant(world.session, grant, now=world.now) is None


def test_offers_share_the_pace_of_their_flavor_in_the_order_jobs_draw_them(world: World, vllm: Project) -> None:
    other = world.project("deepspeed")
    policy = OfferPolicy(projects=frozenset({other.id}))
    sooner = world.offer(world.organisation("aws"), ticks=100 * G, closes_in=40 * DAY, name="Sooner")
    later = world.offer(world.organisation("nebius"), ticks=100 * G, closes_in=60 * DAY, name="Later")
    closed = world.offer(world.organisation("lambda"), ticks=50 * G, closes_in=30 * DAY, name="For others", policy=policy)
    world.grant(vllm, ticks=500 * G, lasts=90 * DAY)
    work(world, vllm, days=20)
    found = forecast.of_offers(world.session, now=world.now)
    now = world.now
    expected = {offer.name: found[offer.id].expected for offer in (sooner, later, closed)}  # type: ignore[union-attr]
    assert expected["Sooner"].used_up_at == now + 5 * DAY  # 20 of 100 left, 4 a day
    assert expected["Later"].used_up_at == now + 30 * DAY  # from then on
    assert expected["For others"].unused == 50 * G


def warnings(world: World) -> list[tuple[WarningKind, int, bool]]:
    rows = world.session.scalars(select(ForecastWarning).order_by(ForecastWarning.at, ForecastWarning.grant_id))
    return [(row.kind, row.days_before, row.grant_id is not None) for row in rows]


def test_each_warning_is_given_once_per_mark(world: World, vllm: Project) -> None:
    world.offer(world.organisation("aws"), ticks=10_000 * G, closes_in=300 * DAY)
    grant = world.grant(vllm, ticks=100 * G, lasts=90 * DAY)
    work(world, vllm, days=14)  # 11 days are left
    assert forecast_warnings.warn(world.session, now=world.now) == 1
    assert forecast_warnings.warn(world.session, now=world.now) == 0
    work(world, vllm, days=1)
    assert forecast_warnings.warn(world.session, now=world.now) == 0, "the same mark"
    work(world, vllm, days=4)
    assert forecast_warnings.warn(world.session, now=world.now) == 1
    assert warnings(world) == [(WarningKind.RUNS_OUT, 14, True), (WarningKind.RUNS_OUT, 7, True)]
    shown = forecast.warnings(world.session, grant_ids=[grant.id])
    assert [row.days_before for row in shown] == [7, 14]
    assert "is used up about" in shown[0].message


def test_what_lapses_is_warned_of_before_its_end_and_what_fits_never(world: World, vllm: Project) -> None:
    other = world.project("deepspeed")
    world.offer(world.organisation("aws"), ticks=10_000 * G, closes_in=300 * DAY)
    world.grant(vllm, ticks=100 * G, lasts=24 * DAY)
    world.grant(other, ticks=80 * G, lasts=20 * DAY)
    work(world, other, days=14, beside=vllm)
    assert forecast_warnings.warn(world.session, now=world.now) == 1
    (row,) = world.session.scalars(select(ForecastWarning))
    assert (row.kind, row.days_before) == (WarningKind.LAPSES, 14)
    assert row.title == "Vllm grant"


def test_maintainers_and_donors_are_mailed_where_there_is_a_server(
    world: World, vllm: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = world.organisation("aws")
    world.offer(aws, ticks=90 * G, closes_in=300 * DAY)
    grant = world.grant(vllm, ticks=100 * G, lasts=90 * DAY)
    world.maintainer(vllm, "Mo")
    dana = world.person("Dana")
    world.session.add(
        Membership(id=new_id(), person_id=dana.id, organisation_id=aws.id, role=Role.COMPUTE_DONOR, from_on=world.now.date())
    )
    world.person("Stranger")
    work(world, vllm, days=14)
    monkeypatch.setattr(mail, "is_configured", lambda: True)
    forecast_warnings.warn(world.session, now=world.now)
    forecast_warnings.warn(world.session, now=world.now)
    rows = world.session.scalars(select(TaskRow).where(TaskRow.kind == MailWarning.kind)).all()
    letters = [forecast_warnings.letter(world.session, MailWarning(**_ids(row.arguments))) for row in rows]
    assert sorted(letter.to for letter in letters) == ["dana@example.org", "mo@example.org"]
    to_mo = next(letter for letter in letters if letter.to.startswith("mo"))
    assert to_mo.subject == "GPU time is used up soon: Vllm grant"
    assert f"/compute/grants/{grant.id}" in to_mo.text
    assert "Ask for another grant in time" in to_mo.text
    assert len({letter.key for letter in letters}) == 2


def _ids(arguments: dict[str, Any]) -> dict[str, Any]:
    from uuid import UUID

    return {name: UUID(value) for name, value in arguments.items()}


@pytest.fixture
def lived(world: World, vllm: Project, now: datetime) -> World:
    world.offer(world.organisation("aws"), ticks=90 * G, closes_in=300 * DAY)
    world.grant(vllm, ticks=100 * G, lasts=90 * DAY)
    work(world, vllm, days=14)
    return world


def test_pages_and_documents_say_what_to_expect(lived: World, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("grants", "public", "offers"):
        monkeypatch.setattr(f"compute.views.{module}.utc_now", lambda: lived.now)
    forecast_warnings.warn(lived.session, now=lived.now)
    grant = lived.session.scalars(select(ComputeGrant)).one()
    page = client.get(f"/compute/grants/{grant.id}")
    assert "it is used up about" in page.words
    assert "If the pace stays, warnings come on" in page.words
    assert "the middle one used 28.00 GPU-hours" in page.words
    assert "One warning was given" in page.words
    page = client.get("/compute/donors/aws")
    assert "it is used up about" in page.words
    assert "Jobs draw the offer that ends soonest first" in page.words
    made = outlooks.GrantForecastOut.of(lived.session, grant, now=lived.now).model_dump(mode="json")
    assert (made["forecast"]["verdict"], made["forecast"]["left_gpu_hours"]) == (Verdict.RUNS_OUT, "44.000000")
    donor = outlooks.of_donor(lived.session, "aws", now=lived.now).model_dump(mode="json")
    assert [line["forecast"]["left_gpu_hours"] for line in donor["offers"]] == ["34.000000"]


def test_the_command_asks_for_one_subject() -> None:
    from app import main

    result = CliRunner().invoke(main, ["compute", "forecast"])
    assert result.exit_code == 2
    assert "Name a grant" in result.output
