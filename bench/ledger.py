"""The ledger: one transfer per commit, batches, balances over a million transfers; beside peers in the same run.

python -m bench.ledger [--transfers N]

A PostgreSQL of its own in a temporary folder, durable as installed: fsync and synchronous_commit on. Peers: a bare INSERT
and COMMIT of a row of the same width on the same server, through the same kind of session and, for comparison, through the
driver alone; django-hordak on the same server, installed into a temporary environment; hledger on the ledger's own export. All
our figures go through the public functions of core.ledger.
"""

import argparse
import gc
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import Queue, get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psycopg
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.orm import Session

from bench._report import Line, Runs, repeat, report
from core import ledger
from core.db import new_id
from core.db.embedded import EmbeddedServer
from core.db.migrate import upgrade
from core.ledger import Guard, Leg, NewEntry, Side
from core.ledger.export import Format, export, snapshot

AT = datetime(2026, 11, 22, tzinfo=UTC)
RUNS = 5
SINGLE_SECONDS = 3.0
ACCOUNTS = 1_000
BATCH = 10_000
BATCHED_TRANSFERS = 200_000
WRITERS = 2
INSERT = "INSERT INTO bare VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
HORDAK = "django-hordak==2.0.0"
HORDAK_SCRIPT = Path(__file__).with_name("_hordak.py")


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__.partition("\n")[0])
    parser.add_argument("--transfers", type=int, default=1_000_000, help="transfers for the balances (default 1,000,000)")
    arguments, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="pw-bench-", ignore_cleanup_errors=True) as folder, server(Path(folder)) as engine:
        durability = {name: setting(engine, name) for name in ("fsync", "synchronous_commit", "wal_sync_method")}
        lines = [
            *singles(engine, Path(folder)),
            *batches(engine),
            *balances(engine, arguments.transfers, Path(folder)),
        ]
    facts = ", ".join(f"{name} {value}" for name, value in durability.items())
    report(f"Ledger on PostgreSQL ({facts}), {RUNS} runs each", lines)


@contextmanager
def server(folder: Path) -> Iterator[Engine]:
    """A durable PostgreSQL with a migrated database and open accounts."""
    embedded = EmbeddedServer.attach(folder / "data")
    engine = create_engine(embedded.url)
    try:
        upgrade(engine)
        with Session(engine) as session:
            open_accounts(session)
            session.commit()
        yield engine
    finally:
        engine.dispose()
        EmbeddedServer.detach_all()


def setting(engine: Engine, name: str) -> str:
    with engine.connect() as connection:
        return str(connection.execute(text(f"SHOW {name}")).scalar_one())


def open_accounts(session: Session) -> None:
    """A bank and many guarded funds, each with enough to move."""
    ledger.ensure_account(session, "assets:bank:usd", "USD", normal=Side.DEBIT, guard=Guard.DEBIT)
    for i in range(ACCOUNTS):
        ledger.ensure_account(session, fund(i), "USD", normal=Side.CREDIT, guard=Guard.CREDIT)
    legs = [Leg("assets:bank:usd", fund(i), 10**12) for i in range(ACCOUNTS)]
    ledger.post(session, key="first", kind="pay-in", legs=legs, at=AT)


def fund(i: int) -> str:
    return f"liabilities:fund:f{i}:usd"


def random_leg(rng: random.Random) -> Leg:
    debit, credit = rng.sample(range(ACCOUNTS), 2)
    return Leg(fund(debit), fund(credit), rng.randint(1, 10_000))


# One transfer per commit


def singles(engine: Engine, folder: Path) -> Iterator[Line]:
    """Ours and the bare INSERTs take turns, so that a busy moment of the machine hits all of them."""
    rng = random.Random(1)
    with psycopg.connect(plain_url(engine)) as connection, Session(engine) as session:
        connection.execute(
            "CREATE TABLE bare (id uuid PRIMARY KEY, key text, debit_id bigint, credit_id bigint, commodity text,"
            " amount bigint, memo text, at timestamptz)"
        )
        connection.commit()

        def row() -> tuple[object, ...]:
            return new_id(), f"single:{rng.random()}", 1, 2, "USD", 100, "one transfer", AT

        def bare() -> None:
            session.connection().exec_driver_sql(INSERT, row())
            session.commit()

        def driver_alone() -> None:
            connection.execute(INSERT, row())
            connection.commit()

        def ours() -> None:
            key = f"single:{rng.random()}"
            ledger.post(session, key=key, kind="move", legs=[random_leg(rng)], at=AT, memo="one transfer")
            session.commit()

        takes_turns: dict[Callable[[], None], list[float]] = {act: [] for act in (bare, ours, driver_alone)}
        for _ in range(RUNS):
            for act, rates in takes_turns.items():
                rates.append(rate(act, SINGLE_SECONDS))
    single = Runs("one transfer per commit", takes_turns[ours])
    peer = Runs("bare INSERT + COMMIT, same session", takes_turns[bare])
    yield Line(single, "transfers/s", peer, reach=0.5, reach_is_ratio=True)
    yield Line(single, "transfers/s", Runs("bare INSERT + COMMIT, driver alone", takes_turns[driver_alone]))
    hordak = measure_hordak(engine, folder)
    if hordak is not None:
        yield Line(single, "transfers/s", Runs("django-hordak transfer_to", hordak["transfers_per_second"]))
        with Session(engine) as session:
            codes = [fund(i) for i in range(200)]
            ours_200 = repeat(
                "200 balances, one by one", RUNS, lambda: seconds(lambda: [ledger.balance(session, c) for c in codes])
            )
        yield Line(ours_200, "s", Runs("django-hordak get_balance", hordak["balances_seconds"]))


