"""What expressions and policies see of the chain while an act is decided."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from ledger import canonical
from ledger.crypto import sha256
from ledger.ids import HASH_HEX, RECORD_ID
from ledger.parties import find_party
from ledger.registry import aggregates, balances, roles
from ledger.registry.catalogue import Loaded, record_key
from ledger.registry.evaluate import Programs, evaluate
from ledger.registry.meter import ExpressionRefused, Meter, Value, weigh
from ledger.registry.piece import Functions
from ledger.registry.policy import UNKNOWN
from ledger.state import Draft

CLAIM_DOMAIN = b"muniment-claim-v1\n"
_TEXT = re.compile(r"[!-~]{1,256}", re.ASCII)
"""What may become part of a state key."""
COMMITMENT_DOMAIN = b"muniment-value-v1\n"


def claim_key(namespace: str, parts: Sequence[Value]) -> bytes:
    """State key of a claim: the parts are hashed, so no key reveals what was claimed."""
    digest = sha256(CLAIM_DOMAIN + canonical.encode([namespace, *parts]))
    return b"claim/" + digest.hex().encode("ascii")


def _text(value: Value) -> str:
    if not isinstance(value, str) or _TEXT.fullmatch(value) is None:
        raise ExpressionRefused("EXPRESSION_TYPE", "want a short ASCII text")
    return value


def _record_id(value: Value) -> str:
    text = _text(value)
    if RECORD_ID.fullmatch(text) is None:
        raise ExpressionRefused("EXPRESSION_TYPE", "want a record id")
    return text


BYTES_PER_UNIT: Final = 256
"""Of a value of the state that is parsed or written, for one unit of cost."""


def pay_to_read(data: bytes | None, meter: Meter) -> None:
    """Pay for parsing a value of the state."""
    meter.spend(0 if data is None else len(data) // BYTES_PER_UNIT)


def read_record(draft: Draft, record: str, meter: Meter) -> dict[str, Any] | None:
    """A record, parsed and paid for; its own copy. Raises ExpressionRefused."""
    data = draft.get(record_key(record))
    if data is None:
        return None
    meter.spend(len(data) // BYTES_PER_UNIT)
    value: dict[str, Any] = canonical.decode(data)
    return value


SHARED_BYTES_MAX: Final = 4_096
"""Longest record that is kept parsed."""


def _parsed(data: bytes) -> dict[str, Any]:
    value: dict[str, Any] = canonical.decode(data)
    return value


@lru_cache(maxsize=128)
def _shared(data: bytes) -> dict[str, Any]:
    """A record, parsed: what one act asks of another record, the next one asks again. Nobody
    changes it, nor the lists in it: effects put others in their place."""
    return _parsed(data)


def _locks(value: dict[str, Any]) -> dict[str, str]:
    """Locks of a record; the document module's have none."""
    locks: dict[str, str] = value.get("locks", {})
    return locks


