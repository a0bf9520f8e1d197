"""What expressions and policies see of the chain while an act is decided."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from ledger import canonical
from ledger.crypto import sha256
from ledger.ids import HASH_HEX, RECORD_ID
from ledger.parties import find_party
from ledger.registry import aggregates, balances, roles
from ledger.registry.catalogue import Loaded, record_key
from ledger.registry.evaluate import Functions, Scope, evaluate
from ledger.registry.meter import ExpressionRefused, Meter, Value, weigh
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


def _locks(value: dict[str, Any]) -> dict[str, str]:
    """Locks of a record; the document module's have none."""
    locks: dict[str, str] = value.get("locks", {})
    return locks


class View:
    """The functions of one act on one draft. Every failure is a refusal."""

    __slots__ = ("_draft", "_loaded", "_meter", "_now", "_record")

    def __init__(self, draft: Draft, loaded: Loaded, now: int, meter: Meter, record: str) -> None:
        """`record` is the id of the record that acts; `now` is block time in seconds."""
        self._draft = draft
        self._loaded = loaded
        self._now = now
        self._record = record
        self._meter = meter

    def scope(
        self, data: dict[str, Any], state: str, given: dict[str, Any], signers: Sequence[str]
    ) -> Scope:
        """A scope over the record as it stands."""
        variables = {
            "data": data,
            "input": given,
            "now": self._now,
            "me": signers[0] if signers else "",
            "signers": list(signers),
            "id": self._record,
            "state": state,
        }
        return Scope(variables, _FUNCTIONS, self._meter, self, self._loaded.programs)

    def _value(self, record: Value) -> dict[str, Any] | None:
        """A record, paid for by its size."""
        return read_record(self._draft, _record_id(record), self._meter)

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
        return balances.balance(self._draft, self._loaded.unit(_text(unit)), _text(account))

    def holdings(self, unit: Value, record: Value, names: Value) -> int:
        """Sum over the different names of a list: what they hold on accounts of a record."""
        if not isinstance(names, list):
            raise ExpressionRefused("EXPRESSION_TYPE", "want a list of names")
        different = sorted({_text(name) for name in names})
        self._meter.spend(5 * len(different))
        return sum(self.balance(unit, self.account_of(record, name)) for name in different)

    def account(self, name: Value) -> str:
        """An account of this record."""
        return f"{self._record}#{_text(name)}"

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
        return value is not None and _locks(value).get(_text(name)) == self._record

    def claimed(self, namespace: Value, *parts: Value) -> bool:
        """Whether a claim is taken."""
        weigh(list(parts), self._meter)
        name = f"{self._loaded.definition.service}.{_text(namespace)}"
        return self._draft.has(claim_key(name, parts))

    def _total(self, record: Value, name: Value) -> aggregates.Total:
        parent, aggregate = _record_id(record), _text(name)
        pay_to_read(self._draft.get(aggregates.aggregate_key(parent, aggregate)), self._meter)
        return aggregates.total(self._draft, parent, aggregate)

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
        name = self._loaded.role(_text(role))
        return roles.holds(self._draft, _text(party), name, None, self._now)

    def agency_of(self, party: Value) -> str:
        """A party's agency."""
        found = find_party(self._draft, _text(party))
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
        weigh(value, self._meter)
        return sha256(COMMITMENT_DOMAIN + bytes.fromhex(salt) + canonical.encode(value)).hex()


_FUNCTIONS: Final[Functions] = {
    "state_of": (10, View.state_of),
    "get": (10, View.get),
    "balance": (5, View.balance),
    "holdings": (5, View.holdings),
    "account": (1, View.account),
    "account_of": (1, View.account_of),
    "party_account": (1, View.party_account),
    "locked": (10, View.locked),
    "lock_is": (10, View.lock_is),
    "claimed": (5, View.claimed),
    "count": (5, View.count),
    "sum": (5, View.sum),
    "min": (5, View.least),
    "argmin": (5, View.least_record),
    "holds": (10, View.holds),
    "agency_of": (5, View.agency_of),
    "size": (1, View.size),
    "commitment": (5, View.commitment),
}


class Deciding:
    """The chain as policies ask it (`ledger.registry.policy.Authorities`)."""

    __slots__ = ("_draft", "_loaded", "_now", "_scope")

    def __init__(self, draft: Draft, loaded: Loaded, now: int, scope: Scope) -> None:
        self._draft = draft
        self._loaded = loaded
        self._now = now
        self._scope = scope

    def holds(self, party: str, role: str, agency: str | None) -> bool:
        """Whether a party holds a role of this service now."""
        self._scope.meter.spend(10)
        return roles.holds(self._draft, party, self._loaded.role(role), agency, self._now)

    def agency(self, party: str) -> str | None:
        """A party's agency."""
        self._scope.meter.spend(5)
        found = find_party(self._draft, party)
        return None if found is None else found.agency

    def spend(self, cost: int) -> None:
        """Pay for a step of the search. Raises ExpressionRefused."""
        self._scope.meter.spend(cost)

    def field(self, name: str) -> Any:
        """A field of the record, or null."""
        return self._scope.variables["data"].get(name)

    def value(self, tree: list[Any]) -> Any:
        """The value of an expression, or UNKNOWN when it has none."""
        try:
            return evaluate(tree, self._scope)
        except ExpressionRefused as refused:
            if refused.reason == "EXPRESSION_COST":
                raise
            return UNKNOWN
