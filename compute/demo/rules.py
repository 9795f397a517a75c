"""What officers of the demo have set for its pools and projects."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta

from sqlalchemy.orm import Session

from compute.models import Pool, PriorityUse, Trust, WindowKind
from compute.models.offers import REVIEWED_REFS
from compute.scheduling import Limit
from compute.services import priorities, quotas, run_limits, trust, windows
from compute.services.priorities import NewClass
from compute.services.quotas import Quota, Terms
from compute.services.windows import NewWindow
from core.identity.models import Person, Project
from core.units import TICKS_PER_GPU_HOUR


def load(
    session: Session, pools: Mapping[str, Pool], *, vllm: Project, deepspeed: Project, officer: Person, now: datetime
) -> None:
    """Windows, limits, priorities, a pool that takes reviewed code only, and a quota group."""
    _windows(session, pools, vllm, officer, now)
    few = "Two at a time leave GPUs for short jobs of others."
    run_limits.set_limit(session, deepspeed, Limit(jobs=2), reason=few, actor=officer, now=now)
    loops = "So that a loop in somebody's script holds up nobody else."
    run_limits.set_limit(session, None, Limit(jobs=20), reason=loops, actor=officer, now=now)
    reason = "Slices share a GPU with other projects' jobs (demo)."
    trust.set_trust(
        session, pools["h200-7th"], Trust.REVIEWED, reviewed_refs=REVIEWED_REFS, reason=reason, actor=officer, now=now
    )
    for each in (
        NewClass("release", "Release", 10, PriorityUse.MAINTAINERS, needs_reason=True, month_ticks=40 * TICKS_PER_GPU_HOUR),
        NewClass("security", "Security fix", 50, PriorityUse.OFFICERS, needs_reason=True, month_ticks=None),
        NewClass("spare-time", "Spare time", -10, PriorityUse.EVERYBODY, needs_reason=False, month_ticks=None),
    ):
        priorities.set_class(session, each, actor=officer, now=now)
    _quotas(session, pools["h200-7th"], {vllm: Quota(3), deepspeed: Quota(2, lends=1, borrows=2)}, officer, now)


def _quotas(session: Session, pool: Pool, owned: Mapping[Project, Quota], officer: Person, now: datetime) -> None:
    """Two projects own slices, and two slices are nobody's."""
    why = "Both put money into these slices, and neither needs them all day."
    group = quotas.set_group(session, pool, Terms("H200 slices", 600, 4 * 3600), reason=why, actor=officer, now=now)
    for project, quota in owned.items():
        quotas.set_share(session, group, project, quota, reason="As much as it paid for.", actor=officer, now=now)


def _windows(session: Session, pools: Mapping[str, Pool], vllm: Project, officer: Person, now: datetime) -> None:
    """One maintenance, and a reservation for a release."""
    morning = datetime.combine(now.date(), time(6), tzinfo=UTC)
    wanted = (
        ("h200-7th", WindowKind.MAINTENANCE, 5, 4, 3, "new network switches", None),
        ("h100", WindowKind.RESERVATION, 9, 12, 1, "checks before a release", vllm),
    )
    for slug, kind, days, hours, gpus, why, project in wanted:
        begins_at = morning + timedelta(days=days)
        new = NewWindow(kind, begins_at, why, begins_at + timedelta(hours=hours), gpus, project)
        windows.plan(session, pools[slug], new, actor=officer, now=now)
