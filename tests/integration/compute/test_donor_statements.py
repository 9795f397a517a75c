"""A donor's month: every hour has one line, and the ledger says the same."""

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pypdf import PdfReader

from compute import papers
from compute.executors.base import AttemptState
from compute.models import ComputeOffer
from compute.queries import statements
from compute.queries.statements import OfferLine, Statement
from compute.services import lifecycle, offers
from core import ledger
from core.identity.models import Organisation, Project
from core.paper import PaperForm
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR
DAY = timedelta(days=1)


@pytest.fixture
def now() -> datetime:
    """A month begins."""
    return datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def aws(world: World) -> Organisation:
    return world.organisation("aws")


@pytest.fixture
def offer(world: World, aws: Organisation) -> ComputeOffer:
    """300 hours over 30 days: all of November, 10 a day."""
    return world.offer(aws, ticks=300 * G, closes_in=30 * DAY, name="=November")


@pytest.fixture
def vllm(world: World, offer: ComputeOffer) -> Project:
    made = world.project("vllm")
    world.grant(made, ticks=1000 * G, lasts=60 * DAY)
    return made


def month(world: World, donor: Organisation, number: int = 11) -> Statement:
    return statements.statement(world.session, donor, date(2026, number, 1), now=world.now)


def only(found: Statement) -> OfferLine:
    (line,) = found.offers
    carried_and_given = line.carried + line.given
    assert carried_and_given == line.used + line.lost + line.lapsed + line.idle - line.ahead
    assert line.proved
    return line


def test_every_hour_of_a_month_has_its_line(world: World, aws: Organisation, vllm: Project) -> None:
    world.finish(world.start(world.job(vllm, gpus=4)), AttemptState.SUCCEEDED, after=HOUR / 2, exit_code=0)
    world.finish(world.start(world.job(vllm, gpus=2)), AttemptState.LOST, after=HOUR / 2, infrastructure=True)
    world.tick()  # what was lost goes again, and is held again
    found = month(world, aws)
    line = only(found)
    assert (line.used, line.lost, line.in_flight) == (2 * G, G, 2 * G)
    assert (line.ledger.held, line.ledger.returned) == (8 * G, 3 * G)  # 4 + 2 + 2 held; 2 not needed, 1 not burnt
    (project,) = found.projects
    assert (project.held, project.used, project.returned, project.lost) == (8 * G, 2 * G, 3 * G, G)
    assert found.proved


def test_what_is_in_flight_over_the_months_end_is_in_both(world: World, aws: Organisation, vllm: Project) -> None:
    world.offer(aws, ticks=100 * G, closes_in=59 * DAY, name="Later")
    world.now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    attempt = world.start(world.job(vllm, gpus=1, wall_seconds=11 * 3600))
    world.now = datetime(2026, 11, 29, 22, tzinfo=UTC)
    world.finish(attempt, AttemptState.SUCCEEDED, after=timedelta(), exit_code=0)
    attempt = world.start(world.job(vllm, gpus=1, wall_seconds=23 * 3600))
    attempt = world.finish(attempt, AttemptState.SUCCEEDED, after=22 * HOUR, exit_code=0)
    late = world.start(world.job(vllm, gpus=2, wall_seconds=10 * 3600))  # outlives November, so it draws the later offer
    world.finish(late, AttemptState.SUCCEEDED, after=6 * HOUR, exit_code=0)
    november, december = month(world, aws, 11), month(world, aws, 12)
    assert [line.in_flight for line in november.offers] == [0, 20 * G]
    later = december.offers[-1]
    assert (later.in_flight_before, later.used, later.ledger.returned, later.in_flight) == (20 * G, 12 * G, 8 * G, 0)
    assert november.proved
    assert december.proved


def test_what_nobody_used_lapses_when_the_window_closes(world: World, aws: Organisation, vllm: Project) -> None:
    world.finish(world.start(world.job(vllm, gpus=4)), AttemptState.SUCCEEDED, after=HOUR, exit_code=0)
    assert (only(month(world, aws)).lapsed, only(month(world, aws)).taken_back) == (0, 0)
    world.now = datetime(2026, 12, 1, 0, 0, 15, tzinfo=UTC)
    lifecycle.pass_offers(world.session, now=world.now)
    november, december = only(month(world, aws)), only(month(world, aws, 12))
    assert (november.given, november.used, november.idle, november.lapsed) == (300 * G, 4 * G, 296 * G, 0)
    assert (december.carried, december.given, december.lapsed, december.idle) == (296 * G, 0, 296 * G, 0)
    world.now = datetime(2027, 1, 5, tzinfo=UTC)
    assert statements.statement(world.session, aws, date(2027, 1, 1), now=world.now).offers == []


