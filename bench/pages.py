"""A signed-in project page under load, beside a bare Flask page on the same two cores.

python -m bench.pages

Starts the platform's web server (gunicorn, two workers of three threads) on a fresh database with the demo data, signs in,
and asks for one project's page with wrk (8 connections, 5 s a run). The peer is a Flask page that renders the smallest
template, under the same gunicorn, in the same run. wrk itself runs on the same cores, as everything does on a small machine.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import requests

from core.config import ROOT

PROJECT_PAGE = "/projects/vllm"
REACH = 400
RUNS, SECONDS, CONNECTIONS = 5, 5, 8
BARE = """
from flask import Flask, render_template

app = Flask(__name__, template_folder=".")

@app.get("/")
def page():
    return render_template("bare.html", name="project")
"""


def main() -> None:
    """Measure and print the table."""
    if shutil.which("wrk") is None:
        print("bench/pages needs wrk: apt-get install wrk", file=sys.stderr)
        raise SystemExit(3)
    with tempfile.TemporaryDirectory(prefix="pw-bench-", ignore_cleanup_errors=True) as folder:
        bare, ours = [], []
        with bare_flask(Path(folder)) as peer, platform(Path(folder) / "data") as address:
            cookies = sign_in(address)
            for _ in range(RUNS):  # in turn, so that a slow moment of the machine hits both
                bare.append(measure(peer, {}))
                ours.append(measure(address + PROJECT_PAGE, cookies))
    print(f"\nPages: requests/s, {CONNECTIONS} connections, {RUNS} runs of {SECONDS} s on {os.cpu_count()} cores")
    print(f"{'page':<34}{'median':>9}{'min':>9}{'max':>9}{'ratio':>9}")
    for name, runs in (("bare Flask page (peer)", bare), (f"{PROJECT_PAGE}, signed in", ours)):
        print(f"{name:<34}{median(runs):>9.0f}{min(runs):>9.0f}{max(runs):>9.0f}{median(runs) / median(bare):>9.2f}")
    print(f"reach {REACH}: {'yes' if median(ours) >= REACH else 'no'}")


@contextmanager
def bare_flask(folder: Path) -> Iterator[str]:
    """The peer: one route, one template, nothing else."""
    (folder / "bare.py").write_text(BARE)
    (folder / "bare.html").write_text("<!doctype html><title>{{ name }}</title><h1>{{ name }}</h1>")
    with gunicorn("bare:app", folder, os.environ.copy(), "/") as address:
        yield address + "/"


@contextmanager
def platform(data: Path) -> Iterator[str]:
    """The platform with the demo, web only."""
    environment = {**os.environ, "PLEDGEWORKS_DATA": str(data), "PYTHONPATH": str(ROOT)}
    environment.pop("DATABASE_URL", None)
    for arguments in (["db", "upgrade"], ["demo", "load"]):
        subprocess.run(
            [sys.executable, "-m", "app", *arguments], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL
        )
    with gunicorn("app:create_app()", ROOT, environment, "/healthz") as address:
        yield address


@contextmanager
def gunicorn(application: str, folder: Path, environment: dict[str, str], probe: str) -> Iterator[str]:
    """Two gunicorn workers of three threads, as `pledgeworks up` starts them, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{port}", "--workers", "2"]
    command += ["--worker-class", "gthread", "--threads", "3", "--log-level", "warning"]
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                if requests.get(address + probe, timeout=2).ok:
                    break
            except (requests.ConnectionError, requests.Timeout):  # not listening yet, or still importing
                time.sleep(0.1)
        else:
            raise SystemExit(f"{application} did not answer")
        yield address
    finally:
        server.terminate()
        server.wait()


def sign_in(address: str) -> dict[str, str]:
    """Sign in through the form as the demo's maintainer and return the cookies."""
    from core.identity.demo import PASSWORD, SIGN_INS  # the demo's, so that the figures are of a real person's page
    from core.web.public_pages import CHANGED

    browser = requests.Session()
    form = browser.get(f"{address}/sign-in", timeout=10).text
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
    assert token, "the sign-in page has no CSRF token"
    answer = browser.post(
        f"{address}/sign-in",
        data={"csrf_token": token[1], "email": SIGN_INS[0].email, "password": PASSWORD},
        timeout=10,
        allow_redirects=False,
    )
    assert answer.status_code == 303, answer.status_code
    assert "Sign out" in browser.get(address + PROJECT_PAGE, timeout=10).text
    browser.cookies.pop(CHANGED)  # a browser forgets it after some seconds: it asks for pages that show one's own last change
    return browser.cookies.get_dict()


def measure(address: str, cookies: dict[str, str]) -> float:
    """Requests/s as wrk counts them; any answer that is not a success ends the benchmark."""
    command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{SECONDS}s", address]
    if cookies:
        command += ["-H", "Cookie: " + "; ".join(f"{name}={value}" for name, value in cookies.items())]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in output, output
    found = re.search(r"Requests/sec:\s*([\d.]+)", output)
    assert found, output
    return float(found[1])


if __name__ == "__main__":
    main()
