"""Services as the state holds them: which version of which definition a record follows."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from ledger import canonical
from ledger.registry.definition import Aggregate, Definition, Type, loaded
from ledger.registry.evaluate import Programs
from ledger.registry.fields import Field, ListField
from ledger.registry.meter import Meter
from ledger.state import Draft, Reader

ACTIVE = "active"
SUSPENDED = "suspended"
LOADED_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of definitions that are kept in their loaded form, as canonical JSON; with their code they take
twelve times that, and thirty times at worst. Loading is not paid for, since it depends on what is
kept: this is more than blocks use in turn."""
DEFINITION_BYTES_PER_UNIT: Final = 64
"""Of a definition that is searched for a role, for one unit of cost."""


class Version(msgspec.Struct, frozen=True):
    """One activated version."""

    hash: str
    status: str
    height: int


class Service(msgspec.Struct, frozen=True):
    """Value of `service/<service>`."""

    versions: dict[str, Version]
    current: int
    moved: dict[str, int] = {}
    """Versions whose records act by another one, by force of a migration."""

    def acting(self, version: int) -> int:
        """By which version the records of a version act, migrations followed."""
        for _ in self.moved:  # each leads to a later version
            version = self.moved.get(str(version), version)
        return version


class Parent(msgspec.Struct, frozen=True):
    """An aggregate that counts records of some type."""

    type: str
    name: str
    aggregate: Aggregate


class Loaded:
    """A definition with what the engine looks up in it."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.name = f"{definition.service}@{definition.version}"
        """What the `def` of a record says that was made by it."""
        self.programs = Programs()
        """Its expressions and transitions as code, once they were run."""
        self.by_record_type = {
            definition.record_type(name): kind for name, kind in definition.types.items()
        }
        self.parents: dict[str, list[Parent]] = {}
        for owner, kind in definition.types.items():
            for name, aggregate in kind.aggregates.items():
                child = definition.record_type(aggregate.type)
                parent = Parent(definition.record_type(owner), name, aggregate)
                self.parents.setdefault(child, []).append(parent)

    def type(self, record_type: str) -> Type | None:
        """The form of a record type of this service."""
        return self.by_record_type.get(record_type)

    def unit(self, name: str) -> str:
        """A unit's name on the chain."""
        return f"{self.definition.service}.{name}"

    def role(self, name: str) -> str:
        """A role's name on the chain."""
        return f"{self.definition.service}.{name}"


class LoadedDefinitions:
    """By hash, in two generations: when the younger one is full it becomes the older one, and what
    was old is forgotten. What is asked for again moves up."""

    __slots__ = ("_bytes", "_older", "_younger")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._younger: dict[str, tuple[Loaded, int]] = {}
        self._older: dict[str, tuple[Loaded, int]] = {}
        self._bytes = 0
        """Of the younger generation."""

    def find(self, state: Reader, definition_hash: str) -> Loaded:
        """A definition of the state. Its hash says what it is, so it need not be read twice."""
        known = self._younger.get(definition_hash) or self._older.pop(definition_hash, None)
        if known is None:
            data = state.get(definition_key(definition_hash))
            assert data is not None, definition_hash
            known = Loaded(loaded(data)), len(data)
        if definition_hash not in self._younger:
            self._bytes += known[1]
            if self._bytes > LOADED_BYTES_MAX // 2:
                self._older, self._younger, self._bytes = self._younger, {}, known[1]
            self._younger[definition_hash] = known
        return known[0]


LOADED: Final = LoadedDefinitions()
_service_decoder = msgspec.json.Decoder(Service)
_type_decoder = msgspec.json.Decoder(str)


@lru_cache(maxsize=256)
def _service(value: bytes) -> Service:
    """A pure function of the bytes, which every act asks for; nobody changes the answer."""
    return _service_decoder.decode(value)


@lru_cache(maxsize=1_024)
def _service_name(value: bytes) -> str:
    return _type_decoder.decode(value)


def service_key(service: str) -> bytes:
    """State key of a service."""
    return b"service/" + service.encode("ascii")


def definition_key(definition_hash: str) -> bytes:
    """State key of a definition's canonical JSON."""
    return b"definition/" + definition_hash.encode("ascii")


def type_key(record_type: str) -> bytes:
    """State key that says to which service a record type belongs."""
    return b"type/" + record_type.encode("ascii")


def find_service(state: Reader, service: str) -> Service | None:
    """A service that was activated."""
    value = state.get(service_key(service))
    return None if value is None else _service(value)


def service_of_type(state: Reader, record_type: str) -> str | None:
    """The service to which a record type belongs."""
    value = state.get(type_key(record_type))
    return None if value is None else _service_name(value)


def find_version(state: Reader, service: str, version: int) -> tuple[Loaded, Version] | None:
    """The definition by which records of a version act, forced migrations followed."""
    value = state.get(service_key(service))
    row = None if value is None else _acting_version(value, version)
    return None if row is None else (LOADED.find(state, row.hash), row)


@lru_cache(maxsize=256)
def _acting_version(value: bytes, version: int) -> Version | None:
    """The version of a service's row by which the records of a version act."""
    found = _service(value)
    return found.versions.get(str(found.acting(version)))


def activation_problem(state: Reader, definition: Definition) -> str:
    """Why a checked definition cannot become the current version, or empty."""
    service = find_service(state, definition.service)
    if service is not None and definition.version <= max(int(v) for v in service.versions):
        return "VERSION_NOT_RISING"
    for name in definition.types:
        owner = service_of_type(state, definition.record_type(name))
        if owner is not None and owner != definition.service:
            return "TYPE_TAKEN"
    return ""


