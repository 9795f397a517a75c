"""Fixtures of the browser journeys: `site` and `page`. `CHROMIUM` names another browser binary than Debian's."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import Site
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

# Chromium would otherwise look for updates, proxies and a GPU that test machines don't have.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--font-render-hinting=none"]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser that stops answering must end its journey with a stack trace, not the whole run with silence."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.timeout(240))
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the run."""
    binary = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not Path(binary).exists():
        reason = f"no browser at {binary}: install Debian's package `chromium`, or name another with CHROMIUM"
        if os.environ.get("PLEDGEWORKS_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=binary, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def site(fresh_database: str, tmp_path: Path) -> Iterator[Site]:
    """The application over a fresh, migrated, empty database."""
    made = Site(fresh_database, tmp_path / "data", tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser nobody used before. Errors of its console are kept for `Site.check`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US", reduced_motion="reduce")
    made = context.new_page()
    errors: list[str] = []

    def keep(message: ConsoleMessage) -> None:
        # A refused form is a 4xx, which Chromium calls an error of the console.
        if message.type == "error" and "Failed to load resource" not in message.text:
            errors.append(message.text)

    made.on("console", keep)
    made.on("pageerror", lambda error: errors.append(str(error)))
    made.console_errors = errors  # type: ignore[attr-defined]
    yield made
    context.close()
