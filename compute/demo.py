"""The demo's compute: public donors and projects, fictional hours, and one live job that really runs here.

Who gives GPUs to vLLM is public; how many hours is not, so every amount below is a *demo hour*. The past months are played
through the same services as real ones, so that the ledger, the statements and the fair order have something to show. Past
demo jobs never ran, and say so in their log.
"""

import heapq
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from compute import demo_rules, runtime, scheduling
from compute.executors.base import AttemptState, AttemptStatus
from compute.models import ComputeGrant, Flavor, JobAttempt, JobKind, OfferKind, Pool, SourceKind
from compute.policies import OfferPolicy
from compute.queries import snapshot
from compute.services import attempts, catalogue, compute_grants, lifecycle, offers, results, starts, submit
from compute.services.offers import NewOffer
from compute.services.submit import NewJob
from core import files
from core.config import ROOT
from core.db import new_id
from core.identity.models import Membership, Organisation, OrganisationRole, OrganisationRoleRow, Person, Project, Role
from core.tasks import TaskRow
from core.units import TICKS_PER_GPU_HOUR

VLLM_BLOG = "vLLM blog, 16 July 2026: AWS, Crusoe, Lambda, Nebius, NVIDIA, Roblox and RunPod give machines"
FOUNDATION = "PyTorch Foundation, 7 May 2025: vLLM and DeepSpeed are its first hosted projects"
DEMO_HOURS = "The donor is public, the hours are demo hours."
DEMO_RATE = "Demo figure, not a measurement; an administrator replaces it by a dated decision."
HISTORY = timedelta(days=50)
LOG_LINE = b"This is a demo job. It did not run: its hours are demo hours, there to show what a statement looks like.\n"


@dataclass(frozen=True)
class Work:
    """A kind of past demo job."""

    project: str
    name: str
    command: str
    kind: JobKind
    flavor: str
    gpus: int
    wall_minutes: int
    alternatives: tuple[str, ...] = ()


PAST_WORK = (
    Work("vllm", "kernels", "pytest tests/kernels", JobKind.CI, "h100", 1, 240),
    Work("vllm", "distributed, 2 GPUs", "pytest tests/distributed", JobKind.CI, "h100", 2, 180),
    Work("vllm", "distributed, 4 GPUs", "pytest tests/distributed", JobKind.CI, "h100", 4, 120),
    Work("vllm", "serving latency, nightly", "vllm bench serve --num-prompts 1000", JobKind.BENCHMARK, "h100", 2, 300),
    Work("vllm", "entry points", "pytest tests/entrypoints", JobKind.CI, "h200-7th", 1, 120),
    Work("deepspeed", "unit tests, world size 2", "pytest tests/unit -m 'not sequential'", JobKind.CI, "h100", 2, 60),
    Work("deepspeed", "unit tests, world size 4", "pytest tests/unit -m 'not sequential'", JobKind.CI, "h100", 4, 60),
)


ON_EITHER = (
    Work("vllm", "distributed, 4 GPUs", "pytest tests/distributed", JobKind.CI, "h100", 4, 120),
    Work("vllm", "quantization, on either", "pytest tests/quantization", JobKind.CI, "h100", 1, 60, alternatives=("h200-7th",)),
)
"""The second prefers what the first has taken, and starts on the other."""


