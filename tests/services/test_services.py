"""Every service: lints clean, and its scenario shows every act and every refusal there is."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest

from ledger.registry.definition import Definition
from node.authoring.compiler import compile_source
from node.authoring.lint import lint
from node.authoring.page import service_page
from node.authoring.scenario import Coverage, Scenario, ScenarioFailed
from node.authoring.source import Source, parse
from node.authoring.stage import Stage, StageGround
from scripts.mutants_services import SERVICES, main, mutants, survives

ROOT = Path(__file__).parent.parent.parent
FOLDERS = {name: ROOT / "services" / name for name in SERVICES}
FOLDERS["market-stall"] = Path(__file__).parent / "market-stall"
every_service = pytest.mark.parametrize("name", FOLDERS)


@cache
def service(name: str) -> tuple[Definition, Source]:
    source = parse((FOLDERS[name] / "service.yaml").read_text(encoding="utf-8"))
    definition, problems = compile_source(source)
    assert problems == []
    assert definition is not None
    return definition, source


@cache
def played(name: str) -> Coverage:
    definition, _ = service(name)
    script = parse((FOLDERS[name] / "scenario.yaml").read_text(encoding="utf-8"))
    stage = Stage()
    stage.activate(definition)
    scenario = Scenario(script, definition.service, definition.version)
    return scenario.run(StageGround(stage))


def test_every_service_of_the_folder_is_tried() -> None:
    folders = {path.parent.name for path in (ROOT / "services").glob("*/service.yaml")}
    assert set(SERVICES) <= folders


@every_service
def test_lints_clean(name: str) -> None:
    assert lint(*service(name)) == []


@every_service
def test_every_transition_fires(name: str) -> None:
    definition, _ = service(name)
    wanted = {(kind, act) for kind, form in definition.types.items() for act in form.transitions}
    assert wanted - played(name).fired == set()


@every_service
def test_every_guard_refuses(name: str) -> None:
    definition, _ = service(name)
    wanted = {
        (kind, act, f"GUARD_FAILED {guard}")
        for kind, form in definition.types.items()
        for act, transition in form.transitions.items()
        for guard, _ in transition.guards
    }
    assert wanted - played(name).refused == set()


@every_service
def test_every_authority_refuses(name: str) -> None:
    definition, _ = service(name)
    wanted = {
        (kind, act, "NOT_AUTHORISED")
        for kind, form in definition.types.items()
        for act in (*form.transitions, *form.universal)
    }
    assert wanted - played(name).refused == set()


@every_service
def test_acts_of_every_type_are_done(name: str) -> None:
    definition, _ = service(name)
    wanted = {(kind, act) for kind, form in definition.types.items() for act in form.universal}
    assert wanted - played(name).fired == set()


@every_service
def test_a_definition_can_be_proposed_in_one_transaction(name: str) -> None:
    definition, _ = service(name)
    assert len(definition.encode()) < 40_000  # base64url and the envelope stay below 65,536


@pytest.mark.parametrize("name", SERVICES)
def test_the_page_is_what_the_definition_says(name: str) -> None:
    definition, source = service(name)
    about = (FOLDERS[name] / "about.md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "services" / f"{name}.md").read_text(encoding="utf-8")
    assert page == service_page(definition, source.value, about)


def test_the_scenario_misses_every_rule_of_the_worked_example() -> None:
    definition, _ = service("market-stall")
    script = (FOLDERS["market-stall"] / "scenario.yaml").read_text(encoding="utf-8")
    made = list(mutants(definition))
    assert len(made) == 46
    assert [mutant.where for mutant in made if survives(mutant.definition, script)] == []


def test_a_scenario_that_is_too_short_is_noticed() -> None:
    definition, _ = service("market-stall")
    lines = (FOLDERS["market-stall"] / "scenario.yaml").read_text(encoding="utf-8").splitlines()
    script = "\n".join(line for line in lines if "fee_complete" not in line)
    alive = [mutant.where for mutant in mutants(definition) if survives(mutant.definition, script)]
    assert alive == ["permit pay fee_complete", "permit renew fee_complete"]


def test_a_field_that_nobody_tries_to_give_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "market-stall"
    shutil.copytree(FOLDERS["market-stall"], folder)
    assert main([str(folder)]) == 0
    assert "8 of 8" in capsys.readouterr().out
    script = folder / "scenario.yaml"
    lines = script.read_text(encoding="utf-8").splitlines()
    unasked = [line for line in lines if "DATA_INVALID fee" not in line]
    script.write_text("\n".join(unasked), encoding="utf-8")
    assert main([str(folder)]) == 1
    shown = capsys.readouterr().out
    assert "7 of 8" in shown
    assert shown.splitlines()[-1] == "survives: market-stall: field: permit fee"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("state: applied}", "state: paid}", "want state paid, got applied"),
        ("refused: NOT_AUTHORISED}", "}", "refused: NOT_AUTHORISED"),
        ("GUARD_FAILED fee_complete", "GUARD_FAILED other", "want refused"),
        ("{receipt: R-1}", "{receipt: R-9}", "want receipt"),
        ("timers: [lapse]", "timers: []", r"want timers \[\], got \[lapse\]"),
        ('A7, expires: "@365d"', 'A7, expires: "@9d"', r"want expires 20\S+Z \(@9d\), got 20\S+Z$"),
        ("{deciders: [otto, olga]", "{deciders: []", r"want deciders \[\], got \[otto, olga\]"),
        ("timer: close", "timer: lapse", "want timers lapse"),
        ("act: pay, on: cheese", "act: pay, on: nobody", "no record is called"),
        ("act: pay, on: cheese", "act: pay, at: cheese", "unknown: at"),
        ("state: applied}", "pending: true}", "it is done already"),
    ],
)
def test_a_step_that_comes_out_otherwise_is_shown_with_its_line(
    old: str, new: str, message: str
) -> None:
    definition, _ = service("market-stall")
    text = (FOLDERS["market-stall"] / "scenario.yaml").read_text(encoding="utf-8")
    line = text[: text.index(old)].count("\n") + 1
    stage = Stage()
    stage.activate(definition)
    scenario = Scenario(parse(text.replace(old, new, 1)), definition.service, 1)
    with pytest.raises(ScenarioFailed, match=message) as failed:
        scenario.run(StageGround(stage))
    assert failed.value.line == line
