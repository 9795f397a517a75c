"""A GraphQL service inside a test: real HTTP on loopback that executes the provider's real schema, with faults on request.

A fake of a provider subclasses `GraphqlServer`, gives it the schema's file and fills `resolvers`:

    class Fake(GraphqlServer):
        def __init__(self, schema: Path) -> None:
            super().__init__(schema, path="/graphql/v2")
            self.resolvers = {"Query.account": self._account, "Mutation.createOrder": self._create_order}

        def gate(self, call: Call) -> Answer | None: ...   # 401, 429: answered before anything is executed

A resolver is called as `resolver(source, info, **arguments)`; a field without one is read from the source, a dict, and an
abstract type from its `__typename`. `refuse(message, code)` is an error inside a 200. Because the schema is the real one, a
document with a wrong field, type or variable is answered 400 as the provider would. Nothing serialises the requests: resolvers
run in parallel, and a fake locks what its provider locks. `calls` remembers every request that arrived.

Faults (`misbehave`) hit mutations only, unless a `GraphqlFault` names the operation it is for:

    cut_before, cut_after   the connection ends without an answer; nothing happened / it happened
    500_before, 500_after   an error is answered; nothing happened / it happened
    slow                    sleeps `seconds` first, then executes and answers, whoever still listens
    429, 401                answered before anything happens; the 401 repeats the token it was given
    200_errors              an error in words of its own in place of data; nothing happened
    200_errors_after        the same answer, and it happened: its data is lost

Beside the service, and of no provider, `/_stand_in` is a page with what people there do (`deeds`), and a form for faults.
"""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationType,
    build_schema,
    default_field_resolver,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)

from payouts.rails.fake_server import Behaviour, Fault
from tests.fakes import stand_in_page
from tests.fakes.stand_in_page import FAULTS

BODY_BYTES_MAX = 1_000_000

Resolver = Callable[..., Any]
Answer = tuple[int, Mapping[str, Any], Mapping[str, str]]
"""Status, body as JSON, headers."""


@dataclass
class GraphqlFault(Fault):
    """A fault of one operation, a query too, by its name."""

    operation: str = ""


@dataclass(frozen=True)
class Call:
    """One request as it arrived, or was understood."""

    path: str
    """With the query string: a token there is a token in somebody's log."""
    headers: Mapping[str, str]
    """Names in lower case."""
    operation: str
    """Its name; empty if the client named none."""
    is_mutation: bool
    variables: Mapping[str, Any]
    document: str = field(repr=False)


