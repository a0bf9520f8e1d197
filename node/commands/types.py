"""Types of records on a chain: whose they are, what may be done with them, how they are found."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.ids import RECORD_ID
from ledger.modules.document import DEFINITION as DOCUMENT
from ledger.registry.catalogue import Service, parse_definition_name
from ledger.registry.definition import CREATE, Definition, Type
from ledger.registry.fields import BooleanField, ChoiceField, CodeField, CommitmentField, Field
from node import answers
from node.answers import CommandError
from node.client import Client
from node.commands.pages import follow


def owner_of(client: Client, record_type: str) -> str | None:
    """The service that owns a record type; None for types of documents and unknown ones."""
    text = client.call("state_get", {"key": f"type/{record_type}"})["value"]
    return None if text is None else str(msgspec.json.decode(text))


def acts_by(client: Client, definition: str) -> tuple[str, int]:
    """(service, version) by which records act that pin `service@version`, migrations followed."""
    service, version = parse_definition_name(definition)
    text = client.call("state_get", {"key": f"service/{service}"})["value"]
    if text is not None:
        version = msgspec.json.decode(text, type=Service).acting(version)
    return service, version


def definitions(client: Client, service: str) -> list[dict[str, Any]]:
    """Definitions of all versions of a service."""
    text = client.call("state_get", {"key": f"service/{service}"})["value"]
    versions = [] if text is None else sorted(msgspec.json.decode(text)["versions"], key=int)
    return [
        client.call("service_get", {"service": service, "version": int(version)})["definition"]
        for version in versions
    ]


def definition_of(client: Client, service: str, version: int | None = None) -> Definition:
    """A service's definition, of its version in force when none is named. Raises CommandError."""
    params = {"service": service} if version is None else {"service": service, "version": version}
    found = client.call("service_get", params)["definition"]
    try:
        return msgspec.convert(found, Definition)
    except msgspec.ValidationError as error:
        detail = f"the definition of {service} is not of a form known here: {error}"
        hint = "is this muniment as new as the node? muniment version"
        raise CommandError(answers.INTERNAL, "DEFINITION_UNREADABLE", detail, hint) from None


def kind_of(definition: Definition, record_type: str) -> Type:
    """What a definition says of a record type. Raises CommandError."""
    name = f"{definition.service}@{definition.version}"
    kind = definition.types.get(record_type.removeprefix(f"{definition.service}-"))
    if kind is None:
        detail = f"{name} has no type {record_type} more"
        raise CommandError(answers.NOT_FOUND, "TYPE_UNKNOWN", detail, "muniment service list")
    return kind


def acted_on(client: Client, record: str) -> tuple[dict[str, Any], Type]:
    """A record of a service as it stands, and its type by the version that it acts by.

    Raises CommandError.
    """
    if RECORD_ID.fullmatch(record) is None:
        detail = f"{record!r} is no record id"
        raise CommandError(answers.USAGE, "RECORD_ID", detail, "muniment record list TYPE")
    found: dict[str, Any] = client.call("record_get", {"id": record})["record"]
    if found["def"] == DOCUMENT:
        detail = f"{record} is a document, which no service acts on"
        hint = "muniment document attest, revoke or show"
        raise CommandError(answers.USAGE, "NOT_OF_A_SERVICE", detail, hint)
    return found, kind_of(definition_of(client, *acts_by(client, found["def"])), found["type"])


def given(kind: Type) -> dict[str, Field]:
    """What whoever creates a record may give."""
    return {name: field for name, field in kind.fields.items() if field.origin == "given"}


def inputs(kind: Type) -> dict[str, dict[str, Field]]:
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


def by_hand(kind: Type, state: str) -> list[str]:
    """Acts that somebody may do while a record is in a state."""
    own = [
        act
        for act, made in kind.transitions.items()
        if made.by is not None and state in made.source
    ]
    return [*own, *kind.universal]


def known_types(client: Client) -> list[str]:
    """Record types of all services in force, by the service's name."""
    services = follow(client, "service_list", {})["items"]
    return [
        name
        for item in services
        for name in client.call("service_getSchema", {"service": item["service"]})["types"]
    ]


def unknown_type(client: Client, record_type: str) -> CommandError:
    """The error for a type that no service has; it names those that there are."""
    there = ", ".join(known_types(client)) or "none, no service is in force"
    detail = f"no service has a type {record_type}; there are: {there}"
    hint = "a type's name is the service, a hyphen, the type; services: muniment service list"
    return CommandError(answers.NOT_FOUND, "TYPE_UNKNOWN", detail, hint)


def check_lookup(client: Client, record_type: str, state: str | None, field: str | None) -> None:
    """Why a list may be empty. Raises CommandError when its type, state or field is unknown."""
    owner = owner_of(client, record_type)
    if owner is None:
        if client.call("record_list", {"type": record_type, "limit": 1})["items"]:
            detail = f"{record_type} is a type of documents; they are listed by type alone"
            hint = f"muniment record list {record_type}"
            raise CommandError(answers.USAGE, "NOT_INDEXED", detail, hint)
        raise unknown_type(client, record_type)
    name = record_type.removeprefix(owner + "-")
    forms = [d["types"][name] for d in definitions(client, owner) if name in d["types"]]
    states = list(dict.fromkeys(item for form in forms for item in form["states"]))
    indexes = list(dict.fromkeys(item for form in forms for item in form["indexes"]))
    if state is not None and state not in states:
        detail = f"{record_type} has no state {state}; there are: {', '.join(states)}"
        raise CommandError(answers.USAGE, "STATE_UNKNOWN", detail)
    if field is not None and field not in indexes:
        there = ", ".join(indexes) or "none"
        detail = f"{record_type} is not searched by {field}; indexed fields: {there}"
        raise CommandError(answers.USAGE, "NOT_INDEXED", detail)
