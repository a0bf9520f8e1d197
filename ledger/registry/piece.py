"""What all generated code shares: the code of a node, and what it may use of Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ledger.registry.meter import ExpressionRefused, Meter, Value, weigh
from ledger.registry.operators import type_error

Functions: TypeAlias = Mapping[str, tuple[int, Callable[..., Value]]]
"""Name -> (cost, implementation). The implementation takes the scope before the arguments, checks
them, and raises ExpressionRefused."""
Run: TypeAlias = Callable[[Any], Any]
"""A program: it takes a scope (`ledger.registry.scope.Scope`, or what has its attributes)."""

VARIABLES: Final[Mapping[str, str]] = {
    "data": "data",
    "input": "given",
    "now": "now",
    "me": "me",
    "signers": "signers",
    "id": "id",
    "state": "state",
}
"""Variable -> attribute of the scope."""


def _operate(
    operator: Callable[[Value, Value], Value], left: Value, right: Value, meter: Meter
) -> Value:
    """A binary operator on values of any kind; lists and maps are paid for by their size."""
    if type(left) is list or type(left) is dict:
        weigh(left, meter)
    if type(right) is list or type(right) is dict:
        weigh(right, meter)
    return operator(left, right)


_NAMES: Final[Mapping[str, Any]] = {
    "type": type,
    "int": int,
    "str": str,
    "list": list,
    "dict": dict,
    "KeyError": KeyError,
    "TypeError": TypeError,
    "operate": _operate,
    "no_field": lambda name: type_error(f"no field {name}"),
    "no_fields": lambda: type_error("has() of something that has no fields"),
    "no_name": lambda name: type_error(f"no variable or function {name}"),
    "not_boolean": lambda: type_error("a condition is not a boolean"),
    "not_integer": lambda: type_error("want an integer"),
    "beyond": lambda: ExpressionRefused("EXPRESSION_OVERFLOW", "an integer is beyond 2^53-1"),
}
RUNTIME: Final[Mapping[str, Any]] = {"__builtins__": dict(_NAMES)}
"""Every name that generated code may use besides its own: in the place of Python's built-ins, so
that all programs share them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The code of a node."""

    cost: int
    """To be paid before the lines run: the node itself, and those below that run before anything
    can fail."""
    lines: tuple[str, ...]
    value: str
    """A name or a number: what the node is worth once its lines have run."""
    kind: str = ""
    """int, str, bool, null or list, where the code knows it."""
    sure: bool = False
    """Whether the lines can neither fail nor pay."""
    number: int | None = None
    """The value, of an integer that the code knows."""


def indented(lines: Sequence[str]) -> tuple[str, ...]:
    """Lines one level deeper."""
    return tuple("    " + line for line in lines)


def payment(cost: int) -> tuple[str, ...]:
    """Pay before what follows."""
    return (f"m.left -= {cost}", "if m.left < 0: m.spend(0)") if cost else ()
