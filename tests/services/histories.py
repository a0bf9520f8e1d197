"""Histories of records as a stage makes them, and their replay in `sismic`."""

from __future__ import annotations

from typing import Any

from sismic.exceptions import StatechartError
from sismic.interpreter import Interpreter
from sismic.io import import_from_yaml
from sismic.model import Statechart

from ledger.registry.definition import Definition
from node.authoring.chart import court_order, machine_chart
from node.authoring.stage import Stage, StageGround

Version = tuple[str | None, str]
"""(act as an event of the chart, state after it); no act when another record locked this one."""


class RecordingGround(StageGround):
    """A stage that notes every version of every record, from the entries of blocks alone."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.stage = stage
        self.histories: dict[str, list[Version]] = {}

    def run(self, party: str, operation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """One operation; its versions are noted when it is done."""
        event = self._event(operation)
        height = self.stage.height
        reason, result = super().run(party, operation)
        if self.stage.height > height:  # else it was in no block
            self._note_timers()
        if not reason and "record" in result and "pending" not in result:
            self._note(event, result)
        return reason, result

    def advance(self, seconds: int) -> list[dict[str, Any]]:
        """A block that much later; what timers did is noted."""
        entries = super().advance(seconds)
        self._note_timers()
        return entries

    def _event(self, operation: dict[str, Any]) -> str:
        """What the operation does when it is not refused."""
        if operation["op"] == "record.create":
            return "create"
        act, given = operation.get("transition", ""), operation.get("input") or {}
        if operation["op"] == "record.approve":
            waiting = self.value(f"pending/{operation['id']}/{operation['pending']}") or {}
            act, given = waiting.get("transition", ""), waiting.get("input") or {}
        return court_order(given.get("state")) if act == "court_order" else str(act)

    def _note_timers(self) -> None:
        for entry in self.stage.entries:
            if entry["kind"] != "timer":
                continue
            if entry["status"] == "fired":
                self._note(entry["name"], entry["results"][0])
            else:  # only its timer changed
                versions = self.histories[entry["record"]]
                versions.append((None, versions[-1][1]))

    def _note(self, event: str, result: dict[str, Any]) -> None:
        """A version of the record, and of those that changed with it."""
        for other in result.get("others", ()):
            self._add(other, other["transition"] or None)
        self._add(result, event)

    def _add(self, result: dict[str, Any], event: str | None) -> None:
        versions = self.histories.setdefault(result["record"], [])
        assert result["seq"] == len(versions), result
        versions.append((event, result["state"]))


def charts(definition: Definition) -> dict[str, str]:
    """Type -> YAML of its chart, as `muniment service chart` writes it."""
    return {
        name: machine_chart(f"{definition.service}-{name}", kind)
        for name, kind in definition.types.items()
    }


def read_chart(text: str) -> Statechart:
    """What sismic makes of a chart. Raises StatechartError."""
    chart = import_from_yaml(text)
    if not isinstance(chart, Statechart):
        raise StatechartError("no chart")
    return chart


def misplaced(chart: Statechart, history: list[Version]) -> str:
    """Where a history leaves the chart, in words; empty when the chart follows all of it."""
    interpreter = Interpreter(chart)
    interpreter.execute()
    for number, (event, state) in enumerate(history):
        if number == 0:
            if event != "create":
                return f"begins with {event}"
        elif event is not None:
            steps = interpreter.queue(event).execute()
            if not any(step.transitions for step in steps):
                return f"version {number}: {event} is not possible in {history[number - 1][1]}"
        found = interpreter.configuration[-1]
        if found != state:
            return f"version {number}: the chart is in {found}, the record is {state}"
    return ""


def replay_all(definition: Definition, histories: dict[str, list[Version]]) -> list[str]:
    """What is wrong in any of many histories of a service."""
    read = {name: read_chart(text) for name, text in charts(definition).items()}
    prefix = f"{definition.service}-"
    found = []
    for record, history in histories.items():
        wrong = misplaced(read[record.split("/")[0].removeprefix(prefix)], history)
        if wrong:
            found.append(f"{record}: {wrong}")
    return found
