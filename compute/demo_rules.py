"""What officers of the demo have set for its pools and projects."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta

from sqlalchemy.orm import Session

from compute.models import Pool, WindowKind
from compute.services import windows
from compute.services.windows import NewWindow
from core.identity.models import Person, Project


def load(session: Session, pools: Mapping[str, Pool], *, vllm: Project, officer: Person, now: datetime) -> None:
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
