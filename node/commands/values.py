"""Values that people type: of the kind that the field wants, before anybody signs them.

What is signed and sent stays readable in a block, also when it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ledger.registry import fields
from ledger.registry.fields import Field, Lookup, fits
from node import answers
from node.answers import CommandError
from node.client import Client
from node.shown import plain

_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def typed(field: Field, text: str, name: str) -> Any:
    """A value as the field's kind wants it. Raises CommandError; exists nothing that it names."""
    try:
        return _typed(field, text)
    except (ValueError, KeyError, OverflowError):
        raise _unfit(field, text, name) from None


def _typed(field: Field, text: str) -> Any:
    if isinstance(field, fields.IntegerField):
        return int(text)
    if isinstance(field, fields.TimeField):
        if not text.isdigit():
            moment = datetime.fromisoformat(text)
            given = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return int(given.timestamp())
        return int(text)
    if isinstance(field, fields.BooleanField):
        return _BOOLEANS[text.lower()]
    if isinstance(field, fields.ListField):
        return [_typed(field.items, part.strip()) for part in text.split(",") if part.strip()]
    return text


def check(given: Mapping[str, Field], values: Mapping[str, Any], lookup: Lookup) -> None:
    """Raises CommandError for the first value that is not of its field's kind."""
    for name, value in values.items():
        if not fits(given[name], value, lookup):
            raise _unfit(given[name], value, name)


class OnChain:
    """Parties and records as a node knows them (`ledger.registry.fields.Lookup`)."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def _value(self, key: str) -> str | None:
        text: str | None = self._client.call("state_get", {"key": key})["value"]
        return text

    def party_exists(self, party: str) -> bool:
        """Whether a party was ever registered."""
        return self._value(f"party/{party}") is not None

    def record_type(self, record: str) -> str | None:
        """The type of a service's record, or None when it does not exist."""
        text = self._value(f"record/{record}")
        value = {} if text is None else msgspec.json.decode(text)
        return str(value["type"]) if "locks" in value else None  # no document

    def spend(self, cost: int) -> None:
        """Nobody pays on this side."""


def wanted(field: Field) -> str:
    """What a field's value must be, for people."""
    if isinstance(field, fields.IntegerField):
        return f"a whole number from {field.minimum} to {field.maximum}"
    if isinstance(field, fields.StringField):
        return f"a text of at most {field.max} characters of the form {field.pattern}"
    if isinstance(field, fields.CodeField):
        return "a code: lower-case letters, digits and inner hyphens, at most 64"
    if isinstance(field, fields.ChoiceField):
        return f"one of {', '.join(field.of) or 'none: there is nothing to choose'}"
    if isinstance(field, fields.TimeField):
        return "a time, as 2026-03-31 or 2026-03-31T12:00 (UTC), or seconds since 1970"
    if isinstance(field, fields.RecordField):
        return f"the id of a record of type {' or '.join(field.types)}"
    if isinstance(field, fields.ListField):
        return f"at most {field.max} values parted by commas, each {wanted(field.items)}"
    return _PLAIN[type(field)]


_PLAIN: dict[type, str] = {
    fields.BooleanField: "yes or no",
    fields.HashField: "the SHA-256 of something public, 64 lower-case hex digits",
    fields.CommitmentField: "a commitment, 64 lower-case hex digits",
    fields.PartyField: "a party that the ledger knows",
}


def _hint(field: Field) -> str:
    """What to type next."""
    inner = field.items if isinstance(field, fields.ListField) else field
    if isinstance(inner, fields.CommitmentField):
        return "a commitment is 64 hex digits: muniment commit FILE"
    if isinstance(inner, fields.HashField):
        return "a hash is 64 hex digits: sha256sum FILE"
    if isinstance(inner, fields.PartyField):
        return "look it up: muniment id get PARTY"
    if isinstance(inner, fields.RecordField):
        return f"look it up: muniment record list {inner.types[0]}"
    return ""


def _unfit(field: Field, value: Any, name: str) -> CommandError:
    """The error for a value of another kind; what should have been committed to is not repeated."""
    inner = field.items if isinstance(field, fields.ListField) else field
    got = ""
    if not isinstance(inner, fields.CommitmentField):
        text = plain(value)
        got = f", got {text if len(text) <= 80 else text[:77] + '…'}"
    detail = f"{name}: want {wanted(field)}{got}; nothing was signed"
    return CommandError(answers.USAGE, "VALUE", detail, _hint(field))


def shown(given: Mapping[str, Field], values: Mapping[str, Any]) -> str:
    """Fields and their values on one line."""
    return ", ".join(
        f"{name} {plain(value, str(given[name].__struct_config__.tag))}"
        for name, value in values.items()
    )


class Kinds:
    """Kinds of fields of records, asked for once a version of their service."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, Any] = {}

    def plain(self, record: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, str]:
        """Fields of a record's data as people read them."""
        kinds = self._of(str(record.get("def", ""))).get(str(record["id"]).split("/")[0], {})
        return {name: plain(value, kinds.get(name, "")) for name, value in data.items()}

    def _of(self, definition: str) -> dict[str, dict[str, str]]:
        """Record type -> field -> kind; nothing for documents, whose fields no service names."""
        if definition not in self._known:
            self._known[definition] = self._asked(definition)
        found: dict[str, dict[str, str]] = self._known[definition]
        return found

    def _asked(self, definition: str) -> dict[str, dict[str, str]]:
        service, _, version = definition.rpartition("@")
        if not service or not version.isdigit():
            return {}
        try:
            params = {"service": service, "version": int(version)}
            types = self._client.call("service_getSchema", params)["types"]
        except CommandError:
            return {}
        return {
            name: {field: form["kind"] for field, form in kind["fields"].items()}
            for name, kind in types.items()
        }
