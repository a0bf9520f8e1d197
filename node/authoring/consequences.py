"""What an act changes, in words: its effects for the page of a service."""

from __future__ import annotations

from typing import Any, Final

from ledger.registry.definition import (
    BurnEffect,
    CancelEffect,
    ClaimEffect,
    CreateEffect,
    Effect,
    FireEffect,
    IfEffect,
    LockEffect,
    MintEffect,
    MoveEffect,
    PullEffect,
    PushEffect,
    ReleaseEffect,
    SetEffect,
    TimerEffect,
    UnlockEffect,
)
from node.authoring.words import code

UNIVERSAL: Final = {
    "rectify": "replaces a commitment; the one before stays in the history",
    "error_declaration": "adds a remark, which stays",
    "court_order": "takes the record to the state that the order names, if it names one; "
    "opens locks, if it says so",
}
"""Act that every type may have -> what it changes."""
_DAY: Final = ["int", 86_400]
_VARIABLES: Final = {"me": "who acts", "now": "now", "signers": "who signed", "id": "this record"}


def consequences(effects: tuple[Effect, ...]) -> str:
    """What effects change, in their order; empty when there are none."""
    return "; ".join(_told(effect) for effect in effects)


def _told(effect: Effect) -> str:
    if isinstance(effect, SetEffect):
        if effect.value == ["null"]:
            return f"takes {effect.field} away"
        return f"sets {effect.field} to {_value(effect.value)}"
    if isinstance(effect, PushEffect):
        return f"adds {_value(effect.value)} to {effect.field}"
    if isinstance(effect, PullEffect):
        return f"takes {_value(effect.value)} from {effect.field}"
    if isinstance(effect, ClaimEffect):
        return f"claims {effect.namespace}: {_key(effect.key)}"
    if isinstance(effect, ReleaseEffect):
        return f"releases {effect.namespace}: {_key(effect.key)}"
    if isinstance(effect, LockEffect):
        return f"locks {_value(effect.record)} ({effect.name})"
    if isinstance(effect, UnlockEffect):
        return f"unlocks {_value(effect.record)} ({effect.name})"
    if isinstance(effect, TimerEffect):
        return f"sets the timer {effect.name} for {_value(effect.at)}"
    if isinstance(effect, CancelEffect):
        return f"cancels the timer {effect.name}"
    if isinstance(effect, IfEffect):
        return f"if {code(effect.when)}: {', '.join(_told(part) for part in effect.then)}"
    return _elsewhere(effect)


def _elsewhere(effect: Effect) -> str:
    """An effect on accounts and on other records."""
    if isinstance(effect, MintEffect):
        return f"makes {_value(effect.amount)} of {effect.unit} on {_account(effect.account)}"
    if isinstance(effect, BurnEffect):
        return f"destroys {_value(effect.amount)} of {effect.unit} on {_account(effect.account)}"
    if isinstance(effect, MoveEffect):
        places = f"from {_account(effect.source)} to {_account(effect.target)}"
        return f"moves {_value(effect.amount)} of {effect.unit} {places}"
    if isinstance(effect, CreateEffect):
        return f"creates a {effect.type}{_given(effect.data)}"
    assert isinstance(effect, FireEffect)
    return f"does {effect.transition} on {_value(effect.record)}{_given(effect.input)}"


def _value(tree: list[Any]) -> str:
    """A value in words where it is simple, else as an expression."""
    if tree[0] == "var" and tree[1] in _VARIABLES:
        return _VARIABLES[tree[1]]
    if tree == ["list", []]:
        return "an empty list"
    if tree[0] in ("int", "bool"):
        return str(tree[1]).lower()
    if tree[0] == "get" and tree[1] == ["var", "data"]:
        return f"its {tree[2]}"
    if tree[0] == "get" and tree[1] == ["var", "input"]:
        return f"the given {tree[2]}"
    if tree[0] == "+" and tree[2][0] == "*" and tree[2][2] == _DAY and tree[2][1][0] == "int":
        since = "from now" if tree[1] == ["var", "now"] else f"after {_value(tree[1])}"
        return f"{tree[2][1][1]} days {since}"
    return code(tree)


def _account(tree: list[Any]) -> str:
    """An account: `its account held`, `account (its seller) of its title`."""
    if tree[0] != "call" or tree[1] not in ("account", "account_of", "party_account"):
        return code(tree)
    name = tree[2][-1]
    shown = name[1] if name[0] == "str" else f"({_value(name)})"
    if tree[1] == "account":
        return f"its account {shown}"
    return f"account {shown} of {_value(tree[2][0])}"


def _key(key: tuple[list[Any], ...]) -> str:
    return " with ".join(_value(part) for part in key)


def _given(values: dict[str, list[Any]]) -> str:
    """What is given with a creation or an act, in brackets."""
    given = ", ".join(f"{name}: {_value(tree)}" for name, tree in values.items())
    return f" ({given})" if given else ""
