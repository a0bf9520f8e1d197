"""The slow reference of `ledger.registry.evaluate`: a walk through the tree, straight from the text
of the specification (registry.md, section 4). Each node pays 1 when it is met, before all else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MAX = 2**53 - 1
Functions = dict[str, tuple[int, Callable[..., Any]]]


class No(Exception):
    """There is no value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Walker:
    """One evaluation."""

    def __init__(self, variables: dict[str, Any], functions: Functions, left: int) -> None:
        self.variables = variables
        self.functions = functions
        self.left = left

    def pay(self, cost: int) -> None:
        self.left -= cost
        if self.left < 0:
            raise No("EXPRESSION_COST")

    def weigh(self, value: Any) -> None:
        """A list or a map is paid for by its parts, and a text in it by its length."""
        if isinstance(value, str):
            self.pay(len(value) // 64)
        elif isinstance(value, list | dict):
            self.pay(len(value))
            for part in value.values() if isinstance(value, dict) else value:
                self.weigh(part)

    def truth(self, tree: list[Any]) -> bool:
        value = self.walk(tree)
        if not isinstance(value, bool):
            raise No("EXPRESSION_TYPE")
        return value

    def walk(self, tree: list[Any]) -> Any:
        """The value of a tree."""
        self.pay(1)
        match tree:
            case ["int" | "str" | "bool", value]:
                return value
            case ["null"]:
                return None
            case ["list", items]:
                return [self.walk(item) for item in items]
            case ["var", name]:
                return self._member(self.variables, name)
            case ["get", of, name]:
                return self._member(self._map(of), name)
            case ["has", of, name]:
                return self._map(of).get(name) is not None
            case ["call", name, arguments]:
                if name not in self.functions:
                    raise No("EXPRESSION_TYPE")
                cost, does = self.functions[name]
                self.pay(cost)
                return does(None, *[self.walk(argument) for argument in arguments])
            case ["not", of]:
                return not self.truth(of)
            case ["neg", of]:
                return _bounded(-_integer(self.walk(of)))
            case ["and", left, right]:
                return self.truth(left) and self.truth(right)
            case ["or", left, right]:
                return self.truth(left) or self.truth(right)
            case ["if", condition, then, otherwise]:
                return self.walk(then if self.truth(condition) else otherwise)
            case _:
                return self._binary(*tree)

    def _map(self, tree: list[Any]) -> dict[str, Any]:
        value = self.walk(tree)
        if not isinstance(value, dict):
            raise No("EXPRESSION_TYPE")
        return value

    def _member(self, of: dict[str, Any], name: str) -> Any:
        if name not in of:
            raise No("EXPRESSION_TYPE")
        return of[name]

    def _binary(self, operator: str, first: list[Any], second: list[Any]) -> Any:
        left, right = self.walk(first), self.walk(second)
        for value in (left, right):
            if isinstance(value, list | dict):
                self.weigh(value)
        match operator:
            case "==" | "!=":
                return _same(left, right) is (operator == "==")
            case "in" if isinstance(right, list):
                return any(_same(left, item) for item in right)
            case "in" if isinstance(right, dict) and isinstance(left, str):
                return left in right
            case "<" | "<=" | ">" | ">=":
                return _ordered(operator, left, right)
            case "+" if isinstance(left, str) and isinstance(right, str):
                if len(left + right) > 4_096:
                    raise No("EXPRESSION_OVERFLOW")
                return left + right
            case "in":
                raise No("EXPRESSION_TYPE")
            case _:
                return _arithmetic(operator, _integer(left), _integer(right))


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise No("EXPRESSION_TYPE")
    return value


def _bounded(value: int) -> int:
    if abs(value) > MAX:
        raise No("EXPRESSION_OVERFLOW")
    return value


def _same(left: Any, right: Any) -> bool:
    """Equal, and of one kind all the way down."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    return type(left) is type(right) and bool(left == right)


def _ordered(operator: str, left: Any, right: Any) -> bool:
    if not (isinstance(left, str) and isinstance(right, str)):
        _integer(left)
        _integer(right)
    less, equal = left < right, left == right
    return bool(
        {"<": less, "<=": less or equal, ">": not (less or equal), ">=": not less}[operator]
    )


def _arithmetic(operator: str, left: int, right: int) -> int:
    match operator:
        case "+":
            return _bounded(left + right)
        case "-":
            return _bounded(left - right)
        case "*":
            return _bounded(left * right)
        case _:
            return _divided(operator, left, right)


def _divided(operator: str, left: int, right: int) -> int:
    if right == 0:
        raise No("EXPRESSION_OVERFLOW")
    quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    return quotient if operator == "/" else left - quotient * right
