"""Transitions as Python code: their guards, and their effects, in one program each.

Effects on the record itself are written out; those that reach further are calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from ledger.ids import INTEGER_MAX
from ledger.registry.act import Refused
from ledger.registry.code import Writer
from ledger.registry.definition import (
    CancelEffect,
    Effect,
    IfEffect,
    PullEffect,
    PushEffect,
    SetEffect,
    TimerEffect,
    Transition,
    Type,
)
from ledger.registry.evaluate import Plan
from ledger.registry.fields import Field, ListField
from ledger.registry.meter import ExpressionRefused, Value
from ledger.registry.piece import Functions, Piece, Run, indented

PLAIN: Final = frozenset((int, str, bool, type(None)))
"""Kinds of value that a field can hold, lists apart."""
_EFFECT_NODES: Final = 2
"""What an effect counts for in a program, besides its values."""
_DEPENDING: Final = (IfEffect, PushEffect, PullEffect)
"""Effects of which it is not written which fields they change, or that change them in a call."""
Calls: TypeAlias = Mapping[type, Callable[[Any, Any], None]]
"""Effects that are calls: a function of the change and the effect."""


def plan(kind: Type, transition: Transition, functions: Functions) -> Plan:
    """The programs of a transition of a record type, but for its effects: they are for when its
    guards have held."""
    names = {effect.field for effect in transition.effects if isinstance(effect, SetEffect)}
    changed = tuple(name for name in kind.fields if name in names)
    guards = _guards(Writer(functions), transition.guards) if transition.guards else None
    return Plan(kind, transition, guards, None if _depends(transition) else changed)


def effects_of(
    kind: Type, transition: Transition, functions: Functions, calls: Calls
) -> Callable[[Any, Any], None]:
    """The program of a transition's effects."""
    return _Effects(_Setting(kind, functions, calls, _depends(transition))).program(
        transition.effects
    )


def _depends(transition: Transition) -> bool:
    """Whether only the program can tell which fields it changed."""
    return any(isinstance(effect, _DEPENDING) for effect in transition.effects)


def holds(field: Field | None, value: Value) -> bool:
    """Whether the value has the shape of a field's: plain, or a list of plain ones for a list.

    Kinds are checked when all is done; what no kind takes would make nested values until then, and
    values that hold themselves.
    """
    return _is_list(value) if isinstance(field, ListField) else type(value) in PLAIN


def _is_list(value: Value) -> bool:
    """Whether a list field can hold the value."""
    if value is None:
        return True
    return type(value) is list and all(type(item) in PLAIN for item in value)


def _guards(writer: Writer, guards: Sequence[tuple[str, list[Any]]]) -> Run:
    lines: list[str] = []
    for name, tree in guards:
        holds, failing = writer.branch(tree, boolean=True), writer.constant(name)
        lines += (f"at = {failing}", *holds.lines, f"if not {holds.value}: return at")
    refusal, refused = writer.constant(_guard_refused), writer.constant(ExpressionRefused)
    return writer.program(
        (
            "try:",
            *indented(lines),
            f"except {refused} as refused: raise {refusal}(refused, at) from None",
            "return None",
        )
    )


def _guard_refused(refused: ExpressionRefused, guard: str) -> Refused:
    return Refused(refused.reason, guard=guard)


class _Setting(NamedTuple):
    """What programs of effects are written for."""

    kind: Type
    functions: Functions
    calls: Calls
    note: bool
    """Whether the program tells which fields it set."""


class _Effects:
    """Writes the program of a transition's effects."""

    def __init__(self, setting: _Setting) -> None:
        self._setting = setting
        self._writer = Writer(setting.functions)
        self._data = self._writer.variable("data")
        self._not_held = self._writer.constant(lambda name: Refused("DATA_INVALID", field=name))
        self._no_time = self._writer.constant(lambda: Refused("EXPRESSION_TYPE"))
        self._too_many = self._writer.constant(lambda: Refused("TOO_MANY_EFFECTS"))
        self._plain = self._writer.constant(PLAIN)
        self._list_held = self._writer.constant(_is_list)

    def program(self, effects: Sequence[Effect]) -> Callable[[Any, Any], None]:
        """The program of some effects."""
        lines = self._lines(effects)
        first = ("act = change.act", "timers = change.record['timers']")
        return self._writer.program((*first, *lines), "s, change")

    def _lines(self, effects: Sequence[Effect]) -> tuple[str, ...]:
        """Every effect, in order; each counts."""
        lines: list[str] = []
        for number, effect in enumerate(effects):
            if self._writer.room < _EFFECT_NODES:
                rest = _Later(effects[number:], self._setting)
                lines.append(f"{self._writer.constant(rest)}(s, change)")
                break
            self._writer.room -= _EFFECT_NODES
            lines += ("act.effects_left -= 1", f"if act.effects_left < 0: raise {self._too_many}()")
            lines += self._effect(effect)
        return tuple(lines)

    def _effect(self, effect: Effect) -> tuple[str, ...]:
        if isinstance(effect, SetEffect):
            return self._set(effect)
        if isinstance(effect, TimerEffect):
            return self._timer(effect)
        if isinstance(effect, CancelEffect):
            return (f"timers.pop({self._writer.constant(effect.name)}, None)",)
        if isinstance(effect, IfEffect):
            condition = self._writer.branch(effect.when, boolean=True)
            return (
                *condition.lines,
                f"if {condition.value}:",
                *indented(self._lines(effect.then) or ("pass",)),
            )
        call = self._writer.constant(self._setting.calls[type(effect)])
        return (f"{call}(change, {self._writer.constant(effect)})",)

    def _set(self, effect: SetEffect) -> tuple[str, ...]:
        value, name = self._writer.branch(effect.value), self._writer.constant(effect.field)
        refuse = f"raise {self._not_held}({name})"
        return (
            *value.lines,
            *((f"change.changed.add({name})",) if self._setting.note else ()),
            *self._held(effect.field, value, refuse),
            *self._put(name, value),
        )

    def _held(self, field: str, value: Piece, refuse: str) -> tuple[str, ...]:
        """As `holds`, with a refusal."""
        if isinstance(self._setting.kind.fields[field], ListField):
            return (f"if not {self._list_held}({value.value}): {refuse}",)
        if value.kind == "list":
            return (refuse,)
        return () if value.kind else (f"if type({value.value}) not in {self._plain}: {refuse}",)

    def _put(self, name: str, value: Piece) -> tuple[str, ...]:
        put, drop = f"{self._data}[{name}] = {value.value}", f"{self._data}.pop({name}, None)"
        if value.kind == "null":
            return (drop,)
        if value.kind:
            return (put,)
        return (f"if {value.value} is None: {drop}", f"else: {put}")

    def _timer(self, effect: TimerEffect) -> tuple[str, ...]:
        due, name = self._writer.branch(effect.at), self._writer.constant(effect.name)
        kind = "" if due.kind == "int" else f"type({due.value}) is not int or "
        return (
            *due.lines,
            f"if {kind}not 0 <= {due.value} <= {INTEGER_MAX}: raise {self._no_time}()",
            f"timers[{name}] = {due.value} if {due.value} > act.now else act.now",
        )


class _Later:
    """The program of effects for which there was no room, made when they are first reached."""

    __slots__ = ("_effects", "_run", "_setting")

    def __init__(self, effects: Sequence[Effect], setting: _Setting) -> None:
        self._effects = effects
        self._setting = setting
        self._run: Callable[[Any, Any], None] | None = None

    def __call__(self, scope: Any, change: Any) -> None:
        if self._run is None:
            self._run = _Effects(self._setting).program(self._effects)
        self._run(scope, change)
