"""Compiles a service from its YAML form (docs/services/authoring.md) to a definition.

Everything that people write shortly becomes explicit here; the compiled form is what is voted on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, get_args

import msgspec

from ledger.registry.check import check
from ledger.registry.definition import DEFINITION_TYPE, Definition, Effect
from ledger.registry.fields import Field
from ledger.registry.syntax import ExpressionError
from ledger.registry.syntax import parse as parse_expression
from node.authoring import hints
from node.authoring.source import Problem, Source

_TOP = {"service", "version", "title", "roles", "units", "types"}
_TYPE = {
    "doc",
    "fields",
    "states",
    "final",
    "transitions",
    "indexes",
    "aggregates",
    "complete",
    "universal",
}
_TRANSITION = {"doc", "from", "to", "by", "auto", "internal", "input", "if", "do"}
_MEMBERS, _EFFECTS = (
    {
        str(kind.__struct_config__.tag): [member.name for member in msgspec.structs.fields(kind)]
        for kind in get_args(kinds)
    }
    for kinds in (Field, Effect)
)
_AGGREGATE = {"doc", "type", "link", "states", "field", "ordered"}
_AND = re.compile(r"\s+and\s+")
_OR = re.compile(r"\s+or\s+")
_MOVE = {"from": "source", "to": "target"}
_WRITTEN = {name: key for key, name in _MOVE.items()}
_LEAF = re.compile(r"(role|party|agency|is|each|count)\((.*)\)", re.ASCII)


class _Compiler:
    def __init__(self, source: Source) -> None:
        self._source = source
        self.problems: list[Problem] = []

    def problem(self, path: tuple[str, ...], message: str) -> None:
        """Note a problem at a path."""
        self.problems.append(Problem(self._source.line(path), path, message))

    def mapping(self, value: Any, path: tuple[str, ...], known: set[str] | None) -> dict[str, Any]:
        """A mapping with known keys; problems are noted."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problem(path, "want a mapping")
            return {}
        if known is not None:
            for key, part in value.items():
                if key not in known:
                    self.unknown((*path, key), part, sorted(known))
        return value

    def unknown(self, path: tuple[str, ...], value: Any, known: Iterable[str]) -> None:
        """Note a key that is none of those that there are."""
        hint = hints.of_key(path[-1], value) or f"want one of {', '.join(known)}"
        self.problem(path, f"unknown; {hint}")

    def names(self, value: Any, path: tuple[str, ...]) -> list[str]:
        """A list of names; a single one may stand alone."""
        if value is None:
            return []
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in items):
            self.problem(path, "want names")
            return []
        return list(items)

    def expression(self, value: Any, path: tuple[str, ...]) -> list[Any]:
        """A compiled expression; a plain number or truth value stands for itself."""
        if isinstance(value, bool):
            return ["bool", value]
        if isinstance(value, int):
            return ["int", value] if value >= 0 else ["neg", ["int", -value]]
        if value is None:
            return ["null"]
        if not isinstance(value, str):
            self.problem(path, "want an expression")
            return ["null"]
        try:
            return parse_expression(value)
        except ExpressionError as error:
            hint = hints.of_expression(value, error.position)
            self.problem(path, f"{error} in: {value}{hint}")
            return ["null"]

    # ----- the parts

    def definition(self) -> dict[str, Any]:
        """The compiled form, as plain values."""
        top = self.mapping(self._source.value, (), _TOP)
        types = self.mapping(top.get("types"), ("types",), None)
        roles = self.mapping(top.get("roles"), ("roles",), None)
        for name, role in roles.items():
            self.mapping(role, ("roles", name), {"doc"})
        return {
            "type": DEFINITION_TYPE,
            "service": top.get("service", ""),
            "version": top.get("version", 0),
            "title_code": top.get("title", top.get("service", "")),
            "roles": list(roles),
            "units": {
                name: {"types": self.unit(unit, ("units", name))}
                for name, unit in self.mapping(top.get("units"), ("units",), None).items()
            },
            "types": {name: self.type(kind, ("types", name)) for name, kind in types.items()},
        }

    def unit(self, value: Any, path: tuple[str, ...]) -> list[str]:
        """The types that may mint and burn a unit."""
        return self.names(self.mapping(value, path, {"doc", "types"}).get("types"), path)

    def type(self, value: Any, path: tuple[str, ...]) -> dict[str, Any]:
        kind = self.mapping(value, path, _TYPE)
        transitions = self.mapping(kind.get("transitions"), (*path, "transitions"), None)
        aggregates = self.mapping(kind.get("aggregates"), (*path, "aggregates"), None)
        universal = self.mapping(kind.get("universal"), (*path, "universal"), None)
        return {
            "fields": self.fields(kind.get("fields"), (*path, "fields")),
            "states": self.names(kind.get("states"), (*path, "states")),
            "final": self.names(kind.get("final"), (*path, "final")),
            "indexes": self.names(kind.get("indexes"), (*path, "indexes")),
            "complete": self.names(kind.get("complete"), (*path, "complete")),
            "aggregates": {
                name: {
                    **{key: part for key, part in aggregate.items() if key != "doc"},
                    "states": self.names(aggregate.get("states"), (*path, "aggregates", name)),
                }
                for name, aggregate in aggregates.items()
                if self.mapping(aggregate, (*path, "aggregates", name), _AGGREGATE)
            },
            "universal": {
                act: self.policy(by, (*path, "universal", act)) for act, by in universal.items()
            },
            "transitions": {
                name: self.transition(transition, (*path, "transitions", name))
                for name, transition in transitions.items()
            },
        }

    def fields(self, value: Any, path: tuple[str, ...]) -> dict[str, Any]:
        """Fields: `amount: integer` or `amount: {kind: integer, minimum: 1}`; `?` after the kind
        makes it optional, `!` says that only effects set it."""
        fields: dict[str, Any] = {}
        for name, given in self.mapping(value, path, None).items():
            form = {"kind": given} if isinstance(given, str) else given
            if not isinstance(form, dict) or not isinstance(form.get("kind"), str):
                self.problem((*path, name), "want a kind, as in `amount: integer`")
                continue
            form = {key: part for key, part in form.items() if key != "doc"}
            if form["kind"].endswith("?"):
                form = {**form, "kind": form["kind"][:-1], "required": False}
            elif form["kind"].endswith("!"):
                form = {**form, "kind": form["kind"][:-1], "origin": "effect"}
                form.setdefault("required", False)
            if form["kind"] == "commitment":
                form.setdefault("privacy", "committed")
            if isinstance(form.get("items"), str):
                form["items"] = {"kind": form["items"]}
            self.check_members(form, (*path, name))
            fields[name] = form
        return fields

    def check_members(self, form: dict[str, Any], path: tuple[str, ...]) -> None:
        """Note a kind that does not exist, and members that it does not have."""
        known = _MEMBERS.get(form["kind"])
        if known is None:
            self.problem(path, f"no kind {form['kind']!r}; want one of {', '.join(_MEMBERS)}")
            return
        for member, value in form.items():
            if member != "kind" and member not in known:
                self.unknown((*path, member), value, known)

    def transition(self, value: Any, path: tuple[str, ...]) -> dict[str, Any]:
        form = self.mapping(value, path, _TRANSITION)
        guards = self.mapping(form.get("if"), (*path, "if"), None)
        for name, text in guards.items():
            if hint := hints.of_key(name, text):
                self.problem((*path, "if", name), f"not a name; {hint}")
        effects = form.get("do") or []
        if not isinstance(effects, list):
            self.problem((*path, "do"), "want a list of effects")
            effects = []
        by = form.get("by")
        return {
            "from": self.names(form.get("from"), (*path, "from")),
            "to": form.get("to", ""),
            "by": None if by is None else self.policy(by, (*path, "by")),
            "auto": bool(form.get("auto", False)),
            "internal": bool(form.get("internal", False)),
            "input": self.fields(form.get("input"), (*path, "input")),
            "guards": [
                [name, self.expression(text, (*path, "if", name))] for name, text in guards.items()
            ],
            "effects": [
                self.effect(effect, (*path, "do", str(index)))
                for index, effect in enumerate(effects)
            ],
        }

    def effect(self, value: Any, path: tuple[str, ...]) -> dict[str, Any]:
        """`set: {field: expr, …}`, `move: {unit, from, to, amount}`, … : one effect an item."""
        form = self.mapping(value, path, None)
        if len(form) != 1:
            self.problem(path, "want exactly one effect, as in `- claim: {…}`")
            return {"e": "cancel", "name": ""}
        kind, body = next(iter(form.items()))
        if not isinstance(body, dict):
            self.problem(path, f"{kind}: want a mapping")
            return {"e": "cancel", "name": ""}
        if kind not in _EFFECTS:
            self.problem(path, f"no effect {kind!r}; want one of {', '.join(_EFFECTS)}")
            return {"e": "cancel", "name": ""}
        where = (*path, kind)
        known = [_WRITTEN.get(name, name) if kind == "move" else name for name in _EFFECTS[kind]]
        made: dict[str, Any] = {"e": kind}
        for key, part in body.items():
            name = _MOVE.get(str(key), str(key)) if kind == "move" else str(key)
            if name not in _EFFECTS[kind]:
                self.unknown((*where, str(key)), part, known)
            elif kind in ("create", "fire") and key in ("data", "input"):
                inner = self.mapping(part, (*where, key), None)
                made[name] = {k: self.expression(v, (*where, key, k)) for k, v in inner.items()}
            elif key == "key":
                parts = part if isinstance(part, list) else [part]
                made[name] = [self.expression(item, (*where, key)) for item in parts]
            elif key == "then":
                inner_effects = part if isinstance(part, list) else []
                made[name] = [
                    self.effect(item, (*where, key, str(index)))
                    for index, item in enumerate(inner_effects)
                ]
            elif key in ("field", "name", "namespace", "unit", "type", "transition"):
                made[name] = part
            else:
                made[name] = self.expression(part, (*where, key))
        if kind == "fire":
            made.setdefault("input", {})
        return made

    # ----- policies

    def policy(self, value: Any, path: tuple[str, ...]) -> dict[str, Any]:
        """Text (`role(x) and not party(y)`), or `all:`, `any:`, `count:`, `of:`, with `but:`."""
        if isinstance(value, str):
            return self._policy_text(value, path)
        form = self.mapping(value, path, {"all", "any", "count", "of", "but"})
        if "all" in form or "any" in form:
            key = "all" if "all" in form else "any"
            given = form[key] if isinstance(form[key], list) else []
            parts = [self.policy(part, (*path, key)) for part in given]
            made: dict[str, Any] = {"p": key, "of": parts}
        elif "count" in form:
            made = {"p": "count", "n": form["count"], "of": self.policy(form.get("of"), path)}
        else:
            made = self.policy(form.get("of", ""), path)
        if "but" in form:
            but = form["but"] if isinstance(form["but"], list) else [form["but"]]
            made = {"p": "except", "of": made, "but": [self.policy(part, path) for part in but]}
        return made

    def _policy_text(self, text: str, path: tuple[str, ...]) -> dict[str, Any]:
        options = [self._conjunction(part, path) for part in _OR.split(text.strip())]
        return options[0] if len(options) == 1 else {"p": "any", "of": options}

    def _conjunction(self, text: str, path: tuple[str, ...]) -> dict[str, Any]:
        """`a and b`: distinct persons; `a and not b`: a by somebody who is not b."""
        wanted, excluded = [], []
        for part in _AND.split(text.strip()):
            if part.startswith("not "):
                excluded.append(self._leaf(part[4:].strip(), path))
            else:
                wanted.append(self._leaf(part, path))
        if not wanted:
            self.problem(path, f"names nobody: {text!r}")
            return {"p": "all", "of": []}
        made = wanted[0] if len(wanted) == 1 else {"p": "all", "of": wanted}
        return {"p": "except", "of": made, "but": excluded} if excluded else made

    def _leaf(self, text: str, path: tuple[str, ...]) -> dict[str, Any]:
        match = _LEAF.fullmatch(text)
        if match is None:
            self.problem(
                path, f"not an authority: {text!r}; as in `role(officer) and not party(x)`"
            )
            return {"p": "all", "of": []}
        kind, inner = match.group(1), match.group(2).strip()
        if kind in ("is", "each"):
            return {"p": kind, "value": self.expression(inner, path)}
        if kind == "count":
            number, _, rest = inner.partition(",")
            if not number.strip().isdigit():
                self.problem(path, f"want count(2, role(x)), got {text!r}")
                return {"p": "all", "of": []}
            return {"p": "count", "n": int(number), "of": self._leaf(rest.strip(), path)}
        if kind == "role":
            role, _, owner = inner.partition(" of ")
            made: dict[str, Any] = {"p": "role", "role": role.strip()}
            if owner.strip():
                made["agency_of"] = owner.strip()
            return made
        return {"p": kind, "field": inner}


