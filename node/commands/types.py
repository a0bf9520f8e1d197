"""Types of records on a chain: whose they are, and in which ways they can be looked up."""

from __future__ import annotations

from typing import Any

import msgspec

from node import answers
from node.answers import CommandError
from node.client import Client
from node.commands.pages import follow


def owner_of(client: Client, record_type: str) -> str | None:
    """The service that owns a record type; None for types of documents and unknown ones."""
    text = client.call("state_get", {"key": f"type/{record_type}"})["value"]
    return None if text is None else str(msgspec.json.decode(text))


def definitions(client: Client, service: str) -> list[dict[str, Any]]:
    """Definitions of all versions of a service."""
    text = client.call("state_get", {"key": f"service/{service}"})["value"]
    versions = [] if text is None else sorted(msgspec.json.decode(text)["versions"], key=int)
    return [
        client.call("service_get", {"service": service, "version": int(version)})["definition"]
        for version in versions
    ]


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
