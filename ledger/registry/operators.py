"""Binary operators of expressions: strict about types, no result beyond +-(2^53-1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ledger.ids import INTEGER_MAX
from ledger.registry.meter import ExpressionRefused, Value

TEXT_MAX: Final = 4_096
"""Longest text that an expression may make."""


_ORDERED: Final = (int, str)


def type_error(detail: str) -> ExpressionRefused:
    """EXPRESSION_TYPE, to raise."""
    return ExpressionRefused("EXPRESSION_TYPE", detail)


def as_integer(value: Value) -> int:
    """The value itself. Raises ExpressionRefused when it is no integer; true is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise type_error("want an integer")
    return value


def bounded(value: int) -> int:
    """The value itself. Raises ExpressionRefused with EXPRESSION_OVERFLOW."""
    if not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise ExpressionRefused("EXPRESSION_OVERFLOW", "an integer is beyond 2^53-1")
    return value


def same(left: Value, right: Value) -> bool:
    """Equality that never takes true for 1."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    return bool(left == right)


def _order(left: Value, right: Value) -> int:
    """-1, 0 or 1 for two integers or two texts (by code points)."""
    alike = type(left) is type(right) and type(left) in _ORDERED
    if not alike and not (isinstance(left, str) and isinstance(right, str)):
        as_integer(left)
        as_integer(right)
    return int(left > right) - int(left < right)


def _add(left: Value, right: Value) -> Value:
    if type(left) is int and type(right) is int:
        return bounded(left + right)
    if isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > TEXT_MAX:
            raise ExpressionRefused("EXPRESSION_OVERFLOW", "a text is too long")
        return left + right
    return bounded(as_integer(left) + as_integer(right))


def _divide(left: Value, right: Value) -> int:
    """Truncates toward zero, as CEL does; Python's own rounds down."""
    dividend, divisor = as_integer(left), as_integer(right)
    if divisor == 0:
        raise ExpressionRefused("EXPRESSION_OVERFLOW", "division by zero")
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def _remainder(left: Value, right: Value) -> int:
    return as_integer(left) - _divide(left, right) * as_integer(right)


def _within(left: Value, right: Value) -> bool:
    if isinstance(right, list):
        return any(same(left, item) for item in right)
    if isinstance(right, dict) and isinstance(left, str):
        return left in right
    raise type_error("`in` wants a list")


OPERATORS: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "==": same,
    "!=": lambda left, right: not same(left, right),
    "<": lambda left, right: _order(left, right) < 0,
    "<=": lambda left, right: _order(left, right) <= 0,
    ">": lambda left, right: _order(left, right) > 0,
    ">=": lambda left, right: _order(left, right) >= 0,
    "+": _add,
    "-": lambda left, right: bounded(as_integer(left) - as_integer(right)),
    "*": lambda left, right: bounded(as_integer(left) * as_integer(right)),
    "/": _divide,
    "%": _remainder,
    "in": _within,
}
