"""muniment do, task and record: services for people."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from ledger import base64url
from ledger.ids import RECORD_ID
from node import answers
from node.answers import CommandError
from node.commands.context import JsonOption, ProfileOption, Session, TimeoutOption, failing

record_app = typer.Typer(help="Records of services.", no_args_is_help=True)
task_app = typer.Typer(help="What waits for a signature.", no_args_is_help=True)
HISTORY_TOLD = 100
"""Versions whose block and transaction `record history` looks up."""
_REASONED = {"reason_code": {"kind": "code"}, "commitment": {"kind": "commitment"}}
UNIVERSAL_INPUTS: dict[str, dict[str, Any]] = {
    "rectify": {**_REASONED, "field": {"kind": "code"}, "value": {"kind": "commitment"}},
    "error_declaration": _REASONED,
    "court_order": {
        **_REASONED,
        "state": {"kind": "code", "required": False},
        "unlock": {"kind": "boolean", "required": False},
    },
}
"""Acts of every type, which its schema does not list (docs/spec/registry.md, section 5)."""
ValuesArgument = Annotated[list[str] | None, typer.Argument(help="field=value …")]
YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Sign without being asked; needed without a terminal.")
]


def _values(items: list[str] | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in items or []:
        name, separator, text = item.partition("=")
        if not separator:
            raise CommandError(answers.USAGE, "VALUE", f"{item!r}: want field=value")
        values[name] = text
    return values


def _typed(field: dict[str, Any], text: Any, name: str) -> Any:
    """A value as the field's kind wants it, from what people type."""
    kind = field["kind"]
    if not isinstance(text, str):
        return text
    try:
        if kind in ("integer", "time"):
            if kind == "time" and "-" in text:
                return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
            return int(text)
        if kind == "boolean":
            return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]
        if kind == "list":
            return [_typed(field["items"], part, name) for part in text.split(",") if part]
    except (ValueError, KeyError):
        detail = f"{name}: want {kind}, got {text!r}"
        raise CommandError(answers.USAGE, "VALUE", detail) from None
    return text


