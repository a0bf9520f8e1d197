"""JSON-RPC 2.0: the specification's examples, strictness, limits, and bytes that mean nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.jsonrpc import Dispatcher, Method, RpcError


class Two(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two numbers by name or by position."""

    minuend: int
    subtrahend: int


class Numbers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Three numbers."""

    a: int = 0
    b: int = 0
    c: int = 0


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text."""

    text: str


class Door:
    """A dispatcher with the specification's methods, and what it counted."""

    def __init__(self, batch_max: int = 10) -> None:
        self.counts: list[tuple[str, str]] = []
        self.failures: list[str] = []
        self.notified: list[Any] = []

        async def subtract(p: Two) -> int:
            return p.minuend - p.subtrahend

        async def notify(p: Numbers) -> None:
            self.notified.append((p.a, p.b, p.c))

        async def total(p: Numbers) -> int:
            return p.a + p.b + p.c

        async def data(p: Nothing) -> list[Any]:
            return ["hello", 5]

        async def echo(p: Text) -> str:
            return p.text

        async def broken(p: Nothing) -> None:
            raise ZeroDivisionError("secret")

        async def refuse(p: Nothing) -> None:
            raise RpcError(-32001, "GONE", "it is gone", retryable=True, where="there")

        self.dispatcher = Dispatcher(
            [
                Method("subtract", Two, subtract, "a - b"),
                Method("update", Numbers, notify, ""),
                Method("sum", Numbers, total, ""),
                Method("notify_hello", Numbers, notify, ""),
                Method("get_data", Nothing, data, ""),
                Method("echo", Text, echo, ""),
                Method("broken", Nothing, broken, ""),
                Method("refuse", Nothing, refuse, ""),
            ],
            batch_max,
            lambda method, code: self.counts.append((method, code)),
            lambda method, error: self.failures.append(method),
        )

    def raw(self, body: bytes) -> bytes | None:
        """The answer's bytes."""
        return asyncio.run(self.dispatcher.answer(body))

    def __call__(self, body: str | bytes) -> Any:
        """The answer, with each error cut down to its code."""
        answer = self.raw(body if isinstance(body, bytes) else body.encode())
        return None if answer is None else _codes(json.loads(answer))


def _codes(value: Any) -> Any:
    if isinstance(value, list):
        return [_codes(item) for item in value]
    if "error" in value:
        assert set(value["error"]) == {"code", "message", "data"}
        assert {"reason", "detail", "retryable"} <= set(value["error"]["data"])
        return {**value, "error": value["error"]["code"]}
    return value


def ok(result: Any, number: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def error(code: int, number: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": code}


V = '"jsonrpc": "2.0"'
EXAMPLES: list[tuple[str, Any]] = [
    (f'{{{V}, "method": "subtract", "params": [42, 23], "id": 1}}', ok(19, 1)),
    (f'{{{V}, "method": "subtract", "params": [23, 42], "id": 2}}', ok(-19, 2)),
    (
        f'{{{V}, "method": "subtract", "params": {{"subtrahend": 23, "minuend": 42}}, "id": 3}}',
        ok(19, 3),
    ),
    (
        f'{{{V}, "method": "subtract", "params": {{"minuend": 42, "subtrahend": 23}}, "id": 4}}',
        ok(19, 4),
    ),
    (f'{{{V}, "method": "update", "params": [1, 2, 3]}}', None),
    (f'{{{V}, "method": "foobar"}}', None),
    (f'{{{V}, "method": "foobar", "id": "1"}}', error(-32601, "1")),
    (f'{{{V}, "method": "foobar, "params": "bar", "baz]', error(-32700)),
    (f'{{{V}, "method": 1, "params": "bar"}}', error(-32600)),
    (
        f'[{{{V}, "method": "sum", "params": [1,2,4], "id": "1"}}, {{{V}, "method"]',
        error(-32700),
    ),
    ("[]", error(-32600)),
    ("[1]", [error(-32600)]),
    ("[1,2,3]", [error(-32600)] * 3),
    (
        f"""[
        {{{V}, "method": "sum", "params": [1,2,4], "id": "1"}},
        {{{V}, "method": "notify_hello", "params": [7]}},
        {{{V}, "method": "subtract", "params": [42,23], "id": "2"}},
        {{"foo": "boo"}},
        {{{V}, "method": "foo.get", "params": {{"name": "myself"}}, "id": "5"}},
        {{{V}, "method": "get_data", "id": "9"}}]""",
        [ok(7, "1"), ok(19, "2"), error(-32600), error(-32601, "5"), ok(["hello", 5], "9")],
    ),
    (
        f'[{{{V}, "method": "notify_hello", "params": [1]}},'
        f'{{{V}, "method": "notify_hello", "params": [7]}}]',
        None,
    ),
]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_the_specification(number: int) -> None:
    assert len(EXAMPLES) == 15
    request, answer = EXAMPLES[number]
    assert Door()(request) == answer


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ('{"jsonrpc":"1.0","method":"get_data","id":1}', error(-32600)),
        ('{"method":"get_data","id":1}', error(-32600)),
        ('{"jsonrpc":"2.0","method":"get_data","id":1.5}', error(-32600)),
        ('{"jsonrpc":"2.0","method":"get_data","id":[]}', error(-32600)),
        ('{"jsonrpc":"2.0","method":"get_data","id":true}', error(-32600)),
        ('{"jsonrpc":"2.0","method":"get_data","id":1,"more":1}', error(-32600)),
        ('{"jsonrpc":"2.0","method":"get_data","id":null}', ok(["hello", 5], None)),
        ('{"jsonrpc":"2.0","method":"get_data","id":""}', ok(["hello", 5], "")),
        ('{"jsonrpc":"2.0","method":"get_data","params":[],"id":1}', ok(["hello", 5], 1)),
        ('{"jsonrpc":"2.0","method":"get_data","params":{},"id":1}', ok(["hello", 5], 1)),
        ('{"jsonrpc":"2.0","method":"get_data","params":[1],"id":1}', error(-32602, 1)),
        ('{"jsonrpc":"2.0","method":"get_data","params":null,"id":1}', error(-32602, 1)),
        ('{"jsonrpc":"2.0","method":"get_data","params":7,"id":1}', error(-32602, 1)),
        ('{"jsonrpc":"2.0","method":"subtract","params":[1],"id":1}', error(-32602, 1)),
        ('{"jsonrpc":"2.0","method":"subtract","params":[1,2,3],"id":1}', error(-32602, 1)),
        ('{"jsonrpc":"2.0","method":"subtract","params":["1",2],"id":1}', error(-32602, 1)),
        (
            '{"jsonrpc":"2.0","method":"subtract",'
            '"params":{"minuend":1,"subtrahend":2,"x":3},"id":1}',
            error(-32602, 1),
        ),
        ('{"jsonrpc":"2.0","method":"broken","id":1}', error(-32603, 1)),
        ('{"jsonrpc":"2.0","method":"broken"}', None),
        ("", error(-32700)),
        ("nonsense", error(-32700)),
        ("null", error(-32600)),
        ('"text"', error(-32600)),
        ("  \n[1]", [error(-32600)]),
    ],
)
def test_strictness(request_: str, answer: Any) -> None:
    assert Door()(request_) == answer


