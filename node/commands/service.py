"""muniment service: author, check, try, draw and propose services (docs/services/authoring.md)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger import canonical
from ledger.ids import CODE
from ledger.registry.definition import Definition
from node import answers
from node.answers import CommandError
from node.authoring.changes import differences
from node.authoring.chart import machine_chart
from node.authoring.compiler import compile_source
from node.authoring.drawing import machine_svg
from node.authoring.lint import lint as run_linter
from node.authoring.page import service_page
from node.authoring.scenario import (
    Coverage,
    Scenario,
    ScenarioFailed,
    ScenarioMalformed,
    check_scenario,
)
from node.authoring.source import Problem, Source, SourceError, parse
from node.authoring.stage import Stage, StageGround
from node.authoring.template import TEMPLATE
from node.commands.context import (
    JsonOption,
    ProfileOption,
    Session,
    TimeoutOption,
    failing,
    write_new,
)
from node.commands.governance import check_names
from node.commands.pages import ITEMS_MAX, CursorOption, LimitOption, follow, told

app = typer.Typer(help="Author, check, try and propose services.", no_args_is_help=True)
SERVICE_CHARACTERS_MAX = 31
"""What a definition allows (docs/spec/registry.md, section 1)."""
FileArgument = Annotated[Path, typer.Argument(help="service.yaml, or its folder.")]


def _path(file: Path) -> Path:
    return file / "service.yaml" if file.is_dir() else file


def _source(file: Path, reason: str = "SERVICE_INVALID") -> Source:
    try:
        return parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        detail = f"{file}: {error.strerror}"
        hint = "to start a service: muniment service new FOLDER"
        raise CommandError(answers.NOT_FOUND, "FILE_UNREADABLE", detail, hint) from None
    except UnicodeDecodeError:
        raise CommandError(answers.USAGE, "FILE_UNREADABLE", f"{file}: not UTF-8") from None
    except SourceError as error:
        raise CommandError(answers.NEGATIVE, reason, error.problem.text(str(file))) from None


def _all_problems(source: Source) -> tuple[Definition | None, list[Problem]]:
    definition, problems = compile_source(source)
    if definition is not None:
        problems = run_linter(definition, source)
    return definition, problems


def load(file: Path) -> tuple[Definition, Source]:
    """A service without errors. Raises CommandError with exit code 1 and every line."""
    path = _path(file)
    source = _source(path)
    definition, problems = _all_problems(source)
    errors = [problem for problem in problems if problem.severity == "error"]
    if definition is None or errors:
        text = "\n".join(problem.text(str(path)) for problem in errors or problems)
        raise CommandError(answers.NEGATIVE, "SERVICE_INVALID", text)
    return definition, source


@app.command("new")
def new(
    folder: Annotated[
        Path, typer.Argument(help="Folder to make; its name, a-z 0-9 -, is the service's.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Start a service: a definition and a scenario that pass."""
    with failing(as_json):
        name = folder.resolve().name
        if CODE.fullmatch(name) is None or len(name) > SERVICE_CHARACTERS_MAX:
            detail = f"{name!r} cannot be a service's name: want a-z, 0-9 and inner hyphens, "
            detail += f"at most {SERVICE_CHARACTERS_MAX}; nothing was made"
            hint = "muniment service new market-stall"
            raise CommandError(answers.USAGE, "NAME_INVALID", detail, hint)
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in TEMPLATE.items():
            write_new(folder / file, text.replace("SERVICE", name).encode("utf-8"), 0o644)
        text = f"made {folder}/service.yaml and scenario.yaml\ntry: muniment service test {folder}"
        answers.succeed({"folder": str(folder)}, text, as_json=as_json)


