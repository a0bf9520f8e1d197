"""Hostile definitions and inputs: refused with a stable reason, or bounded; never an exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ledger import canonical
from tests.services.hostile import SOURCE, Play, box, definition, plain, proposed
from tests.work import lines_run

BIG = 2**53 - 1
ONE: list[Any] = ["int", 1]


def deep(levels: int, tree: list[Any] | None = None) -> list[Any]:
    """An expression that nests."""
    made: list[Any] = tree or ["bool", True]
    for _ in range(levels):
        made = ["not", made]
    return made


def wide(nodes: int) -> list[Any]:
    """An expression of many nodes and little depth."""
    return ["list", [["int", 1]] * nodes]


def member(path: str, value: Any) -> Callable[[], dict[str, Any]]:
    """The service with one member changed: `types.box.final` and so on."""

    def make() -> dict[str, Any]:
        made = plain()
        part: Any = made
        *steps, last = path.split(".")
        for step in steps:
            part = part[step]
        part[last] = value
        return made

    return make


def working(**changes: Any) -> Callable[[], dict[str, Any]]:
    """The service with another act `work`."""
    return lambda: box(changes)


def effect(*effects: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    return working(effects=list(effects))


def guard(tree: Any) -> Callable[[], dict[str, Any]]:
    return working(guards=[["odd", tree]])


def policy(by: Any) -> Callable[[], dict[str, Any]]:
    return working(by=by)


def field(**members: Any) -> Callable[[], dict[str, Any]]:
    base = {"required": False, "privacy": "public", "origin": "given"}
    return member("types.box.fields.text", {**base, **members})


def nested_if(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {"e": "set", "field": "kept", "value": ONE}
    for _ in range(levels):
        made = {"e": "if", "when": ["bool", True], "then": [made]}
    return made


SET = {"e": "set", "field": "kept", "value": ONE}
ROLE = {"p": "role", "role": "clerk", "agency_of": None}
DEFINITIONS: dict[str, Callable[[], Any]] = {
    "no object": lambda: {"x": 1},
    "unknown member": member("code", "print(1)"),
    "another format": member("type", "muniment-service-v2"),
    "the ledger's own name": member("service", "sys"),
    "a name with a slash": member("service", "odd/../sys"),
    "a name of look-alike letters": member("service", "\u043edd"),
    "a name with a null byte": member("service", "odd\x00"),
    "a name that is too long": member("service", "o" * 40),
    "version zero": member("version", 0),
    "version too large": member("version", BIG),
    "a version that is a float text": member("version", "1"),
    "no types": member("types", {}),
    "too many types": lambda: {**plain(), "types": {f"t{i}": None for i in range(30)}},
    "too many roles": member("roles", [f"r{i}" for i in range(65)]),
    "the same role twice": member("roles", ["clerk", "clerk"]),
    "a role with a dot": member("roles", ["clerk", "funds.treasury"]),
    "too many units": member("units", {f"u{i}": {"types": ["box"]} for i in range(17)}),
    "a unit minted by nobody's type": member("units.coin.types", ["vault"]),
    "too many states": member("types.box.states", [f"s{i}" for i in range(25)]),
    "the same state twice": member("types.box.states", ["open", "open", "shut"]),
    "a state of look-alike letters": member("types.box.states", ["open", "shut", "\u043epen"]),
    "a final state that acts leave": member("types.box.final", ["open", "shut"]),
    "no create": member("types.slip.transitions", {}),
    "an index on a list": member("types.box.indexes", ["items"]),
    "a complete link that is no record": member("types.box.complete", ["owner"]),
    "an aggregate over another type": member("types.box.aggregates.slips.type", "vault"),
    "an aggregate over a text": member("types.box.aggregates.slips.field", "box"),
    "an aggregate in no state": member("types.box.aggregates.slips.states", ["gone"]),
    "a universal act of its own": member("types.box.universal", {"erase": ROLE}),
    "too many fields": lambda: _many_fields(),
    "a field name with a capital": lambda: _renamed("types.box.fields", "text", "Text"),
    "a field name of look-alikes": lambda: _renamed("types.box.fields", "text", "t\u0435xt"),
    "a group in a pattern": field(kind="string", max=64, pattern="(a+)+b"),
    "alternation in a pattern": field(kind="string", max=64, pattern="a|b"),
    "a back reference": field(kind="string", max=64, pattern="(a)\\1"),
    "too long a pattern": field(kind="string", max=64, pattern="a" * 129),
    "a pattern of too many positions": field(kind="string", max=64, pattern="a{256}" * 6),
    "a text without bound": field(kind="string", max=1_000_000, pattern="[a]*"),
    "a list without bound": field(
        kind="list", max=1_000_000, items={"kind": "code", "required": True, "privacy": "public"}
    ),
    "a list of lists": field(kind="list", max=4, items={"kind": "list", "max": 4}),
    "an unknown kind": field(kind="float"),
    "an integer beyond 2^53-1": field(kind="integer", minimum=0, maximum=2**60),
    "minimum above maximum": field(kind="integer", minimum=2, maximum=1),
    "a choice of nothing": field(kind="choice", of=[]),
    "an origin that does not exist": field(kind="code", origin="anywhere"),
    "deep nesting of an expression": guard(deep(33)),
    "very deep nesting": guard(deep(100)),
    "too many nodes": guard(wide(200)),
    "an unknown function": guard(["call", "eval", [["str", "1"]]]),
    "a function by attribute": guard(["call", "__import__", [["str", "os"]]]),
    "an unknown variable": guard(["var", "self"]),
    "an unknown operator": guard(["**", ONE, ONE]),
    "wrong number of arguments": guard(["call", "get", []]),
    "no expression": guard({"int": 1}),
    "an integer constant too large": guard(["int", 2**53]),
    "a text constant too long": guard(["str", "a" * 257]),
    "a float constant": guard(["int", 1.5]),
    "too many guards": working(guards=[[f"g{i}", ["bool", True]] for i in range(17)]),
    "a guard with a capital": working(guards=[["Odd", ["bool", True]]]),
    "too many effects": effect(*[SET] * 33),
    "too many effects under conditions": effect(*[nested_if(3)] * 9),
    "conditions nested too deep": effect(nested_if(4)),
    "an unknown effect": effect({"e": "exec", "code": "1"}),
    "an effect on a field that is not there": effect({**SET, "field": "nothing"}),
    "push to what is no list": effect({"e": "push", "field": "kept", "value": ONE}),
    "mint in another type": lambda: _mint_in_slip(),
    "mint of an unknown unit": effect(
        {"e": "mint", "unit": "gold", "account": ["str", "a#b"], "amount": ONE}
    ),
    "create of a type that is not internal": effect({"e": "create", "type": "slip", "data": {}}),
    "create of an unknown type": effect({"e": "create", "type": "vault", "data": {}}),
    "a timer of an act by people": effect({"e": "timer", "name": "shut", "at": ONE}),
    "a timer of nothing": effect({"e": "timer", "name": "boom", "at": ONE}),
    "a claim without a key": effect({"e": "claim", "namespace": "n", "key": []}),
    "a claim in a path": effect({"e": "claim", "namespace": "../n", "key": [ONE]}),
    "a lock with a bad name": effect({"e": "lock", "record": ["var", "id"], "name": "A b"}),
    "nobody may do it": policy(None),
    "a policy that names nobody": policy({"p": "any", "of": []}),
    "nine signers": policy({"p": "count", "n": 9, "of": ROLE}),
    "counts of counts": policy({"p": "count", "n": 8, "of": {"p": "count", "n": 8, "of": ROLE}}),
    "a policy of too many parts": policy({"p": "any", "of": [ROLE] * 64}),
    "an unknown role": policy({"p": "role", "role": "king", "agency_of": None}),
    "a role of no party's agency": policy({"p": "role", "role": "clerk", "agency_of": "text"}),
    "a party that is a text": policy({"p": "party", "field": "text"}),
    "deep nesting of a policy": lambda: box({"by": _deep_policy(40)}),
    "a timer that wants input": lambda: _ring_with_input(),
    "an act that is called create": lambda: _renamed("types.box.transitions", "work", "create"),
    "an act called like a universal one": lambda: _renamed(
        "types.box.transitions", "work", "rectify"
    ),
    "a state that is not there": working(to="nowhere"),
    "a definition that is too large": lambda: _too_large(),
}


def _renamed(path: str, old: str, new: str) -> dict[str, Any]:
    made = plain()
    part: Any = made
    for step in path.split("."):
        part = part[step]
    part[new] = part.pop(old)
    return made


def _many_fields() -> dict[str, Any]:
    made = plain()
    form = made["types"]["box"]["fields"]["kept"]
    made["types"]["box"]["fields"].update({f"f{i}": form for i in range(48)})
    return made


def _mint_in_slip() -> dict[str, Any]:
    made = plain()
    mint = {"e": "mint", "unit": "coin", "account": ["str", "party:a#b"], "amount": ONE}
    made["types"]["slip"]["transitions"]["create"]["effects"] = [mint]
    return made


def _ring_with_input() -> dict[str, Any]:
    made = plain()
    form = {"kind": "code", "required": True, "privacy": "public", "origin": "given"}
    made["types"]["box"]["transitions"]["ring"]["input"] = {"why": form}
    return made


def _deep_policy(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = ROLE
    for _ in range(levels):
        made = {"p": "all", "of": [made]}
    return made


def _too_large() -> dict[str, Any]:
    made = plain()
    work = made["types"]["box"]["transitions"]["work"]
    for index in range(40):
        guards = [[f"g{i}", ["str", "a" * 250]] for i in range(16)]
        made["types"]["box"]["transitions"][f"w{index}"] = {**work, "guards": guards}
    return made


def test_the_service_that_is_spoiled_is_right() -> None:
    assert proposed(plain()) == ("", "")


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_hostile_definition_is_refused(name: str) -> None:
    definition = DEFINITIONS[name]()
    (reason, problem), lines = lines_run(lambda: proposed(definition))
    assert reason == "PROPOSAL_INVALID"
    assert problem
    assert lines < 200_000


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("suspend", {"service": "\u00e4", "version": 1}),
        ("suspend", {"service": "odd", "version": "1"}),
        ("resume", {"service": "a/b", "version": 1}),
        ("migrate", {"service": "\u00e4", "source": 1, "target": 2}),
        ("role-root", {"role": "odd.\u00e4", "party": "founder"}),
        ("role-root", {"role": "odd.a/b\x00", "party": "founder"}),
        ("role-root", {"role": "odd.clerk", "party": "nobody"}),
        ("role-root", {"role": "odd.clerk", "party": "\u00e4"}),
        ("erase", {}),
        ("activate", {"definition": []}),
        ("activate", {}),
    ],
)
def test_a_hostile_proposal_is_refused(kind: str, body: dict[str, Any]) -> None:
    play = Play()
    assert play.stage.govern(kind, body)["reason"] == "PROPOSAL_INVALID"


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        ("suspend", {"service": "nothing", "version": 1}, "SERVICE_UNKNOWN"),
        ("suspend", {"service": "odd", "version": 7}, "VERSION_UNKNOWN"),
        ("resume", {"service": "nothing", "version": 1}, "SERVICE_UNKNOWN"),
        ("role-root", {"role": "nothing.clerk", "party": "founder"}, "SERVICE_UNKNOWN"),
        ("role-root", {"role": "odd.king", "party": "founder"}, "ROLE_UNKNOWN"),
        ("role-root", {"role": "odd.clerk", "party": "nobody"}, "PARTY_UNKNOWN"),
        ("migrate", {"service": "nothing", "source": 1, "target": 2}, "SERVICE_UNKNOWN"),
        ("migrate", {"service": "odd", "source": 1, "target": 1}, "VERSION_UNKNOWN"),
        ("migrate", {"service": "odd", "source": 1, "target": -1}, "VERSION_UNKNOWN"),
        ("activate", {"definition": plain()}, "VERSION_NOT_RISING"),
    ],
)
def test_a_proposal_that_can_have_no_effect_is_refused(
    kind: str, body: dict[str, Any], problem: str
) -> None:
    entry = Play().stage.govern(kind, body)
    assert entry["reason"] == "PROPOSAL_INVALID"
    assert entry["results"] == [{"problem": problem}]


def test_a_type_cannot_be_taken_over_by_a_service_of_a_longer_name() -> None:
    play = Play()
    made = plain()
    made["types"]["box-slip"] = made["types"]["slip"]  # of record type odd-box-slip
    made["version"] = 2
    assert play.stage.govern("activate", {"definition": made})["reason"] == ""
    text = definition(SOURCE.replace("odd", "odd-box")).encode()  # its slip is odd-box-slip too
    entry = play.stage.govern("activate", {"definition": canonical.decode(text)})
    assert entry["results"] == [{"problem": "TYPE_TAKEN"}]
