"""What steps of a scenario expect of accounts and aggregates: that the service has such.

An account that nobody ever used holds 0, so a mistyped one would meet what is expected of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ledger.registry.definition import (
    BurnEffect,
    Definition,
    MintEffect,
    MoveEffect,
    effects_of,
)
from node.authoring.source import Problem, Source

PARTY: Final = "party:"
_ACCOUNTS: Final = frozenset({"account", "account_of", "party_account"})


def check_sums(source: Source, definition: Definition) -> list[Problem]:
    """Units, accounts and aggregates that a scenario names and the service has not. The scenario's
    form is right (`node.authoring.script`)."""
    names = _Names(definition)
    kinds: dict[str, str] = {}
    found: list[Problem] = []

    def say(path: tuple[str, ...], message: str) -> None:
        if message:
            found.append(Problem(source.line(path), path, message))

    for index, step in enumerate(source.value.get("steps") or []):
        if "name" in step:
            kind = step.get("create") or kinds.get(step.get("on") or step.get("approve") or "", "")
            kinds[step["name"]] = kind
        where = ("steps", str(index))
        for text in step.get("balance") or {}:
            say((*where, "balance", text), names.account(text))
        kind = kinds.get(step.get("expect", ""), "")
        for part in ("count", "sum"):
            for text in step.get(part) or {}:
                say((*where, part, text), names.aggregate(kind, text))
    return found


class _Names:
    """Units, accounts and aggregates of a service."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._accounts: dict[tuple[str, bool], set[str] | None] = {}
        """(unit, whether it is a party's) -> names; None when an act computes a name."""
        for unit, tree in _used(definition):
            self._note(unit, tree)

    def _note(self, unit: str, tree: list[Any]) -> None:
        known = tree[0] == "call" and tree[1] in _ACCOUNTS
        last = tree[2][-1] if known else None
        sides = (tree[1] == "party_account",) if known else (False, True)
        for side in sides:
            names = self._accounts.setdefault((unit, side), set())
            if last is None or last[0] != "str":
                self._accounts[unit, side] = None
            elif names is not None:
                names.add(last[1])

    def account(self, text: str) -> str:
        """What is wrong with `money available` or `money party:tom#paid`; empty when nothing is."""
        unit, _, account = text.partition(" ")
        if unit not in self._definition.units:
            there = ", ".join(self._definition.units) or "none"
            return f"the service has no unit {unit}; there are: {there}"
        of_party = account.startswith(PARTY)
        name = account.rpartition("#")[2]
        names = self._accounts.get((unit, of_party), set())
        if names is None or name in names:
            return ""
        owner = "of a party" if of_party else "of a record"
        there = ", ".join(sorted(names)) or "none"
        return f"no act uses an account {name} {owner} for {unit}; there are: {there}"

    def aggregate(self, kind: str, name: str) -> str:
        """What is wrong with the name of an aggregate of a type; empty when nothing is."""
        form = self._definition.types.get(kind)
        if form is None or name in form.aggregates:
            return ""
        return f"{kind} has no aggregate {name}; there are: {', '.join(form.aggregates) or 'none'}"


def _used(definition: Definition) -> Iterator[tuple[str, list[Any]]]:
    """(unit, account) of every effect that changes an account."""
    for kind in definition.types.values():
        for transition in kind.transitions.values():
            for effect in effects_of(transition.effects):
                if isinstance(effect, MoveEffect):
                    yield effect.unit, effect.source
                    yield effect.unit, effect.target
                elif isinstance(effect, MintEffect | BurnEffect):
                    yield effect.unit, effect.account
