"""Evaluates compiled expressions: total, bounded, strict about types (registry.md, section 4).

Integers, strings, booleans, null, lists and maps; no floats, no loops. Every node costs, and what
reads the state costs more. A failure is a refusal with a stable reason.

A tree becomes nested functions when it is first run, and is run many times. A node pays before it
does anything; nodes between which nothing can fail pay together, so that each refusal comes with
the reason, and at the price, that node by node it would have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from ledger.registry.meter import Meter, Value, weigh
from ledger.registry.operators import OPERATORS, as_integer, bounded, type_error

Functions: TypeAlias = Mapping[str, tuple[int, Callable[..., Value]]]
"""Name -> (cost, implementation). The implementation takes the scope's view before the arguments,
checks them, and raises ExpressionRefused."""


class Scope:
    """Variables and functions that an expression sees."""

    __slots__ = ("functions", "meter", "programs", "variables", "view")

    def __init__(
        self,
        variables: Mapping[str, Value],
        functions: Functions,
        meter: Meter,
        view: Any = None,
        programs: Programs | None = None,
    ) -> None:
        """`view` is what the functions read. `programs`: what trees became, kept by whoever keeps
        the trees."""
        self.variables = variables
        self.functions = functions
        self.meter = meter
        self.view = view
        self.programs: Programs = {} if programs is None else programs


_Run: TypeAlias = Callable[[Scope], Value]
_Node: TypeAlias = tuple[int, _Run]
"""What must be paid before the node runs (itself, and those below that run before anything can
fail), and what it does then."""

Programs: TypeAlias = dict[int, tuple[list[Any], int, _Run]]
"""Trees as functions, by identity of a tree, which is kept with them: no other tree can have that
identity then."""


def evaluate(tree: list[Any], scope: Scope) -> Value:
    """The value of a compiled tree of checked shape, which nobody changes. Raises ExpressionRefused
    with EXPRESSION_TYPE, EXPRESSION_OVERFLOW or EXPRESSION_COST."""
    known = scope.programs.get(id(tree))
    if known is None:
        known = scope.programs[id(tree)] = (tree, *_node(tree))
    _, cost, run = known
    meter = scope.meter
    meter.left -= cost  # as `spend`, without a call
    if meter.left < 0:
        meter.spend(0)
    return run(scope)


def truth(tree: list[Any], scope: Scope) -> bool:
    """The value of a condition. Raises ExpressionRefused when it is not a boolean."""
    return _as_truth(evaluate(tree, scope))


def _as_truth(value: Value) -> bool:
    if value is not True and value is not False:
        raise type_error("a condition is not a boolean")
    return value


def _node(tree: list[Any]) -> _Node:
    """A tree as a function."""
    make = _NODES.get(tree[0])
    return _binary(tree) if make is None else make(tree)


class _Later:
    """A branch that may never run: it becomes functions when it first does, since until then
    nobody has paid for its nodes."""

    __slots__ = ("_node", "_tree")

    def __init__(self, tree: list[Any]) -> None:
        self._tree = tree
        self._node: _Node | None = None

    def run(self, scope: Scope) -> Value:
        """Pay for the branch, and run it."""
        if self._node is None:
            self._node = _node(self._tree)
        cost, run = self._node
        scope.meter.spend(cost)
        return run(scope)


def _is_constant(tree: list[Any]) -> bool:
    """Whether its evaluation can neither fail nor be seen, once it is paid for."""
    return tree[0] in _CONSTANTS


def _arguments(trees: Sequence[list[Any]]) -> tuple[int, tuple[_Node, ...]]:
    """Trees that run one after the other: what is paid before the first, and each with what is
    paid between the one before it and itself."""
    first, nodes, certain = 0, [], True
    for tree in trees:
        cost, run = _node(tree)
        if certain:
            first, cost = first + cost, 0
        nodes.append((cost, run))
        certain = certain and _is_constant(tree)
    return first, tuple(nodes)


def _values(nodes: tuple[_Node, ...], scope: Scope) -> list[Value]:
    values = []
    for cost, run in nodes:
        if cost:
            scope.meter.spend(cost)
        values.append(run(scope))
    return values


def _constant(tree: list[Any]) -> _Node:
    value = tree[1] if len(tree) > 1 else None
    return 1, lambda scope: value


def _list(tree: list[Any]) -> _Node:
    cost, items = _arguments(tree[1])
    return 1 + cost, lambda scope: _values(items, scope)


def _variable(tree: list[Any]) -> _Node:
    name = tree[1]

    def run(scope: Scope) -> Value:
        try:
            return scope.variables[name]
        except KeyError:
            raise type_error(f"no variable {name}") from None

    return 1, run


def _get(tree: list[Any]) -> _Node:
    name = tree[2]
    if tree[1][0] == "var":
        return _get_of_variable(tree[1][1], name)
    cost, inner = _node(tree[1])

    def run(scope: Scope) -> Value:
        value = inner(scope)
        if type(value) is not dict or name not in value:
            raise type_error(f"no field {name}")
        return value[name]

    return 1 + cost, run


def _get_of_variable(variable: str, name: str) -> _Node:
    """A field of a variable: what most expressions are about."""

    def run(scope: Scope) -> Value:
        value = scope.variables.get(variable)
        if type(value) is not dict or name not in value:
            raise type_error(f"no {variable}.{name}")
        return value[name]

    return 2, run


def _has(tree: list[Any]) -> _Node:
    cost, inner = _node(tree[1])
    name = tree[2]

    def run(scope: Scope) -> Value:
        value = inner(scope)
        if type(value) is not dict:
            raise type_error("has() of something that has no fields")
        return value.get(name) is not None

    return 1 + cost, run


def _call(tree: list[Any]) -> _Node:
    name = tree[1]
    first, arguments = _arguments(tree[2])

    def run(scope: Scope) -> Value:
        function = scope.functions.get(name)
        if function is None:
            raise type_error(f"no function {name}")
        cost, implementation = function
        scope.meter.spend(cost + first)
        return implementation(scope.view, *_values(arguments, scope))

    return 1, run


def _not(tree: list[Any]) -> _Node:
    cost, inner = _node(tree[1])
    return 1 + cost, lambda scope: not _as_truth(inner(scope))


def _negative(tree: list[Any]) -> _Node:
    cost, inner = _node(tree[1])
    return 1 + cost, lambda scope: bounded(-as_integer(inner(scope)))


def _and(tree: list[Any]) -> _Node:
    cost, left = _node(tree[1])
    right = _Later(tree[2])

    def run(scope: Scope) -> Value:
        return _as_truth(left(scope)) and _as_truth(right.run(scope))

    return 1 + cost, run


def _or(tree: list[Any]) -> _Node:
    cost, left = _node(tree[1])
    right = _Later(tree[2])

    def run(scope: Scope) -> Value:
        return _as_truth(left(scope)) or _as_truth(right.run(scope))

    return 1 + cost, run


def _if(tree: list[Any]) -> _Node:
    cost, condition = _node(tree[1])
    then, otherwise = _Later(tree[2]), _Later(tree[3])

    def run(scope: Scope) -> Value:
        return (then if _as_truth(condition(scope)) else otherwise).run(scope)

    return 1 + cost, run


def _binary(tree: list[Any]) -> _Node:
    operator = OPERATORS[tree[0]]
    cost, left = _node(tree[1])
    further, right = _node(tree[2])
    if _is_constant(tree[1]):
        cost, further = cost + further, 0

    def run(scope: Scope) -> Value:
        meter = scope.meter
        first = left(scope)
        meter.left -= further
        if meter.left < 0:
            meter.spend(0)
        second = right(scope)
        if type(first) is list or type(first) is dict:
            weigh(first, meter)
        if type(second) is list or type(second) is dict:
            weigh(second, meter)
        return operator(first, second)

    return 1 + cost, run


_CONSTANTS: Final = frozenset(("int", "str", "bool", "null"))
_NODES: Final[dict[str, Callable[[list[Any]], _Node]]] = {
    "int": _constant,
    "str": _constant,
    "bool": _constant,
    "null": _constant,
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
