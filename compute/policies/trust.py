"""Which pools may run a job, by where its code comes from.

A pool that takes reviewed code only runs what a maintainer of the project submits in person, and programs of commits on a
reviewed branch of the project's own repository. That a commit is on the branch is the submitter's claim: it lets the job be
handed to the pool, and the executor proves it there before anything runs (compute/executors/checkout.py). A command in words of
the submitter's own, or a variable that a shell obeys, would be code that nobody reviewed, whatever the commit.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from compute.models import Origin, Trust
from compute.policies.offers import ref_matches

IN_PERSON = frozenset({Origin.PLATFORM, Origin.MAINTAINER})
"""Whoever submitted it answers for the code."""


def same_repository(one: str | None, other: str | None) -> bool:
    """Whether two addresses are of one repository. None is of none."""
    return bool(one and other) and _address(one or "") == _address(other or "")


_OWN_PROGRAM = re.compile(r"\./[\w.+-]+(/[\w.+-]+)*( [\w./=:,@+-]+)*", re.ASCII)


def runs_own_program(command: str) -> bool:
    """Whether a command is one program of the checkout with plain words behind it: `./ci/gpu-tests.sh --fast`."""
    return _OWN_PROGRAM.fullmatch(command) is not None and ".." not in command.partition(" ")[0].split("/")


def admits(trust: Trust, reviewed_refs: Iterable[str], origin: Origin, ref: str | None) -> bool:
    """Whether a pool of this class takes a job; where `must_prove`, what the job says of its branch has to be proven yet."""
    if trust is Trust.OPEN or origin in IN_PERSON:
        return True
    return origin is Origin.REPOSITORY and any(ref_matches(ref, pattern) for pattern in reviewed_refs)


def must_prove(trust: Trust, origin: Origin) -> bool:
    """Whether an admitted job rests on its branch."""
    return trust is not Trust.OPEN and origin not in IN_PERSON


def _address(url: str) -> tuple[str, str, str]:
    """One repository, with and without `.git` at its end."""
    parts = urlsplit(url.strip())
    return parts.netloc.lower(), parts.path.strip("/").removesuffix(".git"), f"{parts.query}#{parts.fragment}"
