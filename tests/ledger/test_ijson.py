"""Strict I-JSON, compared with a slow reader built on the standard library's json."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger import ijson

BAD = [
    b"",
    b" ",
    b"\xef\xbb\xbf{}",
    b'{"a":1,"a":1}',
    b'{"a":1,"\\u0061":2}',
    b'[{"b":{"x":1,"x":2}}]',
    b'{"a":{},"a":{}}',
    b"1.0",
    b"1e3",
    b"1E3",
    b'{"a":true,"b":1e3}',
    b"-0",
    b"[1,-0]",
    b"9007199254740992",
    b"-9007199254740992",
    b"123456789012345678901234567890",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b'"\\ud800"',
    b'"\\udc00"',
    b'"\\ud83d"',
    b'"\\ud83dx"',
    b'"\\udc00\\ud800"',
    b'{"\\ud800":1}',
    b'"\xed\xa0\x80"',
    b'"\xff"',
    b'{"\xff":1}',
    b'"\xc0\xaf"',
    b'"\xef\xbf\xbf"',
    b'"\xef\xb7\x90"',
    b'"\xf0\x9f\xbf\xbe"',
    b'"\\uffff"',
    b'"\\ufdd0"',
    b'"\\ud83f\\udfff"',
    b'"\x01"',
    b'"\n"',
    b'"\\x41"',
    b'{"a":1,}',
    b"[1,]",
    b"{'a':1}",
    b"{a:1}",
    b"01",
    b"-",
    b"+1",
    b".5",
    b"[1] 2",
    b"{} {}",
    b"/**/{}",
    b"\x0c1",
    b"{}\x00",
    b"[}",
    b"[" * 17 + b"]" * 17,
    b'{"a":' * 17 + b"1" + b"}" * 17,
    b"[" * 100_000,
    b"}{",
]

GOOD = [
    b"{}",
    b"[]",
    b"0",
    b"-1",
    b"9007199254740991",
    b"-9007199254740991",
    b' {"a" : [ true , false , null ] } \r\n\t',
    b'{"a":{"a":{"a":1}},"b":{"a":1}}',
    b'"1.5e3 { [ : -0 \\" \\\\"',
    b'{"a:b":"c:d","\\"":"\\\\","\\\\":"\\\\\\""}',
    '"Zürich 😀 \ufffd"'.encode(),
    b'"\\ud83d\\ude00 \\u00fc \\u0000"',
    b"[" * 16 + b"]" * 16,
    b"[[],[],[[]],{}]",
]


def slow_decode(data: bytes, depth_max: int = 16) -> Any:
    """The rules one by one, in the plainest way."""

    def refuse(text: str) -> NoReturn:
        raise ValueError(text)

    def integer(text: str) -> int:
        if text == "-0" or len(text) > 17 or abs(int(text)) > 2**53 - 1:
            raise ValueError(text)
        return int(text)

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("duplicate")
        return dict(pairs)

    value = json.loads(
        data.decode("utf-8"),
        object_pairs_hook=members,
        parse_float=refuse,
        parse_int=integer,
        parse_constant=refuse,
    )
    if slow_depth(value) > depth_max:
        raise ValueError("depth")
    return value


def slow_depth(value: Any) -> int:
    """Depth of nesting; also refuses characters that I-JSON leaves out."""
    if isinstance(value, str):
        for character in value:
            code = ord(character)
            if 0xD800 <= code < 0xE000 or 0xFDD0 <= code < 0xFDF0 or code & 0xFFFE == 0xFFFE:
                raise ValueError("character")
        return 0
    if isinstance(value, dict):
        for name in value:
            slow_depth(name)
        return 1 + max(map(slow_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(slow_depth, value), default=0)
    return 0


def same(data: bytes, depth_max: int = 16) -> None:
    """Both readers accept, with one value, or both refuse."""
    try:
        want = slow_decode(data, depth_max)
    except (ValueError, RecursionError):
        with pytest.raises(ValueError):
            ijson.decode(data, depth_max=depth_max)
        return
    got = ijson.decode(data, depth_max=depth_max)
    assert json.dumps(got) == json.dumps(want)


@pytest.mark.parametrize("data", BAD, ids=lambda data: repr(data[:24]))
def test_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        ijson.decode(data)
    same(data)


@pytest.mark.parametrize("data", GOOD, ids=lambda data: repr(data[:24]))
def test_accepted(data: bytes) -> None:
    assert ijson.decode(data) == json.loads(data)
    same(data)


def test_depth_is_counted_exactly() -> None:
    assert ijson.decode(b"1", depth_max=0) == 1
    assert ijson.decode(b'[{"a":1}]', depth_max=2) == [{"a": 1}]
    with pytest.raises(ValueError):
        ijson.decode(b'[{"a":1}]', depth_max=1)
    with pytest.raises(ValueError):
        ijson.decode(b"[]", depth_max=0)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.text(max_size=6) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(values, st.booleans(), st.sampled_from([None, 1]), st.integers(0, 5))
@settings(deadline=None, max_examples=200)
def test_any_value_as_the_reference(
    value: Any, ascii_only: bool, indent: int | None, depth_max: int
) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8")
    same(data, depth_max)


TOKENS = [
    *(b'{ } [ ] : , " \\ \\" \\\\ \\n \\u0061 \\ud800 \\udc00 "a" "b" "" 0 -0 1 - . e E'.split()),
    *(b"true false null 9007199254740991 9007199254740992 1.5 2e3".split()),
    *(b'{"a":1} {"a":1,"a":2} "\\"" "\\\\"'.split()),
    b" ",
    b"\n",
    b"\x00",
    b"\xc3\xbc",
    b"\xff",
    b"\xef\xbf\xbf",
]


@given(st.lists(st.sampled_from(TOKENS), max_size=12))
@settings(deadline=None, max_examples=400)
@example([b'"\\\\"', b":"])
def test_any_tokens_as_the_reference(tokens: list[bytes]) -> None:
    data = b"".join(tokens)
    same(data)
    same(b'{"k":[' + data + b'],"l":{"k":0}}')


SEED = b'{"a\\"":[1,-2,{"x":true,"y":"\\ud83d\\ude00"}],"b":"Z\xc3\xbcrich","c":{"x":false,"z":[]}}'


@given(
    st.integers(0, len(SEED)),
    st.integers(0, 6),
    st.sampled_from(TOKENS) | st.binary(max_size=2),
)
@settings(deadline=None, max_examples=400)
def test_any_edit_as_the_reference(at: int, cut: int, insert: bytes) -> None:
    same(SEED[:at] + insert + SEED[at + cut :])
