"""Transitions as code do what their guards and effects say one by one, at the same price."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ledger.registry.act import Refused
from ledger.registry.definition import (
    CancelEffect,
    Effect,
    IfEffect,
    SetEffect,
    TimerEffect,
    Transition,
    Type,
)
from ledger.registry.fields import CodeField, IntegerField, ListField
from ledger.registry.meter import ExpressionRefused, Meter
from ledger.registry.plan import effects_of, plan
from tests.ledger.registry.scopes import scope
from tests.ledger.registry.test_walker import DATA, TREES, VARIABLES, refuse
from tests.ledger.registry.walker import MAX, No, Walker

FIELDS: dict[str, Any] = {
    "first": IntegerField(required=False),
    "list": ListField(required=False),
    "name": CodeField(required=False),
    "last": IntegerField(required=False),
}
KIND = Type(fields=FIELDS, states=("open",), transitions={})
NOW = VARIABLES["now"]


class Refusal(Exception):
    """A refusal, with what it names."""


class Slow:
    """Guards and effects one after the other, straight from the specification (registry.md, 6)."""

    def __init__(self, left: int, effects_left: int) -> None:
        self.data: dict[str, Any] = deepcopy(DATA)
        self.walker = Walker({**VARIABLES, "data": self.data}, refuse(No), left)
        self.effects_left = effects_left
        self.timers = {"gone": 5, "kept": 6}

    def run(self, transition: Transition) -> None:
        """Raises Refusal."""
        for name, tree in transition.guards:
            try:
                holds = self.walker.truth(tree)
            except No as no:
                raise Refusal(no.reason, name) from None
            if not holds:
                raise Refusal("GUARD_FAILED", name)
        try:
            self.effects(transition.effects)
        except No as no:
            raise Refusal(no.reason) from None

    def effects(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            self.effects_left -= 1
            if self.effects_left < 0:
                raise Refusal("TOO_MANY_EFFECTS")
            match effect:
                case SetEffect(field, value):
                    self.set(field, self.walker.walk(value))
                case TimerEffect(name, at):
                    due = self.walker.walk(at)
                    if isinstance(due, bool) or not isinstance(due, int) or not 0 <= due <= MAX:
                        raise Refusal("EXPRESSION_TYPE")
                    self.timers[name] = max(due, NOW)
                case CancelEffect(name):
                    self.timers.pop(name, None)
                case IfEffect(when, then):
                    if self.walker.truth(when):
                        self.effects(then)
                case _:
                    raise AssertionError(effect)

    def set(self, field: str, value: Any) -> None:
        plain = (int, str, bool, type(None))
        if isinstance(FIELDS[field], ListField) and value is not None:
            fitting = isinstance(value, list) and all(isinstance(item, plain) for item in value)
        else:
            fitting = isinstance(value, plain)
        if not fitting:
            raise Refusal("DATA_INVALID", field)
        self.data.pop(field, None)
        if value is not None:
            self.data[field] = value


def slow(transition: Transition, left: int, effects_left: int) -> tuple[Any, ...]:
    """What became of it, and what is left."""
    run = Slow(left, effects_left)
    try:
        run.run(transition)
    except Refusal as refusal:
        return refusal.args, max(run.walker.left, 0), max(run.effects_left, 0)
    data = sorted((name, repr(value)) for name, value in run.data.items())
    return data, run.timers, run.walker.left, run.effects_left


def fast(transition: Transition, left: int, effects_left: int) -> tuple[Any, ...]:
    """The same of the programs."""
    meter, data = Meter(left), deepcopy(DATA)
    seen = scope({**VARIABLES, "data": data}, refuse(ExpressionRefused), meter)
    act = SimpleNamespace(effects_left=effects_left, now=NOW)
    timers = {"gone": 5, "kept": 6}
    change = SimpleNamespace(act=act, record={"timers": timers}, changed=set())
    made = plan(KIND, transition, seen.functions)
    changed = made.changed
    try:
        failing = None if made.guards is None else made.guards(seen)
        if failing is not None:
            return ("GUARD_FAILED", failing), meter.rest, effects_left
        effects_of(KIND, transition, seen.functions, {})(seen, change)
    except (Refused, ExpressionRefused) as refused:
        named = getattr(refused, "results", ())
        args = (refused.reason, *(value for result in named for value in result.values()))
        return args, meter.rest, max(act.effects_left, 0)
    told = change.changed if changed is None else set(changed)
    assert told >= {name for name in FIELDS if data.get(name) != DATA.get(name)}
    assert changed is None or list(changed) == [name for name in FIELDS if name in told]
    return (
        sorted((name, repr(value)) for name, value in data.items()),
        timers,
        meter.left,
        act.effects_left,
    )


def _seldom(one: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One in eight."""
    return st.integers(0, 7).flatmap(lambda n: one if n == 7 else other)


