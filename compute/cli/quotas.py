"""`pledgeworks compute quotas`, `quota-group` and `quota`: what projects own of a pool, and how they get it back."""

import click
from sqlalchemy.orm import Session

from compute.models import QuotaGroup
from compute.queries import overview
from compute.queries import quotas as quota_queries
from compute.queries.named import project_named
from compute.rule_schemas import QuotaGroupOut
from compute.services import quotas
from compute.services.quotas import Quota, Terms
from core.cli import json_option, print_json, print_table
from core.clock import utc_now
from core.db import session_scope
from core.errors import NotFound
from core.identity import people

acting = click.option("--as", "email", metavar="EMAIL", required=True, help="Who does this: a programme officer.")
because = click.option("--reason", required=True, help="Why, for everybody who shares the GPUs.")


@click.command("quotas")
@click.option("--ended", "with_ended", is_flag=True, help="Also groups that were ended, with what projects owned then.")
@json_option
def quotas_command(*, with_ended: bool, as_json: bool) -> None:
    """List what projects own of pools, and which jobs were asked to give GPUs back."""
    with session_scope() as session:
        rows = [*quota_queries.groups(session), *(quota_queries.ended(session) if with_ended else ())]
        groups = [QuotaGroupOut.of(session, group).model_dump(mode="json") for group in rows]
        notices = [
            {
                "job": str(notice.attempt.job_id),
                "project": notice.attempt.job.project.slug,
                "needed_for": str(notice.for_job_id),
                "leaves_at": notice.leaves_at.isoformat(),
                "lost_gpu_seconds": notice.lost_gpu_seconds,
            }
            for notice in quota_queries.notices(session)
            if notice.attempt.settled_at is None
        ]
    if as_json:
        print_json({"groups": groups, "notices": notices})
        return
    lines = [
        {"group": group["name"], "pool": group["pool"], "ended": (group["ended_at"] or "")[:10], **share}
        for group in groups
        for share in group["shares"]
    ]
    shown = [{**line, "lends": _or_all(line["lends"]), "borrows": _or_all(line["borrows"])} for line in lines]
    columns = {"group": "GROUP", "pool": "POOL", "project": "PROJECT", "nominal": "OWN", "lends": "LENDS", "borrows": "BORROWS"}
    columns |= {"uses": "USES", "ended": "ENDED", "reason": "BECAUSE"} if with_ended else {"uses": "USES", "reason": "BECAUSE"}
    print_table(shown, columns, empty="No project owns GPUs of a pool.")
    for notice in notices:
        click.echo(f"{notice['job']} of {notice['project']} is asked to leave by {notice['leaves_at']}")


@click.command("quota-group")
@click.argument("pool")
@click.option("--name", required=True, help="Shown to jobs that wait because of it.")
@click.option("--grace", "grace_seconds", type=int, required=True, help="Seconds between being asked to leave and being stopped.")
@click.option("--lost-gpu-hours", type=int, required=True, help="Work that may be lost for one job that gets its own back.")
@because
@acting
@json_option
def quota_group_command(
    pool: str, name: str, grace_seconds: int, lost_gpu_hours: int, reason: str, email: str, *, as_json: bool
) -> None:
    """Say on which terms projects get back what they own of POOL and lent."""
    with session_scope() as session:
        actor = people.acting_person(session, email)
        terms = Terms(name, grace_seconds, lost_gpu_hours * 3600)
        row = quotas.set_group(session, overview.pool_named(session, pool), terms, reason=reason, actor=actor, now=utc_now())
        made = {
            "name": row.name,
            "pool": row.pool.slug,
            "grace_seconds": row.grace_seconds,
            "lost_gpu_seconds_max": row.lost_gpu_seconds_max,
        }
    if as_json:
        print_json(made)
    else:
        click.echo(f"Projects of {made['name']} get back what they lend after {made['grace_seconds']} s.")


@click.command("end-quota-group")
@click.argument("pool")
@because
@acting
@json_option
def end_quota_group_command(pool: str, reason: str, email: str, *, as_json: bool) -> None:
    """End the quota group of POOL: nobody owns anything of it any more, and who was asked to leave may stay."""
    with session_scope() as session:
        actor = people.acting_person(session, email)
        group = _group_of(session, pool)
        quotas.end_group(session, group, reason=reason, actor=actor, now=utc_now())
        made = QuotaGroupOut.of(session, group).model_dump(mode="json")
    if as_json:
        print_json(made)
    else:
        click.echo(f"The quota group {made['name']} is ended: all share pool {made['pool']} by their turns.")


@click.command("quota")
@click.argument("pool")
@click.argument("project")
@click.argument("nominal", type=int)
@click.option("--lends", type=int, help="Lends at most so many of its own; all if left out.")
@click.option("--borrows", type=int, help="Borrows at most so many beyond its own; whatever others lend if left out.")
@because
@acting
@json_option
def quota_command(
    pool: str,
    project: str,
    nominal: int,
    lends: int | None,
    borrows: int | None,
    reason: str,
    email: str,
    *,
    as_json: bool,
) -> None:
    """Give PROJECT NOMINAL devices of POOL for its own; 0 takes it out of the pool's quota group."""
    with session_scope() as session:
        actor = people.acting_person(session, email)
        group = _group_of(session, pool)
        found = project_named(session, project)
        quotas.set_share(session, group, found, Quota(nominal, lends, borrows), reason=reason, actor=actor, now=utc_now())
        made = {"group": group.name, "project": found.slug, "nominal": nominal, "lends": lends, "borrows": borrows}
        words = f"{found.name} owns {nominal} devices of pool {group.pool.name} from the scheduler's next look on."
    if as_json:
        print_json(made)
    else:
        click.echo(words)


def _group_of(session: Session, pool: str) -> QuotaGroup:
    group = quota_queries.of_pool(session, overview.pool_named(session, pool))
    if group is None:
        raise NotFound(f"Pool {pool} has no quota group: say first on which terms quotas are asked back (`compute quota-group`).")
    return group


def _or_all(limit: int | None) -> str:
    return "all" if limit is None else str(limit)


QUOTA_COMMANDS: list[click.Command] = [quotas_command, quota_group_command, end_quota_group_command, quota_command]
