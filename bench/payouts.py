"""Ten thousand payouts: from due instalments to a previewed run, and from the sent run to a rail; beside bare HTTP calls.

python -m bench.payouts [--payouts N] [--runs N]

A PostgreSQL of its own in a temporary folder, durable as installed, and a rail that answers at once (bench/_fast_rail.py). The
run is prepared and looked at through the web server, as a person does it. Then four workers, started as in production, hand
every payout over, and mark the instalments they pay. The peer makes as many calls of the same size from as many processes that do
nothing else. At the end each obligation must be paid once, and the ledger must agree with the rail to the cent.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from uuid import UUID

import psutil
import requests
from sqlalchemy import Engine, create_engine, func, select, text
from sqlalchemy.orm import Session

from bench._payouts_due import PASSWORD, Cast, cast, make_due
from bench._report import Line, Runs, repeat, report
from bench.ledger import seconds
from bench.pages import gunicorn
from core import ledger
from core.clock import utc_now
from core.config import ROOT
from core.db.embedded import EmbeddedServer
from core.db.migrate import upgrade
from core.identity.models import Person
from grants.models import Instalment, InstalmentStatus
from payouts.models import Alarm, Payout, PayoutStatus, Run, RunStatus
from payouts.rails.fake import FakeRail, address_file
from payouts.services import runs, sending

WORKERS = 4
PREPARATIONS, LOOKS = 3, 3
RAIL_SCRIPT = Path(__file__).with_name("_fast_rail.py")


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.payouts", description=__doc__.partition("\n")[0])
    parser.add_argument("--payouts", type=int, default=10_000, help="payouts of a run (default 10,000)")
    parser.add_argument("--runs", type=int, default=3, help="runs to hand over (default 3)")
    wanted, _ = parser.parse_known_args()
    figures = Figures([], [], [], [], [], [])
    with tempfile.TemporaryDirectory(prefix="pw-bench-", ignore_cleanup_errors=True) as folder, place(Path(folder)) as here:
        people = cast(here.engine)
        for number in range(wanted.runs):
            make_due(here.engine, people, count=wanted.payouts, batch=number)
            run_id = to_a_previewed_run(here, people, figures)
            figures.approving.append(seconds(lambda: approve(here, people, run_id)))  # noqa: B023 - called at once
            figures.bare.append(seconds_of_bare_calls(here.rail, wanted.payouts))
            hand_over(here, people, run_id, wanted.payouts, figures)
        agree(here, wanted.payouts * wanted.runs)
    scale = wanted.payouts / 10_000
    report(
        f"{wanted.payouts:,} payouts a run, {WORKERS} workers on {os.cpu_count()} cores",
        [
            Line(Runs("due instalments to a previewed run, over HTTP", figures.preparing), "s", reach=10 * scale),
            Line(Runs("the page of the run again", figures.looking), "s", reach=1),
            Line(Runs("approved by two people", figures.approving), "s"),
            Line(Runs("handed to a fast rail", figures.handing), "s", Runs("bare HTTP calls", figures.bare), reach=300 * scale),
            Line(Runs("a worker's memory, last quarter to first", figures.growth), "×", reach=1.1),
        ],
    )


@dataclass(frozen=True)
class Figures:
    """What is measured, of every run."""

    preparing: list[float]
    looking: list[float]
    approving: list[float]
    bare: list[float]
    handing: list[float]
    growth: list[float]


@dataclass(frozen=True)
class Here:
    """A database, a rail, and what tells processes where both are."""

    engine: Engine
    rail: str
    environment: dict[str, str]

    @property
    def rails(self) -> dict[str, FakeRail]:
        return {"fake": FakeRail(lambda: self.rail)}


@contextmanager
def place(folder: Path) -> Iterator[Here]:
    embedded = EmbeddedServer.attach(folder / "postgres")
    engine = create_engine(embedded.url)
    rail = subprocess.Popen([sys.executable, RAIL_SCRIPT], stdout=subprocess.PIPE, text=True)
    try:
        upgrade(engine)
        assert rail.stdout is not None
        address = rail.stdout.readline().strip()
        data = folder / "data"
        data.mkdir()
        address_file(data).write_text(address)
        url = engine.url.render_as_string(hide_password=False)
        environment = {**os.environ, "DATABASE_URL": url, "PLEDGEWORKS_DATA": str(data), "PYTHONPATH": str(ROOT)}
        yield Here(engine, address, environment)
    finally:
        rail.kill()
        rail.wait()
        engine.dispose()
        EmbeddedServer.detach_all()


# From due to previewed


def to_a_previewed_run(here: Here, people: Cast, figures: Figures) -> UUID:
    """Prepare the run through the web server and look at it; several times, giving it up in between."""
    with gunicorn("app:create_app()", ROOT, here.environment, "/healthz") as address:
        browser = sign_in(address, people.finance_email)
        for _ in range(PREPARATIONS - 1):
            url, taken = prepare(browser, address)
            figures.preparing.append(taken)
            give_up(here, people, UUID(url.rpartition("/")[2]))
        url, taken = prepare(browser, address)
        figures.preparing.append(taken)
        figures.looking.extend(repeat("", LOOKS, lambda: seconds(lambda: get(browser, url))).figures)
    return UUID(url.rpartition("/")[2])


def prepare(browser: requests.Session, address: str) -> tuple[str, float]:
    """Press “Prepare run”; the run's address, and how long it took until its page was there."""
    form = get(browser, f"{address}/payouts")
    data = {"csrf_token": token(form), "currency": "USD", "due_by": utc_now().date().isoformat(), "rail": ""}
    start = time.perf_counter()
    answer = browser.post(f"{address}/payouts/runs", data=data, timeout=120)
    taken = time.perf_counter() - start
    assert answer.ok, answer.status_code
    assert "/payouts/runs/" in answer.url, answer.url
    assert not {"Left out", "Look at this before"} & set(re.findall("Left out|Look at this before", answer.text)), "all can go"
    return answer.url, taken


