"""Flavors, rates and pools of the demo: declared slots of this machine, and its real GPUs if it has any."""

from datetime import datetime, timedelta
from fractions import Fraction

from sqlalchemy.orm import Session

from compute import runtime
from compute.models import Flavor, Pool, SourceKind
from compute.services import catalogue
from core.identity.models import Person

DEMO_RATE = "Demo figure, not a measurement; an administrator replaces it by a dated decision."


def set_up(session: Session, admin: Person, start: datetime) -> tuple[dict[str, Flavor], dict[str, Pool]]:
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
