"""munimentd genesis: make, show and check the document that founds a chain."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from node import answers, founding
from node.answers import CommandError
from node.home import Home, write_private
from node.operator import JsonOption, failing

app = typer.Typer(help="The document that founds a chain.", no_args_is_help=True)
FileArgument = Annotated[Path, typer.Argument(help="A genesis document.")]


def _pairs(option: str, items: list[str] | None, value: str) -> list[tuple[str, str]]:
    """NAME=VALUE of a repeated option. Raises CommandError."""
    pairs = []
    for item in items or []:
        name, separator, text = item.partition("=")
        if not separator or not name or not text:
            raise CommandError(answers.USAGE, "OPTION", f"{option} {item!r}: want {value}")
        pairs.append((name, text))
    return pairs


def _files(option: str, items: list[str] | None) -> list[tuple[str, Path]]:
    return [(name, Path(text)) for name, text in _pairs(option, items, "AGENCY=FILE")]


def _agencies(items: list[str]) -> dict[str, str]:
    agencies: dict[str, str] = {}
    for name, title_code in _pairs("--agency", items, "ID=TITLE_CODE"):
        if name in agencies:
            raise CommandError(answers.USAGE, "OPTION", f"--agency {name} is given twice")
        agencies[name] = title_code
    return agencies


def _parameters(items: list[str] | None) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for name, text in _pairs("--parameter", items, "NAME=NUMBER"):
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            detail = f"--parameter {name}={text}: want a whole number"
            raise CommandError(answers.USAGE, "OPTION", detail)
        numbers[name] = int(text)
    return numbers


def _time_ms(text: str | None) -> int:
    """Milliseconds since 1970 of an RFC 3339 time with its offset; now when none is given."""
    if text is None:
        return time.time_ns() // 1_000_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        detail = f"--time {text!r}: want a time with its offset, like 2026-01-31T12:00:00Z"
        raise CommandError(answers.USAGE, "OPTION", detail)
    return int(moment.timestamp() * 1000)


@app.command("new")
def new(
    name: Annotated[str, typer.Option(help="Chain name, the one given to `munimentd init`.")],
    agency: Annotated[list[str], typer.Option(help="ID=TITLE_CODE; once for each agency.")],
    key: Annotated[list[str], typer.Option(help="ID=FILE, its public JWK; one or more of each.")],
    recovery_key: Annotated[
        list[str], typer.Option(help="ID=FILE, public JWK of the key that it keeps cold.")
    ],
    member: Annotated[
        list[str], typer.Option(help="ID=FILE, the member.json of a validator that it runs.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path(
        "genesis.json"
    ),
    parameter: Annotated[
        list[str] | None, typer.Option(help="NAME=NUMBER instead of the default.")
    ] = None,
    moment: Annotated[
        str | None, typer.Option("--time", help="Time of block 0, RFC 3339; now unless given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put together what the agencies sent; never replaces a file.

    Members stand in the document in the order in which they are given, and lead in that order.
    """
    with failing(as_json):
        plan = founding.Plan(
            name=name,
            time_ms=_time_ms(moment),
            parameters=_parameters(parameter),
            agencies=_agencies(agency),
            keys=_files("--key", key),
            recovery_keys=_files("--recovery-key", recovery_key),
            members=_files("--member", member),
        )
        genesis = founding.found(plan)
        try:
            write_private(output, genesis.encode())
        except FileExistsError:
            detail = f"{output} is there already; it is never replaced"
            hint = "move it away, or choose another file: -o FILE"
            raise CommandError(answers.NEGATIVE, "FILE_EXISTS", detail, hint) from None
        output.chmod(0o644)
        warnings = founding.warnings(genesis, time.time_ns() // 1_000_000)
        _warn(warnings)
        answers.progress(f"every agency looks at it: munimentd genesis show {output}")
        data = {"file": str(output), **founding.summary(genesis), "warnings": warnings}
        text = f"wrote {output}\nchain {genesis.chain}\nhash  {genesis.hash.hex()}"
        answers.succeed(data, text, as_json=as_json)


def _warn(warnings: list[str]) -> None:
    for line in warnings:
        answers.progress(f"warning: {line}")


@app.command("hash")
def hash_of(file: FileArgument, as_json: JsonOption = False) -> None:
    """The hash that everybody compares and pins."""
    with failing(as_json):
        genesis = founding.read(file)
        data = {"genesis_hash": genesis.hash.hex(), "chain_id": genesis.chain}
        answers.succeed(data, genesis.hash.hex(), as_json=as_json)


@app.command("show")
def show(file: FileArgument, as_json: JsonOption = False) -> None:
    """Who founds the chain, with which keys, members and parameters."""
    with failing(as_json):
        data = founding.summary(founding.read(file))
        answers.succeed(data, _shown(data), as_json=as_json)


def _shown(data: dict[str, Any]) -> str:
    moment = datetime.fromtimestamp(data["time_ms"] / 1000, UTC).isoformat(timespec="seconds")
    lines = [
        f"chain    {data['chain_id']}",
        f"hash     {data['genesis_hash']}",
        f"time     {moment}",
        f"members  {len(data['members'])}: quorum {data['quorum']}, {data['faults']} may fail",
    ]
    lines += [f"  {m['name']:12} {m['agency']:20} {m['address']}" for m in data["members"]]
    lines.append(f"agencies {len(data['agencies'])}")
    for agency in data["agencies"]:
        lines.append(f"  {agency['id']:20} {agency['title_code']}")
        lines += [f"    key       {kid}" for kid in agency["kids"]]
        lines.append(f"    recovery  {agency['recovery_kid']}")
    changed = ", ".join(f"{name} {value}" for name, value in data["parameters"].items())
    return "\n".join([*lines, f"parameters other than the default: {changed or 'none'}"])


@app.command("check")
def check(
    file: FileArgument,
    home: Annotated[
        Path | None, typer.Option(help="Also that this home's keys are in it as a member's.")
    ] = None,
    pinned: Annotated[
        str | None, typer.Option("--hash", help="Also that its hash is this one, hex.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Every rule of the document; exit 1 with the one that is broken. Warns of what is unwise."""
    with failing(as_json):
        genesis = founding.read(file)
        if pinned is not None and pinned != genesis.hash.hex():
            detail = f"{file}: its hash is {genesis.hash.hex()}, not {pinned}"
            hint = "ask the others for the document that they agreed on"
            raise CommandError(answers.NEGATIVE, "GENESIS_MISMATCH", detail, hint)
        warnings = founding.warnings(genesis, time.time_ns() // 1_000_000)
        member = None
        if home is not None:
            member, more = founding.check_home(genesis, Home(home))
            warnings += more
        _warn(warnings)
        data = {
            "valid": True,
            "genesis_hash": genesis.hash.hex(),
            "chain_id": genesis.chain,
            "member": member,
            "warnings": warnings,
        }
        text = f"valid: {genesis.chain}, hash {genesis.hash.hex()}"
        if member is not None:
            text += f"\n{home} is its member {member}"
        answers.succeed(data, text, as_json=as_json)
