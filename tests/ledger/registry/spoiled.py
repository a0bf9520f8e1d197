"""Definitions changed at random, of those that still pass the check."""

from __future__ import annotations

import random
from copy import deepcopy
from pathlib import Path
from typing import Any

from ledger import canonical
from ledger.registry import definition
from ledger.registry.check import check
from node.authoring.compiler import compile_source
from node.authoring.source import parse

ROOT = Path(__file__).parents[3]


def _compiled(service: str) -> dict[str, Any]:
    source = (ROOT / "services" / service / "service.yaml").read_text(encoding="utf-8")
    made, problems = compile_source(parse(source))
    assert made is not None, problems
    parsed: dict[str, Any] = canonical.decode(made.encode())
    return parsed


BASES = [_compiled(service) for service in ("funds", "funds", "land", "casework")]
LEAVES: list[list[Any]] = [
    ["int", 0],
    ["int", -1],
    ["int", 2**53 - 1],
    ["str", ""],
    ["str", "party:ann#paid"],
    ["bool", True],
    ["null"],
    ["list", []],
    *(["var", name] for name in ("data", "input", "now", "me", "signers", "id", "state")),
    ["call", "account", [["str", "available"]]],
    ["call", "balance", [["str", "money"], ["call", "account", [["str", "available"]]]]],
    ["call", "get", [["var", "id"]]],
    ["call", "sum", [["get", ["var", "data"], "appropriation"], ["str", "committed"]]],
    ["list", [["var", "data"], ["var", "data"]]],
    ["*", ["int", 2**40], ["int", 2**40]],
]


def _trees(rng: random.Random, fields: list[str]) -> list[Any]:
    """A small expression."""
    if rng.random() < 0.35:
        return ["get", ["var", rng.choice(["data", "input"])], rng.choice(fields)]
    leaf = deepcopy(rng.choice(LEAVES))
    if rng.random() < 0.3:
        operator = rng.choice(["==", "!=", "<", "+", "-", "in", "and", "or"])
        return [operator, leaf, deepcopy(rng.choice(LEAVES))]
    return leaf


def _effect(rng: random.Random, names: dict[str, list[str]]) -> dict[str, Any]:
    """An effect of any kind; `names` holds what the definition calls things."""

    def tree() -> list[Any]:
        return _trees(rng, names["fields"])

    account = ["call", "account", [["str", rng.choice(["available", "committed", "held"])]]]
    target = rng.choice([["get", ["var", "data"], "appropriation"], ["var", "id"], tree()])
    field = rng.choice(names["fields"])
    unit = rng.choice(names["units"])
    nested = {"e": "cancel", "name": rng.choice(names["transitions"])}
    made: list[dict[str, Any]] = [
        {"e": "set", "field": field, "value": tree()},
        {"e": "push", "field": field, "value": tree()},
        {"e": "pull", "field": field, "value": tree()},
        {"e": "claim", "namespace": "n", "key": [tree()]},
        {"e": "release", "namespace": "n", "key": [tree()]},
        {"e": "lock", "record": target, "name": "l"},
        {"e": "unlock", "record": target, "name": "l"},
        {"e": "mint", "unit": unit, "account": account, "amount": ["int", rng.randrange(9)]},
        {"e": "burn", "unit": unit, "account": account, "amount": tree()},
        {"e": "move", "unit": unit, "source": account, "target": account, "amount": tree()},
        {"e": "create", "type": rng.choice(names["types"]), "data": {field: tree()}},
        {
            "e": "fire",
            "record": target,
            "transition": rng.choice(names["transitions"]),
            "input": {},
        },
        {
            "e": "timer",
            "name": rng.choice(names["transitions"]),
            "at": ["+", ["var", "now"], ["int", rng.randrange(9)]],
        },
        nested,
        {"e": "if", "when": ["==", tree(), tree()], "then": [nested]},
    ]
    return rng.choice(made)


def _names(value: dict[str, Any]) -> dict[str, list[str]]:
    kinds = value["types"].values()
    return {
        "types": sorted(value["types"]),
        "units": sorted(value["units"]) or ["none"],
        "fields": [*sorted({name for kind in kinds for name in kind["fields"]}), "items"],
        "transitions": sorted({name for kind in kinds for name in kind["transitions"]}),
    }


def _change(rng: random.Random, value: dict[str, Any]) -> None:
    """One change somewhere; it may make the definition wrong."""
    names = _names(value)
    kind = value["types"][rng.choice(names["types"])]
    transition = kind["transitions"][rng.choice(sorted(kind["transitions"]))]
    effects: list[Any] = transition["effects"]
    what = rng.randrange(12)
    if what <= 4:
        effects.insert(rng.randint(0, len(effects)), _effect(rng, names))
    elif what == 5 and effects:
        effects.pop(rng.randrange(len(effects)))
    elif what == 6:
        transition["guards"] = []
    elif what == 7:
        transition["to"] = rng.choice(kind["states"])
    elif what == 8:
        field = kind["fields"][rng.choice(sorted(kind["fields"]))]
        field["required"] = not field["required"]
    elif what == 9:
        member = rng.choice(["auto", "internal"])
        transition[member] = not transition[member]
    elif what == 10:
        fields = kind["fields"]
        integer = {"kind": "integer", "minimum": -5, "maximum": 2**53 - 1}
        common = {"required": False, "privacy": "public", "origin": "given"}
        fields["items"] = {"kind": "list", "max": 3, "items": {**integer, **common}, **common}
    elif transition["by"] is not None:
        role = {"p": "role", "role": rng.choice(value["roles"]), "agency_of": None}
        signer = {"p": "is", "value": _trees(rng, names["fields"])}
        count = {"p": "count", "n": rng.randint(1, 3), "of": role}
        transition["by"] = rng.choice([role, signer, count, {"p": "any", "of": [role, signer]}])


def spoiled(rng: random.Random, base: dict[str, Any]) -> definition.Definition:
    """A definition that passes the check after up to eight changes of another."""
    value = deepcopy(base)
    for _ in range(rng.randint(1, 8)):
        tried = deepcopy(value)
        _change(rng, tried)
        try:
            made = definition.decode(canonical.encode(tried))
        except ValueError:
            continue
        if not check(made):
            value = tried
    return definition.decode(canonical.encode(value))
