"""What browser journeys share: the real application on a free port over a database of its own.

    from journey import Site

    def test_a_journey(site: Site, page: Page) -> None:
        site.add_person("ines@example.org", "Ines Approver", Role.PAYOUT_APPROVER)
        site.start_worker()                                    # only where the journey needs background work
        site.sign_in(page, "ines@example.org")
        page.goto(site.url + "/payouts")
        site.check(page, "payouts")                            # pictures at 360 and 1280 px, axe, no sideways scrolling

Pictures go to test-results/.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.identity import memberships, people
from core.identity.memberships import PLATFORM, Scope
from core.identity.models import Person, Role

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "test-results"
AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
PASSWORD = "correct horse battery"
WIDTHS = (360, 1280)
START_SECONDS = 40
PROGRAM = """\
import sys
from app import main
main(sys.argv[1:])
"""


class Site:
    """A running installation."""

    def __init__(self, database: str, data: Path, log: Path) -> None:
        self._log = log
        self._port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.engine = create_engine(database)
        self._environment = {
            **os.environ,
            "DATABASE_URL": database,
            "PLEDGEWORKS_DATA": str(data),
            "PORT": str(self._port),
            "PLEDGEWORKS_BASE_URL": self.url,
            "PYTHONPATH": str(ROOT),
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the web server and wait until it answers."""
        arguments = ["-m", "gunicorn", "app:create_app()", "--bind", f"127.0.0.1:{self._port}"]
        arguments += ["--workers", "1", "--worker-class", "gthread", "--threads", "4", "--log-level", "warning"]
        self._run(arguments, "web")
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, f"the web server did not answer; its log is {self._log}"
            assert self._processes[0].poll() is None, f"the web server ended; its log is {self._log}\n{self._tail('web')}"
            time.sleep(0.1)

    def start_worker(self) -> None:
        """Start a worker, for journeys with background work."""
        self._run(["-c", PROGRAM, "worker"], "worker")

    def command(self, *arguments: str, text: str | None = None) -> str:
        """Run `pledgeworks …` beside the site and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=ROOT, env=self._environment, input=text, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"pledgeworks {' '.join(arguments)} → {done.returncode}\n{done.stderr}"
        return done.stdout

    def stop(self) -> None:
        """End what was started here."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.engine.dispose()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A unit of work on the site's database, to arrange what a journey starts from."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def add_person(self, email: str, name: str, *roles: Role, admin: bool = False, scope: Scope = PLATFORM) -> Person:
        """Somebody with the password PASSWORD and these roles."""
        with self.session() as session:
            person = people.by_email(session, email) or people.create(
                session, email=email, name=name, password=PASSWORD, is_admin=admin, actor=None, now=utc_now()
            )
            for role in roles:
                memberships.give(session, person, role, scope, actor=None, now=utc_now())
            return person

    def sign_in(self, page: Page, email: str, password: str = PASSWORD) -> None:
        """Sign in as a person would; somebody else who is signed in is signed out."""
        page.context.clear_cookies()
        page.goto(f"{self.url}/sign-in")
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password").fill(password)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/sign-in" not in url)

    def confirm(self, page: Page, password: str = PASSWORD) -> None:
        """Answer “Confirm that it is you”, if the site asks."""
        if page.get_by_role("heading", level=1, name="Confirm that it is you").count():
            page.get_by_label("Your password").fill(password)
            page.get_by_role("button", name="Confirm and continue").click()

    def check(self, page: Page, name: str) -> None:
        """Take the page's picture at both widths; refuse sideways scrolling, console errors and any violation axe finds."""
        assert page.evaluate("document.contentType") == "text/html", f"{name} is no page"  # axe waits for ever in other documents
        RESULTS.mkdir(exist_ok=True)
        size = page.viewport_size
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_load_state("networkidle")
            page.screenshot(path=RESULTS / f"{name}-{width}.png", full_page=True)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{name} scrolls sideways by {wide} px at {width} px"
            violations = axe(page)
            assert not violations, f"{name} at {width} px:\n" + "\n".join(violations)
        if size:
            page.set_viewport_size(size)
        errors: list[str] = getattr(page, "console_errors", [])
        assert not errors, f"{name}: the console says {errors}"

    def _run(self, arguments: list[str], name: str) -> None:
        with (self._log / f"{name}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=self._environment, stdout=log, stderr=log)
            )

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def _tail(self, name: str) -> str:
        return (self._log / f"{name}.log").read_text(errors="replace")[-3000:]


def axe(page: Page) -> list[str]:
    """What axe-core finds on the page as it is, one line per element."""
    page.evaluate(AXE.read_text())  # through the debugger's door: the page's CSP stays as it is
    found: Any = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]} {json.dumps(node['any'][:1])[:300]}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
