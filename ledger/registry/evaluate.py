"""Evaluates compiled expressions: total, bounded, strict about types (registry.md, section 4).

Integers, strings, booleans, null, lists and maps; no floats, no loops. Every node costs, and what
reads the state costs more. A failure is a refusal with a stable reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ledger.registry.code import expression
from ledger.registry.definition import Transition, Type
from ledger.registry.meter import Value
from ledger.registry.operators import type_error
from ledger.registry.piece import Functions, Run


class Plan(msgspec.Struct):
    """What a transition of a record type does, as programs."""

    kind: Type
    transition: Transition
    guards: Run | None
    """Takes the scope. The name of the first guard that does not hold, or None; raises Refused when
    one has no value."""
    changed: tuple[str, ...] | None
    """The fields that the effects set, in the definition's order; None when that depends."""
    effects: Callable[[Any, Any], None] | None = None
    """Takes the scope and the change (`ledger.registry.effects`). Raises Refused, and
    ExpressionRefused when a value has none. None until the guards have held."""


class Programs:
    """What the trees and transitions of a definition became, by their identity. They are kept with
    it: nothing else can have that identity then."""

    __slots__ = ("plans", "trees")

    def __init__(self) -> None:
        self.trees: dict[int, tuple[list[Any], Run]] = {}
        self.plans: dict[tuple[int, int], Plan] = {}
        """By type and transition."""


class Evaluating(Protocol):
    """The part of a scope that programs do not see."""

    @property
    def programs(self) -> Programs:
        """Kept by whoever keeps the trees."""
        ...

    @property
    def functions(self) -> Functions:
        """What expressions may call; always the same with the same programs."""
        ...


def evaluate(tree: list[Any], scope: Evaluating) -> Value:
    """The value of a compiled tree of checked shape, which nobody changes. Raises ExpressionRefused
    with EXPRESSION_TYPE, EXPRESSION_OVERFLOW or EXPRESSION_COST."""
    trees = scope.programs.trees
    known = trees.get(id(tree))
    if known is None:
        known = trees[id(tree)] = (tree, expression(tree, scope.functions))
    return known[1](scope)


def truth(tree: list[Any], scope: Evaluating) -> bool:
    """The value of a condition. Raises ExpressionRefused when it is not a boolean."""
    value = evaluate(tree, scope)
    if value is not True and value is not False:
        raise type_error("a condition is not a boolean")
    return value
