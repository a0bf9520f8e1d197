"""The doors of the engine: create, act, approve, and acts of every type (registry.md, 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ledger.ids import CODE, HASH_HEX
from ledger.parties import PartyStatus, find_party
from ledger.registry import fields, pending
from ledger.registry.act import (
    Act,
    Refused,
    check_input,
    check_transition,
    form_of,
    new_record,
    scope_of,
    write_record,
)
from ledger.registry.catalogue import (
    Loaded,
    find_service,
    find_version,
    record_key,
    service_of_type,
)
from ledger.registry.check import UNIVERSAL
from ledger.registry.definition import CREATE, Policy, Transition, Type
from ledger.registry.effects import perform
from ledger.registry.evaluate import truth
from ledger.registry.meter import ExpressionRefused, Meter
from ledger.registry.policy import SIGNERS_MAX, Search
from ledger.registry.scope import Deciding, Scope, read_record

_UNIVERSAL_INPUT = {
    "rectify": ("field", "value"),
    "error_declaration": (),
    "court_order": ("state", "unlock"),
}
ACTS_MAX = 64
"""Universal acts noted on one record."""
COURT_ORDERS = 16
"""Of them, kept for court orders: nobody fills a record up so that no court reaches it."""


def create(
    act: Act, record: str, record_type: str, version: int, data: dict[str, Any]
) -> dict[str, Any]:
    """Create a record, or leave its creation waiting for more signatures. Raises Refused."""
    service = service_of_type(act.draft, record_type)
    found = None if service is None else find_service(act.draft, service)
    if service is None or found is None:
        raise Refused("SERVICE_UNKNOWN")
    if found.current != version:
        raise Refused("VERSION_NOT_CURRENT", current=found.current)
    waiting = pending.Pending(
        id="",
        record=record,
        type=record_type,
        version=version,
        transition=CREATE,
        input=data,
        party=act.party,
        agency=act.agency,
        signers=(act.party,),
        revision=-1,
        until=act.now + pending.PENDING_SECONDS,
    )
    return _advance(act, waiting)


def act_on(
    act: Act,
    record: str,
    transition: str,
    given: dict[str, Any],
    revision: int | None,
) -> dict[str, Any]:
    """Act on a record, or leave the act waiting for more signatures. Raises Refused."""
    value = _record(act, record)
    if transition == CREATE:
        raise Refused("TRANSITION_UNKNOWN")
    if revision is not None and revision != value["seq"]:
        raise Refused("CONFLICT", revision=value["seq"])
    waiting = pending.Pending(
        id="",
        record=record,
        type=value["type"],
        version=0,
        transition=transition,
        input=given,
        party=value["party"],
        agency=value["agency"],
        signers=(act.party,),
        revision=value["seq"],
        until=act.now + pending.PENDING_SECONDS,
    )
    return _advance(act, waiting, value)


def approve(act: Act, record: str, name: str) -> dict[str, Any]:
    """Add a signature to a waiting act. Raises Refused."""
    waiting = pending.find(act.draft, record, name)
    if waiting is None:
        gone = pending.find_expired(act.draft, record, name)
        raise Refused("PENDING_UNKNOWN" if gone is None else "PENDING_EXPIRED")
    if act.now >= waiting.until:
        raise Refused("PENDING_EXPIRED")
    if act.party in waiting.signers:
        raise Refused("ALREADY_SIGNED")
    if len(waiting.signers) >= SIGNERS_MAX:
        raise Refused("TOO_MANY_SIGNERS")
    signers = (*waiting.signers, act.party)
    return _advance(act, msgspec.structs.replace(waiting, signers=signers))


def _record(act: Act, record: str) -> dict[str, Any]:
    try:
        value = read_record(act.draft, record, act.meter)
    except ExpressionRefused as refused:
        raise Refused(refused.reason) from None
    if value is None or "locks" not in value:  # the document module's records are not ours
        raise Refused("RECORD_UNKNOWN")
    return value


def _advance(
    act: Act, waiting: pending.Pending, record: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Do the act if its signers suffice, keep it waiting if the newest one helps. `record` is the
    one acted on, if the caller has read it."""
    try:
        if waiting.transition == CREATE:
            return _advance_create(act, waiting)
        return _advance_act(act, waiting, record or _record(act, waiting.record))
    except ExpressionRefused as refused:
        raise Refused(refused.reason) from None


