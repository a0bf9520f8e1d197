"""muniment do: create a record, or act on one."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ledger.registry.fields import Field
from node import answers
from node.answers import CommandError
from node.client import Client
from node.commands.context import JsonOption, ProfileOption, Session, TimeoutOption, failing
from node.commands.types import (
    acted_on,
    by_hand,
    definition_of,
    given,
    inputs,
    kind_of,
    owner_of,
    unknown_type,
)
from node.commands.values import OnChain, check, check_names, shown, typed, wanted

ValuesArgument = Annotated[list[str] | None, typer.Argument(help="field=value …")]
YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Sign without being asked; needed without a terminal.")
]


def _values(items: list[str] | None) -> dict[str, str]:
    values: dict[str, str] = {}
    for item in items or []:
        name, separator, text = item.partition("=")
        if not separator:
            raise CommandError(answers.USAGE, "VALUE", f"{item!r}: want field=value")
        values[name] = text
    return values


def _complete(form: dict[str, Field], texts: dict[str, str], client: Client) -> dict[str, Any]:
    """Given values, typed and checked; what is missing is asked for on a terminal.
    Raises CommandError: nothing is signed that is not of its kind."""
    lookup = OnChain(client)
    values = {name: typed(form[name], text, name) for name, text in texts.items()}
    missing = {name: f for name, f in form.items() if f.required and name not in texts}
    if missing and not _on_terminal():
        named = ", ".join(f"{n} ({f.__struct_config__.tag})" for n, f in missing.items())
        detail = f"missing: {named}"
        raise CommandError(answers.USAGE, "FIELDS_MISSING", detail, "give them as field=value")
    check(form, values, lookup)
    for name, field in missing.items():
        values[name] = _asked(name, field, lookup)
    return {name: values[name] for name in form if name in values}


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _asked(name: str, field: Field, lookup: OnChain) -> Any:
    """A value that somebody types, asked for again until it is of its field's kind.

    Raises CommandError when the terminal ends."""
    while True:
        sys.stderr.write(f"{name}, {wanted(field)}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            detail = f"no answer for {name}; nothing was signed"
            raise CommandError(answers.USAGE, "FIELDS_MISSING", detail, "give it as field=value")
        try:
            value = typed(field, line.strip(), name)
            check({name: field}, {name: value}, lookup)
        except CommandError as error:
            if error.reason != "VALUE":
                raise
            answers.progress("\n".join(part for part in (error.message, error.hint) if part))
        else:
            return value


def confirm(text: str, yes: bool) -> None:
    """Show what will happen; ask on a terminal unless --yes. Nobody signs without having agreed."""
    answers.progress(text)
    if yes:
        return
    if not _on_terminal():
        raise CommandError(
            answers.USAGE, "NOT_CONFIRMED", "no terminal to ask on; nothing was signed", "add --yes"
        )
    sys.stderr.write("sign and send? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError(answers.NEGATIVE, "NOT_CONFIRMED", "nothing was signed")


def send(session: Session, operation: dict[str, Any], timeout: int, as_json: bool) -> None:
    """Sign and send one act, wait, and tell what came of it. Raises CommandError."""
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
        make = _creation if act == "create" else _act
        line, operation = make(session, act, target, _values(values))
        confirm(line, yes)
        send(session, operation, timeout, as_json)


def _creation(
    session: Session, act: str, target: str, texts: dict[str, str]
) -> tuple[str, dict[str, Any]]:
    """(what will happen, operation) of a creation. Raises CommandError."""
    service = owner_of(session.client, target)
    if service is None:
        raise unknown_type(session.client, target)
    definition = definition_of(session.client, service)
    kind = kind_of(definition, target)
    authored = given(kind)
    check_names(authored, texts, kind.fields)
    asked = {n: field for n, field in authored.items() if field.required or n in texts}
    data = _complete(asked, texts, session.client)
    operation = {
        "op": "record.create",
        "type": target,
        "version": definition.version,
        "data": data,
    }
    return f"{session.party} creates a {target} of {service}: {shown(asked, data)}", operation


def _act(
    session: Session, act: str, target: str, texts: dict[str, str]
) -> tuple[str, dict[str, Any]]:
    """(what will happen, operation) of an act on a record. Raises CommandError."""
    record, kind = acted_on(session.client, target)
    form = inputs(kind).get(act)
    if form is None:
        possible = ", ".join(by_hand(kind, record["state"])) or "nothing by hand"
        detail = f"there is no act {act}; {target} is {record['state']}, now: {possible}"
        raise CommandError(answers.USAGE, "ACT_UNKNOWN", detail)
    check_names(form, texts)
    data = _complete(form, texts, session.client)
    line = f"{session.party}: {act} on {target}, which is {record['state']}"
    operation = {
        "op": "record.act",
        "id": target,
        "transition": act,
        "input": data,
        "expect_revision": record["seq"],
    }
    return f"{line}: {shown(form, data)}" if data else line, operation
