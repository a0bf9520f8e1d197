"""Timers that change one another within a block."""

from __future__ import annotations

from node.authoring.stage import Stage
from tests.services.hostile import definition

SOURCE = """
service: bell
version: 1
title: bell
roles: {clerk: {}}
types:
  bell:
    fields:
      other: {kind: record, required: false, types: [bell-bell]}
      rung: integer!
    states: [open]
    final: [open]
    transitions:
      create: {to: open, by: role(clerk), do: [{timer: {name: ring, at: 'now + (has(data.other) ? 5 : 10)'}}]}
"""  # noqa: E501
ACTS = """
      ring: {from: calm, to: calm, auto: true, do: [{if: {when: has(data.other), then: [{fire: {record: data.other, transition: hush}}]}}]}
      hush: {from: calm, to: calm, internal: true, do: [{cancel: {name: ring}}]}
      rest: {from: calm, to: open, by: role(clerk)}
"""  # noqa: E501


def bells(hush: str) -> tuple[Stage, str, str]:
    """A stage with two bells: the first one's timer is due first and hushes the second."""
    text = SOURCE.replace("states: [open]", "states: [calm, open]").replace(
        "create: {to: open", "create: {to: calm"
    )
    stage = Stage()
    made = definition(text + ACTS.replace("{cancel: {name: ring}}", hush))
    assert stage.activate(made)["reason"] == ""
    stage.add_party("ann", "town")
    stage.grant("bell.clerk", "ann")
    records: list[str] = []
    for _ in range(2):
        data = {"other": records[0]} if records else {}
        entry = stage.run(
            "ann", [{"op": "record.create", "type": "bell-bell", "version": 1, "data": data}]
        )
        assert entry["reason"] == "", entry
        records.append(entry["results"][0]["record"])
    return stage, records[1], records[0]


def test_a_timer_that_an_earlier_one_cancelled_makes_no_entry() -> None:
    stage, first, second = bells("{cancel: {name: ring}}")
    entries = stage.advance(60)
    assert [entry["record"] for entry in entries] == [first]
    assert entries[0]["results"][0]["others"][0]["record"] == second
    assert stage.value(f"record/{second}")["timers"] == {}


def test_a_timer_that_an_earlier_one_put_off_fires_later_and_once() -> None:
    stage, first, second = bells("{timer: {name: ring, at: now + 100}}")
    assert [entry["record"] for entry in stage.advance(60)] == [first]
    assert stage.advance(50) == []
    assert [entry["record"] for entry in stage.advance(60)] == [second]
    assert stage.advance(1_000) == []
