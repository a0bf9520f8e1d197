"""Field kinds: the closed schema language of records and inputs (registry.md, section 2)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping, Set
from typing import Annotated, Any, Final, Protocol, TypeAlias

import msgspec

from ledger.ids import CODE, HASH_HEX, INTEGER_MAX, PARTY_ID, RECORD_ID
from ledger.registry.pattern import compiled

LIST_MAX: Final = 64
STRING_MAX: Final = 256
FIELDS_MAX: Final = 48
FIELD_NAME: Final = r"^[a-z][a-z0-9_]{0,31}$"

_Integer = Annotated[int, msgspec.Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]


class _Field(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", omit_defaults=False
):
    """Members that every field has."""

    required: bool = True
    privacy: str = "public"
    origin: str = "given"
    """given: by whoever creates the record; effect: only effects set it."""


class IntegerField(_Field, frozen=True, tag="integer"):
    """An integer within bounds."""

    minimum: _Integer = 0
    maximum: _Integer = INTEGER_MAX


class StringField(_Field, frozen=True, tag="string"):
    """A short text that matches a pattern; never free text."""

    max: int = 64
    pattern: str = "[!-~]*"


class CodeField(_Field, frozen=True, tag="code"):
    """A code."""


class ChoiceField(_Field, frozen=True, tag="choice"):
    """One of some codes."""

    of: tuple[str, ...] = ()


class BooleanField(_Field, frozen=True, tag="boolean"):
    """true or false."""


class TimeField(_Field, frozen=True, tag="time"):
    """Seconds since 1970."""


class HashField(_Field, frozen=True, tag="hash"):
    """64 hex digits."""


class CommitmentField(_Field, frozen=True, tag="commitment"):
    """64 hex digits, made with a salt that stays off the chain."""


class PartyField(_Field, frozen=True, tag="party"):
    """A party that exists."""


class RecordField(_Field, frozen=True, tag="record"):
    """A record that exists, of one of the types."""

    types: tuple[str, ...] = ()


ItemField: TypeAlias = (
    IntegerField
    | StringField
    | CodeField
    | ChoiceField
    | BooleanField
    | TimeField
    | HashField
    | CommitmentField
    | PartyField
    | RecordField
)


class ListField(_Field, frozen=True, tag="list"):
    """At most `max` items of one kind."""

    max: int = LIST_MAX
    items: ItemField = msgspec.field(default_factory=CodeField)


Field: TypeAlias = ItemField | ListField


class Lookup(Protocol):
    """What exists on the chain, asked while values are checked."""

    def party_exists(self, party: str) -> bool:
        """Whether a party was ever registered."""
        ...

    def record_type(self, record: str) -> str | None:
        """The type of a service's record, or None when it does not exist."""
        ...

    def spend(self, cost: int) -> None:
        """Pay for a check before it is done; may raise."""
        ...


def check_field(field: Field) -> None:
    """Raises ValueError when a field's own members make no sense."""
    if field.privacy not in ("public", "committed"):
        raise ValueError(f"privacy: want public or committed, got {field.privacy!a}")
    if field.origin not in ("given", "effect"):
        raise ValueError(f"origin: want given or effect, got {field.origin!a}")
    if isinstance(field, IntegerField) and field.minimum > field.maximum:
        raise ValueError("integer: minimum is above maximum")
    if isinstance(field, StringField):
        if not 1 <= field.max <= STRING_MAX:
            raise ValueError(f"string: max: want 1 to {STRING_MAX}, got {field.max}")
        compiled(field.pattern)
    if isinstance(field, ChoiceField):
        if not field.of or len(field.of) > LIST_MAX or len(set(field.of)) != len(field.of):
            raise ValueError(f"choice: want 1 to {LIST_MAX} different codes")
        if any(CODE.fullmatch(code) is None for code in field.of):
            raise ValueError("choice: not codes")
    if isinstance(field, RecordField) and (not field.types or len(field.types) > LIST_MAX):
        raise ValueError("record: name the types that it may be of")
    if isinstance(field, ListField):
        if not 1 <= field.max <= LIST_MAX:
            raise ValueError(f"list: max: want 1 to {LIST_MAX}, got {field.max}")
        check_field(field.items)