_names = st.sampled_from(list(FIELDS))
_fitting = st.sampled_from(
    [
        ["int", 4],
        ["null"],
        ["var", "me"],
        ["get", ["var", "data"], "amount"],
        ["+", ["get", ["var", "data"], "amount"], ["int", 1]],
        ["if", ["has", ["var", "data"], "lost"], ["null"], ["bool", True]],
        ["call", "size", [["str", "abc"]]],
    ]
)
_lists = st.sampled_from([["list", []], ["list", [["var", "me"], ["int", 1]]], ["var", "signers"]])
_values = _seldom(TREES, _seldom(_lists, _fitting))
_true = st.sampled_from(
    [["bool", True], ["==", ["var", "me"], ["str", "ann"]], ["has", ["var", "data"], "amount"]]
)
_conditions = _seldom(TREES, _seldom(st.just(["bool", False]), _true))
_flat: st.SearchStrategy[Effect] = st.one_of(
    st.builds(SetEffect, _names, _values),
    st.builds(SetEffect, st.just("list"), _lists),
    st.builds(TimerEffect, st.sampled_from(["kept", "new"]), _values),
    st.just(TimerEffect("soon", ["+", ["var", "now"], ["*", ["int", 7], ["int", 86_400]]])),
    st.just(TimerEffect("past", ["int", 9])),
    st.just(CancelEffect("gone")),
)
_effects: st.SearchStrategy[list[Effect]] = st.lists(
    st.recursive(
        _flat,
        lambda inner: st.builds(IfEffect, _conditions, st.lists(inner, max_size=3).map(tuple)),
        max_leaves=4,
    ),
    max_size=5,
)
_guards = st.lists(_conditions, max_size=3)


@settings(max_examples=800, deadline=None)
@given(
    _guards,
    _effects,
    st.one_of(st.integers(0, 60), st.just(10_000), st.just(10_000)),
    st.one_of(st.integers(0, 4), st.just(64), st.just(64)),
)
def test_agrees_with_one_step_after_the_other(
    trees: list[list[Any]], effects: list[Effect], left: int, effects_left: int
) -> None:
    guards = tuple((f"guard{n}", tree) for n, tree in enumerate(trees))
    transition = Transition(to="open", guards=guards, effects=tuple(effects))
    expected = slow(transition, left, effects_left)
    event(str(expected[0][0]) if isinstance(expected[0], tuple) else f"done {len(effects)}")
    assert fast(transition, left, effects_left) == expected


def test_at_every_price() -> None:
    """Each budget from nothing to enough: whoever pays too early, late or twice differs in one."""
    week = ["+", ["var", "now"], ["*", ["int", 7], ["int", 86_400]]]
    amount = ["get", ["var", "data"], "amount"]
    transition = Transition(
        to="open",
        guards=(
            ("mine", ["and", ["==", ["var", "me"], ["str", "ann"]], ["<", ["int", 1], amount]]),
            ("short", ["not", ["has", ["var", "data"], "lost"]]),
        ),
        effects=(
            SetEffect("first", ["+", amount, ["neg", ["int", 3]]]),
            TimerEffect("soon", week),
            IfEffect(["==", amount, ["int", 10]], (SetEffect("list", ["list", [amount]]),)),
            CancelEffect("gone"),
            SetEffect("name", ["null"]),
            SetEffect("last", ["call", "size", [["str", "abc"]]]),
        ),
    )
    seen: Counter[str] = Counter()
    for left in range(60):
        for effects_left in range(9):
            expected = slow(transition, left, effects_left)
            assert fast(transition, left, effects_left) == expected
            seen[str(expected[0][0]) if isinstance(expected[0], tuple) else "done"] += 1
    assert min(seen[reason] for reason in ("EXPRESSION_COST", "TOO_MANY_EFFECTS", "done")) > 20


@pytest.mark.parametrize(
    "text",
    ['"); raise SystemExit("', "k1", "t1\nimport os", "\\", "'''", "{0}", "__import__('os')", "#"],
)
def test_no_text_becomes_code(text: str) -> None:
    """Names and texts of a definition are values to a program, whatever they look like."""
    transition = Transition(
        to="open",
        guards=((text, ["==", ["get", ["list", []], text], ["str", text]]),),
        effects=(TimerEffect(text, ["int", 1]), CancelEffect(text)),
    )
    assert fast(transition, 100, 10)[0] == ("EXPRESSION_TYPE", text)
    without = Transition(
        to="open",
        guards=((text, ["!=", ["var", "me"], ["str", text]]),),
        effects=(SetEffect("name", ["str", text]), TimerEffect(text, ["int", 1])),
    )
    done = fast(without, 100, 10)
    assert dict(done[0])["name"] == repr(text)
    assert done[1][text] == NOW


def test_a_program_reaches_nothing_else() -> None:
    transition = Transition(to="open", guards=(("g", ["bool", True]),))
    made = plan(KIND, transition, {})
    assert made.guards is not None
    reach = made.guards.__globals__["__builtins__"]
    ours = {name for name, value in reach.items() if getattr(builtins, name, None) is not value}
    assert sorted(reach.keys() - ours) == [
        "KeyError",
        "TypeError",
        "dict",
        "int",
        "list",
        "str",
        "type",
    ]
    assert all(reach[name].__module__.startswith("ledger.registry.") for name in ours)
