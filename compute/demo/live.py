"""The live demo job: the platform's own unit tests, which really run here."""

import shutil
import subprocess
import sys

from compute.models import JobKind, SourceKind
from compute.services.new_jobs import NewJob
from core.config import ROOT


def live_job() -> NewJob:
    """The platform's own unit tests, on the commit of this folder if it is a Git repository, else in the folder itself.

    Tools the running platform does not need (pytest, hypothesis) are installed into the job's own folder.
    """
    python = sys.executable
    commit = _head()
    prepare = (
        f'"{python}" -c "import pytest, hypothesis" 2>/dev/null || '
        "{ grep -E '^(pytest|hypothesis|pytest-timeout)==' requirements-dev.txt > .job-requirements.txt && "
        f'"{python}" -m pip install --quiet --disable-pip-version-check --target .job-packages -r .job-requirements.txt; }}'
    )
    test = f'PYTHONPATH="$PWD/.job-packages" "{python}" -m pytest tests/unit -p no:cacheprovider --junitxml='
    if commit is not None:
        command = f"set -e\n{prepare}\n{test}report.xml"
    else:
        command = f'set -e\nwork="$PWD"\ncp -r "{ROOT}/." source\ncd source\n{prepare}\n{test}"$work/report.xml"'
    return NewJob(
        name="Pledgeworks unit tests",
        kind=JobKind.CI,
        source=SourceKind.REPOSITORY if commit else SourceKind.COMMAND,
        command=command,
        flavor="cpu",
        gpus=1,
        wall_seconds=30 * 60,
        repository=str(ROOT) if commit else None,
        commit=commit,
        artefacts=("report.xml",),
        memory_bytes=2 * 2**30,
        is_demo=True,
    )


def _head() -> str | None:
    """The commit this folder stands on; none if the repository isn't in it."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").is_dir():  # in a linked worktree it is a file, whose repository is another folder's
        return None
    found = subprocess.run(  # noqa: S603 - a fixed command on our own folder
        [git, "-C", str(ROOT), "rev-parse", "--verify", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() if found.returncode == 0 else None
