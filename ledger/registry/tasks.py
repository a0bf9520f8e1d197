"""What waits for a party's signature, and what comes by itself: reads for people, not consensus."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ledger.ids import ChainId, Height
from ledger.parties import find_party
from ledger.registry.act import TIMER_TABLE, Act, Refused, form_of, new_record, scope_of, timer_key
from ledger.registry.catalogue import find_version, record_value, service_of_type
from ledger.registry.check import UNIVERSAL
from ledger.registry.definition import CREATE, Policy
from ledger.registry.meter import ExpressionRefused, Meter
from ledger.registry.pending import Pending
from ledger.registry.policy import Search
from ledger.registry.scope import Deciding
from ledger.registry.timers import due_from
from ledger.state import State

COST_MAX: Final = 20_000
"""Of one waiting act: more than the act itself may cost."""
PAGE_COST_MAX: Final = 50_000
"""Of one page, in units of expression cost: some hundredths of a second."""
LOOK_COST: Final = 50
"""Of reading one waiting act."""

_pending = msgspec.json.Decoder(Pending)


def waiting_for(
    state: State, chain: ChainId, party: str, now: int, limit: int, start: str = ""
) -> tuple[list[Pending], str | None]:
    """Acts that wait for more signatures and that this party could sign, in order of record and id,
    from the place `start` on; and the place to go on at, which may come before `limit` is reached.

    Reads the store alone: the caller's head must be staged there.
    """
    prefix = b"spending/"
    found: list[Pending] = []
    left = PAGE_COST_MAX
    for key, value in state.store.scan(prefix, prefix + start.encode("ascii") if start else b""):
        if left <= 0 or len(found) == limit:
            return found, key[len(prefix) :].decode("ascii")
        left -= LOOK_COST
        pending = _pending.decode(value)
        if pending.until <= now or party in pending.signers:
            continue
        meter = Meter(COST_MAX)
        if _could_sign(state, chain, pending, party, now, meter):
            found.append(pending)
        left -= COST_MAX - meter.rest
    return found, None


def _could_sign(
    state: State, chain: ChainId, pending: Pending, party: str, now: int, meter: Meter
) -> bool:
    known = find_party(state, party)
    if known is None:
        return False
    act = Act(
        draft=state.draft(),
        chain=chain,
        height=Height(0),
        now=now,
        tx="",
        party=party,
        agency=known.agency,
        meter=meter,
        effects_left=0,
        record_bytes_max=0,
    )
    try:
        return _decide(act, pending, party)
    except (ExpressionRefused, Refused):  # nobody can sign what is suspended
        return False


def _decide(act: Act, pending: Pending, party: str) -> bool:
    policy: Policy | None
    if pending.transition == CREATE:
        service = service_of_type(act.draft, pending.type)
        found = None if service is None else find_version(act.draft, service, pending.version)
        if found is None:
            return False
        loaded = found[0]
        record: dict[str, Any] = new_record(act, pending.record, pending.type, "")
        record["data"] = pending.input
        kind = loaded.type(pending.type)
        policy = None if kind is None else kind.transitions[CREATE].by
    else:
        value = record_value(act.draft, pending.record)
        if value is None or value["seq"] != pending.revision:
            return False
        record = value
        loaded, kind = form_of(act, record)
        if pending.transition in UNIVERSAL:
            policy = kind.universal.get(pending.transition)
        else:
            transition = kind.transitions.get(pending.transition)
            policy = None if transition is None else transition.by
    if policy is None:
        return False
    scope = scope_of(act, loaded, record, pending.input, (*pending.signers, party))
    return Search(Deciding(scope)).may_serve(policy, party)


def deadlines(
    state: State, until: int, limit: int, start: tuple[int, str, str]
) -> list[tuple[int, str, str]]:
    """(time, record, transition) of timers that fire at or before `until`, soonest first, from
    `start` on. Reads the store alone: the caller's head must be staged there."""
    return due_from(state.store.scan(TIMER_TABLE, timer_key(*start)), until, limit)
