"""muniment record: records of services, and their histories."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import msgspec
import typer

from ledger import base64url
from ledger.modules.document import DEFINITION as DOCUMENT
from node import answers
from node.answers import CommandError
from node.client import Client
from node.commands.context import JsonOption, ProfileOption, Session, failing
from node.commands.pages import ITEMS_MAX, CursorOption, LimitOption, follow, told
from node.commands.types import acts_by, check_lookup
from node.commands.values import Kinds
from node.shown import moment

app = typer.Typer(help="Records of services.", no_args_is_help=True)
HISTORY_TOLD = 100
"""Versions whose block and transaction `record history` looks up."""


@app.command("list")
def record_list(
    record_type: Annotated[str, typer.Argument(metavar="TYPE", help="<service>-<type>")],
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    where: Annotated[str | None, typer.Option(help="indexed-field=value")] = None,
    limit: LimitOption = ITEMS_MAX,
    cursor: CursorOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Records of a type, by state or by an indexed field, in order of id."""
    with failing(as_json):
        if state is not None and where is not None:
            detail = "want --state or --where, not both"
            raise CommandError(answers.USAGE, "LOOKUP", detail)
        params: dict[str, Any] = {"type": record_type}
        if state is not None:
            params["state"] = state
        if where is not None:
            name, separator, text = where.partition("=")
            if not separator:
                detail = f"--where {where!r}: want indexed-field=value"
                raise CommandError(answers.USAGE, "LOOKUP", detail)
            params["field"], params["value"] = name, _looked_up(text)
        client = Session.open(profile).client
        data = follow(client, "record_list", params, limit, cursor)
        if not data["items"] and cursor is None:
            check_lookup(client, record_type, state, params.get("field"))
        kinds, items = Kinds(client), [] if as_json else data["items"]
        lines = [f"{r['id']}  {r['state']:12} {short(kinds.plain(r, r['data']))}" for r in items]
        answers.succeed(data, told(lines, data, "none"), as_json=as_json)


def _looked_up(text: str) -> str | int | bool:
    """A value of an index: JSON's numbers, true and false; anything else is text."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value if isinstance(value, str | int | bool) else text


@app.command("deadlines")
def deadlines(
    days: Annotated[int, typer.Option(min=0, max=36_500, help="How far ahead.")] = 366,
    limit: LimitOption = ITEMS_MAX,
    cursor: CursorOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """What comes by itself, of all records: timers and when they fire, soonest first."""
    with failing(as_json):
        client = Session.open(profile).client
        asked = {"until": int(time.time()) + days * 86_400}
        data = follow(client, "deadline_list", asked, limit, cursor)
        lines = [f"{moment(i['at'])}  {i['transition']:12} {i['record']}" for i in data["items"]]
        answers.succeed(data, told(lines, data, "nothing is due"), as_json=as_json)


@app.command("show")
def record_show(
    record: Annotated[str, typer.Argument(help="Record id.")],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """A record as it stands."""
    with failing(as_json):
        client = Session.open(profile).client
        data = client.call("record_get", {"id": record})
        shown = data["record"]
        values = {} if as_json else Kinds(client).plain(shown, shown["data"])
        made = shown["def"] if as_json else _made_by(client, shown["def"])
        lines = [f"{shown['id']}  {shown['state']}  {made}  version {shown['seq']}"]
        lines += [f"  {name:16} {value}" for name, value in values.items()]
        lines += [f"  locked by {owner}" for owner in (shown.get("locks") or {}).values()]
        lines += [f"  {n} at {moment(t)}" for n, t in (shown.get("timers") or {}).items()]
        answers.succeed(data, "\n".join(lines), as_json=as_json)


def _made_by(client: Client, definition: str) -> str:
    """What a record pins, and what it acts by when that is another version."""
    if definition == DOCUMENT:
        return definition
    service, version = acts_by(client, definition)
    moved = definition != f"{service}@{version}"
    return f"{definition}, acts by {version}" if moved else definition


@app.command("history")
def record_history(
    record: Annotated[str, typer.Argument(help="Record id.")],
    limit: LimitOption = ITEMS_MAX,
    cursor: CursorOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every version of a record, oldest first: when, who, by which act, its state, what changed."""
    with failing(as_json):
        client = Session.open(profile).client
        data = follow(client, "record_history", {"id": record}, limit, cursor, "versions")
        text = "" if as_json else told(_told(client, data["versions"]), data, "no more versions")
        answers.succeed(data, text, as_json=as_json)


def _told(client: Client, versions: list[dict[str, Any]]) -> list[str]:
    """Lines for people; block times and signers are asked for the newest versions only,
    and the first version shown tells all its fields."""
    lines: list[str] = []
    kinds = Kinds(client)
    before: dict[str, Any] = {}
    for number, version in enumerate(versions):
        changed = {k: v for k, v in version["data"].items() if before.get(k) != v}
        before = version["data"]
        line = f"{version['seq']:>4}  block {version['height']:<8} {version['state']:12} "
        if number >= len(versions) - HISTORY_TOLD:
            header = client.call("chain_getHeader", {"height": version["height"]})["header"]
            at = moment(header["time_ms"] // 1000)
            line += f"{at}  {_author(client, version):32} {version.get('def', '')}  "
        lines.append(line + short(kinds.plain(version, changed)))
    return lines


def _author(client: Client, version: dict[str, Any]) -> str:
    """Who made a version, and the act, with its reason where one was given."""
    if not version["tx"]:
        return "(the clock)"
    compact = client.call("tx_get", {"id": version["tx"]})["tx"]
    if compact is None:
        return ""
    claims = json.loads(base64url.decode(compact.split(".")[1]))
    acts = [
        f"{operation.get('transition') or operation['op'].partition('.')[2]}"
        f" {operation.get('input', {}).get('reason_code', '')}".rstrip()
        for operation in claims["ops"]
        if operation.get("id", version["id"]) == version["id"]
    ]
    return f"{claims['iss']} {acts[0] if acts else '(with another record)'}"


def short(data: dict[str, Any]) -> str:
    """Fields and values on one line; long values are cut."""
    parts = []
    for name, value in data.items():
        text = str(value)
        parts.append(f"{name} {text if len(text) <= 24 else text[:21] + '…'}")
    return ", ".join(parts)
