"""What we send, held against the newest library: says before an upgrade which of our parameters it no longer has.

`make test` fetches it into the virtual environment (`newest/`) together with everything else that tests need, so the test itself
asks no index. In other environments: `pip download --no-deps --dest <environment>/newest stripe`.
"""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.money import Money
from payouts.rails.base import Instruction, Payee
from payouts.rails.stripe_connect import StripeConnectRail
from tests.contract.stripe.conftest import ADA
from tests.fakes import stripe
from tests.fakes.stripe import connect, contract
from tests.fakes.stripe.server import KEY

ROOT = Path(__file__).resolve().parents[3]
KNOWN: dict[str, str] = {}
"""What a newer library is known to refuse, with the reason why it may wait: sentence -> reason. Empty when we are up to date."""

pytestmark = pytest.mark.last


def judged(library: Path, requests: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """What a version of the library thinks of our requests."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fakes.stripe.newest"],
        input=json.dumps(requests), capture_output=True, text=True, timeout=120, check=False,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{library}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    assert done.returncode == 0, f"{library.name} can't be asked about our endpoints:\n{done.stderr[-2_000:]}"
    answer: dict[str, Any] = json.loads(done.stdout)
    assert str(library) in answer["from"], f"another library was asked: {answer['from']}"
    return answer


@pytest.fixture(scope="module")
def used() -> list[tuple[str, Any]]:
    """Every kind of request of this run; the rail's own, too, when this module runs alone."""
    with stripe.serving() as server:
        server.world.top_up(10_000_000)
        connect.connected_account(server.world, account_id=ADA)
        rail = StripeConnectRail(KEY, api_base=server.url, timeout=timedelta(seconds=9))
        opened = rail.open_account(Payee("payee-1", "Ada", "DE", "ada@example.org", is_person=True), "EUR")
        rail.onboarding_link(opened, return_url="https://example.org/a", again_url="https://example.org/b")
        rail.reverse(rail.send(Instruction("pw-one-1", Money(100, "USD"), "Ada", "DE", {"account": ADA}, "Memo")), "pw-one-1")
        rail.look_up("pw-one-1")
        rail.health()
    return list(contract.USED.values())


def test_the_newest_library_takes_every_parameter_we_use(used: list[tuple[str, Any]]) -> None:
    found = sorted(Path(sys.prefix, "newest").glob("stripe-*.whl"))
    if not found:
        pytest.skip("the newest library was not fetched: pip download --no-deps --dest <environment>/newest stripe")
    answer = judged(found[-1], used)
    new = [sentence for sentence in answer["wrong"] if sentence not in KNOWN]
    assert new == [], (
        f"stripe {answer['version']} no longer takes what we send. Adapt it together with the pin in requirements.txt, "
        "or write into KNOWN why that can wait."
    )


def test_a_library_without_one_of_our_parameters_is_noticed(used: list[tuple[str, Any]], tmp_path: Path) -> None:
    """A copy of the pinned library in which `transfer_group` has another name, and a closed enumeration lost a value."""
    import stripe as pinned

    here = Path(pinned.__file__).parent
    altered = tmp_path / "stripe-99.0.0-py3-none-any.whl"
    changes = {
        "params/_transfer_create_params.py": ("transfer_group:", "transfer_groups:"),
        "params/_account_link_create_params.py": ('"account_onboarding"', '"account_opening"'),
    }
    with zipfile.ZipFile(altered, "w") as made:
        for each in here.rglob("*.py"):
            name = each.relative_to(here).as_posix()
            before, after = changes.get(name, ("", ""))
            made.writestr(f"stripe/{name}", each.read_text().replace(before, after) if before else each.read_text())
    assert judged(here.parent, used)["wrong"] == []
    wrong = judged(altered, used)["wrong"]
    assert any("transfer_group is not a parameter" in sentence for sentence in wrong), wrong
    assert any("'account_onboarding', none of" in sentence for sentence in wrong), wrong