def check_values(
    fields: Mapping[str, Field],
    values: Mapping[str, Any],
    lookup: Lookup,
    changed: Container[str] | None = None,
) -> str | None:
    """Name of the first field (in the definition's order) that is not right, else None.

    Optional fields may be missing or null. Unknown names are not right either. Where fields have
    been checked before, `changed` names those whose values have to be looked at again.
    """
    for name, field in fields.items():
        value = values.get(name)
        if value is None:
            if field.required:
                return name
        elif (changed is None or name in changed) and not fits(field, value, lookup):
            return name
    return None if values.keys() <= fields.keys() else min(values.keys() - fields.keys())


def check_changed(
    fields: Mapping[str, Field],
    required: Set[str],
    values: Mapping[str, Any],
    lookup: Lookup,
    changed: Collection[str],
) -> str | None:
    """As `check_values`, of values none of which is null, and of which all but those of `changed`
    were found right before. `required` are the names of the required fields; `changed` are in the
    definition's order."""
    if not required <= values.keys() or not values.keys() <= fields.keys():
        return check_values(fields, values, lookup, changed)  # which says what is wrong first
    for name in changed:
        value = values.get(name)
        if value is not None:
            field = fields[name]
            lookup.spend(1)  # as `fits`, without a call
            if not _FITS[type(field)](field, value, lookup):
                return name
    return None


def check_given(
    fields: Mapping[str, Field], values: Mapping[str, Any], lookup: Lookup
) -> str | None:
    """Name of the first value that nobody may give so when a record is created, else None.

    What is missing may still be set by effects.
    """
    for name in sorted(values):
        field, value = fields.get(name), values[name]
        if field is None:
            return name
        if value is not None:
            if field.origin == "effect":
                return name
            lookup.spend(1)  # as `fits`, without a call
            if not _FITS[type(field)](field, value, lookup):
                return name
    return None


def fits(field: Field, value: Any, lookup: Lookup) -> bool:
    """Whether a value that is not null is of the field's kind."""
    lookup.spend(1)
    return _FITS[type(field)](field, value, lookup)


def _list(field: Any, value: Any, lookup: Lookup) -> bool:
    return (
        type(value) is list
        and len(value) <= field.max
        and all(fits(field.items, item, lookup) for item in value)
    )


def _integer(field: Any, value: Any, lookup: Lookup) -> bool:
    return type(value) is int and field.minimum <= value <= field.maximum


def _string(field: Any, value: Any, lookup: Lookup) -> bool:
    if type(value) is not str or len(value) > field.max:
        return False
    lookup.spend(len(value) // 4)
    return compiled(field.pattern).matches(value)


def _code(field: Any, value: Any, lookup: Lookup) -> bool:
    return type(value) is str and CODE.fullmatch(value) is not None


def _choice(field: Any, value: Any, lookup: Lookup) -> bool:
    return type(value) is str and value in field.of


def _boolean(field: Any, value: Any, lookup: Lookup) -> bool:
    return type(value) is bool


def _time(field: Any, value: Any, lookup: Lookup) -> bool:
    return type(value) is int and 0 <= value <= INTEGER_MAX


def _hash(field: Any, value: Any, lookup: Lookup) -> bool:
    return type(value) is str and HASH_HEX.fullmatch(value) is not None


def _party(field: Any, value: Any, lookup: Lookup) -> bool:
    return (
        type(value) is str and PARTY_ID.fullmatch(value) is not None and lookup.party_exists(value)
    )


def _record(field: Any, value: Any, lookup: Lookup) -> bool:
    if type(value) is not str or RECORD_ID.fullmatch(value) is None:
        return False
    return lookup.record_type(value) in field.types


_FITS: Final[dict[type, Callable[[Any, Any, Lookup], bool]]] = {
    IntegerField: _integer,
    StringField: _string,
    CodeField: _code,
    ChoiceField: _choice,
    BooleanField: _boolean,
    TimeField: _time,
    HashField: _hash,
    CommitmentField: _hash,
    PartyField: _party,
    RecordField: _record,
    ListField: _list,
}
