"""Compiled definitions: their shape (registry.md, sections 1, 5 and 6).

A definition that passes `ledger.registry.check` can be evaluated without surprises: every name in
it exists, every tree has the right shape, every size is within its cap.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final, TypeAlias

import msgspec

from ledger import canonical, ijson
from ledger.crypto import sha256
from ledger.ids import Hash
from ledger.registry.fields import Field

DEFINITION_TYPE: Final = "muniment-service-v1"
DEFINITION_BYTES_MAX: Final = 47_104
"""What a proposal of `transaction_bytes_max` by default surely holds, in base64url."""
DEPTH_MAX: Final = 40
CREATE: Final = "create"


class _Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of untagged parts."""


class _Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="p"):
    """Base of policies."""


class RolePolicy(_Policy, frozen=True, tag="role"):
    """Holds a role of the service; with `agency_of`, within the agency of that field's party."""

    role: str
    agency_of: str | None = None


class PartyPolicy(_Policy, frozen=True, tag="party"):
    """Is the party that a field names."""

    field: str


class AgencyPolicy(_Policy, frozen=True, tag="agency"):
    """Is of the same agency as the party that a field names."""

    field: str


class IsPolicy(_Policy, frozen=True, tag="is"):
    """Is the party that an expression gives."""

    value: list[Any]


class EachPolicy(_Policy, frozen=True, tag="each"):
    """Every party of a list that an expression gives, by distinct signers."""

    value: list[Any]


class AllPolicy(_Policy, frozen=True, tag="all"):
    """Every part, by distinct signers."""

    of: tuple[Policy, ...]


class AnyPolicy(_Policy, frozen=True, tag="any"):
    """One part."""

    of: tuple[Policy, ...]


class CountPolicy(_Policy, frozen=True, tag="count"):
    """`n` distinct signers that each satisfy a part."""

    n: int
    of: Policy


class ExceptPolicy(_Policy, frozen=True, tag="except"):
    """A part, by signers none of whom satisfies an exception."""

    of: Policy
    but: tuple[Policy, ...]


Policy: TypeAlias = (
    RolePolicy
    | PartyPolicy
    | AgencyPolicy
    | IsPolicy
    | EachPolicy
    | AllPolicy
    | AnyPolicy
    | CountPolicy
    | ExceptPolicy
)


class _Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="e"):
    """Base of effects."""


class SetEffect(_Effect, frozen=True, tag="set"):
    """Set a field of this record."""

    field: str
    value: list[Any]


class PushEffect(_Effect, frozen=True, tag="push"):
    """Append to a list field."""

    field: str
    value: list[Any]


class PullEffect(_Effect, frozen=True, tag="pull"):
    """Remove the first equal item of a list field."""

    field: str
    value: list[Any]


class ClaimEffect(_Effect, frozen=True, tag="claim"):
    """Take a unique key of a namespace."""

    namespace: str
    key: tuple[list[Any], ...]


class ReleaseEffect(_Effect, frozen=True, tag="release"):
    """Give a unique key back that this record took."""

    namespace: str
    key: tuple[list[Any], ...]


class LockEffect(_Effect, frozen=True, tag="lock"):
    """Lock a record: only acts through this record touch it."""

    record: list[Any]
    name: str


class UnlockEffect(_Effect, frozen=True, tag="unlock"):
    """Open this record's lock on a record."""

    record: list[Any]
    name: str


class MintEffect(_Effect, frozen=True, tag="mint"):
    """Bring an amount of a unit into being."""

    unit: str
    account: list[Any]
    amount: list[Any]


class BurnEffect(_Effect, frozen=True, tag="burn"):
    """Take an amount out of being."""

    unit: str
    account: list[Any]
    amount: list[Any]


class MoveEffect(_Effect, frozen=True, tag="move"):
    """Move an amount between accounts."""

    unit: str
    source: list[Any]
    target: list[Any]
    amount: list[Any]


class CreateEffect(_Effect, frozen=True, tag="create"):
    """Make a record of this service."""

    type: str
    data: dict[str, list[Any]]


class FireEffect(_Effect, frozen=True, tag="fire"):
    """Fire an internal transition of another record, its guards included."""

    record: list[Any]
    transition: str
    input: dict[str, list[Any]]


class TimerEffect(_Effect, frozen=True, tag="timer"):
    """Fire this record's transition `name` at a time; replaces the one that waits."""

    name: str
    at: list[Any]


class CancelEffect(_Effect, frozen=True, tag="cancel"):
    """Forget the timer of a transition."""

    name: str


