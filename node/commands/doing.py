"""muniment do: create a record, or act on one."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import msgspec
import typer

from ledger.ids import RECORD_ID
from ledger.modules.document import DEFINITION as DOCUMENT
from ledger.registry.definition import CREATE, Definition, Type
from ledger.registry.fields import BooleanField, ChoiceField, CodeField, CommitmentField, Field
from node import answers
from node.answers import CommandError
from node.client import Client
from node.commands.context import JsonOption, ProfileOption, Session, TimeoutOption, failing
from node.commands.types import owner_of, unknown_type
from node.commands.values import OnChain, check, shown, typed

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


def _complete(
    form: dict[str, Field], given: dict[str, str], there: list[str], client: Client
) -> dict[str, Any]:
    """Given values, typed and checked; what is missing is asked for on a terminal. `there` are the
    fields that may be given. Raises CommandError: nothing is signed that is not of its kind."""
    for name in given:
        if name not in form:
            detail = f"no field {name}; there are: {', '.join(there) or 'none'}"
            raise CommandError(answers.USAGE, "FIELD_UNKNOWN", detail)
    values: dict[str, Any] = {}
    missing: list[str] = []
    for name, field in form.items():
        if name in given:
            values[name] = typed(field, given[name], name)
        elif field.required:
            kind = str(field.__struct_config__.tag)
            if sys.stdin.isatty() and sys.stderr.isatty():
                sys.stderr.write(f"{name} ({kind}): ")
                sys.stderr.flush()
                values[name] = typed(field, sys.stdin.readline().rstrip("\n"), name)
            else:
                missing.append(f"{name} ({kind})")
    if missing:
        detail = f"missing: {', '.join(missing)}"
        raise CommandError(answers.USAGE, "FIELDS_MISSING", detail, "give them as field=value")
    check(form, values, OnChain(client))
    return values


def confirm(text: str, yes: bool) -> None:
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
        given = _values(values)
        make = _creation if act == "create" else _act
        line, operation = make(session, act, target, given)
        confirm(line, yes)
        send(session, operation, timeout, as_json)


def _creation(
    session: Session, act: str, target: str, given: dict[str, str]
) -> tuple[str, dict[str, Any]]:
    """(what will happen, operation) of a creation. Raises CommandError."""
    service = owner_of(session.client, target)
    if service is None:
        raise unknown_type(session.client, target)
    definition = _definition(session, {"service": service})
    kind = _kind(definition, target)
    authored = {name: field for name, field in kind.fields.items() if field.origin == "given"}
    for name in given:
        if name in kind.fields and name not in authored:
            detail = f"{name} is set by the service's own acts; nobody gives it"
            raise CommandError(answers.USAGE, "FIELD_NOT_GIVEN", detail, f"leave {name} away")
    asked = {n: field for n, field in authored.items() if field.required or n in given}
    data = _complete(asked, given, list(authored), session.client)
    operation = {
        "op": "record.create",
        "type": target,
        "version": definition.version,
        "data": data,
    }
    return f"{session.party} creates a {target} of {service}: {shown(asked, data)}", operation


def _act(
    session: Session, act: str, target: str, given: dict[str, str]
) -> tuple[str, dict[str, Any]]:
    """(what will happen, operation) of an act on a record. Raises CommandError."""
    if RECORD_ID.fullmatch(target) is None:
        detail = f"{target!r} is no record id"
        raise CommandError(answers.USAGE, "RECORD_ID", detail, "muniment record list TYPE")
    record = session.client.call("record_get", {"id": target})["record"]
    if record["def"] == DOCUMENT:
        detail = f"{target} is a document, which no service acts on"
        hint = "muniment document attest, revoke or show"
        raise CommandError(answers.USAGE, "NOT_OF_A_SERVICE", detail, hint)
    service, _, number = record["def"].rpartition("@")
    definition = _definition(session, {"service": service, "version": int(number)})
    kind = _kind(definition, record["type"])
    form = _inputs(kind).get(act)
    if form is None:
        possible = ", ".join(_by_hand(kind, record["state"])) or "nothing by hand"
        detail = f"there is no act {act}; {target} is {record['state']}, now: {possible}"
        raise CommandError(answers.USAGE, "ACT_UNKNOWN", detail)
    data = _complete(form, given, list(form), session.client)
    line = f"{session.party}: {act} on {target}, which is {record['state']}"
    operation = {
        "op": "record.act",
        "id": target,
        "transition": act,
        "input": data,
        "expect_revision": record["seq"],
    }
    return f"{line}: {shown(form, data)}" if data else line, operation


def _inputs(kind: Type) -> dict[str, dict[str, Field]]:
    """Act -> what people give with it; the type's own acts and those that every type may have."""
    reasoned: dict[str, Field] = {"reason_code": CodeField(), "commitment": CommitmentField()}
    committed = tuple(n for n, f in kind.fields.items() if isinstance(f, CommitmentField))
    every: dict[str, dict[str, Field]] = {
        "rectify": {**reasoned, "field": ChoiceField(of=committed), "value": CommitmentField()},
        "error_declaration": reasoned,
        "court_order": {
            **reasoned,
            "state": ChoiceField(required=False, of=kind.states),
            "unlock": BooleanField(required=False),
        },
    }
    universal = {act: form for act, form in every.items() if act in kind.universal}
    own = {act: made.input for act, made in kind.transitions.items() if act != CREATE}
    return {**universal, **own}


def _by_hand(kind: Type, state: str) -> list[str]:
    """Acts that somebody may do while a record is in a state."""
    own = [
        act
        for act, made in kind.transitions.items()
        if made.by is not None and state in made.source
    ]
    return [*own, *kind.universal]


def _definition(session: Session, params: dict[str, Any]) -> Definition:
    """A service's definition, of its version in force when none is named. Raises CommandError."""
    found = session.client.call("service_get", params)["definition"]
    try:
        return msgspec.convert(found, Definition)
    except msgspec.ValidationError as error:
        detail = f"the definition of {params['service']} is not of a form known here: {error}"
        hint = "is this muniment as new as the node? muniment version"
        raise CommandError(answers.INTERNAL, "DEFINITION_UNREADABLE", detail, hint) from None


def _kind(definition: Definition, record_type: str) -> Type:
    name = f"{definition.service}@{definition.version}"
    kind = definition.types.get(record_type.removeprefix(f"{definition.service}-"))
    if kind is None:
        detail = f"{name} has no type {record_type} more"
        raise CommandError(answers.NOT_FOUND, "TYPE_UNKNOWN", detail, "muniment service list")
    return kind