def _complete(fields: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Given values, typed; what is missing is asked for on a terminal."""
    for name in given:
        if name not in fields:
            detail = f"no field {name}; there are: {', '.join(fields) or 'none'}"
            raise CommandError(answers.USAGE, "FIELD_UNKNOWN", detail)
    values: dict[str, Any] = {}
    missing: list[str] = []
    for name, field in fields.items():
        if name in given:
            values[name] = _typed(field, given[name], name)
        elif field.get("required", True):
            if sys.stdin.isatty() and sys.stderr.isatty():
                sys.stderr.write(f"{name} ({field['kind']}): ")
                sys.stderr.flush()
                values[name] = _typed(field, sys.stdin.readline().rstrip("\n"), name)
            else:
                missing.append(f"{name} ({field['kind']})")
    if missing:
        detail = f"missing: {', '.join(missing)}"
        raise CommandError(answers.USAGE, "FIELDS_MISSING", detail, "give them as field=value")
    return values


def _confirm(text: str, yes: bool) -> None:
    """Show what will happen; ask on a terminal unless --yes. Nobody signs without having agreed."""
    answers.progress(text)
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError(
            answers.USAGE, "NOT_CONFIRMED", "no terminal to ask on; nothing was signed", "add --yes"
        )
    sys.stderr.write("sign and send? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError(answers.NEGATIVE, "NOT_CONFIRMED", "nothing was signed")


def _send(session: Session, operation: dict[str, Any], timeout: int, as_json: bool) -> None:
    txid = session.submit(session.sign([operation]))
    status = session.wait(txid, timeout)
    entry = session.client.call("tx_get", {"id": txid})["entry"]
    result = entry["results"][0]
    data = {"tx": txid, "height": status["height"], **result}
    if "pending" in result:
        text = f"{result['record']} waits for more signatures: {result['pending']}"
        answers.progress(f"the others: muniment task sign {result['record']} {result['pending']}")
    else:
        text = f"{result['record']} is {result['state']} (block {status['height']})"
        answers.progress(f"receipt: muniment receipt get {txid} -o NAME.receipt.json")
    answers.succeed(data, text, as_json=as_json)


def do(
    act: Annotated[str, typer.Argument(help="create, or an act of the record.")],
    target: Annotated[str, typer.Argument(help="A type (create), or a record id.")],
    values: ValuesArgument = None,
    yes: YesOption = False,
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a record or act on one: asks for what is missing, shows what will happen, signs."""
    with failing(as_json):
        session = Session.open(profile)
        given = _values(values)
        if act == "create":
            service, version, form = _form(session, target)
            data = _complete(_authored(form["fields"], given), given)
            shown = ", ".join(f"{k} {v}" for k, v in data.items())
            _confirm(f"{session.party} creates a {target} of {service}: {shown}", yes)
            operation = {"op": "record.create", "type": target, "version": version, "data": data}
        else:
            if RECORD_ID.fullmatch(target) is None:
                raise CommandError(
                    answers.USAGE,
                    "RECORD_ID",
                    f"{target!r} is no record id",
                    "muniment record list TYPE",
                )
            record = session.client.call("record_get", {"id": target})["record"]
            _, _, form = _form(session, record["type"], record["def"])
            inputs = {**UNIVERSAL_INPUTS, **form["inputs"]}
            if act not in inputs:
                detail = f"{target} has no act {act}; there are: {', '.join(inputs)}"
                raise CommandError(answers.USAGE, "ACT_UNKNOWN", detail)
            data = _complete(inputs[act], given)
            shown = ", ".join(f"{k} {v}" for k, v in data.items())
            line = f"{session.party}: {act} on {target}, which is {record['state']}"
            _confirm(f"{line}: {shown}" if shown else line, yes)
            operation = {
                "op": "record.act",
                "id": target,
                "transition": act,
                "input": data,
                "expect_revision": record["seq"],
            }
        _send(session, operation, timeout, as_json)


def _authored(fields: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Fields that people fill in: the required ones, and the optional ones that were given."""
    return {n: f for n, f in fields.items() if f.get("required", True) or n in given}


def _form(
    session: Session, record_type: str, definition: str | None = None
) -> tuple[str, int, dict[str, Any]]:
    """(service, version, form) of a record type."""
    if definition is not None:
        service, _, number = definition.rpartition("@")
        params: dict[str, Any] = {"service": service, "version": int(number)}
        candidates = [params]
    else:
        items = session.client.call("service_list")["items"]
        candidates = [
            {"service": item["service"]}
            for item in items
            if record_type.startswith(item["service"] + "-")
        ]
    for params in candidates:
        schema = session.client.call("service_getSchema", params)
        form = schema["types"].get(record_type)
        if form is not None:
            return params["service"], schema["version"], form
    raise CommandError(
        answers.NOT_FOUND,
        "TYPE_UNKNOWN",
        f"no service has a type {record_type}",
        "muniment rpc service_list",
    )


@task_app.command("list")
def task_list(
    party: Annotated[str | None, typer.Option(help="Instead of the profile's party.")] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Acts that began and wait for this party's signature."""
    with failing(as_json):
        session = Session.open(profile)
        data = session.client.call("task_list", {"party": party or session.party})
        lines = [
            f"{item['transition']:12} {item['record']}  pending {item['pending']}  "
            f"signed by {', '.join(item['signers'])}, until {_when(item['until'])}"
            for item in data["items"]
        ]
        answers.succeed(data, "\n".join(lines) or "nothing waits", as_json=as_json)


@task_app.command("sign")
def task_sign(
    record: Annotated[str, typer.Argument(help="Record id.")],
    pending: Annotated[str, typer.Argument(help="Id of the waiting act.")],
    yes: YesOption = False,
    timeout: TimeoutOption = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add this party's signature to a waiting act."""
    with failing(as_json):
        session = Session.open(profile)
        _confirm(f"{session.party} signs {pending} on {record}", yes)
        operation = {"op": "record.approve", "id": record, "pending": pending}
        _send(session, operation, timeout, as_json)


@record_app.command("list")
def record_list(
    record_type: Annotated[str, typer.Argument(metavar="TYPE", help="<service>-<type>")],
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    where: Annotated[str | None, typer.Option(help="indexed-field=value")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 50,
    cursor: Annotated[str | None, typer.Option(help="From an earlier page.")] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Records of a type, by state or by an indexed field."""
    with failing(as_json):
        params: dict[str, Any] = {"type": record_type, "limit": limit}
        if state is not None:
            params["state"] = state
        if where is not None:
            name, _, text = where.partition("=")
            params["field"] = name
            try:
                params["value"] = msgspec.json.decode(text)
            except msgspec.DecodeError:
                params["value"] = text
        if cursor is not None:
            params["cursor"] = cursor
        data = Session.open(profile).client.call("record_list", params)
        lines = [f"{r['id']}  {r['state']:12} {_short(r['data'])}" for r in data["items"]]
        if data["next_cursor"]:
            lines.append(f"more: --cursor {data['next_cursor']}")
        answers.succeed(data, "\n".join(lines) or "none", as_json=as_json)


@record_app.command("show")
def record_show(
    record: Annotated[str, typer.Argument(help="Record id.")],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """A record as it stands."""
    with failing(as_json):
        data = Session.open(profile).client.call("record_get", {"id": record})
        shown = data["record"]
        lines = [f"{shown['id']}  {shown['state']}  {shown['def']}  version {shown['seq']}"]
        lines += [f"  {name:16} {value}" for name, value in shown["data"].items()]
        lines += [f"  locked by {owner}" for owner in (shown.get("locks") or {}).values()]
        lines += [f"  {n} at {_when(t)}" for n, t in (shown.get("timers") or {}).items()]
        answers.succeed(data, "\n".join(lines), as_json=as_json)


@record_app.command("history")
def record_history(
    record: Annotated[str, typer.Argument(help="Record id.")],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every version of a record: when, who, by which act, its state and what changed."""
    with failing(as_json):
        session = Session.open(profile)
        data = session.client.call("record_history", {"id": record})
        answers.succeed(data, "" if as_json else _told(session, data["versions"]), as_json=as_json)


def _told(session: Session, versions: list[dict[str, Any]]) -> str:
    """Lines for people; block times and signers are asked for the newest versions only."""
    lines: list[str] = []
    before: dict[str, Any] = {}
    for number, version in enumerate(versions):
        changed = {k: v for k, v in version["data"].items() if before.get(k) != v}
        before = version["data"]
        line = f"{version['seq']:>4}  block {version['height']:<8} {version['state']:12} "
        if number >= len(versions) - HISTORY_TOLD:
            header = session.client.call("chain_getHeader", {"height": version["height"]})["header"]
            when = _when(header["time_ms"] // 1000)
            line += f"{when}  {_author(session, version):32} {version.get('def', '')}  "
        lines.append(line + _short(changed))
    return "\n".join(lines)


def _author(session: Session, version: dict[str, Any]) -> str:
    """Who made a version, and the act, with its reason where one was given."""
    if not version["tx"]:
        return "(the clock)"
    compact = session.client.call("tx_get", {"id": version["tx"]})["tx"]
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


def _short(data: dict[str, Any]) -> str:
    parts = []
    for name, value in data.items():
        text = str(value)
        parts.append(f"{name} {text if len(text) <= 24 else text[:21] + '…'}")
    return ", ".join(parts)


def _when(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="minutes")