def rate(act: Callable[[], None], duration: float) -> float:
    for _ in range(20):
        act()  # plans and caches
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < duration:
        act()
        done += 1
    return done / elapsed


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def plain_url(engine: Engine) -> str:
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def measure_hordak(engine: Engine, folder: Path) -> dict[str, list[float]] | None:
    """django-hordak in an environment of its own, on a database of its own on the same server."""
    environment = folder / "hordak"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", HORDAK, "psycopg[binary]"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if installed.returncode != 0:
        print(f"django-hordak is left out: {HORDAK} can't be installed ({installed.stderr.strip().splitlines()[-1]})")
        return None
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("CREATE DATABASE hordak"))
    url = make_url(plain_url(engine)).set(database="hordak")
    facts = {"host": url.query.get("host", url.host), "port": url.port, "user": url.username, "password": url.password}
    given = json.dumps({**facts, "name": "hordak", "runs": RUNS, "seconds": SINGLE_SECONDS})
    done = subprocess.run([python, HORDAK_SCRIPT, given], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"django-hordak is left out: it failed ({done.stderr.strip().splitlines()[-1]})")
        return None
    result: dict[str, list[float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


# Batches


def batches(engine: Engine) -> Iterator[Line]:
    """Entries of one transfer each, every one with its own key, committed by the thousand; from one writer and from two."""
    for writers in (WRITERS, 1):
        name = f"batches of {BATCH:,}, {writers} writer{'s' if writers > 1 else ''}"
        figures = [batched(engine, writers, f"{name}:{run}") for run in range(RUNS)]
        yield Line(Runs(name, figures), "transfers/s", reach=40_000 if writers == WRITERS else None)


def batched(engine: Engine, writers: int, label: str, transfers: int = BATCHED_TRANSFERS) -> float:
    """Transfers a second by several processes at once, each with a connection and with its entries made beforehand."""
    context = get_context("spawn")
    gate, spans = context.Barrier(writers), context.Queue()
    url = engine.url.render_as_string(hide_password=False)
    share = -(-transfers // writers)
    processes = [context.Process(target=write, args=(url, f"{label}:{i}", share, gate, spans)) for i in range(writers)]
    for process in processes:
        process.start()
    times: list[tuple[float, float]] = [spans.get() for _ in processes]
    for process in processes:
        process.join()
    return share * writers / (max(end for _, end in times) - min(start for start, _ in times))


def write(url: str, label: str, count: int, gate: Barrier, spans: "Queue[tuple[float, float]]") -> None:
    """One writer: post and commit batch by batch; report when the first began and the last was durable."""
    rng = random.Random(label)
    entries = [NewEntry(f"{label}:{n}", "usage", [random_leg(rng)], AT) for n in range(count)]
    with Session(create_engine(url)) as session:
        ledger.balance(session, fund(0))
        session.commit()
        gc.freeze()  # the prepared entries are the bench's, not the ledger's: don't have them searched for garbage meanwhile
        gate.wait()
        start = time.time()
        for first in range(0, count, BATCH):
            ledger.post_many(session, entries[first : first + BATCH])
            session.commit()
        spans.put((start, time.time()))


# Balances


def balances(engine: Engine, transfers: int, folder: Path) -> Iterator[Line]:
    """Kept and recomputed, over a ledger that is filled up; hledger on the export of what lies in it at first."""
    yield from beside_hledger(engine, folder)
    batched(engine, WRITERS, "fill", max(WRITERS, transfers - count(engine)))
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM (ANALYZE) ledger_transfer, ledger_account, ledger_entry"))
    total = count(engine)
    yield Line(repeat(f"{ACCOUNTS + 1:,} kept balances, {total:,} transfers", 5, lambda: kept(engine)), "s", reach=0.005)
    yield Line(repeat(f"all balances recomputed, {total:,} transfers", 5, lambda: recomputed(engine)), "s", reach=0.4)


def kept(engine: Engine) -> float:
    with Session(engine) as session:
        session.execute(text("SELECT 1"))
        return seconds(lambda: ledger.balances(session))


def recomputed(engine: Engine) -> float:
    with Session(engine) as session:
        session.execute(text("SELECT 1"))
        return seconds(lambda: session.execute(text("SELECT * FROM ledger_recomputed")).all())


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM ledger_transfer")).scalar_one())


def beside_hledger(engine: Engine, folder: Path) -> Sequence[Line]:
    tool = shutil.which("hledger")
    if tool is None:
        print("hledger is left out: it is not installed (apt-get install hledger)")
        return []
    journal = folder / "ledger.journal"
    with snapshot(engine) as session, journal.open("w", encoding="utf-8") as out:
        out.writelines(export(session, Format.HLEDGER, now=AT))
    command = [tool, "-f", str(journal), "balance", "-N"]
    theirs = Runs("hledger balance", [seconds(lambda: subprocess.run(command, check=True, capture_output=True))])
    ours = repeat(f"all balances recomputed, {count(engine):,} transfers", RUNS, lambda: recomputed(engine))
    return [Line(ours, "s", theirs)]


if __name__ == "__main__":
    main()