def test_errors_say_what_and_never_echo() -> None:
    door = Door()
    body = door.raw(b'{"jsonrpc":"2.0","method":"refuse","id":1}')
    assert body is not None
    assert json.loads(body)["error"] == {
        "code": -32001,
        "message": "it is gone",
        "data": {"reason": "GONE", "detail": "it is gone", "retryable": True, "where": "there"},
    }
    broken = door.raw(b'{"jsonrpc":"2.0","method":"broken","id":1}')
    assert broken is not None
    assert b"secret" not in broken
    assert door.failures == ["broken"]
    assert door.counts == [("refuse", "-32001"), ("broken", "-32603")]
    long = b'{"jsonrpc":"2.0","method":"get_data","params":{"%s":1},"id":1}' % (b"x" * 5000)
    answer = door.raw(long)
    assert answer is not None
    assert len(answer) < 1000


def test_an_unknown_method_is_counted_under_one_name() -> None:
    door = Door()
    for number in range(3):
        door(f'{{"jsonrpc":"2.0","method":"m{number}","id":1}}')
    assert door.counts == [("unknown", "-32601")] * 3


def test_a_batch_has_a_limit() -> None:
    call = '{"jsonrpc":"2.0","method":"get_data","id":1}'
    assert Door(3)(f"[{','.join([call] * 3)}]") == [ok(["hello", 5], 1)] * 3
    body = Door(3).raw(f"[{','.join([call] * 4)}]".encode())
    assert body is not None
    assert json.loads(body)["error"]["data"]["reason"] == "BATCH_TOO_LARGE"


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","method":"\xff","id":1}',
        b'{"jsonrpc":"2.0","method":"echo","params":{"text":"\xff"},"id":1}',
        b'[{"jsonrpc":"2.0","method":"echo","params":["\xff"],"id":1}]',
        b'{"jsonrpc":"2.0","method":"echo","params":["\\ud800"],"id":1}',
        b'{"jsonrpc":"2.0","method":"echo","params":["\\udc00"],"id":1}',
        b'{"jsonrpc":"2.0","method":"echo","params":' + b"[" * 10**5 + b"]" * 10**5 + b"}",
        b"[" * 10**5 + b"]" * 10**5,
        b'{"a":' * 10**5,
        b'{"jsonrpc":"2.0","method":"sum","params":[1e400],"id":1}',
        b'{"jsonrpc":"2.0","method":"sum","params":[' + b"9" * 9000 + b'],"id":1}',
        b'{"jsonrpc":"2.0","method":"get_data","id":' + b"9" * 60 + b"}",
        b"\xef\xbb\xbf{}",
        b"\x00",
    ],
)
def test_bytes_that_break_parsers_are_answered(body: bytes) -> None:
    door = Door()
    answer = door.raw(body)
    if answer is not None:
        json.loads(answer)
    assert door.failures == []


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_requests = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | _json_values,
        "method": st.sampled_from(["subtract", "sum", "echo", "get_data", "refuse"]) | st.text(),
        "params": _json_values,
        "id": _json_values,
    },
)


@settings(deadline=None, max_examples=150)
@given(
    st.binary(max_size=200)
    | (_requests | st.lists(_requests, max_size=4)).map(
        lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    )
)
def test_whatever_comes_is_answered_in_json_rpc(body: bytes) -> None:
    door = Door()
    answer = door.raw(body)
    assert door.failures == []
    if answer is None:
        return
    value = json.loads(answer)
    for item in value if isinstance(value, list) else [value]:
        assert item["jsonrpc"] == "2.0"
        assert ("result" in item) != ("error" in item)
        assert "id" in item
