"""Expressions as code say what a walk through the tree says, at the same price."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ledger.registry.evaluate import evaluate
from ledger.registry.meter import ExpressionRefused, Meter
from ledger.registry.operators import OPERATORS
from tests.ledger.registry.scopes import scope
from tests.ledger.registry.walker import Functions, No, Walker

DATA: dict[str, Any] = {
    "amount": 10,
    "name": "x" * 130,
    "flag": True,
    "names": ["a", "b", 1, True, None, ["a"]],
    "map": {"a": 1, "b": {"c": "d" * 70}},
}
VARIABLES: dict[str, Any] = {
    "data": DATA,
    "now": 1_700_000_000,
    "me": "ann",
    "signers": ["ann"],
    "state": "open",
}


def refuse(error: type[Exception]) -> Functions:
    """Functions that refuse with this error."""

    def fussy(_: Any, value: Any) -> Any:
        if not isinstance(value, str):
            raise (
                error("EXPRESSION_TYPE")
                if error is No
                else ExpressionRefused("EXPRESSION_TYPE", "")
            )
        return value

    return {
        "nothing": (3, lambda _: None),
        "size": (1, lambda _, value: len(value) if isinstance(value, str | list) else 0),
        "fussy": (5, fussy),
        "pair": (7, lambda _, first, second: [first, second]),
        "three": (2, lambda _, a, b, c: [a, b, c]),
    }


_leaves: st.SearchStrategy[list[Any]] = st.one_of(
    st.integers(-3, 3).map(lambda n: ["int", n]),
    st.sampled_from([2**53 - 1, -(2**53 - 1)]).map(lambda n: ["int", n]),
    st.sampled_from(["", "a", "b", "z" * 4_096]).map(lambda s: ["str", s]),
    st.booleans().map(lambda b: ["bool", b]),
    st.just(["null"]),
    st.sampled_from([*VARIABLES, "lost"]).map(lambda name: ["var", name]),
    st.sampled_from([*DATA, "lost"]).map(lambda name: ["get", ["var", "data"], name]),
    st.sampled_from([*DATA, "lost"]).map(lambda name: ["has", ["var", "data"], name]),
)


def _nested(inner: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[Any]]:
    calls = {"nothing": 0, "size": 1, "fussy": 1, "pair": 2, "three": 3, "lost": 1}
    return st.one_of(
        st.tuples(st.sampled_from([*OPERATORS, "and", "or"]), inner, inner).map(list),
        st.tuples(st.sampled_from(["==", "<", "+", "in"]), inner, _leaves).map(list),
        st.tuples(st.just("if"), inner, inner, inner).map(list),
        st.tuples(st.sampled_from(["not", "neg"]), inner).map(list),
        st.tuples(st.sampled_from(["get", "has"]), inner, st.sampled_from(["a", "b"])).map(list),
        st.lists(inner, max_size=3).map(lambda items: ["list", items]),
        st.sampled_from(list(calls)).flatmap(
            lambda name: st.lists(inner, min_size=calls[name], max_size=calls[name]).map(
                lambda items: ["call", name, items]
            )
        ),
    )


TREES = st.recursive(_leaves, _nested, max_leaves=10)


def _outcomes(tree: list[Any], limit: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """(what evaluation came to, what is left) of a walk, and of the program."""
    walker = Walker(VARIABLES, refuse(No), limit)
    try:
        walked: Any = ("value", repr(walker.walk(tree)))
    except No as no:
        walked = ("refused", no.reason)
    meter = Meter(limit)
    seen = scope(VARIABLES, refuse(ExpressionRefused), meter)
    try:
        run: Any = ("value", repr(evaluate(tree, seen)))
    except ExpressionRefused as refused:
        run = ("refused", refused.reason)
    return (*walked, max(walker.left, 0)), (*run, meter.rest)


@settings(max_examples=1_500, deadline=None)
@given(TREES, st.one_of(st.integers(0, 40), st.just(10_000)))
def test_agrees_with_a_walk(tree: list[Any], limit: int) -> None:
    walked, run = _outcomes(tree, limit)
    event(str(walked[:2] if walked[0] == "refused" else "value"))
    assert run == walked


def test_at_every_price_of_every_kind_of_node() -> None:
    """Each budget from nothing to enough: whoever pays too early, late or twice differs in one."""
    data = ["get", ["var", "data"], "amount"]
    lost = ["get", ["var", "data"], "lost"]
    trees: list[list[Any]] = [
        ["==", data, ["int", 10]],
        ["==", lost, ["int", 10]],
        ["==", ["int", 10], lost],
        ["!=", ["get", ["var", "data"], "names"], ["get", ["var", "data"], "map"]],
        ["+", ["int", 1], ["+", ["int", 2], lost]],
        ["+", lost, ["call", "pair", [["int", 1], lost]]],
        ["list", [["int", 1], ["str", "a"], lost, ["int", 2]]],
        ["call", "three", [["int", 1], data, ["int", 3]]],
        ["call", "three", [data, lost, ["int", 3]]],
        ["call", "fussy", [["int", 1]]],
        ["call", "fussy", [["call", "fussy", [["str", "a"]]]]],
        ["call", "lost", [["int", 1]]],
        ["call", "nothing", []],
        ["and", ["has", ["var", "data"], "amount"], ["<", data, ["str", "a"]]],
        ["or", ["not", ["bool", True]], ["in", ["str", "a"], ["get", ["var", "data"], "names"]]],
        ["if", ["==", data, ["int", 9]], lost, ["neg", data]],
        ["if", data, ["int", 1], ["int", 2]],
        ["get", ["get", ["var", "data"], "map"], "b"],
        ["has", ["var", "lost"], "b"],
        ["/", data, ["int", 0]],
    ]
    seen: Counter[str] = Counter()
    for tree in trees:
        for limit in range(40):
            walked, run = _outcomes(tree, limit)
            assert run == walked, (tree, limit)
            seen[str(walked[1]) if walked[0] == "refused" else "value"] += 1
    assert min(seen[reason] for reason in ("value", "EXPRESSION_TYPE", "EXPRESSION_COST")) > 50


def test_a_tree_is_known_by_what_it_is_and_not_by_where_it_lay() -> None:
    """Trees come and go at the same addresses."""
    seen = scope({}, {}, Meter(100_000))
    for number in range(20_000):
        assert evaluate(["+", ["int", number], ["int", 1]], seen) == number + 1
        seen.meter.left = 100


@pytest.mark.parametrize("operator", list(OPERATORS))
def test_every_operator_on_every_pair_of_kinds(operator: str) -> None:
    values = [["int", 7], ["int", -7], ["str", "a"], ["bool", True], ["null"], ["int", 0]]
    values += [["list", [["int", 7]]], ["get", ["var", "data"], "map"], ["var", "lost"]]
    for left in values:
        for right in values:
            walked, run = _outcomes([operator, left, right], 1_000)
            assert run == walked, (operator, left, right)
