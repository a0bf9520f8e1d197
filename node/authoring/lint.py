"""The linter: what can be activated and should not (registry.md; docs/services/authoring.md).

Errors come from the compiler and from `ledger.registry.check`; here are the warnings, and the types
of expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from ledger.registry import fields
from ledger.registry.check import trees_of
from ledger.registry.definition import (
    CREATE,
    ClaimEffect,
    Definition,
    FireEffect,
    PullEffect,
    PushEffect,
    SetEffect,
    TimerEffect,
    Transition,
    Type,
    effects_of,
)
from ledger.registry.pattern import compiled
from node.authoring.source import Problem, Source

_KINDS: Final = {
    fields.IntegerField: "integer",
    fields.TimeField: "integer",
    fields.BooleanField: "boolean",
    fields.ListField: "list",
}
_RESULTS: Final = {
    "state_of": "text",
    "get": "any",
    "balance": "integer",
    "holdings": "integer",
    "account": "text",
    "account_of": "text",
    "party_account": "text",
    "locked": "boolean",
    "lock_is": "boolean",
    "claimed": "boolean",
    "count": "integer",
    "sum": "integer",
    "min": "any",
    "argmin": "any",
    "holds": "boolean",
    "agency_of": "text",
    "size": "integer",
    "commitment": "text",
}
_ARITHMETIC: Final = frozenset({"-", "*", "/", "%"})
_ORDER: Final = frozenset({"<", "<=", ">", ">="})


def lint(definition: Definition, source: Source) -> list[Problem]:
    """Warnings and type errors, in the order of the file."""
    problems = [
        Problem(source.line(path), path, message, severity)
        for path, message, severity in _Linter(definition, source).all()
    ]
    return sorted(problems, key=lambda problem: (problem.line, problem.path))


_Found = tuple[tuple[str, ...], str, str]


class _Linter:
    def __init__(self, definition: Definition, source: Source) -> None:
        self._definition = definition
        self._source = source
        self._record_types = {
            definition.record_type(name): kind for name, kind in definition.types.items()
        }

    def all(self) -> Iterator[_Found]:
        yield from self._roles()
        for name, kind in self._definition.types.items():
            path = ("types", name)
            yield from self._reach(path, kind)
            yield from self._fields(path, kind)
            yield from self._given(path, kind)
            yield from self._timed(path, kind)
            for transition_name, transition in kind.transitions.items():
                where = (*path, "transitions", transition_name)
                given = transition.input
                for guard, tree in transition.guards:
                    found = self._type_of(tree, kind, given)
                    at = (*where, "if", guard)
                    yield from ((at, message, "error") for message in found[1])
                    if found[0] not in ("boolean", "any"):
                        yield at, f"a guard is a condition, this is {found[0]}", "error"
                for index, effect in enumerate(effects_of(transition.effects)):
                    at = (*where, "do", str(index))
                    for tree in trees_of(effect):
                        found = self._type_of(tree, kind, given)
                        yield from ((at, message, "error") for message in found[1])
                    if isinstance(effect, FireEffect):
                        yield from self._fires(at, effect)
                    if isinstance(effect, ClaimEffect):
                        yield from _claims(at, effect, kind, given)
                yield from self._inputs(where, transition)

    def _roles(self) -> Iterator[_Found]:
        text = self._definition.encode().decode("utf-8")
        for role in self._definition.roles:
            if f'"role":"{role}"' not in text and f'["str","{role}"]' not in text:
                yield ("roles", role), "no authority names this role", "warning"

    def _reach(self, path: tuple[str, ...], kind: Type) -> Iterator[_Found]:
        reached = {kind.transitions[CREATE].to}
        while True:
            more = {
                transition.to
                for transition in kind.transitions.values()
                if reached & set(transition.source)
            }
            if more <= reached:
                break
            reached |= more
        leaving = {state for t in kind.transitions.values() for state in t.source if t.to != state}
        ordered = "court_order" in kind.universal
        for state in kind.states:
            if ordered and state not in reached and state not in leaving | set(kind.final):
                continue  # a state that only courts order, in and out
            if state not in reached:
                yield (*path, "states"), f"nothing leads to {state}", "error"
            elif state not in kind.final and state not in leaving:
                message = f"{state} is a dead end: make it final, or lead out of it"
                yield (*path, "states"), message, "error"
        for state in kind.final:
            if state not in reached:
                yield (*path, "final"), f"nothing leads to {state}", "error"

    def _fields(self, path: tuple[str, ...], kind: Type) -> Iterator[_Found]:
        for name, field in kind.fields.items():
            where = (*path, "fields", name)
            inner = field.items if isinstance(field, fields.ListField) else field
            if isinstance(inner, fields.StringField) and inner.pattern == "[!-~]*":
                message = "a text without a pattern may end up holding personal data: give it one"
                yield where, message, "error"
            elif isinstance(inner, fields.StringField) and compiled(inner.pattern).takes_anything:
                message = "a pattern with . or [^...] takes free text: say which characters"
                yield where, message, "error"
            if isinstance(inner, fields.RecordField):
                for target in inner.types:
                    service = self._definition.service
                    own = target.startswith(f"{service}-") and target not in self._record_types
                    if own:
                        yield where, f"there is no type {target} in this service", "error"

    def _given(self, path: tuple[str, ...], kind: Type) -> Iterator[_Found]:
        """Fields that effects set, and that whoever creates a record may invent all the same."""
        if kind.transitions[CREATE].by is None:
            return  # only this service's own effects create records
        effects = [e for t in kind.transitions.values() for e in effects_of(t.effects)]
        changed = {e.field for e in effects if isinstance(e, SetEffect | PushEffect | PullEffect)}
        for name, field in kind.fields.items():
            where = (*path, "fields", name)
            meant = (*where, "origin") in self._source.lines
            if name in changed and field.origin == "given" and not meant:
                form = str(type(field).__struct_config__.tag)
                yield (
                    where,
                    "effects set it, and whoever creates the record may give it, too: make it "
                    f"`{form}!`, or write `origin: given` if that is meant",
                    "warning",
                )

    def _timed(self, path: tuple[str, ...], kind: Type) -> Iterator[_Found]:
        effects = [e for t in kind.transitions.values() for e in effects_of(t.effects)]
        named = {effect.name for effect in effects if isinstance(effect, TimerEffect)}
        for name, transition in kind.transitions.items():
            if transition.auto and name not in named:
                message = "no effect sets a timer of this name: it never happens by itself"
                yield (*path, "transitions", name), message, "warning"

    def _inputs(self, path: tuple[str, ...], transition: Transition) -> Iterator[_Found]:
        text = msgspec.json.encode(transition).decode("utf-8")
        for name in transition.input:
            if f'["get",["var","input"],"{name}"]' not in text:
                message = "nothing reads this input; it stays in the transaction only"
                yield (*path, "input", name), message, "warning"

    def _fires(self, path: tuple[str, ...], effect: FireEffect) -> Iterator[_Found]:
        targets = [
            kind.transitions[effect.transition]
            for kind in self._definition.types.values()
            if effect.transition in kind.transitions
        ]
        if not any(transition.internal for transition in targets):
            yield path, f"no type has an internal transition {effect.transition}", "error"

    # ----- types of expressions

    def _type_of(
        self, tree: list[Any], kind: Type, given: dict[str, fields.Field]
    ) -> tuple[str, list[str]]:
        """(integer, text, boolean, list, null, data, any; problems) of a compiled expression."""
        problems: list[str] = []

        def visit(node: list[Any]) -> str:
            name = node[0]
            if name in ("int", "str", "bool", "null", "list"):
                for item in node[1] if name == "list" else ():
                    visit(item)
                return {"int": "integer", "str": "text", "bool": "boolean"}.get(name, str(name))
            if name == "var":
                return _VARIABLES.get(node[1], "any")
            if name in ("get", "has"):
                return self._member(node, kind, given, visit, problems)
            if name == "call":
                for argument in node[2]:
                    visit(argument)
                return _RESULTS[str(node[1])]
            parts = [visit(part) for part in node[1:]]
            return _operator(name, parts, problems)

        return visit(tree), problems

    def _member(
        self,
        node: list[Any],
        kind: Type,
        given: dict[str, fields.Field],
        visit: Callable[[list[Any]], str],
        problems: list[str],
    ) -> str:
        owner, name = visit(node[1]), node[2]
        known = {"data": kind.fields, "input": given}.get(owner)
        if known is None:
            return "boolean" if node[0] == "has" else "any"
        if name not in known:
            problems.append(f"{owner} has no field {name}")
            return "any"
        if node[0] == "has":
            return "boolean"
        return _KINDS.get(type(known[name]), "text")


def _claims(
    path: tuple[str, ...], effect: ClaimEffect, kind: Type, given: dict[str, fields.Field]
) -> Iterator[_Found]:
    """Claims that never collide: a commitment has another salt each time."""
    for tree in effect.key:
        if tree[0] != "get" or tree[1][0] != "var":
            continue
        owner, name = tree[1][1], tree[2]
        field = {"data": kind.fields, "input": given}.get(owner, {}).get(name)
        if isinstance(field, fields.CommitmentField):
            message = (
                f"{owner}.{name} is a commitment, made with a salt: the same thing gives another "
                "one each time, so this claim is never taken; claim a `hash` that is keyed"
            )
            yield path, message, "warning"


_VARIABLES: Final = {
    "data": "data",
    "input": "input",
    "now": "integer",
    "me": "text",
    "signers": "list",
    "id": "text",
    "state": "text",
}


def _operator(name: str, parts: list[str], problems: list[str]) -> str:
    """The type that an operator gives; what it cannot work on is a problem."""

    def want(wanted: str, index: int) -> None:
        if parts[index] not in (wanted, "any"):
            problems.append(f"{name} wants {wanted}, not {parts[index]}")

    if name in ("not", "and", "or"):
        for index in range(len(parts)):
            want("boolean", index)
        return "boolean"
    if name == "neg" or name in _ARITHMETIC:
        for index in range(len(parts)):
            want("integer", index)
        return "integer"
    if name == "+":
        if "any" not in parts and (parts[0] != parts[1] or parts[0] not in ("integer", "text")):
            problems.append(f"+ wants two integers or two texts, not {parts[0]} and {parts[1]}")
        return parts[0] if parts[0] != "any" else parts[1]
    if name in _ORDER:
        if "any" not in parts and (parts[0] != parts[1] or parts[0] not in ("integer", "text")):
            problems.append(f"{name} cannot compare {parts[0]} with {parts[1]}")
        return "boolean"
    if name in ("==", "!="):
        if not {"any", "null"} & set(parts) and parts[0] != parts[1]:
            problems.append(f"{name} compares {parts[0]} with {parts[1]}: never equal")
        return "boolean"
    if name == "in":
        want("list", 1)
        return "boolean"
    want("boolean", 0)
    return parts[1] if parts[1] == parts[2] else "any"
