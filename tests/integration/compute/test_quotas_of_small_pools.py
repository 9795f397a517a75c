"""A host out of service makes a pool smaller than what projects own of it: nobody gets more then, and everybody may get less."""

import pytest

from compute.services import hosts, quotas
from compute.services.quotas import PoolTooSmall, Quota, Terms
from core.errors import InvalidInput
from core.identity.models import Membership, Role
from tests.integration.compute.conftest import World


def test_what_projects_own_of_a_pool_that_got_smaller_can_become_less_and_not_more(world: World) -> None:
    session, now = world.session, world.now
    officer, one, two = world.person("Olga"), world.project("one"), world.project("two")
    session.add(Membership(person_id=officer.id, role=Role.PROGRAMME_OFFICER, from_on=now.date()))
    session.flush()
    a, _ = (hosts.add(session, world.pool, name=name, devices=4, reason="new", actor=officer, now=now) for name in "ab")
    group = quotas.set_group(session, world.pool, Terms("shared", 60, 0), reason="Both pay.", actor=officer, now=now)

    def owns(project: str, quota: Quota) -> None:
        given = one if project == "one" else two
        quotas.set_share(session, group, given, quota, reason="Pays.", actor=officer, now=now)

    owns("one", Quota(6))
    owns("two", Quota(2))
    hosts.change(session, a, devices=None, in_service=False, reason="new fans", actor=officer, now=now)
    with pytest.raises(PoolTooSmall, match="has 4 devices, other projects own 6: give 0 at most, not 3"):
        owns("two", Quota(3))
    owns("two", Quota(2, lends=0))
    owns("two", Quota(1))
    with pytest.raises(PoolTooSmall):
        owns("two", Quota(2))
    owns("one", Quota(3))


def test_a_quota_is_no_number_that_no_database_keeps(world: World) -> None:
    officer, project = world.person("Olga"), world.project("one")
    world.session.add(Membership(person_id=officer.id, role=Role.PROGRAMME_OFFICER, from_on=world.now.date()))
    world.session.flush()
    said = {"reason": "Pays.", "actor": officer, "now": world.now}
    with pytest.raises(InvalidInput):
        quotas.set_group(world.session, world.pool, Terms("shared", 60, 10**20), **said)  # type: ignore[arg-type]
    group = quotas.set_group(world.session, world.pool, Terms("shared", 60, 0), **said)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        quotas.set_share(world.session, group, project, Quota(1, borrows=10**20), **said)  # type: ignore[arg-type]