@app.command("lint")
def lint(file: FileArgument, as_json: JsonOption = False) -> None:
    """Every problem with its line; exit 1 when there is an error."""
    with failing(as_json):
        path = _path(file)
        definition, problems = _all_problems(_source(path))
        rows = [{"file": str(path), **_shown(problem)} for problem in problems]
        lines = [problem.text(str(path)) for problem in problems]
        errors = definition is None or any(p.severity == "error" for p in problems)
        if not errors and definition is not None:
            lines.append(f"{definition.service}@{definition.version} {definition.hash.hex()}")
        text = "\n".join([*lines, _counted(problems, definition is not None)])
        data = {"problems": rows, "valid": not errors}
        answers.succeed(data, text, as_json=as_json)
        if errors:
            raise SystemExit(answers.NEGATIVE)


def _counted(problems: list[Problem], searched: bool) -> str:
    """How many errors there are, and how many warnings if they were searched for."""
    errors = sum(1 for problem in problems if problem.severity == "error")
    warnings = len(problems) - errors
    told = f"{errors or 'no'} error{'' if errors == 1 else 's'}"
    if not searched:
        return told
    return f"{told}, {warnings or 'no'} warning{'' if warnings == 1 else 's'}"


def _shown(problem: Problem) -> dict[str, Any]:
    return {
        "line": problem.line,
        "path": ".".join(problem.path),
        "severity": problem.severity,
        "message": problem.message,
    }


def _played(definition: Definition, script: Path) -> Coverage:
    """Run a scenario on a chain in memory. Raises CommandError when it does not come out."""
    source = _source(script, "SCENARIO_INVALID")
    played = Scenario(source, definition.service, definition.version)
    stage = Stage()
    stage.activate(definition)
    try:
        check_scenario(source, definition)
        return played.run(StageGround(stage))
    except ScenarioFailed as failed:
        reason = "SCENARIO_FAILED"
        if isinstance(failed, ScenarioMalformed):
            reason = "SCENARIO_INVALID"
        raise CommandError(answers.NEGATIVE, reason, failed.text(str(script))) from None


def _never_fired(definition: Definition, coverage: Coverage) -> list[str]:
    """Acts that a scenario did not show."""
    wanted = {(n, t) for n, kind in definition.types.items() for t in kind.transitions}
    return sorted(f"{kind}.{act}" for kind, act in wanted - coverage.fired)


