"""Values that people type: of the kind that the field wants, before anybody signs them.

What is signed and sent stays readable in a block, also when it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import msgspec

from ledger.registry import fields
from ledger.registry.definition import CREATE
from ledger.registry.fields import Field, Lookup, fits
from node import answers
from node.answers import CommandError
from node.client import Client
from node.commands.types import acts_by, owner_of
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


def check_names(
    form: Mapping[str, Field],
    names: Iterable[str],
    fields_of_type: Mapping[str, Field] = MappingProxyType({}),
    where: str = "",
) -> None:
    """Raises CommandError for the first name that nobody may give. `where` stands before it."""
    for name in names:
        if name in form:
            continue
        if name in fields_of_type:
            detail = f"{where}{name} is set by the service's own acts; nobody gives it"
            raise CommandError(answers.USAGE, "FIELD_NOT_GIVEN", detail, f"leave {name} away")
        detail = f"no field {where}{name}; there are: {', '.join(form) or 'none'}"
        raise CommandError(answers.USAGE, "FIELD_UNKNOWN", detail)


def check(
    given: Mapping[str, Field], values: Mapping[str, Any], lookup: Lookup, where: str = ""
) -> None:
    """Raises CommandError for the first value that is not of its field's kind. `where` stands
    before the field's name."""
    for name, value in values.items():
        if not fits(given[name], value, lookup):
            raise _unfit(given[name], value, where + name)


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
    fields.HashField: "the SHA-256 of something public or a keyed hash, 64 lower-case hex digits",
    fields.CommitmentField: "a commitment, 64 lower-case hex digits",
    fields.PartyField: "a party that the ledger knows",
}


def _hint(field: Field) -> str:
    """What to type next."""
    inner = field.items if isinstance(field, fields.ListField) else field
    if isinstance(inner, fields.CommitmentField):
        return "a commitment is 64 hex digits: muniment commit FILE"
    if isinstance(inner, fields.HashField):
        return (
            "a hash is 64 hex digits: sha256sum FILE of a public file; a number that only the "
            "agencies may know wants a keyed hash: muniment commit --keyed SECRET FILE"
        )
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
        f"{name} {plain(value, _kind(msgspec.to_builtins(given[name])))}"
        for name, value in values.items()
    )


def _kind(form: Mapping[str, Any]) -> str:
    """The kind of a field as a definition writes it; of a list, the kind of its items."""
    inner = form["items"] if form["kind"] == "list" else form
    return str(inner["kind"])


class Kinds:
    """Kinds of fields of records, asked for once a version of their service."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, dict[str, Any]] = {}

    def plain(self, record: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, str]:
        """Fields of a record's data as people read them."""
        types = self._of(str(record.get("def", "")))
        return _told(types.get(str(record["id"]).split("/")[0], {}).get("fields", {}), data)

    def input(self, task: Mapping[str, Any]) -> dict[str, str]:
        """What is given with a waiting act, as people read it."""
        kind = self._of(self._definition(task)).get(task["type"], {})
        if task["transition"] == CREATE:
            return _told(kind.get("fields", {}), task["input"])
        return _told(kind.get("inputs", {}).get(task["transition"], {}), task["input"])

    def _definition(self, task: Mapping[str, Any]) -> str:
        """By which definition a waiting act is done: its record's, of a creation the newest."""
        if task["transition"] == CREATE:
            return f"{owner_of(self._client, task['type']) or ''}@"
        pinned = self._client.call("record_get", {"id": task["record"]})["record"]["def"]
        service, version = acts_by(self._client, pinned)
        return f"{service}@{version}"

    def _of(self, definition: str) -> dict[str, Any]:
        """Record type -> its schema; nothing for documents, whose fields no service names."""
        if definition not in self._known:
            self._known[definition] = self._asked(definition)
        return self._known[definition]

    def _asked(self, definition: str) -> dict[str, Any]:
        service, _, version = definition.rpartition("@")
        if not service or (version and not version.isdigit()):
            return {}
        params = {"service": service, **({"version": int(version)} if version else {})}
        try:
            types: dict[str, Any] = self._client.call("service_getSchema", params)["types"]
        except CommandError:
            return {}
        return types


def _told(forms: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, str]:
    """Values as people read them; of a field that has no form, as they are."""
    return {
        name: plain(value, _kind(forms[name]) if name in forms else "")
        for name, value in values.items()
    }
