"""Expressions, effects and authorities in words: as people write them, or read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from ledger.registry.definition import (
    AgencyPolicy,
    AllPolicy,
    AnyPolicy,
    CancelEffect,
    ClaimEffect,
    CountPolicy,
    CreateEffect,
    EachPolicy,
    Effect,
    ExceptPolicy,
    FireEffect,
    IfEffect,
    IsPolicy,
    LockEffect,
    MoveEffect,
    PartyPolicy,
    Policy,
    PullEffect,
    PushEffect,
    ReleaseEffect,
    RolePolicy,
    SetEffect,
    TimerEffect,
    UnlockEffect,
)

_OPERATORS: Final = {
    "or": ("||", 1),
    "and": ("&&", 2),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), ("", 3)),
    **dict.fromkeys(("+", "-"), ("", 4)),
    **dict.fromkeys(("*", "/", "%"), ("", 5)),
}
"""Operator -> (its sign where that differs, how closely it binds)."""
_UNARY: Final = {"not": "!", "neg": "-"}
_CLOSEST: Final = 7


def expression(tree: list[Any]) -> str:
    """The text of a compiled expression; parsed again it gives the same tree."""
    return _text(tree, 0)


def _text(tree: list[Any], level: int) -> str:
    name = tree[0]
    if name in _OPERATORS:
        sign, binds = _OPERATORS[name]
        left = _text(tree[1], binds + 1 if binds == 3 else binds)  # comparisons do not chain
        return _enclosed(f"{left} {sign or name} {_text(tree[2], binds + 1)}", binds, level)
    if name in _UNARY:
        return _enclosed(_UNARY[name] + _text(tree[1], 6), 6, level)
    if name == "if":
        parts = (_text(tree[1], 1), _text(tree[2], 0), _text(tree[3], 0))
        return _enclosed(f"{parts[0]} ? {parts[1]} : {parts[2]}", 0, level)
    return _atom(tree)


def _atom(tree: list[Any]) -> str:
    name = tree[0]
    if name == "str":
        escaped = str(tree[1]).replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    if name == "bool":
        return "true" if tree[1] else "false"
    if name == "null":
        return "null"
    if name == "list":
        return f"[{', '.join(expression(item) for item in tree[1])}]"
    if name == "get":
        return f"{_text(tree[1], _CLOSEST)}.{tree[2]}"
    if name == "has":
        return f"has({_text(tree[1], _CLOSEST)}.{tree[2]})"
    if name == "call":
        return f"{tree[1]}({', '.join(expression(item) for item in tree[2])})"
    return str(tree[1])  # int, var


def _enclosed(text: str, binds: int, level: int) -> str:
    return f"({text})" if binds < level else text


def effects(given: tuple[Effect, ...], under: str = "") -> Iterator[tuple[str, str]]:
    """(what, with which values) of each effect; `when …:` before those under a condition."""
    for effect in given:
        if isinstance(effect, IfEffect):
            yield from effects(effect.then, f"{under}when {expression(effect.when)}: ")
        else:
            what, values = _effect(effect)
            yield under + what, values


def _effect(effect: Effect) -> tuple[str, str]:
    assert not isinstance(effect, IfEffect)
    kind = str(effect.__struct_config__.tag)
    if isinstance(effect, SetEffect | PushEffect | PullEffect):
        return f"{kind} {effect.field}", expression(effect.value)
    if isinstance(effect, ClaimEffect | ReleaseEffect):
        return f"{kind} {effect.namespace}", ", ".join(expression(part) for part in effect.key)
    if isinstance(effect, LockEffect | UnlockEffect):
        return f"{kind} {effect.name}", expression(effect.record)
    if isinstance(effect, TimerEffect):
        return f"timer {effect.name}", expression(effect.at)
    if isinstance(effect, CancelEffect):
        return f"cancel {effect.name}", ""
    if isinstance(effect, CreateEffect):
        return f"create {effect.type}", _given(effect.data)
    if isinstance(effect, FireEffect):
        place = f" on {expression(effect.record)}"
        return f"fire {effect.transition}{place}", _given(effect.input)
    amount = expression(effect.amount)
    if isinstance(effect, MoveEffect):
        places = f" from {expression(effect.source)} to {expression(effect.target)}"
        return f"move {effect.unit}{places}", amount
    return f"{kind} {effect.unit} on {expression(effect.account)}", amount


def _given(values: dict[str, list[Any]]) -> str:
    return ", ".join(f"{name} = {expression(tree)}" for name, tree in values.items())


Known: TypeAlias = Mapping[str, Mapping[str, Any]]
"""`data` and `input` of the record and act that a policy is asked about."""
UNKNOWN: Final[Known] = MappingProxyType({})


def who(policy: Policy | None, known: Known = UNKNOWN) -> str:
    """A policy in words; with the names of the parties that are known."""
    if policy is None:
        return "nobody by hand"
    if isinstance(policy, RolePolicy):
        if policy.agency_of is None:
            return policy.role
        return f"{policy.role} of the agency of {policy.agency_of}{_named(policy.agency_of, known)}"
    if isinstance(policy, PartyPolicy):
        return f"the {policy.field}{_named(policy.field, known)}"
    if isinstance(policy, AgencyPolicy):
        return f"the agency of the {policy.field}{_named(policy.field, known)}"
    if isinstance(policy, IsPolicy):
        return f"the party {code(policy.value)}"
    if isinstance(policy, EachPolicy):
        return f"each of {_listed(policy.value, known)}"
    if isinstance(policy, AllPolicy):
        return " and ".join(who(part, known) for part in policy.of)
    if isinstance(policy, AnyPolicy):
        return " or ".join(who(part, known) for part in policy.of)
    if isinstance(policy, CountPolicy):
        return f"{policy.n} different persons who are {who(policy.of, known)}"
    if isinstance(policy, ExceptPolicy):
        excluded = " or ".join(_excluded(part, known) for part in policy.but)
        return f"{who(policy.of, known)}, but not {excluded}"
    raise AssertionError(policy)


def _excluded(policy: Policy, known: Known) -> str:
    """An exception: one of a list is enough to be excluded."""
    if isinstance(policy, EachPolicy):
        return f"any of {_listed(policy.value, known)}"
    return who(policy, known)


def _listed(tree: list[Any], known: Known) -> str:
    """A list by its name: `the owners` for a field or an input of that name."""
    if tree[0] == "get" and tree[1] in (["var", "data"], ["var", "input"]):
        place, name = str(tree[1][1]), str(tree[2])
        return f"the {name.replace('_', ' ')}{_named(name, known, place)}"
    return code(tree)


def _named(field: str, known: Known, place: str = "data") -> str:
    """The parties of a field, in brackets; empty when they are not known."""
    value = known.get(place, {}).get(field)
    parties = value if isinstance(value, list) else [value]
    return f" ({', '.join(map(str, parties))})" if value else ""


def code(tree: list[Any]) -> str:
    """An expression within a table of Markdown."""
    text = expression(tree).replace("|", "\\|")
    return f"`{text}`"