def compile_source(source: Source) -> tuple[Definition | None, list[Problem]]:
    """(definition or None, problems): a definition only when nothing is wrong."""
    compiler = _Compiler(source)
    value = compiler.definition()
    if compiler.problems:
        return None, compiler.problems
    try:
        definition = msgspec.convert(value, Definition)
    except msgspec.ValidationError as error:
        path = _path_of(str(error))
        return None, [Problem(source.line(path), path, str(error))]
    problems = [
        Problem(source.line(where), where, _explained(message))
        for where, message in ((_written(path), what) for path, what in check(definition))
    ]
    return (None if problems else definition), problems


def _path_of(message: str) -> tuple[str, ...]:
    """The path in msgspec's words: `… - at `$.types[...].states`."""
    match = re.search(r"`\$\.?([^`]*)`", message)
    return () if match is None else tuple(p for p in re.split(r"[.\[\]]+", match.group(1)) if p)


def _written(path: tuple[str, ...]) -> tuple[str, ...]:
    """The path as people write it: `if` and `do` for guards and effects."""
    return tuple({"guards": "if", "effects": "do"}.get(part, part) for part in path)


def _explained(message: str) -> str:
    """A problem, with what a code is made of where it is about one."""
    form = "not a code: lower-case letters, digits and inner hyphens"
    return message.replace("not a code", form, 1) if message.startswith("not a code") else message