def activate(draft: Draft, definition: Definition, height: int) -> str:
    """Make a checked definition the current version; empty, or why it cannot be."""
    problem = activation_problem(draft, definition)
    if problem:
        return problem
    service = find_service(draft, definition.service)
    version = str(definition.version)
    data = definition.encode()
    definition_hash = definition.hash.hex()
    draft.put(definition_key(definition_hash), data)
    for name in definition.types:
        record_type = definition.record_type(name)
        draft.put(type_key(record_type), canonical.encode(definition.service))
    versions = {} if service is None else dict(service.versions)
    versions[version] = Version(definition_hash, ACTIVE, height)
    moved = {} if service is None else service.moved
    save_service(draft, definition.service, Service(versions, definition.version, moved))
    return ""


def save_service(draft: Draft, name: str, service: Service) -> None:
    """Write `service/<service>`."""
    draft.put(service_key(name), canonical.encode(service))


def version_problem(state: Reader, name: str, version: int) -> str:
    """SERVICE_UNKNOWN or VERSION_UNKNOWN when no such version was activated, or empty."""
    service = find_service(state, name)
    if service is None:
        return "SERVICE_UNKNOWN"
    return "" if str(version) in service.versions else "VERSION_UNKNOWN"


def role_problem(state: Reader, name: str, role: str, meter: Meter) -> str:
    """SERVICE_UNKNOWN, or ROLE_UNKNOWN when no version of the service has the role, or empty.

    Versions are many after some years, and each is paid for: the newest one comes first. Raises
    ExpressionRefused.
    """
    service = find_service(state, name)
    if service is None:
        return "SERVICE_UNKNOWN"
    for version in sorted(service.versions, key=int, reverse=True):
        definition_hash = service.versions[version].hash
        data = state.get(definition_key(definition_hash))
        assert data is not None, (name, version)
        meter.spend(len(data) // DEFINITION_BYTES_PER_UNIT)
        if role in LOADED.find(state, definition_hash).definition.roles:
            return ""
    return "ROLE_UNKNOWN"


def set_status(draft: Draft, name: str, version: int, status: str) -> str:
    """Suspend or resume a version; empty, or why it cannot be."""
    problem = version_problem(draft, name, version)
    if problem:
        return problem
    service = find_service(draft, name)
    assert service is not None
    row = service.versions[str(version)]
    versions = {**service.versions, str(version): msgspec.structs.replace(row, status=status)}
    save_service(draft, name, msgspec.structs.replace(service, versions=versions))
    return ""


def migration_problem(state: Reader, name: str, source: int, target: int) -> str:
    """Why records of one version cannot act by a later one, or empty."""
    service = find_service(state, name)
    if service is None:
        return "SERVICE_UNKNOWN"
    if str(source) not in service.versions or str(target) not in service.versions:
        return "VERSION_UNKNOWN"
    if target <= source:
        return "VERSION_UNKNOWN"
    before, after = find_version(state, name, source), find_version(state, name, target)
    assert before is not None
    assert after is not None
    for record_type, kind in before[0].by_record_type.items():
        following = after[0].type(record_type)
        if following is None or not set(kind.states) <= set(following.states):
            return "STATES_MISSING"
        if not _fields_follow(kind, following):
            return "FIELDS_DIFFER"
        # Rows are written when a record changes; nothing could find the others in the meantime.
        if set(following.indexes) != set(kind.indexes):
            return "INDEXES_DIFFER"
    if _counted(before[0], before[0]) != _counted(after[0], before[0]):
        return "AGGREGATES_DIFFER"
    return ""


def migrate(draft: Draft, name: str, source: int, target: int) -> str:
    """Let records of one version act by a later one; empty, or why they cannot."""
    problem = migration_problem(draft, name, source, target)
    if problem:
        return problem
    service = find_service(draft, name)
    assert service is not None
    moved = {**service.moved, str(source): target}
    save_service(draft, name, msgspec.structs.replace(service, moved=moved))
    return ""


def _fields_follow(old: Type, new: Type) -> bool:
    """Whether data of records made by `old` can be complete and right by `new`."""
    for name, field in old.fields.items():
        if _kinds(new.fields.get(name)) != _kinds(field):
            return False
    return all(
        not field.required or (name in old.fields and old.fields[name].required)
        for name, field in new.fields.items()
    )


def _kinds(field: Field | None) -> tuple[type, type]:
    """A field's kind, and that of its items."""
    return type(field), type(field.items if isinstance(field, ListField) else None)


def _counted(loaded: Loaded, old: Loaded) -> list[tuple[str, str, str, Aggregate]]:
    """The aggregates over types that `old` has: a record must leave what it once entered."""
    return sorted(
        (
            (child, parent.type, parent.name, parent.aggregate)
            for child, parents in loaded.parents.items()
            if child in old.by_record_type
            for parent in parents
        ),
        key=lambda row: row[:3],
    )


@lru_cache(maxsize=1_024)
def parse_definition_name(text: str) -> tuple[str, int]:
    """(service, version) of a record's `def`."""
    service, _, version = text.rpartition("@")
    return service, int(version)


def record_key(record: str) -> bytes:
    """State key of a record."""
    return b"record/" + record.encode("ascii")


def record_value(state: Reader, record: str) -> dict[str, Any] | None:
    """A record, parsed; its own copy."""
    value = state.get(record_key(record))
    if value is None:
        return None
    parsed: dict[str, Any] = canonical.decode(value)
    return parsed