def sign_in(address: str, email: str) -> requests.Session:
    browser = requests.Session()
    form = get(browser, f"{address}/sign-in")
    data = {"csrf_token": token(form), "email": email, "password": PASSWORD}
    answer = browser.post(f"{address}/sign-in", data=data, timeout=30, allow_redirects=False)
    assert answer.status_code == 303, answer.status_code
    return browser


def get(browser: requests.Session, url: str) -> str:
    answer = browser.get(url, timeout=120)
    assert answer.ok, (answer.status_code, url)
    return answer.text


def token(form: str) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
    assert found, "the page has no CSRF token"
    return found[1]


def give_up(here: Here, people: Cast, run_id: UUID) -> None:
    with Session(here.engine) as session, session.begin():
        finance = session.get_one(Person, people.finance_id)
        runs.cancel(session, run_id, actor=finance, now=utc_now(), reason="Prepared once more")


def approve(here: Here, people: Cast, run_id: UUID) -> None:
    """By as many people as it takes, each in a transaction."""
    for approver_id in people.approver_ids:
        with Session(here.engine) as session, session.begin():
            run, approver = session.get_one(Run, run_id), session.get_one(Person, approver_id)
            if run.status is RunStatus.APPROVED:
                return
            runs.approve(session, run_id, approver=approver, seen_hash=run.content_hash, now=utc_now())


# Handing over


def hand_over(here: Here, people: Cast, run_id: UUID, count: int, figures: Figures) -> None:
    """From the order to send until the last one is paid; and how much the workers grew meanwhile."""
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(here)) for _ in range(WORKERS)]
        start = time.perf_counter()
        with Session(here.engine) as session, session.begin():
            sending.send(session, run_id, sender=session.get_one(Person, people.finance_id), rails=here.rails, now=utc_now())
        seen: list[tuple[int, list[int]]] = []
        while (paid := count_paid(here, run_id)) < count:
            seen.append((paid, [each.memory_info().rss for each in workers]))
            time.sleep(1)
        figures.handing.append(time.perf_counter() - start)
        seen.append((paid, [each.memory_info().rss for each in workers]))
        wait_for_news(here)
    figures.growth.extend(growth(seen, count))


