"""One act: guards, effects, the record's next version; all or nothing (registry.md, section 6).

Everything that an act does goes through a draft; a refusal is raised, and whoever called rolls the
draft back.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from ledger import records
from ledger.crypto import sha256
from ledger.ids import ChainId, Height
from ledger.parties import find_party
from ledger.registry import aggregates, fields
from ledger.registry.catalogue import (
    Loaded,
    find_version,
    parse_definition_name,
    record_key,
)
from ledger.registry.definition import CREATE, Transition, Type
from ledger.registry.meter import Meter
from ledger.registry.scope import BYTES_PER_UNIT, Scope, read_record
from ledger.state import Draft

DEPTH_MAX = 8
TIMER_TABLE = b"q"
INDEX_TABLE = b"i"
_NOTHING: Final[dict[str, Any]] = {}


class Refused(Exception):
    """The act is refused; `reason` is stable, `results` say what failed in the service's words."""

    def __init__(self, reason: str, **results: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.results: tuple[dict[str, Any], ...] = (results,) if results else ()


class Act(msgspec.Struct):
    """What one operation, or one timer, may still spend, and where it is."""

    draft: Draft
    chain: ChainId
    height: Height
    now: int
    """Block time, seconds."""
    tx: str
    """Transaction id, hex; empty for a timer."""
    party: str
    """Who signs; empty for a timer."""
    agency: str
    meter: Meter
    effects_left: int
    record_bytes_max: int
    depth: int = 0
    open: list[str] = []
    """Records in the middle of a change: none of them may change again."""
    timer: str = ""
    """`<record id>#<timer name>`; empty for an operation."""
    written: list[tuple[str, int, str]] = []
    """(record, seq, state) of every version written so far, in order."""
    fired: dict[tuple[str, int], str] = {}
    """(record, seq) -> the transition that other records made of it by `create` and `fire`."""
    index: int = 0
    """Of the operation in its transaction."""
    _lookup: fields.Lookup | None = None

    def result(self, record: str, seq: int, state: str) -> dict[str, Any]:
        """The result of an act on `record`: it names every record that changed with it."""
        result: dict[str, Any] = {"record": record, "seq": seq, "state": state}
        if len(self.written) == 1:
            return result
        others = [
            {
                "record": other,
                "seq": number,
                "state": named,
                "transition": self.fired.get((other, number), ""),
            }
            for other, number, named in self.written
            if other != record
        ]
        return {**result, "others": others} if others else result

    def lookup(self) -> fields.Lookup:
        """What exists, for the check of values; whatever is looked up is paid for."""
        if self._lookup is None:
            self._lookup = _Known(self.draft, self.meter)
        return self._lookup


class _Known:
    """`fields.Lookup` on a draft. It knows nothing of the act: acts that are in no cycle are freed
    at once, and their memory is warm for the next one."""

    __slots__ = ("_draft", "_meter", "spend")

    def __init__(self, draft: Draft, meter: Meter) -> None:
        self._draft = draft
        self.spend = meter.spend
        self._meter = meter

    def party_exists(self, party: str) -> bool:
        self.spend(5)
        return find_party(self._draft, party) is not None

    def record_type(self, record: str) -> str | None:
        self.spend(10)
        value = read_record(self._draft, record, self._meter)
        # A document's type is whatever its registrant wrote: no record of a service.
        return None if value is None or "locks" not in value else str(value["type"])


def form_of(act: Act, record: dict[str, Any]) -> tuple[Loaded, Type]:
    """The definition that a record acts by, and its type. Raises Refused when suspended."""
    service, version = parse_definition_name(record["def"])
    found = find_version(act.draft, service, version)
    if found is None:
        raise Refused("SERVICE_UNKNOWN")
    loaded, row = found
    if row.status != "active":
        raise Refused("DEFINITION_SUSPENDED")
    kind = loaded.type(record["type"])
    assert kind is not None, record["type"]
    return loaded, kind


def scope_of(
    act: Act, loaded: Loaded, record: dict[str, Any], given: dict[str, Any], signers: Sequence[str]
) -> Scope:
    """What expressions of a record's transition see."""
    return Scope(
        act.draft,
        loaded,
        act.meter,
        act.now,
        record["id"],
        record["data"],
        record["state"],
        given,
        signers,
        signers[0] if signers else "",
    )


def check_input(act: Act, transition: Transition, given: dict[str, Any]) -> None:
    """Raises Refused with the name of the first input that is not right."""
    wrong = fields.check_values(transition.input, given, act.lookup())
    if wrong is not None:
        raise Refused("INPUT_INVALID", field=wrong)


def new_record(act: Act, record: str, record_type: str, definition: str) -> dict[str, Any]:
    """A record before its first version is written."""
    return {
        "id": record,
        "type": record_type,
        "def": definition,
        "state": "",
        "party": act.party,
        "agency": act.agency,
        "data": {},
        "locks": {},
        "timers": {},
        "acts": [],
        "tx": act.tx,
        "height": act.height,
    }


def child_id(record_type: str, parent: str, seq: int, index: int) -> str:
    """Id of a record that effect `index` of a version of `parent` creates."""
    text = f"muniment-child-v1\n{parent}\n{seq}\n{index}\n"
    return f"{record_type}/{sha256(text.encode('ascii')).hex()[:32]}"


def write_record(
    act: Act, loaded: Loaded, kind: Type, before: dict[str, Any] | None, after: dict[str, Any]
) -> int:
    """Write the next version with everything that is derived from it. `after` is the caller's own.

    Raises Refused, and ExpressionRefused when the transaction cannot pay for it.
    """
    record, draft = after["id"], act.draft
    key = record_key(record)
    after["tx"], after["height"] = act.tx, act.height
    if before is None:
        seq, size = 0, len(records.create(draft, key, after))
    else:
        old = draft.get(key)
        assert old is not None
        seq = before["seq"] + 1
        size = len(records.next_version(draft, key, old, after, seq))
    if size > act.record_bytes_max:
        raise Refused("RECORD_TOO_LARGE")
    act.meter.spend(size // BYTES_PER_UNIT)
    if after["type"] in loaded.parents:
        reason = aggregates.update(draft, act.meter, loaded, record, before, after)
        if reason:
            raise Refused(reason)
    _index(draft, kind, before, after)
    _timers(draft, before, after)
    for link in kind.complete:
        parent = after["data"].get(link)
        if parent is not None and (before is None or before["data"].get(link) != parent):
            aggregates.extend_link(draft, parent, after["type"], link, record)
    act.written.append((record, seq, after["state"]))
    return seq


@lru_cache(maxsize=1_024)
def index_prefix(record_type: str, name: str, value: str) -> bytes:
    """What the raw keys of the index rows of all records with this value have in common: equality
    only; the value is hashed, so that keys stay short. The record's id follows."""
    digest = sha256(value.encode("utf-8"))[:12]
    return INDEX_TABLE + f"{record_type}\x00{name}\x00".encode("ascii") + digest


def _index(draft: Draft, kind: Type, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
    """Move the record's rows to what its state and its indexed fields are now."""
    record_type, record = after["type"], after["id"].encode("ascii")
    old, new = None if before is None else before["state"], after["state"]
    if old != new:
        if old is not None:
            draft.write(index_prefix(record_type, "state", old) + record, None)
        draft.write(index_prefix(record_type, "state", new) + record, b"")
    data: dict[str, Any] = _NOTHING if before is None else before["data"]
    for name in kind.indexes:
        old, new = data.get(name), after["data"].get(name)
        if old == new and type(old) is type(new):  # true is not 1 here
            continue
        if old is not None:
            draft.write(index_prefix(record_type, name, str(old)) + record, None)
        if new is not None:
            draft.write(index_prefix(record_type, name, str(new)) + record, b"")


def timer_key(due: int, record: str, name: str) -> bytes:
    """Raw key of a waiting timer: in the order in which timers fire."""
    return TIMER_TABLE + due.to_bytes(8, "big") + f"{record}\x00{name}".encode("ascii")


def _timers(draft: Draft, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
    old = _NOTHING if before is None else before["timers"]
    if old == after["timers"]:
        return
    for name, due in old.items():
        if after["timers"].get(name) != due:
            draft.write(timer_key(due, after["id"], name), None)
    for name, due in after["timers"].items():
        if old.get(name) != due:
            draft.write(timer_key(due, after["id"], name), b"")


def write_timers(act: Act, before: dict[str, Any], timers: dict[str, int]) -> None:
    """The next version of a record in which nothing but its timers differs."""
    after = {**before, "timers": timers, "tx": act.tx, "height": act.height}
    key = record_key(before["id"])
    old = act.draft.get(key)
    assert old is not None
    records.next_version(act.draft, key, old, after, before["seq"] + 1)
    _timers(act.draft, before, after)


def check_transition(
    record: dict[str, Any], kind: Type, name: str, *, acting: str | None
) -> Transition:
    """The transition, if the record may take it now. `acting`: the record that fires it.

    Raises Refused: TRANSITION_UNKNOWN, WRONG_STATE, LOCKED.
    """
    transition = kind.transitions.get(name)
    if transition is None or name == CREATE:
        raise Refused("TRANSITION_UNKNOWN")
    if record["state"] not in transition.source:
        raise Refused("WRONG_STATE", state=record["state"])
    locks = record["locks"]
    if locks and any(owner != acting for owner in locks.values()):
        raise Refused("LOCKED")
    return transition
