"""The compiled core: the same answers as the slow reference, and never a translation of another source."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compute import compiled, compiling

HERE = Path(__file__).parent
HELD_AGAINST = (
    f"{HERE / 'test_scheduling_properties.py'}::test_the_plan_is_that_of_the_slow_reference[seeds 0-249]",
    f"{HERE / 'test_scheduling_core.py'}::test_both_start_the_same_jobs_under_all_rules",
    f"{HERE / 'test_scheduling_core.py'}::test_both_start_the_same_jobs_where_quotas_are_lent_and_asked_back",
    f"{HERE / 'test_scheduling_groups.py'}",
    f"{HERE / 'test_scheduling_scenarios.py'}",
)
RUN = """
import sys, pytest
from compute import compiled
import compute.scheduling.core, compute.scheduling.turns
print("in use:", compiled.in_use(), "core:", compute.scheduling.core.__file__, compute.scheduling.turns.__file__)
sys.exit(pytest.main(sys.argv[1:]) if len(sys.argv) > 1 else 0)
"""


def _run(*arguments: str, setting: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=compiled.ROOT,
        env={**os.environ, "PLEDGEWORKS_COMPILED": setting},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def translation() -> Path:
    missing = compiling.what_is_missing()
    if missing:
        pytest.skip(f"The scheduler can't be compiled here: {missing}")
    return compiling.build()


def test_the_compiled_core_decides_as_the_slow_reference_does(translation: Path) -> None:
    said = _run("-q", "-p", "no:cacheprovider", *HELD_AGAINST)

    assert f"in use: True core: {translation}" in said
    assert "passed" in said
    assert "skipped" not in said


def test_a_setting_forbids_it(translation: Path) -> None:
    assert f"in use: False core: {compiled.SOURCE / 'core.py'}" in _run(setting="no")


def test_a_translation_of_another_source_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("core.py", "model.py"):
        (tmp_path / name).write_text("", encoding="utf-8")
    monkeypatch.setattr(compiled, "SOURCE", tmp_path)
    compiled.place.cache_clear()
    before = compiled.place()
    compiled.place.cache_clear()
    assert compiled.place() == before, "the same source has the same name"

    (tmp_path / "model.py").write_text("# not compiled, but what is compiled relies on it\n", encoding="utf-8")
    compiled.place.cache_clear()
    assert compiled.place() != before
    compiled.place.cache_clear()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    assert "there is no C compiler" in compiling.what_is_missing()
