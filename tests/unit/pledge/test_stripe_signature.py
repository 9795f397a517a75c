"""A notice is taken only with Stripe's signature, of now, over exactly the bytes that came in; anything else is a 400."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.config import Settings
from pledge.providers.stripe_signature import BadSignature, notice_from
from tests.fakes.stripe.webhooks import SECRET, delivery

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_intent.succeeded",
    "created": 1_793_000_000,
    "livemode": False,
    "api_version": "2026-10-28.endive",
    "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 5}},
}


def signed(event: Any = None, *secrets: str, shift: float = 0, body: bytes | None = None) -> tuple[bytes, str]:
    made = delivery(EVENT if event is None else event, *secrets, at=int(NOW.timestamp() + shift))
    return made.body if body is None else body, made.signature


def test_a_signed_notice_says_where_to_look_and_nothing_else() -> None:
    found = notice_from(*signed(), secrets=[SECRET], now=NOW)
    assert (found.id, found.type) == ("evt_1", "payment_intent.succeeded")
    assert (found.object_type, found.object_id, found.live) == ("payment_intent", "pi_1", False)


@pytest.mark.parametrize("secrets", [("whsec_old",), ("whsec_new",), ("whsec_other", "whsec_new")])
def test_any_of_our_secrets_fits_any_of_its_signatures_while_one_is_being_replaced(secrets: tuple[str, ...]) -> None:
    assert notice_from(*signed(None, *secrets), secrets=["whsec_old", "whsec_new"], now=NOW).id == "evt_1"


@pytest.mark.parametrize("shift", [-301, 301, 10 * 365 * 86_400])
def test_a_signature_of_another_time_is_refused_in_either_direction(shift: float) -> None:
    with pytest.raises(BadSignature, match="more than five minutes off"):
        notice_from(*signed(shift=shift), secrets=[SECRET], now=NOW)


def test_the_library_would_take_one_of_the_far_future() -> None:
    """Why the check is written out here."""
    body, header = signed(shift=10 * 365 * 86_400)
    assert stripe.Webhook.construct_event(body, header, SECRET, api_key="sk_test_x").id == "evt_1"


def test_a_body_that_was_written_anew_is_refused() -> None:
    body, header = signed()
    with pytest.raises(BadSignature, match="fits none of our secrets"):
        notice_from(json.dumps(json.loads(body)).encode(), header, secrets=[SECRET], now=NOW)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=1",
        "v1=aa",
        "t=,v1=aa",
        "t=12,t=13,v1=aa",
        "t=x,v1=aa",
        "t=1,v1=é",
        "t=99999999999999999999,v1=aa",
        "=,=,",
        "a" * 9999,
    ],
)
def test_a_header_that_cannot_be_read_is_refused(header: str | None) -> None:
    with pytest.raises(BadSignature):
        notice_from(signed()[0], header, secrets=[SECRET], now=NOW)


@pytest.mark.parametrize(
    "event",
    [[], None, 7, "text", {}, {"object": "event"}, EVENT | {"data": None}, EVENT | {"id": 5}, EVENT | {"created": "soon"},
     EVENT | {"object": "v2.core.event"}, EVENT | {"data": {"object": {"id": "x"}}}, EVENT | {"id": "e" * 251},
     EVENT | {"id": ""}],
)  # fmt: skip
def test_what_is_signed_but_no_event_is_refused(event: Any) -> None:
    with pytest.raises(BadSignature, match="no event of Stripe"):
        notice_from(*signed(json.loads(json.dumps(event)) if event is not None else "null"), secrets=[SECRET], now=NOW)


@given(body=st.binary(max_size=200), header=st.text(max_size=200), shift=st.integers(-10, 10))
def test_whatever_comes_in_is_refused_and_never_breaks(body: bytes, header: str, shift: int) -> None:
    with pytest.raises(BadSignature):
        notice_from(body, header, secrets=[SECRET], now=NOW + timedelta(minutes=shift))
    stamp = int(NOW.timestamp())
    with pytest.raises(BadSignature):
        notice_from(body, f"t={stamp},v1={header}", secrets=[SECRET], now=NOW)


@pytest.mark.parametrize("value", ["whsec_", "whsec_ ,whsec_a_secret_of_length", "whsec_short", "a_secret_of_some_length"])
def test_a_setting_that_is_no_secret_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PLEDGEWORKS_STRIPE_WEBHOOK_SECRETS", value)
    with pytest.raises(ValidationError, match="each signing secret starts with whsec_, and goes on"):
        Settings()
    monkeypatch.setenv("PLEDGEWORKS_STRIPE_WEBHOOK_SECRETS", "whsec_a_secret_of_length, whsec_another_of_length")
    assert Settings().pledgeworks_stripe_webhook_secrets is not None
