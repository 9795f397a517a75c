"""Every event the pledge records has words."""

import re
from pathlib import Path

import pledge
from pledge.models import HostOrderStatus, InvoiceStanding, MembershipStatus, PayInStatus, RefundStatus
from pledge.views.history import WORDS

RECORDS = r'audit\.record\(\s*session,\s*"([a-z_]+\.[a-z_]+)"'


def test_every_event_that_is_recorded_is_told() -> None:
    source = "\n".join(path.read_text() for path in Path(pledge.__file__).parent.glob("services/*.py"))
    recorded = set(re.findall(RECORDS, source))
    recorded |= {f"membership.{status}" for status in MembershipStatus}
    recorded |= {f"pay_in.{status}" for status in PayInStatus if status is not PayInStatus.OPEN}
    recorded |= {f"invoice.{standing}" for standing in InvoiceStanding if standing is not InvoiceStanding.NOT_MADE}
    recorded |= {f"refund.{status}" for status in RefundStatus}
    recorded |= {f"host_order.{status}" for status in HostOrderStatus}
    # Rows of the dated tables belong to no company.
    assert recorded - WORDS.keys() == {"pledge.minimum_added", "pledge.card_limit_added"}
    assert len(recorded) > 25, "the pattern still finds them"
