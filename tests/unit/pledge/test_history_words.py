"""Every event the pledge records has words."""

import re
from pathlib import Path

import pledge
from pledge.models import MembershipStatus
from pledge.views.history import WORDS


def test_every_event_that_is_recorded_is_told() -> None:
    source = "\n".join(path.read_text() for path in Path(pledge.__file__).parent.glob("services/*.py"))
    recorded = set(re.findall(r'"((?:pledge|payment|in_kind|report|instalment|membership|member_file)\.[a-z_]+)"', source))
    recorded |= {f"membership.{status}" for status in MembershipStatus}
    # A row of the dated table belongs to no company, and an entry's kind to the ledger.
    assert recorded - WORDS.keys() == {"pledge.minimum_added", "pledge.pay_in"}
