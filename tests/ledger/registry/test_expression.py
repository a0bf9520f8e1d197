"""Expressions: precedence, types, overflow, cost; compared with a naive interpreter."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.ids import INTEGER_MAX
from ledger.registry.evaluate import evaluate, truth
from ledger.registry.meter import ExpressionRefused, Meter
from ledger.registry.piece import Functions
from ledger.registry.syntax import ExpressionError, parse
from tests.ledger.registry.scopes import scope

NO_FUNCTIONS: Functions = {}


def value_of(source: str, limit: int = 1_000, **variables: Any) -> Any:
    functions = {"size": (1, lambda _, x: len(x)), "state_of": (10, lambda _, r: "open")}
    return evaluate(parse(source), scope(variables, functions, Meter(limit)))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("7 / -2", -3),
        ("2 - 3 - 4", -5),
        ("!false && 1 < 2", True),
        ("true || 1 / 0 == 1", True),
        ("false ? 1 / 0 : 5", 5),
        ("data.amount >= 10 && data.purpose == 'roads'", True),
        ("'a' in ['a', 'b']", True),
        ("1 in [true]", False),
        ("has(data.missing)", False),
        ("has(data.amount)", True),
        ("size([1, 2]) == 2", True),
        ('state_of(data.purpose) == "open"', True),
        ("null == null", True),
        ("1 == true", False),
        (r"'it\'s' == " + '"it\'s"', True),
        ("'a' + 'b'", "ab"),
    ],
)
def test_values(source: str, expected: Any) -> None:
    result = value_of(source, data={"amount": 10, "purpose": "roads"})
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 + true", "EXPRESSION_TYPE"),
        ("1 < 'a'", "EXPRESSION_TYPE"),
        ("unknown", "EXPRESSION_TYPE"),
        ("nothing(1)", "EXPRESSION_TYPE"),
        ("data.missing", "EXPRESSION_TYPE"),
        ("!1", "EXPRESSION_TYPE"),
        ("1 && true", "EXPRESSION_TYPE"),
        ("1 in 2", "EXPRESSION_TYPE"),
        ("1 / 0", "EXPRESSION_OVERFLOW"),
        ("1 % 0", "EXPRESSION_OVERFLOW"),
        (f"{INTEGER_MAX} + 1", "EXPRESSION_OVERFLOW"),
        (f"-{INTEGER_MAX} - 1", "EXPRESSION_OVERFLOW"),
        (f"{INTEGER_MAX} * 2", "EXPRESSION_OVERFLOW"),
    ],
)
def test_refusals(source: str, reason: str) -> None:
    with pytest.raises(ExpressionRefused) as refused:
        value_of(source, data={})
    assert refused.value.reason == reason


def test_cost_is_bounded() -> None:
    with pytest.raises(ExpressionRefused) as refused:
        value_of("state_of('a') == state_of('b')", limit=20)
    assert refused.value.reason == "EXPRESSION_COST"


def test_a_condition_must_be_a_boolean() -> None:
    with pytest.raises(ExpressionRefused):
        truth(parse("1"), scope({}, NO_FUNCTIONS, Meter(10)))


@pytest.mark.parametrize(
    "source",
    [
        "",
        "1 +",
        "1 < 2 < 3",
        "(1",
        "[1",
        "f(1",
        "a.",
        "a.1",
        "1 2",
        "#",
        "'open",
        "1.5",
        "has(1)",
        "in",
        "a ? b",
        str(INTEGER_MAX + 1),
        "9" * 40,
        "(" * 100 + "1" + ")" * 100,
        "!" * 100 + "true",
        "1+" * 2_000 + "1",
    ],
)
def test_bad_syntax_says_where(source: str) -> None:
    with pytest.raises(ExpressionError, match="character"):
        parse(source)


_leaves = st.one_of(st.integers(-9, 9).map(str), st.sampled_from(["true", "false"]))


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(["+", "-", "*", "<", "==", "&&", "||", ">="])
    return st.one_of(
        st.tuples(inner, operator, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda text: f"(!{text})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} ? {t[1]} : {t[2]})"),
    )


def naive(tree: list[Any]) -> Any:
    """Straight from the text of the specification; TypeError where it refuses."""
    kind = tree[0]
    if kind in ("int", "bool"):
        return tree[1]
    if kind == "neg":
        return -naive(tree[1])
    if kind == "if":
        condition = naive(tree[1])
        if type(condition) is not bool:
            raise TypeError
        return naive(tree[2]) if condition else naive(tree[3])
    if kind == "not":
        value = naive(tree[1])
        if type(value) is not bool:
            raise TypeError
        return not value
    left = naive(tree[1])
    if kind in ("and", "or"):
        if type(left) is not bool:
            raise TypeError
        if left is (kind == "or"):
            return left
        right = naive(tree[2])
        if type(right) is not bool:
            raise TypeError
        return right
    right = naive(tree[2])
    if kind == "==":
        return type(left) is type(right) and left == right
    if type(left) is not int or type(right) is not int:
        raise TypeError
    results = {"+": left + right, "-": left - right, "*": left * right, "<": left < right}
    return results.get(kind, left >= right)


@settings(max_examples=400, deadline=None)
@given(st.recursive(_leaves, _nested, max_leaves=8))
def test_agrees_with_a_naive_interpreter(source: str) -> None:
    tree = parse(source)
    try:
        expected = naive(tree)
    except TypeError:
        with pytest.raises(ExpressionRefused):
            evaluate(tree, scope({}, NO_FUNCTIONS, Meter(10_000)))
        return
    result = evaluate(tree, scope({}, NO_FUNCTIONS, Meter(10_000)))
    assert result == expected
    assert type(result) is type(expected)