def load(session: Session, *, now: datetime, people: Mapping[str, Person]) -> None:
    """Load the demo once; on a database that has it, nothing changes. Opens the live job as well."""
    if session.scalars(select(Pool).where(Pool.is_demo)).first() is not None:
        return
    start = now - HISTORY
    admin, officer = people["admin"], people["officer"]
    flavors, pools = _hardware(session, admin, start)
    foundation = _organisation(session, "pytorch-foundation", "PyTorch Foundation", OrganisationRole.FOUNDATION, start)
    vllm = _project(session, "vllm", "vLLM", "https://github.com/vllm-project/vllm", foundation, start)
    deepspeed = _project(session, "deepspeed", "DeepSpeed", "https://github.com/deepspeedai/DeepSpeed", foundation, start)
    own = _project(session, "pledgeworks", "Pledgeworks", None, None, start)
    own.summary = own.summary or "This platform. Its live demo job runs its own unit tests."
    for project in (vllm, deepspeed, own):
        _submitter(session, project, people["ci"], start)
    _offers(session, now, flavors, pools, vllm=vllm, foundation=foundation, donor_person=people["donor"])
    lifecycle.pass_offers(session, now=start)
    for project, hours, lasts, purpose in (
        (vllm, 300, timedelta(days=140), "CI and the nightly benchmark suite on GPUs"),
        (deepspeed, 75, timedelta(days=63), "Multi-GPU unit tests"),
        (own, 20, timedelta(days=365), "Its own tests, as a live demo"),
    ):
        _grant(session, project, hours, start, lasts, purpose, requested_by=people["maintainer"], officer=officer)
    _History(session, {"vllm": vllm, "deepspeed": deepspeed}).play(start, now)
    lifecycle.pass_offers(session, now=now)
    lifecycle.pass_grants(session, now=now)
    lifecycle.remind(session, now=now)
    asked = compute_grants.request(
        session,
        deepspeed,
        title="DeepSpeed nightly on H100",
        purpose="A nightly run of all world sizes: about 8 demo hours a night, 180 minutes on four GPUs.",
        ticks=240 * TICKS_PER_GPU_HOUR,
        starts_at=now,
        expires_at=now + timedelta(days=90),
        requested_by=people["maintainer"],
        now=now - timedelta(days=2),
        source=DEMO_HOURS,
        is_demo=True,
    )
    compute_grants.review(
        session,
        asked,
        note="Fits the pool at night; the first grant was used well.",
        reviewer=officer,
        now=now - timedelta(days=1),
    )
    demo_rules.load(session, pools, vllm=vllm, deepspeed=deepspeed, officer=officer, now=now)
    submit.submit(session, own, live_job(), submitter=people["ci"], now=now, local_roots=runtime.local_repositories())


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


def _hardware(session: Session, admin: Person, start: datetime) -> tuple[dict[str, Flavor], dict[str, Pool]]:
    """Flavors, their rates, and pools of declared slots on this machine; real GPUs get a pool of their own."""
    kinds = (
        ("h100", "NVIDIA H100", "NVIDIA", 1, 80, Fraction(1)),
        ("h200-7th", "NVIDIA H200, 1g.18gb slice", "NVIDIA", 7, 18, Fraction(7, 5)),
        ("cpu", "CPU slot", "This machine", 1, None, Fraction(1, 20)),
    )
    flavors = {}
    for slug, name, vendor, slices, memory, rate in kinds:
        flavors[slug] = _flavor(session, slug, name, vendor, slices, memory, rate, admin, start)
    runs = [SourceKind.COMMAND, SourceKind.REPOSITORY]
    found = runtime.detected_gpus()
    # Where real ones are found the executor counts them, not the slots a pool declares: the demo pool may promise no more.
    wanted = [("h100", "Demo H100 slots", found.get("h100", 4)), ("h200-7th", "Demo H200 slices", 7), ("cpu", "This machine", 2)]
    for flavor, devices in found.items():
        if flavor not in flavors:
            flavors[flavor] = _flavor(session, flavor, flavor.upper(), "NVIDIA", 1, None, Fraction(1), admin, start)
            wanted.append((flavor, f"GPUs of this machine ({flavor})", devices))
    pools = {
        slug: catalogue.add_pool(
            session,
            slug=f"demo-{slug}",
            name=name,
            flavor=flavors[slug],
            executor="local",
            devices=devices,
            runs=runs,
            author=admin,
            now=start,
            region="this machine",
            is_demo=True,
        )
        for slug, name, devices in wanted
    }
    return flavors, pools