class Scope(msgspec.Struct):
    """What the expressions and policies of one act on one record see. Every failure is a refusal.

    Its methods are the functions of expressions.
    """

    draft: Draft
    loaded: Loaded
    meter: Meter
    now: int
    """Block time, seconds."""
    id: str
    """Of the record that acts."""
    data: dict[str, Any]
    """Of the record as it stands."""
    state: str
    given: dict[str, Any]
    signers: Sequence[str]
    me: str
    """The first signer, or empty."""

    @property
    def programs(self) -> Programs:
        """Of the trees of the definition."""
        return self.loaded.programs

    @property
    def functions(self) -> Functions:
        """Those of expressions."""
        return FUNCTIONS

    def _value(self, record: Value) -> dict[str, Any] | None:
        """A record, paid for by its size; others read the same one."""
        data = self.draft.get(record_key(_record_id(record)))
        if data is None:
            return None
        self.meter.spend(len(data) // BYTES_PER_UNIT)
        return _parsed(data) if len(data) > SHARED_BYTES_MAX else _shared(data)

    def state_of(self, record: Value) -> str:
        """State of a record, or empty."""
        if record is None:
            return ""
        value = self._value(record)
        return "" if value is None else str(value["state"])

    def get(self, record: Value) -> dict[str, Any]:
        """Data of a record."""
        value = self._value(record)
        if value is None:
            raise ExpressionRefused("EXPRESSION_TYPE", "no such record")
        data: dict[str, Any] = value["data"]
        return data

    def balance(self, unit: Value, account: Value) -> int:
        """Amount of a unit of this service on an account."""
        return balances.balance(self.draft, self.loaded.unit(_text(unit)), _text(account))

    def holdings(self, unit: Value, record: Value, names: Value) -> int:
        """Sum over the different names of a list: what they hold on accounts of a record."""
        if not isinstance(names, list):
            raise ExpressionRefused("EXPRESSION_TYPE", "want a list of names")
        different = sorted({_text(name) for name in names})
        self.meter.spend(5 * len(different))
        return sum(self.balance(unit, self.account_of(record, name)) for name in different)

    def account(self, name: Value) -> str:
        """An account of this record."""
        return f"{self.id}#{_text(name)}"

    def account_of(self, record: Value, name: Value) -> str:
        """An account of another record."""
        return f"{_record_id(record)}#{_text(name)}"

    def party_account(self, party: Value, name: Value) -> str:
        """An account of a party."""
        return f"party:{_text(party)}#{_text(name)}"

    def locked(self, record: Value) -> bool:
        """Whether a record is locked by any other."""
        value = self._value(record)
        return value is not None and bool(_locks(value))

    def lock_is(self, record: Value, name: Value) -> bool:
        """Whether this record holds the lock of this name on another."""
        value = self._value(record)
        return value is not None and _locks(value).get(_text(name)) == self.id

    def claimed(self, namespace: Value, *parts: Value) -> bool:
        """Whether a claim is taken."""
        weigh(list(parts), self.meter)
        name = f"{self.loaded.definition.service}.{_text(namespace)}"
        return self.draft.has(claim_key(name, parts))

    def _total(self, record: Value, name: Value) -> aggregates.Total:
        parent, aggregate = _record_id(record), _text(name)
        pay_to_read(self.draft.get(aggregates.aggregate_key(parent, aggregate)), self.meter)
        return aggregates.total(self.draft, parent, aggregate)

    def count(self, record: Value, name: Value) -> int:
        """How many children an aggregate counts."""
        return self._total(record, name).count

    def sum(self, record: Value, name: Value) -> int:
        """Their sum."""
        return self._total(record, name).sum

    def least(self, record: Value, name: Value) -> int | None:
        """Smallest value of an ordered aggregate, or null."""
        first = self._first(record, name)
        return None if first is None else first[0]

    def least_record(self, record: Value, name: Value) -> str | None:
        """The child with the smallest value (then the smallest id), or null."""
        first = self._first(record, name)
        return None if first is None else first[1]

    def _first(self, record: Value, name: Value) -> tuple[int, str] | None:
        known = self._total(record, name)
        if known.count and not known.ordered:
            raise ExpressionRefused("EXPRESSION_TYPE", f"{_text(name)} is not ordered")
        return known.ordered[0] if known.ordered else None

    def holds(self, party: Value, role: Value) -> bool:
        """Whether a party holds a role of this service now."""
        name = self.loaded.role(_text(role))
        return roles.holds(self.draft, _text(party), name, None, self.now)

    def agency_of(self, party: Value) -> str:
        """A party's agency."""
        found = find_party(self.draft, _text(party))
        if found is None:
            raise ExpressionRefused("EXPRESSION_TYPE", "no such party")
        return found.agency

    def size(self, value: Value) -> int:
        """Length of a text, a list or a map."""
        if not isinstance(value, str | list | dict):
            raise ExpressionRefused("EXPRESSION_TYPE", "size() of something that has none")
        return len(value)

    def commitment(self, salt: Value, value: Value) -> str:
        """What a sealed value was committed to: domain, salt (64 hex) and canonical JSON."""
        if not isinstance(salt, str) or HASH_HEX.fullmatch(salt) is None:
            raise ExpressionRefused("EXPRESSION_TYPE", "a salt is 64 hex digits")
        weigh(value, self.meter)
        return sha256(COMMITMENT_DOMAIN + bytes.fromhex(salt) + canonical.encode(value)).hex()


FUNCTIONS: Final[Functions] = {
    "state_of": (10, Scope.state_of),
    "get": (10, Scope.get),
    "balance": (5, Scope.balance),
    "holdings": (5, Scope.holdings),
    "account": (1, Scope.account),
    "account_of": (1, Scope.account_of),
    "party_account": (1, Scope.party_account),
    "locked": (10, Scope.locked),
    "lock_is": (10, Scope.lock_is),
    "claimed": (5, Scope.claimed),
    "count": (5, Scope.count),
    "sum": (5, Scope.sum),
    "min": (5, Scope.least),
    "argmin": (5, Scope.least_record),
    "holds": (10, Scope.holds),
    "agency_of": (5, Scope.agency_of),
    "size": (1, Scope.size),
    "commitment": (5, Scope.commitment),
}


class Deciding:
    """The chain as policies ask it (`ledger.registry.policy.Authorities`)."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def holds(self, party: str, role: str, agency: str | None) -> bool:
        """Whether a party holds a role of this service now."""
        scope = self._scope
        scope.meter.spend(10)
        return roles.holds(scope.draft, party, scope.loaded.role(role), agency, scope.now)

    def agency(self, party: str) -> str | None:
        """A party's agency."""
        self._scope.meter.spend(5)
        found = find_party(self._scope.draft, party)
        return None if found is None else found.agency

    def spend(self, cost: int) -> None:
        """Pay for a step of the search. Raises ExpressionRefused."""
        self._scope.meter.spend(cost)

    def field(self, name: str) -> Any:
        """A field of the record, or null."""
        return self._scope.data.get(name)

    def value(self, tree: list[Any]) -> Any:
        """The value of an expression, or UNKNOWN when it has none."""
        try:
            return evaluate(tree, self._scope)
        except ExpressionRefused as refused:
            if refused.reason == "EXPRESSION_COST":
                raise
            return UNKNOWN