class GraphqlServer(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1. `url` is where the client posts to."""

    daemon_threads = True

    title = "GraphQL"

    def __init__(self, schema: Path, *, path: str = "/graphql", seed: int = 1, port: int = 0) -> None:
        self.schema = built(schema)
        self._rng = random.Random(seed)
        self.resolvers: dict[str, Resolver] = {}
        """By `Type.field`, with the name of the concrete type."""
        self.calls: list[Call] = []
        self.behaviour = Behaviour()
        self.path = path
        self._faults = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}{self.path}"

    def gate(self, call: Call) -> Answer | None:
        """What is answered before anything is executed: credentials and rate limits. None lets the call in."""
        return None

    @property
    def desk(self) -> str:
        """The page of what people there do."""
        return f"http://127.0.0.1:{self.server_port}{stand_in_page.PATH}"

    def deeds(self) -> Sequence[stand_in_page.Thing]:
        """What there is, and what people can do about it."""
        return ()

    def do(self, deed: str, name: str, text: str) -> None:
        """Somebody there does it."""
        raise NotImplementedError(f"nobody here can {deed} {name} {text}")

    def misbehave(self, behaviour: Behaviour) -> None:
        with self._faults:
            self.behaviour = behaviour

    def draw(self, call: Call) -> Fault:
        """What goes wrong with this call; a fault of kind "" if nothing does."""
        with self._faults:
            for fault in self.behaviour.faults:
                named = fault.operation if isinstance(fault, GraphqlFault) else ""
                meant = call.operation == named if named else call.is_mutation
                if meant and (fault.times is None or fault.times > 0) and self._rng.random() < fault.rate:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return Fault("")

    def execute(self, document: DocumentNode, call: Call) -> ExecutionResult:
        result = execute_sync(
            self.schema,
            document,
            variable_values=dict(call.variables),
            operation_name=call.operation or None,
            context_value=call,
            field_resolver=self._resolve,
            type_resolver=lambda source, *_: source["__typename"],
        )
        for each in result.errors or []:
            if each.original_error is not None and not isinstance(each.original_error, GraphQLError):
                raise each.original_error  # a mistake in the fake, not an answer
        return result

    def _resolve(self, source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        resolver = self.resolvers.get(f"{info.parent_type.name}.{info.field_name}")
        if resolver is not None:
            return resolver(source, info, **arguments)
        return default_field_resolver(source, info, **arguments)


def refuse(message: str, code: str = "INTERNAL_SERVER_ERROR") -> GraphQLError:
    """A business error as these services give it: HTTP 200, `errors[].extensions.code`. To be raised by a resolver."""
    return GraphQLError(message, extensions={"code": code})


Server = TypeVar("Server", bound=GraphqlServer)


@cache
def built(schema: Path) -> GraphQLSchema:
    """The executable schema; both providers' files break rules of the specification that do not matter here."""
    return build_schema(schema.read_text(), assume_valid=True, assume_valid_sdl=True)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Answers while the context lasts."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: GraphqlServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == stand_in_page.PATH:
            self._send(200, stand_in_page.shown(self.server.title, self.server.deeds()), {"Content-Type": "text/html"})
        else:
            self._answer(404, {"error": {"message": "There is nothing here."}})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if 0 < length <= BODY_BYTES_MAX else b"{}"
        if self.path == stand_in_page.PATH:
            self._at_the_desk(stand_in_page.pressed(body))
            return
        asked = json.loads(body)
        if self.path.split("?")[0] != self.server.path or not isinstance(asked.get("query"), str):
            self._answer(404, {"error": {"message": "There is nothing here."}})
            return
        try:
            document = parse(asked["query"])
            errors = validate(self.server.schema, document)
        except GraphQLError as error:
            errors = [error]
        call = self._call(asked, None if errors else document)
        self.server.calls.append(call)
        refused = self.server.gate(call)
        if refused is not None:
            self._answer(*refused)
        elif errors:
            invalid = [{"message": each.message, "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}} for each in errors]
            self._answer(400, {"errors": invalid})
        else:
            self._execute(document, call, self.server.draw(call))

    def _at_the_desk(self, done: stand_in_page.Pressed) -> None:
        if done.deed in FAULTS:
            self.server.misbehave(Behaviour([Fault(done.deed, times=1, seconds=5)]))
        else:
            self.server.do(done.deed, done.name, done.text)
        self._send(303, b"", {"Location": stand_in_page.PATH})

    def _execute(self, document: DocumentNode, call: Call, fault: Fault) -> None:
        match fault.kind:
            case "slow":
                time.sleep(fault.seconds)
            case "cut_before":
                self._cut()
                return
            case "500_before":
                self._answer(500, {"error": {"code": 500, "message": "Internal Server Error"}})
                return
            case "429":
                self._answer(429, {"error": {"message": "Rate limit exceeded."}}, {"Retry-After": str(fault.seconds)})
                return
            case "401":
                token = call.headers.get("personal-token") or call.headers.get("authorization", "")
                message = f"Invalid token: {token}"
                self._answer(401, {"error": {"code": 401, "type": "unauthorized", "message": message}})
                return
            case "200_errors":
                self._answer(200, _went_wrong(document))
                return
        result = self.server.execute(document, call)
        match fault.kind:
            case "cut_after":
                self._cut()
            case "500_after":
                self._answer(500, {"error": {"code": 500, "message": "Internal Server Error"}})
            case "200_errors_after":
                self._answer(200, _went_wrong(document))
            case _:
                unusable = result.data is None and all(each.path is None for each in result.errors or [])  # its variables
                self._answer(400 if unusable else 200, result.formatted)

    def _call(self, asked: Mapping[str, Any], document: DocumentNode | None) -> Call:
        """Documents here hold one operation."""
        operation = get_operation_ast(document, asked.get("operationName")) if document else None
        return Call(
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            operation=operation.name.value if operation and operation.name else "",
            is_mutation=operation is not None and operation.operation is OperationType.MUTATION,
            variables=asked.get("variables") or {},
            document=asked["query"],
        )

    def _answer(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(body, default=str).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the caller gave up waiting; what happened, happened

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name for it
        """Quiet: `calls` says more than an access log."""


def _went_wrong(document: DocumentNode) -> Mapping[str, Any]:
    """What a resolver's exception looks like from outside, whether it came before or after the effect."""
    operation = get_operation_ast(document)
    assert operation is not None, "documents here hold one operation"
    field_name = operation.selection_set.selections[0].to_dict()["name"]["value"]
    error = {"message": "Something went wrong", "path": [field_name], "extensions": {"code": "INTERNAL_SERVER_ERROR"}}
    return {"errors": [error], "data": None}