def test_the_days_after_an_early_end_were_never_given(
    world: World, aws: Organisation, offer: ComputeOffer, vllm: Project
) -> None:
    world.finish(world.start(world.job(vllm, gpus=4)), AttemptState.SUCCEEDED, after=HOUR, exit_code=0)
    world.now = datetime(2026, 11, 11, tzinfo=UTC)
    offers.take_back(world.session, offer, at=world.now, actor=None, now=world.now)
    world.now += HOUR
    lifecycle.pass_offers(world.session, now=world.now)
    line = only(month(world, aws))
    assert (line.given, line.used, line.lapsed, line.taken_back) == (100 * G, 4 * G, 96 * G, 200 * G)
    assert line.ledger.written_off == 296 * G


def test_hours_drawn_ahead_of_an_early_end_are_not_called_lapsed(
    world: World, aws: Organisation, offer: ComputeOffer, vllm: Project
) -> None:
    world.finish(world.start(world.job(vllm, gpus=8, wall_seconds=5 * 3600)), AttemptState.SUCCEEDED, after=5 * HOUR, exit_code=0)
    world.now = datetime(2026, 11, 2, tzinfo=UTC)
    offers.take_back(world.session, offer, at=world.now, actor=None, now=world.now)
    lifecycle.pass_offers(world.session, now=world.now + HOUR)
    world.now += HOUR
    line = only(month(world, aws))
    assert (line.given, line.used, line.ahead, line.lapsed, line.taken_back) == (10 * G, 40 * G, 30 * G, 0, 260 * G)


def test_a_line_the_ledger_does_not_say_is_seen(world: World, aws: Organisation, vllm: Project) -> None:
    attempt = world.finish(world.start(world.job(vllm, gpus=4)), AttemptState.SUCCEEDED, after=HOUR / 2, exit_code=0)
    assert month(world, aws).proved
    attempt.draws[0].used_ticks -= 1
    world.session.flush()
    assert not month(world, aws).proved


def test_an_entry_of_an_unknown_kind_is_a_column_and_proves_nothing(
    world: World, aws: Organisation, vllm: Project, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "/compute/donors/aws/statements/2026-11"
    assert "no statement explains" not in client.get(address).words + text_of(month(world, aws))
    touching = ledger.touching

    def renamed(*args: Any, **kwargs: Any) -> list[ledger.Touch]:
        return [replace(touch, kind="gpu.correction") for touch in touching(*args, **kwargs)]

    monkeypatch.setattr(ledger, "touching", renamed)
    found = month(world, aws)
    assert not found.proved
    (entry,) = rows(papers.draw_entries(found))
    assert (entry["what"], int(entry["other_ticks"])) == ("correction", found.offers[0].offer.given_ticks)
    assert "other 300.00 by entries of a kind that no statement explains" in text_of(found)
    shown = client.get(address).words
    assert "does not agree with every line" in shown
    assert "Other: moved by entries of a kind that no statement explains" in shown


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def text_of(found: Statement) -> str:
    """The words of its PDF."""
    pages = PdfReader(io.BytesIO(papers.draw_statement(found, PaperForm.PDF))).pages
    return " ".join("".join(page.extract_text() for page in pages).split())


def test_the_files_say_what_the_page_says(world: World, aws: Organisation, vllm: Project, client: Client) -> None:
    world.finish(world.start(world.job(vllm, gpus=4)), AttemptState.SUCCEEDED, after=HOUR / 2, exit_code=0)
    world.now += DAY
    found = month(world, aws)
    per_offer, per_project = rows(papers.draw_statement(found, PaperForm.CSV))
    assert (per_offer["name"], per_offer["used"], per_offer["used_gpu_seconds"]) == ("'=November", "2.000000", "7200.000000")
    assert (per_project["name"], per_project["held"], per_project["returned"], per_project["jobs"]) == (
        *("vllm", "4.000000", "2.000000"),
        "1",
    )
    entries = rows(papers.draw_entries(found))
    assert [entry["what"] for entry in entries] == ["gift", "hold", "settle"]
    assert sum(int(entry["used_ticks"]) for entry in entries) == 2 * G
    text = text_of(found)
    for part in ("GPU time given by Aws, November 2026", "7,200.000", "Vllm", "agrees with every line", "entries.csv"):
        assert part in text
    assert papers.draw_statement(found, PaperForm.PDF) == papers.draw_statement(month(world, aws), PaperForm.PDF)
    page = client.get("/compute/donors/aws/statements/2026-11")
    assert "agree with every line to the tick" in page.words
    for address, kind in (("2026-11.pdf", "application/pdf"), ("2026-11.csv", "text/csv"), ("2026-11/entries.csv", "text/csv")):
        answer = client.get(f"/compute/donors/aws/statements/{address}")
        assert answer.headers["Content-Type"].startswith(kind)
        assert "attachment" in answer.headers["Content-Disposition"]
    assert client.get("/compute/donors/aws/statements/2026-11.xlsx").status in {404, 422}