def _flavor(
    session: Session,
    slug: str,
    name: str,
    vendor: str,
    slices: int,
    memory: int | None,
    rate: Fraction,
    admin: Person,
    start: datetime,
) -> Flavor:
    made = catalogue.add_flavor(
        session, slug=slug, name=name, vendor=vendor, slices_per_gpu=slices, memory_gb=memory, author=admin, now=start
    )
    catalogue.set_rate(session, made, rate, valid_from=start - timedelta(days=1), source=DEMO_RATE, author=admin, now=start)
    return made


def _offers(
    session: Session,
    now: datetime,
    flavors: Mapping[str, Flavor],
    pools: Mapping[str, Pool],
    *,
    vllm: Project,
    foundation: Organisation,
    donor_person: Person,
) -> None:
    start = now - HISTORY
    for_vllm = OfferPolicy(projects=frozenset({vllm.id}))
    hosted = OfferPolicy(hosts=frozenset({foundation.id}))
    nightly = OfferPolicy(projects=frozenset({vllm.id}), kinds=frozenset({JobKind.BENCHMARK}))
    credit, capacity, machine = OfferKind.CREDITS, OfferKind.CAPACITY, OfferKind.MACHINE
    donors = (
        ("aws", "AWS", "EC2 credits for vLLM CI", credit, "h100", 2, 62, 160, for_vllm, "us-east-1"),
        ("nvidia", "NVIDIA", "DGX time for hosted projects", capacity, "h100", 2, 120, 450, hosted, "us-west"),
        ("nebius", "Nebius", "H100 capacity for nightly benchmarks", capacity, "h100", 1, 90, 120, nightly, "eu-north1"),
        ("lambda", "Lambda", "H200 slices for vLLM", machine, "h200-7th", 7, 180, 80, for_vllm, "us-south-1"),
        ("pledgeworks-demo", "Pledgeworks demo", "CPU slots of this machine", machine, "cpu", 2, 400, 2000, OfferPolicy(), ""),
    )
    for slug, name, title, kind, flavor, devices, days, hours, policy, region in donors:
        donor = _organisation(session, slug, name, OrganisationRole.COMPUTE_DONOR, start)
        if slug == "aws":
            session.add(
                Membership(
                    id=new_id(),
                    person_id=donor_person.id,
                    organisation_id=donor.id,
                    role=Role.COMPUTE_DONOR,
                    from_on=start.date(),
                )
            )
            session.flush()
        made = offers.propose(
            session,
            donor,
            NewOffer(
                name=title,
                kind=kind,
                flavor=flavors[flavor],
                devices=devices,
                opens_at=start,
                closes_at=start + timedelta(days=days),
                given_ticks=hours * TICKS_PER_GPU_HOUR,
                region=region,
                policy=policy,
                source=f"{VLLM_BLOG}. {DEMO_HOURS}" if slug != "pledgeworks-demo" else "This machine.",
                is_demo=True,
            ),
            actor=donor_person if slug == "aws" else None,
            now=start,
        )
        offers.accept(session, made, pools[flavor], actor=None, now=start)


def _grant(
    session: Session,
    project: Project,
    hours: int,
    start: datetime,
    lasts: timedelta,
    purpose: str,
    *,
    requested_by: Person,
    officer: Person,
) -> ComputeGrant:
    grant = compute_grants.request(
        session,
        project,
        title=f"GPU time for {project.name}",
        purpose=purpose,
        ticks=hours * TICKS_PER_GPU_HOUR,
        starts_at=start,
        expires_at=start + lasts,
        requested_by=requested_by,
        now=start,
        source=DEMO_HOURS,
        is_demo=True,
    )
    compute_grants.review(session, grant, note="Clear need, known load.", reviewer=officer, now=start)
    return compute_grants.approve(session, grant, decided_by=officer, now=start)


