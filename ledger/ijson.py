"""I-JSON (RFC 7493) read strictly: what a client signed must mean one thing in every language.

docs/spec/formats.md, section 3. Parsers differ on what I-JSON leaves out (duplicate names, big
numbers, floats, lone surrogates), so all of it is refused before a validator acts on it.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ledger.ids import INTEGER_MAX

_decoder = msgspec.json.Decoder()

_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_BRACES: Final = bytes.maketrans(b"[]", b"{}")
_FORBIDDEN_CHARACTER: Final = re.compile(
    "[\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane * 0x10000 + low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
    + "]"
)
"""Surrogates and noncharacters (RFC 7493 section 2.1)."""


def decode(data: bytes, *, depth_max: int = 16) -> Any:
    """Parse one I-JSON text of any kind; an object or array that holds no other has depth 1.

    Raises ValueError on anything else, among it duplicate names at any depth, numbers with `.`,
    `e` or `E`, integers beyond +-(2^53-1), and `-0`, which some languages read as a float.
    """
    bare = _outside_strings(data)
    _check_depth(bare, depth_max)
    if b"-0" in bare:
        raise ValueError("not I-JSON: minus zero")
    try:
        value = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not data.isascii():
        _check_utf8(data)
    if b"\\u" in data:
        _check_characters(value)
    # The parser keeps the last of two members of one name, so fewer members than colons remain.
    if _checked_member_count(value) != bare.count(b":"):
        raise ValueError("not I-JSON: an object has two members of one name")
    return value


def _outside_strings(data: bytes) -> bytes:
    """What stands outside string literals, quotation marks dropped.

    Exact up to the first byte at which the text stops being JSON, and the parser stops there too.
    """
    if b"\\" in data:
        # Pairs first: in `\\"` the quotation mark ends the string, in `\"` it does not.
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.split(b'"')[::2])


def _check_depth(bare: bytes, depth_max: int) -> None:
    """Each round removes the innermost brackets, so the rounds count the depth."""
    if bare.count(b"{") + bare.count(b"[") <= depth_max:
        return  # so few cannot be nested deeper, and the parser finds those that do not match
    brackets = bare.translate(_BRACES, _NOT_BRACKETS)
    for _ in range(depth_max):
        if not brackets:
            return
        brackets = brackets.replace(b"{}", b"")
    if brackets:
        raise ValueError(f"not JSON of depth {depth_max} at most")


def _check_utf8(data: bytes) -> None:
    """Raises ValueError on bytes that are not UTF-8 and on noncharacters."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: {error}") from None
    # The UTF-8 of every noncharacter holds one of these bytes; most texts hold neither.
    if b"\xef" in data or b"\xbf" in data:
        _check_characters(text)


def _check_characters(value: Any) -> None:
    """Raises ValueError when a name or a string holds a surrogate or a noncharacter."""
    values = [value]
    for item in values:  # grows as it is walked
        if type(item) is str:
            if _FORBIDDEN_CHARACTER.search(item) is not None:
                raise ValueError("not I-JSON: a surrogate or a noncharacter")
        elif type(item) is dict:
            values.extend(item)
            values.extend(item.values())
        elif type(item) is list:
            values.extend(item)


def _checked_member_count(value: Any) -> int:
    """Members of all objects of `value`. Raises ValueError on a float and a large integer.

    The parser makes a float of every number with `.`, `e` or `E`.
    """
    count = 0
    values = [value]
    for item in values:  # grows as it is walked; a loop, because recursion costs more
        kind = type(item)
        if kind is str:
            continue
        if kind is dict:
            count += len(item)
            values.extend(item.values())
        elif kind is list:
            values.extend(item)
        elif kind is float:
            raise ValueError("not I-JSON: a number is not an integer")
        elif kind is int and not -INTEGER_MAX <= item <= INTEGER_MAX:
            raise ValueError("not I-JSON: an integer is beyond 2^53-1")
    return count
