"""Values of expressions in the second interpreter (see tests/services/reference.py)."""

from __future__ import annotations

from typing import Any

from tests.services.reference_rules import Refusing, Rules

LIMIT = 2**53 - 1


class Values(Rules):
    """registry.md, section 4."""

    def _scope(
        self, value: dict[str, Any], given: dict[str, Any], signers: list[str]
    ) -> dict[str, Any]:
        return {
            "data": value["data"],
            "input": given,
            "now": self.now,
            "me": signers[0] if signers else "",
            "signers": list(signers),
            "id": value["id"],
            "state": value["state"],
        }

    def _value(self, tree: list[Any], scope: dict[str, Any]) -> Any:
        kind = tree[0]
        if kind in ("int", "str", "bool"):
            return tree[1]
        if kind == "null":
            return None
        if kind == "list":
            return [self._value(item, scope) for item in tree[1]]
        if kind == "var":
            return scope[tree[1]]
        if kind in ("get", "has"):
            owner = self._value(tree[1], scope)
            if type(owner) is not dict:
                raise Refusing
            if kind == "has":
                return owner.get(tree[2]) is not None
            if tree[2] not in owner:
                raise Refusing
            return owner[tree[2]]
        if kind == "call":
            return self._call(tree[1], [self._value(a, scope) for a in tree[2]], scope)
        if kind in ("and", "or", "not", "if"):
            return self._lazy(tree, scope)
        if kind == "neg":
            return self._number(-self._integer(self._value(tree[1], scope)))
        return self._binary(kind, self._value(tree[1], scope), self._value(tree[2], scope))

    def _lazy(self, tree: list[Any], scope: dict[str, Any]) -> Any:
        first = self._value(tree[1], scope)
        if type(first) is not bool:
            raise Refusing
        if tree[0] == "not":
            return not first
        if tree[0] == "if":
            return self._value(tree[2] if first else tree[3], scope)
        if first is (tree[0] == "or"):
            return first
        second = self._value(tree[2], scope)
        if type(second) is not bool:
            raise Refusing
        return second

    @staticmethod
    def _integer(value: Any) -> int:
        if type(value) is not int:
            raise Refusing
        return value

    @staticmethod
    def _number(value: int) -> int:
        if abs(value) > LIMIT:
            raise Refusing
        return value

    def _binary(self, kind: str, left: Any, right: Any) -> Any:
        if kind in ("==", "!="):
            return (type(left) is type(right) and left == right) == (kind == "==")
        if kind == "in":
            if type(right) is not list:
                raise Refusing
            return any(type(item) is type(left) and item == left for item in right)
        if type(left) is str and type(right) is str:
            texts = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
            if kind == "+":
                return left + right
            if kind not in texts:
                raise Refusing
            return texts[kind]
        one, two = self._integer(left), self._integer(right)
        if kind in ("/", "%"):
            if two == 0:
                raise Refusing
            quotient = abs(one) // abs(two) * (1 if (one < 0) == (two < 0) else -1)
            return quotient if kind == "/" else one - quotient * two
        results = {
            "+": one + two, "-": one - two, "*": one * two,
            "<": one < two, "<=": one <= two, ">": one > two, ">=": one >= two,
        }  # fmt: skip
        result = results[kind]
        return result if type(result) is bool else self._number(result)