def count_paid(here: Here, run_id: UUID) -> int:
    with here.engine.connect() as connection:
        paid = select(func.count()).where(Payout.run_id == run_id, Payout.status == PayoutStatus.PAID)
        return int(connection.execute(paid).scalar_one())


def wait_for_news(here: Here) -> None:
    """Until the instalments know it, too."""
    waiting = select(func.count()).where(Instalment.status == InstalmentStatus.IN_PAYOUT)
    with here.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        while connection.execute(waiting).scalar_one():
            time.sleep(0.5)


def growth(seen: Sequence[tuple[int, Sequence[int]]], count: int) -> list[float]:
    """Each worker's memory over the last quarter of the payouts, as a multiple of what it was over the first."""
    first = [memory for paid, memory in seen if 0 < paid <= count / 4] or [seen[0][1]]
    last = [memory for paid, memory in seen if paid >= count * 3 / 4]
    return [median(late) / median(early) for early, late in zip(zip(*first, strict=True), zip(*last, strict=True), strict=True)]


@contextmanager
def worker(here: Here) -> Iterator[psutil.Process]:
    """One worker process, as an operator starts it."""
    command = [sys.executable, "-m", "app", "worker", "--threads", "1"]
    process = subprocess.Popen(command, cwd=ROOT, env=here.environment, stderr=subprocess.DEVNULL)
    try:
        found = psutil.Process(process.pid)
        while not found.net_connections("all"):  # until it has imported everything and asks the database for tasks
            assert process.poll() is None, "the worker did not start"
            time.sleep(0.2)
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def agree(here: Here, count: int) -> None:
    """Each obligation is paid once, each instalment knows it, and the ledger says what the rail says, to the cent."""
    paid = [each for each in requests.get(here.rail, timeout=30).json()["paid"] if not each["reference"].startswith("bare-")]
    with Session(here.engine) as session:
        settled = session.scalars(select(Payout).where(Payout.status == PayoutStatus.PAID)).all()
        known = {payout.attempts[0].idem_key: payout.amount_minor for payout in settled}
        assert len({payout.obligation for payout in settled}) == len(paid) == len(known) == count
        assert {each["reference"]: each["amount_minor"] for each in paid} == known
        moved = -ledger.balance(session, "assets:bank:usd").credits_posted
        assert moved == -sum(each["amount_minor"] for each in paid)
        assert ledger.balance(session, "assets:bank:usd").credits_pending == 0
        unpaid = session.scalar(select(func.count()).where(Instalment.status != InstalmentStatus.PAID))
        assert (unpaid, session.scalar(select(func.count()).select_from(Alarm))) == (0, 0)
        assert session.execute(text("SELECT count(*) FROM ledger_recomputed")).scalar_one() > 0


# The peer


def seconds_of_bare_calls(rail: str, count: int) -> float:
    """As many calls of the same size, and nothing around them."""
    context = get_context("spawn")
    gate, spans = context.Barrier(WORKERS), context.Queue()
    share = -(-count // WORKERS)
    callers = [context.Process(target=call, args=(rail, number, share, gate, spans)) for number in range(WORKERS)]
    for each in callers:
        each.start()
    times: list[tuple[float, float]] = [spans.get() for _ in callers]
    for each in callers:
        each.join()
    return max(end for _, end in times) - min(start for start, _ in times)


def call(rail: str, caller: int, count: int, gate: Barrier, spans: "Queue[tuple[float, float]]") -> None:
    http = requests.Session()
    http.trust_env = False
    gate.wait()
    start = time.time()
    for number in range(count):
        reference = f"bare-{caller}-{number}-{start}"
        body = {"reference": reference, "amount_minor": 1_000, "currency": "USD", "recipient": "Recipient 1", "country": "DE",
                "destination": {"account": "acct_1"}, "memo": "Benchmark, Recipient 1, Month 1"}  # fmt: skip
        http.post(f"{rail}/keyed/transfers", json=body, headers={"Idempotency-Key": reference}, timeout=10).json()
    spans.put((start, time.time()))


if __name__ == "__main__":
    main()
