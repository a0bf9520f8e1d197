"""JSON-RPC 2.0 without I/O: bytes in, calls out, bytes back (docs/spec/rpc.md).

Strict: unknown members and parameters are errors; nothing a client sent is echoed in an error.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_UNKNOWN = -32601
PARAMS_INVALID = -32602
INTERNAL = -32603
NOT_FOUND = -32001
UNAVAILABLE = -32002
TX_REJECTED = -32003
LIMIT = -32005

Handler = Callable[[Any], Awaitable[Any]]


class RpcError(Exception):
    """An answer that is an error; `reason` is stable, `detail` is for people."""

    def __init__(
        self, code: int, reason: str, detail: str, *, retryable: bool = False, **data: Any
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.code = code
        self.reason = reason
        self.detail = detail
        self.retryable = retryable
        self.data = data

    def to_json(self) -> dict[str, Any]:
        """The error object."""
        data = {"reason": self.reason, "detail": self.detail, "retryable": self.retryable}
        return {"code": self.code, "message": self.detail, "data": {**data, **self.data}}


@dataclass(frozen=True, slots=True)
class Method:
    """One method: its parameter struct, what it does, and what the document says of it."""

    name: str
    params: type[msgspec.Struct]
    handler: Handler
    summary: str


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    jsonrpc: str
    method: str
    params: msgspec.Raw = msgspec.Raw(b"")
    id: str | int | msgspec.UnsetType | None = msgspec.UNSET


_DECODE_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the parser raises on bytes of a stranger: not JSON, not UTF-8, nested without end."""
_DETAIL_CHARACTERS_MAX = 200
"""The parser names an unknown member, and a client chose that name."""

_request = msgspec.json.Decoder(_Request)
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class Dispatcher:
    """The methods of one node."""

    def __init__(
        self,
        methods: list[Method],
        batch_max: int,
        counted: Callable[[str, str], None],
        failed: Callable[[str, Exception], None],
    ) -> None:
        """`counted(method, code)` for each call; `failed(method, error)` for our own faults."""
        self.methods = {method.name: method for method in methods}
        self._decoders = {method.name: msgspec.json.Decoder(method.params) for method in methods}
        self._batch_max = batch_max
        self._counted = counted
        self._failed = failed

    async def answer(self, body: bytes) -> bytes | None:
        """The response body, or None when there is nothing to answer (notifications)."""
        if body.lstrip()[:1] != b"[":
            return await self._answer_one(body)
        try:
            calls = _raw_list.decode(body)
        except _DECODE_FAULTS:
            return _error(None, RpcError(PARSE_ERROR, "PARSE_ERROR", "the body is not JSON"))
        if not calls:
            return _error(None, RpcError(INVALID_REQUEST, "INVALID_REQUEST", "empty batch"))
        if len(calls) > self._batch_max:
            detail = f"want at most {self._batch_max} calls in a batch, got {len(calls)}"
            return _error(None, RpcError(LIMIT, "BATCH_TOO_LARGE", detail))
        answers = [answer for call in calls if (answer := await self._answer_one(bytes(call)))]
        return b"[" + b",".join(answers) + b"]" if answers else None

    async def _answer_one(self, data: bytes) -> bytes | None:
        try:
            request = _request.decode(data)
        except msgspec.ValidationError as error:
            return _error(None, RpcError(INVALID_REQUEST, "INVALID_REQUEST", _detail(error)))
        except _DECODE_FAULTS:
            return _error(None, RpcError(PARSE_ERROR, "PARSE_ERROR", "the body is not JSON"))
        if request.jsonrpc != "2.0":
            detail = 'member "jsonrpc" must be "2.0"'
            return _error(None, RpcError(INVALID_REQUEST, "INVALID_REQUEST", detail))
        try:
            result = await self._call(request.method, bytes(request.params))
        except RpcError as error:
            known = request.method if request.method in self.methods else "unknown"
            self._counted(known, str(error.code))
            return None if request.id is msgspec.UNSET else _error(request.id, error)
        self._counted(request.method, "0")
        if request.id is msgspec.UNSET:
            return None
        return _encode({"jsonrpc": "2.0", "id": request.id, "result": result})

    async def _call(self, name: str, params: bytes) -> Any:
        method = self.methods.get(name)
        if method is None:
            raise RpcError(METHOD_UNKNOWN, "METHOD_UNKNOWN", "no such method; see rpc.discover")
        try:
            arguments = self._decoders[name].decode(self._by_name(method, params))
        except _DECODE_FAULTS as error:
            raise RpcError(PARAMS_INVALID, "PARAMS_INVALID", _detail(error)) from None
        try:
            return await method.handler(arguments)
        except RpcError:
            raise
        except Exception as error:  # our fault: tell the client so, and tell the operator why
            self._failed(name, error)
            detail = "internal error; the node logged it"
            raise RpcError(INTERNAL, "INTERNAL", detail) from None

    @staticmethod
    def _by_name(method: Method, params: bytes) -> bytes:
        """Positional parameters, named in the order of the struct's fields."""
        if not params:
            return b"{}"
        if params[:1] != b"[":
            return params
        fields = method.params.__struct_encode_fields__
        values = _raw_list.decode(params)
        if len(values) > len(fields):
            detail = f"want at most {len(fields)} parameters, got {len(values)}"
            raise RpcError(PARAMS_INVALID, "PARAMS_INVALID", detail)
        return _encode(dict(zip(fields, values, strict=False)))


def _detail(error: Exception) -> str:
    return str(error)[:_DETAIL_CHARACTERS_MAX]


def _error(request_id: Any, error: RpcError) -> bytes:
    return _encode({"jsonrpc": "2.0", "id": request_id, "error": error.to_json()})


def openrpc(methods: list[Method], version: str) -> dict[str, Any]:
    """The OpenRPC 1.3 document of these methods; parameter schemas come from their structs."""
    entries = []
    shared: dict[str, Any] = {}
    for method in sorted(methods, key=lambda item: item.name):
        schemas, components = msgspec.json.schema_components(
            [method.params], ref_template="#/components/schemas/{name}"
        )
        name = schemas[0]["$ref"].rsplit("/", 1)[1]
        schema = components.pop(name)
        shared.update(components)
        required = set(schema.get("required", ()))
        entries.append(
            {
                "name": method.name,
                "summary": method.summary,
                "description": inspect.getdoc(method.handler) or method.summary,
                "paramStructure": "by-name",
                "params": [
                    {"name": key, "required": key in required, "schema": value}
                    for key, value in schema["properties"].items()
                ],
                "result": {"name": "result", "schema": {"title": "Result", "type": "object"}},
            }
        )
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": "Muniment JSON-RPC",
            "version": version,
            "description": "The ledger that public agencies run together. docs/spec/rpc.md",
            "license": {"name": "Apache-2.0"},
        },
        "methods": entries,
        "components": {"schemas": shared},
    }