def _advance_create(act: Act, waiting: pending.Pending) -> dict[str, Any]:
    service = service_of_type(act.draft, waiting.type)
    assert service is not None
    found = find_version(act.draft, service, waiting.version)
    assert found is not None
    loaded, row = found
    if row.status != "active":
        raise Refused("DEFINITION_SUSPENDED")
    kind = loaded.type(waiting.type)
    if kind is None:  # the current version dropped it
        raise Refused("TYPE_UNKNOWN")
    transition = kind.transitions[CREATE]
    if transition.by is None:
        raise Refused("NOT_AUTHORISED")
    if act.draft.has(record_key(waiting.record)):
        raise Refused("RECORD_EXISTS")
    made = new_record(act, waiting.record, waiting.type, f"{service}@{waiting.version}")
    made["party"], made["agency"] = waiting.party, waiting.agency
    wrong = fields.check_given(kind.fields, waiting.input, act.lookup())
    if wrong is not None:
        raise Refused("DATA_INVALID", field=wrong)
    made["data"] = {name: v for name, v in waiting.input.items() if v is not None}
    scope = scope_of(act, loaded, made, {}, waiting.signers)
    if not _decide(act, scope, transition.by, waiting.signers):
        _check_early(act, transition, scope)
        return _wait(act, waiting)
    _done(act, waiting)
    seq = perform(act, loaded, kind, None, made, transition, scope, given_checked=True)
    return act.result(waiting.record, seq, transition.to)


def _advance_act(act: Act, waiting: pending.Pending, before: dict[str, Any]) -> dict[str, Any]:
    if before["seq"] != waiting.revision:
        raise Refused("CONFLICT", revision=before["seq"])
    loaded, kind = form_of(act, before)
    after = {**before, "data": dict(before["data"]), "timers": dict(before["timers"])}
    if waiting.transition in UNIVERSAL:
        return _universal(act, loaded, kind, before, after, waiting)
    transition = check_transition(before, kind, waiting.transition, acting=None)
    if transition.by is None:
        raise Refused("NOT_AUTHORISED")
    check_input(act, transition, waiting.input)
    scope = scope_of(act, loaded, after, waiting.input, waiting.signers)
    if not _decide(act, scope, transition.by, waiting.signers):
        _check_early(act, transition, scope)
        return _wait(act, waiting)
    _done(act, waiting)
    seq = perform(act, loaded, kind, before, after, transition, scope)
    return act.result(waiting.record, seq, transition.to)


def _decide(act: Act, scope: Scope, policy: Policy, signers: Sequence[str]) -> bool:
    """Whether the signers suffice. Raises Refused when the newest one helps nothing.

    Who was revoked after signing no longer counts: its key may have been in other hands. A single
    signer is the transaction's own, which is active.
    """
    search = Search(Deciding(scope))
    if len(signers) == 1 and search.alone(policy, signers[0]):
        return True
    if not search.may_serve(policy, signers[-1]):
        raise Refused("NOT_AUTHORISED")
    return search.satisfied(policy, [party for party in signers if _stands(act, party)])


def _stands(act: Act, party: str) -> bool:
    found = find_party(act.draft, party)
    return found is not None and found.status is PartyStatus.ACTIVE


def _check_early(act: Act, transition: Transition, scope: Scope) -> None:
    """Refuse at once what could not be done now: nobody should sign in vain.

    Guards on `signers` are for when all have signed.
    """
    for name, tree in [
        (name, tree) for name, tree in transition.guards if not _reads_signers(tree, act.meter)
    ]:
        try:
            holds = truth(tree, scope)
        except ExpressionRefused as refused:
            raise Refused(refused.reason, guard=name) from None
        if not holds:
            raise Refused("GUARD_FAILED", guard=name)


