"""A reservation is a window for everybody, and a lane of its own for its project."""

from compute.scheduling import Plan, Reason, Window, forecast, plan
from tests.unit.compute.scheduling.scheduling_build import HOUR, NOON, job, pool, project, running, snapshot, uid


def reserved(gpus: int, begins: float, ends: float, whose: str | None = "vllm") -> Window:
    at = [NOON + int(hours * HOUR) for hours in (begins, ends)]
    return Window(uid("launch"), uid("berlin"), "H100", gpus, *at, "the launch", uid(whose) if whose else None)


def said(found: Plan) -> dict[str, object]:
    return {
        **{str(start.job_id): start.reservation_id for start in found.starts},
        **{str(each.job_id): each.reason for each in found.waiting},
    }


def test_its_project_starts_there_first_and_others_beside_it() -> None:
    jobs = job("ours", 2), job("theirs", 2, project="ray"), job("too many", 3, project="ray", minute=1)
    seen = snapshot(pools=(pool(),), projects=(project(), project("ray")), queued=jobs, windows=(reserved(4, 0, 3),))
    assert said(plan(seen)) == {
        str(uid("ours")): uid("launch"),
        str(uid("theirs")): None,
        str(uid("too many")): Reason.RESERVED_NEXT,
    }


def test_what_runs_there_is_counted_there_and_the_order_of_the_parts_means_nothing() -> None:
    inside = running("inside", 3, 2, reservation_id=uid("launch"))
    jobs = job("fits inside", 1), job("fits beside", 3, minute=1), job("one more", 2, hours=2, minute=2)
    windows = reserved(4, 0, 3), Window(uid("fans"), uid("berlin"), "H100", 1, NOON + 9 * HOUR, NOON + 10 * HOUR, "fans")
    parts = {"pools": (pool(),), "projects": (project(),), "running": (inside,)}
    one = plan(snapshot(**parts, queued=jobs, windows=windows))
    other = plan(snapshot(**parts, queued=jobs[::-1], windows=windows[::-1]))
    assert said(one) == said(other)
    assert said(one)[str(uid("fits inside"))] == uid("launch")
    assert said(one)[str(uid("fits beside"))] is None
    assert said(one)[str(uid("one more"))] in {Reason.RESERVED_NEXT, Reason.WAITING_FOR_CAPACITY}


def test_its_project_is_told_its_beginning_and_others_its_end() -> None:
    jobs = job("ours", 8, hours=1), job("theirs", 8, hours=1, project="ray")
    seen = snapshot(pools=(pool(),), projects=(project(), project("ray")), queued=jobs, windows=(reserved(8, 0.5, 3),))
    decided = plan(seen)
    assert {each.reason for each in decided.waiting} == {Reason.WAITING_FOR_WINDOW}
    found = forecast(seen, decided, {each.id: 3600 for each in jobs}, jobs_max=9)
    assert found[uid("ours")].latest_at == NOON + HOUR // 2
    assert found[uid("theirs")].latest_at == NOON + 3 * HOUR