class _History:
    """Plays past weeks: every job is submitted, scheduled, held, run and settled by the real services, at its own moment."""

    def __init__(self, session: Session, projects: Mapping[str, Project]) -> None:
        self._session = session
        self._projects = projects
        self._rng = random.Random(20261122)  # noqa: S311 - the same demo for everybody
        self._events: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._count = 0
        self._made: list[str] = []

    def play(self, start: datetime, now: datetime) -> None:
        """A job a day, none of which outlives the present."""
        day = start + timedelta(hours=20)
        while day < now - timedelta(days=1):
            for work in self._rng.sample(PAST_WORK, 1):
                self._at(day + timedelta(minutes=self._rng.randrange(240)), partial(self._submit, work))
            day += timedelta(days=1)
        for minutes, work in enumerate(ON_EITHER):
            self._at(now - timedelta(hours=6) + timedelta(minutes=minutes), partial(self._submit, work))
        while self._events:
            moment, _, act = heapq.heappop(self._events)
            act(moment)
        # What the history has done already must not be done again by a worker.
        self._session.execute(delete(TaskRow).where(TaskRow.arguments["attempt_id"].astext.in_(self._made)))

    def _at(self, moment: datetime, act: Callable[[datetime], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, act))

    def _submit(self, work: Work, moment: datetime) -> None:
        submit.submit(
            self._session,
            self._projects[work.project],
            NewJob(
                name=work.name,
                kind=work.kind,
                source=SourceKind.COMMAND,
                command=work.command,
                flavor=work.flavor,
                alternatives=work.alternatives,
                gpus=work.gpus,
                wall_seconds=work.wall_minutes * 60,
                is_demo=True,
            ),
            submitter=None,
            now=moment,
        )
        self._schedule(moment)

    def _schedule(self, moment: datetime) -> None:
        for start in scheduling.plan(snapshot.take(self._session, now=moment)).starts:
            attempt = starts.hold(self._session, start, now=moment)
            if attempt is not None:
                self._made.append(str(attempt.id))
                attempts.begin_launch(self._session, attempt.id, now=moment)
                lasted = timedelta(seconds=attempt.wall_seconds * self._rng.uniform(0.35, 0.95))
                self._at(moment + lasted, partial(self._finish, attempt, moment))

    def _finish(self, attempt: JobAttempt, began: datetime, ended: datetime) -> None:
        state, code, lost, reason = self._rng.choices(
            [
                (AttemptState.SUCCEEDED, 0, False, ""),
                (AttemptState.FAILED, 1, False, ""),
                (AttemptState.LOST, None, True, "The machine went away (demo)."),
            ],
            weights=[20, 4, 1],
        )[0]
        seen = AttemptStatus(attempt.id, state, began, ended, code, reason, len(LOG_LINE), infrastructure=lost)
        attempts.observe(self._session, attempt.id, seen, now=ended)
        files.write_object(results.output_key(attempt.id), LOG_LINE)
        attempt.collected_at = ended
        self._session.flush()
        self._schedule(ended)


def _organisation(session: Session, slug: str, name: str, role: OrganisationRole, at: datetime) -> Organisation:
    found = session.scalars(select(Organisation).where(Organisation.slug == slug)).first()
    if found is None:
        found = Organisation(id=new_id(), slug=slug, name=name, is_demo=True, created_at=at)
        session.add(found)
        session.flush()
    if role not in {row.role for row in found.roles}:
        session.add(OrganisationRoleRow(id=new_id(), organisation_id=found.id, role=role, from_on=at.date()))
        session.flush()
        session.refresh(found)
    return found


def _project(session: Session, slug: str, name: str, repository: str | None, host: Organisation | None, at: datetime) -> Project:
    found = session.scalars(select(Project).where(Project.slug == slug)).first()
    if found is None:
        found = Project(id=new_id(), slug=slug, name=name, repository_url=repository, is_demo=True, created_at=at)
        session.add(found)
    if host is not None and found.parent_id is None:
        found.parent_id = host.id
    session.flush()
    return found


def _submitter(session: Session, project: Project, person: Person, at: datetime) -> None:
    known = session.scalars(
        select(Membership).where(Membership.project_id == project.id, Membership.person_id == person.id)
    ).first()
    if known is None:
        session.add(
            Membership(id=new_id(), person_id=person.id, project_id=project.id, role=Role.COMPUTE_SUBMITTER, from_on=at.date())
        )
        session.flush()
