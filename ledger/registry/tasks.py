"""What waits for a party's signature, and what comes by itself: reads for people, not consensus."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.ids import ChainId, Height
from ledger.parties import find_party
from ledger.registry.act import Act, Refused, form_of, new_record, scope_of
from ledger.registry.catalogue import find_version, record_value, service_of_type
from ledger.registry.check import UNIVERSAL
from ledger.registry.definition import CREATE, Policy
from ledger.registry.evaluate import ExpressionRefused, Meter
from ledger.registry.pending import Pending
from ledger.registry.policy import may_take_part
from ledger.registry.scope import Deciding
from ledger.registry.timers import due
from ledger.state import State

PENDING_MAX = 5_000
"""Waiting acts that one question looks at."""
COST_MAX = 20_000

_pending = msgspec.json.Decoder(Pending)


def waiting_for(state: State, chain: ChainId, party: str, now: int, limit: int) -> list[Pending]:
    """Acts that wait for more signatures and that this party could sign, oldest id first."""
    found: list[Pending] = []
    looked = 0
    for _, value in state.scan(b"spending/"):
        looked += 1
        if looked > PENDING_MAX or len(found) == limit:
            break
        pending = _pending.decode(value)
        if pending.until <= now or party in pending.signers:
            continue
        if _could_sign(state, chain, pending, party, now):
            found.append(pending)
    return found


def _could_sign(state: State, chain: ChainId, pending: Pending, party: str, now: int) -> bool:
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
        meter=Meter(COST_MAX),
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
    return may_take_part(policy, party, Deciding(act.draft, loaded, act.now, scope))


def deadlines(state: State, until: int, limit: int) -> list[tuple[int, str, str]]:
    """(time, record, transition) of timers that fire at or before `until`, soonest first."""
    return due(state, until, limit)
