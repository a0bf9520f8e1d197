"""Evaluates compiled expressions: total, bounded, strict about types (registry.md, section 4).

Integers, strings, booleans, null, lists and maps; no floats, no loops. Every node costs, and what
reads the state costs more. A failure is a refusal with a stable reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from ledger.ids import INTEGER_MAX

Value: TypeAlias = Any
"""int, str, bool, None, list of values, or dict of str to value."""

TEXT_MAX: Final = 4_096
"""Longest text and list that an expression may make."""
_NESTED: Final = (list, dict)
"""`list | dict` would be built anew at each node."""


class ExpressionRefused(Exception):
    """The expression has no value; `reason` is EXPRESSION_TYPE, _OVERFLOW or _COST."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Meter:
    """What a transaction may still spend on expressions."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    @property
    def rest(self) -> int:
        """What is left, never below 0: beyond the limit no work was done."""
        return max(self.left, 0)

    def spend(self, cost: int) -> None:
        """Raises ExpressionRefused with EXPRESSION_COST when nothing is left."""
        self.left -= cost
        if self.left < 0:
            raise ExpressionRefused("EXPRESSION_COST", "the transaction costs too much")


def weigh(value: Value, meter: Meter) -> None:
    """Pay for a walk through a value: 1 for each part, 1 for each 64 characters.

    Raises ExpressionRefused with EXPRESSION_COST, before the walk that is paid for.
    """
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            meter.spend(len(part) // 64)
        elif isinstance(part, list | dict):
            meter.spend(len(part))
            waiting += part.values() if isinstance(part, dict) else part


Functions: TypeAlias = Mapping[str, tuple[int, Callable[..., Value]]]
"""Name -> (cost, implementation). The implementation takes the scope's view before the arguments,
checks them, and raises ExpressionRefused."""


class Scope:
    """Variables and functions that an expression sees."""

    __slots__ = ("functions", "meter", "variables", "view")

    def __init__(
        self,
        variables: Mapping[str, Value],
        functions: Functions,
        meter: Meter,
        view: Any = None,
    ) -> None:
        """`view` is what the functions read."""
        self.variables = variables
        self.functions = functions
        self.meter = meter
        self.view = view


def _type_error(detail: str) -> ExpressionRefused:
    return ExpressionRefused("EXPRESSION_TYPE", detail)


def evaluate(tree: list[Any], scope: Scope) -> Value:
    """The value of a compiled tree of checked shape. Raises ExpressionRefused."""
    meter = scope.meter
    meter.left -= 1  # as `spend`, without a call for each node
    if meter.left < 0:
        meter.spend(0)
    kind = tree[0]
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return simple(tree, scope)
    left = evaluate(tree[1], scope)
    right = evaluate(tree[2], scope)
    if isinstance(left, _NESTED):
        weigh(left, meter)
    if isinstance(right, _NESTED):
        weigh(right, meter)
    return _BINARY[kind](left, right)


def truth(tree: list[Any], scope: Scope) -> bool:
    """The value of a condition. Raises ExpressionRefused when it is not a boolean."""
    value = evaluate(tree, scope)
    if value is not True and value is not False:
        raise _type_error("a condition is not a boolean")
    return value


def _constant(tree: list[Any], scope: Scope) -> Value:
    return tree[1]


def _null(tree: list[Any], scope: Scope) -> Value:
    return None


def _list(tree: list[Any], scope: Scope) -> Value:
    return [evaluate(item, scope) for item in tree[1]]


def _variable(tree: list[Any], scope: Scope) -> Value:
    if tree[1] not in scope.variables:
        raise _type_error(f"no variable {tree[1]}")
    return scope.variables[tree[1]]


def _get(tree: list[Any], scope: Scope) -> Value:
    value = evaluate(tree[1], scope)
    if not isinstance(value, dict) or tree[2] not in value:
        raise _type_error(f"no field {tree[2]}")
    return value[tree[2]]


def _has(tree: list[Any], scope: Scope) -> Value:
    value = evaluate(tree[1], scope)
    if not isinstance(value, dict):
        raise _type_error("has() of something that has no fields")
    return value.get(tree[2]) is not None


def _call(tree: list[Any], scope: Scope) -> Value:
    function = scope.functions.get(tree[1])
    if function is None:
        raise _type_error(f"no function {tree[1]}")
    cost, implementation = function
    scope.meter.spend(cost)
    return implementation(scope.view, *[evaluate(argument, scope) for argument in tree[2]])


def _not(tree: list[Any], scope: Scope) -> Value:
    return not truth(tree[1], scope)


def _negative(tree: list[Any], scope: Scope) -> Value:
    return _integer(-_as_integer(evaluate(tree[1], scope)))


def _and(tree: list[Any], scope: Scope) -> Value:
    return truth(tree[1], scope) and truth(tree[2], scope)


def _or(tree: list[Any], scope: Scope) -> Value:
    return truth(tree[1], scope) or truth(tree[2], scope)


def _if(tree: list[Any], scope: Scope) -> Value:
    return evaluate(tree[2] if truth(tree[1], scope) else tree[3], scope)


def _as_integer(value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _type_error("want an integer")
    return value


def _integer(value: int) -> int:
    if not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise ExpressionRefused("EXPRESSION_OVERFLOW", "an integer is beyond 2^53-1")
    return value


def _same(left: Value, right: Value) -> bool:
    """Equality that never takes true for 1."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    return bool(left == right)


def _order(left: Value, right: Value) -> int:
    """-1, 0 or 1 for two integers or two texts (by code points)."""
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    first, second = _as_integer(left), _as_integer(right)
    return (first > second) - (first < second)


def _add(left: Value, right: Value) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > TEXT_MAX:
            raise ExpressionRefused("EXPRESSION_OVERFLOW", "a text is too long")
        return left + right
    return _integer(_as_integer(left) + _as_integer(right))


def _divide(left: Value, right: Value) -> int:
    """Truncates toward zero, as CEL does; Python's own rounds down."""
    dividend, divisor = _as_integer(left), _as_integer(right)
    if divisor == 0:
        raise ExpressionRefused("EXPRESSION_OVERFLOW", "division by zero")
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def _remainder(left: Value, right: Value) -> int:
    return _as_integer(left) - _divide(left, right) * _as_integer(right)


def _within(left: Value, right: Value) -> bool:
    if isinstance(right, list):
        return any(_same(left, item) for item in right)
    if isinstance(right, dict) and isinstance(left, str):
        return left in right
    raise _type_error("`in` wants a list")


_SIMPLE: Final[dict[str, Callable[[list[Any], Scope], Value]]] = {
    "int": _constant,
    "str": _constant,
    "bool": _constant,
    "null": _null,
    "list": _list,
    "var": _variable,
    "get": _get,
    "has": _has,
    "call": _call,
    "not": _not,
    "neg": _negative,
    "and": _and,
    "or": _or,
    "if": _if,
}
_BINARY: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "==": _same,
    "!=": lambda left, right: not _same(left, right),
    "<": lambda left, right: _order(left, right) < 0,
    "<=": lambda left, right: _order(left, right) <= 0,
    ">": lambda left, right: _order(left, right) > 0,
    ">=": lambda left, right: _order(left, right) >= 0,
    "+": _add,
    "-": lambda left, right: _integer(_as_integer(left) - _as_integer(right)),
    "*": lambda left, right: _integer(_as_integer(left) * _as_integer(right)),
    "/": _divide,
    "%": _remainder,
    "in": _within,
}
OPERATORS: Final = frozenset(_BINARY)
"""Names of the binary operators of a compiled tree."""