def _reads_signers(tree: list[Any], meter: Meter) -> bool:
    waiting: list[Any] = [tree]
    for node in waiting:  # grows as it is walked
        if node == ["var", "signers"]:
            return True
        if isinstance(node, list):
            meter.spend(1)
            waiting.extend(node)
    return False


def _done(act: Act, waiting: pending.Pending) -> None:
    """Forget that the act waited, if it did: with one signer it was never written."""
    if len(waiting.signers) > 1:
        pending.remove(act.draft, waiting)


def _wait(act: Act, waiting: pending.Pending) -> dict[str, Any]:
    if not waiting.id:  # it was not known that it would have to wait
        name = pending.pending_id(act.tx, act.index)
        waiting = msgspec.structs.replace(waiting, id=name)
    pending.save(act.draft, waiting)
    return {
        "record": waiting.record,
        "pending": waiting.id,
        "signers": list(waiting.signers),
        "until": waiting.until,
    }


def _universal(
    act: Act,
    loaded: Loaded,
    kind: Type,
    before: dict[str, Any],
    after: dict[str, Any],
    waiting: pending.Pending,
) -> dict[str, Any]:
    """rectify, error_declaration, court_order: noted for ever, never an edit of history."""
    policy = kind.universal.get(waiting.transition)
    if policy is None:
        raise Refused("NOT_AUTHORISED")
    given = waiting.input
    reason, proof = given.get("reason_code"), given.get("commitment")
    if type(reason) is not str or CODE.fullmatch(reason) is None:
        raise Refused("INPUT_INVALID", field="reason_code")
    if type(proof) is not str or HASH_HEX.fullmatch(proof) is None:
        raise Refused("INPUT_INVALID", field="commitment")
    allowed = ("reason_code", "commitment", *_UNIVERSAL_INPUT[waiting.transition])
    for name in sorted(given):
        if name not in allowed:
            raise Refused("INPUT_INVALID", field=name)
    if waiting.transition == "court_order":
        _court_order(kind, after, given)
    elif before["locks"]:
        raise Refused("LOCKED")
    elif waiting.transition == "rectify":
        _rectify(kind, after, given)
    scope = scope_of(act, loaded, before, given, waiting.signers)
    if not _decide(act, scope, policy, waiting.signers):
        return _wait(act, waiting)
    kept = 0 if waiting.transition == "court_order" else COURT_ORDERS
    if len(before["acts"]) >= ACTS_MAX - kept:
        raise Refused("ACTS_FULL")
    note = {
        "act": waiting.transition,
        "reason_code": reason,
        "commitment": proof,
        "height": act.height,
        "signers": list(waiting.signers),
    }
    after["acts"] = [*before["acts"], note]
    _done(act, waiting)
    seq = write_record(act, loaded, kind, before, after)
    return act.result(waiting.record, seq, after["state"])


def _court_order(kind: Type, after: dict[str, Any], given: dict[str, Any]) -> None:
    """Another state, whatever the graph says; with `unlock`, the locks of others open too."""
    state, unlock = given.get("state", after["state"]), given.get("unlock", False)
    if state not in kind.states:
        raise Refused("INPUT_INVALID", field="state")
    if not isinstance(unlock, bool):
        raise Refused("INPUT_INVALID", field="unlock")
    after["state"] = state
    if state in kind.final:
        after["timers"] = {}
    if unlock:
        after["locks"] = {}


def _rectify(kind: Type, after: dict[str, Any], given: dict[str, Any]) -> None:
    """A committed value is replaced; what the service decides by is not."""
    name, value = given.get("field"), given.get("value")
    if not isinstance(name, str) or name not in kind.fields:
        raise Refused("INPUT_INVALID", field="field")
    if not isinstance(kind.fields[name], fields.CommitmentField):
        raise Refused("FIELD_NOT_RECTIFIABLE", field=name)
    if not isinstance(value, str) or HASH_HEX.fullmatch(value) is None:
        raise Refused("INPUT_INVALID", field="value")
    after["data"][name] = value