class IfEffect(_Effect, frozen=True, tag="if"):
    """Effects under a condition."""

    when: list[Any]
    then: tuple[Effect, ...]


Effect: TypeAlias = (
    SetEffect
    | PushEffect
    | PullEffect
    | ClaimEffect
    | ReleaseEffect
    | LockEffect
    | UnlockEffect
    | MintEffect
    | BurnEffect
    | MoveEffect
    | CreateEffect
    | FireEffect
    | TimerEffect
    | CancelEffect
    | IfEffect
)


class Transition(_Form, frozen=True, rename={"source": "from"}):
    """What an act does."""

    to: str
    source: tuple[str, ...] = ()
    by: Policy | None = None
    auto: bool = False
    internal: bool = False
    input: dict[str, Field] = {}
    guards: tuple[tuple[str, list[Any]], ...] = ()
    effects: tuple[Effect, ...] = ()


class Aggregate(_Form, frozen=True):
    """count, sum, min and argmin over the records that link here through a field."""

    type: str
    """Type of the children."""
    link: str
    """Their field that names this record."""
    states: tuple[str, ...]
    """States in which a child counts."""
    field: str | None = None
    """Their integer field that is summed."""
    ordered: bool = False
    """Whether min and argmin are kept too; the order is part of the value, so it is bounded."""


class Type(_Form, frozen=True, dict=True):
    """A record type."""

    fields: dict[str, Field]
    states: tuple[str, ...]
    transitions: dict[str, Transition]
    final: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    aggregates: dict[str, Aggregate] = {}
    complete: tuple[str, ...] = ()
    """Link fields whose set is complete in the parent (count and rolling hash)."""
    universal: dict[str, Policy] = {}
    """Who may rectify, error_declaration, court_order."""

    @cached_property
    def required(self) -> frozenset[str]:
        """Names of the fields that every record has."""
        return frozenset(name for name, field in self.fields.items() if field.required)


class Unit(_Form, frozen=True):
    """Something counted: money, shares, quota."""

    types: tuple[str, ...]
    """Types whose transitions may mint and burn it."""


class Definition(_Form, frozen=True):
    """A compiled service."""

    type: str
    service: str
    version: int
    title_code: str
    roles: tuple[str, ...]
    types: dict[str, Type]
    units: dict[str, Unit] = {}

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(self)

    @property
    def hash(self) -> Hash:
        """SHA-256 of the canonical JSON: what a vote is about."""
        return sha256(self.encode())

    def record_type(self, name: str) -> str:
        """The type of its records on the chain."""
        return f"{self.service}-{name}"


_decoder = msgspec.json.Decoder(Definition)


def decode(data: bytes) -> Definition:
    """Parse canonical JSON of a definition. Raises ValueError; does not `check` it."""
    if len(data) > DEFINITION_BYTES_MAX:
        raise ValueError(f"definition: want at most {DEFINITION_BYTES_MAX} bytes, got {len(data)}")
    ijson.decode(data, depth_max=DEPTH_MAX)
    try:
        definition = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"definition: {error}") from None
    if definition.encode() != data:
        raise ValueError("definition: not in its canonical form")
    return definition


def loaded(data: bytes) -> Definition:
    """A definition that the chain holds, and that was checked when it was activated."""
    return _decoder.decode(data)


def effects_of(effects: tuple[Effect, ...]) -> Iterator[Effect]:
    """Every effect, those under conditions included, in order."""
    for effect in effects:
        yield effect
        if isinstance(effect, IfEffect):
            yield from effects_of(effect.then)


def leaves_of(policy: Policy) -> int:
    """How many signers a policy can ask for at most; a list of parties counts as one."""
    if isinstance(policy, AllPolicy):
        return sum(leaves_of(part) for part in policy.of)
    if isinstance(policy, AnyPolicy):
        return max((leaves_of(part) for part in policy.of), default=0)
    if isinstance(policy, CountPolicy):
        return policy.n * leaves_of(policy.of)
    if isinstance(policy, ExceptPolicy):
        return leaves_of(policy.of)
    return 1


def policies_of(policy: Policy) -> Iterator[Policy]:
    """A policy and every part of it, exceptions included."""
    yield policy
    if isinstance(policy, AllPolicy | AnyPolicy):
        for part in policy.of:
            yield from policies_of(part)
    elif isinstance(policy, CountPolicy):
        yield from policies_of(policy.of)
    elif isinstance(policy, ExceptPolicy):
        for part in (policy.of, *policy.but):
            yield from policies_of(part)
