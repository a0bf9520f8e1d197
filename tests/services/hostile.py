"""A small service to be spoiled, and the ways to hand a spoiled one in."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from ledger import canonical
from ledger.registry.definition import Definition
from ledger.transaction import Inadmissible
from node.authoring.compiler import compile_source
from node.authoring.source import parse
from node.authoring.stage import Stage

SOURCE = """
service: odd
version: 1
title: odd
roles:
  clerk: {}
units:
  coin: {types: [box]}
types:
  box:
    fields:
      owner: party
      number: {kind: integer, required: false, minimum: -9007199254740991}
      text: {kind: string, required: false, pattern: "[ -~]*", max: 256}
      other: {kind: record, required: false, types: [odd-box, odd-slip]}
      items: {kind: list, required: false, max: 4, items: integer}
      kept: integer!
    states: [open, shut]
    final: [shut]
    indexes: [owner]
    aggregates:
      slips: {type: slip, link: box, states: [open], field: amount, ordered: true}
    transitions:
      create: {to: open, by: party(owner)}
      work: {from: open, to: open, by: party(owner), do: [{set: {field: kept, value: 1}}]}
      ring: {from: open, to: open, auto: true}
      knock: {from: open, to: open, internal: true}
      shut: {from: open, to: shut, by: party(owner)}
  slip:
    fields:
      box: {kind: record, types: [odd-box]}
      amount: {kind: integer, minimum: -9007199254740991}
    states: [open]
    final: [open]
    transitions:
      create: {to: open, by: role(clerk)}
"""


def definition(source: str = SOURCE) -> Definition:
    """The compiled service."""
    made, problems = compile_source(parse(source))
    assert made is not None, problems
    return made


def plain() -> dict[str, Any]:
    """The service as JSON, to be spoiled."""
    value: dict[str, Any] = deepcopy(canonical.decode(definition().encode()))
    return value


def box(work: dict[str, Any]) -> dict[str, Any]:
    """The service as JSON with another `work` of box; what is not said stays."""
    made = plain()
    made["types"]["box"]["transitions"]["work"].update(work)
    return made


def proposed(value: Any) -> tuple[str, str]:
    """(reason, problem) that the members' stage answers to a definition."""
    stage = Stage()
    try:
        entry = stage.govern("activate", {"definition": value})
    except Inadmissible as refused:
        return refused.reason, ""
    problem = entry["results"][0].get("problem", "") if entry["results"] else ""
    return entry["reason"], problem


class Play:
    """A stage on which a definition is in force, with a clerk and an owner."""

    def __init__(self, value: dict[str, Any] | None = None, stage: Stage | None = None) -> None:
        self.stage = stage or Stage()
        entry = self.stage.govern("activate", {"definition": value or plain()})
        reason = entry["reason"]
        problem = str(entry["results"])
        assert reason == "", problem
        for party in ("ann", "ben"):
            self.stage.add_party(party, "town")
        self.stage.grant("odd.clerk", "ann")

    def do(self, *operations: dict[str, Any], by: str = "ann") -> str:
        """Reason of one transaction, or empty; it may not raise and must leave a block."""
        try:
            entry = self.stage.run(by, list(operations))
        except Inadmissible as refused:
            return refused.reason
        reason: str = entry["reason"]
        return reason

    def create(self, data: Any, kind: str = "box", version: Any = 1) -> dict[str, Any]:
        """An operation that creates a record."""
        return {"op": "record.create", "type": f"odd-{kind}", "version": version, "data": data}

    def act(self, record: str, given: Any = None, name: str = "work") -> dict[str, Any]:
        """An operation that acts on a record."""
        return {"op": "record.act", "id": record, "transition": name, "input": given or {}}

    def made(self, data: dict[str, Any] | None = None, kind: str = "box") -> str:
        """Id of a record that ann creates."""
        values = data if data is not None else {"owner": "ann"}
        entry = self.stage.run("ann", [self.create(values, kind)])
        assert entry["reason"] == "", entry
        record: str = entry["results"][0]["record"]
        return record