@app.command("test")
def try_scenario(
    file: FileArgument,
    scenario: Annotated[Path | None, typer.Option(help="Instead of scenario.yaml.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the scenario on a chain in memory; exit 1 at the first step that comes out otherwise."""
    with failing(as_json):
        started = time.monotonic()
        definition, _ = load(file)
        coverage = _played(definition, scenario or _path(file).with_name("scenario.yaml"))
        missing = _never_fired(definition, coverage)
        data = {
            "steps": coverage.steps,
            "fired": len(coverage.fired),
            "refused": len(coverage.refused),
            "never_fired": missing,
            "seconds": round(time.monotonic() - started, 3),
        }
        text = (
            f"{data['steps']} steps: {data['fired']} acts fired, {data['refused']} different "
            f"refusals, in {data['seconds']} s"
        )
        if missing:
            text += f"\nnever fired: {', '.join(missing)}"
        answers.succeed(data, text, as_json=as_json)


@app.command("diff")
def diff(
    old: Annotated[Path, typer.Argument(help="The version in force.")],
    new_file: Annotated[Path, typer.Argument(metavar="NEW", help="The version to come.")],
    as_json: JsonOption = False,
) -> None:
    """What a new version changes for people."""
    with failing(as_json):
        lines = differences(load(old)[0], load(new_file)[0])
        answers.succeed({"changes": lines}, "\n".join(lines) or "no change", as_json=as_json)


@app.command("graph")
def graph(
    file: FileArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for TYPE.svg files.")],
    as_json: JsonOption = False,
) -> None:
    """Draw the machine of each type as SVG."""
    with failing(as_json):
        definition, _ = load(file)
        output.mkdir(parents=True, exist_ok=True)
        files = []
        for name, kind in definition.types.items():
            path = output / f"{definition.service}-{name}.svg"
            path.write_text(machine_svg(f"{definition.service}: {name}", kind), encoding="utf-8")
            files.append(str(path))
        answers.succeed({"files": files}, "\n".join(files), as_json=as_json)


@app.command("chart")
def chart(
    file: FileArgument,
    kind: Annotated[str | None, typer.Option("--type", help="Of a service with several.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The machine of a type as a statechart that sismic reads, without conditions and roles."""
    with failing(as_json):
        definition, _ = load(file)
        names = list(definition.types)
        if kind not in names and (kind is not None or len(names) > 1):
            there = f"there are: {', '.join(names)}"
            detail = f"{definition.service} has no type {kind}" if kind else "which type?"
            raise CommandError(answers.USAGE, "TYPE_UNKNOWN", f"{detail} {there}", "give --type")
        name = kind or names[0]
        text = machine_chart(f"{definition.service}-{name}", definition.types[name])
        if output is not None:
            output.write_text(text, encoding="utf-8")
        shown = text if output is None else f"wrote {output}"
        answers.succeed({"type": name, "chart": text}, shown, as_json=as_json)


@app.command("doc")
def doc(
    file: FileArgument,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The service's page: about.md beside it, then fields and acts: who may, what changes."""
    with failing(as_json):
        definition, source = load(file)
        about = _path(file).with_name("about.md")
        text = about.read_text(encoding="utf-8") if about.is_file() else ""
        page = service_page(definition, source.value, text)
        if output is not None:
            output.write_text(page, encoding="utf-8")
        shown = page if output is None else f"wrote {output}"
        answers.succeed({"page": page}, shown, as_json=as_json)


@app.command("list")
def list_services(
    limit: LimitOption = ITEMS_MAX,
    cursor: CursorOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Services on the chain: the version in force, and whether it is suspended."""
    with failing(as_json):
        data = follow(Session.open(profile).client, "service_list", {}, limit, cursor)
        lines = [
            f"{item['service']}@{item['current']}  "
            f"{item['versions'][str(item['current'])]['status']}"
            for item in data["items"]
        ]
        answers.succeed(data, told(lines, data, "no services"), as_json=as_json)


def _tried(definition: Definition, file: Path) -> None:
    """Nothing is proposed whose scenario fails. Raises CommandError."""
    try:
        coverage = _played(definition, _path(file).with_name("scenario.yaml"))
    except CommandError as error:
        hint = f"mend it: muniment service test {file}; or propose it as it is: add --untested"
        detail = f"{error.message}\nnothing was proposed"
        raise CommandError(error.code, error.reason, detail, hint) from None
    missing = _never_fired(definition, coverage)
    shown = f"; it never fires {', '.join(missing)}" if missing else ""
    answers.progress(f"the scenario passes, {coverage.steps} steps{shown}")


@app.command("propose")
def propose(
    file: FileArgument,
    proposal: Annotated[str, typer.Option(help="Id of the proposal.")],
    rationale: Annotated[
        str, typer.Option(help="Commitment to the reasons: muniment commit FILE.")
    ],
    days: Annotated[int, typer.Option(min=1, max=90, help="How long the vote is open.")] = 14,
    height: Annotated[int, typer.Option(min=0, help="Earliest height of effect.")] = 0,
    untested: Annotated[
        bool, typer.Option("--untested", help="Without running the scenario first.")
    ] = False,
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose the service to the members, once its scenario passes; they vote with `gov vote`."""
    with failing(as_json):
        check_names(proposal, rationale)
        definition, _ = load(file)
        if not untested:
            _tried(definition, file)
        session = Session.open(profile)
        operation = {
            "op": "gov.propose",
            "proposal": proposal,
            "kind": "activate",
            "body": {"definition": canonical.decode(definition.encode())},
            "rationale": rationale,
            "effective_height": height,
            "until": int(time.time()) + days * 86_400,
        }
        txid = session.submit(session.sign([operation]))
        status = session.wait(txid, timeout)
        data = {
            "proposal": proposal,
            "definition_hash": definition.hash.hex(),
            "tx": txid,
            "height": status["height"],
        }
        text = f"proposed {definition.service}@{definition.version} in block {status['height']}"
        answers.progress(f"the others: muniment gov vote {proposal} --accept --profile AGENCY")
        answers.succeed(data, text, as_json=as_json)
