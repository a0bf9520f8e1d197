"""Mutants of services: take one guard, one authority, one effect or one `!` away; the scenario must
notice.

`python -m scripts.mutants_services [FOLDER ...]` prints a table and every survivor; exit 1 if there
is one. A scenario that passes without a rule proves nothing about that rule.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ledger import canonical
from ledger.registry.check import check
from ledger.registry.definition import Definition
from node.authoring.compiler import compile_source
from node.authoring.scenario import Scenario, ScenarioFailed
from node.authoring.source import parse
from node.authoring.stage import Stage, StageGround

ROOT = Path(__file__).parent.parent
SERVICES = ("funds", "land", "documents", "casework")
ANYBODY = {"p": "is", "value": ["var", "me"]}
"""A policy that every first signer satisfies."""
KINDS = ("guard", "authority", "effect", "field")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to a definition."""

    kind: str
    where: str
    definition: Definition


def load(folder: Path) -> Definition:
    """The compiled service of a folder. Raises SystemExit with its problems."""
    source = parse((folder / "service.yaml").read_text(encoding="utf-8"))
    definition, problems = compile_source(source)
    if definition is None:
        raise SystemExit("\n".join(problem.text(str(folder)) for problem in problems))
    return definition


def mutants(definition: Definition) -> Iterator[Mutant]:
    """Every guard removed, every authority widened to anybody, every effect dropped, every field
    that only effects set given by whoever creates a record, one each."""
    plain: dict[str, Any] = canonical.decode(definition.encode())
    for kind, form in plain["types"].items():
        for name, field in form["fields"].items():
            if field["origin"] == "effect":
                given = {**field, "origin": "given"}
                yield _mutant("field", plain, ("types", kind, "fields", name), given)
        for act in form["universal"]:
            yield _mutant("authority", plain, ("types", kind, "universal", act), ANYBODY)
        for act, transition in form["transitions"].items():
            path = ("types", kind, "transitions", act)
            yield _mutant("authority", plain, (*path, "by"), ANYBODY)
            guards = transition["guards"]
            for index in range(len(guards)):
                rest = guards[:index] + guards[index + 1 :]
                yield _mutant("guard", plain, (*path, "guards"), rest, guards[index][0])
            for name, rest in _without_one(transition["effects"]):
                yield _mutant("effect", plain, (*path, "effects"), rest, name)


def _without_one(effects: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The effects with one of them left out, those under conditions included."""
    for index, effect in enumerate(effects):
        before, after = effects[:index], effects[index + 1 :]
        yield f"{index} {effect['e']}", before + after
        if effect["e"] == "if":
            for name, rest in _without_one(effect["then"]):
                yield f"{index} if {name}", [*before, {**effect, "then": rest}, *after]


def _mutant(
    kind: str, plain: dict[str, Any], path: tuple[str, ...], value: Any, name: str = ""
) -> Mutant:
    changed = deepcopy(plain)
    part = changed
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    where = " ".join(part for part in (*path[1::2], name) if part)
    return Mutant(kind, where, msgspec.convert(changed, Definition))


def survives(definition: Definition, script: str) -> bool:
    """Whether the scenario passes on a definition all the same."""
    problems = check(definition)
    assert not problems, problems  # else it would fail for a reason that is not the rule's
    stage = Stage()
    stage.activate(definition)
    scenario = Scenario(parse(script), definition.service, definition.version)
    try:
        scenario.run(StageGround(stage))
    except ScenarioFailed:
        return False
    return True


def main(arguments: list[str]) -> int:
    """Print the table; 1 if a mutant survives."""
    folders = [Path(a) for a in arguments] or [ROOT / "services" / name for name in SERVICES]
    survivors: list[str] = []
    print(f"{'service':<14}" + "".join(f"{kind:>14}" for kind in KINDS) + f"{'seconds':>10}")
    for folder in folders:
        started = time.monotonic()
        definition = load(folder)
        script = (folder / "scenario.yaml").read_text(encoding="utf-8")
        if not survives(definition, script):
            raise SystemExit(f"{folder}: the scenario fails on the service as it is")
        killed, made = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
        for mutant in mutants(definition):
            made[mutant.kind] += 1
            if survives(mutant.definition, script):
                survivors.append(f"{folder.name}: {mutant.kind}: {mutant.where}")
            else:
                killed[mutant.kind] += 1
        row = "".join(f"{f'{killed[kind]} of {made[kind]}':>14}" for kind in KINDS)
        print(f"{folder.name:<14}{row}{time.monotonic() - started:>10.1f}", flush=True)
    for survivor in survivors:
        print(f"survives: {survivor}")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
