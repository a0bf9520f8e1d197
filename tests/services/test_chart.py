"""Charts for sismic: every history of the scenarios replays, and a wrong chart is noticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from node import client_cli
from node.authoring.stage import Stage
from tests.services.folders import FOLDER, NAMES, Service
from tests.services.histories import (
    RecordingGround,
    Version,
    charts,
    misplaced,
    read_chart,
    replay_all,
)

every_service = pytest.mark.parametrize("name", NAMES)


@cache
def recorded(name: str) -> RecordingGround:
    """The ground on which a service's scenario was played."""
    service, stage = Service.load(name), Stage()
    stage.activate(service.definition)
    ground = RecordingGround(stage)
    service.play(ground)
    return ground


def of_type(name: str, kind: str) -> list[list[Version]]:
    """Histories of the records of one type."""
    found = recorded(name).histories
    return [found[record] for record in found if record.split("/")[0] == f"{name}-{kind}"]


@every_service
def test_every_history_of_the_scenario_replays(name: str) -> None:
    service, ground = Service.load(name), recorded(name)
    assert replay_all(service.definition, ground.histories) == []
    for record, history in ground.histories.items():
        value = ground.value(f"record/{record}")
        assert (value["seq"], value["state"]) == (len(history) - 1, history[-1][1])


@every_service
def test_the_histories_hold_every_transition(name: str) -> None:
    definition = Service.load(name).definition
    for kind, form in definition.types.items():
        seen = {event for history in of_type(name, kind) for event, _ in history}
        assert set(form.transitions) <= seen


def _wrong(plain: Any) -> Iterator[tuple[str, str, Any]]:
    """(state, event, chart) of every chart that lacks one transition, or leads it elsewhere."""
    enclosing = plain["statechart"]["root state"]["states"][0]
    names = [state["name"] for state in enclosing["states"]]
    for index, state in enumerate(enclosing["states"]):
        for number, transition in enumerate(state.get("transitions", [])):
            changed = deepcopy(plain)
            states = changed["statechart"]["root state"]["states"][0]["states"]
            del states[index]["transitions"][number]
            yield state["name"], transition["event"], changed
            elsewhere = next((n for n in names if n != transition["target"]), None)
            if elsewhere is not None:
                changed = deepcopy(plain)
                states = changed["statechart"]["root state"]["states"][0]["states"]
                states[index]["transitions"][number]["target"] = elsewhere
                yield state["name"], transition["event"], changed


@every_service
def test_a_wrong_chart_is_noticed(name: str) -> None:
    noticed = 0
    for kind, text in charts(Service.load(name).definition).items():
        histories = of_type(name, kind)
        walked = {
            (before[1], after[0]) for history in histories for before, after in pairwise(history)
        }
        for state, event, changed in _wrong(yaml.safe_load(text)):
            if (state, event) in walked:
                chart = read_chart(yaml.safe_dump(changed))
                assert any(misplaced(chart, history) for history in histories), (kind, event)
                noticed += 1
    assert noticed >= 8


def test_what_a_chart_does_not_allow_is_named() -> None:
    chart = read_chart(charts(Service.load("land").definition)["sale"])
    offered: Version = ("create", "offered")
    assert misplaced(chart, [offered, ("cancel", "cancelled")]) == ""
    assert misplaced(chart, [offered, (None, "offered"), ("court_order", "offered")]) == ""
    ordered: list[Version] = [offered, ("cancel", "cancelled"), ("court_order(signed)", "signed")]
    assert misplaced(chart, ordered) == ""
    not_yet = "version 1: complete is not possible in offered"
    assert misplaced(chart, [offered, ("complete", "completed")]) == not_yet
    other = "version 1: the chart is in signed, the record is funded"
    assert misplaced(chart, [offered, ("sign", "funded")]) == other
    gone = "version 2: sign is not possible in cancelled"
    assert misplaced(chart, [offered, ("cancel", "cancelled"), ("sign", "signed")]) == gone
    moved = "version 1: the chart is in offered, the record is signed"
    assert misplaced(chart, [offered, (None, "signed")]) == moved
    assert misplaced(chart, [("sign", "signed")]) == "begins with sign"
    strange = "version 1: error_declaration is not possible in offered"
    assert misplaced(chart, [offered, ("error_declaration", "offered")]) == strange


def test_the_command_writes_what_sismic_reads(tmp_path: Path) -> None:
    command = ["service", "chart", str(FOLDER / "land"), "--type", "title"]
    shown = CliRunner().invoke(client_cli.app, command)
    assert shown.exit_code == 0
    file = tmp_path / "title.yaml"
    done = CliRunner().invoke(client_cli.app, [*command, "-o", str(file), "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["data"]["chart"] == file.read_text() == shown.stdout
    chart = read_chart(file.read_text())
    assert chart.name == "land-title"
    assert {"allotting", "open", "caveated", "closed"} < set(chart.states)


def test_a_service_of_one_type_needs_no_type_named() -> None:
    shown = CliRunner().invoke(client_cli.app, ["service", "chart", str(FOLDER / "casework")])
    assert shown.exit_code == 0
    assert read_chart(shown.stdout).name == "casework-case"


@pytest.mark.parametrize("extra", [[], ["--type", "deed"]])
def test_the_type_must_be_one_of_the_service(extra: list[str]) -> None:
    done = CliRunner().invoke(client_cli.app, ["service", "chart", str(FOLDER / "land"), *extra])
    assert done.exit_code == 2
    assert "parcel, title, mortgage" in done.stderr
